//! The OpenAPI document: a snapshot, and the truth about permissions.

use keyward_core::permission::Permission;
use serde_json::{Value, json};

use crate::support::{World, request};

/// Every operation of the document: method, path with the ids filled in, scope.
fn operations(document: &Value, world: &World) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let path = path
                .replace("{organization}", &world.organization)
                .replace("{project}", &world.project)
                .replace("{key}", &world.key.0)
                .replace("{api}", "standard")
                .replace("{management_key}", "mgmt_0000000000000000000001")
                .replace("{version}", "1")
                .replace("{revocation}", "x");
            let scope = operation["x-scope"].as_str().unwrap_or_else(|| panic!("{method} {path} has no x-scope"));
            found.push((method.to_uppercase(), path, scope.to_owned()));
        }
    }
    found
}

#[tokio::test]
async fn i07_the_document_is_the_one_in_docs() {
    let world = World::with("standard").await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let served = world.send(request("", "GET", "/openapi.json", &[], Value::Null)).await.expect(200);
    assert_eq!(served.headers["content-type"], "application/json");
    if std::env::var_os("KEYWARD_WRITE_OPENAPI").is_some() {
        std::fs::write(path, &served.body).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let how = "run `KEYWARD_WRITE_OPENAPI=1 cargo test -p keyward-control openapi` and look at the difference";
    assert!(kept == served.body, "docs/openapi.json is not what the code says: {how}");
}

/// The page on problems names every code, and no other.
#[tokio::test]
async fn every_code_stands_in_docs() {
    let world = World::with("standard").await;
    let document = world.get("/openapi.json").await.json;
    let codes = &document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"];
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api.md")).unwrap();
    let table = page.split("## Problems").nth(1).unwrap();
    let told: std::collections::BTreeSet<_> = table.split('`').skip(1).step_by(2).collect();
    for code in codes.as_array().unwrap().iter().filter_map(Value::as_str) {
        assert!(told.contains(code), "docs/api.md does not name {code}");
    }
}

#[tokio::test]
async fn t04_every_operation_takes_its_scope_and_no_other() {
    let world = World::with("standard").await;
    let document = world.get("/openapi.json").await.json;
    let operations = operations(&document, &world);
    assert!(operations.len() >= 40, "{} operations", operations.len());
    for (method, path, scope) in operations {
        let body =
            || if method == "GET" || method == "DELETE" { Value::Null } else { json!({ "no_such_field": 1 }) };
        for secret in ["", "kwm_0000", &world.key.1] {
            let answer = world.ask(secret, &method, &path, body()).await;
            assert_eq!(answer.problem(), (401, "unauthenticated"), "{method} {path}");
        }
        if scope == "any" {
            continue;
        }
        assert!(Permission::ALL.iter().any(|permission| permission.scope() == scope), "{scope}");
        let others: Vec<&str> = Permission::ALL.iter().map(|p| p.scope()).filter(|other| *other != scope).collect();
        let without = world.management_key(&others, Value::Null).await;
        let refused = world.ask(&without, &method, &path, Value::Null).await;
        assert_eq!(refused.problem(), (403, "forbidden"), "{method} {path}");
        assert!(refused.text("/detail").contains(&scope));
        // A field that no request has: let in, but never done.
        let with = world.management_key(&[&scope], Value::Null).await;
        // After a deletion the rest of the walk answers 404, which is as good as any but these two.
        let answer = world.ask(&with, &method, &path, body()).await;
        assert!(!matches!(answer.status.as_u16(), 401 | 403), "{method} {path}: {}", answer.body);
    }
}

#[tokio::test]
async fn answers_fit_the_schemas_they_are_documented_with() {
    let world = World::with("standard").await;
    let document = world.get("/openapi.json").await.json;
    let key = world.get(&format!("/v1/keys/{}", world.key.0)).await.json["key"].clone();
    let documented = document["components"]["schemas"]["Key"]["properties"].as_object().unwrap();
    let mut told: Vec<_> = key.as_object().unwrap().keys().collect();
    let mut known: Vec<_> = documented.keys().collect();
    told.sort();
    known.sort();
    assert_eq!(told, known);
    let codes = &document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"];
    assert!(codes.as_array().unwrap().contains(&json!("active_key_limit")));
    assert_eq!(document["components"]["schemas"]["Key"]["properties"]["state"]["enum"][4], "revoked");
    assert_eq!(document["paths"]["/v1/keys/{key}/rotate"]["post"]["requestBody"]["required"], false);
    assert_eq!(document["paths"]["/v1/organizations"]["post"]["requestBody"]["required"], true);
    for body in ["CreateKey", "EditKey", "CreateManagementKey", "Nothing"] {
        assert_eq!(document["components"]["schemas"][body]["additionalProperties"], false, "{body}");
    }
}
