//! Rates that several nodes share in a real Valkey or Redis, through their engines: exact while it is there, a share
//! each while it is not, and never waited for more than once.
//!
//! `counts`: all is well. `outages`: the server is emptied, killed, or was never there. `waits`: it does not answer.

#![allow(clippy::print_stderr, reason = "what was measured is told with what passed")]

#[path = "support/counter_server.rs"]
mod counter_server;
mod support;

#[path = "support/sharing.rs"]
mod nodes;

#[path = "sharing/counts.rs"]
mod counts;
#[path = "sharing/outages.rs"]
mod outages;
#[path = "sharing/waits.rs"]
mod waits;
