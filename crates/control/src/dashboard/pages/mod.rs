//! The pages, one file each: a handler that loads what the page shows, a view that holds it, and the view's drawing. This
//! file is the table of addresses.

mod account;
mod confirm;
mod encryption;
mod events;
mod forgotten;
mod gate;
mod home;
mod invitation;
mod keys;
mod limits;
mod management_keys;
mod members;
mod new_account;
mod new_project;
mod openid;
mod operator;
mod organization_settings;
#[cfg(test)]
pub mod samples;
mod settings;
mod setup;
mod shown_once;
mod sign_in;
mod sign_in_link;
mod usage;

use axum::Router;
use axum::routing::{get, post};

use super::Dashboard;
use crate::openid::OpenId;

/// Every page's address.
pub fn routes() -> Router<Dashboard> {
    entries()
        .merge(of_oneself())
        .merge(of_organizations())
        .merge(keys::routes())
        .merge(of_projects())
        .merge(of_people())
        .merge(of_operators())
}

/// The ways in and out.
fn entries() -> Router<Dashboard> {
    Router::new()
        .route("/", get(home::start))
        .route("/sign-in", get(sign_in::page).post(sign_in::submit))
        .route("/sign-in/link/{secret}", get(sign_in_link::page).post(sign_in_link::submit))
        .route("/sign-in/forgotten", get(forgotten::page).post(forgotten::submit))
        .route("/sign-in/openid", post(openid::begin))
        .route(OpenId::CALLBACK, get(openid::callback))
        .route("/account/openid", post(openid::begin_link))
        .route("/account/openid/unlink", post(openid::unlink))
        .route("/setup/{secret}", get(setup::page).post(setup::submit))
        .route("/invitations/{secret}", get(invitation::page).post(invitation::accept_as_new))
        .route("/invitations/{secret}/accept", post(invitation::accept))
        .route("/sign-out", post(sign_in::sign_out))
}

/// One's own account.
fn of_oneself() -> Router<Dashboard> {
    Router::new()
        .route("/account", get(account::page))
        .route("/account/name", post(account::rename))
        .route("/account/password", post(account::change_password))
        .route("/account/sessions/end-others", post(account::end_other_sessions))
        .route("/account/sessions/{session}/end", post(account::end_session))
        .route("/account/organizations/{organization}/leave", get(account::ask_to_leave).post(account::leave))
}

/// Organizations.
fn of_organizations() -> Router<Dashboard> {
    Router::new()
        .route("/organizations/{organization}", get(home::projects))
        .route("/organizations/{organization}/new-project", get(new_project::page).post(new_project::create))
        .route("/organizations/{organization}/members", get(members::page).post(members::invite))
        .route("/organizations/{organization}/members/{person}/role", post(members::set_role))
        .route(
            "/organizations/{organization}/members/{person}/remove",
            get(members::ask_to_remove).post(members::remove),
        )
        .route("/organizations/{organization}/invitations/{invitation}/withdraw", post(members::withdraw))
        .route(
            "/organizations/{organization}/settings",
            get(organization_settings::page).post(organization_settings::rename),
        )
        .route("/organizations/{organization}/management-keys", post(management_keys::create))
        .route(
            "/organizations/{organization}/management-keys/{key}/rotate",
            get(management_keys::ask_to_rotate).post(management_keys::rotate),
        )
        .route(
            "/organizations/{organization}/management-keys/{key}/revoke",
            get(management_keys::ask_to_revoke).post(management_keys::revoke),
        )
}

/// All people.
fn of_people() -> Router<Dashboard> {
    use operator::people;
    Router::new()
        .route("/operator/people", get(people::page))
        .route("/operator/people/invite", post(people::invite))
        .route("/operator/people/{person}", get(people::person))
        .route("/operator/people/{person}/sign-in-link", post(people::make_link))
        .route("/operator/people/{person}/operator", get(people::ask_to_set_operator).post(people::set_operator))
        .route("/operator/people/{person}/disable", get(people::ask_to_disable).post(people::disable))
        .route("/operator/people/{person}/enable", post(people::enable))
        .route("/operator/invitations/{invitation}/withdraw", post(people::withdraw))
}

/// Projects.
fn of_projects() -> Router<Dashboard> {
    Router::new()
        .route("/projects/{project}/usage", get(usage::page))
        .route("/projects/{project}/events", get(events::page))
        .route("/projects/{project}/events.csv", get(events::export::csv))
        .route("/projects/{project}/events.json", get(events::export::json))
        .route("/projects/{project}/limits", get(limits::page).post(limits::set))
        .route("/projects/{project}/encryption", get(encryption::page))
        .route("/projects/{project}/encryption/destination", post(encryption::send_to))
        .route("/projects/{project}/encryption/rotate", post(encryption::rotate))
        .route("/projects/{project}/encryption/shred", get(encryption::ask_to_shred).post(encryption::shred))
        .route("/projects/{project}/settings", get(settings::page).post(settings::rename))
        .route("/projects/{project}/suspend", get(settings::ask_to_suspend).post(settings::suspend))
        .route("/projects/{project}/resume", post(settings::resume))
        .route("/projects/{project}/delete", get(settings::ask_to_delete).post(settings::delete))
}

/// The operator's.
fn of_operators() -> Router<Dashboard> {
    use operator::{apis, log, nodes, organizations, projects};
    Router::new()
        .route("/operator/organizations", get(organizations::page).post(organizations::create))
        .route(
            "/operator/organizations/{organization}/suspend",
            get(organizations::ask_to_suspend).post(organizations::suspend),
        )
        .route("/operator/organizations/{organization}/resume", post(organizations::resume))
        .route(
            "/operator/organizations/{organization}/delete",
            get(organizations::ask_to_delete).post(organizations::delete),
        )
        .route("/operator/projects", get(projects::page))
        .route("/operator/apis", get(apis::list))
        .route("/operator/apis/{api}", get(apis::one).post(apis::edit))
        .route("/operator/log", get(log::page).post(log::check))
        .route("/operator/nodes", get(nodes::page))
}
