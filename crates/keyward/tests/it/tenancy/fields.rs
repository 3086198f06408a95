//! T05: what the server decides cannot be said by a caller, in any request that writes.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::world::World;
use crate::harness::{Ids, Keyward, Operation};

/// Fields that are the server's, those of other systems, and those that would mean power.
const OWNED: [&str; 42] = [
    "id",
    "project",
    "project_id",
    "projectId",
    "organization",
    "organization_id",
    "api",
    "plan",
    "environment",
    "state",
    "status",
    "created_at",
    "createdAt",
    "updated_at",
    "created_by",
    "owner",
    "digest",
    "hash",
    "key_hash",
    "secret",
    "key",
    "hint",
    "prefix",
    "lineage",
    "ends_at",
    "revoked_at",
    "revoked_reason",
    "replaced_by",
    "used",
    "uses",
    "refusals",
    "last_used_at",
    "revision",
    "is_admin",
    "admin",
    "role",
    "permissions",
    "tenant",
    "active_key_limit_override",
    "active_keys",
    "__proto__",
    "constructor",
];

/// The fields that an operation has, by its own document.
fn own_fields(document: &Value, operation: &Operation) -> HashSet<String> {
    let described = &document["paths"][&operation.path][operation.method.as_str().to_lowercase()];
    let reference = described["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str().unwrap();
    let schema = &document["components"]["schemas"][reference.rsplit('/').next().unwrap()];
    assert_eq!(schema["additionalProperties"], false, "{}", operation.name());
    schema["properties"].as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
}

/// All that is to be read about these things.
fn state(keyward: &Keyward, ids: &Ids) -> Vec<String> {
    let paths = [
        "/v1/organizations".to_owned(),
        format!("/v1/organizations/{}/projects", ids.organization),
        format!("/v1/projects/{}", ids.project),
        format!("/v1/projects/{}/keys", ids.project),
        format!("/v1/keys/{}", ids.key),
        "/v1/management-keys".to_owned(),
        "/v1/changes/head".to_owned(),
    ];
    let mut state: Vec<_> = paths.iter().map(|path| keyward.get(path).expect(200).json()).collect();
    // The head is signed anew whenever it is read.
    state.last_mut().and_then(Value::as_object_mut).unwrap().remove("signed_head");
    state.iter().map(Value::to_string).collect()
}

#[test]
fn t05_fields_the_server_owns_are_refused() {
    let world = World::with(1, 1);
    let (keyward, ids) = (&world.keyward, &world.tenants[0].ids);
    let document = keyward.get("/openapi.json").expect(200).json();
    let before = state(keyward, ids);
    let mut writes = 0;
    for operation in keyward.operations().iter().filter(|operation| operation.takes_json) {
        let allowed = own_fields(&document, operation);
        let owned: Vec<_> = OWNED.iter().filter(|field| !allowed.contains(**field)).collect();
        let refused = |added: &[&&str]| {
            let mut body = operation.body(ids).unwrap();
            body.as_object_mut().unwrap().extend(added.iter().map(|field| (field.to_string(), json!(true))));
            let path = operation.at(ids);
            let reply = operation.ask_with(keyward, &keyward.started.management_key, &path, Some(body));
            let told = reply.expect_problem(422, "invalid").json();
            let told: HashSet<_> = told["errors"]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| e["field"].as_str().unwrap().to_owned())
                .collect();
            let named: HashSet<_> = added.iter().map(|field| field.to_string()).collect();
            assert_eq!(told, named, "{}", operation.name());
        };
        owned.iter().for_each(|field| refused(&[*field]));
        refused(&owned);
        assert_eq!(state(keyward, ids), before, "{}", operation.name());
        writes += 1;
    }
    assert!(writes >= 19, "{writes} operations write");
}

#[test]
fn t05_nor_can_they_be_said_inside_or_beside_the_body() {
    let world = World::with(1, 1);
    let (keyward, ids) = (&world.keyward, &world.tenants[0].ids);
    let before = state(keyward, ids);
    let mut writes = 0;
    for operation in keyward.operations().iter().filter(|operation| !operation.is_read()) {
        for field in ["project", "id", "is_admin", "state", "created_at"] {
            let path = format!("{}?{field}=1", operation.at(ids));
            let body = operation.body(ids);
            let reply = operation.ask_with(keyward, &keyward.started.management_key, &path, body);
            let told = reply.expect_problem(422, "invalid").json();
            assert_eq!(told["errors"][0]["field"], field, "{} {told}", operation.name());
        }
        writes += 1;
    }
    let inside = [
        ("POST", "/v1/management-keys".to_owned(), "within", json!({"project": ids.project, "everything": true})),
        (
            "POST",
            format!("/v1/projects/{}/keys", ids.project),
            "import",
            json!({"sha256": "0".repeat(64), "id": "x"}),
        ),
    ];
    for (method, path, field, value) in inside {
        let mut body = Map::new();
        body.insert(field.to_owned(), value);
        if field == "within" {
            body.extend([("name".to_owned(), json!("x")), ("scopes".to_owned(), json!(["keys:read"]))]);
        }
        let reply = keyward.control(method.parse().unwrap(), &path, Some(body.into()));
        let told = reply.expect_problem(422, "invalid").json();
        assert!(told["errors"][0]["field"].as_str().unwrap().starts_with(field), "{told}");
    }
    assert_eq!(state(keyward, ids), before);
    assert!(writes >= 22, "{writes} operations write");
    // A question about a key is as strict.
    let secret = &world.tenants[0].key.secret;
    for field in ["organization", "valid", "is_admin", "plan", "key_id"] {
        let reply = keyward.verify(json!({"key": secret, field: true}));
        assert_eq!(reply.expect_problem(422, "invalid").json()["errors"][0]["field"], field);
    }
}
