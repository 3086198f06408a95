//! A project's data keys, as far as they are no secret: which there are, and what may be done with each. One of them
//! encrypts; older ones only open; shredded ones are gone for ever, in the store and in every copy made of it since.

use serde::{Deserialize, Serialize};

use crate::change::{DataKeyChange, Revision};
use crate::clock::Timestamp;
use crate::data_key::DataKeyId;
use crate::id::ProjectId;

/// How many data keys a project can ever have.
pub const DATA_KEYS_MAX: usize = 1000;

/// The data keys of one project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataKeyring {
    /// Whose they are.
    pub project: ProjectId,
    /// The keys, oldest first.
    pub keys: Vec<DataKeyFacts>,
    /// The revision of the first key.
    pub created_revision: Revision,
    /// The revision of the last change to them.
    pub revision: Revision,
}

/// What is known of a data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataKeyFacts {
    /// Its id: every ciphertext names it.
    pub id: DataKeyId,
    /// When it was made.
    pub created_at: Timestamp,
    /// What may be done with it.
    #[serde(flatten)]
    pub state: DataKeyState,
}

/// What may be done with a data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DataKeyState {
    /// It encrypts, and opens what it encrypted.
    Current,
    /// A newer one encrypts; it opens what it encrypted.
    OpensOnly {
        /// Since when.
        since: Timestamp,
    },
    /// It is destroyed: what it encrypted cannot be opened any more.
    Shredded {
        /// Since when.
        at: Timestamp,
    },
}

impl DataKeyState {
    /// The word used in answers.
    pub const fn as_str(&self) -> &'static str {
        match self {
            DataKeyState::Current => "current",
            DataKeyState::OpensOnly { .. } => "opens_only",
            DataKeyState::Shredded { .. } => "shredded",
        }
    }

    /// Whether it is destroyed.
    pub const fn is_shredded(&self) -> bool {
        matches!(self, DataKeyState::Shredded { .. })
    }
}

impl DataKeyring {
    /// A project's, before its first key.
    pub fn empty(project: ProjectId) -> Self {
        DataKeyring { project, keys: Vec::new(), created_revision: Revision::ZERO, revision: Revision::ZERO }
    }

    /// The key that encrypts; none before the first, or after all were shredded.
    pub fn current(&self) -> Option<&DataKeyFacts> {
        self.keys.iter().find(|key| key.state == DataKeyState::Current)
    }

    /// What is known of one of them.
    pub fn key(&self, id: DataKeyId) -> Option<&DataKeyFacts> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Those that are not destroyed.
    pub fn living(&self) -> impl Iterator<Item = &DataKeyFacts> {
        self.keys.iter().filter(|key| !key.state.is_shredded())
    }

    /// Moves the keys on by one change; a change seen already does nothing.
    pub fn apply(&mut self, change: &DataKeyChange, at: Timestamp, revision: Revision) {
        if revision <= self.revision {
            return;
        }
        if self.created_revision == Revision::ZERO {
            self.created_revision = revision;
        }
        self.revision = revision;
        match change {
            DataKeyChange::Created { id, .. } | DataKeyChange::Rotated { id, .. } => {
                for key in self.keys.iter_mut().filter(|key| key.state == DataKeyState::Current) {
                    key.state = DataKeyState::OpensOnly { since: at };
                }
                self.keys.push(DataKeyFacts { id: *id, created_at: at, state: DataKeyState::Current });
            }
            DataKeyChange::Shredded { keys } => {
                for key in self.keys.iter_mut().filter(|key| keys.contains(&key.id) && !key.state.is_shredded()) {
                    key.state = DataKeyState::Shredded { at };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> DataKeyId {
        DataKeyId::from_u128(number)
    }

    #[test]
    fn one_key_encrypts_and_shredding_leaves_none() {
        let mut ring = DataKeyring::empty(ProjectId::from_u128(1));
        let at = Timestamp::from_millis;
        ring.apply(&DataKeyChange::Created { id: id(1), wrapped: None }, at(1), Revision(5));
        ring.apply(&DataKeyChange::Rotated { id: id(2), wrapped: None }, at(2), Revision(6));
        // A change seen already does nothing.
        ring.apply(&DataKeyChange::Rotated { id: id(2), wrapped: None }, at(2), Revision(6));
        assert_eq!((ring.created_revision, ring.revision, ring.keys.len()), (Revision(5), Revision(6), 2));
        assert_eq!(ring.current().map(|key| key.id), Some(id(2)));
        assert_eq!(ring.key(id(1)).unwrap().state, DataKeyState::OpensOnly { since: at(2) });
        ring.apply(&DataKeyChange::Shredded { keys: vec![id(1), id(2)] }, at(3), Revision(7));
        assert!(ring.current().is_none() && ring.living().next().is_none());
        ring.apply(&DataKeyChange::Created { id: id(3), wrapped: None }, at(4), Revision(8));
        assert_eq!(ring.current().map(|key| key.id), Some(id(3)));
        assert_eq!(ring.key(id(1)).unwrap().state, DataKeyState::Shredded { at: at(3) });
    }
}
