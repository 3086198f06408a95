//! The keys of a project: the page that lists them and makes new ones, and a page for each thing that can be done with one.
//! What is shown and offered is the contract's ([`offers`]); what happens is the use cases', the same as REST's.
//!
//! A secret is in the one answer to the form that made it ([`shown`]) and nowhere else: each form carries an id of its own,
//! by which sending it again is recognised.

mod create;
mod edit;
mod filter;
mod form;
mod list;
mod making;
mod offers;
mod revoke;
mod rotate;
#[cfg(test)]
pub mod samples;
mod shown;
mod switch;
mod table;
mod traffic;

use axum::Router;
use axum::routing::get;
use keyward_core::base62;
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::permission::Permission;
use sha2::{Digest, Sha256};

use crate::dashboard::Dashboard;
use crate::dashboard::answer::Failure;
use crate::dashboard::place::{ProjectPlace, ProjectTab};
use crate::dashboard::visit::Visit;
use crate::use_cases::keys::SeenKey;
use crate::use_cases::{Asked, Control, ControlError, Repeat};

/// The addresses of these pages.
pub fn routes() -> Router<Dashboard> {
    Router::new()
        .route("/projects/{project}/keys", get(list::page).post(create::submit))
        .route("/projects/{project}/keys/regenerate", get(rotate::regenerate_page).post(rotate::regenerate))
        .route("/keys/{key}/rotate", get(rotate::page).post(rotate::submit))
        .route("/keys/{key}/revoke", get(revoke::page).post(revoke::submit))
        .route("/keys/{key}/edit", get(edit::page).post(edit::submit))
        .route("/keys/{key}/disable", get(switch::disable_page).post(switch::disable))
        .route("/keys/{key}/enable", get(switch::enable_page).post(switch::enable))
}

/// A key and the project it belongs to, as whoever looks may see and change them.
struct KeyPlace {
    place: ProjectPlace,
    seen: SeenKey,
}

impl KeyPlace {
    /// A key that the person may change.
    ///
    /// # Errors
    /// Where there is none for them, or their role only looks on.
    async fn find(dashboard: &Dashboard, visit: &Visit, id: KeyId) -> Result<Self, Failure> {
        let asked = dashboard.control.asked_at_key(&visit.current, &visit.visitor.origin, id).await?;
        let seen = dashboard.control.key(&asked, id).await?;
        let place = writable(dashboard, visit, seen.key.project).await?;
        Ok(KeyPlace { place, seen })
    }

    /// How many requests with it were let in during the last day, in whole hours.
    async fn requests_of_a_day(&self, control: &Control) -> Result<u64, Failure> {
        Ok(control.requests_of_a_day(&self.place.asked, self.seen.key.project, self.seen.key.id).await?)
    }
}

/// A project whose keys the person may change.
async fn writable(dashboard: &Dashboard, visit: &Visit, id: ProjectId) -> Result<ProjectPlace, Failure> {
    let place = ProjectPlace::find(dashboard, visit, id).await?;
    match place.may(Permission::KeysWrite) {
        true => Ok(place),
        false => Err(ControlError::Forbidden(Permission::KeysWrite).into()),
    }
}

/// Where the list of a project's keys is.
fn list_path(place: &ProjectPlace) -> String {
    place.path(ProjectTab::Keys)
}

/// What a key is called in a sentence: its name, else what may be shown of its secret.
fn called(seen: &SeenKey) -> &str {
    seen.key.name.as_deref().unwrap_or(&seen.key.hint)
}

/// The id of a form that is drawn now.
pub fn new_form(control: &Control) -> String {
    let mut bytes = [0; 16];
    control.entropy.fill(&mut bytes);
    base62::encode_u128(u128::from_be_bytes(bytes))
}

/// The same request as one that sending its form again repeats; `wish` is all that the form asks for.
pub fn repeatable(asked: &Asked, form: &str, wish: &[&str]) -> Asked {
    let mut fingerprint = Sha256::new();
    for part in wish {
        fingerprint.update((part.len() as u64).to_be_bytes());
        fingerprint.update(part.as_bytes());
    }
    // Whatever stands there: a form without an id is not sent by our pages, and is done every time.
    let is_ours = (16..=32).contains(&form.len()) && form.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let repeat =
        is_ours.then(|| Repeat { key: format!("form:{form}"), fingerprint: fingerprint.finalize().into() });
    Asked { repeat, ..asked.clone() }
}
