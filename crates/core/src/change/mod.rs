//! Changes: the only way to write decision or administrative state.
//!
//! A use case proposes changes with what it expects to be still so; the store checks the expectations,
//! alters the state, takes the next revision and appends to the log, all in one transaction.

mod facts;
mod proposal;
mod subjects;
mod what;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{ApiName, InvitationId, KeyId, ManagementKeyId, OrganizationId, PersonId, ProjectId};
use crate::tenancy::Api;

pub use proposal::{Actor, Expect, Idempotency, Origin, Proposal};
pub use subjects::Subject;
pub use what::{
    DataKeyChange, InvitationChange, KeyChange, KeysChange, ManagementKeyChange, OrganizationChange, PersonChange,
    ProjectChange, StoreChange,
};

/// The place of a change in the log: 1, 2, 3 … without gaps, in commit order. 0 is before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub i64);

impl Revision {
    /// Before the first change.
    pub const ZERO: Revision = Revision(0);

    /// The revision after this one.
    pub const fn next(self) -> Self {
        Revision(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which key a change is about, with the walls around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRef {
    /// The key.
    pub id: KeyId,
    /// Its project.
    pub project: ProjectId,
    /// The project's organization.
    pub organization: OrganizationId,
    /// The project's API.
    pub api: ApiName,
}

/// Which project a change is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRef {
    /// The project.
    pub id: ProjectId,
    /// Its organization.
    pub organization: OrganizationId,
    /// Its API.
    pub api: ApiName,
}

/// Which keys of one project a change is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysOf {
    /// The project.
    pub project: ProjectRef,
    /// Its keys.
    pub keys: Vec<KeyId>,
}

/// One thing that happens to the state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "snake_case")]
pub enum Change {
    /// A contract was put in force.
    Api {
        /// The API's new record; the store fills in the revisions.
        api: Box<Api>,
    },
    /// Something happened to an organization.
    Organization {
        /// Which.
        id: OrganizationId,
        /// What.
        what: OrganizationChange,
    },
    /// Something happened to a project.
    Project {
        /// Which.
        of: ProjectRef,
        /// What.
        what: ProjectChange,
    },
    /// Something happened to a key.
    Key {
        /// Which.
        of: KeyRef,
        /// What.
        what: KeyChange,
    },
    /// The same happened to many keys at once.
    Keys {
        /// Which, project by project; each project and each key stands there once.
        of: Vec<KeysOf>,
        /// What.
        what: KeysChange,
    },
    /// Something happened to a project's data keys.
    DataKey {
        /// Whose.
        of: ProjectRef,
        /// What.
        what: DataKeyChange,
    },
    /// Something happened to a management key.
    ManagementKey {
        /// Which.
        id: ManagementKeyId,
        /// What.
        what: ManagementKeyChange,
    },
    /// Something happened to a person.
    Person {
        /// Who.
        id: PersonId,
        /// What.
        what: PersonChange,
    },
    /// Something happened to an invitation.
    Invitation {
        /// Which.
        id: InvitationId,
        /// The organization that it invites to; none where it is to the operators.
        organization: Option<OrganizationId>,
        /// What.
        what: InvitationChange,
    },
    /// Something happened to the store as a whole.
    Store {
        /// What.
        what: StoreChange,
    },
}

/// A change as it stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its place.
    pub revision: Revision,
    /// What happened, who did it, when and from where.
    pub body: EntryBody,
    /// The chain's hash up to and including it.
    pub hash: [u8; 32],
}

/// The part of an entry that the chain's hash covers, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EntryBody {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// From where.
    pub origin: Origin,
    /// What.
    pub change: Change,
}
