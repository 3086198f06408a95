//! Putting a new key in a key's place. A page says first what becomes of the old one: it stops at once, or, where the
//! contract has overlaps, goes on for as long as one chooses. For a project with one key the same is done without naming
//! it, also where none is active any more.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keyward_core::contract::{Contract, RotationRules};
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::key::Standing;
use maud::{Markup, html};
use serde::Deserialize;

use super::offers::{self, Replacing};
use super::shown::{Made, Replaced, facts};
use super::{KeyPlace, called, create, list_path, new_form, repeatable, writable};
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, fault_of, form_notice, go_to};
use crate::dashboard::form::Form;
use crate::dashboard::look::Icon;
use crate::dashboard::look::parts::{Choice, Field, Tone, notice, number, select};
use crate::dashboard::path::Path;
use crate::dashboard::place::{ProjectPlace, ProjectTab};
use crate::dashboard::visit::Visit;
use crate::use_cases::ControlError;
use crate::use_cases::keys::{KeyQuestion, Rotated, SeenKey};

const HOUR: u64 = 3_600;
/// Overlaps to choose from, in seconds, where the contract allows them.
const OVERLAPS: [u64; 6] = [HOUR, 6 * HOUR, 24 * HOUR, 72 * HOUR, 168 * HOUR, 720 * HOUR];

/// What the forms send.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RotateForm {
    form: String,
    /// How many seconds the old key goes on.
    overlap: String,
    /// Which key the form said would be replaced; nothing where none was active.
    replaces: String,
    acknowledge: String,
}

impl RotateForm {
    fn overlap(&self) -> Result<Option<Duration>, ControlError> {
        let wrong = |_| ControlError::invalid("overlap_seconds", "must be one of the times to choose from");
        match self.overlap.as_str() {
            "" => Ok(None),
            seconds => seconds.parse().map(|seconds| Some(Duration::from_secs(seconds))).map_err(wrong),
        }
    }
}

/// The page that asks, for one of several keys.
pub async fn page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(key): Path<KeyId>,
) -> Result<Response, Failure> {
    let KeyPlace { place, seen } = KeyPlace::find(&dashboard, &visit, key).await?;
    Ok(draw(&dashboard, &visit, &place, Some(&seen), None).await?.into_response())
}

/// Rotates one of several keys.
pub async fn submit(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(key): Path<KeyId>,
    Form(form): Form<RotateForm>,
) -> Result<Response, Failure> {
    let KeyPlace { place, seen } = KeyPlace::find(&dashboard, &visit, key).await?;
    let id = key.to_string();
    let asked = repeatable(&place.asked, &form.form, &["rotate", &id, &form.overlap]);
    let outcome = match form.overlap() {
        Ok(overlap) => dashboard.control.rotate_key(&asked, key, overlap).await,
        Err(error) => Err(error),
    };
    answer(&dashboard, &visit, &place, Some(&seen), outcome).await
}

/// The page that asks, for a project with one key.
pub async fn regenerate_page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(project): Path<ProjectId>,
) -> Result<Response, Failure> {
    let place = writable(&dashboard, &visit, project).await?;
    let active = active_key(&dashboard, &place).await?;
    ask_to_regenerate(&dashboard, &visit, &place, active.as_ref()).await
}

/// Puts a new key in the place of a project's one key, or makes one where none is active.
pub async fn regenerate(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(project): Path<ProjectId>,
    Form(form): Form<RotateForm>,
) -> Result<Response, Failure> {
    let place = writable(&dashboard, &visit, project).await?;
    let id = project.to_string();
    let asked = repeatable(&place.asked, &form.form, &["regenerate", &id, &form.overlap, &form.replaces]);
    let active = active_key(&dashboard, &place).await?;
    // Nobody ends a key that the page they saw did not name; what they did before they are told again.
    let is_named = active.as_ref().map(|seen| seen.key.id.to_string()).unwrap_or_default() == form.replaces;
    if !is_named && !dashboard.control.was_done(&asked).await? {
        return ask_to_regenerate(&dashboard, &visit, &place, active.as_ref()).await;
    }
    let is_acknowledged = form.acknowledge == "yes";
    let outcome = match form.overlap() {
        Ok(overlap) => dashboard.control.regenerate_key(&asked, project, overlap, is_acknowledged).await,
        Err(error) => Err(error),
    };
    answer(&dashboard, &visit, &place, active.as_ref(), outcome).await
}

