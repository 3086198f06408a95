//! Walls between customers, and what a management key may (rows T of trust.md), through the real binary.
//!
//! `world` makes many customers on one server; the other modules are the stories.

mod deletion;
mod fields;
mod ids;
mod minting;
mod permissions;
mod swapped;
mod walls;
mod world;
