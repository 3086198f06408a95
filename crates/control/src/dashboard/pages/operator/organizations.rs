//! All organizations: made here, opened, suspended, resumed and deleted.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyward_core::change::Revision;
use keyward_core::clock::Timestamp;
use keyward_core::id::OrganizationId;
use keyward_core::tenancy::Organization;
use maud::{Markup, html};
use serde::Deserialize;

use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, fault_of, form_notice, go_to};
use crate::dashboard::form::{Asking, Form};
use crate::dashboard::look::parts::{self, Field, Input, Tone, badge, pager};
use crate::dashboard::look::{Icon, moments};
use crate::dashboard::pages::confirm::{self, Confirmation, NOT_THE_NAME, is_named};
use crate::dashboard::path::Path;
use crate::dashboard::place::OperatorTab;
use crate::dashboard::visit::Visit;
use crate::use_cases::{ControlError, opened, sealed};

/// How many are shown at once.
const SHOWN: u32 = 50;
const CURSOR: &str = "dashboard organizations";

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wish {
    cursor: String,
    done: String,
}

/// What a form with a name sends.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    name: String,
}

/// The page.
pub async fn page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Asking(wish): Asking<Wish>,
) -> Result<Response, Failure> {
    Ok(draw(&dashboard, &visit, &wish, "", None).await?.into_response())
}

