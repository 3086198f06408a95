//! An organization's people: who they are, what they may do, who is invited; inviting, changing roles and removing for
//! owners.

mod view;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyward_core::change::Revision;
use keyward_core::id::{InvitationId, OrganizationId, PersonId};
use keyward_core::people::{InvitedTo, Role};
use keyward_core::permission::Permission;
use maud::html;
use serde::Deserialize;

use self::view::{MembersView, Wish};
use super::confirm::Confirmation;
use super::shown_once::ShownOnce;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, go_to};
use crate::dashboard::form::{Asking, Form};
use crate::dashboard::path::Path;
use crate::dashboard::place::{OrganizationPlace, OrganizationTab};
use crate::dashboard::visit::Visit;
use crate::use_cases::people::{InvitationMade, SeenMember};
use crate::use_cases::{Asked, ControlError};

/// How many members are shown at once.
const SHOWN: u32 = 100;
/// How many invitations are looked through for open ones.
const INVITATIONS: u32 = 200;

/// What the address says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Question {
    done: String,
    before: Option<i64>,
}

/// What the form of an invitation sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InviteForm {
    email: String,
    role: String,
}

/// What the form of a role sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleForm {
    role: String,
}

/// The page.
pub async fn page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<OrganizationId>,
    Asking(question): Asking<Question>,
) -> Result<Response, Failure> {
    let place = OrganizationPlace::find(&dashboard, &visit, id).await?;
    Ok(show(&dashboard, &visit, &place, &question, None).await?.into_response())
}

