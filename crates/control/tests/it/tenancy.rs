//! Walls: what lies outside a caller's boundary answers exactly like what does not exist.

use serde_json::{Value, json};

use crate::support::World;

/// Every operation about one thing, with what stands for its id.
fn operations(
    organization: &str,
    project: &str,
    key: &str,
    management_key: &str,
) -> Vec<(&'static str, String, Value)> {
    let none = Value::Null;
    vec![
        ("GET", format!("/v1/organizations/{organization}"), none.clone()),
        ("PATCH", format!("/v1/organizations/{organization}"), json!({ "name": "x" })),
        ("DELETE", format!("/v1/organizations/{organization}"), none.clone()),
        ("POST", format!("/v1/organizations/{organization}/suspend"), none.clone()),
        ("POST", format!("/v1/organizations/{organization}/resume"), none.clone()),
        ("GET", format!("/v1/organizations/{organization}/projects"), none.clone()),
        ("POST", format!("/v1/organizations/{organization}/projects"), json!({ "name": "x", "api": "standard" })),
        (
            "POST",
            format!("/v1/organizations/{organization}/projects"),
            json!({ "name": "x", "api": "standard", "plan": "standard" }),
        ),
        ("GET", format!("/v1/projects/{project}"), none.clone()),
        ("PATCH", format!("/v1/projects/{project}"), json!({ "name": "x" })),
        ("PATCH", format!("/v1/projects/{project}"), json!({ "active_key_limit": 5 })),
        ("DELETE", format!("/v1/projects/{project}"), none.clone()),
        ("POST", format!("/v1/projects/{project}/suspend"), none.clone()),
        ("POST", format!("/v1/projects/{project}/resume"), none.clone()),
        ("GET", format!("/v1/projects/{project}/usage"), none.clone()),
        ("GET", format!("/v1/projects/{project}/events"), none.clone()),
        ("GET", format!("/v1/projects/{project}/keys"), none.clone()),
        ("POST", format!("/v1/projects/{project}/keys"), json!({})),
        ("POST", format!("/v1/projects/{project}/keys/regenerate"), json!({})),
        ("GET", format!("/v1/keys/{key}"), none.clone()),
        ("PATCH", format!("/v1/keys/{key}"), json!({ "name": "x" })),
        ("POST", format!("/v1/keys/{key}/rotate"), none.clone()),
        ("POST", format!("/v1/keys/{key}/revoke"), none.clone()),
        ("POST", format!("/v1/keys/{key}/disable"), none.clone()),
        ("POST", format!("/v1/keys/{key}/enable"), none.clone()),
        ("POST", "/v1/revocations".to_owned(), json!({ "keys": [key] })),
        ("POST", "/v1/revocations".to_owned(), json!({ "project": project })),
        ("POST", "/v1/revocations".to_owned(), json!({ "organization": organization })),
        ("GET", format!("/v1/management-keys/{management_key}"), none.clone()),
        ("POST", format!("/v1/management-keys/{management_key}/rotate"), none.clone()),
        ("POST", format!("/v1/management-keys/{management_key}/revoke"), none),
    ]
}

#[tokio::test]
async fn t01_t02_anothers_things_answer_exactly_like_nothing() {
    let world = World::with("standard").await;
    let (organization, project) = world.another_customer("standard").await;
    let key =
        world.post(&format!("/v1/projects/{project}/keys"), json!({})).await.expect(201).text("/key/id").to_owned();
    let body = json!({ "name": "theirs", "scopes": ["*"], "within": { "organization": organization } });
    let management = world.post("/v1/management-keys", body).await.text("/management_key/id").to_owned();
    let theirs = operations(&organization, &project, &key, &management);
    let nothing = operations(
        "org_0000000000000000000001",
        "proj_0000000000000000000001",
        "key_0000000000000000000001",
        "mgmt_0000000000000000000001",
    );
    let head = world.get("/v1/changes/head").await.json["revision"].clone();
    for within in [json!({ "organization": world.organization }), json!({ "project": world.project })] {
        let customer = world.management_key(&["*"], within).await;
        let head = world.get("/v1/changes/head").await.json["revision"].clone();
        for ((method, path, body), (_, no_path, no_body)) in theirs.iter().zip(&nothing) {
            let foreign = world.ask(&customer, method, path, body.clone()).await;
            let absent = world.ask(&customer, method, no_path, no_body.clone()).await;
            assert_eq!(foreign.without_request_id(), absent.without_request_id(), "{method} {path}");
            assert!(matches!(foreign.status.as_u16(), 404 | 422), "{method} {path}: {}", foreign.body);
        }
        assert_eq!(world.get("/v1/changes/head").await.json["revision"], head);
    }
    assert!(world.get("/v1/changes/head").await.json["revision"].as_i64() > head.as_i64());
}

