//! The clock that reads the machine: the wall clock for expiry, CLOCK_BOOTTIME for leases.

use std::time::{SystemTime, UNIX_EPOCH};

use keyward_core::clock::{Clock, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn boottime_nanos(&self) -> i64 {
        // Unlike `Instant`, this clock goes on while the machine is suspended: a lease must not.
        let time = clock_gettime(ClockId::Boottime);
        time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
    }
}