async fn ask_to_regenerate(
    dashboard: &Dashboard,
    visit: &Visit,
    place: &ProjectPlace,
    active: Option<&SeenKey>,
) -> Result<Response, Failure> {
    match active.is_none() && offers::has_fields(place.contract()) {
        // The list's form asks for what a new key needs.
        true => Ok(go_to(&list_path(place))),
        false => Ok(draw(dashboard, visit, place, active, None).await?.into_response()),
    }
}

async fn active_key(dashboard: &Dashboard, place: &ProjectPlace) -> Result<Option<SeenKey>, Failure> {
    let question = KeyQuestion { standing: Some(Standing::Active), limit: 1, ..KeyQuestion::default() };
    let found = dashboard.control.keys(&place.asked, place.seen.project.id, &question).await?;
    Ok(found.items.into_iter().next())
}

async fn answer(
    dashboard: &Dashboard,
    visit: &Visit,
    place: &ProjectPlace,
    old: Option<&SeenKey>,
    outcome: Result<Rotated, ControlError>,
) -> Result<Response, Failure> {
    match outcome {
        Ok(Rotated { key, secret, replaced, in_force, .. }) => {
            let replaced = replaced.as_ref().map(|old| Replaced { old, in_force: in_force.in_force });
            Ok(Made { key: &key, secret: &secret, replaced }.answer(dashboard, visit, place))
        }
        Err(
            error @ (ControlError::Invalid(_)
            | ControlError::ActiveKeyLimit { .. }
            | ControlError::AcknowledgementRequired(_)
            | ControlError::IdempotencyKeyReused
            | ControlError::RateLimited { .. }),
        ) => {
            let page = draw(dashboard, visit, place, old, Some(&error)).await?;
            Ok(page.with_status(create::status_of(&error)).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn draw(
    dashboard: &Dashboard,
    visit: &Visit,
    place: &ProjectPlace,
    old: Option<&SeenKey>,
    error: Option<&ControlError>,
) -> Result<Page, Failure> {
    let contract = place.contract();
    let requests = match old {
        Some(old) => dashboard.control.requests_of_a_day(&place.asked, place.seen.project.id, old.key.id).await?,
        None => 0,
    };
    let has_room = place.seen.active_key_limit.is_none_or(|limit| place.seen.active_keys < u64::from(limit));
    let is_one_key = Replacing::here(&place.seen) == Replacing::Regenerate;
    let action = match old.filter(|_| !is_one_key) {
        Some(old) => format!("/keys/{}/rotate", old.key.id),
        None => format!("/projects/{}/keys/regenerate", place.seen.project.id),
    };
    let form_id = new_form(&dashboard.control);
    let view = RotateView { contract, old, requests, has_room, action, list: list_path(place), form_id, error };
    Ok(Page::new(place.frame(visit, ProjectTab::Keys, &contract.dashboard.rotate), view.draw()))
}

/// What the page shows.
pub struct RotateView<'a> {
    /// What rules the keys.
    pub contract: &'a Contract,
    /// The key that is replaced; none where none is active.
    pub old: Option<&'a SeenKey>,
    /// How many requests with it were let in during the last day.
    pub requests: u64,
    /// Whether one more key may be active: an overlap needs that.
    pub has_room: bool,
    /// Where the form is sent.
    pub action: String,
    /// Where the list is.
    pub list: String,
    /// The form's id.
    pub form_id: String,
    /// What was wrong.
    pub error: Option<&'a ControlError>,
}

impl RotateView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        let label = &self.contract.dashboard.rotate;
        let replaces = self.old.map(|old| old.key.id.to_string()).unwrap_or_default();
        let is_one_key = self.is_one_key();
        html! {
            div.alone.stack {
                h1 { (label) @if let (Some(old), false) = (self.old, is_one_key) { " " bdi { (called(old)) } } }
                @if let Some(error) = self.error { (form_notice(error)) }
                section.card { form.inner method="post" action=(self.action) {
                    input type="hidden" name="form" value=(self.form_id);
                    (self.consequences())
                    @if let Some(old) = self.old { (facts(old)) }
                    @if self.old.is_some() { (self.overlap()) }
                    @if is_one_key {
                        input type="hidden" name="replaces" value=(replaces);
                        input type="hidden" name="acknowledge" value="yes";
                    }
                    div.actions.end {
                        a.button href=(self.list) { "Cancel" }
                        button.button.primary type="submit" disabled[!self.is_possible()] { (Icon::Rotate) (label) }
                    }
                } }
            }
        }
    }

    /// Whether it is the project's one key, which the form need not name.
    fn is_one_key(&self) -> bool {
        !self.action.starts_with("/keys/")
    }

    fn rules(&self) -> &RotationRules {
        &self.contract.rotation
    }

    fn can_overlap(&self) -> bool {
        self.rules().overlap_max.is_some() && self.has_room
    }

    /// Whether there is any way to go on.
    fn is_possible(&self) -> bool {
        self.old.is_none() || self.rules().in_place || self.can_overlap()
    }

    fn consequences(&self) -> Markup {
        let is_at_once = !self.can_overlap();
        let acknowledge = &self.contract.acknowledge;
        // Where the use case asks for them, or where they are so: an old key that goes on loses nothing at once.
        let create = acknowledge.create.iter().filter(|_| self.is_one_key());
        let revoke = acknowledge.revoke.iter().filter(|_| self.old.is_some() && is_at_once);
        let statements: Vec<&String> = create.chain(revoke).collect();
        html! {
            (notice(Tone::Warn, html! {
                @match self.old {
                    None => p { "No key is active, so nothing stops: a new key is made." },
                    Some(_) if !self.is_possible() => p {
                        "As many keys are active as may be, and the old key would go on for a while. Revoke a key that nothing uses first."
                    },
                    Some(_) if is_at_once => {
                        p { "A new key takes this one's place. " strong { "The old one stops working immediately" } ": whatever still uses it is refused until it has the new key." }
                        (self.traffic())
                    },
                    Some(_) => {
                        p { "A new key takes this one's place, with the same name and rights. The old one goes on for as long as you choose here, so that you can roll out the new one first." }
                        (self.traffic())
                    },
                }
                @if !statements.is_empty() { ul { @for statement in statements { li { (statement) } } } }
            }))
        }
    }

    fn traffic(&self) -> Markup {
        html! {
            p {
                @if self.requests > 0 {
                    strong { (number(self.requests)) @if self.requests == 1 { " request" } @else { " requests" } }
                    " came with it in the last 24 hours."
                } @else { "No request came with it in the last 24 hours." }
            }
        }
    }

    /// How long the old key goes on.
    fn overlap(&self) -> Markup {
        let Some(max) = self.rules().overlap_max.filter(|_| self.has_room) else { return html! {} };
        let choices = overlaps(self.rules(), max);
        let choices: Vec<Choice<'_>> =
            choices.iter().map(|(value, label)| Choice { value: value.as_str(), label: label.as_str() }).collect();
        let usual = self.rules().overlap_default.unwrap_or(Duration::from_secs(24 * HOUR)).min(max);
        let field = Field::new("overlap", "The old key goes on for").fault(fault_of(self.error, "overlap_seconds"));
        select(field, &choices, &usual.as_secs().to_string())
    }
}

/// The overlaps to choose from: what the form sends, and what people read.
fn overlaps(rules: &RotationRules, max: Duration) -> Vec<(String, String)> {
    let mut seconds: Vec<u64> = OVERLAPS.into_iter().filter(|&seconds| seconds <= max.as_secs()).collect();
    seconds.extend(rules.overlap_default.map(|usual| usual.as_secs()));
    seconds.push(max.as_secs());
    seconds.sort_unstable();
    seconds.dedup();
    let at_once = rules.in_place.then(|| ("0".to_owned(), "no time: it stops at once".to_owned()));
    at_once.into_iter().chain(seconds.into_iter().map(|seconds| (seconds.to_string(), told(seconds)))).collect()
}

fn told(seconds: u64) -> String {
    let (count, unit) = match seconds {
        _ if seconds.is_multiple_of(24 * HOUR) && seconds > 24 * HOUR => (seconds / (24 * HOUR), "day"),
        _ if seconds.is_multiple_of(HOUR) => (seconds / HOUR, "hour"),
        _ if seconds.is_multiple_of(60) => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts_for_tests::{contract, extended};

    fn labels(contract: &Contract) -> Vec<String> {
        let rules = &contract.rotation;
        overlaps(rules, rules.overlap_max.unwrap()).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn overlaps_keep_to_the_contract() {
        assert_eq!(labels(&contract("standard"))[0], "no time: it stops at once");
        assert_eq!(labels(&contract("profound")), ["1 hour", "6 hours", "24 hours", "3 days", "7 days", "30 days"]);
        let short = extended("[rotation]\nin_place = false\noverlap_max = \"90m\"\n");
        assert_eq!(labels(&short), ["1 hour", "90 minutes"]);
    }
}
