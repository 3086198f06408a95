//! Known wrong variants of the protocol, to see that the simulation notices each. Those that are about the database, a
//! clock or the way of a request are the simulated world's; the others are in the state machines, built only with the feature `mutants`,
//! and nothing is different until one is chosen at run time.

/// A wrong variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Answers from memory whatever the lease says.
    NoLease,
    /// Waits for nobody.
    NoWait,
    /// Waits half a lease.
    ShortWait,
    /// Publishes a lease before the changes that its renewal read are applied.
    ExtendBeforeApply,
    /// Acknowledges before applying.
    AcknowledgeBeforeApply,
    /// Lets a lease run from the answer of its renewal.
    LeaseFromAnswer,
    /// Lets whatever was read into memory.
    FillUnfenced,
    /// Looks into memory before it asks the lease.
    LookupBeforeLease,
    /// Does not wait where a key was revoked already.
    RevokedReturnsEarly,
    /// Removes nodes that it has only just seen.
    ReapUnguarded,
    /// Takes revisions from a sequence, so that they are not in the order of commits.
    RevisionFromSequence,
    /// Renews against a replica that lags.
    ReplicaRead,
    /// Answers from memory before it is registered.
    RegisterAfterLoad,
    /// Waits for the nodes that were known before the commit.
    MembersBeforeCommit,
    /// Takes a commit without an answer for done.
    AmbiguousIsSuccess,
    /// Measures leases with a clock that stands still while the machine is suspended.
    ClockStopsInSuspend,
    /// Measures leases with the wall clock.
    WallClock,
    /// Registers under the same id at every start.
    StableNodeId,
    /// Renewals are not durable.
    AsyncRenewal,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 19] = [
        Mutant::NoLease,
        Mutant::NoWait,
        Mutant::ShortWait,
        Mutant::ExtendBeforeApply,
        Mutant::AcknowledgeBeforeApply,
        Mutant::LeaseFromAnswer,
        Mutant::FillUnfenced,
        Mutant::LookupBeforeLease,
        Mutant::RevokedReturnsEarly,
        Mutant::ReapUnguarded,
        Mutant::RevisionFromSequence,
        Mutant::ReplicaRead,
        Mutant::RegisterAfterLoad,
        Mutant::MembersBeforeCommit,
        Mutant::AmbiguousIsSuccess,
        Mutant::ClockStopsInSuspend,
        Mutant::WallClock,
        Mutant::StableNodeId,
        Mutant::AsyncRenewal,
    ];
}
