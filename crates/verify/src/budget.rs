//! The miss budget: how often credentials that anybody could have made up may be looked up in the store.
//!
//! Keys of the tagged format need none: a forged one is refused by its tag. For the other formats a flood of
//! made-up keys costs at most this many reads a second, and the table here has a fixed size.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};

use keyward_core::limits::network_of;

const SLOTS: usize = 4096;

/// Two buckets at once: one for all callers, one for the caller's address.
#[derive(Debug)]
pub(crate) struct MissBudget {
    all: Bucket,
    by_address: Box<[Bucket]>,
    hasher: std::hash::RandomState,
}

/// A generic cell rate: the moment (in nanoseconds) from which on the bucket is full again.
#[derive(Debug)]
struct Bucket {
    full_at: AtomicI64,
    nanos_each: i64,
}

impl MissBudget {
    pub fn new(per_second: u32, per_second_per_address: u32) -> Self {
        MissBudget {
            all: Bucket::new(per_second),
            by_address: (0..SLOTS).map(|_| Bucket::new(per_second_per_address)).collect(),
            hasher: std::hash::RandomState::new(),
        }
    }

    /// Takes one look-up, where there is one left.
    pub fn take(&self, address: Option<IpAddr>, now_nanos: i64) -> bool {
        // Addresses share a slot by chance; the hash is keyed, so nobody can choose whose.
        let own =
            address.map(|address| &self.by_address[self.hasher.hash_one(network_of(address)) as usize % SLOTS]);
        own.is_none_or(|bucket| bucket.take(now_nanos)) && self.all.take(now_nanos)
    }
}

impl Bucket {
    fn new(per_second: u32) -> Self {
        Bucket { full_at: AtomicI64::new(i64::MIN), nanos_each: 1_000_000_000 / i64::from(per_second.max(1)) }
    }

    fn take(&self, now: i64) -> bool {
        // A second's worth may be taken at once.
        let latest = now.saturating_add(1_000_000_000);
        self.full_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
                let next = full_at.max(now).saturating_add(self.nanos_each);
                (next <= latest).then_some(next)
            })
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s12_a_flood_is_capped_for_all_and_for_each_address() {
        let budget = MissBudget::new(100, 10);
        let address = |n: u8| Some(IpAddr::from([127, 0, 0, n]));
        let flood = |n, now| (0..1000).filter(|_| budget.take(address(n), now)).count();
        assert_eq!(flood(1, 0), 10);
        assert_eq!(flood(1, 0), 0);
        assert_eq!(flood(2, 0), 10);
        assert_eq!(flood(1, 500_000_000), 5);
        let all: usize = (10..100).map(|n| flood(n, 500_000_000)).sum();
        assert!(all <= 100, "{all}");
    }

    #[test]
    fn neighbours_in_one_ipv6_network_share() {
        let at = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:127.0.0.1"), at("127.0.0.1"));
    }
}
