//! Parts that several answers share: how a change took force, a secret on its one way out, a list's next
//! page, and the answer to a request that made something.

use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use keyward_core::secret::Secret;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::problem::Problem;
use crate::site::Site;
use crate::use_cases::{self, Disclosure};

/// How a change took force: when the answer is sent, no node can still decide as before.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InForce {
    /// By what it is known: every live node acknowledged the change.
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

/// The answer to a request that made something: 201, or 200 where it had been made before.
#[derive(Debug)]
pub(super) struct Made<T> {
    pub answer: T,
    pub is_repeated: bool,
}

impl<T: Serialize> IntoResponse for Made<T> {
    fn into_response(self) -> Response {
        let status = if self.is_repeated { StatusCode::OK } else { StatusCode::CREATED };
        match wiped_after(&self.answer) {
            Ok(body) => (status, [(CONTENT_TYPE, "application/json")], body).into_response(),
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
