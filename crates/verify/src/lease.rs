//! The lease: until when this node may answer from its cache. Read before every look-up.
//!
//! With the embedded store there is one node and the lease has no end; it is suspended only while changes
//! are known to be written that this node could not read. Several nodes will renew it against the store.

use std::sync::atomic::{AtomicI64, Ordering};

use keyward_core::clock::Clock;

const ENDLESS: i64 = i64::MAX;
const SUSPENDED: i64 = i64::MIN;

/// Until when answers from the cache are good, on the clock that never jumps.
#[derive(Debug)]
pub struct Lease(AtomicI64);

impl Lease {
    /// A lease without end, for the only node of a store.
    pub fn endless() -> Self {
        Lease(AtomicI64::new(ENDLESS))
    }

    /// Whether it holds now. To be asked before the cache is looked at: what the cache held then was good.
    pub fn holds(&self, clock: &dyn Clock) -> bool {
        match self.0.load(Ordering::Acquire) {
            ENDLESS => true,
            SUSPENDED => false,
            until => clock.boottime_nanos() < until,
        }
    }

    /// Ends it: the cache may miss a change that is written.
    pub fn suspend(&self) {
        self.0.store(SUSPENDED, Ordering::Release);
    }

    /// Gives it back, after the log was followed to its end.
    pub fn resume(&self) {
        self.0.store(ENDLESS, Ordering::Release);
    }
}
