//! End-to-end tests: the real binary in an empty folder, spoken to as its users speak to it.
//!
//! `harness` starts servers and speaks to them; the other modules are stories, each test named after the row of
//! conformance.md or trust.md that it shows.
#![allow(clippy::print_stderr, clippy::unwrap_used)]

mod browser;
mod clients;
mod conformance;
mod contracts;
mod dashboard;
mod doors;
mod edge;
mod encryption;
mod harness;
mod input;
mod lifecycle;
mod limits;
mod nodes;
mod secrets;
mod sign_in;
mod storage;
mod tenancy;
