//! Management keys: what they may, how far they reach, and that none is ever minted wider.

use std::time::Duration;

use keyward_core::permission::Permission;
use serde_json::{Value, json};

use crate::support::World;

#[tokio::test]
async fn t06_a_management_key_never_mints_wider_than_itself() {
    let world = World::with("standard").await;
    let within = json!({ "organization": world.organization });
    let own = ["management-keys:write", "keys:*", "projects:read"];
    let customer = world.management_key(&own, within.clone()).await;
    let mint = async |scopes: Value, within: Value| {
        world
            .ask(
                &customer,
                "POST",
                "/v1/management-keys",
                json!({ "name": "x", "scopes": scopes, "within": within }),
            )
            .await
    };
    for permission in Permission::ALL {
        let expected =
            if own.contains(&permission.scope()) || permission.scope().starts_with("keys:") { 201 } else { 403 };
        let minted = mint(json!([permission.scope()]), within.clone()).await;
        assert_eq!(minted.status.as_u16(), expected, "{}", permission.scope());
    }
    for wider in [json!(["*"]), json!(["projects:*"]), json!(["keys:*", "verify"]), json!(["management-keys:*"])] {
        assert_eq!(mint(wider.clone(), within.clone()).await.problem(), (403, "forbidden"), "{wider}");
    }
    for unknown in [json!(["root"]), json!([]), json!(["nope:*"]), json!([""])] {
        assert_eq!(mint(unknown.clone(), within.clone()).await.fields(), ["scopes"], "{unknown}");
    }
    let (theirs, their_project) = world.another_customer("standard").await;
    for outside in [
        json!({ "organization": theirs }),
        json!({ "project": their_project }),
        json!({ "organization": "org_0000000000000000000001" }),
    ] {
        assert_eq!(mint(json!(["keys:read"]), outside.clone()).await.fields(), ["within"], "{outside}");
    }
    // Where nothing is said, it reaches as far as its maker, not further.
    let same = mint(json!(["keys:read"]), Value::Null).await.expect(201);
    assert_eq!(same.json["management_key"]["within"], within);
    mint(json!(["keys:read"]), json!({ "project": world.project })).await.expect(201);
}

#[tokio::test]
async fn t06_nor_gets_one_by_rotating_another() {
    let world = World::with("standard").await;
    let within = json!({ "organization": world.organization });
    let wide =
        world.post("/v1/management-keys", json!({ "name": "wide", "scopes": ["*"], "within": within })).await;
    let narrow = world.management_key(&["management-keys:*", "keys:read"], within).await;
    let rotate = format!("/v1/management-keys/{}/rotate", wide.text("/management_key/id"));
    assert_eq!(world.ask(&narrow, "POST", &rotate, Value::Null).await.problem(), (403, "forbidden"));
    let operators = world.get("/v1/whoami").await.text("/management_key/id").to_owned();
    for action in ["rotate", "revoke"] {
        let path = format!("/v1/management-keys/{operators}/{action}");
        assert_eq!(world.ask(&narrow, "POST", &path, Value::Null).await.problem(), (404, "not_found"), "{action}");
    }
}

#[tokio::test]
async fn a_management_key_never_outlives_its_maker() {
    let world = World::with("standard").await;
    let body = json!({ "name": "short", "scopes": ["*"], "expires_at": "2026-12-01T00:00:00Z" });
    let short = world.post("/v1/management-keys", body).await.expect(201).text("/secret").to_owned();
    let mint = async |expires_at: Value| {
        let body = json!({ "name": "x", "scopes": ["verify"], "expires_at": expires_at });
        world.ask(&short, "POST", "/v1/management-keys", body).await
    };
    assert_eq!(mint(json!("2027-01-01T00:00:00Z")).await.fields(), ["expires_at"]);
    assert_eq!(mint(Value::Null).await.expect(201).text("/management_key/expires_at"), "2026-12-01T00:00:00.000Z");
    world.clock.advance(Duration::from_secs(30 * 86_400));
    assert_eq!(mint(Value::Null).await.problem(), (401, "unauthenticated"));
}

