//! Members of an organization, and invitations to it, over HTTP.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::{Extension, Json};
use http::request::Parts;
use keyward_core::clock::Timestamp;
use keyward_core::id::{InvitationId, OrganizationId, PersonId};
use keyward_core::people::{Invitation, InvitationState, InvitedTo, Role};
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Changed, ForcePart, LinkPart, Made, Tells, tells_force};
use super::body::{Body, Making};
use super::caller::{Asking, Id};
use super::doors::Rest;
use super::fields::body;
use super::problem::{Problem, not_found};
use super::query::{self, List, Page, limit};
use crate::site::Site;
use crate::use_cases::Force;
use crate::use_cases::people::{InvitationMade, SeenMember};

/// A member of an organization.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Member)]
pub(super) struct MemberAnswer {
    /// The person's id.
    id: String,
    /// Their mail address.
    email: String,
    /// What they are called.
    name: String,
    /// What they may do: owner, developer or viewer.
    #[schema(value_type = String)]
    role: &'static str,
    /// Whether they may sign in: active or disabled.
    #[schema(value_type = String)]
    state: &'static str,
    /// Since when they are a member.
    #[schema(value_type = String, format = DateTime)]
    joined_at: Timestamp,
}

impl From<SeenMember> for MemberAnswer {
    fn from(member: SeenMember) -> Self {
        MemberAnswer {
            id: member.id.to_string(),
            email: member.email,
            name: member.name,
            role: member.role.as_str(),
            state: if member.is_active { "active" } else { "disabled" },
            joined_at: member.joined_at,
        }
    }
}

/// An organization and a person in the path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(OrganizationId, PersonId);

impl FromRequestParts<Rest> for Place {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, control: &Rest) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, control).await.map_err(|_| not_found())?;
        let mut texts = params.iter().map(|(_, text)| text);
        let organization = texts.next().and_then(|text| text.parse().ok());
        let person = texts.next().and_then(|text| text.parse().ok());
        organization.zip(person).map(|(organization, person)| Place(organization, person)).ok_or_else(not_found)
    }
}

/// A part of a list of members, those who have had an account for the shortest time first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MemberList {
    items: Vec<MemberAnswer>,
    /// Where the next page begins; null at the end.
    next_cursor: Option<String>,
}

/// List an organization's members
#[utoipa::path(get, path = "/v1/organizations/{organization}/members", tag = "members",
    params(("organization" = String, Path, description = "The organization"), Page),
    responses((status = 200, description = "Its members", body = MemberList)))]
pub(super) async fn list_members(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(id): Id<OrganizationId>,
    query::Asking(page): query::Asking<Page>,
) -> Result<Json<MemberList>, Problem> {
    let list = List::new(&control, &asked, &format!("members of {id}"));
    let before = list.before(page.cursor.as_deref())?;
    let found = control.members(&asked, id, before, limit(page.limit)).await?;
    let items = found.items.into_iter().map(MemberAnswer::from).collect();
    Ok(Json(MemberList { items, next_cursor: list.next(found.next) }))
}

/// A member after a change, and how it took force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangedMember {
    member: MemberAnswer,
    #[serde(flatten)]
    force: ForcePart,
}

tells_force!(ChangedMember, WithdrawnInvitation);

impl Tells for InvitationWithLink {}

impl From<(SeenMember, Force)> for ChangedMember {
    fn from((member, force): (SeenMember, Force)) -> Self {
        ChangedMember { member: member.into(), force: force.into() }
    }
}

body! {
    /// A member's new role.
    SetRole {
        /// owner, developer or viewer; at most what the caller may do.
        #[schema(value_type = String)]
        role: Role,
    }
}

/// Set a member's role
///
/// A lower one ends the management keys that they made there, and the invitations that they sent.
#[utoipa::path(patch, path = "/v1/organizations/{organization}/members/{person}", tag = "members",
    request_body = SetRole,
    params(("organization" = String, Path, description = "The organization"),
        ("person" = String, Path, description = "The member")),
    responses((status = 200, description = "The member as they are now", body = ChangedMember)))]
pub(super) async fn set_role(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Place(organization, person): Place,
    Body(wish): Body<SetRole>,
) -> Result<Changed<ChangedMember>, Problem> {
    Ok(Changed(control.set_role(&asked, organization, person, wish.role).await?.into()))
}

/// Remove a member
///
/// Their sessions end, with the management keys that they made there and the invitations that they sent, before this
/// returns.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/members/{person}", tag = "members",
    params(("organization" = String, Path, description = "The organization"),
        ("person" = String, Path, description = "The member")),
    responses((status = 200, description = "The member as they were", body = ChangedMember)))]
pub(super) async fn remove_member(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Place(organization, person): Place,
) -> Result<Changed<ChangedMember>, Problem> {
    Ok(Changed(control.remove_member(&asked, organization, person).await?.into()))
}

