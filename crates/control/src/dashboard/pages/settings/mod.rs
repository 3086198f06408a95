//! A project's settings: its name, its ids, and what ends or pauses it. Those are asked once more, on pages of their own
//! ([`endings`]).

mod endings;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyward_core::id::ProjectId;
use keyward_core::permission::Permission;
use keyward_core::tenancy::Environment;
use maud::{Markup, html};
use serde::Deserialize;

pub use endings::{ask_to_delete, ask_to_suspend, delete, resume, suspend};

use super::confirm;
use super::gate::gate;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, fault_of, form_notice, go_to};
use crate::dashboard::form::{Asking, Form};
use crate::dashboard::look::parts::{self, Field, Input, Tone, badge, copy_button};
use crate::dashboard::look::{Icon, moments};
use crate::dashboard::path::Path;
use crate::dashboard::place::{ProjectPlace, ProjectTab};
use crate::dashboard::visit::Visit;
use crate::use_cases::{ControlError, ProjectEdit, SeenProject};

/// What was done before.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Before {
    done: String,
}

/// What the form sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renaming {
    name: String,
}

/// The page.
pub async fn page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<ProjectId>,
    Asking(before): Asking<Before>,
) -> Result<Response, Failure> {
    let place = ProjectPlace::find(&dashboard, &visit, id).await?;
    let view = SettingsView { done: &before.done, ..SettingsView::of(&place, &visit) };
    Ok(Page::new(place.frame(&visit, ProjectTab::Settings, "Settings"), view.draw()).into_response())
}

/// Gives the project another name.
pub async fn rename(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<ProjectId>,
    Form(form): Form<Renaming>,
) -> Result<Response, Failure> {
    let place = ProjectPlace::find(&dashboard, &visit, id).await?;
    let edit = ProjectEdit { name: Some(form.name.clone()), ..ProjectEdit::default() };
    match dashboard.control.edit_project(&place.asked, id, &edit).await {
        Ok(_) => Ok(go_to(&format!("{}?done=renamed", place.path(ProjectTab::Settings)))),
        Err(error @ ControlError::Invalid(_)) => {
            let view = SettingsView { name: &form.name, error: Some(&error), ..SettingsView::of(&place, &visit) };
            let frame = place.frame(&visit, ProjectTab::Settings, "Settings");
            Ok(Page::new(frame, view.draw()).with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// What the page shows.
pub struct SettingsView<'a> {
    /// The project.
    pub seen: &'a SeenProject,
    /// Its name as it is filled in.
    pub name: &'a str,
    /// Whether whoever looks may rename and delete it.
    pub may_write: bool,
    /// Whether they may suspend and resume it.
    pub is_operator: bool,
    /// What went wrong.
    pub error: Option<&'a ControlError>,
    /// What was done before.
    pub done: &'a str,
}

impl<'a> SettingsView<'a> {
    fn of(place: &'a ProjectPlace, visit: &Visit) -> Self {
        SettingsView {
            seen: &place.seen,
            name: &place.seen.project.name,
            may_write: place.may(Permission::ProjectsWrite),
            is_operator: visit.person().is_operator,
            error: None,
            done: "",
        }
    }

    fn draw(&self) -> Markup {
        html! {
            (parts::head("Settings", format!("Name and identity of this {}.", self.seen.noun), ""))
            (confirm::done(self.done, &[
                ("renamed", "The name was changed."),
                ("suspended", "Suspended: all keys are refused, on every node, until it is resumed."),
                ("resumed", "Resumed: its keys work again."),
            ]))
            (gate(self.seen))
            (self.general())
            (self.identity())
            @if self.may_write || self.is_operator { (self.endings()) }
        }
    }

    fn general(&self) -> Markup {
        let action = format!("/projects/{}/settings", self.seen.project.id);
        let field = Field::new("name", "Name")
            .hint("What people see. Nothing that your programs use changes with it.")
            .fault(fault_of(self.error, "name"));
        parts::titled_card(
            "General",
            "",
            html! {
                @if let Some(error) = self.error { (form_notice(error)) }
                @if self.may_write {
                    form.row method="post" action=(action) {
                        (field.line("text", self.name, Input { max_chars: Some(100), autocomplete: Some("off"), ..Input::REQUIRED }))
                        button.button.primary type="submit" { (Icon::Pencil) "Save name" }
                    }
                } @else {
                    dl.facts { dt { "Name" } dd { (self.seen.project.name) } }
                    p.soft.small { "Owners of the organization can change it." }
                }
            },
        )
    }

    fn identity(&self) -> Markup {
        let project = &self.seen.project;
        let environment = match project.environment {
            Environment::Live => badge(Tone::Good, "live"),
            Environment::Test => badge(Tone::Info, "test"),
        };
        let ids = [
            ("Project id", "project-id", project.id.to_string(), "project id"),
            ("Organization id", "organization-id", project.organization.to_string(), "organization id"),
            ("API", "api-name", project.api.to_string(), "name of the API"),
        ];
        parts::titled_card(
            "Identity",
            "",
            html! {
                dl.facts {
                    @for (label, id, value, what) in &ids {
                        dt { (label) }
                        dd.actions { code id=(id) { (value) } (copy_button(id, what)) }
                    }
                    dt { "Environment" } dd { (environment) }
                    dt { "Created" } dd { (moments::in_full(project.created_at)) }
                }
            },
        )
    }

    fn endings(&self) -> Markup {
        let project = &self.seen.project;
        parts::titled_card(
            "Danger",
            "",
            html! {
                @if self.is_operator {
                    @if project.state.is_active() {
                        div.head {
                            div { strong { "Suspend" } p.soft { "Refuses all keys of the project until it is resumed." } }
                            a.button href={ "/projects/" (project.id) "/suspend" } { "Suspend project…" }
                        }
                    } @else {
                        form.head method="post" action={ "/projects/" (project.id) "/resume" } {
                            div { strong { "Resume" } p.soft { "Its keys work again at once." } }
                            button.button type="submit" { "Resume project" }
                        }
                    }
                }
                @if self.may_write {
                    div.head {
                        div { strong { "Delete" } p.soft { "Ends the project and all its keys, for ever." } }
                        a.button.risky href={ "/projects/" (project.id) "/delete" } { "Delete project…" }
                    }
                }
            },
        )
    }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use super::samples::{EVIL, LONG, NOW, project, visit};
    use keyward_core::tenancy::TenantState;
    let visit = visit(EVIL, true);
    let asked = visit.in_organization(project(1, EVIL).organization.id);
    let mut place = ProjectPlace { asked, seen: project(1, EVIL) };
    let page = |place: &ProjectPlace, content| Page::new(place.frame(&visit, ProjectTab::Settings, EVIL), content);
    let error = ControlError::invalid("name", EVIL);
    let refused = SettingsView { name: LONG, error: Some(&error), ..SettingsView::of(&place, &visit) }.draw();
    let viewer =
        SettingsView { may_write: false, is_operator: false, done: EVIL, ..SettingsView::of(&place, &visit) }
            .draw();
    let mut pages = vec![
        ("refused", page(&place, refused)),
        ("viewer", page(&place, viewer)),
        ("suspend", page(&place, endings::suspending(&place.seen))),
        ("delete", page(&place, endings::deleting(&place.seen, Some(EVIL)))),
    ];
    place.seen.project.state = TenantState::Suspended { at: NOW };
    pages.push(("suspended", page(&place, SettingsView::of(&place, &visit).draw())));
    pages
}
