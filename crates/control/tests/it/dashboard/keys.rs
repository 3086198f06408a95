//! The pages of keys, as forms are sent to them: what is edited and what stays, lists longer than one part, projects with
//! one key, and forms that are sent twice.

use axum::body::Body;
use keyward_core::people::Role;
use serde_json::{Value, json};

use crate::support::{World, request};

/// A contract of its own, over the standard one.
fn own(rules: &str) -> String {
    format!("schema = 1\nextends = \"standard\"\napi = \"own\"\n{rules}")
}

impl World {
    async fn owner(&self) -> String {
        self.member("owner@example.com", Role::Owner).await.secret.expose().to_owned()
    }

    /// Puts another contract in force.
    async fn govern(&self, rules: &str) {
        let request =
            request(&self.operator, "PUT", "/v1/apis/own", &[("content-type", "text/plain")], Value::Null);
        let (parts, _) = request.into_parts();
        self.send(http::Request::from_parts(parts, Body::from(own(rules)))).await.expect(200);
    }

    async fn key_now(&self, id: &str) -> Value {
        self.get(&format!("/v1/keys/{id}")).await.expect(200).json["key"].clone()
    }

    async fn made(&self, wish: Value) -> String {
        self.create(wish).await.expect(201).text("/key/id").to_owned()
    }
}

#[tokio::test]
async fn a_key_that_is_renamed_may_no_more_than_before() {
    let world = World::with_contract("own", &own("[scopes]\n\"a:x\" = \"A\"\nb = \"B\"\n")).await;
    let session = world.owner().await;
    let key = world.made(json!({ "name": "old", "scopes": ["a:*"] })).await;
    let page = world.open(&session, &format!("/keys/{key}/edit")).await.expect(200);
    assert!(page.body.contains("<code>a:*</code>"), "{}", page.body);
    world.submit(&session, &format!("/keys/{key}/edit"), "name=new").await.expect(303);
    let now = world.key_now(&key).await;
    assert_eq!((&now["name"], &now["scopes"]), (&json!("new"), &json!(["a:*"])));
    // Ticking one adds it.
    world.submit(&session, &format!("/keys/{key}/edit"), "name=new&scope=b").await.expect(303);
    assert_eq!(world.key_now(&key).await["scopes"], json!(["a:*", "b"]));
}

#[tokio::test]
async fn a_key_that_is_renamed_keeps_what_a_later_contract_does_not_offer() {
    let world = World::with_contract("own", &own("[scopes]\ngone = \"G\"\nb = \"B\"\n")).await;
    let session = world.owner().await;
    let end = "2027-01-31T23:59:59.999Z";
    let key = world
        .made(json!({
            "name": "old", "scopes": ["gone"], "addresses": ["192.0.2.0/24"], "expires_at": end,
            "metadata": { "team": "billing" },
        }))
        .await;
    let before = world.key_now(&key).await;
    world.govern("[key]\naddresses = false\nmetadata = false\nexpiry.offered = false\n[scopes]\nb = \"B\"\n").await;
    let form = "name=new&until=&scopes=&resources=&addresses=&metadata=";
    world.submit(&session, &format!("/keys/{key}/edit"), form).await.expect(303);
    let now = world.key_now(&key).await;
    assert_eq!(now["name"], "new");
    for field in ["scopes", "addresses", "expires_at", "metadata"] {
        assert_eq!(now[field], before[field], "{field}");
    }
    // Nor does a scope that the contract names no more stand in the way of another.
    world.submit(&session, &format!("/keys/{key}/edit"), "name=new&scope=b").await.expect(303);
    assert_eq!(world.key_now(&key).await["scopes"], json!(["b", "gone"]));
}
