//! Putting contracts in force over REST: invalid ones are refused and change nothing, a dry run only shows,
//! a tightened contract holds for the very next request.

use serde_json::{Value, json};

use super::behind;
use crate::harness::{Key, Keyward, Request, in_seconds};

fn hello(secret: &str) -> Request {
    Request::get("/v1/hello").with("Authorization", &format!("Bearer {secret}"))
}

/// What of an API tells whether something has changed.
fn in_force(keyward: &Keyward) -> (String, Value) {
    let head = keyward.get("/v1/changes/head").expect(200).json()["revision"].clone();
    (keyward.terms().source, head)
}

#[test]
fn an_invalid_contract_is_refused_with_field_and_line_and_the_one_in_force_stays() {
    let keyward = Keyward::dev("standard");
    let before = in_force(&keyward);
    let cases = [
        ("schema = 1\nextends = \"standard\"\n[key]\nformat = \"rot13\"\n", "key.format", 4),
        ("schema = 1\nextends = \"standard\"\n[key]\nexpiry = { max = \"1y\" }\n", "key.expiry.max", 4),
        ("schema = 1\nextends = \"nowhere\"\n", "extends", 2),
        (
            "schema = 1\nextends = \"standard\"\n[credential]\nfrom = [{ header = \"Host\" }]\n",
            "credential.from.0",
            4,
        ),
        (
            "schema = 1\nextends = \"standard\"\n\n[[routes]]\npath = \"/x\"\nscopes = [\"nope\"]\n",
            "routes.0.scopes",
            6,
        ),
    ];
    for (source, field, line) in cases {
        let problem = keyward.put_contract("standard", source).expect_problem(422, "invalid").json();
        let error = &problem["errors"][0];
        assert_eq!((&error["field"], &error["line"]), (&json!(field), &json!(line)), "{source}");
        assert!(error["message"].as_str().is_some_and(|reason| !reason.is_empty()));
    }
    for unreadable in ["not toml", "schema = 1\nextends = \"standard\"\nkolour = 1\n", ""] {
        keyward.put_contract("standard", unreadable).expect_problem(422, "invalid");
    }
    assert_eq!(in_force(&keyward), before);
    keyward.use_key(hello(&keyward.first_key().secret)).expect_accepted();
}

#[test]
fn a_dry_run_shows_the_difference_and_changes_nothing() {
    let keyward = Keyward::dev("standard");
    let before = in_force(&keyward);
    let amended = keyward.terms().amended("[key]\nactive_limit = 3\n[key.expiry]\nmax = \"30d\"\n");
    let shown = keyward.put_contract("standard?dry_run=true", &amended).expect(200).json();
    let differences: Vec<_> =
        shown["differences"].as_array().unwrap().iter().map(|d| d["field"].as_str().unwrap()).collect();
    assert_eq!(differences, ["key.active_limit", "key.expiry.max"]);
    let limit = &shown["differences"][0];
    assert_eq!((&limit["before"], &limit["after"]), (&json!("100"), &json!("3")));
    assert!(shown.get("in_force").is_none_or(Value::is_null), "{shown}");
    assert_eq!(in_force(&keyward), before);
    // The same for real, and then there is no difference left.
    let done = keyward.put_contract("standard", &amended).expect(200).json();
    assert_eq!(done["differences"], shown["differences"]);
    assert_eq!(done["in_force"]["nodes"], 1);
    assert_ne!(in_force(&keyward), before);
    let again = keyward.put_contract("standard?dry_run=true", &amended).expect(200).json();
    assert_eq!(again["differences"], json!([]));
}

#[test]
fn a_new_api_is_made_by_its_first_contract() {
    let keyward = Keyward::dev("standard");
    let source = "schema = 1\nextends = \"metriport\"\ntitle = \"Twin\"\n[key]\nactive_limit = 1\n";
    let dry = keyward.put_contract("twin?dry_run=true", source).expect(200).json();
    assert!(!dry["differences"].as_array().unwrap().is_empty());
    keyward.get("/v1/apis/twin").expect_problem(404, "not_found");
    let made = keyward.put_contract("twin", source).expect(201).json();
    assert_eq!((&made["api"]["name"], &made["api"]["title"]), (&json!("twin"), &json!("Twin")));
    let names: Vec<Value> = keyward.get("/v1/apis").expect(200).json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|api| api["name"].clone())
        .collect();
    assert!(names.contains(&json!("twin")) && names.contains(&json!("standard")), "{names:?}");
    let entry = keyward.get("/v1/changes?after=0&limit=200").expect(200).json();
    let last = entry["items"].as_array().unwrap().last().unwrap().clone();
    assert!(last["name"].as_str().unwrap().starts_with("api."), "{last}");
}

