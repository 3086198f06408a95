//! Removing nodes that have gone: whose renewal has not changed for a whole wait, on this node's own clock. Their lease
//! is surely over, and a change need not wait for them again.

use std::collections::HashMap;

use keyward_core::id::NodeId;
use keyward_core::nodes::{Census, Epoch};

use super::{nanos, wait_of};

/// What was observed of the others.
#[derive(Debug, Default)]
pub struct Reaper {
    /// Since when each has had the nonce that it has.
    seen: HashMap<NodeId, (u128, i64)>,
    epoch: Option<Epoch>,
    #[cfg(feature = "mutants")]
    mutant: Option<super::mutants::Mutant>,
}

impl Reaper {
    /// One that does something wrong, to see whether it is noticed.
    #[cfg(feature = "mutants")]
    pub fn with_mutant(mutant: Option<super::mutants::Mutant>) -> Self {
        Reaper { mutant, ..Self::default() }
    }

    /// Takes a look at the nodes; `now` must be read after it was answered. Gives those to remove, each with the nonce
    /// that it must still have then.
    pub fn observe(&mut self, now: i64, census: &Census) -> Vec<(NodeId, u128)> {
        // A database that came back may have come back with older rows.
        if self.epoch.as_ref() != Some(&census.epoch) {
            self.seen.clear();
            self.epoch = Some(census.epoch.clone());
        }
        let mut gone = Vec::new();
        let mut seen = HashMap::with_capacity(census.nodes.len());
        for node in &census.nodes {
            let since = match self.seen.get(&node.id) {
                Some(&(nonce, since)) if nonce == node.nonce => since,
                _ => now,
            };
            let is_gone = now.saturating_sub(since) >= nanos(wait_of(node.lease));
            #[cfg(feature = "mutants")]
            let is_gone = is_gone
                || (self.mutant == Some(super::mutants::Mutant::ReapUnguarded) && self.seen.contains_key(&node.id));
            if is_gone {
                gone.push((node.id, node.nonce));
            } else {
                seen.insert(node.id, (node.nonce, since));
            }
        }
        self.seen = seen;
        gone
    }
}
