//! A project's plan: what it gives, how its limits stand, whom to ask for more; and, for operators, the form that sets
//! plan, access and limits of the project's own ([`terms`]).

mod standing;
mod terms;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyward_core::clock::Timestamp;
use keyward_core::id::ProjectId;
use maud::{Markup, html};
use serde::Deserialize;

pub use standing::standing;

use self::terms::{Terms, read};
use super::confirm;
use super::gate::gate;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, go_to};
use crate::dashboard::form::{Asking, Form};
use crate::dashboard::look::Icon;
use crate::dashboard::look::parts::{self, Tone, badge, number};
use crate::dashboard::path::Path;
use crate::dashboard::place::{ProjectPlace, ProjectTab, support};
use crate::dashboard::visit::Visit;
use crate::use_cases::{ControlError, SeenLimits, SeenProject};

/// What was done before.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Before {
    done: String,
}

/// The page.
pub async fn page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<ProjectId>,
    Asking(before): Asking<Before>,
) -> Result<Response, Failure> {
    let place = ProjectPlace::find(&dashboard, &visit, id).await?;
    let limits = dashboard.control.project_limits(&place.asked, id, None).await?;
    let terms = visit.person().is_operator.then(|| Terms::of(&place.seen));
    let view = LimitsView {
        seen: &place.seen,
        limits: &limits,
        now: dashboard.control.now(),
        terms: terms.as_ref(),
        error: None,
        done: &before.done,
    };
    Ok(Page::new(place.frame(&visit, ProjectTab::Limits, "Plan and limits"), view.draw()).into_response())
}

