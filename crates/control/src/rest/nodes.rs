//! The nodes over HTTP.

use axum::Json;
use axum::extract::State;
use keyward_core::clock::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::Asking;
use super::doors::Rest;
use super::problem::Problem;
use crate::use_cases::{SeenLease, SeenNode};

/// A node and how it stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Node)]
pub(super) struct NodeAnswer {
    /// This run of it: another after every start. Null where it is the only one of its store.
    #[schema(required = true)]
    id: Option<String>,
    /// What people call it.
    name: String,
    /// Which version of Keyward it runs.
    version: String,
    /// When it started.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// Everything up to here is in force there.
    revision: i64,
    /// The last revision of the log.
    head: i64,
    lease: LeaseAnswer,
    /// Whether it is the one that answers. What follows is null for the others: only a node itself knows it.
    is_this: bool,
    /// Whether it decides.
    #[schema(required = true)]
    ready: Option<bool>,
    /// Why it does not, or what else is wrong with it.
    #[schema(required = true)]
    reasons: Option<Vec<String>>,
    /// Whether the store takes its writes.
    #[schema(required = true)]
    writable: Option<bool>,
    /// How many keys it has in memory.
    #[schema(required = true)]
    cached_keys: Option<u64>,
    /// How many requests are under way.
    #[schema(required = true)]
    open_exchanges: Option<u64>,
}

/// For how long a node may answer from memory.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Lease)]
pub(super) struct LeaseAnswer {
    /// How long each lasts; null where it has no end.
    #[schema(required = true)]
    length_seconds: Option<f64>,
    /// When it was renewed last.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    renewed_at: Option<Timestamp>,
    /// held, ended (the node answers nothing from memory) or endless (it is the only one of its store).
    #[schema(value_type = String)]
    state: &'static str,
}

impl From<SeenNode> for NodeAnswer {
    fn from(node: SeenNode) -> Self {
        let SeenLease { length, renewed_at, state } = node.lease;
        let lease = LeaseAnswer {
            length_seconds: length.map(|length| length.as_secs_f64()),
            renewed_at,
            state: state.as_str(),
        };
        let own = node.own.as_ref();
        NodeAnswer {
            id: node.id.map(|id| id.to_string()),
            name: node.name,
            version: node.version,
            started_at: node.started_at,
            revision: node.revision.0,
            head: node.head.0,
            lease,
            is_this: own.is_some(),
            ready: own.map(|own| own.is_ready),
            writable: own.map(|own| own.is_writable),
            cached_keys: own.map(|own| own.cached_keys as u64),
            open_exchanges: own.map(|own| own.open_exchanges as u64),
            reasons: node.own.map(|own| own.reasons),
        }
    }
}

/// All nodes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NodeList {
    items: Vec<NodeAnswer>,
    /// Always null: the list is whole.
    next_cursor: Option<String>,
}

/// List the nodes
///
/// The one that answers first, then the others, oldest first. For the operator alone.
#[utoipa::path(get, path = "/v1/nodes", tag = "operation",
    responses((status = 200, description = "The nodes", body = NodeList)))]
pub(super) async fn list_nodes(
    State(control): State<Rest>,
    Asking(asked): Asking,
) -> Result<Json<NodeList>, Problem> {
    let items = control.nodes(&asked).await?.into_iter().map(NodeAnswer::from).collect();
    Ok(Json(NodeList { items, next_cursor: None }))
}
