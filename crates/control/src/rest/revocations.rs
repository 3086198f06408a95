//! Ending many keys at once, over HTTP.

use std::convert::Infallible;
use std::str::FromStr;

use axum::extract::State;
use keyward_core::id::{OrganizationId, ProjectId};
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Changed, ForcePart, tells_force};
use super::body::Body;
use super::caller::{Asking, Id};
use super::doors::Rest;
use super::fields::{KeyIds, body};
use super::problem::Problem;
use crate::use_cases::{ControlError, Revocation, RevocationId, Target};

body! {
    /// Which keys are to end: one of keys, project and organization.
    RevokeMany {
        /// These keys, at most 1,000.
        #[schema(value_type = Option<Vec<String>>)]
        keys: Option<KeyIds>,
        /// All keys of this project.
        #[schema(value_type = Option<String>)]
        project: Option<ProjectId>,
        /// All keys of this organization.
        #[schema(value_type = Option<String>)]
        organization: Option<OrganizationId>,
        /// A sentence for the log.
        reason: Option<String>,
        /// Whether the contracts' statements are acknowledged.
        acknowledge: Option<bool>,
    }
}

/// A revocation of many keys.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Revocation)]
pub(super) struct RevocationAnswer {
    /// Its name.
    id: String,
    /// How many keys it ended; those that were revoked before are not counted. Null where the name is that of another
    /// change, whose caller did not wait.
    #[schema(required = true)]
    revoked: Option<u32>,
    #[serde(flatten)]
    force: ForcePart,
}

tells_force!(RevocationAnswer);

impl From<Revocation> for RevocationAnswer {
    fn from(Revocation { id, revoked, in_force }: Revocation) -> Self {
        let force = ForcePart::of(in_force, &id);
        RevocationAnswer { id: id.0, revoked, force }
    }
}

impl FromStr for RevocationId {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(RevocationId(text.to_owned()))
    }
}

/// Revoke many keys
///
/// All or none of them, with one wait. To keep new keys from being made, suspend the project or organization.
#[utoipa::path(post, path = "/v1/revocations", tag = "keys", request_body = RevokeMany,
    responses((status = 200, description = "The revocation", body = RevocationAnswer)))]
pub(super) async fn revoke_many(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Body(wish): Body<RevokeMany>,
) -> Result<Changed<RevocationAnswer>, Problem> {
    let target = match (wish.keys, wish.project, wish.organization) {
        (Some(keys), None, None) => Target::Keys(keys.0),
        (None, Some(project), None) => Target::Project(project),
        (None, None, Some(organization)) => Target::Organization(organization),
        _ => {
            return Err(
                ControlError::invalid("keys", "or project or organization: exactly one must be given").into()
            );
        }
    };
    let acknowledge = wish.acknowledge.unwrap_or(false);
    Ok(Changed(control.revoke_many(&asked, &target, wish.reason.as_deref(), acknowledge).await?.into()))
}

/// Ask whether a change is in force
///
/// A revocation, or any other change whose caller did not wait. Answers once it is in force, or at once where the request
/// prefers that.
#[utoipa::path(get, path = "/v1/revocations/{revocation}", tag = "keys",
    params(("revocation" = String, Path, description = "The revocation")),
    responses((status = 200, description = "The revocation", body = RevocationAnswer)))]
pub(super) async fn read_revocation(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(id): Id<RevocationId>,
) -> Result<Changed<RevocationAnswer>, Problem> {
    Ok(Changed(control.revocation(&asked, &id).await?.into()))
}
