//! The limit of active keys, kept exactly however many ask at once.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Answer, World};

/// Sends the same request many times at once.
async fn at_once(world: &Arc<World>, times: usize, path: &str, body: Value) -> Vec<Answer> {
    let mut tasks = Vec::new();
    for _ in 0..times {
        let (world, path, body) = (Arc::clone(world), path.to_owned(), body.clone());
        tasks.push(tokio::spawn(async move { world.post(&path, body).await }));
    }
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn m2b_ten_creates_at_once_make_exactly_two_keys() {
    let world = Arc::new(World::with("metriport").await);
    world.post(&format!("/v1/keys/{}/revoke", world.key.0), Value::Null).await.expect(200);
    let answers = at_once(&world, 10, &format!("/v1/projects/{}/keys", world.project), json!({})).await;
    assert_eq!((count(&answers, 201), count(&answers, 409)), (2, 8));
    assert!(answers.iter().filter(|answer| answer.status == 409).all(|a| a.problem().1 == "active_key_limit"));
    assert_eq!(world.live_keys().await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn l07_fifty_rotations_at_once_have_one_winner() {
    for preset in ["getprofile", "standard"] {
        let world = Arc::new(World::with(preset).await);
        let answers = at_once(&world, 50, &format!("/v1/keys/{}/rotate", world.key.0), Value::Null).await;
        assert_eq!((count(&answers, 201), count(&answers, 409)), (1, 49), "{preset}");
        assert!(answers.iter().filter(|answer| answer.status == 409).all(|a| a.problem().1 == "key_not_active"));
        assert_eq!(world.live_keys().await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s15_five_regenerations_at_once_leave_one_key() {
    let world = Arc::new(World::with("scrapegraphai").await);
    let path = format!("/v1/projects/{}/keys/regenerate", world.project);
    let answers = at_once(&world, 5, &path, json!({})).await;
    assert!(count(&answers, 201) >= 1);
    assert_eq!(world.live_keys().await, 1);
    // The same from the state where no key is live.
    let list = world.get(&format!("/v1/projects/{}/keys?state=active", world.project)).await;
    world.post(&format!("/v1/keys/{}/revoke", list.text("/items/0/id")), Value::Null).await.expect(200);
    let answers = at_once(&world, 5, &path, json!({})).await;
    assert!(count(&answers, 201) >= 1);
    assert_eq!(world.live_keys().await, 1);
    let secrets = answers.iter().filter(|answer| answer.status == 201).map(|answer| answer.text("/secret"));
    let mut open = 0;
    for secret in secrets {
        open += usize::from(world.opens(secret).await);
    }
    assert_eq!(open, 1);
}

#[tokio::test]
async fn g2_s14_a_second_key_is_refused_and_regenerating_is_the_way() {
    for preset in ["getprofile", "scrapegraphai"] {
        let world = World::with(preset).await;
        assert_eq!(world.create(json!({})).await.problem(), (409, "active_key_limit"), "{preset}");
        let path = format!("/v1/projects/{}/keys/regenerate", world.project);
        let new = world.post(&path, json!({})).await.expect(201);
        assert_eq!(new.json["replaced"], json!([world.key.0]));
        assert!(!world.opens(&world.key.1).await && world.opens(new.text("/secret")).await);
        // G16: also from the state without a key.
        world.post(&format!("/v1/keys/{}/revoke", new.text("/key/id")), Value::Null).await.expect(200);
        let new = world.post(&path, Value::Null).await.expect(201);
        assert_eq!(new.json["replaced"], json!([]));
    }
}

#[tokio::test]
async fn an_overlap_needs_room_for_both_keys() {
    let world = World::with("metriport").await;
    world.create(json!({})).await.expect(201);
    let rotated = world.post(&format!("/v1/keys/{}/rotate", world.key.0), json!({ "overlap_seconds": 60 })).await;
    assert_eq!(rotated.problem(), (409, "active_key_limit"));
    assert!(world.opens(&world.key.1).await);
    assert_eq!(world.live_keys().await, 2);
}

#[tokio::test]
async fn a_disabled_key_makes_room_and_needs_it_again() {
    let own = "schema = 1\nextends = \"standard\"\n[key]\nactive_limit = 1\n";
    let world = World::with_contract("own", own).await;
    let (enable, disable) =
        (format!("/v1/keys/{}/enable", world.key.0), format!("/v1/keys/{}/disable", world.key.0));
    world.post(&disable, Value::Null).await.expect(200);
    world.post(&disable, Value::Null).await.expect(200);
    assert!(!world.opens(&world.key.1).await);
    let other = world.create(json!({})).await.expect(201);
    assert_eq!(world.post(&enable, Value::Null).await.problem(), (409, "active_key_limit"));
    world.post(&format!("/v1/keys/{}/revoke", other.text("/key/id")), Value::Null).await.expect(200);
    world.post(&enable, Value::Null).await.expect(200);
    world.post(&enable, Value::Null).await.expect(200);
    assert!(world.opens(&world.key.1).await);
}

#[tokio::test]
async fn q20_the_limit_is_raised_for_one_project_by_the_operator_alone() {
    let world = World::with("metriport").await;
    world.create(json!({})).await.expect(201);
    let path = format!("/v1/projects/{}", world.project);
    let customer = world
        .management_key(&["projects:*", "keys:*", "plans:*"], json!({ "organization": world.organization }))
        .await;
    let refused = world.ask(&customer, "PATCH", &path, json!({ "active_key_limit": 3 })).await;
    assert_eq!(refused.problem(), (403, "forbidden"));
    let raised = world.patch(&path, json!({ "active_key_limit": 3 })).await.expect(200);
    let project = &raised.json["project"];
    assert_eq!((&project["active_key_limit"], &project["active_key_limit_override"]), (&json!(3), &json!(3)));
    world.create(json!({})).await.expect(201);
    assert_eq!(world.create(json!({})).await.problem(), (409, "active_key_limit"));
    let reset = world.patch(&path, json!({ "active_key_limit": null })).await.expect(200);
    let project = &reset.json["project"];
    assert_eq!((&project["active_key_limit"], &project["active_keys"]), (&json!(2), &json!(3)));
    assert_eq!(world.patch(&path, json!({ "active_key_limit": 0 })).await.fields(), ["active_key_limit"]);
    assert_eq!(world.patch(&path, json!({ "plan": "gold" })).await.fields(), ["plan"]);
}
