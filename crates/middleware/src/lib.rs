//! A [`tower`] layer that lets only requests through that Keyward grants: for axum, and for any other service over
//! [`http`] requests.
//!
//! ```
//! use keyward_middleware::{Caller, KeywardLayer, Remote};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Remote::new("http://127.0.0.1:7701", "scrape", "the proxy secret")?;
//! let app: axum::Router = axum::Router::new()
//!     .route("/whoami", axum::routing::get(|caller: axum::Extension<Caller>| async move { caller.project.to_string() }))
//!     .layer(KeywardLayer::new(node).peers(
//!         |extensions| extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>().map(|peer| peer.0.ip()),
//!         Vec::new(),
//!     ));
//! # Ok(())
//! # }
//! ```
//!
//! Two ways to a decision, and the same one by either, because both go through the gateway's own asking:
//! - [`Remote`] asks a node's check listener (forward-auth): one call a request, about a millisecond.
//! - [`InProcess`] asks an [`Engine`](keyward_verify::Engine) of the same process: microseconds, and a response under way
//!   is cut when its key is taken away.
//!
//! What holds for both: a refusal is the contract's (status, headers and body); what a caller sent under our names
//! (`x-keyward-*`) is taken out, and the true identity is put in, as headers and as a [`Caller`] extension; when nothing
//! can be decided the answer is 503, never a guess. Nothing is kept: a key that was taken away is refused with the next
//! request.
//!
//! Where the layer stands below a `nest`ed router it decides on the path that is left: the contract's routes are of the whole
//! path, so put it around the outermost router.
//!
//! What is deliberately absent: upgraded connections (a WebSocket would outlive its key: such an answer becomes 501 in process;
//! put the gateway in front of those); routes whose resource stands in the body (a layer does not read bodies: such a request of
//! a limited key is refused), answers that the contract gives itself, field encryption. The gateway does these.
#![warn(missing_docs)]

mod caller;
mod held;
mod in_process;
mod remote;
mod service;

pub use caller::Caller;
pub use held::{Cut, Held};
pub use in_process::{InProcess, NoSuchApi};
pub use remote::{NotANode, Remote};
pub use service::{Keyward, KeywardLayer, Verifier};
