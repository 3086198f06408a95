//! The control plane: who may change what, the REST API that scripts and the CLI ask it through, and the dashboard for
//! people.
//!
//! [`use_cases`] holds the rules and knows no HTTP; [`rest`] and `dashboard` turn requests into use cases and what they
//! end in into answers, both for the site ([`Site`]) that people see. Storing is `keyward-core`'s `Store`; putting in force is `keyward-verify`'s engine.
#![warn(missing_docs)]

mod dashboard;
pub mod mail;
pub mod openid;
pub mod rest;
mod site;
pub mod use_cases;

pub use site::{NotASite, Site};
pub use use_cases::{Asked, Caller, Control, ControlError, ControlParts};

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use tower_http::catch_panic::CatchPanicLayer;

/// The control plane's whole router: the REST API under `/v1`, and the dashboard for the rest. The server around it gives
/// each request its peer's address as `ConnectInfo<SocketAddr>`, and keeps headers, connections and time within bounds.
pub fn router(control: Arc<Control>, site: Site) -> axum::Router {
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
        .with_state(control)
}
