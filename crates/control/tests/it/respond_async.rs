//! `Prefer: respond-async`: who does not want to wait is told where to ask, and what they did is put in force all the same.

use std::task::{Context, Waker};

use keyward_core::store::Store as _;
use serde_json::{Value, json};

use crate::support::{Answer, Fault, World, preset_text, request};

const PREFER: &[(&str, &str)] = &[("prefer", "respond-async")];

impl World {
    async fn without_waiting(&self, secret: &str, method: &str, path: &str, body: Value) -> Answer {
        self.send(request(secret, method, path, PREFER, body)).await
    }

    /// A change whose caller does not wait, and where to ask for it.
    async fn pending(&self, method: &str, path: &str, body: Value) -> (Answer, String) {
        let answer = self.without_waiting(&self.operator, method, path, body).await.expect(202);
        assert_eq!(answer.headers["preference-applied"], "respond-async", "{method} {path}");
        let location = answer.headers["location"].to_str().unwrap().to_owned();
        assert!(location.starts_with("/v1/revocations/revocation_"), "{location}");
        assert_eq!((&answer.json["in_force"], answer.text("/barrier")), (&Value::Null, location.as_str()));
        (answer, location)
    }
}

/// That something is in force, as the embedded store says it.
fn is_in_force(answer: &Answer) -> bool {
    let force = &answer.json["in_force"];
    assert_eq!((&force["by"], &force["nodes"]), (&json!("acknowledged"), &json!(1)), "{}", answer.body);
    assert!(force["waited_ms"].is_u64() && answer.json.get("barrier").is_none(), "{}", answer.body);
    assert!(!answer.headers.contains_key("location") && !answer.headers.contains_key("preference-applied"));
    answer.status == 200
}

#[tokio::test]
async fn l02_who_does_not_wait_can_ask_until_it_is_in_force() {
    let world = World::with("standard").await;
    let revoke = format!("/v1/keys/{}/revoke", world.key.0);
    // Nothing can be put in force now, so that it can be seen to be pending.
    world.store.fail(Fault::SlowLog);
    let (answer, location) = world.pending("POST", &revoke, json!({ "reason": "leak" })).await;
    assert_eq!(answer.text("/key/state"), "revoked", "it is written");
    let again = world.without_waiting(&world.operator, "GET", &location, Value::Null).await.expect(202);
    assert_eq!((&again.json["in_force"], again.text("/barrier")), (&Value::Null, location.as_str()));
    assert_eq!((again.text("/id"), &again.json["revoked"]), (location.rsplit('/').next().unwrap(), &Value::Null));
    // A repetition is no second change, and is pending too.
    let (before, _) = world.store.head().await.unwrap();
    world.pending("POST", &revoke, json!({})).await;
    assert_eq!(world.store.head().await.unwrap().0, before);
    // Who waits is answered only then.
    let mut waiting = std::pin::pin!(world.get(&location));
    for _ in 0..100 {
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        tokio::task::yield_now().await;
    }
    world.store.fail(None);
    assert!(is_in_force(&waiting.await));
    assert!(!world.opens(&world.key.1).await);
    assert!(is_in_force(&world.without_waiting(&world.operator, "GET", &location, Value::Null).await));
    assert!(is_in_force(&world.without_waiting(&world.operator, "POST", &revoke, json!({})).await));
}

#[tokio::test]
async fn l01_what_nobody_asks_for_is_put_in_force_all_the_same() {
    let world = World::with("standard").await;
    let (_, location) = world.pending("POST", &format!("/v1/keys/{}/disable", world.key.0), json!({})).await;
    // Nobody waits, nobody asks: the node comes to it by itself.
    let (head, _) = world.store.head().await.unwrap();
    while world.engine.applied() < head {
        tokio::task::yield_now().await;
    }
    assert!(!world.opens(&world.key.1).await);
    assert!(is_in_force(&world.get(&location).await));
}

#[tokio::test]
async fn every_call_that_takes_away_can_be_answered_without_waiting() {
    let world = World::with("standard").await;
    let (key, project, organization) = (&world.key.0, &world.project, &world.organization);
    let scoped = world.management_key(&["keys:read"], Value::Null).await;
    let listed = world.get("/v1/management-keys").await;
    let minted = listed.text("/items/0/id").to_owned();
    let contract = format!("{}\n# another\n", preset_text("standard"));
    let applied = axum::http::Request::put("/v1/apis/standard")
        .header("authorization", format!("Bearer {}", world.operator))
        .header("content-type", "application/toml")
        .header("prefer", "respond-async")
        .body(axum::body::Body::from(contract))
        .unwrap();
    world.send(applied).await.expect(202);
    let (rotated, _) = world.pending("POST", &format!("/v1/keys/{key}/rotate"), json!({})).await;
    let secret = rotated.text("/secret").to_owned();
    assert_eq!(rotated.text("/replaced/id"), key);
    let key = rotated.text("/key/id").to_owned();
    let (regenerated, _) =
        world.pending("POST", &format!("/v1/projects/{project}/keys/regenerate"), json!({})).await;
    assert!(regenerated.text("/secret") != secret && regenerated.json["replaced"][0] == key);
    let key = regenerated.text("/key/id").to_owned();
    let (rotated, location) =
        world.pending("POST", &format!("/v1/management-keys/{minted}/rotate"), json!({})).await;
    assert!(is_in_force(&world.get(&location).await));
    assert!(rotated.text("/secret").starts_with("kwm_"));
    let minted = rotated.text("/management_key/id").to_owned();
    assert_eq!(world.ask(&scoped, "GET", &format!("/v1/keys/{key}"), Value::Null).await.status, 401);
    let (bulk, _) = {
        let other = world.create(json!({})).await.expect(201).text("/key/id").to_owned();
        world.pending("POST", "/v1/revocations", json!({ "keys": [other] })).await
    };
    assert_eq!(bulk.json["revoked"], 1);
    for (method, path, body) in [
        ("PATCH", format!("/v1/keys/{key}"), json!({ "scopes": [] })),
        ("POST", format!("/v1/keys/{key}/disable"), json!({})),
        ("POST", format!("/v1/keys/{key}/revoke"), json!({})),
        ("POST", format!("/v1/management-keys/{minted}/revoke"), json!({})),
        ("PATCH", format!("/v1/projects/{project}"), json!({ "active_key_limit": 1 })),
        ("POST", format!("/v1/projects/{project}/suspend"), json!({})),
        ("POST", format!("/v1/organizations/{organization}/suspend"), json!({})),
        ("DELETE", format!("/v1/projects/{project}"), Value::Null),
        ("DELETE", format!("/v1/organizations/{organization}"), Value::Null),
    ] {
        let (_, location) = world.pending(method, &path, body).await;
        assert!(is_in_force(&world.get(&location).await), "{method} {path}");
    }
}

