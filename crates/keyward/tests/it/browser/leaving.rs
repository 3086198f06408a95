//! A secret that was shown once does not come back: not by going back, not by reloading, not from what the browser keeps.

use crate::browser::Browser;
use crate::browser::world::World;

/// Makes a key on the standard page, and leaves it in every way.
fn shown_once(world: &World) {
    world.goto_project("keys");
    world.browser.fill("Name", "Shown once");
    world.browser.click("Create API key");
    let secret = world.secret();
    assert!(world.keyward.is_valid(&secret));
    assert!(!world.browser.url().contains(&secret));
    let is_gone = |how: &str| {
        let page = world.browser.everything();
        assert!(!page.contains(&secret) && !page.contains(&secret[10..]), "shown again: {how}");
    };
    world.goto_project("usage");
    is_gone("another page");
    world.browser.back();
    is_gone("back");
    world.browser.reload();
    is_gone("back and reloaded");
    world.goto_project("keys");
    is_gone("the list");
    world.browser.back();
    is_gone("back from the list");
    let keys = world.keyward.list(world.keyward.project());
    let made = keys.iter().filter(|key| key["name"] == "Shown once").count();
    assert_eq!(made, 1, "reloading made another key");
    let kept = world.browser.files_with(&secret);
    assert!(kept.is_empty(), "the browser keeps it in {kept:?}");
}

#[test]
fn k07_a_secret_is_not_shown_again() {
    shown_once(&World::new("standard"));
}

#[test]
fn k07_nor_without_scripts() {
    shown_once(&World::without_scripts("standard"));
}

#[test]
fn k07_a_tab_that_is_opened_again_shows_no_secret() {
    let world = World::new("standard");
    world.goto_project("keys");
    world.browser.fill("Name", "Shown once");
    world.browser.click("Create API key");
    let secret = world.secret();
    let address = world.browser.url();
    // Another browser of the same person, at the address where the secret was shown.
    let again = Browser::open();
    again.goto(&world.url("/sign-in"));
    for (name, value) in world.browser.cookies() {
        again.set_cookie(&name, &value);
    }
    again.goto(&address);
    assert!(!again.everything().contains(&secret));
}
