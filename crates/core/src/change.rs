//! Changes: the only way to write decision or administrative state.
//!
//! A use case proposes changes with what it expects to be still so; the store checks the expectations,
//! alters the state, takes the next revision and appends to the log, all in one transaction.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{ApiName, KeyId, ManagementKeyId, OrganizationId, ProjectId};
use crate::key::{Key, Metadata};
use crate::limits::OwnLimit;
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

impl Change {
    /// Whether it takes something away, so that its call may return only once no node can still grant it.
    pub fn is_restrictive(&self) -> bool {
        match self {
            // A contract may be tighter in any of its parts.
            Change::Api { .. } | Change::Store { .. } => true,
            Change::Organization { what, .. } => match what {
                OrganizationChange::Suspended | OrganizationChange::Deleted => true,
                OrganizationChange::Created { .. }
                | OrganizationChange::Renamed { .. }
                | OrganizationChange::Resumed => false,
            },
            Change::Project { what, .. } => match what {
                ProjectChange::Suspended | ProjectChange::Deleted => true,
                // All may be lower than before.
                ProjectChange::PlanSet { .. }
                | ProjectChange::ActiveKeyLimitSet { .. }
                | ProjectChange::LimitSet { .. } => true,
                ProjectChange::AccessSet { is_granted } => !is_granted,
                ProjectChange::Created { .. } | ProjectChange::Renamed { .. } | ProjectChange::Resumed => false,
            },
            Change::Key { what, .. } => match what {
                KeyChange::Revoked { .. }
                | KeyChange::Rotated { .. }
                | KeyChange::Disabled
                | KeyChange::ExpirySet { .. }
                | KeyChange::Rescoped { .. }
                | KeyChange::AddressesSet { .. } => true,
                KeyChange::Created { .. }
                | KeyChange::Renamed { .. }
                | KeyChange::MetadataSet { .. }
                | KeyChange::Enabled => false,
            },
            Change::ManagementKey { what, .. } => match what {
                ManagementKeyChange::Rotated { .. } | ManagementKeyChange::Revoked => true,
                ManagementKeyChange::Created { .. } => false,
            },
        }
    }

    /// Its name in the log, in answers and in filters, such as `key.revoked`.
    pub const fn name(&self) -> &'static str {
        match self {
            Change::Api { .. } => "api.applied",
            Change::Organization { what, .. } => match what {
                OrganizationChange::Created { .. } => "organization.created",
                OrganizationChange::Renamed { .. } => "organization.renamed",
                OrganizationChange::Suspended => "organization.suspended",
                OrganizationChange::Resumed => "organization.resumed",
                OrganizationChange::Deleted => "organization.deleted",
            },
            Change::Project { what, .. } => match what {
                ProjectChange::Created { .. } => "project.created",
                ProjectChange::Renamed { .. } => "project.renamed",
                ProjectChange::PlanSet { .. } => "project.plan_set",
                ProjectChange::ActiveKeyLimitSet { .. } => "project.active_key_limit_set",
                ProjectChange::LimitSet { .. } => "project.limit_set",
                ProjectChange::AccessSet { .. } => "project.access_set",
                ProjectChange::Suspended => "project.suspended",
                ProjectChange::Resumed => "project.resumed",
                ProjectChange::Deleted => "project.deleted",
            },
            Change::Key { what, .. } => match what {
                KeyChange::Created { .. } => "key.created",
                KeyChange::Renamed { .. } => "key.renamed",
                KeyChange::Rescoped { .. } => "key.rescoped",
                KeyChange::AddressesSet { .. } => "key.addresses_set",
                KeyChange::MetadataSet { .. } => "key.metadata_set",
                KeyChange::ExpirySet { .. } => "key.expiry_set",
                KeyChange::Disabled => "key.disabled",
                KeyChange::Enabled => "key.enabled",
                KeyChange::Rotated { .. } => "key.rotated",
                KeyChange::Revoked { .. } => "key.revoked",
            },
            Change::ManagementKey { what, .. } => match what {
                ManagementKeyChange::Created { .. } => "management_key.created",
                ManagementKeyChange::Rotated { .. } => "management_key.rotated",
                ManagementKeyChange::Revoked => "management_key.revoked",
            },
            Change::Store { what: StoreChange::Restored { .. } } => "store.restored",
        }
    }

    /// The organization it is about, where it is about one.
    pub fn organization(&self) -> Option<OrganizationId> {
        match self {
            Change::Organization { id, .. } => Some(*id),
            Change::Project { of, .. } => Some(of.organization),
            Change::Key { of, .. } => Some(of.organization),
            Change::Api { .. } | Change::ManagementKey { .. } | Change::Store { .. } => None,
        }
    }

    /// The project it is about, where it is about one.
    pub fn project(&self) -> Option<ProjectId> {
        match self {
            Change::Project { of, .. } => Some(of.id),
            Change::Key { of, .. } => Some(of.project),
            _ => None,
        }
    }

    /// The key it is about, where it is about one.
    pub fn key(&self) -> Option<KeyId> {
        match self {
            Change::Key { of, .. } => Some(of.id),
            _ => None,
        }
    }
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
