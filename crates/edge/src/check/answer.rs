//! What the verify API answers. An answer to a grant tells of the key only what stays the same for every
//! question about it, so it can be kept; times and ids are as everywhere (RFC 3339, `core::id`).

use bytes::Bytes;
use keyward_core::clock::Timestamp;
use keyward_core::decision::Grant;
use keyward_core::denial::Denial;
use keyward_core::id::{ApiName, KeyId, OrganizationId, ProjectId};
use keyward_core::key::Metadata;
use keyward_core::scope::Scopes;
use serde::Serialize;

#[derive(Serialize)]
struct Granted<'a> {
    valid: bool,
    code: &'static str,
    key_id: KeyId,
    name: Option<&'a str>,
    project: ProjectId,
    organization: OrganizationId,
    api: &'a ApiName,
    plan: &'a str,
    scopes: &'a Scopes,
    metadata: &'a Metadata,
    expires_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct Denied {
    valid: bool,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<KeyId>,
}

/// The answer to a grant.
pub(super) fn granted(grant: &Grant) -> Bytes {
    let (key, project) = (grant.key(), grant.project());
    let nothing = Metadata::default();
    let about = key.about.as_deref();
    write(&Granted {
        valid: true,
        code: "valid",
        key_id: key.id,
        name: about.and_then(|about| about.name.as_deref()),
        project: project.id,
        organization: project.organization,
        api: &project.api,
        plan: &project.plan,
        scopes: &key.scopes,
        metadata: about.map_or(&nothing, |about| &about.metadata),
        expires_at: key.expires_at,
    })
}

/// The answer to a denial.
pub(super) fn denied(denial: Denial, key: Option<KeyId>) -> Bytes {
    write(&Denied { valid: false, code: denial.code(), key_id: key })
}

fn write(answer: &impl Serialize) -> Bytes {
    // Nothing in these cannot be written as JSON; were there something, a caller reads no grant in it.
    serde_json::to_vec(answer)
        .map_or_else(|_| Bytes::from_static(br#"{"valid":false,"code":"unavailable"}"#), Bytes::from)
}
