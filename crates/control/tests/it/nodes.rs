//! The list of nodes: of the embedded store's one, and of several that share a store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keyward_core::change::{Entry, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::NodeId;
use keyward_core::nodes::{Census, Epoch, Followed, NewNode, Nodes, Renewal, Replayed, SeenNode};
use keyward_core::store::{Result, StoreError};
use serde_json::{Value, json};

use crate::support::World;

/// Nodes that can only be counted.
struct Listed(Census);

fn refused<T>() -> Result<T> {
    Err(StoreError::Unavailable("these nodes are only listed".into()))
}

#[async_trait]
impl Nodes for Listed {
    async fn register(&self, _: &NewNode) -> Result<()> {
        refused()
    }

    async fn renew(&self, _: NodeId, _: u128, _: Revision, _: Followed, _: u32) -> Result<Renewal> {
        refused()
    }

    async fn acknowledge(&self, _: NodeId, _: Revision) -> Result<()> {
        refused()
    }

    async fn census(&self) -> Result<Census> {
        Ok(self.0.clone())
    }

    async fn reap(&self, _: NodeId, _: u128) -> Result<bool> {
        refused()
    }

    async fn leave(&self, _: NodeId) -> Result<()> {
        refused()
    }

    async fn remember(&self, _: &[Entry]) -> Result<()> {
        refused()
    }

    async fn replay(&self) -> Result<Replayed> {
        refused()
    }

    async fn hint(&self, seen: u64) -> u64 {
        seen
    }
}

/// Three nodes beside the one that answers: one up to date, one behind, one that has stopped.
pub fn three_nodes(now: Timestamp) -> Arc<dyn Nodes> {
    let node = |number: u128, name: &str, acknowledged: i64, renewed_ago: u64| SeenNode {
        id: NodeId::from_u128(number),
        nonce: 1,
        acknowledged: Revision(acknowledged),
        lease: Duration::from_secs(10),
        name: name.into(),
        version: "0.1.0".into(),
        started_at: Timestamp::from_millis(now.as_millis() - 60_000),
        renewed_at: Timestamp::from_millis(now.as_millis() - renewed_ago as i64),
    };
    let nodes = vec![node(1, "node-a", 40, 1_000), node(2, "node-b", 37, 2_000), node(3, "node-c", 5, 60_000)];
    Arc::new(Listed(Census { nodes, epoch: Epoch("one".into()), head: Revision(40), now }))
}

#[tokio::test]
async fn the_embedded_store_has_one_node() {
    let world = World::with("standard").await;
    let answer = world.get("/v1/nodes").await.expect(200);
    assert_eq!(answer.json["next_cursor"], Value::Null);
    let items = answer.json["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    let node = &items[0];
    assert_eq!((&node["id"], &node["is_this"], &node["ready"]), (&Value::Null, &json!(true), &json!(true)));
    assert_eq!(node["lease"], json!({ "length_seconds": null, "renewed_at": null, "state": "endless" }));
    assert_eq!((&node["revision"], &node["reasons"]), (&node["head"], &json!([])));
    assert!(node["head"].as_i64().unwrap() > 0 && node["cached_keys"].is_u64() && node["writable"] == true);
}

#[tokio::test]
async fn nodes_of_a_shared_store_are_listed_with_lease_and_lag() {
    let world = World::with("standard").await;
    world.store.share(three_nodes(world.control.now()));
    let answer = world.get("/v1/nodes").await.expect(200);
    let told: Vec<_> = answer.json["items"]
        .as_array()
        .unwrap()
        .iter()
        .skip(1)
        .map(|node| json!([node["name"], node["lease"]["state"], node["revision"], node["head"], node["is_this"]]))
        .collect();
    assert_eq!(
        told,
        [
            json!(["node-a", "held", 40, 40, false]),
            json!(["node-b", "held", 37, 40, false]),
            json!(["node-c", "ended", 5, 40, false])
        ]
    );
    let first = &answer.json["items"][1];
    assert_eq!((&first["lease"]["length_seconds"], &first["ready"]), (&json!(10.0), &Value::Null));
    assert!(first["lease"]["renewed_at"].is_string() && first["id"].as_str().unwrap().starts_with("node_"));
    // Whoever answers is there too, registered or not.
    assert_eq!(answer.json["items"][0]["is_this"], true);
}

#[tokio::test]
async fn t04_the_nodes_are_the_operators_business_alone() {
    let world = World::with("standard").await;
    let bounded = world.management_key(&["*"], json!({ "organization": world.organization })).await;
    assert_eq!(world.ask(&bounded, "GET", "/v1/nodes", Value::Null).await.problem(), (403, "forbidden"));
    let reader = world.management_key(&["keys:read"], Value::Null).await;
    assert_eq!(world.ask(&reader, "GET", "/v1/nodes", Value::Null).await.problem(), (403, "forbidden"));
    assert_eq!(world.get("/v1/nodes?limit=1").await.status, 422);
}
