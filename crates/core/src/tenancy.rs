//! Organizations, projects and management keys: whose keys they are, and who may manage them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::change::{ManagementKeyChange, OrganizationChange, ProjectChange, Revision};
use crate::clock::Timestamp;
use crate::id::{ApiName, ManagementKeyId, OrganizationId, PersonId, ProjectId};
use crate::limits::OwnLimit;
use crate::scope::Scopes;
use crate::secret::Digest;

/// Whether an organization or a project is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TenantState {
    /// Served.
    Active,
    /// Its keys are refused until it is resumed.
    Suspended {
        /// Since when.
        at: Timestamp,
    },
    /// Gone: answers like something that never was.
    Deleted {
        /// Since when.
        at: Timestamp,
    },
}

impl TenantState {
    /// Whether it is gone.
    pub const fn is_deleted(&self) -> bool {
        matches!(self, TenantState::Deleted { .. })
    }

    /// Whether it is served.
    pub const fn is_active(&self) -> bool {
        matches!(self, TenantState::Active)
    }

    /// The word used in answers.
    pub const fn as_str(&self) -> &'static str {
        match self {
            TenantState::Active => "active",
            TenantState::Suspended { .. } => "suspended",
            TenantState::Deleted { .. } => "deleted",
        }
    }
}

/// A customer of the operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// What it is called.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it is served.
    pub state: TenantState,
    /// The revision of its creation.
    pub created_revision: Revision,
    /// The revision of the last change to it.
    pub revision: Revision,
}

impl Organization {
    /// Moves the organization on by one change; a change seen already does nothing.
    pub fn apply(&mut self, change: &OrganizationChange, at: Timestamp, revision: Revision) {
        if revision <= self.revision {
            return;
        }
        self.revision = revision;
        match change {
            OrganizationChange::Created { .. } => {}
            OrganizationChange::Renamed { name } => self.name = name.clone(),
            OrganizationChange::Suspended => self.state = TenantState::Suspended { at },
            OrganizationChange::Resumed => self.state = TenantState::Active,
            OrganizationChange::Deleted => self.state = TenantState::Deleted { at },
        }
    }
}

/// Whether a project's keys are for real traffic or for trying things out; the key's prefix tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Real traffic.
    #[default]
    Live,
    /// Trying things out.
    Test,
}

/// The wall: of one organization and one API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The API its keys open.
    pub api: ApiName,
    /// What it is called.
    pub name: String,
    /// Live or test.
    pub environment: Environment,
    /// Its plan, one of the contract's.
    pub plan: String,
    /// A limit of active keys of its own, where support raised or lowered the contract's.
    pub active_key_limit: Option<u32>,
    /// Limits of its own, by name, where support raised or lowered the plan's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, OwnLimit>,
    /// Whether the operator gave it access, for plans that ask for that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_granted: bool,
    /// Where its encrypted requests go; nowhere where none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Whether it is served.
    pub state: TenantState,
    /// When it was made.
    pub created_at: Timestamp,
    /// The revision of its creation.
    pub created_revision: Revision,
    /// The revision of the last change to it.
    pub revision: Revision,
}

impl Project {
    /// Moves the project on by one change; a change seen already does nothing.
    pub fn apply(&mut self, change: &ProjectChange, at: Timestamp, revision: Revision) {
        if revision <= self.revision {
            return;
        }
        self.revision = revision;
        match change {
            ProjectChange::Created { .. } => {}
            ProjectChange::Renamed { name } => self.name = name.clone(),
            ProjectChange::PlanSet { plan } => self.plan = plan.clone(),
            ProjectChange::ActiveKeyLimitSet { limit } => self.active_key_limit = *limit,
            ProjectChange::LimitSet { name, limit: Some(limit) } => {
                self.limits.insert(name.clone(), *limit);
            }
            ProjectChange::LimitSet { name, limit: None } => {
                self.limits.remove(name);
            }
            ProjectChange::AccessSet { is_granted } => self.is_granted = *is_granted,
            ProjectChange::DestinationSet { destination } => self.destination = destination.clone(),
            ProjectChange::Suspended => self.state = TenantState::Suspended { at },
            ProjectChange::Resumed => self.state = TenantState::Active,
            ProjectChange::Deleted => self.state = TenantState::Deleted { at },
        }
    }
}

/// An API with the contract in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Api {
    /// Its name.
    pub name: ApiName,
    /// The contract as it was handed in.
    pub source: String,
    /// The contract with everything it extends merged in: what nodes compile.
    pub resolved: String,
    /// When it was put in force.
    pub applied_at: Timestamp,
    /// The revision of the API's first contract.
    pub created_revision: Revision,
    /// The revision of the contract in force.
    pub revision: Revision,
}

/// How far a management key reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "within", content = "id", rename_all = "snake_case")]
pub enum Boundary {
    /// Everything: the operator's own.
    Everything,
    /// One organization and its projects.
    Organization(OrganizationId),
    /// One project.
    Project(ProjectId),
}

/// A key for the control plane: scoped, hashed, rotated and revoked like any key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManagementKey {
    /// Its id.
    pub id: ManagementKeyId,
    /// What it is called.
    pub name: String,
    /// The part of the secret that may be shown.
    pub hint: String,
    /// The keyed hash of the secret.
    pub digest: Digest,
    /// What it may do: scopes of [`crate::permission::Permission`].
    pub scopes: Scopes,
    /// How far it reaches.
    pub boundary: Boundary,
    /// Who made it on the dashboard; it ends when they lose what let them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minted_by: Option<PersonId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// Since when it is revoked.
    pub revoked_at: Option<Timestamp>,
    /// The revision of its creation.
    pub created_revision: Revision,
    /// The revision of the last change to it.
    pub revision: Revision,
}

impl ManagementKey {
    /// Moves the key on by one change; a change seen already does nothing.
    pub fn apply(&mut self, change: &ManagementKeyChange, at: Timestamp, revision: Revision) {
        if revision <= self.revision {
            return;
        }
        self.revision = revision;
        match change {
            ManagementKeyChange::Created { .. } => {}
            ManagementKeyChange::Rotated { .. } | ManagementKeyChange::Revoked => self.revoked_at = Some(at),
        }
    }

    /// Whether it opens at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}
