//! A key and the states it passes through. One function, [`Key::apply`], moves a key on; every store calls it,
//! and caches read the key anew after a change instead of having rules of their own.

use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::change::KeyChange;
use crate::change::Revision;
use crate::clock::Timestamp;
use crate::id::{KeyId, ProjectId};
use crate::scope::Scopes;
use crate::secret::{Digest, PepperVersion};

/// A JSON object that the API's owner attaches to a key; handed back on verification, never interpreted.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// A key: everything but its secret, which is not kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// Its public name in every answer, log and header.
    pub id: KeyId,
    /// The project it belongs to, for ever.
    pub project: ProjectId,
    /// The first key of its line of rotations; itself where it was not rotated in.
    pub lineage: KeyId,
    /// What its owner calls it.
    pub name: Option<String>,
    /// The part of the secret that may be shown.
    pub hint: String,
    /// The keyed hash of the secret.
    pub digest: Digest,
    /// The pepper under which `digest` was made.
    pub pepper: PepperVersion,
    /// What it may do.
    pub scopes: Scopes,
    /// Networks it may be used from; anywhere where empty.
    pub addresses: Vec<IpNet>,
    /// What its owner attached.
    pub metadata: Metadata,
    /// When it was made (for a rotated key: the new one).
    pub created_at: Timestamp,
    /// From when on it is refused, whatever its state.
    pub expires_at: Option<Timestamp>,
    /// Where it stands.
    pub state: KeyState,
    /// The revision of its creation.
    pub created_revision: Revision,
    /// The revision of the last change to it.
    pub revision: Revision,
}

/// Where a key stands, with the facts of that state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum KeyState {
    /// It opens what its scopes allow.
    Active,
    /// Switched off; can be switched on again.
    Disabled {
        /// Since when.
        at: Timestamp,
    },
    /// Rotated with overlap: it still opens, until a stated moment.
    Retiring {
        /// Until when.
        ends_at: Timestamp,
        /// The key that takes its place.
        replaced_by: KeyId,
    },
    /// Ended for ever.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// What the revoker gave as the reason.
        reason: Option<String>,
        /// The key that took its place, where it was rotated away.
        replaced_by: Option<KeyId>,
    },
}

/// How a key stands at one moment: its state and the clock taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Opens.
    Active,
    /// Opens until its overlap ends.
    Retiring,
    /// Switched off.
    Disabled,
    /// Past its expiry.
    Expired,
    /// Ended, by revocation or rotation.
    Revoked,
}

impl Standing {
    /// All of them, in the order people meet them.
    pub const ALL: [Standing; 5] =
        [Standing::Active, Standing::Retiring, Standing::Disabled, Standing::Expired, Standing::Revoked];

    /// The word used in answers and queries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Standing::Active => "active",
            Standing::Retiring => "retiring",
            Standing::Disabled => "disabled",
            Standing::Expired => "expired",
            Standing::Revoked => "revoked",
        }
    }

    /// Whether it counts against the limit of active keys: it opens now.
    pub const fn is_live(self) -> bool {
        matches!(self, Standing::Active | Standing::Retiring)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl KeyState {
    /// How a key in this state with this expiry stands at `now`.
    pub fn standing(&self, expires_at: Option<Timestamp>, now: Timestamp) -> Standing {
        let expired = expires_at.is_some_and(|end| now >= end);
        match self {
            KeyState::Revoked { .. } => Standing::Revoked,
            KeyState::Retiring { ends_at, .. } if now >= *ends_at => Standing::Revoked,
            _ if expired => Standing::Expired,
            KeyState::Disabled { .. } => Standing::Disabled,
            KeyState::Retiring { .. } => Standing::Retiring,
            KeyState::Active => Standing::Active,
        }
    }
}

impl Key {
    /// How it stands at `now`.
    pub fn standing(&self, now: Timestamp) -> Standing {
        self.state.standing(self.expires_at, now)
    }

    /// Moves the key on by one change to it. Applying a change that the key has seen already does nothing.
    pub fn apply(&mut self, change: &KeyChange, at: Timestamp, revision: Revision) {
        if revision <= self.revision {
            return;
        }
        self.revision = revision;
        match change {
            KeyChange::Created { .. } => {}
            KeyChange::Renamed { name } => self.name = name.clone(),
            KeyChange::Rescoped { scopes } => self.scopes = scopes.clone(),
            KeyChange::AddressesSet { addresses } => self.addresses = addresses.clone(),
            KeyChange::MetadataSet { metadata } => self.metadata = metadata.clone(),
            KeyChange::ExpirySet { expires_at } => self.expires_at = Some(*expires_at),
            KeyChange::Disabled => self.state = KeyState::Disabled { at },
            KeyChange::Enabled => self.state = KeyState::Active,
            KeyChange::Rotated { new, ends_at } => self.state = rotated_away(new.id, *ends_at, at),
            KeyChange::Revoked { reason } => {
                let replaced_by = match self.state {
                    KeyState::Retiring { replaced_by, .. } => Some(replaced_by),
                    _ => None,
                };
                self.state = KeyState::Revoked { at, reason: reason.clone(), replaced_by };
            }
        }
    }
}

fn rotated_away(new: KeyId, ends_at: Timestamp, at: Timestamp) -> KeyState {
    if ends_at > at {
        KeyState::Retiring { ends_at, replaced_by: new }
    } else {
        KeyState::Revoked { at, reason: Some("rotated".into()), replaced_by: Some(new) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_that_ended_and_a_revocation_outlast_expiry() {
        let at = Timestamp::from_millis;
        let retiring = KeyState::Retiring { ends_at: at(10), replaced_by: KeyId::from_u128(2) };
        assert_eq!(retiring.standing(None, at(9)), Standing::Retiring);
        assert_eq!(retiring.standing(None, at(10)), Standing::Revoked);
        assert_eq!(retiring.standing(Some(at(5)), at(9)), Standing::Expired);
        let disabled = KeyState::Disabled { at: at(0) };
        assert_eq!(disabled.standing(Some(at(5)), at(5)), Standing::Expired);
        assert_eq!(KeyState::Active.standing(Some(at(5)), at(4)), Standing::Active);
    }
}
