//! Somebody's own account: what they are called, their password, where they are signed in, the provider that speaks for
//! them, and the organizations they are members of.

mod browser;
mod view;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyward_core::id::{OrganizationId, SessionId};
use keyward_core::secret::Secret;
use maud::html;
use serde::Deserialize;

use self::view::{AccountView, Place, Sent};
use super::confirm::Confirmation;
use super::sign_in::let_in;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, go_to};
use crate::dashboard::form::{Asking, Form};
use crate::dashboard::look::{Crumb, Frame};
use crate::dashboard::path::Path;
use crate::dashboard::visit::Visit;
use crate::use_cases::ControlError;

/// What the address says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Question {
    done: String,
}

/// What the form for the name sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameForm {
    name: String,
}

/// What the form for the password sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordForm {
    /// For password managers alone.
    #[serde(default, rename = "email")]
    _email: String,
    #[serde(default)]
    old_password: Option<String>,
    password: String,
}

/// The page.
pub async fn page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Asking(question): Asking<Question>,
) -> Result<Response, Failure> {
    Ok(show(&dashboard, &visit, &question.done, Sent::Nothing).await?.into_response())
}

/// Gives oneself another name.
pub async fn rename(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Form(form): Form<NameForm>,
) -> Result<Response, Failure> {
    match dashboard.control.rename_self(&visit.current, &form.name, &visit.visitor).await {
        Ok(_) => Ok(go_to("/account?done=renamed")),
        Err(error @ ControlError::Invalid(_)) => {
            let sent = Sent::Name { name: &form.name, error: &error };
            refused(&dashboard, &visit, sent, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Gives oneself another password: all sessions end, and a new one begins here.
pub async fn change_password(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Form(form): Form<PasswordForm>,
) -> Result<Response, Failure> {
    let (old, new) = (form.old_password.map(Secret::new), Secret::new(form.password));
    match dashboard.control.change_password(&visit.current, old.as_ref(), &new, &visit.visitor).await {
        Ok(signed_in) => let_in(&dashboard, &signed_in, Some(visit), "/account?done=password").await,
        Err(error) => {
            let status = match error {
                ControlError::BadCredentials | ControlError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
                ControlError::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
                error => return Err(error.into()),
            };
            refused(&dashboard, &visit, Sent::Password { error: &error }, status).await
        }
    }
}

/// Ends one of one's sessions.
pub async fn end_session(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<SessionId>,
) -> Result<Response, Failure> {
    dashboard.control.end_session(&visit.current, id).await?;
    Ok(go_to("/account?done=ended"))
}

/// Ends all of one's sessions but this one.
pub async fn end_other_sessions(State(dashboard): State<Dashboard>, visit: Visit) -> Result<Response, Failure> {
    dashboard.control.end_other_sessions(&visit.current).await?;
    Ok(go_to("/account?done=ended-others"))
}

/// Asks whether one wants to leave an organization.
pub async fn ask_to_leave(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<OrganizationId>,
) -> Result<Response, Failure> {
    let organization = dashboard.control.organization(&visit.in_organization(id), id).await?;
    visit.person().membership(id).ok_or(ControlError::NotFound)?;
    let question = format!("Leave {}?", organization.name);
    let asked = Confirmation {
        question: &question,
        consequences: html! {
            p { "You lose access to its projects at once. Management keys that you made there stop working, invitations that you sent are taken back, and you are signed out everywhere." }
        },
        action: &format!("/account/organizations/{id}/leave"),
        button: "Leave the organization",
        back: "/account",
        name: None,
        fault: None,
    };
    Ok(Page::new(frame(&visit, "Leave"), asked.draw()).into_response())
}

/// Leaves an organization; all sessions end with it.
pub async fn leave(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<OrganizationId>,
) -> Result<Response, Failure> {
    dashboard.control.leave(&visit.current, id, &visit.visitor).await?;
    Ok(go_to("/sign-in"))
}

/// The page again, with why the provider was not linked or unlinked.
///
/// # Errors
/// What is no fault of a form.
pub async fn provider_refused(
    dashboard: &Dashboard,
    visit: &Visit,
    error: ControlError,
) -> Result<Response, Failure> {
    let status = match error {
        ControlError::BadCredentials | ControlError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        ControlError::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        error => return Err(error.into()),
    };
    refused(dashboard, visit, Sent::Provider { error: &error }, status).await
}

async fn refused(
    dashboard: &Dashboard,
    visit: &Visit,
    sent: Sent<'_>,
    status: StatusCode,
) -> Result<Response, Failure> {
    Ok(show(dashboard, visit, "", sent).await?.with_status(status).into_response())
}

async fn show(dashboard: &Dashboard, visit: &Visit, done: &str, sent: Sent<'_>) -> Result<Page, Failure> {
    let control = &dashboard.control;
    let mut places = Vec::new();
    for membership in &visit.person().memberships {
        let id = membership.organization;
        match control.organization(&visit.in_organization(id), id).await {
            Ok(organization) => places.push(Place { membership, name: organization.name }),
            // It was deleted meanwhile.
            Err(ControlError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let sessions = control.sessions(&visit.current).await?;
    let view = AccountView {
        person: visit.person(),
        places: &places,
        sessions: &sessions,
        needs_old_password: control.needs_old_password(&visit.current).await?,
        needs_proof_to_link: control.needs_proof_to_link(&visit.current),
        provider: control.openid().map(|provider| (provider.title(), provider.issuer())),
        now: control.now(),
        done,
        sent,
    };
    Ok(Page::new(frame(visit, "Your account"), view.draw()))
}

fn frame(visit: &Visit, title: &str) -> Frame {
    let crumbs = vec![Crumb { label: title.to_owned(), href: None }];
    Frame { title: title.to_owned(), crumbs, who: Some(visit.who()), ..Frame::default() }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    view::samples()
}
