//! The dashboard: pages for people, drawn on the server. They call the same use cases as the REST API.
//!
//! [`visit`] says who looks, [`pages`] hold one page a file (its handler loads, its view draws), [`look`] is the visual
//! language, [`answer`] turns errors into words, [`place`] finds what a page is about with its frame. Every page works
//! without scripts; what scripts add is in `assets/`.

mod answer;
mod assets;
mod form;
mod look;
mod next;
mod pages;
mod path;
mod place;
mod visit;

use std::sync::Arc;

use axum::extract::{FromRef, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use tower_http::compression::CompressionLayer;

use crate::rest::Rest;
use crate::rest::caller::AdmittedBy;
use crate::site::Site;
use crate::use_cases::Control;

pub use answer::is_asked_for_a_page;
pub use visit::SESSION_COOKIE;

/// What every page has at hand.
#[derive(Clone)]
pub struct Dashboard {
    /// What is asked and changed.
    pub control: Arc<Control>,
    /// Where people see it.
    pub site: Arc<Site>,
}

impl FromRef<Dashboard> for Arc<Control> {
    fn from_ref(dashboard: &Dashboard) -> Self {
        Arc::clone(&dashboard.control)
    }
}

/// The dashboard's routes, and the page that is shown where there is none.
pub fn routes(control: &Arc<Control>, site: Site) -> axum::Router<Rest> {
    let dashboard = Dashboard { control: Arc::clone(control), site: Arc::new(site) };
    pages::routes()
        .layer(from_fn(tell_who_came))
        .layer(from_fn_with_state(dashboard.clone(), only_our_own_pages_change_anything))
        .route("/assets/{hash}/{*path}", get(assets::serve))
        .layer(CompressionLayer::new())
        .with_state(dashboard)
}

/// The page that is shown where there is none.
pub fn lost() -> Response {
    let words = "The address leads nowhere: it may be mistyped, or what was there is gone.";
    answer::error_page(StatusCode::NOT_FOUND, "There is nothing here", words).into_response()
}

/// Refuses unsafe requests that other sites' pages may have sent in a person's name (trust.md W01).
async fn only_our_own_pages_change_anything(
    State(dashboard): State<Dashboard>,
    request: Request,
    next: Next,
) -> Response {
    match dashboard.site.is_same_origin(request.method(), request.headers()) {
        true => next.run(request).await,
        false => answer::Failure::Foreign.into_response(),
    }
}

/// Tells the log whom a page was shown to, once the page has found that out.
async fn tell_who_came(mut request: Request, next: Next) -> Response {
    let came = visit::Came::default();
    request.extensions_mut().insert(came.clone());
    let mut response = next.run(request).await;
    if let Some(person) = came.person() {
        response.extensions_mut().insert(AdmittedBy(person.to_string()));
    }
    response
}