#[tokio::test]
async fn a_management_key_is_rotated_and_revoked_at_once() {
    let world = World::with("standard").await;
    let secret = world.management_key(&["*"], Value::Null).await;
    let me = world.ask(&secret, "GET", "/v1/whoami", Value::Null).await.expect(200);
    let id = me.text("/management_key/id").to_owned();
    assert!(!me.body.contains(&secret));
    // A key may put another in its own place.
    let rotated =
        world.ask(&secret, "POST", &format!("/v1/management-keys/{id}/rotate"), Value::Null).await.expect(201);
    assert_eq!(world.ask(&secret, "GET", "/v1/whoami", Value::Null).await.problem(), (401, "unauthenticated"));
    let new = rotated.text("/secret").to_owned();
    let new_id = rotated.text("/management_key/id").to_owned();
    world.ask(&new, "GET", "/v1/whoami", Value::Null).await.expect(200);
    assert_eq!(world.get(&format!("/v1/management-keys/{id}")).await.text("/management_key/state"), "revoked");
    let again = world.post(&format!("/v1/management-keys/{id}/rotate"), Value::Null).await;
    assert_eq!(again.problem(), (409, "key_not_active"));
    for _ in 0..2 {
        world.post(&format!("/v1/management-keys/{new_id}/revoke"), Value::Null).await.expect(200);
    }
    let refused = world.ask(&new, "GET", "/v1/whoami", Value::Null).await;
    assert_eq!(refused.problem(), (401, "unauthenticated"));
    assert_eq!(refused.headers["www-authenticate"], "Bearer realm=\"keyward\"");
}

#[tokio::test]
async fn lists_of_management_keys_end_at_the_boundary() {
    let world = World::with("standard").await;
    let (theirs, _) = world.another_customer("standard").await;
    for _ in 0..3 {
        world.management_key(&["verify"], json!({ "organization": theirs })).await;
        world.management_key(&["verify"], json!({ "project": world.project })).await;
    }
    let customer =
        world.management_key(&["management-keys:read"], json!({ "organization": world.organization })).await;
    let mut seen = 0;
    let mut next = Some(String::new());
    while let Some(cursor) = next {
        let cursor = if cursor.is_empty() { cursor } else { format!("&cursor={cursor}") };
        let path = format!("/v1/management-keys?limit=2{cursor}");
        let page = world.ask(&customer, "GET", &path, Value::Null).await.expect(200);
        assert!(!page.body.contains(&theirs));
        seen += page.json["items"].as_array().unwrap().len();
        next = page.json["next_cursor"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, 4, "its own and those of its project");
    assert_eq!(world.get("/v1/management-keys").await.json["items"].as_array().unwrap().len(), 8);
}

#[tokio::test]
async fn nothing_is_minted_for_what_is_gone() {
    let world = World::with("standard").await;
    let (gone, project) = world.another_customer("standard").await;
    world.ask(&world.operator, "DELETE", &format!("/v1/organizations/{gone}"), Value::Null).await.expect(200);
    for within in [json!({ "organization": gone }), json!({ "project": project })] {
        let body = json!({ "name": "x", "scopes": ["verify"], "within": within });
        assert_eq!(world.post("/v1/management-keys", body).await.fields(), ["within"], "{within}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn l01_a_revoked_management_key_commits_nothing_after_its_revocation_returned() {
    let world = std::sync::Arc::new(World::with("standard").await);
    let secret = world.management_key(&["keys:*"], Value::Null).await;
    let id = world.ask(&secret, "GET", "/v1/whoami", Value::Null).await.text("/management_key/id").to_owned();
    let path = format!("/v1/projects/{}/keys", world.project);
    let started = std::sync::Arc::new(tokio::sync::Barrier::new(21));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (world, secret, path) = (std::sync::Arc::clone(&world), secret.clone(), path.clone());
            let started = std::sync::Arc::clone(&started);
            tokio::spawn(async move {
                started.wait().await;
                world.ask(&secret, "POST", &path, json!({})).await.status.as_u16()
            })
        })
        .collect();
    started.wait().await;
    world.post(&format!("/v1/management-keys/{id}/revoke"), Value::Null).await.expect(200);
    let revision = world.get("/v1/changes/head").await.json["revision"].clone();
    for task in tasks {
        assert!(matches!(task.await.unwrap(), 201 | 401));
    }
    assert_eq!(world.get("/v1/changes/head").await.json["revision"], revision);
}
