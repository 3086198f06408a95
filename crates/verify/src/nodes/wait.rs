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
    /// How many nodes vanished that the look before had found without an acknowledgement: whose lease had ended, so that
    /// another removed them. One that took its leave looks the same from here, even where it acknowledged between the two
    /// looks; then too nobody can tell that it had confirmed the change.
    gone: u32,
    /// Whom alone to wait for, wrongly.
    #[cfg(feature = "mutants")]
    known: Option<Vec<NodeId>>,
}

/// What a look found out about a change.
#[derive(Debug)]
enum Found {
    /// The store does not have it.
    Lost,
    /// Who has acknowledged it, and who has not.
    Nodes {
        acknowledged: u32,
        missing: Vec<NodeId>,
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
            gone: 0,
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
            let found = match census.head < waiting.revision {
                true => Found::Lost,
                false => Found::of(nodes, waiting.revision, census.head, own),
            };
            waiting.gone += waiting.vanished(census);
            waiting.last = Some(found);
        }
        self.passed(now)
    }

    /// Gives those who need not wait any longer because time has passed. Also where the nodes cannot be looked at just
    /// now: whoever may serve without the change was seen by the first look that counts, with how long its leases last,
    /// for who registers later reads the change. Without such a look nothing is known, however long it is waited.
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
        match &self.last {
            Some(Found::Lost) => Some(Outcome::Lost),
            Some(Found::Nodes { acknowledged, missing, lease }) => {
                let is_over = missing.is_empty() || waited >= nanos(wait_of(*lease));
                let nodes = *acknowledged;
                is_over.then(|| match missing.len() as u32 + self.gone {
                    0 => Outcome::Acknowledged { nodes },
                    missing => Outcome::LeaseExpired { nodes, missing },
                })
            }
            None => (waited >= nanos(patience)).then_some(Outcome::Unknown),
        }
    }

    /// How many of those that had not acknowledged are not there any more.
    fn vanished(&self, census: &Census) -> u32 {
        let Some(Found::Nodes { missing, .. }) = &self.last else { return 0 };
        missing.iter().filter(|id| census.nodes.iter().all(|node| node.id != **id)).count() as u32
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
        match (mutant?, &self.last) {
            (Mutant::NoWait, _) => Some(expired),
            (Mutant::ShortWait, Some(Found::Nodes { lease, .. })) if now - self.since >= nanos(*lease / 2) => {
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
        let (mut acknowledged, mut missing, mut lease) = (0, Vec::new(), Duration::ZERO);
        for node in nodes {
            let known = own.filter(|(id, _)| *id == node.id).map_or(Revision::ZERO, |(_, drained)| drained);
            // Who has acknowledged what is not written yet speaks of another past of this store.
            let told = if node.acknowledged <= head { node.acknowledged } else { Revision::ZERO };
            if told.max(known) >= revision {
                acknowledged += 1;
            } else {
                missing.push(node.id);
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
        Found::Nodes { missing, acknowledged, .. } if missing.is_empty() => {
            Some(Outcome::Acknowledged { nodes: acknowledged })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use keyward_core::clock::Timestamp;
    use keyward_core::nodes::Epoch;

    use super::*;

    const LEASE: Duration = Duration::from_secs(10);
    const CHANGE: Revision = Revision(7);
    const SECOND: i64 = 1_000_000_000;

    /// Nodes, each with how far it has acknowledged and how long its leases last.
    fn census(nodes: &[(u128, i64, Duration)]) -> Census {
        let at = Timestamp::from_millis(0);
        let seen = |&(id, acknowledged, lease): &(u128, i64, Duration)| SeenNode {
            id: NodeId::from_u128(id),
            nonce: 0,
            acknowledged: Revision(acknowledged),
            lease,
            name: String::new(),
            version: String::new(),
            started_at: at,
            renewed_at: at,
        };
        Census { nodes: nodes.iter().map(seen).collect(), epoch: Epoch("one".into()), head: CHANGE, now: at }
    }

    /// Somebody who waits for the change from moment zero.
    fn waiter() -> Waiters<()> {
        let mut waiters = Waiters::new(LEASE);
        waiters.join(0, CHANGE, ());
        waiters
    }

    fn look(waiters: &mut Waiters<()>, now: i64, nodes: &[(u128, i64, Duration)]) -> Option<Outcome> {
        let look = waiters.look();
        waiters.seen(now, look, &census(nodes), None).pop().map(|((), outcome)| outcome)
    }

    #[test]
    fn who_acknowledges_late_has_acknowledged() {
        let mut waiters = waiter();
        assert_eq!(look(&mut waiters, SECOND, &[(1, 7, LEASE), (2, 6, LEASE)]), None);
        let all = look(&mut waiters, 2 * SECOND, &[(1, 7, LEASE), (2, 7, LEASE)]);
        assert_eq!(all, Some(Outcome::Acknowledged { nodes: 2 }));
    }

    #[test]
    fn l02_who_is_removed_without_an_acknowledgement_has_not_confirmed() {
        let mut waiters = waiter();
        assert_eq!(look(&mut waiters, SECOND, &[(1, 7, LEASE), (2, 6, LEASE), (3, 6, LEASE)]), None);
        // Another's reaper waited longer for the second than this one has.
        assert_eq!(look(&mut waiters, 2 * SECOND, &[(1, 7, LEASE), (3, 6, LEASE)]), None);
        let rest = look(&mut waiters, 3 * SECOND, &[(1, 7, LEASE), (3, 7, LEASE)]);
        assert_eq!(rest, Some(Outcome::LeaseExpired { nodes: 2, missing: 1 }));
    }

    #[test]
    fn who_vanishes_after_it_acknowledged_has_confirmed() {
        let mut waiters = waiter();
        assert_eq!(look(&mut waiters, SECOND, &[(1, 7, LEASE), (2, 7, LEASE), (3, 6, LEASE)]), None);
        let rest = look(&mut waiters, 2 * SECOND, &[(1, 7, LEASE), (3, 7, LEASE)]);
        assert_eq!(rest, Some(Outcome::Acknowledged { nodes: 2 }));
    }

    #[test]
    fn who_was_gone_before_the_first_look_that_counts_is_nobody() {
        let mut waiters = Waiters::new(LEASE);
        let early = waiters.look();
        waiters.join(0, CHANGE, ());
        assert!(waiters.seen(SECOND, early, &census(&[(1, 7, LEASE), (2, 6, LEASE)]), None).is_empty());
        let counts = look(&mut waiters, SECOND, &[(1, 7, LEASE)]);
        assert_eq!(counts, Some(Outcome::Acknowledged { nodes: 1 }));
    }

    #[test]
    fn l02_a_longer_lease_is_waited_for_though_the_nodes_can_not_be_looked_at_any_more() {
        let longer = 3 * LEASE;
        let mut waiters = waiter();
        assert_eq!(look(&mut waiters, SECOND, &[(1, 7, LEASE), (2, 6, longer), (3, 6, LEASE)]), None);
        let end = nanos(wait_of(longer));
        for now in [nanos(wait_of(LEASE)), nanos(wait_of(LEASE) + PATIENCE), nanos(longer), end - 1] {
            assert!(waiters.passed(now).is_empty(), "{now}");
        }
        assert_eq!(waiters.passed(end), [((), Outcome::LeaseExpired { nodes: 1, missing: 2 })]);
    }

    #[test]
    fn l02_no_lease_is_over_where_the_nodes_were_never_looked_at() {
        // Another's lease may be longer than any that this node knows of.
        let mut waiters = waiter();
        let end = nanos(wait_of(LEASE) + PATIENCE);
        assert!(waiters.passed(end - 1).is_empty());
        assert_eq!(waiters.passed(100 * end), [((), Outcome::Unknown)]);
    }
}
