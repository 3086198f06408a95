//! The control plane: who may change what, the REST API that scripts and the CLI ask it through, and the dashboard for
//! people.
//!
//! [`use_cases`] holds the rules and knows no HTTP; [`rest`] and `dashboard` turn requests into use cases and what they
//! end in into answers, both for the site ([`Site`]) that people see. Storing is `keyward-core`'s `Store`; putting in force is `keyward-verify`'s engine.
#![warn(missing_docs)]

#[cfg(test)]
mod contracts_for_tests;
mod dashboard;
mod destination_address;
pub mod mail;
pub mod openid;
pub mod rest;
mod site;
pub mod snippets;
pub mod use_cases;

pub use site::{NotASite, Site};
pub use use_cases::{Asked, Caller, Control, ControlError, ControlParts};

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;

/// The control plane's whole router: the REST API under `/v1`, and the dashboard for the rest. The server around it gives
/// each request its peer's address as `ConnectInfo<SocketAddr>`, and keeps headers, connections and time within bounds.
pub fn router(control: Arc<Control>, site: Site) -> axum::Router {
    let address_site = site.clone();
    let nothing = |request: Request| async move {
        match dashboard::is_asked_for_a_page(request.headers()) {
            true => dashboard::lost(),
            false => rest::nothing().into_response(),
        }
    };
    rest::routes(&control, &site)
        .merge(dashboard::routes(&control, site))
        .fallback(nothing)
        .layer(CatchPanicLayer::custom(rest::hygiene::caught))
        .layer(from_fn_with_state(Arc::clone(&control), rest::hygiene::finish))
        .layer(from_fn_with_state(Arc::new(address_site), tell_caller))
        .with_state(control)
}

/// Puts the caller's address in the peer's place, where a listed proxy in front tells it (trust.md H11).
async fn tell_caller(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>().copied() {
        let address = site.caller_address(request.headers(), peer.ip());
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address, peer.port())));
    }
    next.run(request).await
}
