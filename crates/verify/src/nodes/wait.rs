//! A node that waits until a change is in force on all: every node that was registered when the change was written has
//! acknowledged it or is gone, or the leases of those that have not have run out.
//!
//! Many wait at once and share each look at the nodes. A look counts for those who began to wait before it left, for
//! only then was it surely taken after their change was written.

use std::time::Duration;

use keyward_core::change::Revision;
use keyward_core::id::NodeId;
use keyward_core::nodes::{Census, SeenNode};

use super::{nanos, wait_of};

/// How long the nodes may stay unknown, beyond the own lease's wait, before somebody who waits is told so.
const PATIENCE: Duration = Duration::from_secs(2);

/// What waiting ended in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every node has acknowledged it.
    Acknowledged {
        /// How many there are.
        nodes: u32,
    },
    /// The leases of those that have not acknowledged it are over.
    LeaseExpired {
        /// How many have acknowledged it.
        nodes: u32,
        /// How many have not.
        missing: u32,
    },
    /// The store went back behind the change.
    Lost,
    /// The nodes could not be asked for so long that nothing is known.
    Unknown,
}

/// Those who wait.
#[derive(Debug)]
pub struct Waiters<W> {
    waiting: Vec<Waiting<W>>,
    /// How many looks have left.
    looks: u64,
    own_lease: Duration,
    #[cfg(feature = "mutants")]
    mutant: Option<super::mutants::Mutant>,
    #[cfg(feature = "mutants")]
    known: Option<Vec<NodeId>>,
}

#[derive(Debug)]
struct Waiting<W> {
    who: W,
    revision: Revision,
    /// When the change was seen to be written.
    since: i64,
    /// How many looks had left then.
    looks: u64,
    /// What the last look that counts found.
    last: Option<Found>,
    /// Whom alone to wait for, wrongly.
    #[cfg(feature = "mutants")]
    known: Option<Vec<NodeId>>,
}

/// What a look found out about a change.
#[derive(Debug, Clone, Copy)]
enum Found {
    /// The store does not have it.
    Lost,
    /// Who has acknowledged it, and who has not.
    Nodes {
        acknowledged: u32,
        missing: u32,
        /// The longest lease of those that have not.
        lease: Duration,
    },
}

/// A look that has left.
#[derive(Debug, Clone, Copy)]
pub struct Look(u64);

impl<W> Waiters<W> {
    /// Nobody yet, on a node with leases of this length.
    pub fn new(own_lease: Duration) -> Self {
        Waiters {
            waiting: Vec::new(),
            looks: 0,
            own_lease,
            #[cfg(feature = "mutants")]
            mutant: None,
            #[cfg(feature = "mutants")]
            known: None,
        }
    }

    /// One that does something wrong, to see whether it is noticed.
    #[cfg(feature = "mutants")]
    pub fn with_mutant(own_lease: Duration, mutant: Option<super::mutants::Mutant>) -> Self {
        Waiters { mutant, ..Self::new(own_lease) }
    }

    /// Somebody begins to wait. `now` must be read after the change was seen to be written.
    pub fn join(&mut self, now: i64, revision: Revision, who: W) {
        self.waiting.push(Waiting {
            who,
            revision,
            since: now,
            looks: self.looks,
            last: None,
            #[cfg(feature = "mutants")]
            known: self.known.clone(),
        });
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A look leaves now.
    pub fn look(&mut self) -> Look {
        self.looks += 1;
        Look(self.looks)
    }

    /// What a look found. `own` is this node's run and up to where it has come, which it knows before the store does.
    /// Gives those who need not wait any longer.
    pub fn seen(
        &mut self,
        now: i64,
        look: Look,
        census: &Census,
        own: Option<(NodeId, Revision)>,
    ) -> Vec<(W, Outcome)> {
        #[cfg(feature = "mutants")]
        self.know(census);
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.looks < look.0) {
            #[cfg(feature = "mutants")]
            let nodes =
                census.nodes.iter().filter(|node| waiting.known.as_ref().is_none_or(|k| k.contains(&node.id)));
            #[cfg(not(feature = "mutants"))]
            let nodes = census.nodes.iter();
            waiting.last = Some(match census.head < waiting.revision {
                true => Found::Lost,
                false => Found::of(nodes, waiting.revision, census.head, own),
            });
        }
        self.passed(now)
    }

