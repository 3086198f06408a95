//! What the verify API answers. What an answer to a grant tells of the key stays the same for every question about
//! it, so it can be kept; only how its limits stand is put in anew. Times and ids are as everywhere (RFC 3339,
//! `core::id`).

use bytes::Bytes;
use keyward_core::clock::Timestamp;
use keyward_core::decision::Grant;
use keyward_core::denial::Denial;
use keyward_core::id::{ApiName, KeyId, OrganizationId, ProjectId};
use keyward_core::key::Metadata;
use keyward_core::scope::Scopes;
use keyward_verify::Decision;
use keyward_verify::limits::Charge;
use serde::Serialize;

use super::limits;
use crate::asking::limits::wait_seconds;

/// How an answer to a grant ends where no limit holds.
const NO_LIMITS: &[u8] = b"[]}";

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
    /// Stands last: see [`with_limits`].
    limits: [(); 0],
}

#[derive(Serialize)]
struct Denied<'a> {
    valid: bool,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    /// Stands last: see [`with_limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<[(); 0]>,
}

/// The answer to a grant, as if no limit held.
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
        limits: [],
    })
}

/// An answer with the limits of a charge put in.
pub(super) fn with_limits(answer: &Bytes, charge: &Charge) -> Bytes {
    let (Some(before), false) = (answer.strip_suffix(NO_LIMITS), charge.is_empty()) else {
        return answer.clone();
    };
    let mut line = Vec::with_capacity(before.len() + limits::BYTES_OF_ONE * charge.states().count());
    line.extend_from_slice(before);
    line.push(b'[');
    limits::write(&mut line, charge);
    line.extend_from_slice(b"]}");
    Bytes::from(line)
}

/// The answer to a denial.
pub(super) fn denied(denial: Denial, decision: &Decision) -> Bytes {
    let charge = &decision.charge;
    let limit = charge.denied_by();
    let answer = write(&Denied {
        valid: false,
        code: denial.code(),
        key_id: decision.key,
        limit,
        retry_after: charge.retry_after().map(wait_seconds),
        limits: limit.map(|_| []),
    });
    match limit {
        Some(_) => with_limits(&answer, charge),
        None => answer,
    }
}

fn write(answer: &impl Serialize) -> Bytes {
    // Nothing in these cannot be written as JSON; were there something, a caller reads no grant in it.
    serde_json::to_vec(answer)
        .map_or_else(|_| Bytes::from_static(br#"{"valid":false,"code":"unavailable"}"#), Bytes::from)
}
