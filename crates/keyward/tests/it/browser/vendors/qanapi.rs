//! Qanapi: a project's own keys, made and revoked after a prompt, and its event log.

use serde_json::json;

use crate::browser::world::World;

/// Opens the prompt that stands before a new key.
fn ask(world: &World, name: &str) {
    world.goto_project("keys");
    world.browser.fill("Name", name);
    world.browser.click("Create API Key");
}

#[test]
fn q02_a_projects_tab_has_its_keys_alone() {
    let world = World::new("qanapi");
    world.key("Mine");
    let (other, _) = world.keyward.new_project("Another project");
    world.keyward.make(&other, json!({"name": "Not mine", "acknowledge": true}));
    world.goto_project("usage");
    world.browser.click("API Keys");
    world.browser.see("Mine");
    world.browser.see_not("Not mine");
    world.goto(&format!("/projects/{other}/keys"));
    world.browser.see("Not mine");
}

#[test]
fn q03_a_prompt_with_three_statements_stands_before_a_new_key() {
    let world = World::new("qanapi");
    let before = world.keyward.list(world.keyward.project()).len();
    ask(&world, "Prompted");
    for statement in [
        "The API key is displayed only once",
        "You must store the key securely",
        "The key cannot be retrieved after it is shown",
    ] {
        world.browser.see(statement);
    }
    world.browser.is_sound();
    world.browser.click("Cancel");
    world.browser.see("API Keys");
    assert_eq!(world.keyward.list(world.keyward.project()).len(), before);
    ask(&world, "Prompted");
    assert_eq!(world.keyward.list(world.keyward.project()).len(), before);
    world.browser.click("Create API Key");
    let secret = world.secret();
    assert_eq!(world.keyward.list(world.keyward.project()).len(), before + 1);
    assert!(world.keyward.is_valid(&secret));
    let refused = world.keyward.create(world.keyward.project(), json!({"name": "no prompt"}));
    refused.expect_problem(428, "acknowledgement_required");
}

#[test]
fn q07_q08_q09_the_list_tells_id_creation_status_and_last_use() {
    let world = World::new("qanapi");
    let key = world.key("Billing");
    world.goto_project("keys");
    let fresh = world.row("Billing").to_lowercase();
    let year = crate::harness::in_seconds(0)[..4].to_owned();
    for part in [&key.id.to_lowercase(), &year, "active", "never"] {
        assert!(fresh.contains(part), "{part}: {fresh}");
    }
    assert!(!world.keyward.is_valid(&key.id));
    assert_eq!(world.call(&key.secret).status, 200);
    world.keyward.revoke(&key.id).expect(200);
    world.is_counted(&key.id, 1);
    world.goto_project("keys");
    let revoked = world.row("Billing").to_lowercase();
    assert!(revoked.contains("revoked") && !revoked.contains("never"), "{revoked}");
}

#[test]
fn q10_revoking_asks_first() {
    let world = World::new("qanapi");
    let key = world.key("Doomed");
    world.goto_project("keys");
    world.browser.click_within("Doomed", "Revoke");
    world.browser.see("Applications that use this key lose access at once");
    world.browser.is_sound();
    world.browser.click("Cancel");
    assert!(world.keyward.is_valid(&key.secret));
    world.goto_project("keys");
    world.browser.click_within("Doomed", "Revoke");
    world.browser.click("Revoke");
    world.browser.see("revoked");
    assert!(!world.keyward.is_valid(&key.secret));
    let another = world.key("Another");
    let path = format!("/v1/keys/{}/revoke", another.id);
    world.keyward.post(&path, json!({})).expect_problem(428, "acknowledgement_required");
}

#[test]
fn q18_the_event_log_tells_what_was_done_by_whom() {
    let world = World::new("qanapi");
    let key = world.key("Watched");
    assert_eq!(world.call(&key.secret).status, 200);
    world.keyward.revoke(&key.id).expect(200);
    assert_eq!(world.call(&key.secret).status, 401);
    let path = format!("/v1/projects/{}/events", world.keyward.project());
    crate::harness::eventually("both calls are in the log", || {
        let text = world.keyward.get(&path).text;
        (text.contains("revoked") && text.contains("used")).then_some(())
    });
    world.goto_project("events");
    let log = world.browser.text();
    for part in ["created", "used", "revoked", "refused", "watched", "127.0.0.1"] {
        assert!(log.to_lowercase().contains(part), "{part}: {log}");
    }
    assert!(!world.browser.everything().contains(&key.secret));
    world.browser.is_sound();
}

#[test]
fn q19_unused_keys_are_found() {
    let world = World::new("qanapi");
    let (used, unused) = (world.key("In use"), world.key("Forgotten"));
    assert_eq!(world.call(&used.secret).status, 200);
    world.is_counted(&used.id, 1);
    world.goto_project("keys");
    // Sorted by their last use, those that have none stand together.
    world.browser.click("Last used");
    let rows = world.browser.texts("table.keys tbody tr");
    let place = |name: &str| rows.iter().position(|row| row.contains(name)).unwrap();
    let sorted = place("Forgotten") < place("In use");
    world.browser.click("Last used");
    let rows = world.browser.texts("table.keys tbody tr");
    let place = |name: &str| rows.iter().position(|row| row.contains(name)).unwrap();
    assert_ne!(sorted, place("Forgotten") < place("In use"), "{rows:?}");
    // A key of today is not unused for 30 days, whether it was used or not.
    world.goto_project("keys");
    world.browser.fill("Used", "Not for 30 days");
    world.browser.click("Filter");
    world.browser.see("No key of this list is like that");
    world.goto_project("keys");
    world.browser.click_within("Forgotten", "Revoke");
    world.browser.click("Revoke");
    world.browser.see("revoked");
    assert!(!world.keyward.is_valid(&unused.secret));
}
