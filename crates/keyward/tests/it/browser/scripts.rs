//! Text that people write stays text: hundreds of names that would be scripts, in everything that somebody can name,
//! on every page.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::payloads::scripts;
use super::world::World;
use crate::harness::person::PASSWORD;
use crate::harness::{Person, Reply};

/// What no page of ours has unless a text became one.
const INTRUDERS: &str = "return [...document.querySelectorAll('img, iframe, object, embed, base, video, audio, template, \
    math, script:not([src^=\"/assets/\"]), link:not([href^=\"/assets/\"]), meta[http-equiv], style, body[onload], [onerror], \
    [onload], [onfocus], [ontoggle], [onmouseover], [onbegin], [style], a[href^=\"javascript\"], [formaction], [srcdoc]')] \
    .map((element) => element.outerHTML.slice(0, 200))";

/// Names keys after all of the texts, and everything else after some of them: organizations, projects, what is noted on
/// keys and why they were revoked, who is invited, the person who looks and their browser.
fn named(world: &World, texts: &[String]) {
    let keyward = &world.keyward;
    keyward.amend("[key]\nactive_limit = 1000\n");
    let (organization, api) = (&keyward.started.organization, &keyward.started.api);
    let person = world.person();
    for (number, text) in texts.iter().enumerate() {
        let key = keyward.make(keyward.project(), json!({"name": text, "metadata": {"note": text}}));
        if number % 8 != 0 {
            continue;
        }
        keyward.post(&format!("/v1/keys/{}/revoke", key.id), json!({"reason": text})).expect(200);
        keyward.post("/v1/organizations", json!({"name": text})).expect(201);
        let wish = json!({"name": text, "api": api, "access": true});
        keyward.post(&format!("/v1/organizations/{organization}/projects"), wish).expect(201);
        let invited = json!({"email": format!("{text}@example.test"), "role": "viewer"});
        keyward.post(&format!("/v1/organizations/{organization}/invitations"), invited);
        person.send("/account/name", &[("name", text)]).expect(303);
    }
    // Whoever signs in with such a browser has it among their sessions.
    Person::invited(keyward, "ada@example.test", "owner");
    for text in texts.iter().filter(|text| text.is_ascii()).step_by(100) {
        let browser = [("user-agent", text.as_str()), ("sec-fetch-site", "same-origin")];
        let fields = [("email", "ada@example.test"), ("password", PASSWORD)];
        Person::nobody(keyward).send_from("/sign-in", &fields, &browser).expect(303);
    }
    keyward.patch(&format!("/v1/projects/{}", keyward.project()), json!({"name": texts[0]})).expect(200);
    keyward.patch(&format!("/v1/organizations/{organization}"), json!({"name": texts[1]})).expect(200);
}

/// Looks at pages; nothing of them ran or became markup. Gives all that they show.
fn looked_at(world: &World, pages: BTreeMap<String, Reply>) -> String {
    let mut shown = String::new();
    for (path, reply) in pages {
        if reply.status != 200 || !reply.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
            continue;
        }
        world.goto(&path);
        assert_eq!(world.browser.errors(), [""; 0], "{path}");
        assert_eq!(world.browser.run("return window.ran", vec![]), Value::Null, "a script ran on {path}");
        assert_eq!(world.browser.run(INTRUDERS, vec![]), json!([]), "{path}");
        shown.push_str(&world.browser.text());
    }
    shown
}

#[test]
fn w02_no_text_becomes_a_script() {
    let world = World::new("standard");
    let texts = scripts();
    named(&world, &texts);
    let mut pages = world.person().pages(2, 3);
    for part in 1..=texts.len() / 50 + 1 {
        let path = format!("/projects/{}/keys?part={part}", world.keyward.project());
        let reply = world.person().visit(&path);
        pages.insert(path, reply);
    }
    assert!(pages.len() > 30, "{:?}", pages.keys());
    world.browser.errors();
    let shown = looked_at(&world, pages);
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = plain(&shown);
    let missing: Vec<_> = texts.iter().filter(|text| !shown.contains(&plain(text))).collect();
    assert!(missing.is_empty(), "not shown as they were written: {missing:#?}");
}