/// An invitation: everything but its link.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Invitation)]
pub(super) struct InvitationAnswer {
    /// Its id.
    id: String,
    /// Whom it invites.
    email: String,
    /// To which organization; null where it is to the operators.
    organization: Option<String>,
    /// As what: owner, developer or viewer; null where it is to the operators.
    #[schema(value_type = Option<String>)]
    role: Option<&'static str>,
    /// open, expired, accepted or withdrawn.
    #[schema(value_type = String)]
    state: &'static str,
    /// The person who invited; null where none did.
    invited_by: Option<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// From when on it cannot be accepted.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl InvitationAnswer {
    fn of(invitation: Invitation, now: Timestamp) -> Self {
        let state = match invitation.state {
            InvitationState::Open if invitation.is_open(now) => "open",
            InvitationState::Open => "expired",
            InvitationState::Accepted { .. } => "accepted",
            InvitationState::Withdrawn { .. } => "withdrawn",
        };
        let (organization, role) = match invitation.invited_to {
            InvitedTo::Organization { id, role } => (Some(id.to_string()), Some(role.as_str())),
            InvitedTo::Operators => (None, None),
        };
        InvitationAnswer {
            id: invitation.id.to_string(),
            email: invitation.email,
            organization,
            role,
            state,
            invited_by: invitation.invited_by.map(|id| id.to_string()),
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
        }
    }
}

body! {
    /// Somebody to be invited.
    Invite {
        /// Their mail address: nobody else can accept.
        email: String,
        /// owner, developer or viewer; at most what the caller may do.
        #[schema(value_type = String)]
        role: Role,
    }
}

/// An invitation with its link.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvitationWithLink {
    invitation: InvitationAnswer,
    #[serde(flatten)]
    link: LinkPart,
}

/// Invite somebody
///
/// The link is in this one answer: whoever holds it accepts, within a week and once.
#[utoipa::path(post, path = "/v1/organizations/{organization}/invitations", tag = "members", request_body = Invite,
    params(("organization" = String, Path, description = "The organization")),
    responses((status = 201, description = "The invitation and its link", body = InvitationWithLink)))]
pub(super) async fn invite(
    State(control): State<Rest>,
    Extension(site): Extension<Arc<Site>>,
    Id(id): Id<OrganizationId>,
    Making { asked, wish }: Making<Invite>,
) -> Result<Made<InvitationWithLink>, Problem> {
    let to = InvitedTo::Organization { id, role: wish.role };
    let made = control.invite(&asked, to, &wish.email).await?;
    // The answer holds the link either way; what was not sent is in the log.
    let _sent = control.mail_invitation(&asked, &made, &site.url("/invitations/")).await;
    let InvitationMade { invitation, secret, is_repeated } = made;
    let invitation = InvitationAnswer::of(invitation, control.now());
    let link = LinkPart::to(&site, "/invitations/", secret);
    Ok(Made { answer: InvitationWithLink { invitation, link }, is_repeated })
}

/// A part of a list of invitations, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvitationList {
    items: Vec<InvitationAnswer>,
    /// Where the next page begins; null at the end.
    next_cursor: Option<String>,
}

/// List invitations to an organization
#[utoipa::path(get, path = "/v1/organizations/{organization}/invitations", tag = "members",
    params(("organization" = String, Path, description = "The organization"), Page),
    responses((status = 200, description = "Invitations, whatever became of them, newest first", body = InvitationList)))]
pub(super) async fn list_invitations(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(id): Id<OrganizationId>,
    query::Asking(page): query::Asking<Page>,
) -> Result<Json<InvitationList>, Problem> {
    let list = List::new(&control, &asked, &format!("invitations to {id}"));
    let before = list.before(page.cursor.as_deref())?;
    let found = control.invitations(&asked, Some(id), before, limit(page.limit)).await?;
    let now = control.now();
    let items = found.items.into_iter().map(|invitation| InvitationAnswer::of(invitation, now)).collect();
    Ok(Json(InvitationList { items, next_cursor: list.next(found.next) }))
}

/// An invitation that was withdrawn, and how that took force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WithdrawnInvitation {
    invitation: InvitationAnswer,
    #[serde(flatten)]
    force: ForcePart,
}

/// Withdraw an invitation
#[utoipa::path(delete, path = "/v1/invitations/{invitation}", tag = "members",
    params(("invitation" = String, Path, description = "The invitation")),
    responses((status = 200, description = "The invitation as it is now", body = WithdrawnInvitation)))]
pub(super) async fn withdraw_invitation(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(id): Id<InvitationId>,
) -> Result<Changed<WithdrawnInvitation>, Problem> {
    let (invitation, force) = control.withdraw_invitation(&asked, id).await?;
    let invitation = InvitationAnswer::of(invitation, control.now());
    Ok(Changed(WithdrawnInvitation { invitation, force: force.into() }))
}
