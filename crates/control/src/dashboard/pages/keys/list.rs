//! The page of a project's keys: making one and the table of all on one page, as the contract words and allows it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keyward_core::clock::Timestamp;
use keyward_core::contract::Contract;
use keyward_core::id::ProjectId;
use keyward_core::key::Standing;
use keyward_core::permission::Permission;
use maud::{Markup, html};

use super::create::status_of;
use super::filter::{Filter, SHOWN};
use super::form::CreateForm;
use super::offers::{self, Replacing};
use super::table::Table;
use super::traffic::TrafficPanel;
use super::{list_path, new_form};
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, form_notice};
use crate::dashboard::form::Asking;
use crate::dashboard::look::parts::{self, Tone, notice, number};
use crate::dashboard::pages::gate::gate;
use crate::dashboard::path::Path;
use crate::dashboard::place::{ProjectPlace, ProjectTab};
use crate::dashboard::visit::Visit;
use crate::use_cases::keys::{FoundKeys, KeyQuestion, SeenKey, TrafficByKey};
use crate::use_cases::{By, Control, ControlError, Force, InForce, SeenProject};

/// What was done before, as the address says it: a word, and how it took force in numbers.
#[derive(Debug, Clone, Copy, Default, serde::Deserialize)]
#[serde(default)]
pub struct Told {
    done: Option<Done>,
    nodes: u32,
    ms: u64,
    lease: bool,
}

/// What was done with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Done {
    /// It was revoked.
    Revoked,
    /// It was switched off.
    Disabled,
    /// It was switched on.
    Enabled,
    /// It was changed.
    Changed,
}

impl Done {
    /// The list's address that says so.
    pub fn at(self, place: &ProjectPlace, force: &Force) -> String {
        let word = match self {
            Done::Revoked => "revoked",
            Done::Disabled => "disabled",
            Done::Enabled => "enabled",
            Done::Changed => "changed",
        };
        let done = format!("{}?done={word}", list_path(place));
        match force.in_force {
            None => done,
            Some(InForce { by, nodes, waited_ms }) => {
                let lease = if by == By::LeaseExpired { "&lease=true" } else { "" };
                format!("{done}&nodes={nodes}&ms={waited_ms}{lease}")
            }
        }
    }
}

impl Told {
    fn notice(self) -> Markup {
        let what = match self.done {
            None => return html! {},
            Some(Done::Revoked) => "The key is revoked: requests with it are refused",
            Some(Done::Disabled) => "The key is switched off: requests with it are refused",
            Some(Done::Enabled) => "The key works again",
            Some(Done::Changed) => "The key is changed",
        };
        let by = if self.lease { By::LeaseExpired } else { By::Acknowledged };
        let in_force = Some(InForce { by, nodes: self.nodes, waited_ms: self.ms });
        notice(Tone::Good, html! { p { (what) "; " (super::shown::in_force_words(in_force)) "." } })
    }
}

/// The page.
pub async fn page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(project): Path<ProjectId>,
    Asking(filter): Asking<Filter>,
    Asking(told): Asking<Told>,
) -> Result<Response, Failure> {
    let place = ProjectPlace::find(&dashboard, &visit, project).await?;
    let loaded = Loaded::load(&dashboard.control, &place, filter).await?;
    let form = CreateForm::default();
    let shown = loaded.draw(&dashboard.control, &place, &form, told, None);
    Ok(Page::new(frame(&visit, &place), shown).into_response())
}

/// The page with a form that was refused.
pub async fn again(
    dashboard: &Dashboard,
    visit: &Visit,
    place: ProjectPlace,
    form: CreateForm,
    error: ControlError,
) -> Result<Response, Failure> {
    let loaded = Loaded::load(&dashboard.control, &place, Filter::default()).await?;
    let shown = loaded.draw(&dashboard.control, &place, &form, Told::default(), Some(&error));
    Ok(Page::new(frame(visit, &place), shown).with_status(status_of(&error)).into_response())
}

fn frame(visit: &Visit, place: &ProjectPlace) -> crate::dashboard::look::Frame {
    place.frame(visit, ProjectTab::Keys, &place.contract().dashboard.title)
}

/// All that the page shows of the store.
struct Loaded {
    filter: Filter,
    found: FoundKeys,
    live: Vec<SeenKey>,
    today: TrafficByKey,
    hour: TrafficByKey,
}

impl Loaded {
    async fn load(control: &Control, place: &ProjectPlace, filter: Filter) -> Result<Self, Failure> {
        let (asked, project) = (&place.asked, place.seen.project.id);
        let mut live = Vec::new();
        for standing in Standing::ALL.into_iter().filter(|standing| standing.is_live()) {
            // One more than a part has: whether they all stand on the first is to be known.
            let question = KeyQuestion { standing: Some(standing), limit: SHOWN + 1, ..KeyQuestion::default() };
            live.extend(control.keys(asked, project, &question).await?.items);
        }
        let mut found = control.search_keys(asked, project, &filter.search()).await?;
        // What opens now is never far down a list of what does not.
        if filter.is_plain() && live.len() <= SHOWN as usize {
            found.keys.retain(|seen| !seen.standing().is_live());
            if filter.part() == 0 {
                found.keys.splice(..0, live.iter().cloned());
            }
        }
        let today = control.traffic_today(asked, project).await?;
        let hour = match live.len() {
            ..2 => TrafficByKey::new(),
            _ => control.traffic_lately(asked, project).await?,
        };
        Ok(Loaded { filter, found, live, today, hour })
    }