#[tokio::test]
async fn t03_lists_show_only_what_is_within_reach() {
    let world = World::with("standard").await;
    let (_, theirs) = world.another_customer("standard").await;
    let customer = world.management_key(&["*"], json!({ "organization": world.organization })).await;
    let list = world.ask(&customer, "GET", "/v1/organizations", Value::Null).await.expect(200);
    assert_eq!(list.json["items"].as_array().unwrap().len(), 1);
    assert_eq!(list.text("/items/0/id"), world.organization);
    assert!(!list.body.contains(&theirs));
    let bounded = world.management_key(&["*"], json!({ "project": world.project })).await;
    let list = world.ask(&bounded, "GET", "/v1/organizations", Value::Null).await.expect(200);
    assert_eq!(list.json["items"], json!([]));
    world.ask(&bounded, "GET", &format!("/v1/projects/{}", world.project), Value::Null).await.expect(200);
}

#[tokio::test]
async fn what_is_the_operators_needs_reach_over_everything() {
    let world = World::with("standard").await;
    let customer = world.management_key(&["*"], json!({ "organization": world.organization })).await;
    let organization = format!("/v1/organizations/{}", world.organization);
    for (method, path, body) in [
        ("POST", "/v1/organizations".to_owned(), json!({ "name": "x" })),
        ("POST", format!("{organization}/suspend"), Value::Null),
        ("POST", format!("{organization}/resume"), Value::Null),
        ("DELETE", organization.clone(), Value::Null),
        ("POST", format!("{organization}/projects"), json!({ "name": "x", "api": "standard", "plan": "standard" })),
        ("PATCH", format!("/v1/projects/{}", world.project), json!({ "plan": "standard" })),
        ("GET", "/v1/changes".to_owned(), Value::Null),
        ("GET", "/v1/changes/head".to_owned(), Value::Null),
        ("GET", "/v1/changes/verify".to_owned(), Value::Null),
        ("POST", "/v1/backups".to_owned(), json!({})),
    ] {
        let refused = world.ask(&customer, method, &path, body).await;
        assert_eq!(refused.problem(), (403, "forbidden"), "{method} {path}");
    }
    let rename = world.ask(&customer, "PATCH", &organization, json!({ "name": "Ours" })).await.expect(200);
    assert_eq!(rename.text("/organization/name"), "Ours");
}

#[tokio::test]
async fn t08_suspended_and_deleted_tenants_serve_nothing_at_once() {
    let world = World::with("standard").await;
    let (project, organization) =
        (format!("/v1/projects/{}", world.project), format!("/v1/organizations/{}", world.organization));
    for tenant in [&project, &organization] {
        for _ in 0..2 {
            world.post(&format!("{tenant}/suspend"), Value::Null).await.expect(200);
        }
        assert!(!world.opens(&world.key.1).await);
        assert_eq!(world.create(json!({})).await.problem(), (409, "suspended"));
        world.get(&format!("/v1/keys/{}", world.key.0)).await.expect(200);
        world.post(&format!("{tenant}/resume"), Value::Null).await.expect(200);
        assert!(world.opens(&world.key.1).await);
    }
    let deleted = world.ask(&world.operator, "DELETE", &organization, Value::Null).await.expect(200);
    assert_eq!(deleted.text("/organization/state"), "deleted");
    assert!(!world.opens(&world.key.1).await);
    for path in [&project, &organization, &format!("/v1/keys/{}", world.key.0), &format!("{project}/keys")] {
        assert_eq!(world.get(path).await.problem(), (404, "not_found"), "{path}");
    }
    assert_eq!(world.create(json!({})).await.problem(), (404, "not_found"));
}
