//! Metriport: two keys at a time under Developers, so that one can be put in the other's place without downtime.

use crate::browser::world::World;

#[test]
fn m01_developers_generate_keys() {
    let world = World::new("metriport");
    world.goto_project("usage");
    world.browser.click("Developers");
    assert!(world.browser.path().ends_with("/keys"));
    world.browser.click("Generate a second key");
    let second = world.secret();
    assert_eq!(world.call(&second).status, 200);
    assert_eq!(world.call(&world.keyward.first_key().secret).status, 200);
    world.browser.is_sound();
    // A third is more than may be active, and the page says so.
    world.goto_project("keys");
    world.browser.see("Both keys that this account may have are active");
    assert_eq!(world.keyward.live(world.keyward.project()), 2);
    // Where there is none, the button says so.
    for key in world.keyward.list(world.keyward.project()) {
        world.keyward.revoke(key["id"].as_str().unwrap()).expect(200);
    }
    world.goto_project("keys");
    world.browser.click("Generate API key");
    assert_eq!(world.call(&world.secret()).status, 200);
}

#[test]
fn m04_each_key_has_a_button_that_revokes_it() {
    let world = World::new("metriport");
    let second = world.key("");
    world.goto_project("keys");
    let first = world.keyward.first_key();
    for key in [&first.id, &second.id] {
        assert!(world.browser.texts("tr").iter().any(|row| row.contains(key.as_str())), "{key}");
    }
    world.browser.click_within(&first.id, "Revoke");
    assert_eq!(world.call(&first.secret).status, 200, "revoked before it was confirmed");
    world.browser.click("Revoke");
    world.browser.see("revoked");
    assert_eq!((world.call(&first.secret).status, world.call(&second.secret).status), (403, 200));
}

#[test]
fn m15_the_page_shows_which_key_still_gets_traffic() {
    let world = World::new("metriport");
    let (old, new) = (world.keyward.first_key(), world.key(""));
    for _ in 0..3 {
        assert_eq!(world.call(&old.secret).status, 200);
    }
    world.is_counted(&old.id, 3);
    world.goto_project("keys");
    world.browser.see("Which key still gets traffic");
    let rows = world.browser.texts("table:not(.keys) tbody tr");
    let row = |id: &str| rows.iter().find(|row| row.contains(id)).unwrap().to_lowercase();
    assert!(row(&old.id).contains("in use") && row(&old.id).contains('3'), "{rows:?}");
    assert!(row(&old.id).contains("just now") && row(&new.id).contains("never"), "{rows:?}");
    assert!(row(&new.id).contains("no traffic today"), "{rows:?}");
    world.browser.click("How to rotate");
    world.browser.see("Revoke the old key with the trash button");
}
