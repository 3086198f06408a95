//! The start, and an organization's projects.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keyward_core::id::OrganizationId;
use keyward_core::permission::Permission;
use keyward_core::tenancy::Organization;
use maud::{Markup, html};
use serde::Deserialize;

use super::confirm;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, go_to};
use crate::dashboard::form::Asking;
use crate::dashboard::look::parts::{self, Tone, badge, number};
use crate::dashboard::look::{Frame, Icon};
use crate::dashboard::path::Path;
use crate::dashboard::place::{OrganizationPlace, OrganizationTab, role_word};
use crate::dashboard::visit::Visit;
use crate::use_cases::{ControlError, SeenProject};

/// How many projects are shown at once.
const SHOWN: u32 = 100;

/// The start: the one organization, the choice of several, or the operator's pages.
pub async fn start(State(dashboard): State<Dashboard>, visit: Visit) -> Result<Response, Failure> {
    let person = visit.person();
    match &person.memberships[..] {
        [] if person.is_operator => return Ok(go_to("/operator/organizations")),
        [] => return Ok(go_to("/account")),
        [only] if !person.is_operator => return Ok(go_to(&format!("/organizations/{}", only.organization))),
        _ => {}
    }
    let mut choices = Vec::new();
    for membership in &person.memberships {
        let id = membership.organization;
        match dashboard.control.organization(&visit.in_organization(id), id).await {
            Ok(organization) => choices.push((organization, role_word(membership.role))),
            // It was deleted meanwhile.
            Err(ControlError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let frame = Frame { who: Some(visit.who()), ..Frame::titled("Your organizations") };
    let view = StartView { choices: &choices, is_operator: person.is_operator };
    Ok(Page::new(frame, view.draw()).into_response())
}

/// What the start shows to who has a choice.
struct StartView<'a> {
    /// The organizations, each with the role there.
    choices: &'a [(Organization, &'static str)],
    /// Whether the operator's pages are among them.
    is_operator: bool,
}

impl StartView<'_> {
    fn draw(&self) -> Markup {
        html! {
            div.alone.wide.stack {
                (parts::head("Your organizations", "Where would you like to go?", ""))
                ul.plain.cards {
                    @for (organization, role) in self.choices {
                        li { a.card.tile href={ "/organizations/" (organization.id) } {
                            strong { (organization.name) }
                            span.soft { (role) }
                        } }
                    }
                    @if self.is_operator {
                        li { a.card.tile href="/operator/organizations" {
                            strong { "Operator's pages" }
                            span.soft { "All organizations, people and the log" }
                        } }
                    }
                }
            }
        }
    }
}

/// An organization's projects.
pub async fn projects(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<OrganizationId>,
    Asking(before): Asking<Before>,
) -> Result<Response, Failure> {
    let place = OrganizationPlace::find(&dashboard, &visit, id).await?;
    let found = dashboard.control.projects(&place.asked, id, None, SHOWN).await?;
    let frame = place.frame(&visit, OrganizationTab::Projects, "Projects");
    let new = place.may(Permission::ProjectsWrite).then(|| format!("/organizations/{id}/new-project"));
    let view = ProjectsView { projects: &found.items, new: new.as_deref(), done: &before.done };
    Ok(Page::new(frame, view.draw()).into_response())
}

/// What was done before.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Before {
    done: String,
}

/// What the page shows.
pub struct ProjectsView<'a> {
    /// The projects, newest first.
    pub projects: &'a [SeenProject],
    /// Where one makes a new one; none for who may not.
    pub new: Option<&'a str>,
    /// What was done before.
    pub done: &'a str,
}

impl ProjectsView<'_> {
    fn draw(&self) -> Markup {
        html! {
            (parts::head("Projects", "Each has keys, usage and limits of its own.", self.make()))
            (confirm::done(self.done, &[
                ("created", "The organization is there. Give it a project, and invite its owner on the members page."),
                ("deleted", "The project was deleted: its keys are refused, on every node, for ever."),
            ]))
            @if self.projects.is_empty() {
                (parts::card(parts::empty(Icon::Folder, "No projects yet", "A project opens one API to your programs.", self.make())))
            } @else {
                ul.plain.cards { @for project in self.projects { li { (tile(project)) } } }
            }
        }
    }

    fn make(&self) -> Markup {
        html! { @if let Some(new) = self.new { a.button.primary href=(new) { (Icon::Plus) "New project" } } }
    }
}

fn tile(seen: &SeenProject) -> Markup {
    let project = &seen.project;
    html! {
        a.card.tile href={ "/projects/" (project.id) "/keys" } {
            strong { (project.name) }
            span.soft { (seen.contract.title) }
            span.actions {
                @if project.state.is_active() { (badge(Tone::Good, "active")) } @else { (badge(Tone::Bad, "suspended")) }
                span.small.soft { (number(seen.active_keys)) " active keys · " (seen.plan.title) }
            }
        }
    }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use super::samples::{EVIL, NAMES, organization_place, project, visit};
    let projects: Vec<SeenProject> = NAMES.iter().zip(1..).map(|(name, number)| project(number, name)).collect();
    let page = |name, projects: &[SeenProject]| {
        let visit = visit(name, true);
        let frame = organization_place(&visit, name).frame(&visit, OrganizationTab::Projects, "Projects");
        Page::new(frame, ProjectsView { projects, new: Some("/organizations/new"), done: "created" }.draw())
    };
    let choices: Vec<_> = NAMES.iter().map(|name| (super::samples::organization(1, name), "Owner")).collect();
    let start = StartView { choices: &choices, is_operator: true };
    let start = Page::new(Frame { who: Some(visit(EVIL, true).who()), ..Frame::titled("x") }, start.draw());
    vec![
        ("start", start),
        ("empty", page("Acme", &[])),
        ("one", page(EVIL, &projects[..1])),
        ("many", page(EVIL, &projects)),
    ]
}
