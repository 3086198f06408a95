//! The table of settled questions at the head of conformance.md: what holds where a page is silent, for every
//! vendor that it is about.

use serde_json::{Value, json};

use super::{behind, expect_fields, refused};
use crate::harness::{Key, Keyward, Refused, Request, eventually, in_seconds};

/// A vendor's place for the credential, and its answers.
struct Vendor {
    preset: &'static str,
    header: &'static str,
    /// What stands before the credential.
    scheme: &'static str,
    missing: Refused,
    invalid: Refused,
}

fn vendors() -> [Vendor; 5] {
    let both = |text: &str, code: &str| json!({"detail": text, "error": {"type": code, "message": text}});
    let vendor = |preset, header, scheme, missing, invalid| Vendor { preset, header, scheme, missing, invalid };
    [
        vendor(
            "getprofile",
            "Authorization",
            "Bearer ",
            refused(401, json!({"error": "Missing API key"})),
            refused(401, json!({"error": "Invalid API key"})),
        ),
        vendor(
            "profound",
            "X-API-Key",
            "",
            refused(401, json!({"detail": "Invalid API key"})),
            refused(401, json!({"detail": "Invalid API key"})),
        ),
        vendor(
            "metriport",
            "x-api-key",
            "",
            refused(403, json!({"message": "Forbidden"})),
            refused(403, json!({"message": "Forbidden"})),
        ),
        vendor(
            "scrapegraphai",
            "SGAI-APIKEY",
            "",
            refused(401, both("Missing API key", "missing_key")),
            refused(401, both("Invalid API key", "invalid_key")),
        ),
        vendor(
            "qanapi",
            "X-Qanapi-Authorization",
            "",
            refused(401, json!({"message": "Missing API key"})),
            refused(401, json!({"message": "Invalid API key"})),
        ),
    ]
}

impl Vendor {
    fn get(&self, credential: &str) -> Request {
        Request::get("/v1/org/regions").with(self.header, &format!("{}{credential}", self.scheme))
    }
}

/// What a key is asked for with where nothing is forbidden.
fn wish(preset: &str) -> Value {
    match preset {
        "profound" => json!({"name": "Wish", "expires_at": in_seconds(3600)}),
        "qanapi" => json!({"acknowledge": true}),
        _ => json!({}),
    }
}

fn another_key(keyward: &Keyward, preset: &str) -> Key {
    let (project, first) = keyward.new_project("Another");
    first.unwrap_or_else(|| keyward.make(&project, wish(preset)))
}

#[test]
fn settled_every_vendor_refuses_with_its_own_status_and_body() {
    for vendor in vendors() {
        let (keyward, upstream) = behind(vendor.preset);
        let key = keyward.first_key();
        keyward.send(&Request::get("/v1/org/regions")).expect_refused(&vendor.missing);
        let changed =
            format!("{}{}", &key.secret[..key.secret.len() - 1], if key.secret.ends_with('0') { '1' } else { '0' });
        for wrong in ["garbage", &changed, &key.id, &keyward.started.management_key] {
            keyward.send(&vendor.get(wrong)).expect_refused(&vendor.invalid);
        }
        let mut in_use = keyward.use_key(vendor.get(&key.secret));
        keyward.post(&format!("/v1/projects/{}/suspend", keyward.project()), json!({})).expect(200);
        in_use.expect_refused(&vendor.invalid);
        keyward.post(&format!("/v1/projects/{}/resume", keyward.project()), json!({})).expect(200);
        in_use.expect_accepted();
        keyward.revoke(&key.id).expect(200);
        in_use.expect_refused(&vendor.invalid);
        assert_eq!(upstream.count(), 4);
    }
}

#[test]
fn settled_a_second_credential_header_is_refused_like_an_invalid_key() {
    for vendor in vendors() {
        let (keyward, upstream) = behind(vendor.preset);
        let (first, second) = (keyward.first_key(), another_key(&keyward, vendor.preset));
        for other in [second.secret.as_str(), "garbage", ""] {
            let value = format!("{}{other}", vendor.scheme);
            let twice = vendor.get(&first.secret).with(vendor.header, &value);
            keyward.send(&twice).expect_refused(&vendor.invalid);
            let mut reversed = twice.clone();
            reversed.headers.reverse();
            keyward.send(&reversed).expect_refused(&vendor.invalid);
            let cased = vendor.get(&first.secret).with(&vendor.header.to_lowercase(), &value);
            keyward.send(&cased).expect_refused(&vendor.invalid);
        }
        assert_eq!(upstream.count(), 0, "{}", vendor.preset);
    }
}

