//! The management keys of an organization, by which its scripts manage its projects and keys: made, shown once, rotated
//! and revoked by its owners. They are listed on the organization's settings.

mod view;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyward_core::clock::Timestamp;
use keyward_core::id::{ManagementKeyId, OrganizationId};
use keyward_core::tenancy::{Boundary, ManagementKey};
use maud::{Markup, html};
use serde::Deserialize;

pub use self::view::{KeysCard, Wish};
use super::confirm::Confirmation;
use super::keys::repeatable;
use super::organization_settings::{Sent, show};
use super::shown_once::ShownOnce;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, go_to};
use crate::dashboard::form::Form;
use crate::dashboard::path::Path;
use crate::dashboard::place::{OrganizationPlace, OrganizationTab};
use crate::dashboard::visit::Visit;
use crate::use_cases::{ControlError, ManagementKeyMade, NewManagementKey};

/// How many management keys are shown at most: far more than anybody keeps apart.
const SHOWN: u32 = 200;

/// What the form of a new one sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewForm {
    /// The form's own id: sent again, it makes nothing again.
    #[serde(default)]
    form: String,
    name: String,
    #[serde(default)]
    scopes: Vec<String>,
    /// A day, or nothing.
    #[serde(default)]
    expires: String,
}

/// Makes one, and shows its secret the one time it can be shown.
pub async fn create(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<OrganizationId>,
    Form(form): Form<NewForm>,
) -> Result<Response, Failure> {
    let place = OrganizationPlace::find(&dashboard, &visit, id).await?;
    let made = match end_of(&form.expires) {
        Ok(expires_at) => {
            let boundary = Some(Boundary::Organization(id));
            let wish =
                NewManagementKey { name: form.name.clone(), scopes: form.scopes.clone(), boundary, expires_at };
            let asks = [form.name.as_str(), &form.scopes.join(" "), &form.expires];
            dashboard.control.create_management_key(&repeatable(&place.asked, &form.form, &asks), &wish).await
        }
        Err(error) => Err(error),
    };
    match made {
        Ok(made) if made.is_repeated => {
            Ok(go_to(&format!("{}?done=made-before", place.path(OrganizationTab::Settings))))
        }
        Ok(made) => Ok(shown(&visit, &place, made, "The management key is made")?.into_response()),
        Err(
            error @ (ControlError::Invalid(_)
            | ControlError::WiderThanCaller(_)
            | ControlError::IdempotencyKeyReused),
        ) => {
            let wish = Wish { name: &form.name, scopes: &form.scopes, expires: &form.expires, error: &error };
            let page = show(&dashboard, &visit, &place, "", Sent { name: None, key: Some(wish) }).await?;
            Ok(page.with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Asks whether one is to be rotated.
pub async fn ask_to_rotate(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path((id, key)): Path<(OrganizationId, ManagementKeyId)>,
) -> Result<Response, Failure> {
    let words = |key: &ManagementKey| {
        html! {
            p { "A new key takes the place of " strong { (key.name) } " (" code { (key.hint) } "), with the same scopes and the same end. The old one stops working at once: scripts fail until they have the new secret." }
        }
    };
    ask(
        &dashboard,
        &visit,
        (id, key),
        Ending { verb: "rotate", question: "Rotate", button: "Rotate the key" },
        words,
    )
    .await
}

/// Rotates one, and shows the new secret.
pub async fn rotate(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path((id, key)): Path<(OrganizationId, ManagementKeyId)>,
) -> Result<Response, Failure> {
    let place = place_of(&dashboard, &visit, id, key).await?.0;
    let (made, _) = dashboard.control.rotate_management_key(&place.asked, key).await?;
    Ok(shown(&visit, &place, made, "The management key is rotated")?.into_response())
}

/// Asks whether one is to be revoked.
pub async fn ask_to_revoke(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path((id, key)): Path<(OrganizationId, ManagementKeyId)>,
) -> Result<Response, Failure> {
    let words = |key: &ManagementKey| {
        html! {
            p { strong { (key.name) } " (" code { (key.hint) } ") stops working at once and for ever. Scripts that use it fail from then on. API keys that were made with it stay as they are." }
        }
    };
    ask(
        &dashboard,
        &visit,
        (id, key),
        Ending { verb: "revoke", question: "Revoke", button: "Revoke the key" },
        words,
    )
    .await
}

/// Revokes one.
pub async fn revoke(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path((id, key)): Path<(OrganizationId, ManagementKeyId)>,
) -> Result<Response, Failure> {
    let place = place_of(&dashboard, &visit, id, key).await?.0;
    dashboard.control.revoke_management_key(&place.asked, key).await?;
    Ok(go_to(&format!("{}?done=revoked", place.path(OrganizationTab::Settings))))
}

/// An end of a secret, as it is asked about.
struct Ending {
    verb: &'static str,
    question: &'static str,
    button: &'static str,
}

async fn ask(
    dashboard: &Dashboard,
    visit: &Visit,
    (id, key): (OrganizationId, ManagementKeyId),
    ending: Ending,
    words: impl Fn(&ManagementKey) -> Markup,
) -> Result<Response, Failure> {
    let (place, key) = place_of(dashboard, visit, id, key).await?;
    let back = place.path(OrganizationTab::Settings);
    let asked = Confirmation {
        question: &format!("{} {}?", ending.question, key.name),
        consequences: words(&key),
        action: &format!("/organizations/{id}/management-keys/{}/{}", key.id, ending.verb),
        button: ending.button,
        back: &back,
        name: None,
        fault: None,
    };
    Ok(Page::new(place.frame(visit, OrganizationTab::Settings, ending.question), asked.draw()).into_response())
}

/// A management key of an organization; those of others are not there.
async fn place_of(
    dashboard: &Dashboard,
    visit: &Visit,
    id: OrganizationId,
    key: ManagementKeyId,
) -> Result<(OrganizationPlace, ManagementKey), Failure> {
    let place = OrganizationPlace::find(dashboard, visit, id).await?;
    let key = dashboard.control.management_key_of(&place.asked, id, key).await?;
    Ok((place, key))
}

/// The management keys of an organization and its projects, newest first.
///
/// # Errors
/// Where the person may not see them.
pub async fn of_organization(
    dashboard: &Dashboard,
    place: &OrganizationPlace,
) -> Result<Vec<ManagementKey>, Failure> {
    let found = dashboard.control.management_keys_of(&place.asked, place.organization.id, None, SHOWN).await?;
    Ok(found.items)
}

fn shown(visit: &Visit, place: &OrganizationPlace, made: ManagementKeyMade, title: &str) -> Result<Page, Failure> {
    let ManagementKeyMade { key, secret, .. } = made;
    let secret = secret.secret()?;
    let shown = ShownOnce {
        title,
        words: html! {
            p { strong { (key.name) } " manages " (place.organization.name) " through the REST API and the command line. Send it as " code { "Authorization: Bearer …" } "." }
        },
        label: "Management key",
        secret: secret.expose(),
        warning: "This is the only time it is shown. Keep it where secrets are kept: whoever has it can do all that its scopes allow.",
        back: &place.path(OrganizationTab::Settings),
    };
    Ok(Page::new(place.frame(visit, OrganizationTab::Settings, "Management key"), shown.draw()))
}

/// The end of a day that a date field gave; none where it is empty.
fn end_of(day: &str) -> Result<Option<Timestamp>, ControlError> {
    if day.trim().is_empty() {
        return Ok(None);
    }
    let moment: Result<Timestamp, _> = format!("{}T23:59:59Z", day.trim()).parse();
    moment.map(Some).map_err(|_| ControlError::invalid("expires_at", "must be a day, such as 2027-01-31"))
}
