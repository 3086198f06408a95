//! Limits: how much a key, project, organization or address may ask for in a time. The arithmetic only; where
//! counters are kept, and how several nodes share them, is `keyward-verify`'s and the store's.
//!
//! A **rate** says how fast (`gcra`), a **quota** how much in a day, a month or ever (`period`, `block`). Both are
//! named by the contract's plans and may be raised or lowered for one project ([`OwnLimit`]).

pub mod block;
mod counted;
mod gcra;
mod period;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use counted::Counted;
pub use gcra::{NEVER, Rate, RateError, TooSoon};
pub use period::{Period, Span};

use crate::id::{ApiName, KeyId, OrganizationId, ProjectId};

/// The most that one request can cost.
pub const COST_MAX: u64 = 1_000_000_000;
/// The largest quota.
pub const QUOTA_MAX: u64 = 1_000_000_000_000_000;
/// How many limits a plan may have: all of them are looked at for every request.
pub const LIMITS_MAX: usize = 16;

/// Whose requests one counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitBy {
    /// Those of one key and of the keys it was rotated from and to: rotating refills nothing.
    Key,
    /// Those of one project.
    Project,
    /// Those of one organization, over its projects of the API.
    Organization,
    /// Those of one project that come from one address; for IPv6 from one /64, which is what one customer gets.
    Address,
}

impl LimitBy {
    /// The word in contracts and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            LimitBy::Key => "key",
            LimitBy::Project => "project",
            LimitBy::Organization => "organization",
            LimitBy::Address => "address",
        }
    }
}

/// What a limit adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counts {
    /// Requests, whatever each costs.
    Requests,
    /// What requests cost.
    Cost,
}

impl Counts {
    /// What a request of this cost adds.
    pub const fn units(self, cost: u64) -> u64 {
        match self {
            Counts::Requests => 1,
            Counts::Cost => cost,
        }
    }
}

/// A named rate limit of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Its name: one among the plan's limits.
    pub name: Box<str>,
    /// How fast.
    pub rate: Rate,
    /// Whose requests share it.
    pub by: LimitBy,
    /// What it adds up.
    pub counts: Counts,
}

/// A named quota of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaLimit {
    /// Its name: one among the plan's limits.
    pub name: Box<str>,
    /// How much in one period.
    pub limit: u64,
    /// How long one lasts.
    pub per: Period,
    /// Whose requests share it; never by address.
    pub by: LimitBy,
    /// What it adds up.
    pub counts: Counts,
    /// Whether a request that the upstream fails is given back.
    pub failures_free: bool,
}

/// A limit of a project's own, in place of its plan's of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnLimit {
    /// How much in a period, or in a rate's time; 0 for nothing.
    pub limit: u64,
    /// A rate's burst; in proportion to the plan's where none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
}

impl RateLimit {
    /// The rate of a project with such a limit of its own.
    ///
    /// # Errors
    /// [`RateError`] where it is no rate that can be kept; a control plane asks before it is set.
    pub fn rate_with(&self, own: Option<&OwnLimit>) -> Result<Rate, RateError> {
        let Some(own) = own else { return Ok(self.rate) };
        let in_proportion = || {
            let scaled = u128::from(self.rate.burst()) * u128::from(own.limit);
            u64::try_from(scaled.div_ceil(u128::from(self.rate.limit().max(1)))).unwrap_or(u64::MAX)
        };
        let burst = own.burst.unwrap_or_else(in_proportion).max(u64::from(own.limit > 0));
        Rate::new(own.limit, self.rate.per(), burst)
    }
}

/// Whose counter one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CountedOf {
    /// A line of rotated keys, by its first.
    Lineage(KeyId),
    /// A project.
    Project(ProjectId),
    /// An organization.
    Organization(OrganizationId),
}

impl std::fmt::Display for CountedOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CountedOf::Lineage(id) => id.fmt(f),
            CountedOf::Project(id) => id.fmt(f),
            CountedOf::Organization(id) => id.fmt(f),
        }
    }
}

/// One counter of one quota, over all its periods.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QuotaCounter {
    /// The API whose contract names the quota.
    pub api: ApiName,
    /// The quota's name.
    pub name: Box<str>,
    /// Whose requests are counted.
    pub of: CountedOf,
}

/// The network that counts as one caller: an IPv4 address, or the /64 of an IPv6 address.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q07_addresses_of_one_network_are_one_caller() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }

    #[test]
    fn an_own_limit_keeps_the_burst_in_proportion() {
        let rate = Rate::new(600, std::time::Duration::from_secs(60), 60).unwrap();
        let limit = RateLimit { name: "requests".into(), rate, by: LimitBy::Project, counts: Counts::Requests };
        let with = |limit_: u64, burst| limit.rate_with(Some(&OwnLimit { limit: limit_, burst })).unwrap();
        assert_eq!(with(1200, None).burst(), 120);
        assert_eq!(with(1, None).burst(), 1);
        assert_eq!(with(0, None).burst(), 0);
        assert_eq!(with(600, Some(7)).burst(), 7);
    }
}
