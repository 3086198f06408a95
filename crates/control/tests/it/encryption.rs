//! Data keys, destinations and key-encryption keys over REST: who may, what is told, and what is in force by then.

use std::sync::atomic::Ordering;

use keyward_core::key_encryption::WhichDataKey;
use keyward_core::store::Store as _;
use keyward_verify::NoDataKey;
use serde_json::{Value, json};

use crate::support::{World, request};

impl World {
    fn of_project(&self, what: &str) -> String {
        format!("/v1/projects/{}/{what}", self.project)
    }

    async fn data_key(&self) -> Result<keyward_core::data_key::DataKeyId, NoDataKey> {
        self.engine.current_data_key(self.project.parse().unwrap()).await.map(|key| key.id())
    }

    async fn states(&self) -> Vec<String> {
        let list = self.get(&self.of_project("data-keys")).await.expect(200);
        list.json["items"].as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn data_keys_are_listed_rotated_and_shredded() {
    let world = World::with("standard").await;
    assert!(world.states().await.is_empty());
    let first = world.data_key().await.unwrap();
    assert_eq!(world.states().await, ["current"]);
    let key = [("idempotency-key", "k1")];
    let rotate = world.of_project("data-keys/rotate");
    let made = world.send(request(&world.operator, "POST", &rotate, &key, json!({}))).await.expect(201);
    let second = made.text("/data_key/id").to_owned();
    let again = world.send(request(&world.operator, "POST", &rotate, &key, json!({}))).await.expect(200);
    assert_eq!(again.text("/data_key/id"), second, "a repetition makes nothing");
    assert_eq!(world.states().await, ["current", "opens_only"]);
    assert_eq!(world.data_key().await.unwrap().to_string(), second);

    let shred = world.of_project("data-keys/shred");
    let refused = world.ask(&world.operator, "POST", &shred, json!({})).await;
    assert_eq!(refused.problem(), (428, "acknowledgement_required"));
    assert_eq!(world.states().await, ["current", "opens_only"]);
    let answer = world.ask(&world.operator, "POST", &shred, json!({"acknowledge": true})).await.expect(200);
    assert_eq!(answer.json["in_force"]["by"], "acknowledged", "{}", answer.body);
    assert_eq!(answer.json["data_keys"][0]["state"], "shredded");
    assert!(answer.json["data_keys"][0]["shredded_at"].is_string());
    assert_eq!(world.engine.held_data_keys(), 0);
    let gone = world.engine.data_key(world.project.parse().unwrap(), first).await;
    assert_eq!(gone.unwrap_err(), NoDataKey::Shredded);
    // Again it is the same, and no change.
    let (head, _) = world.store.head().await.unwrap();
    world.ask(&world.operator, "POST", &shred, json!({"acknowledge": true})).await.expect(200);
    assert_eq!(world.store.head().await.unwrap().0, head);
    let told = world.get(&format!("/v1/projects/{}/events", world.project)).await.expect(200).body;
    for name in ["data_key.created", "data_key.rotated", "data_keys.shredded", "\"node\""] {
        assert!(told.contains(name), "{name}: {told}");
    }
}

#[tokio::test]
async fn c07_what_is_deleted_leaves_no_data_key() {
    let world = World::with("standard").await;
    let (organization, other) = world.another_customer("standard").await;
    let others = other.parse().unwrap();
    world.data_key().await.unwrap();
    world.ask(&world.operator, "POST", &world.of_project("data-keys/rotate"), json!({})).await.expect(201);
    let theirs = world.engine.current_data_key(others).await.unwrap().id();
    let own = world.project.parse().unwrap();
    world.ask(&world.operator, "DELETE", &format!("/v1/projects/{}", world.project), Value::Null).await.expect(200);
    let ring = world.store.data_keyring(own).await.unwrap().unwrap();
    assert_eq!((ring.keys.len(), ring.living().count()), (2, 0));
    for key in &ring.keys {
        let which = WhichDataKey { project: own, id: key.id };
        assert_eq!(world.store.wrapped_data_key(which).await.unwrap(), None);
    }
    assert_eq!(world.data_key().await, Err(NoDataKey::Unavailable), "none is made afterwards");
    // The other customer's stays, until their organization goes.
    let which = WhichDataKey { project: others, id: theirs };
    assert!(world.store.wrapped_data_key(which).await.unwrap().is_some());
    let path = format!("/v1/organizations/{organization}");
    world.ask(&world.operator, "DELETE", &path, Value::Null).await.expect(200);
    assert_eq!(world.store.wrapped_data_key(which).await.unwrap(), None);
    assert_eq!(world.store.data_key_counts().await.unwrap(), []);
    assert_eq!(world.engine.current_data_key(others).await.unwrap_err(), NoDataKey::Unavailable);
}

#[tokio::test]
async fn c07_who_does_not_wait_for_shredding_is_told_where_to_ask() {
    let world = World::with("standard").await;
    world.data_key().await.unwrap();
    let prefer = [("prefer", "respond-async")];
    let shred = world.of_project("data-keys/shred");
    let shredding = request(&world.operator, "POST", &shred, &prefer, json!({"acknowledge": true}));
    let answer = world.send(shredding).await.expect(202);
    let location = answer.headers["location"].to_str().unwrap().to_owned();
    let in_force = world.get(&location).await.expect(200);
    assert_eq!(in_force.json["in_force"]["by"], "acknowledged");
    assert_eq!(world.states().await, ["shredded"]);
}

#[tokio::test]
async fn a_destination_is_set_read_and_cleared() {
    let world = World::with("standard").await;
    let path = world.of_project("destination");
    assert_eq!(world.get(&path).await.expect(200).json, json!({"url": null}));
    let url = json!({"url": "https://API.example.com/v1/"});
    let set = world.ask(&world.operator, "PUT", &path, url).await.expect(200);
    assert_eq!(set.text("/url"), "https://api.example.com/v1");
    assert_eq!(set.json["in_force"]["by"], "acknowledged");
    assert_eq!(world.get(&path).await.expect(200).json, json!({"url": "https://api.example.com/v1"}));
    for url in ["http://10.0.0.1/", "ftp://example.com", "https://a:b@example.com", "http://169.254.169.254/"] {
        let refused = world.ask(&world.operator, "PUT", &path, json!({ "url": url })).await;
        assert_eq!(refused.problem().0, 422, "{url}");
    }
    let cleared = world.ask(&world.operator, "DELETE", &path, Value::Null).await.expect(200);
    assert_eq!(cleared.json["url"], Value::Null);
}

#[tokio::test]
async fn t01_another_projects_encryption_does_not_exist() {
    let world = World::with("standard").await;
    let (_, other) = world.another_customer("standard").await;
    let walled = world.management_key(&["*"], json!({ "project": other })).await;
    for (method, what, body) in [
        ("GET", "data-keys", Value::Null),
        ("POST", "data-keys/rotate", json!({})),
        ("POST", "data-keys/shred", json!({"acknowledge": true})),
        ("GET", "destination", Value::Null),
        ("PUT", "destination", json!({"url": "https://api.example.com"})),
        ("DELETE", "destination", Value::Null),
    ] {
        let answer = world.ask(&walled, method, &world.of_project(what), body).await;
        assert_eq!(answer.problem(), (404, "not_found"), "{method} {what}");
    }
    for (method, path) in [
        ("GET", "/v1/encryption-keys"),
        ("POST", "/v1/encryption-keys/rewrap"),
        ("POST", "/v1/encryption-keys/1/retire"),
    ] {
        let body = if method == "GET" { Value::Null } else { json!({}) };
        let answer = world.ask(&walled, method, path, body).await;
        assert_eq!(answer.problem(), (403, "forbidden"), "{method} {path}");
    }
}

#[tokio::test]
async fn c04_data_keys_are_wrapped_anew_and_the_old_version_is_retired_only_then() {
    let world = World::with("standard").await;
    let id = world.data_key().await.unwrap();
    world.kek.store(2, Ordering::SeqCst);
    let rows = world.get("/v1/encryption-keys").await.expect(200).json["items"].clone();
    assert_eq!(
        rows,
        json!([{"version": 1, "is_current": false, "data_keys": 1}, {"version": 2, "is_current": true, "data_keys": 0}])
    );
    let retire = "/v1/encryption-keys/1/retire";
    assert_eq!(world.ask(&world.operator, "POST", retire, json!({})).await.problem().0, 422);
    let done = world.ask(&world.operator, "POST", "/v1/encryption-keys/rewrap", json!({})).await.expect(200);
    assert_eq!(done.json, json!({"current": 2, "rewrapped": 1, "left": 0, "failure": null}));
    world.ask(&world.operator, "POST", retire, json!({})).await.expect(200);
    let current = "/v1/encryption-keys/2/retire";
    assert_eq!(world.ask(&world.operator, "POST", current, json!({})).await.problem().0, 422);
    assert_eq!(world.data_key().await.unwrap(), id);
}

#[tokio::test]
async fn c05_without_key_encryption_keys_what_needs_one_says_so() {
    let world = World::with("standard").await;
    world.kek.store(0, Ordering::SeqCst);
    let rotate = world.ask(&world.operator, "POST", &world.of_project("data-keys/rotate"), json!({})).await;
    assert_eq!(rotate.problem().0, 503);
    assert!(rotate.body.contains("keyward encryption-key add"), "{}", rotate.body);
    assert_eq!(world.get("/v1/encryption-keys").await.problem().0, 503);
    world.get(&world.of_project("data-keys")).await.expect(200);
    assert!(world.opens(&world.key.1).await);
}