#[test]
fn settled_a_header_that_the_contract_does_not_name_is_left_for_the_upstream() {
    for vendor in vendors().iter().filter(|vendor| vendor.header != "Authorization") {
        let (keyward, upstream) = behind(vendor.preset);
        let request = vendor.get(&keyward.first_key().secret).with("Authorization", "Bearer of-the-sdk");
        keyward.send(&request).expect(200);
        assert_eq!(upstream.last().header("authorization"), Some("Bearer of-the-sdk"));
        assert_eq!(upstream.last().header(vendor.header), None);
    }
}

#[test]
fn settled_invalid_input_is_answered_with_422_and_every_field_by_name() {
    let keyward = Keyward::dev("standard");
    let wrong = json!({"name": "", "expires_at": in_seconds(-5), "addresses": ["nowhere"], "scopes": ["a b"]});
    expect_fields(keyward.create(keyward.project(), wrong), &["addresses", "expires_at", "name", "scopes"]);
    let unknown = keyward.create(keyward.project(), json!({"name": "Key", "is_admin": true}));
    expect_fields(unknown, &["is_admin"]);
    let named = |path: String, body: Value, field: &str| expect_fields(keyward.post(&path, body), &[field]);
    let key = keyward.first_key().id;
    named(format!("/v1/keys/{key}/rotate"), json!({"grace": 1}), "grace");
    named(format!("/v1/keys/{key}/revoke"), json!({"why": "x"}), "why");
    expect_fields(keyward.patch(&format!("/v1/keys/{key}"), json!({"state": "active"})), &["state"]);
}

#[test]
fn settled_revoking_a_revoked_key_is_answered_with_200_and_holds_again() {
    let keyward = Keyward::dev("standard");
    let key = keyward.first_key();
    let first = keyward.revoke(&key.id).expect(200).json();
    let head = keyward.get("/v1/changes/head").expect(200).json()["revision"].clone();
    let again = keyward.revoke(&key.id).expect(200).json();
    assert_eq!(again["key"]["revoked_at"], first["key"]["revoked_at"]);
    assert_eq!(again["in_force"]["by"], "acknowledged");
    assert_eq!(
        keyward.get("/v1/changes/head").expect(200).json()["revision"],
        head,
        "nothing changed a second time"
    );
}

#[test]
fn settled_only_an_active_key_is_rotated() {
    let keyward = Keyward::dev("standard");
    let revoked = keyward.first_key();
    keyward.revoke(&revoked.id).expect(200);
    keyward.rotate(&revoked.id, json!({})).expect_problem(409, "key_not_active");
    let expired = keyward.make(keyward.project(), json!({"expires_at": in_seconds(3)}));
    eventually("it expires", || (keyward.key(&expired.id)["state"] == "expired").then_some(()));
    keyward.rotate(&expired.id, json!({})).expect_problem(409, "key_not_active");
    assert!(!keyward.is_valid(&expired.secret));
    assert_eq!(keyward.live(keyward.project()), 0);
    // But one can be made.
    let regenerated = keyward.post(&format!("/v1/projects/{}/keys/regenerate", keyward.project()), json!({}));
    assert!(keyward.is_valid(&Key::of(&regenerated.expect(201)).secret));
}

#[test]
fn settled_actions_that_a_vendor_does_not_have_are_switched_off() {
    for preset in ["getprofile", "metriport", "scrapegraphai", "qanapi"] {
        let keyward = Keyward::dev(preset);
        let key = another_key(&keyward, preset);
        for action in ["disable", "enable"] {
            let refused = keyward.post(&format!("/v1/keys/{}/{action}", key.id), json!({}));
            refused.expect_problem(409, "action_not_offered");
        }
        let edit = |body: Value| keyward.patch(&format!("/v1/keys/{}", key.id), body);
        expect_fields(edit(json!({"scopes": ["reports"]})), &["scopes"]);
        expect_fields(edit(json!({"expires_at": in_seconds(60)})), &["expires_at"]);
        expect_fields(edit(json!({"addresses": ["192.0.2.0/24"]})), &["addresses"]);
        let (project, _) = keyward.new_project("Fresh");
        let mut asked = wish(preset);
        asked["expires_at"] = json!(in_seconds(60));
        expect_fields(keyward.create(&project, asked), &["expires_at"]);
        assert!(keyward.is_valid(&key.secret));
    }
}

#[test]
fn settled_a_first_key_comes_with_the_project_where_the_contract_says_so() {
    for vendor in vendors() {
        let keyward = Keyward::dev(vendor.preset);
        let (project, first) = keyward.new_project("Fresh");
        assert_eq!(first.is_some(), vendor.preset == "scrapegraphai", "{}", vendor.preset);
        assert_eq!(keyward.live(&project), usize::from(first.is_some()));
    }
}
