//! The engine of the data plane: what a node keeps in memory, how it follows the log, and how a request's
//! credential becomes a decision. Knows nothing of HTTP or SQL.
//!
//! The path of one verify: [`Engine::verify`] → the contract's key rules (is it ours at all?) → `cache` (do
//! we know it?) → on a miss `fill` (read it, fenced) → `keyward_core::decision::decide` → limits →
//! [`Decision`]. The path of one revoke: control commits → [`Engine::settle`] → `follow` applies the log →
//! the key's exchanges are closed → the call returns.
//! Where several nodes share the store, `nodes` says when they may answer from memory and how long the call waits
//! for the others; `membership` carries its messages.

mod budget;
mod cache;
mod clock;
mod data_keys;
mod engine;
mod exchange;
mod fill;
mod follow;
mod judge;
mod lease;
pub mod limits;
mod lookup;
mod management;
mod membership;
pub mod nodes;
mod options;
mod standing;
mod usage;

pub use clock::{NodeClock, SystemClock};
pub use data_keys::NoDataKey;
pub use engine::{ApiInForce, Ask, Decision, Engine, Identified, Opened};
pub use exchange::Exchange;
pub use follow::{By, InForce, Unsettled};
pub use nodes::LeaseLength;
pub use options::{EncryptionOptions, EngineOptions, NodeOptions, StartError};
pub use standing::Standing;
