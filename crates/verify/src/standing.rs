//! How a node stands, for readiness, for the list of nodes and for metrics.

use std::time::Duration;

use keyward_core::change::Revision;
use keyward_core::id::NodeId;

use crate::engine::Engine;

/// How a node stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// This run of it; none where it is the only one of its store, or is not registered now.
    pub id: Option<NodeId>,
    /// How long it may answer from memory still, zero where it may not; none where that has no end.
    pub lease_ends_in: Option<Duration>,
    /// How long ago the renewal left that the lease runs from.
    pub lease_age: Option<Duration>,
    /// The last revision applied.
    pub applied: Revision,
    /// The last revision known to be written.
    pub seen_head: Revision,
    /// How far the machine's wall clock is ahead of the database's, in milliseconds; 0 with the embedded store.
    pub clock_skew_ms: i64,
    /// Whether it may grant now.
    pub is_ready: bool,
    /// Why it is not ready, or what else is wrong with it.
    pub reasons: Vec<String>,
}

impl Engine {
    /// How this node stands.
    pub fn standing(&self) -> Standing {
        if let Some(membership) = &self.membership {
            return membership.standing(self);
        }
        let is_ready = self.is_ready();
        let reason = "the log could not be followed: nothing is granted until it can";
        Standing {
            id: None,
            lease_ends_in: self.lease.left(&*self.clock),
            lease_age: None,
            applied: self.applied(),
            seen_head: self.applied(),
            clock_skew_ms: 0,
            is_ready,
            reasons: if is_ready { Vec::new() } else { vec![reason.to_owned()] },
        }
    }
}
