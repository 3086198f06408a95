//! The REST interface against its own OpenAPI document, by schemathesis with a fixed seed (I07).

use std::path::Path;
use std::process::Command;

use crate::harness::Keyward;

#[test]
fn i07_the_interface_is_what_its_document_says() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/clients/schemathesis/bin/schemathesis");
    assert!(program.exists(), "{} is not installed: run `cargo xtask test`", program.display());
    let keyward = Keyward::dev("standard");
    let checks = [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "unsupported_method",
        "ignored_auth",
        "use_after_free",
    ];
    let output = Command::new(program)
        .arg("run")
        .arg(format!("{}/openapi.json", keyward.started.control_url))
        .args(["--header", &format!("Authorization: Bearer {}", keyward.started.management_key)])
        .args(["--checks", &checks.join(",")])
        .args(["--seed", "1", "--max-examples", "10", "--max-time", "40", "--warnings", "off", "--no-color"])
        .current_dir(keyward.folder())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("40 passed") || text.contains("No issues found"), "{text}");
}
