//! Vendors that are a file and nothing else. The sixth: a header with a scheme of its own, a body in the shape
//! of JSON:API, an expiry with maximum and default, rotation with overlap only, behind a path prefix. The
//! seventh: the query before the header, keys of no prefix and no rotation, behind hosts of its own.

use serde_json::json;

use super::suite::run_generic_suite;
use crate::harness::{Key, Keyward, Scripted, Upstream};

/// A Keyward that serves a vendor of this folder beside its preset, put in force by the CLI from its file.
fn with(file: &str, api: &str) -> (Keyward, Upstream) {
    let upstream = Upstream::start(Scripted::json(200, r#"{"launched":true}"#));
    let mut keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    let path = format!("{}/tests/it/contracts/{file}", env!("CARGO_MANIFEST_DIR"));
    let (code, out, err) = keyward.cli(&["apply", &path]);
    assert_eq!(code, 0, "{out}{err}");
    keyward.started.api = api.into();
    (keyward, upstream)
}

fn with_sixth() -> (Keyward, Upstream) {
    with("sixth.toml", "acme")
}

fn make(keyward: &Keyward) -> (String, Key) {
    let (project, none) = keyward.new_project("Canyon");
    assert!(none.is_none());
    let key = keyward.make(&project, json!({"name": "Rocket"}));
    (project, key)
}

#[test]
fn a_sixth_vendor_is_a_file_alone() {
    let (keyward, upstream) = with_sixth();
    run_generic_suite(&keyward, &upstream);
}

#[test]
fn so_is_a_seventh() {
    let (keyward, upstream) = with("seventh.toml", "hollow");
    run_generic_suite(&keyward, &upstream);
}

#[test]
fn the_sixth_vendors_callers_see_its_own_words() {
    let (keyward, upstream) = with_sixth();
    let (project, key) = make(&keyward);
    let shown = keyward.key(&key.id);
    let project = keyward.get(&format!("/v1/projects/{project}")).expect(200).json();
    assert!(project.to_string().contains("workspace"), "{project}");
    assert!(key.secret.starts_with("acme_") && shown["expires_at"].is_string(), "{shown}");
    let launch = |token: &str| keyward.call("POST", "/acme/rockets/7/launch", &[("X-Acme-Token", token)]);
    assert_eq!(launch(&format!("Token {}", key.secret)).expect(200).json(), json!({"launched": true}));
    assert_eq!(upstream.last().target, "/rockets/7/launch", "the prefix is taken off");
    let wrong = launch("Token wrong").expect(403);
    assert_eq!(wrong.json(), json!({"errors": [{"title": "This token opens nothing", "code": "invalid_key"}]}));
    let missing = keyward.call("POST", "/acme/rockets/7/launch", &[]).expect(401);
    assert_eq!(missing.json(), json!({"errors": [{"title": "Show a token", "code": "missing_key"}]}));
}

#[test]
fn the_sixth_vendors_routes_need_its_scopes() {
    let (keyward, _upstream) = with_sixth();
    let (project, _) = make(&keyward);
    let looker = keyward.make(&project, json!({"name": "Looker", "scopes": ["rockets:read"]}));
    let token = format!("Token {}", looker.secret);
    let call = |method: &str| keyward.call(method, "/acme/rockets/7/launch", &[("X-Acme-Token", &token)]);
    call("GET").expect(200);
    let refused = call("POST").expect(403);
    assert_eq!(refused.json(), json!({"errors": [{"title": "Not with this token", "code": "insufficient_scope"}]}));
}

#[test]
fn two_apis_stand_behind_one_gateway_and_neither_takes_the_others_keys() {
    let (keyward, upstream) = with_sixth();
    let (_, key) = make(&keyward);
    let standard = keyward.first_key();
    let before = upstream.count();
    let call = |path: &str, name: &str, value: String| keyward.call("POST", path, &[(name, value.as_str())]);
    call("/acme/rockets/7/launch", "X-Acme-Token", format!("Token {}", standard.secret)).expect(403);
    call("/rockets/7/launch", "Authorization", format!("Bearer {}", key.secret)).expect(401);
    assert_eq!(upstream.count(), before);
    call("/rockets/7/launch", "Authorization", format!("Bearer {}", standard.secret)).expect(200);
}
