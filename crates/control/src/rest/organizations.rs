//! Organizations over HTTP.

use axum::Json;
use axum::extract::State;
use keyward_core::clock::Timestamp;
use keyward_core::id::OrganizationId;
use keyward_core::tenancy::Organization;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Changed, ForcePart, Made, Tells, tells_force};
use super::body::{Body, Making};
use super::caller::{Asking, Id};
use super::doors::Rest;
use super::fields::{Nothing, body};
use super::problem::Problem;
use super::query::{self, List, Page, limit};
use crate::use_cases::Force;

/// A customer of the operator.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Organization)]
pub(super) struct OrganizationAnswer {
    /// Its id.
    id: String,
    /// What it is called.
    name: String,
    /// active, suspended or deleted.
    #[schema(value_type = String)]
    state: &'static str,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Organization> for OrganizationAnswer {
    fn from(organization: Organization) -> Self {
        OrganizationAnswer {
            id: organization.id.to_string(),
            state: organization.state.as_str(),
            name: organization.name,
            created_at: organization.created_at,
        }
    }
}

/// One organization.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OneOrganization {
    organization: OrganizationAnswer,
}

impl From<Organization> for OneOrganization {
    fn from(organization: Organization) -> Self {
        OneOrganization { organization: organization.into() }
    }
}

/// An organization that was changed, and how that took force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangedOrganization {
    organization: OrganizationAnswer,
    #[serde(flatten)]
    force: ForcePart,
}

tells_force!(ChangedOrganization);

impl Tells for OneOrganization {}

impl From<(Organization, Force)> for ChangedOrganization {
    fn from((organization, force): (Organization, Force)) -> Self {
        ChangedOrganization { organization: organization.into(), force: force.into() }
    }
}

body! {
    /// An organization by its name.
    NamedOrganization {
        /// What to call it: 1 to 100 characters.
        name: String,
    }
}

/// Make an organization
#[utoipa::path(post, path = "/v1/organizations", tag = "organizations", request_body = NamedOrganization,
    responses((status = 201, description = "The organization", body = OneOrganization)))]
pub(super) async fn create_organization(
    State(control): State<Rest>,
    Making { asked, wish }: Making<NamedOrganization>,
) -> Result<Made<OneOrganization>, Problem> {
    let made = control.create_organization(&asked, &wish.name).await?;
    Ok(Made { answer: made.organization.into(), is_repeated: made.is_repeated })
}

/// A part of a list of organizations, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrganizationList {
    items: Vec<OrganizationAnswer>,
    /// Where the next page begins; null at the end.
    next_cursor: Option<String>,
}

/// List organizations
#[utoipa::path(get, path = "/v1/organizations", tag = "organizations", params(Page),
    responses((status = 200, description = "The organizations within reach, newest first", body = OrganizationList)))]
pub(super) async fn list_organizations(
    State(control): State<Rest>,
    Asking(asked): Asking,
    query::Asking(page): query::Asking<Page>,
) -> Result<Json<OrganizationList>, Problem> {
    let list = List::new(&control, &asked, "organizations");
    let before = list.before(page.cursor.as_deref())?;
    let found = control.organizations(&asked, before, limit(page.limit)).await?;
    let items = found.items.into_iter().map(OrganizationAnswer::from).collect();
    Ok(Json(OrganizationList { items, next_cursor: list.next(found.next) }))
}

/// Read an organization
#[utoipa::path(get, path = "/v1/organizations/{organization}", tag = "organizations",
    params(("organization" = String, Path, description = "The organization")),
    responses((status = 200, description = "The organization", body = OneOrganization)))]
pub(super) async fn read_organization(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(id): Id<OrganizationId>,
) -> Result<Json<OneOrganization>, Problem> {
    Ok(Json(control.organization(&asked, id).await?.into()))
}

/// Rename an organization
#[utoipa::path(patch, path = "/v1/organizations/{organization}", tag = "organizations",
    request_body = NamedOrganization,
    params(("organization" = String, Path, description = "The organization")),
    responses((status = 200, description = "The organization as it is now", body = OneOrganization)))]
pub(super) async fn rename_organization(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(id): Id<OrganizationId>,
    Body(wish): Body<NamedOrganization>,
) -> Result<Json<OneOrganization>, Problem> {
    Ok(Json(control.rename_organization(&asked, id, &wish.name).await?.into()))
}

/// Suspend an organization
///
/// Its keys are refused, on every node when this returns, until it is resumed. For the operator alone.
#[utoipa::path(post, path = "/v1/organizations/{organization}/suspend", tag = "organizations", request_body = Nothing,
    params(("organization" = String, Path, description = "The organization")),
    responses((status = 200, description = "The organization as it is now", body = ChangedOrganization)))]
pub(super) async fn suspend_organization(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(id): Id<OrganizationId>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Changed<ChangedOrganization>, Problem> {
    Ok(Changed(control.suspend_organization(&asked, id).await?.into()))
}

/// Resume an organization
#[utoipa::path(post, path = "/v1/organizations/{organization}/resume", tag = "organizations", request_body = Nothing,
    params(("organization" = String, Path, description = "The organization")),
    responses((status = 200, description = "The organization as it is now", body = ChangedOrganization)))]
pub(super) async fn resume_organization(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(id): Id<OrganizationId>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Changed<ChangedOrganization>, Problem> {
    Ok(Changed(control.resume_organization(&asked, id).await?.into()))
}

/// Delete an organization
///
/// With its projects and keys, for ever. When this returns, none of its keys opens anything on any node.
#[utoipa::path(delete, path = "/v1/organizations/{organization}", tag = "organizations",
    params(("organization" = String, Path, description = "The organization")),
    responses((status = 200, description = "The organization as it was", body = ChangedOrganization)))]
pub(super) async fn delete_organization(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(id): Id<OrganizationId>,
) -> Result<Changed<ChangedOrganization>, Problem> {
    Ok(Changed(control.delete_organization(&asked, id).await?.into()))
}