#[tokio::test]
async fn what_takes_nothing_away_and_what_is_malformed_waits() {
    let world = World::with("standard").await;
    let (key, project) = (&world.key.0, &world.project);
    for (method, path, body, status) in [
        ("POST", format!("/v1/projects/{project}/keys"), json!({}), 201),
        ("PATCH", format!("/v1/keys/{key}"), json!({ "name": "another" }), 200),
        ("POST", format!("/v1/keys/{key}/enable"), json!({}), 200),
        ("GET", format!("/v1/keys/{key}"), Value::Null, 200),
        ("POST", format!("/v1/projects/{project}/resume"), json!({}), 200),
    ] {
        let answer = world.without_waiting(&world.operator, method, &path, body).await.expect(status);
        assert!(
            answer.json.get("barrier").is_none() && !answer.headers.contains_key("preference-applied"),
            "{path}"
        );
        if method != "GET" && status == 200 {
            assert!(is_in_force(&answer), "{path}");
        }
    }
    let disable = format!("/v1/keys/{key}/disable");
    for prefer in ["respond-async=1", "respond", "\"respond-async\"", "wait=5", "", ";;,"] {
        let answer = world.send(request(&world.operator, "POST", &disable, &[("prefer", prefer)], json!({}))).await;
        assert!(is_in_force(&answer), "{prefer:?}");
        world.post(&format!("/v1/keys/{key}/enable"), json!({})).await.expect(200);
    }
    // Beside others, in any case and in any line, it is read.
    let prefers = [("prefer", "wait=5; a=\"b, c\", Respond-Async"), ("prefer", "return=minimal")];
    world.send(request(&world.operator, "POST", &disable, &prefers, json!({}))).await.expect(202);
}

#[tokio::test]
async fn t01_a_barrier_is_of_the_wall_it_was_made_in() {
    let world = World::with("standard").await;
    let (organization, project) = world.another_customer("standard").await;
    let mine = world.management_key(&["*"], json!({ "project": world.project })).await;
    let revoke = format!("/v1/keys/{}/revoke", world.key.0);
    let location =
        world.without_waiting(&mine, "POST", &revoke, json!({})).await.expect(202).text("/barrier").to_owned();
    for within in [json!({ "organization": organization }), json!({ "project": project })] {
        let other = world.management_key(&["*"], within).await;
        assert_eq!(world.ask(&other, "GET", &location, Value::Null).await.problem(), (404, "not_found"));
        let asked = world.without_waiting(&other, "GET", &location, Value::Null).await;
        assert_eq!(asked.problem(), (404, "not_found"));
    }
    assert_eq!(world.ask("", "GET", &location, Value::Null).await.problem(), (401, "unauthenticated"));
    let longer = format!("{location}A");
    assert_eq!(world.get(&longer).await.problem(), (404, "not_found"));
    // Whoever made the change may ask, whatever else they may; and the operator.
    let reader = world.management_key(&["keys:read"], json!({ "project": world.project })).await;
    assert!(is_in_force(&world.ask(&reader, "GET", &location, Value::Null).await));
    assert!(is_in_force(&world.get(&location).await));
}

#[tokio::test]
async fn a_repetition_of_a_rotation_shows_no_secret_again() {
    let world = World::with("standard").await;
    let rotate = format!("/v1/keys/{}/rotate", world.key.0);
    let headers = [("prefer", "respond-async"), ("idempotency-key", "one")];
    let ask = || request(&world.operator, "POST", &rotate, &headers, json!({}));
    world.store.fail(Fault::SlowLog);
    let first = world.send(ask()).await.expect(202);
    let again = world.send(ask()).await.expect(202);
    assert!(first.json["secret"].is_string());
    assert_eq!((again.json.get("secret"), &again.json["secret_shown"]), (None, &json!(true)));
    world.store.fail(None);
    assert!(is_in_force(&world.get(first.text("/barrier")).await));
    assert_eq!(world.send(ask()).await.expect(200).json["secret_shown"], true);
}
