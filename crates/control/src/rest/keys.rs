//! Keys over HTTP: reading requests, asking the use cases, shaping answers. What a key may be and do is
//! decided elsewhere.

use axum::Json;
use axum::extract::State;
use keyward_core::clock::Timestamp;
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::key::{Metadata, Standing};
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Changed, ForcePart, Made, SecretPart, Tells, tells_force};
use super::body::{Body, Making};
use super::caller::{Asking, Id};
use super::doors::Rest;
use super::fields::{Import, Nothing, Seconds, body};
use super::key_answer::KeyAnswer;
use super::problem::Problem;
use super::query::{self, List, limit, query};
use crate::use_cases::keys::{KeyEdit, KeyMade, KeyQuestion, NewKey, Rotated, SeenKey};
use crate::use_cases::{Edit, Force};

body! {
    /// A key to be made.
    CreateKey {
        /// What to call it.
        name: Option<String>,
        /// When it shall end.
        #[schema(value_type = Option<String>, format = DateTime)]
        expires_at: Option<Timestamp>,
        /// What it shall be allowed; the contract's default where none.
        scopes: Option<Vec<String>>,
        /// The networks it may be used from, such as 192.0.2.0/24; anywhere where none.
        addresses: Option<Vec<String>>,
        /// A JSON object of at most 4 KiB, told again on verification.
        #[schema(value_type = Option<Object>)]
        metadata: Option<Metadata>,
        /// Whether the contract's statements are acknowledged.
        acknowledge: Option<bool>,
        /// A key issued elsewhere, as {"sha256": "<64 hexadecimal digits>"} of the whole key.
        #[schema(value_type = Option<Object>)]
        import: Option<Import>,
    }
}

/// A key with its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyWithSecret {
    #[schema(inline = false)]
    key: KeyAnswer,
    #[serde(flatten)]
    secret: SecretPart,
}

/// Make a key
///
/// The secret is in this one answer and nowhere else. 409 `active_key_limit` where the project has as many
/// live keys as it may; 428 `acknowledgement_required` where the contract has statements to acknowledge.
#[utoipa::path(post, path = "/v1/projects/{project}/keys", tag = "keys", request_body = CreateKey,
    params(("project" = String, Path, description = "The project")),
    responses((status = 201, description = "The key and its secret", body = KeyWithSecret)))]
pub(super) async fn create_key(
    State(control): State<Rest>,
    Id(project): Id<ProjectId>,
    Making { asked, wish }: Making<CreateKey>,
) -> Result<Made<KeyWithSecret>, Problem> {
    let wish = NewKey {
        name: wish.name,
        expires_at: wish.expires_at,
        scopes: wish.scopes,
        addresses: wish.addresses,
        metadata: wish.metadata,
        acknowledge: wish.acknowledge.unwrap_or(false),
        import: wish.import.map(|import| import.0),
    };
    let KeyMade { key, secret, is_repeated } = control.create_key(&asked, project, &wish).await?;
    Ok(Made { answer: KeyWithSecret { key: key.into(), secret: secret.into() }, is_repeated })
}

query! {
    /// Which keys to list.
    ListKeys {
        /// Only those that stand like this: active, retiring, disabled, expired or revoked.
        #[param(value_type = Option<String>)]
        state: Standing,
        /// Only those of this name.
        name: String,
        /// At most so many, 1 to 200.
        #[param(minimum = 1, maximum = 200)]
        limit: u32,
        /// `next_cursor` of the page before.
        cursor: String,
    }
}

/// A part of a list of keys, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyList {
    items: Vec<KeyAnswer>,
    /// Where the next page begins; null at the end.
    next_cursor: Option<String>,
}

/// List a project's keys
#[utoipa::path(get, path = "/v1/projects/{project}/keys", tag = "keys",
    params(("project" = String, Path, description = "The project"), ListKeys),
    responses((status = 200, description = "The keys, newest first", body = KeyList)))]
