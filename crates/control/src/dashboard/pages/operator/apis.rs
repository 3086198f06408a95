//! Contracts in force: which APIs there are, and one's contract to read, to try a change of, and to put in force.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyward_core::clock::Timestamp;
use keyward_core::contract::Difference;
use keyward_core::id::ApiName;
use maud::{Markup, html};
use serde::Deserialize;

use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, go_to, words};
use crate::dashboard::form::{Asking, Form};
use crate::dashboard::look::parts::{self, Field, Tone, notice, number};
use crate::dashboard::look::{Icon, moments};
use crate::dashboard::pages::confirm;
use crate::dashboard::path::Path;
use crate::dashboard::place::OperatorTab;
use crate::dashboard::visit::Visit;
use crate::use_cases::{Applied, ControlError, SeenApi};

/// What was done before.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Before {
    done: String,
}

/// What the editor sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    source: String,
    /// What to do with it: try it or put it in force.
    act: Act,
}

/// What to do with an edited contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Say what it would change.
    Try,
    /// Put it in force.
    Apply,
}

/// The list.
pub async fn list(State(dashboard): State<Dashboard>, visit: Visit) -> Result<Response, Failure> {
    let asked = visit.as_operator()?;
    let apis = dashboard.control.apis(&asked).await?;
    let view = ApisView { apis: &apis, now: dashboard.control.now() };
    Ok(Page::new(OperatorTab::Apis.frame(&visit, "Contracts"), view.draw()).into_response())
}

/// One, with its editor.
pub async fn one(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(name): Path<ApiName>,
    Asking(before): Asking<Before>,
) -> Result<Response, Failure> {
    let asked = visit.as_operator()?;
    let seen = dashboard.control.api(&asked, &name).await?;
    let view = ApiView { seen: &seen, source: &seen.api.source, tried: None, error: None, done: &before.done };
    Ok(Page::new(OperatorTab::Apis.frame(&visit, &seen.contract.title), view.draw()).into_response())
}

/// Tries an edited contract, or puts it in force.
pub async fn edit(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(name): Path<ApiName>,
    Form(draft): Form<Draft>,
) -> Result<Response, Failure> {
    let asked = visit.as_operator()?;
    let seen = dashboard.control.api(&asked, &name).await?;
    // A form's lines end as HTTP says (CR LF); the file's do not.
    let source = draft.source.replace("\r\n", "\n");
    let frame = OperatorTab::Apis.frame(&visit, &seen.contract.title);
    let shown = ApiView { seen: &seen, source: &source, tried: None, error: None, done: "" };
    match dashboard.control.apply_contract(&asked, &name, &source, draft.act == Act::Try).await {
        Ok(_) if draft.act == Act::Apply => Ok(go_to(&format!("/operator/apis/{name}?done=applied"))),
        Ok(tried) => Ok(Page::new(frame, ApiView { tried: Some(&tried), ..shown }.draw()).into_response()),
        Err(error @ ControlError::Invalid(_)) => {
            let page = Page::new(frame, ApiView { error: Some(&error), ..shown }.draw());
            Ok(page.with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// What the list shows.
pub struct ApisView<'a> {
    /// The APIs, by name.
    pub apis: &'a [SeenApi],
    /// At this moment.
    pub now: Timestamp,
}

impl ApisView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        html! {
            (parts::head("Contracts", "What differs between APIs: how keys look and travel, who may have how many, plans, refusals, words.", ""))
            @if self.apis.is_empty() {
                (parts::card(parts::empty(Icon::Document, "No contract is in force", html! { "Put one in force with " code { "keyward contract apply" } "." }, "")))
            } @else {
                ul.plain.cards { @for seen in self.apis { li {
                    a.card.tile href={ "/operator/apis/" (seen.api.name) } {
                        strong { (seen.contract.title) }
                        code { (seen.api.name) }
                        @if !seen.contract.description.is_empty() { span.soft { (seen.contract.description) } }
                        span.small.soft { (number(seen.contract.plans.len() as u64)) " plans · in force since " (moments::ago(seen.api.applied_at, self.now)) }
                    }
                } } }
            }
        }
    }
}

/// What the page of one shows.
pub struct ApiView<'a> {
    /// The API as it stands.
    pub seen: &'a SeenApi,
    /// What is in the editor.
    pub source: &'a str,
    /// What trying it came to.
    pub tried: Option<&'a Applied>,
    /// What is wrong with it.
    pub error: Option<&'a ControlError>,
    /// What was done before.
    pub done: &'a str,
}