    /// Gives those who need not wait any longer because time has passed.
    pub fn passed(&mut self, now: i64) -> Vec<(W, Outcome)> {
        let patience = wait_of(self.own_lease) + PATIENCE;
        #[cfg(feature = "mutants")]
        let mutant = self.mutant;
        let mut done = Vec::new();
        let mut still = Vec::new();
        for waiting in self.waiting.drain(..) {
            #[cfg(feature = "mutants")]
            let outcome = waiting.wrongly(mutant, now).or_else(|| waiting.outcome(now, patience));
            #[cfg(not(feature = "mutants"))]
            let outcome = waiting.outcome(now, patience);
            match outcome {
                Some(outcome) => done.push((waiting.who, outcome)),
                None => still.push(waiting),
            }
        }
        self.waiting = still;
        done
    }

    /// Ends all waiting: the store is not what it was.
    pub fn give_up(&mut self) -> Vec<(W, Outcome)> {
        self.waiting.drain(..).map(|waiting| (waiting.who, Outcome::Lost)).collect()
    }
}

impl<W> Waiting<W> {
    fn outcome(&self, now: i64, patience: Duration) -> Option<Outcome> {
        let waited = now.saturating_sub(self.since);
        match self.last {
            Some(Found::Lost) => Some(Outcome::Lost),
            Some(Found::Nodes { missing: 0, acknowledged, .. }) => {
                Some(Outcome::Acknowledged { nodes: acknowledged })
            }
            Some(Found::Nodes { acknowledged, missing, lease }) => {
                (waited >= nanos(wait_of(lease))).then_some(Outcome::LeaseExpired { nodes: acknowledged, missing })
            }
            None => (waited >= nanos(patience)).then_some(Outcome::Unknown),
        }
    }
}

#[cfg(feature = "mutants")]
impl<W> Waiters<W> {
    fn know(&mut self, census: &Census) {
        if self.mutant == Some(super::mutants::Mutant::MembersBeforeCommit) {
            self.known = Some(census.nodes.iter().map(|node| node.id).collect());
        }
    }

    /// Takes a look that nobody waits for.
    pub fn seen_before(&mut self, census: &Census) {
        self.know(census);
    }
}

#[cfg(feature = "mutants")]
impl<W> Waiting<W> {
    fn wrongly(&self, mutant: Option<super::mutants::Mutant>, now: i64) -> Option<Outcome> {
        use super::mutants::Mutant;
        let expired = Outcome::LeaseExpired { nodes: 0, missing: 0 };
        match (mutant?, self.last) {
            (Mutant::NoWait, _) => Some(expired),
            (Mutant::ShortWait, Some(Found::Nodes { lease, .. })) if now - self.since >= nanos(lease / 2) => {
                Some(expired)
            }
            _ => None,
        }
    }
}

impl Found {
    fn of<'a>(
        nodes: impl Iterator<Item = &'a SeenNode>,
        revision: Revision,
        head: Revision,
        own: Option<(NodeId, Revision)>,
    ) -> Self {
        let (mut acknowledged, mut missing, mut lease) = (0, 0, Duration::ZERO);
        for node in nodes {
            let known = own.filter(|(id, _)| *id == node.id).map_or(Revision::ZERO, |(_, drained)| drained);
            // Who has acknowledged what is not written yet speaks of another past of this store.
            let told = if node.acknowledged <= head { node.acknowledged } else { Revision::ZERO };
            if told.max(known) >= revision {
                acknowledged += 1;
            } else {
                missing += 1;
                lease = lease.max(node.lease);
            }
        }
        Found::Nodes { acknowledged, missing, lease }
    }
}

/// How a change stands by one look that was taken after it was written, without waiting; none while a node is missing.
pub fn stands(census: &Census, revision: Revision, own: Option<(NodeId, Revision)>) -> Option<Outcome> {
    if census.head < revision {
        return Some(Outcome::Lost);
    }
    match Found::of(census.nodes.iter(), revision, census.head, own) {
        Found::Nodes { missing: 0, acknowledged, .. } => Some(Outcome::Acknowledged { nodes: acknowledged }),
        _ => None,
    }
}
