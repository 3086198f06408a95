//! Where state and log are kept: [`SqliteStore`] behind core's `Store`, and the suite that every store must
//! pass (`conformance`, with the feature of that name).
//!
//! Only this crate knows SQL. What a change means is core's business: records are moved on by core's
//! `apply` functions, so that stores and caches cannot differ.
#![warn(missing_docs)]

#[cfg(feature = "conformance")]
pub mod conformance;
mod sqlite;

pub use sqlite::{
    JournalFound, OpenError, Place, RestoreProgress, RestoreReport, SqliteOptions, SqliteStore, restore,
};
