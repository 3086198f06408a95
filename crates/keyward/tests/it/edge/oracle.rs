//! What a refused caller of the gateway learns: nothing but that it is refused.

use super::head;
use crate::harness::raw::{Answer, exchange};
use crate::harness::{Key, Keyward, Place, Terms, eventually, in_seconds};
use reqwest::Method;
use serde_json::{Value, json};

const PRESETS: [&str; 6] = ["standard", "getprofile", "profound", "metriport", "scrapegraphai", "qanapi"];

/// What a contract requires of a new key.
fn wish(terms: &Terms, name: &str) -> Value {
    let mut wish = json!({});
    if terms.is("key.name.offered") {
        wish["name"] = json!(name);
    }
    if terms.is("key.expiry.required") {
        wish["expires_at"] = json!(in_seconds(86_400));
    }
    if !terms.statements("create").is_empty() {
        wish["acknowledge"] = json!(true);
    }
    wish
}

/// A project of its own with a key, so that limits of active keys are no matter.
fn new_key(keyward: &Keyward, terms: &Terms, name: &str) -> (String, Key) {
    let (project, key) = keyward.new_project(name);
    let key = key.unwrap_or_else(|| keyward.make(&project, wish(terms, name)));
    (project, key)
}

/// Credentials that open nothing, each for another reason.
fn refused(keyward: &Keyward, other: &Keyward, terms: &Terms) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add = |why: &str, credential: String| all.push((why.to_owned(), credential));
    let (_, revoked) = new_key(keyward, terms, "revoked");
    keyward.revoke(&revoked.id).expect(200);
    add("revoked", revoked.secret);
    if terms.is("rotation.in_place") {
        let (_, rotated) = new_key(keyward, terms, "rotated away");
        keyward.rotate(&rotated.id, json!({"overlap_seconds": 0})).expect(201);
        add("rotated away", rotated.secret);
    }
    if terms.is("key.disable") {
        let (_, disabled) = new_key(keyward, terms, "disabled");
        keyward.post(&format!("/v1/keys/{}/disable", disabled.id), json!({})).expect(200);
        add("disabled", disabled.secret);
    }
    if terms.is("key.expiry.offered") {
        let (project, _) = new_key(keyward, terms, "expiring");
        let mut body = wish(terms, "expired");
        body["expires_at"] = json!(in_seconds(1));
        let expired = keyward.make(&project, body);
        eventually("the key expires", || (keyward.key(&expired.id)["state"] == "expired").then_some(()));
        add("expired", expired.secret);
    }
    let (suspended, key) = new_key(keyward, terms, "suspended");
    keyward.post(&format!("/v1/projects/{suspended}/suspend"), json!({})).expect(200);
    add("of a suspended project", key.secret);
    let (deleted, key) = new_key(keyward, terms, "deleted");
    keyward.delete(&format!("/v1/projects/{deleted}")).expect(200);
    add("of a deleted project", key.secret);
    add("unknown", other.first_key().secret);

    let own = keyward.first_key().secret;
    let middle = own.len() / 2;
    let flip = |c: char| if c == 'a' { "b" } else { "a" };
    let altered =
        format!("{}{}{}", &own[..middle], flip(own[middle..].chars().next().unwrap()), &own[middle + 1..]);
    add("altered", altered);
    add("cut short", own[..own.len() - 1].to_owned());
    add("too long", format!("{own}a"));
    add("garbage", "garbage".to_owned());
    add("very long", "x".repeat(4000));
    add("with a blank", format!("{own} {own}"));
    add("not ASCII", "schlüssel".to_owned());
    add("a management key", keyward.started.management_key.clone());
    add("a key's id", keyward.started.key_id.clone());
    add("a SQL injection", "' OR '1'='1".to_owned());
    all
}

/// An answer without what is never the same twice.
fn constant(answer: &Answer) -> String {
    let is_constant = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        name != "date" && name != "x-request-id"
    };
    let head: Vec<&str> = answer.head.lines().filter(is_constant).collect();
    format!("{}\n{}", head.join("\n"), answer.text())
}

/// A request of the preset with this credential in its first place.
fn ask(keyward: &Keyward, terms: &Terms, credential: &str) -> Answer {
    let line = match &terms.places()[0] {
        Place::Header { name, scheme: Some(scheme) } => format!("{name}: {scheme} {credential}"),
        Place::Header { name, scheme: None } => format!("{name}: {credential}"),
        Place::Query { .. } => panic!("every preset has a header"),
    };
    exchange(&keyward.gateway_address(), head("GET", "/anything", &[&line])).expect("an answer")
}