/// Invites somebody, and shows the link the one time it can be shown.
pub async fn invite(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<OrganizationId>,
    Form(form): Form<InviteForm>,
) -> Result<Response, Failure> {
    let place = OrganizationPlace::find(&dashboard, &visit, id).await?;
    let invited = match Role::named(&form.role) {
        Some(role) => {
            let to = InvitedTo::Organization { id, role };
            dashboard.control.invite(&place.asked, to, &form.email).await
        }
        None => Err(ControlError::invalid("role", "is no role")),
    };
    match invited {
        Ok(made) => {
            let sent = link_shown(&dashboard, &place.asked, made, &place.path(OrganizationTab::Members)).await?;
            Ok(Page::new(place.frame(&visit, OrganizationTab::Members, "Invitation"), sent).into_response())
        }
        Err(error @ (ControlError::Invalid(_) | ControlError::AlreadyExists(_))) => {
            let wish = Wish { email: &form.email, role: &form.role, error: &error };
            let page = show(&dashboard, &visit, &place, &Question::default(), Some(wish)).await?;
            Ok(page.with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// The link of an invitation that was made: sent where mail is configured, and shown in any case.
pub async fn link_shown(
    dashboard: &Dashboard,
    asked: &Asked,
    made: InvitationMade,
    back: &str,
) -> Result<maud::Markup, Failure> {
    let links = dashboard.site.url("/invitations/");
    let sent = dashboard.control.mail_invitation(asked, &made, &links).await;
    let InvitationMade { invitation, secret, .. } = made;
    let link = format!("{links}{}", secret.secret()?.expose());
    let words = html! {
        @match &sent {
            None => p { "Give this link to " strong { (invitation.email) } ": whoever opens it can join under this address." },
            Some(Ok(())) => p { "We sent this link to " strong { (invitation.email) } ". You can also hand it over yourself." },
            Some(Err(reason)) => p { (reason.told()) " It is for " strong { (invitation.email) } "." },
        }
    };
    let shown = ShownOnce {
        title: "The invitation is ready",
        words,
        label: "Invitation link",
        secret: &link,
        warning: "This is the only time the link is shown. It works once, for a week. Inviting the same address again makes a new one and ends this one.",
        back,
    };
    Ok(shown.draw())
}

/// Gives a member another role.
pub async fn set_role(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path((id, person)): Path<(OrganizationId, PersonId)>,
    Form(form): Form<RoleForm>,
) -> Result<Response, Failure> {
    let place = OrganizationPlace::find(&dashboard, &visit, id).await?;
    let role = Role::named(&form.role).ok_or(ControlError::invalid("role", "is no role"))?;
    dashboard.control.set_role(&place.asked, id, person, role).await?;
    Ok(go_to(&format!("{}?done=role", place.path(OrganizationTab::Members))))
}

/// Asks whether a member is to be removed, and says what ends with their place.
pub async fn ask_to_remove(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path((id, person)): Path<(OrganizationId, PersonId)>,
) -> Result<Response, Failure> {
    let place = OrganizationPlace::find(&dashboard, &visit, id).await?;
    if !place.may(Permission::MembersWrite) {
        return Err(ControlError::Forbidden(Permission::MembersWrite).into());
    }
    let member = member(&dashboard, &place, person).await?;
    let keys = super::management_keys::of_organization(&dashboard, &place).await?;
    let now = dashboard.control.now();
    let made = keys.into_iter().filter(|key| key.minted_by == Some(person) && key.is_live(now));
    let made: Vec<String> = made.map(|key| key.name).collect();
    let question = format!("Remove {}?", member.name);
    let back = place.path(OrganizationTab::Members);
    let asked = Confirmation {
        question: &question,
        consequences: view::ends_with(&member, &place.organization.name, &made),
        action: &format!("{back}/{person}/remove"),
        button: "Remove the member",
        back: &back,
        name: None,
        fault: None,
    };
    Ok(Page::new(place.frame(&visit, OrganizationTab::Members, "Remove"), asked.draw()).into_response())
}

/// Removes a member.
pub async fn remove(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path((id, person)): Path<(OrganizationId, PersonId)>,
) -> Result<Response, Failure> {
    let place = OrganizationPlace::find(&dashboard, &visit, id).await?;
    dashboard.control.remove_member(&place.asked, id, person).await?;
    match visit.person().id == person && !visit.person().is_operator {
        true => Ok(go_to("/sign-in")),
        false => Ok(go_to(&format!("{}?done=removed", place.path(OrganizationTab::Members)))),
    }
}

/// Takes an invitation back.
pub async fn withdraw(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path((id, invitation)): Path<(OrganizationId, InvitationId)>,
) -> Result<Response, Failure> {
    let place = OrganizationPlace::find(&dashboard, &visit, id).await?;
    dashboard.control.withdraw_invitation(&place.asked, invitation).await?;
    Ok(go_to(&format!("{}?done=withdrawn", place.path(OrganizationTab::Members))))
}

async fn member(dashboard: &Dashboard, place: &OrganizationPlace, id: PersonId) -> Result<SeenMember, Failure> {
    let mut before = None;
    loop {
        let page = dashboard.control.members(&place.asked, place.organization.id, before, SHOWN).await?;
        if let Some(found) = page.items.into_iter().find(|member| member.id == id) {
            return Ok(found);
        }
        before = Some(page.next.ok_or(ControlError::NotFound)?);
    }
}

async fn show(
    dashboard: &Dashboard,
    visit: &Visit,
    place: &OrganizationPlace,
    question: &Question,
    wish: Option<Wish<'_>>,
) -> Result<Page, Failure> {
    let (control, id) = (&dashboard.control, place.organization.id);
    let members = control.members(&place.asked, id, question.before.map(Revision), SHOWN).await?;
    let now = control.now();
    let mut invitations = control.invitations(&place.asked, Some(id), None, INVITATIONS).await?.items;
    invitations.retain(|invitation| invitation.is_open(now));
    let view = MembersView {
        organization: id,
        members: &members.items,
        next: members.next,
        is_first: question.before.is_none(),
        invitations: &invitations,
        own: visit.person().id,
        may_write: place.may(Permission::MembersWrite),
        now,
        done: &question.done,
        wish,
    };
    Ok(Page::new(place.frame(visit, OrganizationTab::Members, "Members"), view.draw()))
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    view::samples()
}
