//! What can be set about an organization: its name. Below it stand its management keys, which are pages of their own.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyward_core::clock::Timestamp;
use keyward_core::id::OrganizationId;
use keyward_core::permission::Permission;
use keyward_core::tenancy::{ManagementKey, Organization};
use maud::{Markup, html};
use serde::Deserialize;

use super::confirm::done;
use super::keys::new_form;
use super::management_keys::{self, KeysCard, Wish};
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, fault_of, go_to};
use crate::dashboard::form::{Asking, Form};
use crate::dashboard::look::moments::on_day;
use crate::dashboard::look::parts::{self, Field, Input, Tone, badge};
use crate::dashboard::path::Path;
use crate::dashboard::place::{OrganizationPlace, OrganizationTab};
use crate::dashboard::visit::Visit;
use crate::use_cases::ControlError;

/// What is told once something was done.
const DONE: [(&str, &str); 3] = [
    (
        "made-before",
        "This management key was made already, and its secret shown once. If nobody kept it, rotate the key.",
    ),
    ("renamed", "The organization is renamed."),
    ("revoked", "The management key is revoked: it does not work any more, on any node."),
];

/// What the address says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Question {
    done: String,
}

/// What the form sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameForm {
    name: String,
}

/// The page.
pub async fn page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<OrganizationId>,
    Asking(question): Asking<Question>,
) -> Result<Response, Failure> {
    let place = OrganizationPlace::find(&dashboard, &visit, id).await?;
    Ok(show(&dashboard, &visit, &place, &question.done, Sent::default()).await?.into_response())
}

/// Renames the organization.
pub async fn rename(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<OrganizationId>,
    Form(form): Form<NameForm>,
) -> Result<Response, Failure> {
    let place = OrganizationPlace::find(&dashboard, &visit, id).await?;
    match dashboard.control.rename_organization(&place.asked, id, &form.name).await {
        Ok(_) => Ok(go_to(&format!("{}?done=renamed", place.path(OrganizationTab::Settings)))),
        Err(error @ ControlError::Invalid(_)) => {
            let sent = Sent { name: Some((&form.name, &error)), key: None };
            let page = show(&dashboard, &visit, &place, "", sent).await?;
            Ok(page.with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// The forms that were refused.
#[derive(Default)]
pub struct Sent<'a> {
    /// The name that was filled in, and what is wrong with it.
    pub name: Option<(&'a str, &'a ControlError)>,
    /// The management key that was asked for.
    pub key: Option<Wish<'a>>,
}

/// The page with what was done or refused before.
pub async fn show(
    dashboard: &Dashboard,
    visit: &Visit,
    place: &OrganizationPlace,
    done: &str,
    sent: Sent<'_>,
) -> Result<Page, Failure> {
    let keys = match place.may(Permission::ManagementKeysRead) {
        true => Some(management_keys::of_organization(dashboard, place).await?),
        false => None,
    };
    let form = new_form(&dashboard.control);
    let view = SettingsView {
        organization: &place.organization,
        form: &form,
        keys: keys.as_deref(),
        may_write: place.may(Permission::OrganizationsWrite),
        may_mint: place.may(Permission::ManagementKeysWrite),
        now: dashboard.control.now(),
        done,
        sent,
    };
    Ok(Page::new(place.frame(visit, OrganizationTab::Settings, "Settings"), view.draw()))
}

/// What the page shows.
struct SettingsView<'a> {
    organization: &'a Organization,
    /// Its management keys; none where they are not this person's to see.
    keys: Option<&'a [ManagementKey]>,
    may_write: bool,
    may_mint: bool,
    /// The id of the form for another management key.
    form: &'a str,
    now: Timestamp,
    done: &'a str,
    sent: Sent<'a>,
}

impl SettingsView<'_> {
    fn draw(&self) -> Markup {
        html! {
            (parts::head("Settings", "The organization itself, and the keys that manage it.", ""))
            (done(self.done, &DONE))
            (self.organization())
            @if let Some(keys) = self.keys {
                (KeysCard {
                    organization: self.organization.id,
                    keys,
                    may_write: self.may_mint,
                    form: self.form,
                    now: self.now,
                    wish: self.sent.key.as_ref(),
                }.draw())
            }
        }
    }

    fn organization(&self) -> Markup {
        let organization = self.organization;
        let (name, error) =
            self.sent.name.map_or((organization.name.as_str(), None), |(name, error)| (name, Some(error)));
        let input = Input { max_chars: Some(100), ..Input::REQUIRED };
        html! {
            section.card {
                header { h2 { "General" } }
                div.inner { dl.facts {
                    dt { "Organization" } dd { (organization.name) }
                    dt { "Id" } dd { code { (organization.id) } }
                    dt { "Made" } dd { (on_day(organization.created_at)) }
                    dt { "State" } dd {
                        @if organization.state.is_active() { (badge(Tone::Good, "active")) } @else { (badge(Tone::Bad, "suspended")) }
                    }
                } }
                @if self.may_write {
                    form.row.inner method="post" action={ "/organizations/" (organization.id) "/settings" } {
                        (Field::new("name", "New name").fault(fault_of(error, "name")).line("text", name, input))
                        button.button type="submit" { "Rename" }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use super::samples::{EVIL, LONG, NOW, management_key, organization, organization_place, visit};
    let keys = [management_key(1, EVIL), management_key(2, LONG)];
    let fault = |field: &str| crate::use_cases::Fault { field: field.into(), message: EVIL.into(), line: None };
    let invalid = ControlError::Invalid(["name", "scopes", "expires_at"].map(fault).into());
    let page = |keys, may: bool, sent| {
        let visit = visit(EVIL, may);
        let frame = organization_place(&visit, EVIL).frame(&visit, OrganizationTab::Settings, "Settings");
        let organization = organization(1, EVIL);
        let view = SettingsView {
            organization: &organization,
            keys,
            may_write: may,
            may_mint: may,
            form: "x",
            now: NOW,
            done: "renamed",
            sent,
        };
        Page::new(frame, view.draw())
    };
    let chosen = ["keys:read".to_owned(), EVIL.to_owned()];
    let wish = Wish { name: EVIL, scopes: &chosen, expires: EVIL, error: &invalid };
    vec![
        ("to a viewer", page(None, false, Sent::default())),
        ("without keys", page(Some(&[]), true, Sent::default())),
        ("with keys", page(Some(&keys), true, Sent::default())),
        ("refused", page(Some(&keys), true, Sent { name: Some((EVIL, &invalid)), key: None })),
        ("key refused", page(Some(&keys), true, Sent { name: None, key: Some(wish) })),
    ]
}
