//! A key as answers show it.

use keyward_core::clock::Timestamp;
use keyward_core::key::{KeyState, Metadata, Standing};
use serde::Serialize;
use utoipa::ToSchema;

use crate::use_cases::keys::SeenKey;

/// A key: everything but its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub(super) struct KeyAnswer {
    /// Its id: public, opens nothing.
    id: String,
    /// Its project.
    project: String,
    /// The first key of its line of rotations; itself where it was not rotated in.
    lineage: String,
    /// What its owner calls it.
    name: Option<String>,
    /// The part of the secret that may be shown.
    hint: String,
    /// How it stands: active, retiring, disabled, expired or revoked.
    #[schema(value_type = String)]
    state: &'static str,
    /// What it may do.
    scopes: Vec<String>,
    /// Networks it may be used from; anywhere where empty.
    addresses: Vec<String>,
    /// What its owner attached.
    #[schema(value_type = Object)]
    metadata: Metadata,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// From when on it is refused.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// The end of its overlap, where it was rotated with one.
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<Timestamp>,
    /// Since when it is revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// Why, where that was said.
    revoked_reason: Option<String>,
    /// The key that took its place.
    replaced_by: Option<String>,
    /// The last request that was granted, at most seconds late.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// How many requests were granted.
    uses: u64,
    /// How many were refused.
    refusals: u64,
}

impl From<SeenKey> for KeyAnswer {
    fn from(seen: SeenKey) -> Self {
        let (standing, usage) = (seen.standing(), seen.usage);
        let key = seen.key;
        let mut answer = KeyAnswer {
            id: key.id.to_string(),
            project: key.project.to_string(),
            lineage: key.lineage.to_string(),
            name: key.name,
            hint: key.hint,
            state: standing.as_str(),
            scopes: key.scopes.iter().map(str::to_owned).collect(),
            addresses: key.addresses.iter().map(ToString::to_string).collect(),
            metadata: key.metadata,
            created_at: key.created_at,
            expires_at: key.expires_at,
            ends_at: None,
            revoked_at: None,
            revoked_reason: None,
            replaced_by: None,
            last_used_at: usage.last_used_at,
            uses: usage.granted,
            refusals: usage.refused,
        };
        match key.state {
            KeyState::Active | KeyState::Disabled { .. } => {}
            KeyState::Retiring { ends_at, replaced_by } => {
                answer.ends_at = Some(ends_at);
                answer.replaced_by = Some(replaced_by.to_string());
                if standing == Standing::Revoked {
                    (answer.revoked_at, answer.revoked_reason) = (Some(ends_at), Some("rotated".into()));
                }
            }
            KeyState::Revoked { at, reason, replaced_by } => {
                (answer.revoked_at, answer.revoked_reason) = (Some(at), reason);
                answer.replaced_by = replaced_by.map(|id| id.to_string());
            }
        }
        answer
    }
}
