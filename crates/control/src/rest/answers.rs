//! Parts that several answers share: how a change took force, a secret on its one way out, a list's next
//! page, and the answer to a request that made something.

use axum::Json;
use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use keyward_core::secret::Secret;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::prefer::RESPOND_ASYNC;
use super::problem::Problem;
use crate::site::Site;
use crate::use_cases::{self, Disclosure, Force, RevocationId};

/// How a change took force: when the answer is sent, no node can still decide as before.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InForce {
    /// By what it is known: every live node acknowledged the change, or the lease of one ran out first: it decides nothing
    /// from memory since.
    #[schema(value_type = String)]
    by: &'static str,
    /// How many nodes acknowledged it.
    nodes: u32,
    /// How long the call waited for that, in milliseconds.
    waited_ms: u64,
}

impl From<use_cases::InForce> for InForce {
    fn from(in_force: use_cases::InForce) -> Self {
        InForce { by: by_word(in_force.by), nodes: in_force.nodes, waited_ms: in_force.waited_ms }
    }
}

/// What an answer tells of how its change took force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ForcePart {
    /// How it took force. Null only where the request preferred not to wait and it had not yet.
    #[schema(required = true)]
    in_force: Option<InForce>,
    /// Where to ask whether it is in force, where this does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    barrier: Option<String>,
}

/// How the schema says of an answer that it tells this in some cases only.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(super) struct MaybeForcePart {
    /// How it took force, where something did. Null only where the request preferred not to wait and it had not yet.
    #[schema(required = false)]
    in_force: Option<InForce>,
    /// Where to ask whether it is in force, where this does not tell.
    #[schema(required = false)]
    barrier: Option<String>,
}

impl From<Force> for ForcePart {
    fn from(force: Force) -> Self {
        ForcePart { in_force: force.in_force.map(InForce::from), barrier: force.barrier.as_ref().map(barrier_path) }
    }
}

impl ForcePart {
    /// Of the change of this name.
    pub fn of(in_force: Option<use_cases::InForce>, id: &RevocationId) -> Self {
        let barrier = in_force.is_none().then(|| barrier_path(id));
        ForcePart { in_force: in_force.map(InForce::from), barrier }
    }

    /// Where to ask whether it is in force; none where it is.
    pub fn barrier(&self) -> Option<&str> {
        self.barrier.as_deref()
    }
}

/// Where to ask whether a change is in force.
fn barrier_path(id: &RevocationId) -> String {
    format!("/v1/revocations/{}", id.0)
}

/// An answer that may tell where to ask on.
pub(super) trait Tells: Serialize {
    /// Where to ask whether it is in force; none where it is, or there is nothing to ask.
    fn barrier(&self) -> Option<&str> {
        None
    }
}

/// That an answer tells how its change took force.
macro_rules! tells_force {
    ($($answer:ty),*) => {$(
        impl $crate::rest::answers::Tells for $answer {
            fn barrier(&self) -> Option<&str> {
                self.force.barrier()
            }
        }
    )*};
}
pub(super) use tells_force;

/// The answer to a request that changed something: 200, or 202 where it is not in force yet.
#[derive(Debug)]
pub(super) struct Changed<T>(pub T);

impl<T: Tells> IntoResponse for Changed<T> {
    fn into_response(self) -> Response {
        settled(self.0.barrier(), Json(&self.0).into_response())
    }
}

/// Makes an answer one that says where to ask on, where there is something to ask.
pub(super) fn settled(barrier: Option<&str>, mut response: Response) -> Response {
    // Ids are of few characters, all of which a header may hold.
    if let Some(location) = barrier.and_then(|barrier| HeaderValue::from_str(barrier).ok()) {
        *response.status_mut() = StatusCode::ACCEPTED;
        response.headers_mut().insert(LOCATION, location);
        response.headers_mut().insert("preference-applied", HeaderValue::from_static(RESPOND_ASYNC));
    }
    response
}

fn by_word(by: use_cases::By) -> &'static str {
    match by {
        use_cases::By::Acknowledged => "acknowledged",
        use_cases::By::LeaseExpired => "lease_expired",
    }
}

/// A secret on its one way out. The only place that writes one.
#[derive(Debug)]
pub(super) struct Shown(Secret);

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

/// What an answer tells of a secret: itself, once, or that it was shown before.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SecretPart {
    /// The secret, in this one answer. It is kept nowhere and cannot be shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false)]
    secret: Option<Shown>,
    /// True where this request was answered before, with the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    secret_shown: Option<bool>,
}

impl From<Disclosure> for SecretPart {
    fn from(disclosure: Disclosure) -> Self {
        match disclosure {
            Disclosure::Now(secret) => SecretPart { secret: Some(Shown(secret)), secret_shown: None },
            Disclosure::Before => SecretPart { secret: None, secret_shown: Some(true) },
            Disclosure::None => SecretPart { secret: None, secret_shown: None },
        }
    }
}

/// What an answer tells of a link that holds a secret: itself, once, or that it was shown before.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LinkPart {
    /// The link, in this one answer. It is kept nowhere and cannot be shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false)]
    link: Option<Shown>,
    /// True where this request was answered before, with the link.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    secret_shown: Option<bool>,
}

impl LinkPart {
    /// The link that ends in a secret.
    pub fn to(site: &Site, path: &str, secret: Disclosure) -> Self {
        match secret {
            Disclosure::Now(secret) => {
                let link = Secret::new(site.url(&[path, secret.expose()].concat()));
                LinkPart { link: Some(Shown(link)), secret_shown: None }
            }
            Disclosure::Before => LinkPart { link: None, secret_shown: Some(true) },
            Disclosure::None => LinkPart { link: None, secret_shown: None },
        }
    }
}

/// The answer to a request that made something: 201, or 200 where it had been made before. 202 where it took something's
/// place, and that is not in force yet.
#[derive(Debug)]
pub(super) struct Made<T> {
    pub answer: T,
    pub is_repeated: bool,
}

impl<T: Tells> IntoResponse for Made<T> {
    fn into_response(self) -> Response {
        let status = if self.is_repeated { StatusCode::OK } else { StatusCode::CREATED };
        match wiped_after(&self.answer) {
            Ok(body) => {
                let made = (status, [(CONTENT_TYPE, "application/json")], body).into_response();
                settled(self.answer.barrier(), made)
            }
            Err(error) => Problem::internal(error.to_string()).into_response(),
        }
    }
}

/// An answer's bytes in a buffer that is wiped once they are sent: they may hold a secret (trust.md K10).
fn wiped_after(answer: &impl Serialize) -> serde_json::Result<Bytes> {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, answer)?;
    // Of the right size from the start: a buffer that grew would leave a copy behind.
    let mut buffer = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *buffer, answer)?;
    Ok(Bytes::from_owner(buffer))
}

/// Counts what is written to it.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
