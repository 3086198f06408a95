//! The data plane's doors: the gateway in front of APIs, and the verify API that backends ask.
//!
//! The way of one request through the gateway is `gateway::Visit::pass`; that of one verify is
//! `check::Check::answer`. Both run on `serve` (listeners, workers, connections) and ask
//! [`keyward_verify::Engine`] for the decision; `upstream` is the API behind. Nothing here knows SQL, writes
//! changes, or decides.
#![warn(missing_docs)]

pub mod asking;
mod check;
mod encryption;
mod gateway;
mod gather;
mod reply;
mod request_id;
mod serve;
pub mod tls;
mod upstream;

pub use serve::{Caps, Edge, EdgeError, EdgeOptions, GatewayListener, start};
pub use upstream::{Address, DestinationOptions, NotAnAddress, Resolve, SystemResolver};
