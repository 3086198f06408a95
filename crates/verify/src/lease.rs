//! The lease: until when this node may answer from its cache. Read before every look-up.
//!
//! With the embedded store there is one node and the lease has no end; it is suspended only while changes are known to be
//! written that this node could not read. Where several nodes share a store, each renewal lets it run on to a moment.
//!
//! One atomic number. It is stored with `Release` after the changes are applied that the renewal read, and loaded with
//! `Acquire` before memory is looked at; so whoever sees a lease also sees in memory all that was applied before
//! it was published. Asked the other way round, what memory held may be older than the lease that is seen.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use keyward_core::clock::Clock;

const ENDLESS: i64 = i64::MAX;
const OVER: i64 = i64::MIN;

/// Until when answers from the cache are good, on the clock that never jumps.
#[derive(Debug)]
pub struct Lease(AtomicI64);

impl Lease {
    /// A lease without end, for the only node of a store.
    pub fn endless() -> Self {
        Lease(AtomicI64::new(ENDLESS))
    }

    /// None yet, for one node of several.
    pub fn over() -> Self {
        Lease(AtomicI64::new(OVER))
    }

    /// Whether it holds now. To be asked before the cache is looked at: what the cache held then was good.
    pub fn holds(&self, clock: &dyn Clock) -> bool {
        match self.0.load(Ordering::Acquire) {
            ENDLESS => true,
            OVER => false,
            until => clock.boottime_nanos() < until,
        }
    }

    /// How long it holds still; none where it has no end.
    pub fn left(&self, clock: &dyn Clock) -> Option<Duration> {
        match self.0.load(Ordering::Acquire) {
            ENDLESS => None,
            OVER => Some(Duration::ZERO),
            until => {
                let left = until.saturating_sub(clock.boottime_nanos()).max(0);
                Some(Duration::from_nanos(left.unsigned_abs()))
            }
        }
    }

    /// Ends it: the cache may miss a change that is written.
    pub fn suspend(&self) {
        self.0.store(OVER, Ordering::Release);
    }

    /// Gives it back without an end, after the log was followed to its end.
    pub fn resume(&self) {
        self.0.store(ENDLESS, Ordering::Release);
    }

    /// Lets it hold until a moment, after everything that the renewal read is applied.
    pub fn publish(&self, until: i64) {
        self.0.store(until.min(ENDLESS - 1), Ordering::Release);
    }
}
