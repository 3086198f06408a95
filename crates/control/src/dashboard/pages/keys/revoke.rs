//! Ending a key: a page says what will stop, with the contract's own statements (Q10); its form ends the key, and the list
//! then says how that took force.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keyward_core::contract::Contract;
use keyward_core::id::KeyId;
use keyward_core::key::Standing;
use maud::{Markup, html};
use serde::Deserialize;

use super::list::Done;
use super::shown::facts;
use super::table::last_used;
use super::{KeyPlace, called, create, list_path};
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, fault_of, form_notice, go_to};
use crate::dashboard::form::Form;
use crate::dashboard::look::Icon;
use crate::dashboard::look::parts::{Field, Input, Tone, notice, number};
use crate::dashboard::path::Path;
use crate::dashboard::place::ProjectTab;
use crate::dashboard::visit::Visit;
use crate::use_cases::ControlError;
use crate::use_cases::keys::SeenKey;

/// What the form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RevokeForm {
    reason: String,
    acknowledge: String,
}

/// The page that asks.
pub async fn page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(key): Path<KeyId>,
) -> Result<Response, Failure> {
    let found = KeyPlace::find(&dashboard, &visit, key).await?;
    Ok(draw(&dashboard, &visit, &found, "", None).await?.into_response())
}

/// Ends the key.
pub async fn submit(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(key): Path<KeyId>,
    Form(form): Form<RevokeForm>,
) -> Result<Response, Failure> {
    let found = KeyPlace::find(&dashboard, &visit, key).await?;
    let reason = Some(form.reason.trim()).filter(|reason| !reason.is_empty());
    let is_acknowledged = form.acknowledge == "yes";
    match dashboard.control.revoke_key(&found.place.asked, key, reason, is_acknowledged).await {
        Ok((_, in_force)) => Ok(go_to(&Done::Revoked.at(&found.place, &in_force))),
        Err(error @ (ControlError::Invalid(_) | ControlError::AcknowledgementRequired(_))) => {
            let page = draw(&dashboard, &visit, &found, &form.reason, Some(&error)).await?;
            Ok(page.with_status(create::status_of(&error)).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn draw(
    dashboard: &Dashboard,
    visit: &Visit,
    found: &KeyPlace,
    reason: &str,
    error: Option<&ControlError>,
) -> Result<Page, Failure> {
    let KeyPlace { place, seen } = found;
    let view = RevokeView {
        contract: place.contract(),
        seen,
        requests: found.requests_of_a_day(&dashboard.control).await?,
        list: list_path(place),
        reason,
        error,
    };
    Ok(Page::new(place.frame(visit, ProjectTab::Keys, &place.contract().dashboard.revoke), view.draw()))
}

/// What the page shows.
pub struct RevokeView<'a> {
    /// What rules the key.
    pub contract: &'a Contract,
    /// The key.
    pub seen: &'a SeenKey,
    /// How many requests with it were let in during the last day.
    pub requests: u64,
    /// Where the list is.
    pub list: String,
    /// What is filled in as the reason.
    pub reason: &'a str,
    /// What was wrong with it.
    pub error: Option<&'a ControlError>,
}

impl RevokeView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        let label = &self.contract.dashboard.revoke;
        let id = self.seen.key.id;
        let reason = Field::new("reason", "Reason (optional)").hint("For the event log.");
        html! {
            div.alone.stack {
                h1 { (label) " " bdi { (called(self.seen)) } "?" }
                @if let Some(error) = self.error { (form_notice(error)) }
                section.card { form.inner method="post" action={ "/keys/" (id) "/revoke" } {
                    (self.consequences())
                    (facts(self.seen))
                    (reason.fault(fault_of(self.error, "reason")).line("text", self.reason, Input {
                        autocomplete: Some("off"), ..Input::default()
                    }))
                    input type="hidden" name="acknowledge" value="yes";
                    div.actions.end {
                        a.button href=(self.list) { "Cancel" }
                        button.button.danger type="submit" { (Icon::Trash) (label) " this key" }
                    }
                } }
                @if self.contract.key.disable && self.seen.standing() == Standing::Active {
                    p.soft.small {
                        "Not sure? " a href={ "/keys/" (id) "/disable" } { "Disable it instead" } ": that can be undone."
                    }
                }
            }
        }
    }

    fn consequences(&self) -> Markup {
        html! {
            (notice(Tone::Warn, html! {
                p {
                    @if !self.seen.standing().is_live() { "This key is refused already. Revoking it makes that final." }
                    @else if self.requests > 0 {
                        "It let " strong { (number(self.requests)) @if self.requests == 1 { " request" } @else { " requests" } }
                        " through in the last 24 hours, the last " (last_used(self.seen))
                        ". From the moment you confirm such requests are refused."
                    } @else {
                        "No request came with it in the last 24 hours; last used: " (last_used(self.seen))
                        ". From the moment you confirm it is refused."
                    }
                }
                p { "This cannot be undone." }
                @let statements = &self.contract.acknowledge.revoke;
                @if !statements.is_empty() { ul { @for statement in statements { li { (statement) } } } }
            }))
        }
    }
}
