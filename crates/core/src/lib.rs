//! The rules of Keyward, without I/O: keys, contracts, decisions, changes, and the trait of the store that
//! keeps them. Time and randomness are arguments; no clock, socket or file is touched here, and no HTTP
//! status is named.
//!
//! Reading order: [`contract`] (what differs between APIs), [`key`], [`decision`] (how a request is judged),
//! [`change`] (how anything is written), [`store`] (where it is kept).
#![warn(missing_docs)]

pub mod base62;
pub mod change;
pub mod clock;
pub mod contract;
pub mod data_key;
pub mod data_keyring;
pub mod decision;
pub mod denial;
pub mod forwarded;
pub mod id;
pub mod json;
pub mod key;
pub mod key_encryption;
pub mod limits;
pub mod log;
pub mod network;
pub mod nodes;
pub mod people;
pub mod permission;
pub mod scope;
pub mod secret;
pub mod session;
pub mod store;
pub mod tenancy;
pub mod text;
pub mod usage;
