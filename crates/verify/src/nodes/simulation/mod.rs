//! A seeded simulation of nodes on one store that drives the real state machines, the real lease and the real cache with
//! its fence, through everything that happens to machines: nodes that are cut off, stopped, suspended, killed and run
//! twice, clocks that run fast or slow and are set, a database that crashes, calls and answers that are lost.
//!
//! One thing must hold: no request that begins after a successful revoke returned is granted. `executor` is time,
//! `database` the store, `node` what one node does, `chaos` what happens to them.

mod chaos;
mod database;
mod executor;
mod node;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use self::database::Database;
use self::executor::{Executor, MILLI};
use self::node::Node;
use super::mutants::Mutant;

/// How long one seed is simulated.
const HORIZON: i64 = 5_000 * MILLI;

/// What came of one seed, or of many.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How many seeds.
    pub seeds: u64,
    /// How many requests were granted, and refused.
    pub accepts: u64,
    /// How many were refused.
    pub denials: u64,
    /// How many could not be decided.
    pub unavailable: u64,
    /// How many revokes returned because every node had acknowledged.
    pub acknowledged: u64,
    /// How many returned because leases were over.
    pub expired: u64,
    /// How many did not succeed.
    pub failed: u64,
    /// The longest that a revoke that succeeded took, in milliseconds.
    pub longest_wait_ms: i64,
    /// How many nodes were told that others no longer waited for them.
    pub fenced: u64,
    /// Requests that were granted though they began after the revoke had returned.
    pub violations: Vec<String>,
}

impl Report {
    /// These and others.
    pub fn add(&mut self, other: Report) {
        self.seeds += other.seeds;
        self.accepts += other.accepts;
        self.denials += other.denials;
        self.unavailable += other.unavailable;
        self.acknowledged += other.acknowledged;
        self.expired += other.expired;
        self.failed += other.failed;
        self.longest_wait_ms = self.longest_wait_ms.max(other.longest_wait_ms);
        self.fenced += other.fenced;
        self.violations.extend(other.violations);
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Report { seeds, accepts, denials, unavailable, acknowledged, expired, failed, .. } = self;
        write!(
            f,
            "{seeds} seeds: {accepts} accepts, {denials} denials, {unavailable} undecided; revokes: {acknowledged} by \
             acknowledgement, {expired} by the end of leases, {failed} failed, longest wait {} ms; {} fenced; {} late accepts",
            self.longest_wait_ms,
            self.fenced,
            self.violations.len()
        )
    }
}

/// Everything that a simulated world is made of.
struct World {
    executor: Rc<Executor>,
    mutant: Option<Mutant>,
    database: RefCell<Database>,
    nodes: RefCell<Vec<Rc<Node>>>,
    /// When the first revoke of each key returned.
    returned: RefCell<HashMap<usize, i64>>,
    report: RefCell<Report>,
}

impl World {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// A request that began at `began` has its answer.
    fn answered(&self, key: usize, began: i64, is_granted: bool) {
        let mut report = self.report.borrow_mut();
        if !is_granted {
            report.denials += 1;
            return;
        }
        report.accepts += 1;
        if let Some(&returned) = self.returned.borrow().get(&key)
            && began > returned
        {
            let now = self.executor.now();
            report
                .violations
                .push(format!("key {key}: revoked at {returned} ns, asked at {began} ns, granted at {now} ns"));
        }
    }

    /// A revoke that began at `began` succeeded.
    fn has_returned(&self, key: usize, began: i64) {
        let now = self.executor.now();
        self.returned.borrow_mut().entry(key).or_insert(now);
        let mut report = self.report.borrow_mut();
        report.longest_wait_ms = report.longest_wait_ms.max((now - began) / MILLI);
    }
}

/// Simulates one seed, with a wrong variant if one is given; those in the state machines need the feature `mutants`.
pub fn run(seed: u64, mutant: Option<Mutant>) -> Report {
    let world = Rc::new(World {
        executor: Executor::new(seed),
        mutant,
        database: RefCell::new(Database::new(mutant)),
        nodes: RefCell::default(),
        returned: RefCell::default(),
        report: RefCell::new(Report { seeds: 1, ..Report::default() }),
    });
    for index in 0..3 {
        Node::start(&world, index);
    }
    chaos::start(&world);
    world.executor.run_until(HORIZON);
    world.executor.clear();
    world.nodes.borrow_mut().clear();
    world.report.take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l01_no_request_that_begins_after_a_revoke_returned_is_granted_in_two_thousand_worlds() {
        let mut all = Report::default();
        for seed in 0..2_000 {
            let report = run(seed, None);
            assert_eq!(report.violations, Vec::<String>::new(), "seed {seed}");
            all.add(report);
        }
        // A world in which nothing happens shows nothing.
        assert!(all.accepts > 200_000 && all.denials > 20_000, "{all}");
        assert!(all.acknowledged > 3_000 && all.expired > 1_000 && all.failed > 1_000 && all.fenced > 50, "{all}");
        assert!(all.longest_wait_ms < 15_000, "{all}");
    }

    #[test]
    fn a_seed_is_the_same_world_each_time() {
        assert_eq!(run(7, None).to_string(), run(7, None).to_string());
    }

    /// Simulates until a wrong variant is noticed.
    #[cfg(feature = "mutants")]
    fn is_noticed(mutant: Mutant) {
        let first = (0..5_000).find(|seed| !run(*seed, Some(mutant)).violations.is_empty());
        assert!(first.is_some(), "{mutant:?} was not noticed in 5,000 worlds");
    }

    /// A test for each, so that they run beside one another; [`Mutant::ALL`] says whether one is missing.
    #[cfg(feature = "mutants")]
    macro_rules! are_noticed {
        ($($name:ident: $mutant:ident,)*) => {
            $(#[test]
            fn $name() {
                is_noticed(Mutant::$mutant);
            })*

            #[test]
            fn every_wrong_variant_has_its_test() {
                assert_eq!(Mutant::ALL.to_vec(), [$(Mutant::$mutant),*]);
            }
        };
    }

    #[cfg(feature = "mutants")]
    are_noticed! {
        l01_no_lease_is_noticed: NoLease,
        l01_no_wait_is_noticed: NoWait,
        l01_a_short_wait_is_noticed: ShortWait,
        l01_a_lease_before_its_changes_is_noticed: ExtendBeforeApply,
        l01_an_acknowledgement_before_applying_is_noticed: AcknowledgeBeforeApply,
        l01_a_lease_from_the_answer_on_is_noticed: LeaseFromAnswer,
        l04_a_fill_without_a_fence_is_noticed: FillUnfenced,
        l01_a_look_before_the_lease_is_noticed: LookupBeforeLease,
        l02_a_second_revoke_that_does_not_wait_is_noticed: RevokedReturnsEarly,
        l01_a_hasty_reaper_is_noticed: ReapUnguarded,
        l01_revisions_from_a_sequence_are_noticed: RevisionFromSequence,
        l01_a_replica_is_noticed: ReplicaRead,
        l01_a_late_registration_is_noticed: RegisterAfterLoad,
        l01_members_from_before_the_commit_are_noticed: MembersBeforeCommit,
        l01_a_lost_answer_taken_for_success_is_noticed: AmbiguousIsSuccess,
        s16_a_clock_that_sleeps_is_noticed: ClockStopsInSuspend,
        l08_the_wall_clock_is_noticed: WallClock,
        l01_an_id_used_twice_is_noticed: StableNodeId,
        l01_renewals_that_are_not_durable_are_noticed: AsyncRenewal,
    }
}
