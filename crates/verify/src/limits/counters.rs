//! All counters of a node, by what they count. A counter is made at its first use and forgotten once nobody
//! counts on it and forgetting changes nothing: a rate whose burst is all there, a quota of which nothing is held.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keyward_core::clock::Timestamp;
use keyward_core::limits::{Period, QuotaCounter};
use parking_lot::Mutex;

use super::quota_cell::QuotaCell;
use super::rate_cell::{RateCell, RateId, RateOf, RateState};

const SHARDS: usize = 64;

/// Counters by what they count, in shards so that first uses do not wait for one another.
#[derive(Debug)]
pub(crate) struct Counters {
    rates: Sharded<RateId, RateCell>,
    /// A name may be counted by the day in one plan and by the month in another: each for itself.
    quotas: Sharded<(QuotaCounter, Period), QuotaCell>,
    /// Quotas of which this node may hold units.
    pub holding: Arc<Holding>,
    /// How many counters count one network each.
    networks: AtomicUsize,
}

/// How many networks are counted for themselves; those beyond it count as one in each project.
const NETWORKS_MAX: usize = 262_144;

/// Quotas of which a node may hold units, by where they lie in memory.
#[derive(Debug, Default)]
pub(crate) struct Holding(Mutex<HashMap<usize, Arc<QuotaCell>>>);

impl Holding {
    pub fn note(&self, cell: &Arc<QuotaCell>) {
        self.0.lock().entry(Arc::as_ptr(cell) as usize).or_insert_with(|| Arc::clone(cell));
    }

    pub fn remove(&self, cell: &Arc<QuotaCell>) {
        self.0.lock().remove(&(Arc::as_ptr(cell) as usize));
    }

    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    pub fn all(&self) -> Vec<Arc<QuotaCell>> {
        self.0.lock().values().cloned().collect()
    }
}

type Shard<K, V> = Mutex<HashMap<K, Arc<V>>>;

#[derive(Debug)]
struct Sharded<K, V> {
    shards: Box<[Shard<K, V>]>,
    hasher: RandomState,
}

impl<K: Hash + Eq + Clone, V> Sharded<K, V> {
    fn new() -> Self {
        Sharded { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    fn shard(&self, key: &K) -> &Shard<K, V> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    fn get_or_make(&self, key: K, make: impl FnOnce(K) -> V) -> Arc<V> {
        let mut shard = self.shard(&key).lock();
        if let Some(known) = shard.get(&key) {
            return Arc::clone(known);
        }
        let made = Arc::new(make(key.clone()));
        shard.insert(key, Arc::clone(&made));
        made
    }

    fn known(&self, key: &K) -> Option<Arc<V>> {
        self.shard(key).lock().get(key).cloned()
    }

    /// Forgets those that nobody else refers to and that may be forgotten.
    fn forget(&self, may_be: impl Fn(&V) -> bool) {
        for shard in &self.shards {
            shard.lock().retain(|_, cell| Arc::strong_count(cell) > 1 || !may_be(cell));
        }
    }
}

impl Counters {
    pub fn new() -> Self {
        Counters {
            rates: Sharded::new(),
            quotas: Sharded::new(),
            holding: Arc::default(),
            networks: AtomicUsize::new(0),
        }
    }

    /// The counter of a rate.
    pub fn rate(&self, id: RateId) -> Arc<RateCell> {
        self.rates.get_or_make(id, RateCell::new)
    }

    /// The counter of a rate for one network.
    pub fn rate_of_network(&self, id: RateId) -> Arc<RateCell> {
        if let Some(known) = self.rates.known(&id) {
            return known;
        }
        if self.networks.load(Ordering::Relaxed) < NETWORKS_MAX {
            self.networks.fetch_add(1, Ordering::Relaxed);
            return self.rate(id);
        }
        let of = match id.of {
            RateOf::Network(project, _) => RateOf::Network(project, Ipv6Addr::UNSPECIFIED.into()),
            counted @ RateOf::Counted(_) => counted,
        };
        self.rate(RateId { of, ..id })
    }

    /// The counter of a rate, if it was used.
    pub fn known_rate(&self, id: &RateId) -> Option<Arc<RateCell>> {
        self.rates.known(id)
    }

    /// The counter of a quota.
    pub fn quota(&self, id: QuotaCounter, per: Period) -> Arc<QuotaCell> {
        self.quotas.get_or_make((id, per), |(id, per)| QuotaCell::new(id, per))
    }

    /// The counter of a quota, if it was used.
    pub fn known_quota(&self, id: QuotaCounter, per: Period) -> Option<Arc<QuotaCell>> {
        self.quotas.known(&(id, per))
    }

    /// Puts a rate's counter where it stood before a restart.
    pub fn restore(&self, id: RateId, state: RateState) {
        *self.rate(id).state.lock() = state;
    }

    /// Forgets what nobody counts on.
    pub fn forget_unused(&self, now: Timestamp, boottime: i64) {
        let networks = AtomicUsize::new(0);
        self.rates.forget(|cell| {
            let state = cell.state.lock();
            let may_be = state.full_at() <= boottime && !state.is_dirty;
            if !may_be && matches!(cell.id.of, RateOf::Network(..)) {
                networks.fetch_add(1, Ordering::Relaxed);
            }
            may_be
        });
        self.networks.store(networks.into_inner(), Ordering::Relaxed);
        self.quotas.forget(|cell| {
            let state = cell.state.lock();
            state.left() == 0 || !state.counts(now)
        });
    }
}
