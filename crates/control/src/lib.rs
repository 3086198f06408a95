//! The control plane: who may change what, and the REST API that people, scripts and the CLI ask it through.
//!
//! [`use_cases`] holds the rules and knows no HTTP; [`rest`] turns requests into use cases and what they end
//! in into answers. Storing is `keyward-core`'s `Store`; putting in force is `keyward-verify`'s engine.
#![warn(missing_docs)]

pub mod rest;
pub mod use_cases;

pub use rest::router;
pub use use_cases::{Asked, Caller, Control, ControlError, ControlParts};
