//! The engine: one a node. Holds everything that decisions need in memory and takes them.
//!
//! This file is the way of one verify to its key, `judge` the rest of it; `follow` is the way of one change into force.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use keyward_core::change::Revision;
use keyward_core::clock::Clock;
use keyward_core::contract::Contract;
use keyward_core::decision::{Grant, KeyFacts, RequestFacts};
use keyward_core::denial::Denial;
use keyward_core::id::{ApiName, KeyId, OrganizationId, ProjectId};
use keyward_core::secret::Peppers;
use keyward_core::store::Store;
use tokio_util::sync::CancellationToken;

use crate::Exchange;
use crate::budget::MissBudget;
use crate::cache::{Cache, Entry};
use crate::clock::NodeClock;
use crate::data_keys::DataKeys;
use crate::exchange::Exchanges;
use crate::fill::Fills;
use crate::lease::Lease;
use crate::limits::{Charge, Limiter};
use crate::lookup::UNAVAILABLE;
use crate::management::ManagementKeys;
use crate::membership::Membership;
use crate::options::{EngineOptions, StartError};
use crate::usage::Usage;

/// How often a look-up starts over because the key changed while it was on its way.
const LOOKUPS_MAX: usize = 16;

/// What a node knows and decides by.
pub struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) peppers: Arc<Peppers>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cache: Cache,
    pub(crate) lease: Lease,
    pub(crate) exchanges: Arc<Exchanges>,
    pub(crate) management: ManagementKeys,
    pub(crate) apis: ArcSwap<BTreeMap<ApiName, Arc<ApiInForce>>>,
    pub(crate) following: tokio::sync::Mutex<()>,
    pub(crate) fills: Fills,
    pub(crate) misses: MissBudget,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) usage: Usage,
    pub(crate) data_keys: DataKeys,
    /// This node among others; none where it is the only one of its store.
    pub(crate) membership: Option<Arc<Membership>>,
    pub(crate) background: CancellationToken,
}

/// An API with its contract in force, compiled.
#[derive(Debug)]
pub struct ApiInForce {
    /// Its name.
    pub name: ApiName,
    /// The revision of the contract.
    pub revision: Revision,
    /// The contract.
    pub contract: Arc<Contract>,
}

/// What is asked: may this credential do this?
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The API it is presented to; where none, it is found out from the credential's shape.
    pub api: Option<&'a ApiInForce>,
    /// The credential as presented.
    pub presented: &'a str,
    /// What the request is about (`api` inside is filled in from above).
    pub facts: RequestFacts<'a>,
}

/// What a verification ended in.
#[derive(Debug)]
pub struct Decision {
    /// The permit, or why not.
    pub outcome: Result<Grant, Denial>,
    /// The key that was presented, where it is known (also on a denial): for logs.
    pub key: Option<KeyId>,
    /// What was taken from limits, or what they said.
    pub charge: Charge,
}

impl Decision {
    /// A denial before anything was known of the key.
    pub fn denied(denial: Denial) -> Self {
        Decision { outcome: Err(denial), key: None, charge: Charge::default() }
    }
}

/// A decision with the exchange it opened.
#[derive(Debug)]
pub struct Opened {
    /// The decision.
    pub decision: Decision,
    /// Registered before the decision was taken, so that no revocation can slip in between. Some exactly on a
    /// grant.
    pub exchange: Option<Exchange>,
}

/// A known key, before anything is decided. Keep it for no longer than one request.
#[derive(Debug)]
pub struct Identified {
    key: Arc<Entry>,
}

impl Identified {
    /// What is known of it.
    pub fn key(&self) -> &KeyFacts {
        &self.key.facts
    }

    /// Its project.
    pub fn project(&self) -> ProjectId {
        self.key.project.id
    }

    /// Its project's organization.
    pub fn organization(&self) -> OrganizationId {
        self.key.project.organization
    }
}