pub(super) async fn list_keys(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(project): Id<ProjectId>,
    query::Asking(query): query::Asking<ListKeys>,
) -> Result<Json<KeyList>, Problem> {
    let list = List::new(&control, &asked, &format!("keys {project} {:?} {:?}", query.state, query.name));
    let question = KeyQuestion {
        standing: query.state,
        name: query.name.clone(),
        before: list.before(query.cursor.as_deref())?,
        limit: limit(query.limit),
    };
    let found = control.keys(&asked, project, &question).await?;
    let items = found.items.into_iter().map(KeyAnswer::from).collect();
    Ok(Json(KeyList { items, next_cursor: list.next(found.next) }))
}

/// One key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OneKey {
    key: KeyAnswer,
}

/// Read a key
#[utoipa::path(get, path = "/v1/keys/{key}", tag = "keys",
    params(("key" = String, Path, description = "The key")),
    responses((status = 200, description = "The key", body = OneKey)))]
pub(super) async fn read_key(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(key): Id<KeyId>,
) -> Result<Json<OneKey>, Problem> {
    let key = control.key(&asked, key).await?.into();
    Ok(Json(OneKey { key }))
}

body! {
    /// What is to be different about a key. What is left out stays.
    EditKey {
        /// Another name; null for none.
        #[schema(value_type = Option<String>)]
        name: Edit<String>,
        /// An earlier end.
        #[schema(value_type = Option<String>, format = DateTime)]
        expires_at: Edit<Timestamp>,
        /// Other scopes.
        #[schema(value_type = Option<Vec<String>>)]
        scopes: Edit<Vec<String>>,
        /// Other networks; null for anywhere.
        #[schema(value_type = Option<Vec<String>>)]
        addresses: Edit<Vec<String>>,
        /// Other metadata; null for none.
        #[schema(value_type = Option<Object>)]
        metadata: Edit<Metadata>,
    }
}

/// A key that was changed, and how that took force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangedKey {
    key: KeyAnswer,
    #[serde(flatten)]
    force: ForcePart,
}

tells_force!(ChangedKey, RotatedKey, RegeneratedKey);

impl Tells for KeyWithSecret {}

impl From<(SeenKey, Force)> for ChangedKey {
    fn from((key, force): (SeenKey, Force)) -> Self {
        ChangedKey { key: key.into(), force: force.into() }
    }
}

/// Change a key
///
/// An end can only be made sooner. When this returns, no node decides by the old scopes, networks or end.
#[utoipa::path(patch, path = "/v1/keys/{key}", tag = "keys", request_body = EditKey,
    params(("key" = String, Path, description = "The key")),
    responses((status = 200, description = "The key as it is now", body = ChangedKey)))]
pub(super) async fn edit_key(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(key): Id<KeyId>,
    Body(edit): Body<EditKey>,
) -> Result<Changed<ChangedKey>, Problem> {
    let EditKey { name, expires_at, scopes, addresses, metadata } = edit;
    let edit = KeyEdit { name, expires_at, scopes, addresses, metadata };
    Ok(Changed(control.edit_key(&asked, key, &edit).await?.into()))
}

body! {
    /// How to rotate a key.
    RotateKey {
        /// How long the old key goes on, in seconds, as far as the contract allows; the contract's default
        /// where none.
        #[schema(value_type = Option<u64>)]
        overlap_seconds: Option<Seconds>,
    }
}

/// The new key with its secret, and the one it replaces.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RotatedKey {
    key: KeyAnswer,
    #[serde(flatten)]
    secret: SecretPart,
    replaced: Option<KeyAnswer>,
    #[serde(flatten)]
    force: ForcePart,
}

/// Rotate a key
///
/// A new key takes its place, with the same name, scopes, networks, metadata and end. Of rotations at the
/// same time one wins; the others get 409 `key_not_active`.
#[utoipa::path(post, path = "/v1/keys/{key}/rotate", tag = "keys", request_body = RotateKey,
    params(("key" = String, Path, description = "The key")),
    responses((status = 201, description = "The new key and its secret", body = RotatedKey)))]
