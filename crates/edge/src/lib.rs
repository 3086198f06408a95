//! The data plane's doors: the gateway in front of APIs, the verify API that backends ask, and forward-auth and
//! ext_authz that proxies ask.
//!
//! The way of one request through the gateway is `gateway::Visit::pass`; that of one verify is
//! `check::Check::answer`; that of a proxy's question `proxies::Proxies::answer`. All run on `serve` (listeners, workers, connections) and ask
//! [`keyward_verify::Engine`] for the decision; `upstream` is the API behind. Nothing here knows SQL, writes
//! changes, or decides.
#![warn(missing_docs)]

pub mod asking;
mod check;
mod encryption;
mod gateway;
mod gather;
mod observe;
mod proxies;
mod reply;
mod request_id;
mod serve;
pub mod tls;
mod upstream;

pub use observe::{Observed, Observer, PATH_MAX, Part, Trace, TraceContext};
pub use proxies::{NotAProxySecret, ProxySecret, ProxyTrust};
pub use serve::{Caps, Edge, EdgeError, EdgeOptions, GatewayListener, start};
pub use upstream::{Address, DestinationOptions, NotAnAddress, Resolve, SystemResolver};
