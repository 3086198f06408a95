//! Several nodes on one store, in one process: a change that takes something away is in force on all of them when its call
//! returns, whatever happens to one of them. The protocol itself is tried by a simulation (`nodes::simulation`); real
//! processes on PostgreSQL are tried with the binary.

mod support;

#[path = "nodes/changes.rs"]
mod changes;
#[path = "nodes/clocks.rs"]
mod clocks;
#[path = "nodes/leases.rs"]
mod leases;
#[path = "nodes/outages.rs"]
mod outages;

/// Limits that no test reaches.
const CONTRACT: &str = "[plans.one]\ntitle = \"One\"\n";
