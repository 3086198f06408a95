//! Where state and log are kept: [`SqliteStore`] and [`PostgresStore`] behind core's `Store`, and the suite that every
//! store must pass (`conformance`, with the feature of that name).
//!
//! Only this crate knows SQL. What a change means is core's business: records are moved on by core's
//! `apply` functions, so that stores and caches cannot differ.
#![warn(missing_docs)]
#![allow(clippy::duplicate_mod, reason = "the SQL is compiled for each driver from one source")]

mod answers;
#[cfg(feature = "conformance")]
pub mod conformance;
mod files;
mod head;
mod postgres;
mod sqlite;
pub mod transfer;

pub use files::place::Place;
pub use postgres::{PostgresError, PostgresOptions, PostgresStore};
pub use sqlite::{JournalFound, OpenError, RestoreProgress, RestoreReport, SqliteOptions, SqliteStore, restore};
