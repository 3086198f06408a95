//! GetProfile: one key an app, rotated in place.

use crate::browser::world::World;
use crate::harness::{Keyward, Person};

#[test]
fn g08_the_page_after_making_a_key_has_the_env_line() {
    let world = World::new("getprofile");
    world.goto_project("keys");
    world.browser.click("Rotate");
    world.browser.click("Rotate");
    let secret = world.secret();
    world.browser.see(&format!("GETPROFILE_API_KEY={secret}"));
    world.browser.see("Add .env to .gitignore");
    let openings = [
        ("curl", format!("Authorization: Bearer {secret}")),
        ("Python", "os.environ[\"GETPROFILE_API_KEY\"]".to_owned()),
        ("JavaScript", "process.env[\"GETPROFILE_API_KEY\"]".to_owned()),
    ];
    for (snippet, line) in openings {
        world.browser.click(snippet);
        world.browser.see(&line);
        // Programs read the key from the environment: it stands in none of them.
        world.browser.see_not(&format!("GETPROFILE_API_KEY={secret}"));
    }
    world.browser.is_sound();
}

#[test]
fn g09_g11_rotating_on_the_page_gives_a_new_key() {
    let world = World::new("getprofile");
    let old = world.keyward.first_key().secret;
    assert_eq!(world.call(&old).status, 200);
    world.goto_project("keys");
    world.browser.click("Rotate");
    // What follows is said before it is done.
    world.browser.see("stops");
    assert_eq!(world.call(&old).status, 200);
    world.browser.click("Rotate");
    let new = world.secret();
    assert_ne!(new, old);
    assert_eq!((world.call(&old).status, world.call(&new).status), (401, 200));
    world.browser.is_sound();
}

#[test]
fn g10_the_keys_page_is_for_those_who_are_signed_in() {
    let world = World::new("getprofile");
    let path = format!("/projects/{}/keys", world.keyward.project());
    let nobody = Person::nobody(&world.keyward);
    let reply = nobody.visit(&path).expect(303);
    assert_eq!(reply.header("location"), Some(format!("/sign-in?next={path}").as_str()));
    world.person().visit(&path).expect(200);
    world.goto("/");
    world.goto_project("usage");
    world.browser.click("API Keys");
    assert_eq!(world.browser.path(), path);
    assert_eq!(world.browser.texts("h1"), ["API Keys"]);
}

#[test]
fn g18_support_is_a_link_away() {
    let world = World::new("getprofile");
    for page in ["keys", "usage", "events", "limits", "settings"] {
        world.goto_project(page);
        world.browser.see("support@getprofile-ai.com");
    }
    let mail = "return document.querySelector('a[href=\"mailto:support@getprofile-ai.com\"]') !== null";
    assert_eq!(world.browser.run(mail, vec![]), true);
}

#[test]
fn g18_support_is_the_contracts_to_say() {
    let keyward = Keyward::dev("getprofile");
    keyward.amend("support = { email = \"help@elsewhere.test\" }");
    let world = World::around(keyward, crate::browser::Browser::open());
    world.goto_project("keys");
    world.browser.see("help@elsewhere.test");
    world.browser.see_not("getprofile-ai.com");
}
