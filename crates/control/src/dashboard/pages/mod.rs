//! The pages, one file each: a handler that loads what the page shows, a view that holds it, and the view's drawing. This
//! file is the table of addresses.

mod home;
#[cfg(test)]
pub mod samples;
mod sign_in;

use axum::Router;
use axum::routing::{get, post};

use super::Dashboard;

/// Every page's address.
pub fn routes() -> Router<Dashboard> {
    Router::new()
        .route("/", get(home::start))
        .route("/sign-in", get(sign_in::page).post(sign_in::submit))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/organizations/{organization}", get(home::projects))
}