/// Sets plan, access and limits: the operator's.
pub async fn set(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<ProjectId>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let place = ProjectPlace::find(&dashboard, &visit, id).await?;
    let asked = visit.as_operator()?;
    let (terms, edit) = read(&place.seen, fields);
    let done = match edit {
        Ok(edit) => dashboard.control.edit_project(&asked, id, &edit).await.map(|_| ()),
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => Ok(go_to(&format!("{}?done=saved", place.path(ProjectTab::Limits)))),
        Err(error @ ControlError::Invalid(_)) => {
            let limits = dashboard.control.project_limits(&place.asked, id, None).await?;
            let view = LimitsView {
                seen: &place.seen,
                limits: &limits,
                now: dashboard.control.now(),
                terms: Some(&terms),
                error: Some(&error),
                done: "",
            };
            let frame = place.frame(&visit, ProjectTab::Limits, "Plan and limits");
            Ok(Page::new(frame, view.draw()).with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// What the page shows.
pub struct LimitsView<'a> {
    /// The project.
    pub seen: &'a SeenProject,
    /// How its limits stand.
    pub limits: &'a SeenLimits,
    /// At this moment.
    pub now: Timestamp,
    /// What an operator can set, as it is filled in.
    pub terms: Option<&'a Terms>,
    /// What went wrong with that.
    pub error: Option<&'a ControlError>,
    /// What was done before.
    pub done: &'a str,
}

impl LimitsView<'_> {
    fn draw(&self) -> Markup {
        html! {
            (parts::head("Plan and limits", "What the plan gives, how much of it is used, and when it renews.", ""))
            (confirm::done(self.done, &[("saved", "Saved. It holds from now on, on every node.")]))
            (gate(self.seen))
            div.columns { (self.plan()) (self.more()) }
            (self.standings())
            @if let Some(terms) = self.terms { (terms.draw(self.seen, self.error)) }
        }
    }

    fn plan(&self) -> Markup {
        let seen = self.seen;
        let is_open = if seen.has_access { badge(Tone::Good, "open") } else { badge(Tone::Warn, "not open") };
        let keys = match seen.active_key_limit {
            Some(limit) => format!("{} of {}", number(seen.active_keys), number(limit.into())),
            None => format!("{}, any number allowed", number(seen.active_keys)),
        };
        parts::titled_card(
            &format!("Plan: {}", seen.plan.title),
            is_open,
            html! {
                @if !seen.plan.features.is_empty() {
                    ul.features { @for feature in &seen.plan.features { li { (Icon::Check) span { (feature) } } } }
                }
                dl.facts {
                    dt { "Active keys" }
                    dd {
                        (keys)
                        @if seen.project.active_key_limit.is_some() { " " (badge(Tone::Info, "own limit")) }
                    }
                }
            },
        )
    }

    fn more(&self) -> Markup {
        let contacts = support(&self.seen.contract.support);
        parts::titled_card(
            "Need more?",
            "",
            html! {
                p { "Plans, limits and the number of active keys are set by the operator of " (self.seen.contract.title) "." }
                @if contacts.is_empty() {
                    p.soft { "Ask whoever gave you this account." }
                } @else {
                    p.soft { "Write to support, and name this project: " code { (self.seen.project.id) } "." }
                    div.actions {
                        @for (label, href) in &contacts { a.button.wraps href=(href) { (Icon::Help) "Contact support: " (label) } }
                    }
                }
            },
        )
    }

    fn standings(&self) -> Markup {
        parts::titled_card(
            "Limits",
            "",
            html! {
                @if self.limits.limits.is_empty() {
                    p.soft { "The plan has no limits." }
                } @else {
                    div.columns { @for seen in &self.limits.limits { (standing(seen, self.now)) } }
                }
            },
        )
    }
}

/// Limits of all kinds, to draw pages of in tests.
#[cfg(test)]
pub fn sample_limits() -> SeenLimits {
    use super::samples::{EVIL, LONG, NOW};
    use crate::use_cases::{SeenLimit, SeenPlan};
    use keyward_core::limits::{LimitBy, Period};
    use keyward_verify::limits::{LimitKind, LimitView};
    let view = |name: &str, by, used| LimitView {
        name: name.into(),
        kind: LimitKind::Rate,
        by,
        limit: 600,
        burst: Some(100),
        per: Some(std::time::Duration::from_secs(90)),
        period: None,
        is_own: true,
        used,
        remaining: used,
        renews_at: Some(NOW),
    };
    let quota = |name: &str, period| LimitView {
        kind: LimitKind::Quota,
        burst: None,
        per: None,
        period: Some(period),
        ..view(name, LimitBy::Organization, Some(u64::MAX))
    };
    let views = [
        view(EVIL, LimitBy::Key, None),
        view(LONG, LimitBy::Address, None),
        view("é", LimitBy::Project, Some(0)),
        quota("credits", Period::Lifetime),
        quota("", Period::Month),
    ];
    SeenLimits {
        plan: SeenPlan { name: EVIL.into(), title: EVIL.into(), features: vec![EVIL.into()] },
        is_granted: false,
        has_access: false,
        limits: views.into_iter().map(|view| SeenLimit { view, plan_limit: Some(5) }).collect(),
    }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use super::samples::{EVIL, NOW, project, visit};
    use keyward_core::tenancy::TenantState;
    let visit = visit(EVIL, true);
    let asked = visit.in_organization(project(1, EVIL).organization.id);
    let mut place = ProjectPlace { asked, seen: project(1, EVIL) };
    let some = sample_limits();
    let none = SeenLimits { limits: Vec::new(), ..sample_limits() };
    let page = |place: &ProjectPlace, limits: &SeenLimits, terms: Option<&Terms>, error: Option<&ControlError>| {
        let view = LimitsView { seen: &place.seen, limits, now: NOW, terms, error, done: "saved" };
        Page::new(place.frame(&visit, ProjectTab::Limits, EVIL), view.draw())
    };
    let mut pages = vec![("plain", page(&place, &none, None, None))];
    place.seen.has_access = false;
    place.seen.project.state = TenantState::Suspended { at: NOW };
    let fields = [
        ("plan", EVIL),
        ("active_key_limit", EVIL),
        ("limit.requests", EVIL),
        ("burst.requests", "5"),
        (EVIL, EVIL),
    ];
    let (terms, error) = read(&place.seen, fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    pages.push(("operator, refused", page(&place, &some, Some(&terms), error.err().as_ref())));
    pages.push(("operator", page(&place, &some, Some(&Terms::of(&place.seen)), None)));
    pages
}
