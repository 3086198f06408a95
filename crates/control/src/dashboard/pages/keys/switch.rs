//! Switching a key off and on again, each on a page that asks first.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keyward_core::id::KeyId;
use maud::{Markup, html};

use super::list::Done;
use super::shown::facts;
use super::table::last_used;
use super::{KeyPlace, called, create, list_path};
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, form_notice, go_to};
use crate::dashboard::look::parts::{Tone, notice, number};
use crate::dashboard::path::Path;
use crate::dashboard::place::ProjectTab;
use crate::dashboard::visit::Visit;
use crate::use_cases::ControlError;
use crate::use_cases::keys::SeenKey;

/// Which way a key is switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Off.
    Off,
    /// On.
    On,
}

/// The page that asks whether to switch a key off.
pub async fn disable_page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(key): Path<KeyId>,
) -> Result<Response, Failure> {
    let found = KeyPlace::find(&dashboard, &visit, key).await?;
    Ok(draw(&dashboard, &visit, &found, Switch::Off, None).await?.into_response())
}

/// The page that asks whether to switch a key on.
pub async fn enable_page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(key): Path<KeyId>,
) -> Result<Response, Failure> {
    let found = KeyPlace::find(&dashboard, &visit, key).await?;
    Ok(draw(&dashboard, &visit, &found, Switch::On, None).await?.into_response())
}

/// Switches a key off.
pub async fn disable(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(key): Path<KeyId>,
) -> Result<Response, Failure> {
    let found = KeyPlace::find(&dashboard, &visit, key).await?;
    let (_, in_force) = dashboard.control.disable_key(&found.place.asked, key).await?;
    Ok(go_to(&Done::Disabled.at(&found.place, &in_force)))
}

/// Switches a key on.
pub async fn enable(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(key): Path<KeyId>,
) -> Result<Response, Failure> {
    let found = KeyPlace::find(&dashboard, &visit, key).await?;
    match dashboard.control.enable_key(&found.place.asked, key).await {
        Ok((_, in_force)) => Ok(go_to(&Done::Enabled.at(&found.place, &in_force))),
        Err(error @ (ControlError::ActiveKeyLimit { .. } | ControlError::RateLimited { .. })) => {
            let page = draw(&dashboard, &visit, &found, Switch::On, Some(&error)).await?;
            Ok(page.with_status(create::status_of(&error)).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn draw(
    dashboard: &Dashboard,
    visit: &Visit,
    found: &KeyPlace,
    to: Switch,
    error: Option<&ControlError>,
) -> Result<Page, Failure> {
    let KeyPlace { place, seen } = found;
    if !place.contract().key.disable {
        return Err(ControlError::ActionNotOffered("disable keys").into());
    }
    let requests = found.requests_of_a_day(&dashboard.control).await?;
    let view = SwitchView { seen, to, requests, list: list_path(place), error };
    let title = if to == Switch::Off { "Disable" } else { "Enable" };
    Ok(Page::new(place.frame(visit, ProjectTab::Keys, title), view.draw()))
}

/// What the page shows.
pub struct SwitchView<'a> {
    /// The key.
    pub seen: &'a SeenKey,
    /// Which way.
    pub to: Switch,
    /// How many requests with it were let in during the last day.
    pub requests: u64,
    /// Where the list is.
    pub list: String,
    /// What was wrong.
    pub error: Option<&'a ControlError>,
}

impl SwitchView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        let (word, path) = match self.to {
            Switch::Off => ("Disable", "disable"),
            Switch::On => ("Enable", "enable"),
        };
        html! {
            div.alone.stack {
                h1 { (word) " " bdi { (called(self.seen)) } "?" }
                @if let Some(error) = self.error { (form_notice(error)) }
                section.card { form.inner method="post" action={ "/keys/" (self.seen.key.id) "/" (path) } {
                    (self.consequences())
                    (facts(self.seen))
                    div.actions.end {
                        a.button href=(self.list) { "Cancel" }
                        @match self.to {
                            Switch::Off => button.button.danger type="submit" { "Disable this key" },
                            Switch::On => button.button.primary type="submit" { "Enable this key" },
                        }
                    }
                } }
            }
        }
    }

    fn consequences(&self) -> Markup {
        match self.to {
            Switch::On => notice(
                Tone::Info,
                html! { p { "Requests with this key are let in again, as far as its rights go." } },
            ),
            Switch::Off => notice(
                Tone::Warn,
                html! {
                    p { "Requests with this key are refused until you enable it again." }
                    p {
                        @if self.requests > 0 { strong { (number(self.requests)) } " came with it in the last 24 hours, the last " (last_used(self.seen)) "." }
                        @else { "None came with it in the last 24 hours; last used: " (last_used(self.seen)) "." }
                    }
                },
            ),
        }
    }
}
