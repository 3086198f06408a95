//! A project's data keys and destination over HTTP.

use axum::Json;
use axum::extract::State;
use keyward_core::clock::Timestamp;
use keyward_core::data_keyring::{DataKeyFacts, DataKeyState};
use keyward_core::id::ProjectId;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Changed, ForcePart, Made, Tells, tells_force};
use super::body::{Body, Making};
use super::caller::{Asking, Id};
use super::doors::Rest;
use super::fields::{Nothing, body};
use super::problem::Problem;

/// A data key: what fields of a project are encrypted under. Its bytes are told to nobody.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DataKey)]
pub(super) struct DataKeyAnswer {
    /// Its id, which every ciphertext names.
    id: String,
    /// current (it encrypts), opens_only or shredded.
    #[schema(value_type = String)]
    state: &'static str,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Since when another encrypts in its place.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    replaced_at: Option<Timestamp>,
    /// Since when it is destroyed.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    shredded_at: Option<Timestamp>,
}

impl From<DataKeyFacts> for DataKeyAnswer {
    fn from(key: DataKeyFacts) -> Self {
        let (replaced_at, shredded_at) = match key.state {
            DataKeyState::Current => (None, None),
            DataKeyState::OpensOnly { since } => (Some(since), None),
            DataKeyState::Shredded { at } => (None, Some(at)),
        };
        let (id, state) = (key.id.to_string(), key.state.as_str());
        DataKeyAnswer { id, state, created_at: key.created_at, replaced_at, shredded_at }
    }
}

/// All data keys of a project.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DataKeyList {
    items: Vec<DataKeyAnswer>,
    /// Always null: the list is whole.
    next_cursor: Option<String>,
}

/// List a project's data keys
///
/// The newest first, shredded ones included.
#[utoipa::path(get, path = "/v1/projects/{project}/data-keys", tag = "encryption",
    params(("project" = String, Path, description = "The project")),
    responses((status = 200, description = "The data keys", body = DataKeyList)))]
pub(super) async fn list_data_keys(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(project): Id<ProjectId>,
) -> Result<Json<DataKeyList>, Problem> {
    let items = control.data_keys(&asked, project).await?.into_iter().map(DataKeyAnswer::from).collect();
    Ok(Json(DataKeyList { items, next_cursor: None }))
}

/// A data key that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OneDataKey {
    data_key: DataKeyAnswer,
}

impl Tells for OneDataKey {}

/// Rotate a project's data key
///
/// Another encrypts from now on. Those before it open what they encrypted until they are shredded: nothing has to be
/// encrypted anew.
#[utoipa::path(post, path = "/v1/projects/{project}/data-keys/rotate", tag = "encryption", request_body = Nothing,
    params(("project" = String, Path, description = "The project")),
    responses((status = 201, description = "The new data key", body = OneDataKey)))]
pub(super) async fn rotate_data_key(
    State(control): State<Rest>,
    Id(project): Id<ProjectId>,
    Making { asked, wish: Nothing {} }: Making<Nothing>,
) -> Result<Made<OneDataKey>, Problem> {
    let made = control.rotate_data_key(&asked, project).await?;
    Ok(Made { answer: OneDataKey { data_key: made.key.into() }, is_repeated: made.is_repeated })
}

body! {
    /// That a project's data keys are to be destroyed.
    ShredDataKeys {
        /// Whether it is acknowledged that everything the project has encrypted can never be decrypted again.
        acknowledge: Option<bool>,
    }
}

/// A project's data keys after they were destroyed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ShreddedDataKeys {
    data_keys: Vec<DataKeyAnswer>,
    #[serde(flatten)]
    force: ForcePart,
}

tells_force!(ShreddedDataKeys, ChangedDestination);

/// Shred a project's data keys
///
/// All of them, for ever: what they encrypted can never be decrypted again. When this returns no node has any of them, and
/// the project's requests that were under way have ended. A project that goes on encrypting gets a new data key.
#[utoipa::path(post, path = "/v1/projects/{project}/data-keys/shred", tag = "encryption", request_body = ShredDataKeys,
    params(("project" = String, Path, description = "The project")),
    responses((status = 200, description = "The data keys as they are now", body = ShreddedDataKeys)))]
pub(super) async fn shred_data_keys(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(project): Id<ProjectId>,
    Body(wish): Body<ShredDataKeys>,
) -> Result<Changed<ShreddedDataKeys>, Problem> {
    let acknowledge = wish.acknowledge.unwrap_or(false);
    let (keys, force) = control.shred_data_keys(&asked, project, acknowledge).await?;
    let data_keys = keys.into_iter().map(DataKeyAnswer::from).collect();
    Ok(Changed(ShreddedDataKeys { data_keys, force: force.into() }))
}

/// Where a project's encrypted requests go.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Destination {
    /// The address; null where they go nowhere and are only answered.
    #[schema(required = true)]
    url: Option<String>,
}

/// The same after it was changed, and how that took force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangedDestination {
    /// The address; null where they go nowhere and are only answered.
    #[schema(required = true)]
    url: Option<String>,
    #[serde(flatten)]
    force: ForcePart,
}

/// Read a project's destination
#[utoipa::path(get, path = "/v1/projects/{project}/destination", tag = "encryption",
    params(("project" = String, Path, description = "The project")),
    responses((status = 200, description = "Where its encrypted requests go", body = Destination)))]
pub(super) async fn read_destination(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(project): Id<ProjectId>,
) -> Result<Json<Destination>, Problem> {
    Ok(Json(Destination { url: control.destination(&asked, project).await? }))
}

body! {
    /// Where a project's encrypted requests are to go.
    SetDestination {
        /// The address: http or https, without query, name and password. It must not lead into a network that is not
        /// public unless the operator allows it.
        url: String,
    }
}

/// Set a project's destination
///
/// Its encrypted requests go there, on every node when this returns.
#[utoipa::path(put, path = "/v1/projects/{project}/destination", tag = "encryption", request_body = SetDestination,
    params(("project" = String, Path, description = "The project")),
    responses((status = 200, description = "The destination as it is now", body = ChangedDestination)))]
pub(super) async fn set_destination(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(project): Id<ProjectId>,
    Body(wish): Body<SetDestination>,
) -> Result<Changed<ChangedDestination>, Problem> {
    let (url, force) = control.set_destination(&asked, project, Some(&wish.url)).await?;
    Ok(Changed(ChangedDestination { url, force: force.into() }))
}

/// Clear a project's destination
///
/// Its encrypted requests go nowhere, on every node when this returns: they are answered with what was made of them.
#[utoipa::path(delete, path = "/v1/projects/{project}/destination", tag = "encryption",
    params(("project" = String, Path, description = "The project")),
    responses((status = 200, description = "The destination as it is now", body = ChangedDestination)))]
pub(super) async fn clear_destination(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(project): Id<ProjectId>,
) -> Result<Changed<ChangedDestination>, Problem> {
    let (url, force) = control.set_destination(&asked, project, None).await?;
    Ok(Changed(ChangedDestination { url, force: force.into() }))
}