pub(super) async fn rotate_key(
    State(control): State<Rest>,
    Id(key): Id<KeyId>,
    Making { asked, wish }: Making<RotateKey>,
) -> Result<Made<RotatedKey>, Problem> {
    let overlap = wish.overlap_seconds.map(|seconds| seconds.0);
    let Rotated { key, secret, replaced, in_force, is_repeated } = control.rotate_key(&asked, key, overlap).await?;
    let replaced = replaced.map(KeyAnswer::from);
    let answer = RotatedKey { key: key.into(), secret: secret.into(), replaced, force: in_force.into() };
    Ok(Made { answer, is_repeated })
}

body! {
    /// How to regenerate a project's one key.
    RegenerateKey {
        /// Whether the contract's statements are acknowledged.
        acknowledge: Option<bool>,
        /// How long the old key goes on, in seconds, as far as the contract allows.
        #[schema(value_type = Option<u64>)]
        overlap_seconds: Option<Seconds>,
    }
}

/// The new key with its secret, and the ids of those it replaces.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RegeneratedKey {
    key: KeyAnswer,
    #[serde(flatten)]
    secret: SecretPart,
    replaced: Vec<String>,
    #[serde(flatten)]
    force: ForcePart,
}

/// Regenerate a project's one key
///
/// Rotates the one active key, or makes one where none is active; 409 `conflict` where there are several.
#[utoipa::path(post, path = "/v1/projects/{project}/keys/regenerate", tag = "keys", request_body = RegenerateKey,
    params(("project" = String, Path, description = "The project")),
    responses((status = 201, description = "The new key and its secret", body = RegeneratedKey)))]
pub(super) async fn regenerate_key(
    State(control): State<Rest>,
    Id(project): Id<ProjectId>,
    Making { asked, wish }: Making<RegenerateKey>,
) -> Result<Made<RegeneratedKey>, Problem> {
    let overlap = wish.overlap_seconds.map(|seconds| seconds.0);
    let acknowledge = wish.acknowledge.unwrap_or(false);
    let Rotated { key, secret, replaced, in_force, is_repeated } =
        control.regenerate_key(&asked, project, overlap, acknowledge).await?;
    let replaced = replaced.map(|old| old.key.id.to_string()).into_iter().collect();
    let answer = RegeneratedKey { key: key.into(), secret: secret.into(), replaced, force: in_force.into() };
    Ok(Made { answer, is_repeated })
}

body! {
    /// Why a key ends.
    RevokeKey {
        /// A sentence for the log.
        reason: Option<String>,
        /// Whether the contract's statements are acknowledged.
        acknowledge: Option<bool>,
    }
}

/// Revoke a key
///
/// For ever. When this returns, the key opens nothing on any node. Revoking it again answers the same, after
/// the same guarantee.
#[utoipa::path(post, path = "/v1/keys/{key}/revoke", tag = "keys", request_body = RevokeKey,
    params(("key" = String, Path, description = "The key")),
    responses((status = 200, description = "The key as it is now", body = ChangedKey)))]
pub(super) async fn revoke_key(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(key): Id<KeyId>,
    Body(wish): Body<RevokeKey>,
) -> Result<Changed<ChangedKey>, Problem> {
    let acknowledge = wish.acknowledge.unwrap_or(false);
    Ok(Changed(control.revoke_key(&asked, key, wish.reason.as_deref(), acknowledge).await?.into()))
}

/// Switch a key off
#[utoipa::path(post, path = "/v1/keys/{key}/disable", tag = "keys", request_body = Nothing,
    params(("key" = String, Path, description = "The key")),
    responses((status = 200, description = "The key as it is now", body = ChangedKey)))]
pub(super) async fn disable_key(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(key): Id<KeyId>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Changed<ChangedKey>, Problem> {
    Ok(Changed(control.disable_key(&asked, key).await?.into()))
}

/// Switch a key on again
#[utoipa::path(post, path = "/v1/keys/{key}/enable", tag = "keys", request_body = Nothing,
    params(("key" = String, Path, description = "The key")),
    responses((status = 200, description = "The key as it is now", body = ChangedKey)))]
pub(super) async fn enable_key(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(key): Id<KeyId>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Changed<ChangedKey>, Problem> {
    Ok(Changed(control.enable_key(&asked, key).await?.into()))
}
