//! The REST API: the table of operations with the permission of each, and the layers around them.
//!
//! A handler reads its request, asks one use case and shapes the answer. Errors become answers in
//! `problem` alone; `doors` sees to it that no operation exists without a permission.

mod answers;
mod apis;
mod backups;
mod body;
pub(crate) mod caller;
mod data_keys;
mod document;
pub(crate) mod doors;
mod encryption_keys;
mod fields;
pub(crate) mod hygiene;
mod key_answer;
mod keys;
mod limits;
pub(crate) mod log;
mod management_keys;
mod members;
mod nodes;
mod organizations;
mod people;
mod prefer;
pub(crate) mod problem;
mod projects;
mod query;
mod revocations;
mod session;
mod usage;

use std::sync::{Arc, OnceLock};

use axum::routing::get;
use keyward_core::permission::Permission as P;
use utoipa_axum::routes;

use self::doors::Doors;
pub(crate) use self::doors::Rest;
use self::problem::{Code, Problem};
use crate::site::Site;
use crate::use_cases::Control;

/// Every operation, with the permission it takes.
fn doors(control: Rest, site: Arc<Site>) -> Doors {
    Doors::new(control, site)
        .open(&[P::ApisRead], routes!(apis::list_apis))
        .open(&[P::ApisRead], routes!(apis::read_api))
        .restrict(&[P::ApisWrite], routes!(apis::apply_contract))
        .open(&[P::OrganizationsRead], routes!(organizations::list_organizations))
        .make(&[P::OrganizationsWrite], routes!(organizations::create_organization))
        .open(&[P::OrganizationsRead], routes!(organizations::read_organization))
        .open(&[P::OrganizationsWrite], routes!(organizations::rename_organization))
        .restrict(&[P::OrganizationsWrite], routes!(organizations::delete_organization))
        .restrict(&[P::OrganizationsWrite], routes!(organizations::suspend_organization))
        .open(&[P::OrganizationsWrite], routes!(organizations::resume_organization))
        .open(&[P::ProjectsRead], routes!(projects::list_projects))
        .make(&[P::ProjectsWrite], routes!(projects::create_project))
        .open(&[P::ProjectsRead], routes!(projects::read_project))
        .restrict(&[P::ProjectsWrite, P::PlansWrite], routes!(projects::edit_project))
        .restrict(&[P::ProjectsWrite], routes!(projects::delete_project))
        .restrict(&[P::ProjectsWrite], routes!(projects::suspend_project))
        .open(&[P::ProjectsWrite], routes!(projects::resume_project))
        .open(&[P::ProjectsRead], routes!(limits::read_limits))
        .open(&[P::ProjectsRead], routes!(data_keys::list_data_keys))
        .make(&[P::ProjectsWrite], routes!(data_keys::rotate_data_key))
        .restrict(&[P::ProjectsWrite], routes!(data_keys::shred_data_keys))
        .open(&[P::ProjectsRead], routes!(data_keys::read_destination))
        .restrict(&[P::ProjectsWrite], routes!(data_keys::set_destination))
        .restrict(&[P::ProjectsWrite], routes!(data_keys::clear_destination))
        .open(&[P::ProjectsRead], routes!(usage::count_usage))
        .open(&[P::ProjectsRead], routes!(log::list_events))
        .open(&[P::KeysRead], routes!(keys::list_keys))
        .make(&[P::KeysWrite], routes!(keys::create_key))
        .replace(&[P::KeysWrite], routes!(keys::regenerate_key))
        .open(&[P::KeysRead], routes!(keys::read_key))
        .restrict(&[P::KeysWrite], routes!(keys::edit_key))
        .replace(&[P::KeysWrite], routes!(keys::rotate_key))
        .restrict(&[P::KeysWrite], routes!(keys::revoke_key))
        .restrict(&[P::KeysWrite], routes!(keys::disable_key))
        .open(&[P::KeysWrite], routes!(keys::enable_key))
        .restrict(&[P::KeysWrite], routes!(revocations::revoke_many))
        .ask_again(routes!(revocations::read_revocation))
        .open(&[P::LogRead], routes!(log::list_changes))
        .open(&[P::LogRead], routes!(log::read_head))
        .open(&[P::LogRead], routes!(log::verify_log))
        .open(&[P::ManagementKeysRead], routes!(management_keys::list_management_keys))
        .make(&[P::ManagementKeysWrite], routes!(management_keys::create_management_key))
        .open(&[P::ManagementKeysRead], routes!(management_keys::read_management_key))
        .replace(&[P::ManagementKeysWrite], routes!(management_keys::rotate_management_key))
        .restrict(&[P::ManagementKeysWrite], routes!(management_keys::revoke_management_key))
        .open(&[P::MembersRead], routes!(members::list_members))
        .restrict(&[P::MembersWrite], routes!(members::set_role))
        .restrict(&[P::MembersWrite], routes!(members::remove_member))
        .open(&[P::MembersRead], routes!(members::list_invitations))
        .make(&[P::MembersWrite], routes!(members::invite))
        .restrict(&[P::MembersWrite], routes!(members::withdraw_invitation))
        .open(&[P::PeopleWrite], routes!(people::list_people))
        .restrict(&[P::PeopleWrite], routes!(people::edit_person))
        .open(&[P::PeopleWrite], routes!(people::make_sign_in_link))
        .open_to_all(routes!(people::who_am_i))
        .open(&[P::Operate], routes!(nodes::list_nodes))
        .open(&[P::Operate], routes!(encryption_keys::list_encryption_keys))
        .open(&[P::Operate], routes!(encryption_keys::rewrap_data_keys))
        .open(&[P::Operate], routes!(encryption_keys::retire_encryption_key))
        .open(&[P::Operate], routes!(backups::create_backup))
}

/// The OpenAPI document, as `/openapi.json` serves it and docs/openapi.json keeps it.
pub fn openapi_json(control: &Arc<Control>) -> String {
    let site = Arc::new(Site::at((std::net::Ipv4Addr::LOCALHOST, 0).into()));
    document::written(&doors(Arc::clone(control), site).split().1)
}

/// The REST API's routes; what is around them is [`crate::router`]'s.
pub(crate) fn routes(control: &Arc<Control>, site: &Site) -> axum::Router<Rest> {
    let (router, document) = doors(Arc::clone(control), Arc::new(site.clone())).split();
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    let document: &'static str = DOCUMENT.get_or_init(|| document::written(&document));
    router
        .route("/openapi.json", get(move || async move { document::answer(document) }))
        .method_not_allowed_fallback(|| async {
            Problem::new(Code::MethodNotAllowed, "See Allow for what is served here.")
        })
}

/// What nothing of the REST API is answered with.
pub(crate) fn nothing() -> Problem {
    problem::not_found()
}
