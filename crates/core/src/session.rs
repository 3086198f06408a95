//! Sessions of the dashboard, and links that sign in once. They are no changes: they take no revision and stand in no
//! log. Both are kept by the keyed hash of their secret, so that a stolen store opens nothing.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{PersonId, SessionId};
use crate::secret::Digest;

/// How a session began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum SignedInBy {
    /// With a password.
    Password,
    /// By an OpenID provider.
    OpenIdConnect {
        /// Its issuer identifier.
        issuer: String,
    },
    /// With a link that signs in once.
    Link,
    /// By accepting an invitation, or setting Keyward up.
    Invitation,
}

/// Somebody's session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Its id, which opens nothing.
    pub id: SessionId,
    /// Whose it is.
    pub person: PersonId,
    /// The keyed hash of the secret in the cookie.
    pub digest: Digest,
    /// How it began.
    pub signed_in_by: SignedInBy,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, told at most once a minute.
    pub seen_at: Timestamp,
    /// When it ends, however much it is used.
    pub ends_at: Timestamp,
    /// From where it began.
    pub address: Option<IpAddr>,
    /// With which browser it began, as the browser says.
    pub browser: String,
}

/// A link that signs a person in, once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignInLink {
    /// The keyed hash of the secret in the link.
    pub digest: Digest,
    /// Whom it signs in.
    pub person: PersonId,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it signs nobody in.
    pub expires_at: Timestamp,
}
