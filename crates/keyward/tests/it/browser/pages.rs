//! Every page, in every size and both colours: drawn without an error, kept to the content policy, sound by WCAG 2.2 AA
//! as far as axe can tell, never wider than a phone; and a picture of each in `target/screenshots`.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::json;

use super::Browser;
use super::world::{LOOKS, furnished};
use crate::harness::Keyward;
use crate::harness::person::without_ids;

/// A page's name among the pictures: its address without ids.
fn name_of(path: &str) -> String {
    let words = without_ids(path.split('?').next().unwrap()).replace('/', "-");
    match words.strip_prefix("projects-") {
        Some(page) => page.to_owned(),
        None if words.is_empty() => "start".to_owned(),
        None => words,
    }
}

/// Looks at a page in every way; what is wrong with it.
fn look_at(browser: &Browser, url: &str, name: &str, faults: &mut Vec<String>) {
    browser.goto(url);
    for (size, colours, look) in LOOKS {
        browser.size(size);
        browser.colours(colours);
        faults.extend(browser.faults().into_iter().map(|fault| format!("{name} ({look}): {fault}")));
        browser.screenshot(&format!("{name}-{look}"));
    }
}

#[test]
fn screenshots_of_every_page_find_nothing_wrong() {
    let world = furnished("standard");
    let mut pages = BTreeMap::new();
    for (path, reply) in world.person().all_pages() {
        let is_page = reply.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        if reply.status == 200 && is_page {
            pages.entry(name_of(&path)).or_insert(path);
        }
    }
    assert!(pages.len() >= 14, "{pages:?}");
    let mut faults = Vec::new();
    for (name, path) in pages {
        let name = if name == "keys" || name == "usage" { format!("{name}-standard") } else { name };
        look_at(&world.browser, &world.url(&path), &name, &mut faults);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn screenshots_of_the_way_in_find_nothing_wrong() {
    let keyward = Keyward::dev("standard");
    let browser = Browser::open();
    let mut faults = Vec::new();
    let url = |path: &str| format!("{}{path}", keyward.started.control_url);
    look_at(&browser, &url("/sign-in"), "sign-in", &mut faults);
    look_at(&browser, &keyward.started.sign_in_url, "sign-in-link", &mut faults);
    // A page that is not there is an error on the console, and that is all that is wrong with it.
    look_at(&browser, &url("/none"), "not-found", &mut faults);
    faults.retain(|fault| !fault.contains("status of 404"));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The keys' page of a vendor's preset.
fn keys_page(preset: &str) {
    let world = furnished(preset);
    let mut faults = Vec::new();
    let url = world.url(&format!("/projects/{}/keys", world.keyward.project()));
    look_at(&world.browser, &url, &format!("keys-{preset}"), &mut faults);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn screenshots_of_getprofile_find_nothing_wrong() {
    keys_page("getprofile");
}

#[test]
fn screenshots_of_profound_find_nothing_wrong() {
    keys_page("profound");
}

#[test]
fn screenshots_of_metriport_find_nothing_wrong() {
    keys_page("metriport");
}

#[test]
fn screenshots_of_scrapegraphai_find_nothing_wrong() {
    keys_page("scrapegraphai");
}

#[test]
fn screenshots_of_qanapi_find_nothing_wrong() {
    keys_page("qanapi");
}

#[test]
fn screenshots_of_encryption_find_nothing_wrong() {
    let world = furnished("standard");
    let keyward = &world.keyward;
    keyward.amend("[encryption]\nmarker = \"sealed\"\n");
    let project = format!("/v1/projects/{}", keyward.project());
    let page = world.url(&format!("/projects/{}/encryption", keyward.project()));
    let mut faults = Vec::new();
    look_at(&world.browser, &page, "encryption-empty", &mut faults);
    let rotate = || keyward.post(&format!("{project}/data-keys/rotate"), json!({})).expect(201);
    rotate();
    keyward.post(&format!("{project}/data-keys/shred"), json!({"acknowledge": true})).expect(200);
    for _ in 0..2 {
        rotate();
    }
    let destination = json!({"url": "https://records.example.com/v1"});
    keyward.control(Method::PUT, &format!("{project}/destination"), Some(destination)).expect(200);
    look_at(&world.browser, &page, "encryption", &mut faults);
    look_at(&world.browser, &format!("{page}/shred"), "encryption-shred", &mut faults);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn names_of_pictures_have_no_ids() {
    for (path, name) in [
        ("/", "start"),
        ("/projects/proj_1/keys?state=active", "keys"),
        ("/organizations/org_1", "organizations"),
        ("/organizations/org_1/members", "organizations-members"),
        ("/operator/nodes", "operator-nodes"),
        ("/keys/key_1/rotate", "keys-rotate"),
    ] {
        assert_eq!(name_of(path), name);
    }
}
