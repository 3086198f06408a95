//! stub: signatures are settled, bodies are being written by the lead.
#![allow(unused)]
use keyward_core::change::Revision;
use keyward_core::clock::Clock;
use keyward_core::contract::{Contract, Presets};
use keyward_core::decision::{Grant, KeyFacts, RequestFacts};
use keyward_core::denial::Denial;
use keyward_core::id::{ApiName, KeyId, ProjectId};
use keyward_core::secret::Peppers;
use keyward_core::store::Store;
use keyward_core::tenancy::ManagementKey;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use crate::Exchange;

/// What a node knows and decides by.
pub struct Engine(());

/// Settings of an engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Look-ups a second of credentials that anybody could have made up, over all callers.
    pub misses_per_second: u32,
    /// The same for one address.
    pub misses_per_second_per_address: u32,
}
impl Default for EngineOptions { fn default() -> Self { EngineOptions { misses_per_second: 1000, misses_per_second_per_address: 50 } } }

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] keyward_core::store::StoreError),
    /// The contract in force of an API cannot be read by this version.
    #[error("the contract in force of {api} cannot be read: {error}")]
    Contract { /** which */ api: ApiName, /** why */ error: keyward_core::contract::ContractError },
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
    /// What the request is about (`api` inside is filled in by the engine from above).
    pub facts: RequestFacts<'a>,
}

/// What a verification ended in.
#[derive(Debug)]
pub struct Decision {
    /// The permit, or why not.
    pub outcome: Result<Grant, Denial>,
    /// The key that was presented, where it is known (also on a denial): for logs.
    pub key: Option<KeyId>,
}

/// A decision with the exchange it opened, where it is a grant.
#[derive(Debug)]
pub struct Opened {
    /// The decision.
    pub decision: Decision,
    /// Registered before the decision was taken, so that no revocation can slip in between. Some exactly on a grant.
    pub exchange: Option<Exchange>,
}

/// A known key, before anything is decided. Keep it for no longer than one request.
#[derive(Debug)]
pub struct Identified {
    /// What is known of it.
    pub key: Arc<KeyFacts>,
    /// Its project.
    pub project: ProjectId,
}

/// How a change took force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// How many nodes confirmed it.
    pub nodes: u32,
    /// How long the call waited for that, in milliseconds.
    pub waited_ms: u64,
}

/// The change is durable, but whether every node follows it is not known: never answer success.
#[derive(Debug, thiserror::Error)]
#[error("the change is written, but could not be put in force here: {0}")]
pub struct Unsettled(pub String);

impl Engine {
    /// Loads contracts and management keys, and starts the background work (usage batches, sweeping of expired exchanges).
    pub async fn start(store: Arc<dyn Store>, peppers: Arc<Peppers>, clock: Arc<dyn Clock>, options: EngineOptions) -> Result<Arc<Engine>, StartError> { unimplemented!() }
    /// The APIs with their contracts in force. Cheap; the same `Arc` until one changes.
    pub fn apis(&self) -> Arc<BTreeMap<ApiName, Arc<ApiInForce>>> { unimplemented!() }
    /// One of them.
    pub fn api(&self, name: &ApiName) -> Option<Arc<ApiInForce>> { unimplemented!() }
    /// Decides, and notes the use or refusal. Never waits on I/O for a key that is cached.
    pub async fn verify(&self, ask: &Ask<'_>) -> Decision { unimplemented!() }
    /// The same for a request that goes on after the decision.
    pub async fn open(&self, ask: &Ask<'_>) -> Opened { unimplemented!() }
    /// Finds the key without deciding or noting anything: to see whether the body must be read for its limits.
    pub async fn identify(&self, api: Option<&ApiInForce>, presented: &str, address: Option<IpAddr>) -> Result<Identified, Denial> { unimplemented!() }
    /// The live management key that a secret is. Denials: Missing/Malformed/Unknown/Revoked/Expired/Unavailable.
    pub async fn authenticate(&self, presented: &str) -> Result<Arc<ManagementKey>, Denial> { unimplemented!() }
    /// Waits until everything up to `revision` is in force on every node: applied here, exchanges of keys taken away closed.
    pub async fn settle(&self, revision: Revision) -> Result<InForce, Unsettled> { unimplemented!() }
    /// The last revision this node follows.
    pub fn applied(&self) -> Revision { unimplemented!() }
    /// Whether this node may grant now (its lease holds).
    pub fn is_ready(&self) -> bool { unimplemented!() }
    /// Writes what is noted of uses now; done by itself every second. Used at stop and by tests.
    pub async fn flush_usage(&self) { unimplemented!() }
    /// How many keys are cached.
    pub fn cached_keys(&self) -> usize { unimplemented!() }
    /// Forgets every cached key, so that the next use reads it anew. For tests and operators.
    pub fn forget_keys(&self) { unimplemented!() }
    /// Stops the background work after a last flush.
    pub async fn stop(&self) { unimplemented!() }
    /// The clock that decisions are taken by.
    pub fn clock(&self) -> &Arc<dyn Clock> { unimplemented!() }
}
