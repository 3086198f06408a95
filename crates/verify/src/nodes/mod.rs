//! The protocol between the nodes of a shared store: when a node may answer from memory, and when a change that takes
//! something away is in force on all of them.
//!
//! State machines without I/O, clock or randomness: moments (CLOCK_BOOTTIME, in nanoseconds), random numbers and the
//! store's answers are given to them, and they say what to do next. `member` is a node that answers from memory,
//! `wait` one that waits for the others, `reaper` removes who has gone. Whoever carries their messages, the engine's
//! `membership` or a simulation, adds nothing to the rules.
//!
//! What it rests on: a node is registered before it reads what it will serve; a lease runs from before its renewal
//! left, and is published after every change up to the head that the renewal read is applied; a node acknowledges what it has
//! applied and whose exchanges are closed; who waits counts only nodes that were read after the change was written,
//! and otherwise waits out the longest lease of those that have not acknowledged.

pub mod member;
#[cfg(any(test, feature = "simulation"))]
pub mod mutants;
pub mod reaper;
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;
pub mod wait;

use std::time::Duration;

/// How long a node may answer from memory without hearing from the store, and how often it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseLength {
    /// How long a lease lasts.
    pub length: Duration,
    /// How often it is renewed; several times while it lasts.
    pub renew_every: Duration,
}

impl LeaseLength {
    /// Leases of a length, renewed five times while they last.
    pub const fn of(length: Duration) -> Self {
        LeaseLength { length, renew_every: Duration::from_nanos(length.as_nanos() as u64 / 5) }
    }

    /// The longest that a change waits for a node with such leases that does not answer.
    pub fn longest_wait(self) -> Duration {
        wait_of(self.length)
    }
}

impl Default for LeaseLength {
    /// Ten seconds, renewed every two.
    fn default() -> Self {
        Self::of(Duration::from_secs(10))
    }
}

/// How long to wait, on one's own clock, until a lease of this length that was granted before is surely over on
/// another's. Covers clocks of which one runs up to a ninth faster than the other.
pub fn wait_of(lease: Duration) -> Duration {
    lease + lease / 4 + Duration::from_millis(100)
}

/// A duration as nanoseconds, as moments are counted.
pub(crate) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