/// Makes one.
pub async fn create(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Form(form): Form<Named>,
) -> Result<Response, Failure> {
    let asked = visit.as_operator()?;
    match dashboard.control.create_organization(&asked, &form.name).await {
        Ok(made) => Ok(go_to(&format!("/organizations/{}?done=created", made.organization.id))),
        Err(error @ ControlError::Invalid(_)) => {
            let page = draw(&dashboard, &visit, &Wish::default(), &form.name, Some(&error)).await?;
            Ok(page.with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn draw(
    dashboard: &Dashboard,
    visit: &Visit,
    wish: &Wish,
    name: &str,
    error: Option<&ControlError>,
) -> Result<Page, Failure> {
    let asked = visit.as_operator()?;
    let control = &dashboard.control;
    let before = match wish.cursor.as_str() {
        "" => None,
        cursor => {
            let place = opened(&control.log_keys, CURSOR, cursor).and_then(|bytes| bytes.try_into().ok());
            let place =
                place.ok_or_else(|| Failure::Form("The address: the place in the list is none of ours.".into()));
            Some(Revision(i64::from_be_bytes(place?)))
        }
    };
    let found = control.organizations(&asked, before, SHOWN).await?;
    let next = found.next.map(|next| sealed(&control.log_keys, CURSOR, &next.0.to_be_bytes()));
    let view = OrganizationsView {
        organizations: &found.items,
        is_first: before.is_none(),
        next: next.as_deref(),
        name,
        error,
        done: &wish.done,
        now: control.now(),
    };
    Ok(Page::new(OperatorTab::Organizations.frame(visit, "Organizations"), view.draw()))
}

/// Asks whether to suspend one.
pub async fn ask_to_suspend(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<OrganizationId>,
) -> Result<Response, Failure> {
    let organization = dashboard.control.organization(&visit.as_operator()?, id).await?;
    let frame = OperatorTab::Organizations.frame(&visit, "Suspend");
    Ok(Page::new(frame, suspending(&organization)).into_response())
}

/// Suspends one.
pub async fn suspend(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<OrganizationId>,
) -> Result<Response, Failure> {
    dashboard.control.suspend_organization(&visit.as_operator()?, id).await?;
    Ok(go_to("/operator/organizations?done=suspended"))
}

/// Resumes one.
pub async fn resume(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<OrganizationId>,
) -> Result<Response, Failure> {
    dashboard.control.resume_organization(&visit.as_operator()?, id).await?;
    Ok(go_to("/operator/organizations?done=resumed"))
}

/// Asks whether to delete one.
pub async fn ask_to_delete(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<OrganizationId>,
) -> Result<Response, Failure> {
    let organization = dashboard.control.organization(&visit.as_operator()?, id).await?;
    let frame = OperatorTab::Organizations.frame(&visit, "Delete");
    Ok(Page::new(frame, deleting(&organization, None)).into_response())
}

/// Deletes one, where its name was typed.
pub async fn delete(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<OrganizationId>,
    Form(form): Form<Named>,
) -> Result<Response, Failure> {
    let asked = visit.as_operator()?;
    let organization = dashboard.control.organization(&asked, id).await?;
    if !is_named(&form.name, &organization.name) {
        let frame = OperatorTab::Organizations.frame(&visit, "Delete");
        let page = Page::new(frame, deleting(&organization, Some(NOT_THE_NAME)));
        return Ok(page.with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response());
    }
    dashboard.control.delete_organization(&asked, id).await?;
    Ok(go_to("/operator/organizations?done=deleted"))
}

/// The question whether to suspend one.
pub fn suspending(organization: &Organization) -> Markup {
    let id = organization.id;
    Confirmation {
        question: &format!("Suspend {}?", organization.name),
        consequences: html! {
            p { "All keys of all its projects stop working on every node, at once. Nothing is lost; resuming it makes them work again." }
        },
        action: &format!("/operator/organizations/{id}/suspend"),
        button: "Suspend organization",
        back: "/operator/organizations",
        name: None,
        fault: None,
    }
    .draw()
}

/// The question whether to delete one.
pub fn deleting(organization: &Organization, fault: Option<&str>) -> Markup {
    let id = organization.id;
    Confirmation {
        question: &format!("Delete {}?", organization.name),
        consequences: html! {
            p { "The organization, its projects and all their keys end on every node, at once." }
            p { strong { "This cannot be taken back." } " The log is kept." }
        },
        action: &format!("/operator/organizations/{id}/delete"),
        button: "Delete organization",
        back: "/operator/organizations",
        name: Some(&organization.name),
        fault,
    }
    .draw()
}

/// What the page shows.
pub struct OrganizationsView<'a> {
    /// The organizations, newest first.
    pub organizations: &'a [Organization],
    /// Whether these are the newest.
    pub is_first: bool,
    /// Where the next part begins.
    pub next: Option<&'a str>,
    /// The new one's name as it is filled in.
    pub name: &'a str,
    /// What is wrong with it.
    pub error: Option<&'a ControlError>,
    /// What was done before.
    pub done: &'a str,
    /// At this moment.
    pub now: Timestamp,
}

impl OrganizationsView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        let field = Field::new("name", "Name of the new organization").fault(fault_of(self.error, "name"));
        let input = Input { max_chars: Some(100), autocomplete: Some("off"), ..Input::REQUIRED };
        let first = (!self.is_first).then_some("/operator/organizations");
        let next = self.next.map(|next| format!("/operator/organizations?cursor={next}"));
        html! {
            (parts::head("Organizations", "The customers: each with its people and its projects.", ""))
            (confirm::done(self.done, &[
                ("suspended", "Suspended: all its keys are refused, on every node, until it is resumed."),
                ("resumed", "Resumed: its keys work again."),
                ("deleted", "Deleted: its keys are refused, on every node, for ever."),
            ]))
            @if let Some(error) = self.error { (form_notice(error)) }
            section.card aria-label="New organization" {
                form.row.inner method="post" action="/operator/organizations" {
                    (field.line("text", self.name, input))
                    button.button.primary type="submit" { (Icon::Plus) "Create organization" }
                }
            }
            section.card aria-label="All organizations" {
                @if self.organizations.is_empty() {
                    (parts::empty(Icon::Building, "No organizations yet", "Create the first one above; then invite its owner on its members page.", ""))
                } @else {
                    div.scroll { table.folds {
                        caption.hidden-visually { "Organizations, newest first" }
                        thead { tr {
                            th scope="col" { "Organization" } th scope="col" { "Status" } th scope="col" { "Created" }
                            th scope="col" { span.hidden-visually { "Actions" } }
                        } }
                        tbody { @for organization in self.organizations { (self.row(organization)) } }
                    } }
                }
            }
            (pager(first, next.as_deref()))
        }
    }

    fn row(&self, organization: &Organization) -> Markup {
        let Organization { id, name, state, created_at, .. } = organization;
        let path = format!("/operator/organizations/{id}");
        let subject = html! { span.hidden-visually { " " (name) } };
        html! {
            tr {
                td data-label="Organization" { div { a href={ "/organizations/" (id) } { (name) } span.under.mono { (id) } } }
                td data-label="Status" { @if state.is_active() { (badge(Tone::Good, "active")) } @else { (badge(Tone::Bad, "suspended")) } }
                td data-label="Created" { (moments::ago(*created_at, self.now)) }
                td.acts { div.actions.end {
                    @if state.is_active() {
                        a.button.quiet.small href={ (path) "/suspend" } { "Suspend…" (subject) }
                    } @else {
                        form.inline method="post" action={ (path) "/resume" } { button.button.small type="submit" { "Resume" (subject) } }
                    }
                    a.button.quiet.risky.small href={ (path) "/delete" } { "Delete…" (subject) }
                } }
            }
        }
    }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use crate::dashboard::pages::samples::{EVIL, NAMES, NOW, organization, visit};
    use keyward_core::tenancy::TenantState;
    let mut all: Vec<Organization> =
        NAMES.iter().zip(1..).map(|(name, number)| organization(number, name)).collect();
    all[0].state = TenantState::Suspended { at: NOW };
    let frame = || OperatorTab::Organizations.frame(&visit(EVIL, true), EVIL);
    let error = ControlError::invalid("name", EVIL);
    let page = |organizations: &[Organization], error| {
        let view = OrganizationsView {
            organizations,
            is_first: false,
            next: Some("next"),
            name: EVIL,
            error,
            done: "resumed",
            now: NOW,
        };
        Page::new(frame(), view.draw())
    };
    vec![
        ("empty", page(&[], None)),
        ("many, refused", page(&all, Some(&error))),
        ("suspend", Page::new(frame(), suspending(&all[1]))),
        ("delete", Page::new(frame(), deleting(&all[1], Some(NOT_THE_NAME)))),
    ]
}
