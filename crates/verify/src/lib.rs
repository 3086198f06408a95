//! The engine of the data plane: what a node keeps in memory, how it follows the log, and how a request's
//! credential becomes a decision. Knows nothing of HTTP or SQL.
//!
//! The path of one verify: [`Engine::verify`] → `recognise` (is it ours at all?) → `cache` (do we know it?)
//! → on a miss `fill` (read it, fenced) → `keyward_core::decision::decide` → limits → [`Decision`].
//! The path of one revoke: control commits → [`Engine::settle`] → `follow` (apply the log) → exchanges
//! of the key are closed → the call returns.

mod clock;
mod engine;
mod exchange;

pub use clock::SystemClock;
pub use engine::{ApiInForce, Ask, Decision, Engine, EngineOptions, Identified, InForce, Opened, StartError, Unsettled};
pub use exchange::Exchange;
