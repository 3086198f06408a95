//! Stories of a key's life: what ends it, that it has ended when the call returns, and what the log keeps.

mod commits;
mod edits;
mod history;
mod race;
mod revoke;
mod rotate;
mod streams;
mod usage;
