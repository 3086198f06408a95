//! The pages, one file each: a handler that loads what the page shows, a view that holds it, and the view's drawing. This
//! file is the table of addresses.

mod forgotten;
mod home;
mod invitation;
mod new_account;
mod openid;
#[cfg(test)]
pub mod samples;
mod setup;
mod sign_in;
mod sign_in_link;

use axum::Router;
use axum::routing::{get, post};

use super::Dashboard;
use crate::openid::OpenId;

/// Every page's address.
pub fn routes() -> Router<Dashboard> {
    Router::new()
        .route("/", get(home::start))
        .route("/sign-in", get(sign_in::page).post(sign_in::submit))
        .route("/sign-in/link/{secret}", get(sign_in_link::page).post(sign_in_link::submit))
        .route("/sign-in/forgotten", get(forgotten::page).post(forgotten::submit))
        .route("/sign-in/openid", post(openid::begin))
        .route(OpenId::CALLBACK, get(openid::callback))
        .route("/account/openid", post(openid::begin_link))
        .route("/setup/{secret}", get(setup::page).post(setup::submit))
        .route("/invitations/{secret}", get(invitation::page).post(invitation::accept_as_new))
        .route("/invitations/{secret}/accept", post(invitation::accept))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/organizations/{organization}", get(home::projects))
}