#[test]
fn a_contract_extends_a_preset_and_overrides_parts_of_it() {
    let keyward = Keyward::dev("standard");
    let source = "schema = 1\nextends = \"qanapi\"\n[key]\nactive_limit = 1\n[acknowledge]\nrevoke = []\n";
    keyward.put_contract("mine", source).expect(201);
    let terms = keyward.terms_of("mine");
    assert_eq!(terms.source, source);
    assert_eq!(terms.number("key.active_limit"), 1);
    assert_eq!(terms.text("key.prefix"), Some("cd"), "the preset's own");
    assert_eq!(terms.statements("create").len(), 3);
    let path = format!("/v1/organizations/{}/projects", keyward.started.organization);
    let made = keyward.post(&path, json!({"name": "Mine", "api": "mine"})).expect(201).json();
    let project = made["project"]["id"].as_str().unwrap();
    keyward.create(project, json!({})).expect_problem(428, "acknowledgement_required");
    let key = keyward.make(project, json!({"acknowledge": true}));
    keyward.create(project, json!({"acknowledge": true})).expect_problem(409, "active_key_limit");
    keyward.post(&format!("/v1/keys/{}/revoke", key.id), json!({})).expect(200);
}

#[test]
fn a_tightened_contract_holds_for_the_next_request() {
    let (keyward, upstream) = behind("standard");
    let key = keyward.first_key();
    let mut in_use = keyward.use_key(hello(&key.secret));
    // A scope that the key's own do not hold, on a path that was open.
    let narrow = keyward.make(keyward.project(), json!({"name": "Narrow", "scopes": ["other"]}));
    let mut narrow_in_use = keyward.use_key(hello(&narrow.secret));
    keyward.amend("[scopes]\nhello = \"Say hello\"\nother = \"Other\"\n[[routes]]\npath = \"/v1/hello\"\nscopes = [\"hello\"]\n");
    narrow_in_use.expect_refused(&keyward.terms().refusal("insufficient_scope"));
    in_use.expect_accepted();
    // Another header: the old one carries nothing any more.
    let before = upstream.count();
    keyward.amend("[credential]\nfrom = [{ header = \"X-New\" }]\n");
    in_use.expect_refused(&keyward.terms().refusal("missing_key"));
    assert_eq!(upstream.count(), before);
    keyward.use_key(Request::get("/v1/hello").with("X-New", &key.secret)).expect_accepted();
    // A plan without access.
    let mut by_new = keyward.use_key(Request::get("/v1/hello").with("X-New", &key.secret));
    keyward.amend("[plans.standard]\naccess = false\n");
    by_new.expect_refused(&keyward.terms().refusal("plan_forbids"));
}

#[test]
fn tightened_rules_hold_for_the_next_key_and_spare_those_that_are_there() {
    let keyward = Keyward::dev("standard");
    let (project, _) = keyward.new_project("P");
    let make = |wish: Value| keyward.create(&project, wish);
    let keys: Vec<_> = (0..3).map(|_| Key::of(&make(json!({})).expect(201))).collect();
    keyward.amend("[key]\nactive_limit = 2\nname = { required = true, min_chars = 4 }\nexpiry = { required = true, max = \"1d\" }\n");
    let problem = make(json!({})).expect_problem(422, "invalid").json();
    let fields: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["name", "expires_at"]);
    make(json!({"name": "Long enough", "expires_at": in_seconds(60)})).expect_problem(409, "active_key_limit");
    keys.iter().for_each(|key| assert!(keyward.is_valid(&key.secret)));
    assert_eq!(keyward.live(&project), 3);
}

#[test]
fn a_contract_survives_a_restart() {
    let mut keyward = Keyward::dev("standard");
    let key = keyward.first_key();
    keyward.amend("[credential]\nfrom = [{ header = \"X-New\" }]\n");
    let before = in_force(&keyward);
    keyward.kill();
    keyward.restart();
    assert_eq!(in_force(&keyward).0, before.0, "dev put its preset over the operator's contract");
    keyward.use_key(Request::get("/v1/hello").with("X-New", &key.secret)).expect_accepted();
}