impl Engine {
    /// Loads contracts and management keys, follows the log to its end, and starts the background work: writing uses
    /// every second and ending exchanges whose key has expired. Where several nodes share the store it registers first,
    /// and answers from memory only while it has a lease.
    ///
    /// # Errors
    /// [`StartError`] where the store cannot be read or a contract in it cannot be compiled.
    pub async fn start(
        store: Arc<dyn Store>,
        peppers: Arc<Peppers>,
        clock: Arc<dyn Clock>,
        options: EngineOptions,
    ) -> Result<Arc<Engine>, StartError> {
        let nodes = store.nodes();
        let (clock, node_clock) = match &nodes {
            None => (clock, None),
            Some(_) => {
                let node_clock = Arc::new(NodeClock::new(clock));
                (Arc::clone(&node_clock) as Arc<dyn Clock>, Some(node_clock))
            }
        };
        let data_keys = DataKeys::new(options.encryption, options.node.name.clone());
        let membership = nodes.zip(node_clock);
        let membership = membership.map(|(nodes, clock)| Arc::new(Membership::new(nodes, clock, options.node)));
        let (limiter, wishes) = Limiter::new(Arc::clone(&store), Arc::clone(&clock), options.sharing.as_ref())?;
        let engine = Arc::new(Engine {
            cache: Cache::new(Revision::ZERO),
            lease: if membership.is_some() { Lease::over() } else { Lease::endless() },
            exchanges: Exchanges::new(),
            management: ManagementKeys::new(),
            apis: ArcSwap::default(),
            following: tokio::sync::Mutex::default(),
            fills: Fills::new(),
            misses: MissBudget::new(options.misses_per_second, options.misses_per_second_per_address),
            limiter,
            usage: Usage::new(),
            data_keys,
            membership,
            background: CancellationToken::new(),
            store,
            peppers,
            clock,
        });
        match &engine.membership {
            None => {
                let revision = engine.load().await?;
                engine.cache.begin(revision);
                engine.follow().await?;
            }
            Some(membership) => membership.join(&engine).await?,
        }
        engine.limiter.restore_rates().await?;
        tokio::spawn(every_second(Arc::clone(&engine), |engine| async move { engine.flush_usage().await }));
        tokio::spawn(every_second(Arc::clone(&engine), |engine| async move { engine.look_after().await }));
        let limiter = &engine.limiter;
        limiter.start(Arc::clone(limiter).refill(wishes));
        limiter.start(Arc::clone(limiter).heed_recalls());
        limiter.start(every_second(Arc::clone(&engine), |engine| async move { engine.look_after_limits().await }));
        Ok(engine)
    }

    /// Reads what is kept in memory as a whole: contracts and management keys. Gives the revision that the contracts
    /// were read at.
    pub(crate) async fn load(&self) -> Result<Revision, StartError> {
        let apis = self.store.apis().await?;
        let compiled = apis.value.iter().map(|api| {
            let compiled = crate::follow::compile(api);
            compiled
                .map(|compiled| (api.name.clone(), Arc::new(compiled)))
                .map_err(|error| StartError::Contract { api: api.name.clone(), error })
        });
        self.apis.store(Arc::new(compiled.collect::<Result<_, _>>()?));
        self.management.load(&*self.store).await?;
        Ok(apis.revision)
    }

    /// The APIs with their contracts in force. Cheap; the same `Arc` until one changes.
    pub fn apis(&self) -> Arc<BTreeMap<ApiName, Arc<ApiInForce>>> {
        self.apis.load_full()
    }

    /// One of them.
    pub fn api(&self, name: &ApiName) -> Option<Arc<ApiInForce>> {
        self.apis.load().get(name).cloned()
    }

    /// Decides, and notes the use or refusal. Does no I/O for a key that is cached and whose quotas have units at
    /// hand.
    pub async fn verify(&self, ask: &Ask<'_>) -> Decision {
        for _ in 0..LOOKUPS_MAX {
            let entry = match self.lookup(ask.api, ask.presented, ask.facts.address).await {
                Ok(entry) => entry,
                Err(denial) => return self.guard(ask, Decision::denied(denial)),
            };
            if let Some(decision) = self.judge(&entry, ask).await {
                return self.guard(ask, decision);
            }
        }
        Decision::denied(UNAVAILABLE)
    }