#[test]
fn h20_every_preset_answers_every_bad_key_alike_byte_for_byte() {
    for preset in PRESETS {
        let (keyward, other) = (Keyward::dev(preset), Keyward::dev(preset));
        let terms = keyward.terms();
        let expected = ask(&keyward, &terms, "garbage-of-another-kind");
        let (status, expected) = (expected.status, constant(&expected));
        assert_eq!(status, terms.refusal("unknown_key").status, "{preset}");
        assert!(!expected.to_lowercase().contains("revoked") && !expected.contains("expired"), "{expected}");
        for (why, credential) in refused(&keyward, &other, &terms) {
            // Twice: the second time the node may know the key already.
            for _ in 0..2 {
                assert_eq!(constant(&ask(&keyward, &terms, &credential)), expected, "{preset}: {why}");
            }
        }
        assert_eq!(ask(&keyward, &terms, &keyward.first_key().secret).status, 200, "{preset}");
    }
}

#[test]
fn h20_another_projects_path_and_one_that_does_not_exist_are_answered_alike() {
    let keyward = Keyward::dev("qanapi");
    let terms = keyward.terms();
    let (other, _) = keyward.new_project("Other");
    let (organization, foreign, _) = keyward.new_organization("Foreign");
    let (suspended, _) = keyward.new_project("Suspended");
    keyward.post(&format!("/v1/projects/{suspended}/suspend"), json!({})).expect(200);
    let line = format!("X-Qanapi-Authorization: {}", keyward.first_key().secret);
    let ask = |project: &str| {
        exchange(&keyward.gateway_address(), head("POST", &format!("/proxy/{project}"), &[&line]))
            .expect("an answer")
    };
    let expected = ask(&other);
    assert_eq!(expected.status, terms.refusal("wrong_project").status);
    let missing = keyward.project().chars().rev().take(4).collect::<String>();
    let missing = format!("{}{missing}", &keyward.project()[..keyward.project().len() - 4]);
    for project in [&foreign, &suspended, &organization, &missing, "nonsense", "1", "proj_", "..."] {
        assert_eq!(constant(&ask(project)), constant(&expected), "{project}");
    }
    // The key's own lets it in: what is missing then are the fields.
    assert_eq!(ask(keyward.project()).status, terms.refusal("field_missing").status);
}

#[test]
fn h20_a_key_of_another_api_is_as_unknown_as_any() {
    let keyward = Keyward::dev("standard");
    let terms = keyward.terms();
    let contract = "schema = 1\nextends = \"standard\"\napi = \"second\"\n[gateway]\npath_prefix = \"/second\"";
    keyward.put_contract("second", contract).expect(201);
    let path = format!("/v1/organizations/{}/projects", keyward.started.organization);
    let made = keyward.post(&path, json!({"name": "Second", "api": "second"})).expect(201).json();
    let key = keyward.make(made["project"]["id"].as_str().unwrap(), json!({"name": "second"}));
    let expected = constant(&ask(&keyward, &terms, "garbage"));
    assert_eq!(constant(&ask(&keyward, &terms, &key.secret)), expected);
}

#[test]
fn h20_reasons_are_told_to_authenticated_services_only() {
    let keyward = Keyward::dev("standard");
    let key = keyward.make(keyward.project(), json!({"name": "soon revoked"}));
    keyward.revoke(&key.id).expect(200);
    assert_eq!(keyward.verify(json!({"key": key.secret})).expect(200).json()["code"], "revoked");
    let url = format!("{}/v1/verify", keyward.started.check_url);
    let narrow =
        keyward.post("/v1/management-keys", json!({"name": "reader", "scopes": ["keys:read"]})).expect(201).json();
    let asked = |bearer: Option<&str>| {
        let request = keyward.http.request(Method::POST, &url).json(&json!({"key": key.secret}));
        let request = bearer.into_iter().fold(request, |request, bearer| request.bearer_auth(bearer));
        crate::harness::Reply::from(request.send().unwrap())
    };
    asked(None).expect_problem(401, "unauthenticated");
    asked(Some("garbage")).expect_problem(401, "unauthenticated");
    asked(Some(&keyward.first_key().secret)).expect_problem(401, "unauthenticated");
    asked(narrow["secret"].as_str()).expect_problem(403, "forbidden");
}