impl ApiView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        let api = &self.seen.api;
        html! {
            (parts::head(&self.seen.contract.title, &self.seen.contract.description, ""))
            (confirm::done(self.done, &[("applied", "In force, on every node.")]))
            (parts::card(html! { dl.facts {
                dt { "Name" } dd { code { (api.name) } }
                dt { "In force since" } dd { (moments::in_full(api.applied_at)) ", revision " (number(api.revision.0.unsigned_abs())) }
                dt { "Plans" } dd { span.tags { @for plan in self.seen.contract.plans.values() { span.tag { (plan.title) } } } }
            } }))
            @if let Some(error) = self.error { (refused(error)) }
            @if let Some(tried) = self.tried { (differences(&tried.differences)) }
            (self.editor())
            (parts::titled_card("As merged", "", html! {
                p.soft { "The contract in force with everything it extends: what nodes decide by." }
                details.numbers { summary { "Show the merged contract" } pre.source tabindex="0" { (api.resolved) } }
            }))
        }
    }

    fn editor(&self) -> Markup {
        let name = &self.seen.api.name;
        let field = Field::new("source", "Contract, TOML").hint("Nothing is put in force before you say so. An invalid contract is refused, and the one in force stays.");
        let lines = self.source.lines().count().clamp(12, 40);
        parts::titled_card(
            "Edit",
            "",
            html! {
                form.stack method="post" action={ "/operator/apis/" (name) } {
                    (field.around(html! {
                        textarea.source id="source" name="source" rows=(lines) spellcheck="false" autocomplete="off" wrap="off"
                            aria-invalid=[self.error.map(|_| "true")] aria-describedby=[field.described_by()] { "\n" (self.source) }
                    }))
                    div.actions.end {
                        button.button type="submit" name="act" value="try" { "Show what would change" }
                        button.button.primary type="submit" name="act" value="apply" { "Put in force" }
                    }
                }
            },
        )
    }
}

fn refused(error: &ControlError) -> Markup {
    notice(
        Tone::Bad,
        html! {
            p { strong { "The contract is not valid. " } "The one in force stays." }
            @match error {
                ControlError::Invalid(faults) => ul { @for fault in faults { li {
                    @if let Some(line) = fault.line { "Line " (line) ": " }
                    @if !fault.field.is_empty() { code { (fault.field) } " " }
                    (fault.message)
                } } },
                other => p { (words(other)) },
            }
        },
    )
}

fn differences(differences: &[Difference]) -> Markup {
    html! {
        section.card {
            header { h2 { "What would change" } span.soft.small { (number(differences.len() as u64)) " fields" } }
            @if differences.is_empty() {
                div.inner { p { "Nothing: it says the same as the contract in force." } }
            } @else {
                div.scroll { table.folds {
                    caption.hidden-visually { "Fields that differ" }
                    thead { tr { th scope="col" { "Field" } th scope="col" { "In force" } th scope="col" { "Edited" } } }
                    tbody { @for difference in differences { tr {
                        td data-label="Field" { code { (difference.field) } }
                        td data-label="In force" { (value(difference.before.as_deref(), "not there")) }
                        td data-label="Edited" { (value(difference.after.as_deref(), "taken away")) }
                    } } }
                } }
            }
        }
    }
}

fn value(value: Option<&str>, none: &str) -> Markup {
    html! { @match value { Some(value) => code { (value) }, None => span.soft { (none) } } }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use crate::dashboard::pages::samples::{EVIL, NOW, project, visit};
    use crate::use_cases::Fault;
    use keyward_core::change::Revision;
    use keyward_core::tenancy::Api;
    let api = Api {
        name: "standard".parse().unwrap(),
        source: EVIL.into(),
        resolved: EVIL.into(),
        applied_at: NOW,
        created_revision: Revision::ZERO,
        revision: Revision::ZERO,
    };
    let seen = SeenApi { api, contract: project(1, EVIL).contract };
    let error = ControlError::Invalid(vec![Fault { field: EVIL.into(), message: EVIL.into(), line: Some(3) }]);
    let tried = |differences| Applied { api: seen.clone(), differences, in_force: None, is_new: false };
    let differs = Difference { field: EVIL.into(), before: Some(EVIL.into()), after: None };
    let (some, none) = (tried(vec![differs]), tried(Vec::new()));
    let frame = || OperatorTab::Apis.frame(&visit(EVIL, true), EVIL);
    let one = |tried, error| {
        let view = ApiView { seen: &seen, source: EVIL, tried, error, done: "applied" };
        Page::new(frame(), view.draw())
    };
    let list = |apis: &[SeenApi]| Page::new(frame(), ApisView { apis, now: NOW }.draw());
    vec![
        ("none", list(&[])),
        ("list", list(std::slice::from_ref(&seen))),
        ("tried", one(Some(&some), None)),
        ("tried, the same", one(Some(&none), None)),
        ("refused", one(None, Some(&error))),
    ]
}