    fn draw(
        &self,
        control: &Control,
        place: &ProjectPlace,
        form: &CreateForm,
        told: Told,
        error: Option<&ControlError>,
    ) -> Markup {
        let view = ListView {
            seen: &place.seen,
            may_write: place.may(Permission::KeysWrite),
            now: control.now(),
            form_id: new_form(control),
            found: &self.found,
            live: &self.live,
            today: &self.today,
            hour: &self.hour,
            filter: &self.filter,
            form,
            told,
            error,
        };
        view.draw()
    }
}

/// What the page shows.
pub struct ListView<'a> {
    /// The project, with its contract.
    pub seen: &'a SeenProject,
    /// Whether whoever looks may change keys.
    pub may_write: bool,
    /// When.
    pub now: Timestamp,
    /// The id of the form that makes a key.
    pub form_id: String,
    /// The keys of this part of the list.
    pub found: &'a FoundKeys,
    /// The newest of the keys that open now: all of them where they stand on one part of the list.
    pub live: &'a [SeenKey],
    /// How they are used today.
    pub today: &'a TrafficByKey,
    /// How the live ones were used in this hour and the last, where there are several.
    pub hour: &'a TrafficByKey,
    /// What is shown of the list.
    pub filter: &'a Filter,
    /// What is filled in.
    pub form: &'a CreateForm,
    /// What was done.
    pub told: Told,
    /// What was wrong with the form.
    pub error: Option<&'a ControlError>,
}

impl ListView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        let words = &self.contract().dashboard;
        html! {
            (parts::head(&words.title, &words.intro, ""))
            (self.told.notice())
            (gate(self.seen))
            @if let Some(error) = self.error { (form_error(error)) }
            @if self.is_served() && self.may_write { (self.making()) }
            @else if self.is_served() { (looking_on()) }
            @if self.live.len() > 1 { (self.traffic()) }
            (self.table())
            (self.advice())
        }
    }

    pub(super) fn contract(&self) -> &Arc<Contract> {
        &self.seen.contract
    }

    fn is_served(&self) -> bool {
        let SeenProject { project, organization, has_access, .. } = self.seen;
        *has_access && project.state.is_active() && organization.state.is_active()
    }

    fn traffic(&self) -> Markup {
        let live = &self.live[..self.live.len().min(SHOWN as usize)];
        let all = self.seen.active_keys;
        let panel = TrafficPanel { contract: self.contract(), live, all, hour: self.hour, today: self.today };
        panel.draw()
    }

    /// How this project's keys are replaced.
    pub(super) fn replacing(&self) -> Replacing {
        Replacing::here(self.seen)
    }

    /// Whether the table offers what can be done with a key. Where the card of the one key offers all of it, it need not.
    fn has_actions(&self) -> bool {
        let is_alone = self.replacing() == Replacing::Regenerate && self.is_served();
        let is_all_on_card =
            !offers::can_edit(self.contract()) && self.live.iter().all(|seen| seen.standing() == Standing::Active);
        self.may_write && !(is_alone && is_all_on_card)
    }

    fn table(&self) -> Markup {
        let has_actions = self.has_actions();
        let table = Table {
            seen: self.seen,
            found: self.found,
            today: self.today,
            filter: self.filter,
            actions: has_actions.then_some(self.is_served()),
        };
        table.draw(&self.count())
    }

    /// How many keys are active, and how many may be.
    pub(super) fn count(&self) -> String {
        let live = number(self.seen.active_keys);
        match self.seen.active_key_limit {
            Some(limit) => format!("{live} of {} active", number(limit.into())),
            None => format!("{live} active"),
        }
    }

    fn advice(&self) -> Markup {
        let words = &self.contract().dashboard;
        html! {
            div.columns {
                @if !words.advice.is_empty() {
                    (parts::titled_card("Keep keys safe", "", html! { ul.advice { @for advice in &words.advice { li { (advice) } } } }))
                }
                @if !words.links.is_empty() {
                    (parts::titled_card("Next steps", "", html! {
                        ul.advice { @for (title, url) in &words.links { li { a href=(url) rel="noreferrer" { (title) } } } }
                    }))
                }
            }
        }
    }
}

fn form_error(error: &ControlError) -> Markup {
    match error {
        ControlError::IdempotencyKeyReused => notice(
            Tone::Warn,
            html! {
                p { "This form had been sent before with other fields. Nothing was made now; send it again to make a key." }
            },
        ),
        // The page says so itself, in place of the form.
        ControlError::ActiveKeyLimit { .. } | ControlError::PlanForbids { .. } | ControlError::Suspended(_) => {
            notice(Tone::Bad, html! { p { "No key was made. " (crate::dashboard::answer::words(error)) } })
        }
        error => form_notice(error),
    }
}

fn looking_on() -> Markup {
    notice(
        Tone::Info,
        html! {
            p { "Your role sees keys. Developers and owners of the organization make, rotate and revoke them." }
        },
    )
}
