//! The vendors' published clients with only the base URL changed: each one accepted and once refused, with the
//! status or exception that the client documents. tests/clients drives them; `cargo xtask test` installs them.

use serde_json::{Value, json};

use crate::harness::{Key, Keyward, Sdk, in_seconds};

/// A key of a project of its own, so that revoking it leaves the rest alone.
fn key(keyward: &Keyward, wish: Value) -> Key {
    let (project, first) = keyward.new_project("Client");
    first.unwrap_or_else(|| keyward.make(&project, wish))
}

/// Calls with a key, and again from the same process once it is revoked.
fn accepted_then_refused(name: &'static str, preset: &str, wish: Value) -> (Value, Value) {
    let keyward = Keyward::dev(preset);
    let key = key(&keyward, wish);
    let mut client = Sdk::new(name, &keyward).key(&key.secret).start();
    let accepted = client.call();
    keyward.revoke(&key.id).expect(200);
    let refused = client.call();
    assert_eq!((&accepted["ok"], &refused["ok"]), (&json!(true), &json!(false)), "{accepted}\n{refused}");
    (accepted["data"].clone(), refused)
}

#[test]
fn getprofile_reads_a_profile_and_throws_the_bodys_error() {
    let (data, refused) = accepted_then_refused("getprofile", "getprofile", json!({}));
    assert_eq!(data["profile"]["id"], "abc123");
    assert_eq!((&refused["error_class"], &refused["message"]), (&json!("Error"), &json!("Invalid API key")));
}

#[test]
fn profound_gets_a_report_and_raises_authentication_error() {
    let wish = json!({"name": "Client", "expires_at": in_seconds(3600)});
    let (data, refused) = accepted_then_refused("profound", "profound", wish);
    assert_eq!(data["data"], json!([]));
    assert_eq!((&refused["status"], &refused["error_class"]), (&json!(401), &json!("AuthenticationError")));
    assert_eq!(refused["data"], json!({"detail": "Invalid API key"}));
}

#[test]
fn profound_raises_permission_denied_where_the_key_does_not_reach() {
    let keyward = Keyward::dev("profound");
    let wish = json!({"name": "Client", "expires_at": in_seconds(3600), "scopes": ["org"]});
    let key = keyward.make(keyward.project(), wish);
    let refused = Sdk::new("profound", &keyward).key(&key.secret).call();
    assert_eq!(
        (&refused["status"], &refused["error_class"]),
        (&json!(403), &json!("PermissionDeniedError")),
        "{refused}"
    );
    assert_eq!(refused["data"], json!({"detail": "Insufficient permissions"}));
}

#[test]
fn p23_profound_needs_nothing_but_its_environment_variables() {
    let keyward = Keyward::dev("profound");
    let key = key(&keyward, json!({"name": "Client", "expires_at": in_seconds(3600)}));
    let got = Sdk::new("profound", &keyward).environment("PROFOUND_API_KEY", &key.secret).call();
    assert_eq!(got["ok"], true, "{got}");
}

#[test]
fn metriport_lists_facilities_and_raises_api_error() {
    let (data, refused) = accepted_then_refused("metriport", "metriport", json!({}));
    assert_eq!(data["facilities"], json!([]));
    assert_eq!((&refused["status"], &refused["error_class"]), (&json!(403), &json!("ApiError")));
    assert_eq!(refused["data"], json!({"message": "Forbidden"}));
}

#[test]
fn metriport_api_sdk_lists_facilities_and_throws_axios_error() {
    let (data, refused) = accepted_then_refused("@metriport/api-sdk", "metriport", json!({}));
    assert_eq!(data, json!([]));
    assert_eq!((&refused["status"], &refused["error_class"]), (&json!(403), &json!("AxiosError")));
    assert_eq!(refused["data"], json!({"message": "Forbidden"}));
}

#[test]
fn scrapegraph_py_extracts_and_answers_with_an_error() {
    let (data, refused) = accepted_then_refused("scrapegraph-py", "scrapegraphai", json!({}));
    assert_eq!(data["json"]["title"], "Example Domain");
    assert_eq!(refused["message"], "Invalid or missing API key: Invalid API key");
}

#[test]
fn scrapegraph_js_extracts_and_answers_with_an_error() {
    let (data, refused) = accepted_then_refused("scrapegraph-js", "scrapegraphai", json!({}));
    assert_eq!(data["json"]["title"], "Example Domain");
    assert_eq!(refused["message"], "Invalid or missing API key: Invalid API key");
}

#[test]
fn qanapi_encrypts_and_raises_authentication_error() {
    let (data, refused) = accepted_then_refused("qanapi", "qanapi", json!({"acknowledge": true}));
    assert!(data.is_object(), "{data}");
    assert_eq!((&refused["status"], &refused["error_class"]), (&json!(401), &json!("AuthenticationError")));
    assert_eq!(refused["data"], json!({"message": "Invalid API key"}));
}

#[test]
fn q15_qanapi_reads_its_key_from_the_environment_and_its_other_header_does_no_harm() {
    let keyward = Keyward::dev("qanapi");
    let key = key(&keyward, json!({"acknowledge": true}));
    let call = || Sdk::new("qanapi", &keyward).environment("QANAPI_API_KEY", &key.secret);
    let got = call().call();
    assert_eq!(got["ok"], true, "{got}");
    let with_authorization = call().given("bearer_token", "of-the-sdk").call();
    assert_eq!(with_authorization["ok"], true, "{with_authorization}");
}
