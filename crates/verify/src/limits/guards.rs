//! Rates of what is no request to an API: failed authentication by address, management of keys by project. Both
//! count on this node alone.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use keyward_core::id::{ApiName, ProjectId};
use keyward_core::limits::{NEVER, Rate, TooSoon, network_of};
use parking_lot::Mutex;

/// How many are counted at once; beyond that, those that have long been quiet make room, and else nothing is counted.
const COUNTED_MAX: usize = 65_536;

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Guarded {
    failed: Mutex<HashMap<(Option<ApiName>, IpAddr), i64>>,
    management: Mutex<HashMap<ProjectId, i64>>,
}

impl Guarded {
    /// Counts a failed authentication from an address; of the control plane where no API is named.
    ///
    /// # Errors
    /// How long to wait, where there were too many.
    pub fn failed(&self, api: Option<&ApiName>, address: IpAddr, rate: &Rate, now: i64) -> Result<(), Duration> {
        take(&mut self.failed.lock(), (api.cloned(), network_of(address)), rate, now)
    }

    /// Counts an act of key management in a project.
    ///
    /// # Errors
    /// How long to wait, where there were too many.
    pub fn managed(&self, project: ProjectId, rate: &Rate, now: i64) -> Result<(), Duration> {
        take(&mut self.management.lock(), project, rate, now)
    }

    /// Forgets those that have been quiet.
    pub fn forget_unused(&self, now: i64) {
        self.failed.lock().retain(|_, tat| *tat > now);
        self.management.lock().retain(|_, tat| *tat > now);
    }
}

fn take<K: Hash + Eq>(counted: &mut HashMap<K, i64>, of: K, rate: &Rate, now: i64) -> Result<(), Duration> {
    if counted.len() >= COUNTED_MAX && !counted.contains_key(&of) {
        counted.retain(|_, tat| *tat > now);
        if counted.len() >= COUNTED_MAX {
            return Ok(());
        }
    }
    let tat = counted.entry(of).or_insert(i64::MIN);
    match rate.after(*tat, now, 1) {
        Ok(next) => {
            *tat = next;
            Ok(())
        }
        Err(TooSoon { wait }) => Err(wait.map_or(NEVER, |nanos| Duration::from_nanos(nanos.max(0) as u64))),
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
        let mut counted = HashMap::new();
        let rate = Rate::new(1, Duration::from_secs(1), 1).unwrap();
        for number in 0..COUNTED_MAX * 2 {
            assert!(take(&mut counted, number, &rate, 0).is_ok());
        }
        assert_eq!(counted.len(), COUNTED_MAX);
        assert!(take(&mut counted, usize::MAX, &rate, 1_000_000_000).is_ok());
        assert_eq!(counted.len(), 1);
    }
}
