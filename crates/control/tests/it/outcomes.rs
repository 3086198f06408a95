//! What is answered when the store fails: never success without proof, never a word on how we work.

use serde_json::{Value, json};

use crate::support::{Fault, World, request};

#[tokio::test]
async fn l03_an_unknown_outcome_is_never_success() {
    for fault in [Fault::LostAnswer, Fault::LostCommit] {
        let world = World::with("standard").await;
        let keys = format!("/v1/projects/{}/keys", world.project);
        let revoke = format!("/v1/keys/{}/revoke", world.key.0);
        world.store.fail(fault);
        for (path, body) in [(&keys, json!({})), (&revoke, json!({}))] {
            let answer = world.post(path, body).await;
            assert_eq!(answer.problem(), (503, "outcome_unknown"), "{fault:?} {path}");
            assert_eq!(answer.headers["retry-after"], "1");
        }
        world.store.fail(None);
        let again = world.post(&revoke, json!({})).await.expect(200);
        assert_eq!(again.text("/key/state"), "revoked");
        assert!(!world.opens(&world.key.1).await);
    }
}

#[tokio::test]
async fn l03_a_repetition_after_an_unknown_outcome_tells_what_happened() {
    let world = World::with("standard").await;
    let keys = format!("/v1/projects/{}/keys", world.project);
    let create = |name: &str| request(&world.operator, "POST", &keys, &[("idempotency-key", name)], json!({}));
    world.store.fail(Fault::LostAnswer);
    assert_eq!(world.send(create("written")).await.problem(), (503, "outcome_unknown"));
    world.store.fail(Fault::LostCommit);
    assert_eq!(world.send(create("lost")).await.problem(), (503, "outcome_unknown"));
    world.store.fail(None);
    assert_eq!(world.send(create("written")).await.expect(200).json["secret_shown"], true);
    world.send(create("lost")).await.expect(201);
}

#[tokio::test]
async fn a_change_that_cannot_be_put_in_force_is_no_success() {
    let world = World::with("standard").await;
    world.store.fail(Fault::UnreadableLog);
    let answer = world.post(&format!("/v1/keys/{}/revoke", world.key.0), json!({})).await;
    assert_eq!(answer.problem(), (503, "outcome_unknown"));
    let detail = answer.text("/detail");
    assert!(detail.starts_with("The change is written") && detail.contains("it waits again"), "{detail}");
    assert!(!world.opens(&world.key.1).await, "it fails closed");
}

#[tokio::test]
async fn s03_failures_of_the_store_have_codes_and_keep_to_themselves() {
    let world = World::with("standard").await;
    for (fault, expected) in [
        (Fault::Full, (507, "storage_full")),
        (Fault::Unavailable, (503, "unavailable")),
        (Fault::AlwaysConflicting, (409, "conflict")),
    ] {
        world.store.fail(fault);
        for path in [format!("/v1/projects/{}/keys", world.project), format!("/v1/keys/{}/rotate", world.key.0)] {
            let answer = world.post(&path, json!({})).await;
            assert_eq!(answer.problem(), expected, "{fault:?} {path}");
            assert!(!answer.body.contains("as the test wants it"), "{}", answer.body);
        }
        world.get(&format!("/v1/keys/{}", world.key.0)).await.expect(200);
    }
    world.store.fail(None);
    world.create(json!({})).await.expect(201);
}

#[tokio::test]
async fn s23_a_panic_is_one_500_and_nothing_more() {
    let world = World::with("standard").await;
    // The first randomness is the request's id, the second the organization's.
    world.entropy.break_after(1);
    let answer = world.post("/v1/organizations", json!({ "name": "x" })).await;
    assert_eq!(answer.problem(), (500, "internal"));
    assert!(!answer.body.contains("randomness"));
    assert_eq!(answer.headers["x-request-id"].to_str().unwrap(), answer.text("/request_id"));
    world.post("/v1/organizations", json!({ "name": "x" })).await.expect(201);
}

#[tokio::test]
async fn the_log_is_followed_headed_and_verified() {
    let world = World::with("standard").await;
    let first = world.get("/v1/changes?limit=2").await.expect(200);
    assert_eq!((&first.json["items"][0]["revision"], &first.json["items"][1]["revision"]), (&json!(1), &json!(2)));
    assert_eq!((first.text("/items/0/name"), first.text("/items/0/actor/kind")), ("api.applied", "operator"));
    let mut after = first.json["next_after"].as_i64().unwrap();
    let head = world.get("/v1/changes/head").await.expect(200);
    let revision = head.json["revision"].as_i64().unwrap();
    let mut hash = String::new();
    while after < revision {
        let page = world.get(&format!("/v1/changes?limit=2&after={after}")).await.expect(200);
        let last = page.json["items"].as_array().unwrap().last().unwrap().clone();
        hash = last["hash"].as_str().unwrap().to_owned();
        after = page.json["next_after"].as_i64().unwrap();
        assert!(!page.body.contains("digest") && !page.body.contains("pepper"));
    }
    assert_eq!(hash, head.text("/hash"));
    assert_eq!(head.json["signed_head"]["revision"], revision);
    assert_eq!(head.text("/public_key").len(), 64);
    assert_eq!(world.get("/v1/changes/verify").await.expect(200).text("/result"), "intact");
}

#[tokio::test]
async fn backups_go_into_their_folder_and_nowhere_else() {
    let world = World::with("standard").await;
    let made = world.post("/v1/backups", json!({ "name": "before.db" })).await.expect(201);
    assert_eq!(made.text("/path"), world.folder().join("backups/before.db").to_str().unwrap());
    assert!(made.json["bytes"].as_u64().unwrap() > 0);
    assert_eq!(world.post("/v1/backups", json!({ "name": "before.db" })).await.problem(), (409, "already_exists"));
    for bad in ["../x", "/etc/x", ".x", "a/b", ""] {
        assert_eq!(world.post("/v1/backups", json!({ "name": bad })).await.fields(), ["name"], "{bad}");
    }
    world.post("/v1/backups", Value::Null).await.expect(201);
}
