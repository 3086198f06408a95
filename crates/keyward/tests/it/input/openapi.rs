//! The REST API against its own OpenAPI document: schemathesis makes up requests from the document, sensible ones
//! and senseless ones, and looks whether the answers are what the document says. `cargo xtask test` installs it.

use std::process::Command;

use crate::harness::Keyward;

/// What is looked at in every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
    response_schema_conformance,unsupported_method,missing_required_header,use_after_free,ensure_resource_availability,\
    ignored_auth,negative_data_rejection";

/// What ends something, so that nothing is left for what comes after it.
const ENDING: &str = "suspend|revoke|revocations$|rotate|regenerate|disable";

/// Runs schemathesis over a server's document, with identifiers that exist and these further arguments.
#[track_caller]
fn run(keyward: &Keyward, parameters: &[(&str, &str)], arguments: &[&str]) {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/clients/schemathesis/bin/st");
    assert!(std::path::Path::new(program).is_file(), "schemathesis is not installed: run cargo xtask test");
    let lines: String = parameters.iter().map(|(name, value)| format!("\"path.{name}\" = \"{value}\"\n")).collect();
    std::fs::write(keyward.folder().join("schemathesis.toml"), format!("[parameters]\n{lines}")).unwrap();
    let output = Command::new(program)
        .args(["run", &format!("{}/openapi.json", keyward.started.control_url)])
        .args(["--header", &format!("Authorization: Bearer {}", keyward.started.management_key)])
        .args(["--checks", CHECKS, "--seed", "20", "--workers", "2", "--continue-on-failure", "--warnings", "off"])
        .args(["--max-examples", "12", "--generation-database", "none", "--no-color"])
        .args(arguments)
        .current_dir(keyward.folder())
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{error}");
    assert!(!keyward.stderr().contains("panic"), "{}", keyward.stderr());
    // The key that it asked with must have opened to the end, or nothing was looked at.
    keyward.get("/v1/whoami").expect(200);
}

/// The things that `dev` made.
fn made(keyward: &Keyward) -> [(&str, &str); 4] {
    let started = &keyward.started;
    [
        ("api", started.api.as_str()),
        ("organization", started.organization.as_str()),
        ("project", started.project.as_str()),
        ("key", started.key_id.as_str()),
    ]
}

/// One that lets a caller try without a management key as often as it likes: which it does for every operation.
fn patient() -> Keyward {
    let env = [("KEYWARD_CONTROL_FAILED_AUTHENTICATIONS_PER_MINUTE", "1000000")];
    Keyward::dev_with_env("standard", &[], &env)
}

#[test]
fn i07_what_exists_answers_as_the_document_says() {
    let keyward = patient();
    run(&keyward, &made(&keyward), &["--exclude-method", "DELETE", "--exclude-path-regex", ENDING]);
}

#[test]
fn i07_what_ends_answers_as_the_document_says() {
    let keyward = patient();
    let own_key = "management-keys/.*/(rotate|revoke)";
    run(&keyward, &made(&keyward), &["--include-path-regex", ENDING, "--exclude-path-regex", own_key]);
    let keyward = patient();
    run(&keyward, &made(&keyward), &["--include-method", "DELETE"]);
}

#[test]
fn i07_management_keys_answer_as_the_document_says() {
    let keyward = patient();
    let body = serde_json::json!({"name": "to be ended", "scopes": ["keys:read"]});
    let made = keyward.post("/v1/management-keys", body).expect(201).json();
    let id = made["management_key"]["id"].as_str().unwrap();
    run(
        &keyward,
        &[("management_key", id)],
        &["--include-path-regex", "management-keys/", "--phases", "examples,coverage,fuzzing"],
    );
}

#[test]
fn i07_what_it_makes_by_itself_answers_as_the_document_says() {
    let keyward = patient();
    // It would find its own key in the list, and end it.
    let own_key = "management-keys/.*/(rotate|revoke)|/v1/apis/";
    run(&keyward, &[], &["--exclude-path-regex", own_key, "--phases", "stateful"]);
}
