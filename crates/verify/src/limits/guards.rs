//! Rates of what is no request to an API: failed authentication by address, management of keys by project. Both
//! count on this node alone.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use keyward_core::id::{ApiName, ProjectId};
use keyward_core::limits::{Rate, network_of};
use parking_lot::Mutex;

/// How many are counted at once; beyond that, those that have long been quiet make room, and else nothing is counted.
const COUNTED_MAX: usize = 65_536;

/// How often, at most, all that is counted is looked through for what has long been quiet, in nanoseconds: a flood
/// must not have it done for every request.
const SWEPT_EVERY: i64 = 1_000_000_000;

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Guarded {
    failed: Mutex<Counted<(Option<ApiName>, IpAddr)>>,
    management: Mutex<Counted<ProjectId>>,
}

/// Rates by what they count.
#[derive(Debug)]
struct Counted<K> {
    tats: HashMap<K, i64>,
    swept_at: i64,
}

impl<K> Default for Counted<K> {
    fn default() -> Self {
        Counted { tats: HashMap::new(), swept_at: i64::MIN / 2 }
    }
}

impl Guarded {
    /// Counts a failed authentication from an address; of the control plane where no API is named.
    ///
    /// # Errors
    /// How long to wait, where there were too many.
    pub fn failed(&self, api: Option<&ApiName>, address: IpAddr, rate: &Rate, now: i64) -> Result<(), Duration> {
        self.failed.lock().take((api.cloned(), network_of(address)), rate, now)
    }

    /// Counts an act of key management in a project.
    ///
    /// # Errors
    /// How long to wait, where there were too many.
    pub fn managed(&self, project: ProjectId, rate: &Rate, now: i64) -> Result<(), Duration> {
        self.management.lock().take(project, rate, now)
    }

    /// Forgets those that have been quiet.
    pub fn forget_unused(&self, now: i64) {
        self.failed.lock().sweep(now);
        self.management.lock().sweep(now);
    }
}

impl<K: Hash + Eq> Counted<K> {
    fn take(&mut self, of: K, rate: &Rate, now: i64) -> Result<(), Duration> {
        if self.tats.len() >= COUNTED_MAX && !self.tats.contains_key(&of) {
            if now - self.swept_at >= SWEPT_EVERY {
                self.sweep(now);
            }
            if self.tats.len() >= COUNTED_MAX {
                return Ok(());
            }
        }
        let tat = self.tats.entry(of).or_insert(i64::MIN);
        match rate.after(*tat, now, 1) {
            Ok(next) => {
                *tat = next;
                Ok(())
            }
            Err(too_soon) => Err(too_soon.retry_after()),
        }
    }

    fn sweep(&mut self, now: i64) {
        self.tats.retain(|_, tat| *tat > now);
        self.swept_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q22_failures_are_counted_by_network_and_api() {
        let guarded = Guarded::default();
        let rate = Rate::new(2, Duration::from_secs(60), 2).unwrap();
        let api: ApiName = "one".parse().unwrap();
        let fail = |address: &str, now| guarded.failed(Some(&api), address.parse().unwrap(), &rate, now);
        assert!(fail("2001:db8::1", 0).is_ok() && fail("2001:db8::2", 0).is_ok());
        assert_eq!(fail("2001:db8::3", 0), Err(Duration::from_secs(30)));
        assert!(fail("2001:db8:0:1::3", 0).is_ok(), "another network");
        assert!(fail("2001:db8::3", 30_000_000_000).is_ok());
    }

    #[test]
    fn q07_a_flood_of_addresses_has_a_ceiling() {
        let mut counted = Counted::default();
        let rate = Rate::new(1, Duration::from_secs(1), 1).unwrap();
        for number in 0..COUNTED_MAX * 2 {
            assert!(counted.take(number, &rate, 0).is_ok());
        }
        assert_eq!((counted.tats.len(), counted.swept_at), (COUNTED_MAX, 0), "looked through once");
        assert!(counted.take(usize::MAX, &rate, 1_000_000_000).is_ok());
        assert_eq!(counted.tats.len(), 1);
    }
}
