//! A key's life by the command line: the same rules and the same answers as by REST.

use serde_json::{Value, json};

use super::behind;
use crate::harness::{Key, Keyward, Request, in_seconds};

/// Runs a command that has to succeed; what it printed as JSON.
#[track_caller]
fn run(keyward: &Keyward, arguments: &[&str]) -> Value {
    let (code, out, err) = keyward.cli(&[arguments, &["--json", "--yes"]].concat());
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("{arguments:?} printed no JSON: {out}"))
}

/// Runs a command that has to be refused with this code; what it says.
#[track_caller]
fn refused(keyward: &Keyward, arguments: &[&str], code: &str) -> String {
    let (exit, out, err) = keyward.cli(&[arguments, &["--yes"]].concat());
    assert_eq!((exit, out.as_str()), (1, ""), "{arguments:?}: {err}");
    assert!(err.contains(code), "{arguments:?}: {err}");
    err
}

#[track_caller]
fn made(answer: &Value) -> Key {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    Key { id: text(&answer["key"]["id"]), secret: text(&answer["secret"]) }
}

fn hello(key: &Key) -> Request {
    Request::get("/v1/hello").with("Authorization", &format!("Bearer {}", key.secret))
}

#[test]
fn a_keys_whole_life_by_the_command_line() {
    let (keyward, _upstream) = behind("standard");
    let revoked = keyward.terms().refusal("revoked");
    let project = keyward.project();
    let key = made(&run(&keyward, &["key", "create", project, "--name", "Web", "--scope", "a", "--scope", "b"]));
    let mut in_use = keyward.use_key(hello(&key));
    assert_eq!(run(&keyward, &["key", "rename", &key.id, "Shop"])["key"]["name"], "Shop");
    assert_eq!(run(&keyward, &["key", "rescope", &key.id, "a"])["key"]["scopes"], json!(["a"]));
    let end = in_seconds(3600);
    assert_eq!(run(&keyward, &["key", "expire", &key.id, "--expires-at", &end])["key"]["expires_at"], end);
    assert_eq!(run(&keyward, &["key", "disable", &key.id])["key"]["state"], "disabled");
    in_use.expect_refused(&keyward.terms().refusal("disabled"));
    assert_eq!(run(&keyward, &["key", "enable", &key.id])["key"]["state"], "active");
    in_use.expect_accepted();
    let overlapping = made(&run(&keyward, &["key", "rotate", &key.id, "--overlap", "1h"]));
    in_use.expect_accepted();
    let listed = run(&keyward, &["key", "list", project])["items"].clone();
    let states: Vec<_> = listed.as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["active", "retiring", "active"]);
    let rotated = made(&run(&keyward, &["key", "rotate", &overlapping.id]));
    let shown = run(&keyward, &["key", "show", &rotated.id])["key"].clone();
    assert_eq!((&shown["name"], &shown["scopes"]), (&json!("Shop"), &json!(["a"])));
    assert_eq!((&shown["expires_at"], &shown["lineage"]), (&json!(end), &json!(key.id)));
    let mut rotated_in_use = keyward.use_key(hello(&rotated));
    run(&keyward, &["key", "revoke", &key.id, &rotated.id, "--reason", "over"]);
    in_use.expect_refused(&revoked);
    rotated_in_use.expect_refused(&revoked);
    assert_eq!(keyward.key(&rotated.id)["revoked_reason"], "over");
}

#[test]
fn every_rule_of_a_contract_holds_by_the_command_line_too() {
    let keyward = Keyward::dev("profound");
    let create = ["key", "create", keyward.project()];
    let unnamed = refused(&keyward, &create, "invalid");
    assert!(unnamed.contains("name") && unnamed.contains("expires_at"), "{unnamed}");
    refused(&keyward, &[&create[..], &["--name", "ab", "--expires-in", "1d"]].concat(), "name");
    let past = [&create[..], &["--name", "abc", "--expires-at", "2020-01-01T00:00:00Z"]].concat();
    refused(&keyward, &past, "expires_at");
    run(&keyward, &[&create[..], &["--name", "abc", "--expires-in", "1d"]].concat());

    let keyward = Keyward::dev("metriport");
    run(&keyward, &["key", "create", keyward.project()]);
    refused(&keyward, &["key", "create", keyward.project()], "active_key_limit");
    run(&keyward, &["project", "limit", keyward.project(), "3"]);
    run(&keyward, &["key", "create", keyward.project()]);
    refused(&keyward, &["key", "disable", &keyward.started.key_id], "action_not_offered");

    let keyward = Keyward::dev("qanapi");
    let statements = refused(&keyward, &["key", "create", keyward.project()], "acknowledgement_required");
    assert!(statements.contains("only once") && statements.contains("--acknowledge"), "{statements}");
    let key = made(&run(&keyward, &["key", "create", keyward.project(), "--acknowledge"]));
    refused(&keyward, &["key", "revoke", &key.id], "acknowledgement_required");
    assert!(keyward.is_valid(&key.secret));
    run(&keyward, &["key", "revoke", &key.id, "--acknowledge"]);
    assert!(!keyward.is_valid(&key.secret));
}

#[test]
fn a_lost_key_is_regenerated_by_the_command_line() {
    let keyward = Keyward::dev("scrapegraphai");
    let project = keyward.project();
    let old = keyward.first_key();
    let new = made(&run(&keyward, &["key", "regenerate", project]));
    assert_eq!((keyward.is_valid(&old.secret), keyward.is_valid(&new.secret)), (false, true));
    run(&keyward, &["key", "revoke", &new.id]);
    let again = made(&run(&keyward, &["key", "regenerate", project]));
    assert!(keyward.is_valid(&again.secret));
}

#[test]
fn a_key_is_verified_from_standard_input_and_never_from_an_argument() {
    let keyward = Keyward::dev("standard");
    let key = keyward.first_key();
    let arguments = ["key", "verify", "--dir", "keyward", "--key", "-", "--json"];
    let verify = |input: &str| keyward.cli_with_input(&arguments, input);
    let (code, out, err) = verify(&key.secret);
    assert_eq!(code, 0, "{err}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["key_id"], key.id);
    keyward.revoke(&key.id).expect(200);
    let (code, out, _) = verify(&format!("{}\n", key.secret));
    assert_eq!((code, &serde_json::from_str::<Value>(&out).unwrap()["code"]), (1, &json!("revoked")));
    let (code, out, err) = keyward.cli(&["key", "verify", "--key", &key.secret]);
    assert_eq!(code, 2, "{err}");
    assert!(!format!("{out}{err}").contains(&key.secret), "the key was repeated: {err}");
}
