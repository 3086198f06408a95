//! Limits through the engine, over the real embedded store: counts that come out exact whatever happens.
//!
//! `nodes`: several nodes over one store. `crashes`: what ends, and how. `periods`: clocks and what contracts change.
//! `waiting`: what callers are told. `evasion`: new keys, addresses, guards. `random`: all of it at once against a
//! plain model.

mod support;

#[path = "limits/crashes.rs"]
mod crashes;
#[path = "limits/evasion.rs"]
mod evasion;
#[path = "limits/model.rs"]
mod model;
#[path = "limits/nodes.rs"]
mod nodes;
#[path = "limits/periods.rs"]
mod periods;
#[path = "limits/random.rs"]
mod random;
#[path = "limits/waiting.rs"]
mod waiting;
