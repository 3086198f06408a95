//! A proposal: changes that are to be made together, who asks for them and what must still be so.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Change, Revision};
use crate::clock::Timestamp;
use crate::id::{ApiName, InvitationId, KeyId, ManagementKeyId, OrganizationId, PersonId, ProjectId};

/// Who made a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// The holder of a management key.
    ManagementKey {
        /// Which.
        id: ManagementKeyId,
        /// What it was called.
        name: String,
    },
    /// Somebody on the dashboard.
    Person {
        /// Who.
        id: PersonId,
        /// What they were called.
        name: String,
    },
    /// A node, for a request that needed it: the first use of encryption makes a data key.
    Node {
        /// What it is called.
        name: String,
    },
    /// Somebody at the machine itself: `init`, `dev`, `restore`.
    Operator {
        /// The command that was run.
        command: String,
    },
}

/// From where a change was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The caller's address.
    pub address: Option<IpAddr>,
    /// The request that carried it.
    pub request_id: Option<String>,
}

/// What must still be so when a proposal is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// No API of this name exists.
    NoApi(ApiName),
    /// The API's contract has not changed since.
    Api(ApiName, Revision),
    /// The organization has not changed since.
    Organization(OrganizationId, Revision),
    /// The project has not changed since.
    Project(ProjectId, Revision),
    /// The key has not changed since.
    Key(KeyId, Revision),
    /// The project's data keys have not changed since; it has never had one where the revision is zero.
    DataKeys(ProjectId, Revision),
    /// The management key has not changed since.
    ManagementKey(ManagementKeyId, Revision),
    /// The person has not changed since.
    Person(PersonId, Revision),
    /// Nobody has this mail address.
    NoPerson(String),
    /// Nobody is an operator: Keyward is not set up.
    NoOperator,
    /// Somebody else who may sign in is an operator.
    OperatorBeside(PersonId),
    /// Somebody else who may sign in is an owner of the organization.
    OwnerBeside(OrganizationId, PersonId),
    /// The invitation has not changed since.
    Invitation(InvitationId, Revision),
    /// The project has fewer live keys than this, at the time of the proposal.
    LiveKeysBelow {
        /// Whose keys are counted.
        project: ProjectId,
        /// The limit.
        limit: u32,
    },
}

/// The record that lets a repeated request be answered without doing its work again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Whose `Idempotency-Key` it is: keys of different callers never meet.
    pub caller: String,
    /// The `Idempotency-Key`.
    pub key: String,
    /// What the request asked for, hashed: the same key with another request is refused.
    pub fingerprint: [u8; 32],
    /// What a replay is answered with: the answer's metadata, never a secret.
    pub answer: String,
}

/// Changes that are made together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Who asks.
    pub actor: Actor,
    /// From where.
    pub origin: Origin,
    /// When.
    pub at: Timestamp,
    /// What must still be so.
    pub expect: Vec<Expect>,
    /// What is to happen, in order; each takes a revision of its own.
    pub changes: Vec<Change>,
    /// How a repetition is recognised.
    pub idempotency: Option<Idempotency>,
}
