//! Key-encryption keys over HTTP: never their bytes, only what the store needs of them.

use axum::Json;
use axum::extract::State;
use keyward_core::key_encryption::KekVersion;
use serde::Serialize;
use utoipa::ToSchema;

use super::body::Body;
use super::caller::{Asking, Id};
use super::doors::Rest;
use super::fields::Nothing;
use super::problem::Problem;
use crate::use_cases::{Rewrapped, SeenEncryptionKey};

/// A version of the key-encryption key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EncryptionKey)]
pub(super) struct EncryptionKeyAnswer {
    /// The version.
    version: u32,
    /// Whether it wraps now.
    is_current: bool,
    /// How many data keys are wrapped under it.
    data_keys: u64,
}

impl From<SeenEncryptionKey> for EncryptionKeyAnswer {
    fn from(key: SeenEncryptionKey) -> Self {
        EncryptionKeyAnswer { version: key.version.0, is_current: key.is_current, data_keys: key.data_keys }
    }
}

/// The versions that data keys are wrapped under, and the current one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EncryptionKeyList {
    items: Vec<EncryptionKeyAnswer>,
    /// Always null: the list is whole.
    next_cursor: Option<String>,
}

/// List the key-encryption keys
///
/// As the node that answers knows them. For the operator alone.
#[utoipa::path(get, path = "/v1/encryption-keys", tag = "operation",
    responses((status = 200, description = "The versions, ascending", body = EncryptionKeyList)))]
pub(super) async fn list_encryption_keys(
    State(control): State<Rest>,
    Asking(asked): Asking,
) -> Result<Json<EncryptionKeyList>, Problem> {
    let items = control.encryption_keys(&asked).await?.into_iter().map(EncryptionKeyAnswer::from).collect();
    Ok(Json(EncryptionKeyList { items, next_cursor: None }))
}

/// How far wrapping anew has come.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RewrapProgress {
    /// The version that wraps now.
    current: u32,
    /// How many data keys this call wrapped anew.
    rewrapped: u64,
    /// How many are still wrapped under another version: ask again until none is.
    left: u64,
    /// Why some of those cannot be unwrapped; null where all can.
    #[schema(required = true)]
    failure: Option<String>,
}

impl From<Rewrapped> for RewrapProgress {
    fn from(done: Rewrapped) -> Self {
        let Rewrapped { current, rewrapped, left, failure } = done;
        RewrapProgress { current: current.0, rewrapped, left, failure }
    }
}

/// Wrap data keys anew
///
/// Some of those that are not wrapped under the current version, while everything goes on; to be asked again until none is
/// left. For the operator alone.
#[utoipa::path(post, path = "/v1/encryption-keys/rewrap", tag = "operation", request_body = Nothing,
    responses((status = 200, description = "How far it has come", body = RewrapProgress)))]
pub(super) async fn rewrap_data_keys(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<RewrapProgress>, Problem> {
    Ok(Json(control.rewrap_data_keys(&asked).await?.into()))
}

/// A version that was retired.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RetiredEncryptionKey {
    /// The version.
    version: u32,
    /// Always true.
    retired: bool,
}

/// Retire a key-encryption key
///
/// Nothing is wrapped under this version any more: its bytes can be destroyed. Refused while data keys need it. For the
/// operator alone.
#[utoipa::path(post, path = "/v1/encryption-keys/{version}/retire", tag = "operation", request_body = Nothing,
    params(("version" = u32, Path, description = "The version")),
    responses((status = 200, description = "It is retired", body = RetiredEncryptionKey)))]
pub(super) async fn retire_encryption_key(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(version): Id<KekVersion>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<RetiredEncryptionKey>, Problem> {
    control.retire_encryption_key(&asked, version).await?;
    Ok(Json(RetiredEncryptionKey { version: version.0, retired: true }))
}