    /// The same for a request that goes on after the decision.
    pub async fn open(&self, ask: &Ask<'_>) -> Opened {
        for _ in 0..LOOKUPS_MAX {
            let entry = match self.lookup(ask.api, ask.presented, ask.facts.address).await {
                Ok(entry) => entry,
                Err(denial) => {
                    return Opened { decision: self.guard(ask, Decision::denied(denial)), exchange: None };
                }
            };
            // Registered first, looked at second: a change that this misses closes what is registered, and so does the
            // end of a lease.
            let exchange = self.exchanges.enter(entry.owner(), entry.facts.ends_at());
            if entry.is_stale() || !self.lease.holds(&*self.clock) {
                continue;
            }
            let Some(decision) = self.judge(&entry, ask).await else { continue };
            let exchange = decision.outcome.is_ok().then_some(exchange);
            return Opened { decision: self.guard(ask, decision), exchange };
        }
        Opened { decision: Decision::denied(UNAVAILABLE), exchange: None }
    }

    /// Finds the key without deciding or noting anything: to see whether the body must be read for its limits.
    ///
    /// # Errors
    /// The denial where there is no such key, or it cannot be told now.
    pub async fn identify(
        &self,
        api: Option<&ApiInForce>,
        presented: &str,
        address: Option<IpAddr>,
    ) -> Result<Identified, Denial> {
        let entry = self.lookup(api, presented, address).await?;
        Ok(Identified { key: entry })
    }

    /// The last revision this node follows.
    pub fn applied(&self) -> Revision {
        self.cache.applied()
    }

    /// Whether this node may grant now.
    pub fn is_ready(&self) -> bool {
        self.lease.holds(&*self.clock)
    }

    /// Writes what is noted of uses now; done by itself every second.
    pub async fn flush_usage(&self) {
        self.usage.flush(&*self.store).await;
    }

    /// How many keys are cached.
    pub fn cached_keys(&self) -> usize {
        self.cache.len()
    }

    /// How many requests are under way.
    pub fn open_exchanges(&self) -> usize {
        self.exchanges.len()
    }

    /// Forgets every cached key, so that the next use reads it anew.
    pub fn forget_keys(&self) {
        self.cache.forget();
    }

    /// Stops the background work after a last flush, and gives back the units of quotas that are held. Of several nodes
    /// this one leaves the others then; it answers nothing any more, so what is under way should have ended before.
    pub async fn stop(&self) {
        self.background.cancel();
        if let Some(membership) = &self.membership {
            membership.end(self).await;
        }
        self.flush_usage().await;
        self.limiter.stop().await;
        if let Some(membership) = &self.membership {
            membership.leave().await;
        }
    }

    /// The clock that decisions are taken by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Ends exchanges whose key has stopped of itself, tries again to follow a log that could not be read, and
    /// tells how things stand.
    async fn look_after(&self) {
        let ended = self.exchanges.close_ended(self.clock.now());
        self.exchanges.drain(ended).await;
        match &self.membership {
            None => self.recover().await,
            Some(membership) => membership.tell(self),
        }
        self.data_keys.look_after(self.clock.boottime_nanos());
        metrics::gauge!("keyward_cached_keys").set(self.cached_keys() as f64);
        metrics::gauge!("keyward_applied_revision").set(self.applied().0 as f64);
        metrics::gauge!("keyward_exchanges").set(self.open_exchanges() as f64);
    }
}

/// Does something every second until the engine stops. Each kind of work has a task of its own: a store that is
/// slow to take uses must not keep streams of expired keys open.
async fn every_second<F: Future<Output = ()> + Send>(engine: Arc<Engine>, work: impl Fn(Arc<Engine>) -> F + Send) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = engine.background.cancelled() => return,
            _ = tick.tick() => work(Arc::clone(&engine)).await,
        }
    }
}
