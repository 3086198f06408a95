//! Rates of what is no request to an API: failed authentication by address, management of keys by project. Both
//! count on this node alone.

use std::net::IpAddr;
use std::time::Duration;

use keyward_core::id::{ApiName, ProjectId};
use keyward_core::limits::{Counted, Rate, network_of};
use parking_lot::Mutex;

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Guarded {
    failed: Mutex<Counted<(Option<ApiName>, IpAddr)>>,
    management: Mutex<Counted<ProjectId>>,
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
}
