//! The nodes: which there are, and how each stands. One for the embedded store; several where they share one.

use std::time::Duration;

use keyward_core::change::Revision;
use keyward_core::clock::Timestamp;
use keyward_core::id::NodeId;
use keyward_core::nodes::{Census, SeenNode as Registered};
use keyward_core::permission::Permission;
use keyward_verify::Standing;

use super::error::Result;
use super::{Asked, Control};

/// What the one node of an embedded store is called.
const EMBEDDED: &str = "embedded";

/// A node and how it stands.
#[derive(Debug, Clone)]
pub struct SeenNode {
    /// This run of it; none where it is the only one of its store, or is not registered now.
    pub id: Option<NodeId>,
    /// What people call it.
    pub name: String,
    /// Which version of Keyward it runs.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Everything up to here is in force there, as far as the others know.
    pub revision: Revision,
    /// The last revision of the log.
    pub head: Revision,
    /// For how long it may answer from memory.
    pub lease: SeenLease,
    /// What only a node knows of itself: there for the one that answers.
    pub own: Option<OwnStanding>,
}

/// A node's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenLease {
    /// How long each lasts; none where it has no end.
    pub length: Option<Duration>,
    /// When it was renewed last, by the store's clock.
    pub renewed_at: Option<Timestamp>,
    /// Whether it holds.
    pub state: LeaseState,
}

/// Whether a lease holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// It holds.
    Held,
    /// It has run out: the node answers nothing from memory.
    Ended,
    /// It has no end: the node is the only one of its store.
    Endless,
}

impl LeaseState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            LeaseState::Held => "held",
            LeaseState::Ended => "ended",
            LeaseState::Endless => "endless",
        }
    }
}

/// What a node knows of itself.
#[derive(Debug, Clone)]
pub struct OwnStanding {
    /// Whether it decides.
    pub is_ready: bool,
    /// Why it does not, or what else is wrong with it.
    pub reasons: Vec<String>,
    /// Whether the store takes writes.
    pub is_writable: bool,
    /// How many keys it has at hand.
    pub cached_keys: usize,
    /// How many requests are on their way through it.
    pub open_exchanges: usize,
}

impl SeenNode {
    /// How many revisions it is behind.
    pub fn lag(&self) -> u64 {
        self.head.0.saturating_sub(self.revision.0).max(0).unsigned_abs()
    }
}

impl Control {
    /// The nodes: the one that answers first, then the others, oldest first.
    ///
    /// # Errors
    /// Where the caller is not the operator.
    pub async fn nodes(&self, asked: &Asked) -> Result<Vec<SeenNode>> {
        asked.require_everywhere(Permission::Operate)?;
        let standing = self.engine.standing();
        let mut others = match self.store.nodes() {
            Some(nodes) => seen(&nodes.census().await?),
            None => Vec::new(),
        };
        let own = others.iter().position(|node| node.id.is_some() && node.id == standing.id);
        let mut own = match own {
            Some(place) => others.remove(place),
            None => self.alone(&standing, self.store.head().await?.0),
        };
        // Nobody knows better than the node itself.
        own.lease.state = state_of(&standing);
        own.revision = standing.applied;
        own.own = Some(OwnStanding {
            is_ready: standing.is_ready,
            reasons: standing.reasons,
            is_writable: self.store.is_writable().await,
            cached_keys: self.engine.cached_keys(),
            open_exchanges: self.engine.open_exchanges(),
        });
        others.insert(0, own);
        Ok(others)
    }

    /// This node where it is not among those that are registered.
    fn alone(&self, standing: &Standing, head: Revision) -> SeenNode {
        SeenNode {
            id: standing.id,
            name: EMBEDDED.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            started_at: self.started_at,
            revision: standing.applied,
            head: head.max(standing.applied),
            lease: SeenLease { length: None, renewed_at: None, state: state_of(standing) },
            own: None,
        }
    }
}

/// Those that are registered.
fn seen(census: &Census) -> Vec<SeenNode> {
    let seen = |node: &Registered| {
        let is_held = census.now.since(node.renewed_at) <= node.lease;
        SeenNode {
            id: Some(node.id),
            name: node.name.clone(),
            version: node.version.clone(),
            started_at: node.started_at,
            revision: node.acknowledged,
            head: census.head,
            lease: SeenLease {
                length: Some(node.lease),
                renewed_at: Some(node.renewed_at),
                state: if is_held { LeaseState::Held } else { LeaseState::Ended },
            },
            own: None,
        }
    };
    census.nodes.iter().map(seen).collect()
}

fn state_of(standing: &Standing) -> LeaseState {
    match standing.lease_ends_in {
        _ if !standing.is_ready => LeaseState::Ended,
        None => LeaseState::Endless,
        Some(left) if left.is_zero() => LeaseState::Ended,
        Some(_) => LeaseState::Held,
    }
}
