//! Limits on this node: rates counted in memory, quotas spent from blocks that the store gave durably.
//!
//! `terms` says which limits hold for a key, `rate_cell` and `quota_cell` what one counter does, `reserve` takes from all of them or from
//! none, `charge` is what came of it, `blocks` exchanges units with the store, `sharing` with the
//! server that nodes share rates in (`shared`), `saved` carries rates over a restart,
//! `guards` limits what is no request to an API, `views` tells how limits stand.

mod blocks;
mod charge;
mod counters;
mod guards;
mod quota_cell;
mod rate_cell;
mod reserve;
mod saved;
pub mod shared;
mod sharing;
mod terms;
mod views;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use keyward_core::clock::{Clock, Entropy, SystemEntropy};
use keyward_core::contract::Contract;
use keyward_core::decision::ProjectFacts;
use keyward_core::store::Store;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::counters::Counters;
pub(crate) use self::guards::Guarded;
use self::rate_cell::RateCell;
pub(crate) use self::reserve::{Request, Short, Unmet};
use self::shared::{SharedOptions, SharedRates, SharedUrlError};
pub(crate) use self::sharing::{Lacking, TakenAhead};
use self::terms::{Bound, Terms};
pub use charge::{Charge, LimitKind, LimitState};
pub use views::LimitView;

use crate::cache::Entry;

/// The limits of a node.
pub(crate) struct Limiter {
    pub counters: Counters,
    pub guarded: Guarded,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// The counters of rates that nodes share; none where each counts alone.
    shared: Option<Arc<SharedRates>>,
    /// This run of the node, as holder of blocks.
    holder: u128,
    /// Rates that moved since they were last kept.
    moved: Mutex<Vec<Arc<RateCell>>>,
    wanted: mpsc::UnboundedSender<Short>,
    /// What is under way with the store: waited for when the node stops.
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// Where rates are shared between nodes.
#[derive(Clone)]
pub struct Sharing {
    /// The Valkey or Redis server, as [`shared::SharedOptions::url`]. May hold a password, so it is shown nowhere.
    pub url: String,
    /// The longest that a verification waits for it.
    pub timeout: Duration,
    /// What keys in it begin with: nodes share counters where it is the same.
    pub prefix: String,
    /// How many nodes to share with until the server has told.
    pub nodes: u32,
}

impl std::fmt::Debug for Sharing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sharing").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Sharing {
    fn options(&self, node: u128) -> SharedOptions {
        let Sharing { url, timeout, prefix, nodes } = self.clone();
        SharedOptions { url, node, timeout, prefix, nodes }
    }
}

/// The terms of a project, kept beside its facts.
#[derive(Debug, Default)]
pub(crate) struct ProjectTerms(ArcSwapOption<OfProject>);

#[derive(Debug)]
struct OfProject {
    terms: Arc<Terms>,
    /// What every key of the project counts on, where none counts by key.
    shared: Option<Arc<Bound>>,
}

/// The counters of a key, kept beside its facts; empty where those of its project are all.
#[derive(Debug, Default)]
pub(crate) struct KeyCounters(ArcSwapOption<Bound>);

impl Limiter {
    /// Limits over a store, and where wishes for more units arrive: for [`Limiter::refill`].
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        sharing: Option<&Sharing>,
    ) -> Result<(Arc<Self>, mpsc::UnboundedReceiver<Short>), SharedUrlError> {
        let mut holder = [0; 16];
        SystemEntropy.fill(&mut holder);
        let holder = u128::from_be_bytes(holder);
        let shared = sharing.map(|sharing| SharedRates::start(sharing.options(holder))).transpose()?;
        let (wanted, wishes) = mpsc::unbounded_channel();
        let limiter = Limiter {
            counters: Counters::new(),
            guarded: Guarded::default(),
            store,
            clock,
            shared,
            holder,
            moved: Mutex::default(),
            wanted,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        };
        Ok((Arc::new(limiter), wishes))
    }

    /// What a key counts on under its project's and contract's present terms.
    fn bound(&self, key: &Entry, project: &Arc<ProjectFacts>, contract: &Arc<Contract>) -> Arc<Bound> {
        let known = key.project.terms.0.load();
        match &*known {
            Some(known) if known.terms.are_of(project, contract) => self.bound_by(key, known),
            _ => {
                let made = Arc::new(self.terms_of(key, project, contract));
                key.project.terms.0.store(Some(Arc::clone(&made)));
                self.bound_by(key, &made)
            }
        }
    }

    fn bound_by(&self, key: &Entry, known: &OfProject) -> Arc<Bound> {
        if let Some(shared) = &known.shared {
            return Arc::clone(shared);
        }
        match &*key.counters.0.load() {
            Some(own) if Arc::ptr_eq(&own.terms, &known.terms) => Arc::clone(own),
            _ => {
                let own = Arc::new(Bound::new(Arc::clone(&known.terms), &key.facts, &self.counters));
                key.counters.0.store(Some(Arc::clone(&own)));
                own
            }
        }
    }

    fn terms_of(&self, key: &Entry, project: &Arc<ProjectFacts>, contract: &Arc<Contract>) -> OfProject {
        let terms = Arc::new(Terms::of(project, contract));
        let shared =
            (!terms.count_by_key()).then(|| Arc::new(Bound::new(Arc::clone(&terms), &key.facts, &self.counters)));
        OfProject { terms, shared }
    }

    /// Starts background work that ends once `stopping` is cancelled.
    pub fn start(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Ends all background work, then keeps where rates stand, gives back the units that are held and lets go of the
    /// shared counters. Nobody gets any units after that.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.save_rates().await;
        self.give_back_all().await;
        if let Some(shared) = &self.shared {
            shared.stop().await;
        }
    }

    /// The counters of rates that nodes share.
    pub fn shared(&self) -> Option<&SharedRates> {
        self.shared.as_deref()
    }

    /// Forgets counters that nobody counts on.
    pub fn forget_unused(&self) {
        self.counters.forget_unused(self.clock.now(), self.clock.boottime_nanos());
        self.guarded.forget_unused(self.clock.boottime_nanos());
    }
}
