//! The rules of making a key: its shape, name, expiry, how many may be active, what is acknowledged, and what
//! the contract does not offer.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use keyward_core::clock::Timestamp;
use serde_json::{Value, json};

use super::Subject;
use crate::harness::{Key, in_seconds};

/// Panics unless a wish is refused for this field alone.
#[track_caller]
fn refuses(subject: &Subject, project: &str, wish: Value, field: &str) {
    let problem = subject.keyward.create(project, wish.clone()).expect_problem(422, "invalid").json();
    let fields: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, [field], "{wish}");
}

pub(super) fn keys_have_the_contracts_shape(subject: &Subject) {
    let (project, key) = subject.key();
    let prefix = subject.terms.text("key.prefix").unwrap_or_default();
    match subject.terms.text("key.format").unwrap() {
        "keyward" => {
            let body = key.secret.strip_prefix(&format!("{prefix}_")).expect("the prefix");
            assert!(body.len() == 43 && body.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{body}");
        }
        "uuid" => {
            let groups: Vec<_> = key.secret.strip_prefix(prefix).unwrap().split('-').map(str::len).collect();
            assert_eq!(groups, [8, 4, 4, 4, 12]);
        }
        "base64" => {
            let decoded = String::from_utf8(BASE64.decode(&key.secret).unwrap()).unwrap();
            assert_eq!(decoded[32..], format!(":{project}"));
        }
        other => panic!("the suite knows no format {other}"),
    }
    let shown = subject.keyward.key(&key.id);
    let hint = shown["hint"].as_str().unwrap();
    assert!(hint.starts_with(prefix) && hint.chars().count() <= prefix.len() + 6, "{hint}");
    assert!(!shown.to_string().contains(&key.secret[8..28]));
    let path = format!("/v1/organizations/{}/projects", subject.keyward.started.organization);
    let api = &subject.keyward.started.api;
    let test = json!({"name": "Test", "api": api, "environment": "test", "access": true});
    let made = subject.keyward.post(&path, test).expect(201).json();
    let test_project = made["project"]["id"].as_str().unwrap();
    let secret = match made["secret"].as_str() {
        Some(secret) => secret.to_owned(),
        None => subject.keyward.make(test_project, subject.wish()).secret,
    };
    assert!(secret.starts_with(subject.terms.text("key.test_prefix").unwrap_or(prefix)));
}

pub(super) fn names_follow_the_contract(subject: &Subject) {
    let project = subject.project();
    if !subject.terms.is("key.name.offered") {
        return refuses(subject, &project, subject.wish_with("name", "Name"), "name");
    }
    if subject.terms.is("key.name.required") {
        let mut unnamed = subject.wish();
        unnamed.as_object_mut().unwrap().remove("name");
        refuses(subject, &project, unnamed, "name");
    }
    let (fewest, most) = (subject.terms.number("key.name.min_chars"), subject.terms.number("key.name.max_chars"));
    let long = |count: i64| "n".repeat(count.try_into().unwrap());
    for wrong in [long(fewest - 1), format!("  {} ", long(fewest - 1)), long(most + 1), "tab\tname".into()] {
        refuses(subject, &project, subject.wish_with("name", wrong), "name");
    }
    for right in [long(fewest), long(most)] {
        let made = subject.keyward.create(&project, subject.wish_with("name", format!(" {right} "))).expect(201);
        assert_eq!(made.json()["key"]["name"], right);
        subject.keyward.revoke(&Key::of(&made).id).expect(200);
    }
}

pub(super) fn expiries_follow_the_contract(subject: &Subject) {
    let project = subject.project();
    if !subject.terms.is("key.expiry.offered") {
        return refuses(subject, &project, subject.wish_with("expires_at", in_seconds(60)), "expires_at");
    }
    refuses(subject, &project, subject.wish_with("expires_at", in_seconds(-1)), "expires_at");
    let (max, default) = (subject.terms.duration("key.expiry.max"), subject.terms.duration("key.expiry.default"));
    if let Some(max) = max {
        let max = max.as_secs().cast_signed();
        refuses(subject, &project, subject.wish_with("expires_at", in_seconds(max + 60)), "expires_at");
        let made =
            subject.keyward.create(&project, subject.wish_with("expires_at", in_seconds(max - 60))).expect(201);
        subject.keyward.revoke(&Key::of(&made).id).expect(200);
    }
    let mut unsaid = subject.wish();
    unsaid.as_object_mut().unwrap().remove("expires_at");
    if subject.terms.is("key.expiry.required") && default.is_none() {
        return refuses(subject, &project, unsaid, "expires_at");
    }
    let made = subject.keyward.create(&project, unsaid).expect(201).json();
    match default.or(max) {
        None => assert_eq!(made["key"]["expires_at"], Value::Null),
        Some(life) => {
            let time = |field: &str| made["key"][field].as_str().unwrap().parse::<Timestamp>().unwrap();
            assert_eq!(time("expires_at").since(time("created_at")), life);
        }
    }
    // A key's end can come sooner and never later.
    let path = format!("/v1/keys/{}", made["key"]["id"].as_str().unwrap());
    let sooner = in_seconds(50);
    assert_eq!(
        subject.keyward.patch(&path, json!({"expires_at": sooner})).expect(200).json()["key"]["expires_at"],
        sooner
    );
    subject.keyward.patch(&path, json!({"expires_at": in_seconds(90)})).expect_problem(422, "invalid");
}

pub(super) fn the_limit_of_active_keys_is_the_contracts(subject: &Subject) {
    let project = subject.project();
    let limit = subject.terms.number("key.active_limit");
    let shown = subject.keyward.get(&format!("/v1/projects/{project}")).expect(200).json();
    let record = if shown["project"].is_object() { &shown["project"] } else { &shown };
    let told = if limit > 0 { json!(limit) } else { Value::Null };
    assert_eq!((&record["active_key_limit"], &record["active_keys"]), (&told, &json!(0)));
    let enough = if limit > 0 { limit } else { 12 };
    let keys: Vec<_> = (0..enough).map(|_| subject.keyward.make(&project, subject.wish())).collect();
    if limit == 0 {
        return;
    }
    subject.keyward.create(&project, subject.wish()).expect_problem(409, "active_key_limit");
    assert_eq!(subject.keyward.live(&project), keys.len());
    subject.keyward.revoke(&keys[0].id).expect(200);
    subject.keyward.make(&project, subject.wish());
    subject.keyward.create(&project, subject.wish()).expect_problem(409, "active_key_limit");
}

pub(super) fn statements_are_acknowledged_first(subject: &Subject) {
    let project = subject.project();
    let mut unsaid = subject.wish();
    unsaid.as_object_mut().unwrap().remove("acknowledge");
    let made = subject.keyward.create(&project, unsaid);
    let key = match subject.terms.statements("create") {
        none if none.is_empty() => Key::of(&made.expect(201)),
        statements => {
            let problem = made.expect_problem(428, "acknowledgement_required").json();
            assert_eq!(problem["statements"], json!(statements));
            assert_eq!(subject.keyward.live(&project), 0);
            subject.keyward.make(&project, subject.wish())
        }
    };
    let mut in_use = subject.keyward.use_key(subject.request(&project, &key.secret));
    let ended = subject.keyward.post(&format!("/v1/keys/{}/revoke", key.id), json!({}));
    match subject.terms.statements("revoke") {
        none if none.is_empty() => drop(ended.expect(200)),
        statements => {
            let problem = ended.expect_problem(428, "acknowledgement_required").json();
            assert_eq!(problem["statements"], json!(statements));
            in_use.expect_accepted();
            subject.keyward.revoke(&key.id).expect(200);
        }
    }
    in_use.expect_refused(&subject.terms.refusal("revoked"));
}

pub(super) fn what_the_contract_does_not_offer_is_refused(subject: &Subject) {
    let project = subject.project();
    let own_scopes = subject.terms.at("scopes").and_then(toml::Value::as_table);
    let scope = own_scopes.and_then(|scopes| scopes.keys().next()).map_or("read", String::as_str);
    let offers = [
        ("key.scopes", "scopes", json!([scope])),
        ("key.addresses", "addresses", json!(["127.0.0.0/8"])),
        ("key.metadata", "metadata", json!({"team": "billing"})),
        ("key.import", "import", json!({"sha256": "0".repeat(64)})),
    ];
    for (offered, field, value) in offers {
        let wish = subject.wish_with(field, value.clone());
        if !subject.terms.is(offered) {
            refuses(subject, &project, wish, field);
            continue;
        }
        let made = subject.keyward.create(&project, wish).expect(201).json();
        if field != "import" {
            assert_eq!(made["key"][field], value);
        }
        subject.keyward.revoke(made["key"]["id"].as_str().unwrap()).expect(200);
    }
    refuses(subject, &project, subject.wish_with("owner", "me"), "owner");
    assert_eq!(subject.keyward.live(&project), 0);
    let default = subject.terms.duration("gateway.timeout");
    assert!(default.is_some_and(|timeout| timeout > Duration::ZERO));
}
