//! Keys: making, reading, changing, rotating and ending them, one file an action. `rules` checks what is
//! asked against the contract; the actions load, decide and commit.

mod create;
mod edit;
mod guard;
mod read;
mod regenerate;
mod revoke;
mod rotate;
mod rules;
mod switch;
mod traffic;

pub use create::{KeyMade, NewKey};
pub use edit::KeyEdit;
pub use read::{FoundKeys, KeyQuestion, KeySearch, SeenKey};
pub use rotate::Rotated;
pub use traffic::{Traffic, TrafficByKey};

pub(crate) use revoke::{checked_reason, require_acknowledged};
