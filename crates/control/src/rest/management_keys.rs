//! Management keys over HTTP.

use axum::Json;
use axum::extract::State;
use keyward_core::clock::Timestamp;
use keyward_core::id::ManagementKeyId;
use keyward_core::tenancy::{Boundary, ManagementKey};
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Changed, ForcePart, Made, MaybeForcePart, SecretPart, Tells, tells_force};
use super::body::{Body, Making};
use super::caller::{Asking, Id};
use super::doors::Rest;
use super::fields::{Nothing, Within, body};
use super::problem::Problem;
use super::query::{self, List, Page, limit};
use crate::use_cases::{ManagementKeyMade, NewManagementKey};

/// A management key: everything but its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ManagementKey)]
pub(super) struct ManagementKeyAnswer {
    /// Its id.
    id: String,
    /// What it is called.
    name: String,
    /// The part of the secret that may be shown.
    hint: String,
    /// What it may do.
    scopes: Vec<String>,
    /// How far it reaches: {"organization": id} or {"project": id}; null for everything.
    #[schema(value_type = Option<Object>)]
    within: Option<WithinAnswer>,
    /// active, expired or revoked.
    #[schema(value_type = String)]
    state: &'static str,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// From when on it is refused.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Since when it is revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum WithinAnswer {
    Organization(String),
    Project(String),
}

impl ManagementKeyAnswer {
    pub fn of(key: ManagementKey, now: Timestamp) -> Self {
        let state = match (key.revoked_at, key.is_live(now)) {
            (Some(_), _) => "revoked",
            (None, true) => "active",
            (None, false) => "expired",
        };
        ManagementKeyAnswer {
            id: key.id.to_string(),
            name: key.name,
            hint: key.hint,
            scopes: key.scopes.iter().map(str::to_owned).collect(),
            within: match key.boundary {
                Boundary::Everything => None,
                Boundary::Organization(id) => Some(WithinAnswer::Organization(id.to_string())),
                Boundary::Project(id) => Some(WithinAnswer::Project(id.to_string())),
            },
            state,
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
        }
    }
}

body! {
    /// A management key to be made.
    CreateManagementKey {
        /// What to call it: 1 to 100 characters.
        name: String,
        /// What it shall be allowed, of what the caller is.
        scopes: Vec<String>,
        /// How far it shall reach: {"organization": id} or {"project": id}; as far as the caller where none.
        #[schema(value_type = Option<Object>)]
        within: Option<Within>,
        /// When it shall end; with the caller's own at the latest.
        #[schema(value_type = Option<String>, format = DateTime)]
        expires_at: Option<Timestamp>,
    }
}

/// A management key with its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ManagementKeyWithSecret {
    management_key: ManagementKeyAnswer,
    #[serde(flatten)]
    secret: SecretPart,
    /// How the end of the one before took force, where this one replaces another.
    #[serde(flatten)]
    #[schema(value_type = MaybeForcePart)]
    force: Option<ForcePart>,
}

impl Tells for ManagementKeyWithSecret {
    fn barrier(&self) -> Option<&str> {
        self.force.as_ref()?.barrier()
    }
}

/// Make a management key
///
/// With at most the caller's own scopes, reach and life. The secret is in this one answer.
#[utoipa::path(post, path = "/v1/management-keys", tag = "management keys", request_body = CreateManagementKey,
    responses((status = 201, description = "The management key and its secret", body = ManagementKeyWithSecret)))]
pub(super) async fn create_management_key(
    State(control): State<Rest>,
    Making { asked, wish }: Making<CreateManagementKey>,
) -> Result<Made<ManagementKeyWithSecret>, Problem> {
    let boundary = wish.within.map(|within| within.0);
    let wish = NewManagementKey { name: wish.name, scopes: wish.scopes, boundary, expires_at: wish.expires_at };
    let ManagementKeyMade { key, secret, is_repeated } = control.create_management_key(&asked, &wish).await?;
    let management_key = ManagementKeyAnswer::of(key, control.now());
    let answer = ManagementKeyWithSecret { management_key, secret: secret.into(), force: None };
    Ok(Made { answer, is_repeated })
}

/// A part of a list of management keys, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ManagementKeyList {
    items: Vec<ManagementKeyAnswer>,
    /// Where the next page begins; null at the end.
    next_cursor: Option<String>,
}

/// List management keys
#[utoipa::path(get, path = "/v1/management-keys", tag = "management keys", params(Page),
    responses((status = 200, description = "The management keys within reach, newest first", body = ManagementKeyList)))]
pub(super) async fn list_management_keys(
    State(control): State<Rest>,
    Asking(asked): Asking,
    query::Asking(page): query::Asking<Page>,
) -> Result<Json<ManagementKeyList>, Problem> {
    let list = List::new(&control, &asked, "management keys");
    let before = list.before(page.cursor.as_deref())?;
    let found = control.management_keys(&asked, before, limit(page.limit)).await?;
    let now = control.now();
    let items = found.items.into_iter().map(|key| ManagementKeyAnswer::of(key, now)).collect();
    Ok(Json(ManagementKeyList { items, next_cursor: list.next(found.next) }))
}

/// One management key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OneManagementKey {
    management_key: ManagementKeyAnswer,
}

/// Read a management key
#[utoipa::path(get, path = "/v1/management-keys/{management_key}", tag = "management keys",
    params(("management_key" = String, Path, description = "The management key")),
    responses((status = 200, description = "The management key", body = OneManagementKey)))]
pub(super) async fn read_management_key(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(id): Id<ManagementKeyId>,
) -> Result<Json<OneManagementKey>, Problem> {
    let key = control.management_key(&asked, id).await?;
    Ok(Json(OneManagementKey { management_key: ManagementKeyAnswer::of(key, control.now()) }))
}

/// Rotate a management key
///
/// The old one ends at once, on every node when this returns.
#[utoipa::path(post, path = "/v1/management-keys/{management_key}/rotate", tag = "management keys",
    request_body = Nothing,
    params(("management_key" = String, Path, description = "The management key")),
    responses((status = 201, description = "The new one and its secret", body = ManagementKeyWithSecret)))]
pub(super) async fn rotate_management_key(
    State(control): State<Rest>,
    Id(id): Id<ManagementKeyId>,
    Making { asked, wish: Nothing {} }: Making<Nothing>,
) -> Result<Made<ManagementKeyWithSecret>, Problem> {
    let (ManagementKeyMade { key, secret, is_repeated }, force) = control.rotate_management_key(&asked, id).await?;
    let management_key = ManagementKeyAnswer::of(key, control.now());
    let force = Some(force.into());
    Ok(Made { answer: ManagementKeyWithSecret { management_key, secret: secret.into(), force }, is_repeated })
}

/// A management key that was revoked, and how that took force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RevokedManagementKey {
    management_key: ManagementKeyAnswer,
    #[serde(flatten)]
    force: ForcePart,
}

tells_force!(RevokedManagementKey);

/// Revoke a management key
#[utoipa::path(post, path = "/v1/management-keys/{management_key}/revoke", tag = "management keys",
    request_body = Nothing,
    params(("management_key" = String, Path, description = "The management key")),
    responses((status = 200, description = "The management key as it is now", body = RevokedManagementKey)))]
pub(super) async fn revoke_management_key(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(id): Id<ManagementKeyId>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Changed<RevokedManagementKey>, Problem> {
    let (key, force) = control.revoke_management_key(&asked, id).await?;
    let management_key = ManagementKeyAnswer::of(key, control.now());
    Ok(Changed(RevokedManagementKey { management_key, force: force.into() }))
}
