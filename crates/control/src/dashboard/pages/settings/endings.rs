//! Suspending, resuming and deleting a project, each asked once more but resuming.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyward_core::id::ProjectId;
use keyward_core::permission::Permission;
use maud::{Markup, html};

use super::Renaming;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, go_to};
use crate::dashboard::form::Form;
use crate::dashboard::look::parts::number;
use crate::dashboard::pages::confirm::{Confirmation, NOT_THE_NAME, is_named};
use crate::dashboard::path::Path;
use crate::dashboard::place::{ProjectPlace, ProjectTab};
use crate::dashboard::visit::Visit;
use crate::use_cases::{ControlError, SeenProject};

/// Asks whether to suspend it.
pub async fn ask_to_suspend(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<ProjectId>,
) -> Result<Response, Failure> {
    visit.as_operator()?;
    let place = ProjectPlace::find(&dashboard, &visit, id).await?;
    let frame = place.frame(&visit, ProjectTab::Settings, "Suspend");
    Ok(Page::new(frame, suspending(&place.seen)).into_response())
}

/// Suspends it.
pub async fn suspend(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<ProjectId>,
) -> Result<Response, Failure> {
    dashboard.control.suspend_project(&visit.as_operator()?, id).await?;
    Ok(go_to(&format!("/projects/{id}/settings?done=suspended")))
}

/// Resumes it.
pub async fn resume(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<ProjectId>,
) -> Result<Response, Failure> {
    dashboard.control.resume_project(&visit.as_operator()?, id).await?;
    Ok(go_to(&format!("/projects/{id}/settings?done=resumed")))
}

/// Asks whether to delete it.
pub async fn ask_to_delete(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<ProjectId>,
) -> Result<Response, Failure> {
    let place = ProjectPlace::find(&dashboard, &visit, id).await?;
    require(&place)?;
    let frame = place.frame(&visit, ProjectTab::Settings, "Delete");
    Ok(Page::new(frame, deleting(&place.seen, None)).into_response())
}

/// Deletes it, where its name was typed.
pub async fn delete(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<ProjectId>,
    Form(form): Form<Renaming>,
) -> Result<Response, Failure> {
    let place = ProjectPlace::find(&dashboard, &visit, id).await?;
    require(&place)?;
    if !is_named(&form.name, &place.seen.project.name) {
        let frame = place.frame(&visit, ProjectTab::Settings, "Delete");
        let page = Page::new(frame, deleting(&place.seen, Some(NOT_THE_NAME)));
        return Ok(page.with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response());
    }
    dashboard.control.delete_project(&place.asked, id).await?;
    Ok(go_to(&format!("/organizations/{}?done=deleted", place.seen.organization.id)))
}

fn require(place: &ProjectPlace) -> Result<(), Failure> {
    match place.may(Permission::ProjectsWrite) {
        true => Ok(()),
        false => Err(ControlError::Forbidden(Permission::ProjectsWrite).into()),
    }
}

/// The question whether to suspend a project.
pub fn suspending(seen: &SeenProject) -> Markup {
    let id = seen.project.id;
    Confirmation {
        question: &format!("Suspend {}?", seen.project.name),
        consequences: html! {
            p { "All its keys stop working on every node, at once: " (number(seen.active_keys)) " active. Nothing is lost; resuming it makes them work again." }
        },
        action: &format!("/projects/{id}/suspend"),
        button: "Suspend project",
        back: &format!("/projects/{id}/settings"),
        name: None,
        fault: None,
    }
    .draw()
}

/// The question whether to delete a project.
pub fn deleting(seen: &SeenProject, fault: Option<&str>) -> Markup {
    let id = seen.project.id;
    Confirmation {
        question: &format!("Delete {}?", seen.project.name),
        consequences: html! {
            p { "All its keys stop working on every node, at once: " (number(seen.active_keys)) " active." }
            p { strong { "This cannot be taken back." } " Its log is kept by the operator." }
        },
        action: &format!("/projects/{id}/delete"),
        button: "Delete project",
        back: &format!("/projects/{id}/settings"),
        name: Some(&seen.project.name),
        fault,
    }
    .draw()
}
