//! ScrapeGraphAI: one key an account, under Settings, regenerated in place.

use crate::browser::world::World;

#[test]
fn s02_settings_has_a_section_for_the_key() {
    let world = World::new("scrapegraphai");
    world.goto_project("usage");
    let side = world.browser.texts("nav.side").join("\n").to_lowercase();
    let (settings, key) = (side.find("settings").unwrap(), side.find("api key").unwrap());
    assert!(settings < key, "{side}");
    world.browser.click("API Key");
    assert_eq!(world.browser.texts("h1"), ["API Key"]);
}

#[test]
fn s03_the_key_is_displayed_masked() {
    let world = World::new("scrapegraphai");
    let secret = world.keyward.first_key().secret;
    for _ in 0..2 {
        world.goto_project("keys");
        world.browser.see(&secret[secret.len() - 4..]);
        let page = world.browser.everything();
        assert!(!page.contains(&secret) && !page.contains(&secret[5..]));
    }
}

#[test]
fn s10_regenerating_shows_the_new_key_once() {
    let world = World::new("scrapegraphai");
    let old = world.keyward.first_key().secret;
    world.goto_project("keys");
    world.browser.click("Regenerate API Key");
    world.browser.see("The old one stops working immediately");
    world.browser.click("Regenerate API Key");
    let new = world.secret();
    world.browser.see("only shown once");
    world.browser.see(&format!("SGAI_API_KEY={new}"));
    assert_eq!((world.call(&old).status, world.call(&new).status), (401, 200));
    world.browser.is_sound();
    for page in ["keys", "usage", "events", "limits", "settings"] {
        world.goto_project(page);
        assert!(!world.browser.everything().contains(&new[5..]), "{page}");
    }
}
