//! A repeated request is answered, not done again, and shows no secret (K06).

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Answer, World, request};

async fn repeat(world: &World, path: &str, key: &str, body: Value) -> Answer {
    world.send(request(&world.operator, "POST", path, &[("idempotency-key", key)], body)).await
}

#[tokio::test]
async fn k06_a_replay_tells_the_same_without_the_secret() {
    let world = World::with("standard").await;
    let keys = format!("/v1/projects/{}/keys", world.project);
    let projects = format!("/v1/organizations/{}/projects", world.organization);
    let rotate = format!("/v1/keys/{}/rotate", world.key.0);
    let management = world.post("/v1/management-keys", json!({ "name": "m", "scopes": ["verify"] })).await;
    let rotate_management = format!("/v1/management-keys/{}/rotate", management.text("/management_key/id"));
    let regenerate = {
        let made = world.post(&projects, json!({ "name": "p", "api": "standard" })).await.expect(201);
        format!("/v1/projects/{}/keys/regenerate", made.text("/project/id"))
    };
    let cases = [
        (&keys[..], json!({ "name": "n" }), "key"),
        ("/v1/organizations", json!({ "name": "o" }), "organization"),
        (&projects, json!({ "name": "p", "api": "standard" }), "project"),
        (&rotate, json!({}), "key"),
        (&regenerate, json!({}), "key"),
        ("/v1/management-keys", json!({ "name": "m", "scopes": ["keys:read"] }), "management_key"),
        (&rotate_management, json!({}), "management_key"),
    ];
    for (path, body, what) in cases {
        let key = format!("key of {path}");
        let first = repeat(&world, path, &key, body.clone()).await.expect(201);
        let head = world.get("/v1/changes/head").await.json["revision"].clone();
        let again = repeat(&world, path, &key, body.clone()).await.expect(200);
        assert_eq!(first.json[what], again.json[what], "{path}");
        assert_eq!(again.json.get("secret"), None, "{path}");
        if first.json.get("secret").is_some() {
            assert_eq!(again.json["secret_shown"], true, "{path}");
            assert!(!again.body.contains(first.text("/secret")));
        }
        assert_eq!(world.get("/v1/changes/head").await.json["revision"], head, "{path}");
    }
    // The same key for another request, whether its body or its path differs.
    let other = repeat(&world, &keys, &format!("key of {keys}"), json!({ "name": "another" })).await;
    assert_eq!(other.problem(), (422, "idempotency_key_reused"));
    let other = repeat(&world, &regenerate, &format!("key of {rotate}"), json!({})).await;
    assert_eq!(other.problem(), (422, "idempotency_key_reused"));
}

#[tokio::test]
async fn a_replay_is_answered_even_where_the_request_would_now_be_refused() {
    let world = World::with("metriport").await;
    let keys = format!("/v1/projects/{}/keys", world.project);
    repeat(&world, &keys, "once", json!({})).await.expect(201);
    repeat(&world, &keys, "once", json!({})).await.expect(200);
    assert_eq!(repeat(&world, &keys, "twice", json!({})).await.problem(), (409, "active_key_limit"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn repetitions_at_once_do_the_work_once() {
    let world = Arc::new(World::with("standard").await);
    let create = (format!("/v1/projects/{}/keys", world.project), json!({ "name": "n" }));
    let rotate = (format!("/v1/keys/{}/rotate", world.key.0), json!({}));
    for (path, body) in [create, rotate] {
        let before = world.live_keys().await;
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (world, path, body) = (Arc::clone(&world), path.clone(), body.clone());
                tokio::spawn(async move { repeat(&world, &path, &path, body).await })
            })
            .collect();
        let (mut made, mut repeated) = (0, 0);
        for task in tasks {
            let answer = task.await.unwrap();
            match answer.status.as_u16() {
                201 => made += 1,
                200 => repeated += 1,
                _ => panic!("{}", answer.body),
            }
        }
        assert_eq!((made, repeated), (1, 19), "{path}");
        assert!(world.live_keys().await <= before + 1);
    }
}

#[tokio::test]
async fn keys_of_different_callers_never_meet_and_odd_ones_are_refused() {
    let world = World::with("standard").await;
    let other = world.management_key(&["*"], Value::Null).await;
    let keys = format!("/v1/projects/{}/keys", world.project);
    repeat(&world, &keys, "same", json!({})).await.expect(201);
    let theirs = request(&other, "POST", &keys, &[("idempotency-key", "same")], json!({}));
    world.send(theirs).await.expect(201);
    for bad in ["", &"x".repeat(201), "tab\tinside"] {
        assert_eq!(repeat(&world, &keys, bad, json!({})).await.fields(), ["Idempotency-Key"], "{bad:?}");
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "a")];
    let twice = world.send(request(&world.operator, "POST", &keys, &twice, json!({}))).await;
    assert_eq!(twice.fields(), ["Idempotency-Key"]);
}
