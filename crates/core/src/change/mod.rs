//! Changes: the only way to write decision or administrative state.
//!
//! A use case proposes changes with what it expects to be still so; the store checks the expectations,
//! alters the state, takes the next revision and appends to the log, all in one transaction.

mod facts;

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{ApiName, InvitationId, KeyId, ManagementKeyId, OrganizationId, PersonId, ProjectId};
use crate::key::{Key, Metadata};
use crate::limits::OwnLimit;
use crate::people::{Identity, Invitation, PasswordHash, Person, Role};
use crate::scope::Scopes;
use crate::tenancy::{Api, ManagementKey, Organization, Project};

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

/// What can happen to an organization.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrganizationChange {
    /// It was made.
    Created {
        /// As it was made.
        organization: Box<Organization>,
    },
    /// It got another name.
    Renamed {
        /// The new name.
        name: String,
    },
    /// Its keys are refused until it is resumed.
    Suspended,
    /// It is served again.
    Resumed,
    /// It is gone, with its projects and keys.
    Deleted,
}

/// What can happen to a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectChange {
    /// It was made.
    Created {
        /// As it was made.
        project: Box<Project>,
    },
    /// It got another name.
    Renamed {
        /// The new name.
        name: String,
    },
    /// It is on another plan.
    PlanSet {
        /// The plan's name in the contract.
        plan: String,
    },
    /// It got a limit of active keys of its own, or lost it.
    ActiveKeyLimitSet {
        /// The limit; the contract's where none.
        limit: Option<u32>,
    },
    /// It got a limit of its own in place of its plan's, or lost it.
    LimitSet {
        /// The limit's name in the plans.
        name: String,
        /// The limit; the plan's where none.
        limit: Option<OwnLimit>,
    },
    /// The operator gave it access, or took it, for plans that ask for that.
    AccessSet {
        /// Whether it has access.
        is_granted: bool,
    },
    /// Its keys are refused until it is resumed.
    Suspended,
    /// It is served again.
    Resumed,
    /// It is gone, with its keys.
    Deleted,
}

/// What can happen to a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyChange {
    /// It was made.
    Created {
        /// As it was made.
        key: Box<Key>,
    },
    /// It got another name.
    Renamed {
        /// The new name.
        name: Option<String>,
    },
    /// Its scopes were replaced.
    Rescoped {
        /// The new scopes.
        scopes: Scopes,
    },
    /// The networks it may be used from were replaced.
    AddressesSet {
        /// The new networks.
        addresses: Vec<IpNet>,
    },
    /// Its metadata was replaced.
    MetadataSet {
        /// The new metadata.
        metadata: Metadata,
    },
    /// It ends earlier than before.
    ExpirySet {
        /// The new end.
        expires_at: Timestamp,
    },
    /// It was switched off.
    Disabled,
    /// It was switched on again.
    Enabled,
    /// Another key took its place.
    Rotated {
        /// The new key, as it was made.
        new: Box<Key>,
        /// When the old one stops: now, or the end of the overlap.
        ends_at: Timestamp,
    },
    /// It was ended for ever.
    Revoked {
        /// What the revoker gave as the reason.
        reason: Option<String>,
    },
}

/// What can happen to a management key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManagementKeyChange {
    /// It was made.
    Created {
        /// As it was made.
        key: Box<ManagementKey>,
    },
    /// Another took its place at once.
    Rotated {
        /// The new key, as it was made.
        new: Box<ManagementKey>,
    },
    /// It was ended for ever.
    Revoked,
}

/// What can happen to a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersonChange {
    /// They were added.
    Created {
        /// As they were added.
        person: Box<Person>,
        /// Their password, which no log holds.
        #[serde(skip)]
        password: Option<PasswordHash>,
    },
    /// They have another name.
    Renamed {
        /// The new name.
        name: String,
    },
    /// They have another password. All their sessions, and links that sign them in, end in the same transaction.
    PasswordSet {
        /// The password, which no log holds.
        #[serde(skip)]
        password: Option<PasswordHash>,
    },
    /// An OpenID provider speaks for them from now on.
    IdentityLinked {
        /// Who they are there.
        identity: Identity,
    },
    /// An OpenID provider speaks for them no more. All their sessions end in the same transaction.
    IdentityUnlinked {
        /// Who they were there.
        identity: Identity,
    },
    /// A link that signs them in once was made.
    SignInLinkMade,
    /// They are an operator, or no longer one. All their sessions end in the same transaction: more, too, begins with a
    /// new one.
    OperatorSet {
        /// Whether they are.
        is_operator: bool,
    },
    /// They may not sign in until they are enabled. All their sessions end in the same transaction.
    Disabled,
    /// They may sign in again.
    Enabled,
    /// They became a member of an organization.
    Joined {
        /// Which.
        organization: OrganizationId,
        /// As what.
        role: Role,
    },
    /// They have another role in an organization.
    RoleSet {
        /// Which.
        organization: OrganizationId,
        /// The new role.
        role: Role,
    },
    /// They are no longer a member of an organization. All their sessions end in the same transaction.
    Removed {
        /// Which.
        organization: OrganizationId,
    },
}

/// What can happen to an invitation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvitationChange {
    /// It was made.
    Created {
        /// As it was made.
        invitation: Box<Invitation>,
    },
    /// Somebody accepted it.
    Accepted {
        /// Who.
        by: PersonId,
    },
    /// It was taken back.
    Withdrawn,
}

/// What can happen to a store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreChange {
    /// A backup took the store's place: what happened after `revision` is lost but for the restrictive
    /// changes that the journal kept.
    Restored {
        /// The last revision that the backup holds.
        revision: Revision,
        /// The last revision that was signed before.
        lost_head: Option<Revision>,
        /// How many restrictive changes are made again from the journal.
        replayed: u64,
    },
}

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
