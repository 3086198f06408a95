//! Profound: API keys under Settings, part of one plan and on request, with a name and an expiry each.

use serde_json::json;

use crate::browser::Browser;
use crate::browser::world::World;

/// A date so many days from now, as date fields have it.
fn in_days(days: i64) -> String {
    crate::harness::in_seconds(days * 86_400)[..10].to_owned()
}

/// Makes a key on the page.
fn create(world: &World, name: &str) -> String {
    world.goto_project("keys");
    world.browser.fill("Name", name);
    world.browser.fill("Or at the end of", &in_days(30));
    world.browser.click("Create API Key");
    world.secret()
}

#[test]
fn p06_settings_has_an_entry_for_keys() {
    let world = World::new("profound");
    world.goto_project("usage");
    let groups =
        "return [...document.querySelectorAll('nav.side div')].map((group) => group.innerText.split('\\n'))";
    let groups = world.browser.run(groups, vec![]);
    let settings =
        groups.as_array().unwrap().iter().find(|group| group[0].as_str().unwrap().eq_ignore_ascii_case("settings"));
    assert!(settings.unwrap().as_array().unwrap().contains(&json!("API Keys")), "{groups}");
    world.browser.click("API Keys");
    assert!(world.browser.path().ends_with("/keys"));
}

#[test]
fn p07_portal_and_table_are_on_one_page() {
    let world = World::new("profound");
    world.key("Reporting");
    world.goto_project("keys");
    assert!(world.browser.offers("Create API Key"));
    assert!(!world.browser.texts("form input[name=name]").is_empty());
    let table = world.browser.texts("table").join("\n");
    assert!(table.contains("Reporting"), "{table}");
    world.browser.is_sound();
}

#[test]
fn p08_p30_without_access_the_tab_is_closed_and_support_named() {
    let world = World::new("profound");
    let project = world.keyward.project().to_owned();
    let path = format!("/v1/projects/{project}");
    for wish in [json!({"plan": "growth"}), json!({"plan": "enterprise", "access": false})] {
        world.keyward.patch(&path, wish).expect(200);
        world.goto_project("usage");
        assert!(!world.browser.offers("API Keys"), "the tab is a link");
        world.goto_project("keys");
        world.browser.see("support@tryprofound.com");
        assert!(!world.browser.offers("Create API Key"));
        assert!(world.browser.texts("form input[name=name]").is_empty());
        let refused = world
            .keyward
            .create(&project, json!({"name": "anyway", "expires_at": crate::harness::in_seconds(86_400)}));
        assert_eq!(refused.status, 403, "{}", refused.text);
        let faults: Vec<_> =
            world.browser.faults().into_iter().filter(|fault| !fault.contains("status of 403")).collect();
        assert!(faults.is_empty(), "{faults:?}");
    }
    world.keyward.patch(&path, json!({"access": true})).expect(200);
    create(&world, "Access at last");
}

#[test]
fn p14_keys_can_be_seen_checked_and_revoked_later() {
    let world = World::new("profound");
    let secret = create(&world, "Quarterly report");
    // Another session, on another machine.
    let later = Browser::open();
    for (name, value) in world.browser.cookies() {
        later.goto(&world.url("/sign-in"));
        later.set_cookie(&name, &value);
    }
    later.goto(&world.url(&format!("/projects/{}/keys", world.keyward.project())));
    later.see("Quarterly report");
    let row = later.texts("table.keys tbody tr").into_iter().find(|row| row.contains("Quarterly report")).unwrap();
    assert!(row.contains("in 30 days"), "{row}");
    assert!(!later.everything().contains(&secret));
    later.click_within("Quarterly report", "Revoke");
    later.click("Revoke");
    later.see("revoked");
    assert_eq!(world.call(&secret).status, 401);
}

#[test]
fn p25_usage_shows_how_often_and_when_a_key_was_used() {
    let world = World::new("profound");
    let key = world.key("Dashboards");
    for _ in 0..7 {
        assert_eq!(world.call(&key.secret).status, 200);
    }
    world.is_counted(&key.id, 7);
    world.goto_project("usage");
    world.browser.see("Dashboards");
    let rows = world.browser.texts("tr");
    assert!(rows.iter().any(|row| row.contains("Dashboards") && row.contains('7')), "{rows:?}");
    world.goto_project("keys");
    assert!(world.row("Dashboards").contains("just now"), "{}", world.row("Dashboards"));
}

#[test]
fn p31_the_new_key_is_shown_with_a_warning_until_it_is_closed() {
    let world = World::new("profound");
    let secret = create(&world, "Pipeline");
    world.browser.see("You will not be able to retrieve this key again");
    assert!(world.browser.offers("Copy") && world.browser.offers("I have stored the key"));
    world.browser.see("PROFOUND_API_KEY");
    world.browser.is_sound();
    world.browser.click("I have stored the key");
    world.browser.see("Pipeline");
    assert!(!world.browser.everything().contains(&secret));
    world.browser.reload();
    assert!(!world.browser.everything().contains(&secret));
}
