//! Who asks, and how far they reach. What lies outside a caller's boundary answers exactly like what does
//! not exist: the same look-ups, the same error.

use std::sync::Arc;

use keyward_core::change::{Actor, Expect, Origin};
use keyward_core::id::{OrganizationId, PersonId};
use keyward_core::people::{Person, Role};
use keyward_core::permission::Permission;
use keyward_core::scope::Scopes;
use keyward_core::tenancy::{Boundary, ManagementKey, Project};

use super::error::{ControlError, Result};

/// Who asks.
#[derive(Debug, Clone)]
pub enum Caller {
    /// The holder of a live management key.
    ManagementKey(Arc<ManagementKey>),
    /// Somebody on the dashboard, in one of the places they have.
    Person {
        /// Who.
        person: Arc<Person>,
        /// As what they ask.
        seat: Seat,
    },
    /// Somebody at the machine itself, by a command such as `init`.
    Operator {
        /// The command.
        command: String,
    },
}

/// As what a person asks: somebody may be a member of several organizations, with a role in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat {
    /// As an operator.
    Operator,
    /// As a member of an organization.
    Member {
        /// Which.
        organization: OrganizationId,
        /// As what.
        role: Role,
    },
    /// As nobody but themselves: only for what is their own.
    Nobody,
}

impl Seat {
    /// The place that a person has in an organization: a member's, else an operator's where they are one.
    pub fn of(person: &Person, organization: OrganizationId) -> Seat {
        match person.membership(organization) {
            _ if person.is_operator => Seat::Operator,
            Some(membership) => Seat::Member { organization, role: membership.role },
            None => Seat::Nobody,
        }
    }
}

/// How a repetition of the request is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// The `Idempotency-Key`.
    pub key: String,
    /// A hash of all that the request asks for.
    pub fingerprint: [u8; 32],
}

/// Who asks, from where, and whether the request may be a repetition.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who.
    pub caller: Caller,
    /// From where.
    pub origin: Origin,
    /// How a repetition is recognised, where it is to be.
    pub repeat: Option<Repeat>,
    /// Whether the caller wants to be answered only once what takes something away is in force.
    pub waits: bool,
}

impl Asked {
    /// Asked by somebody at the machine itself.
    pub fn by_operator(command: &str) -> Self {
        let caller = Caller::Operator { command: command.to_owned() };
        Asked { caller, origin: Origin::default(), repeat: None, waits: true }
    }

    /// Goes on only for a caller with this permission.
    pub(crate) fn require(&self, permission: Permission) -> Result<()> {
        if self.caller.has(permission) { Ok(()) } else { Err(ControlError::Forbidden(permission)) }
    }

    /// Goes on only for a caller who may do all of this themselves: nobody hands on more than they have.
    pub(crate) fn require_scopes(&self, scopes: &Scopes) -> Result<()> {
        let own = self.caller.scopes();
        match scopes.iter().find(|scope| !own.allow(scope)) {
            None => Ok(()),
            Some(wider) => Err(ControlError::WiderThanCaller(format!("the scope {wider}"))),
        }
    }

    /// Goes on only for a caller with this permission for everything.
    pub(crate) fn require_everywhere(&self, permission: Permission) -> Result<()> {
        self.require(permission)?;
        match self.caller.boundary() {
            Boundary::Everything => Ok(()),
            Boundary::Organization(_) | Boundary::Project(_) => Err(ControlError::OutOfReach(permission)),
        }
    }
}

impl Caller {
    /// Whether the caller has a permission, somewhere.
    pub fn has(&self, permission: Permission) -> bool {
        self.scopes().allow(permission.scope())
    }

    /// What the caller may do.
    pub fn scopes(&self) -> Scopes {
        match self {
            Caller::ManagementKey(key) => key.scopes.clone(),
            Caller::Person { seat, .. } => match seat {
                Seat::Operator => Scopes::all(),
                Seat::Member { role, .. } => role.scopes(),
                Seat::Nobody => Scopes::default(),
            },
            Caller::Operator { .. } => Scopes::all(),
        }
    }

    /// How far the caller reaches.
    pub fn boundary(&self) -> Boundary {
        match self {
            Caller::ManagementKey(key) => key.boundary,
            Caller::Person { seat, .. } => match seat {
                Seat::Operator => Boundary::Everything,
                Seat::Member { organization, .. } => Boundary::Organization(*organization),
                // No organization has this id.
                Seat::Nobody => Boundary::Organization(OrganizationId::from_u128(0)),
            },
            Caller::Operator { .. } => Boundary::Everything,
        }
    }

    /// Whether an organization lies within the boundary, itself and not only some of its projects.
    pub(crate) fn reaches_organization(&self, id: OrganizationId) -> bool {
        match self.boundary() {
            Boundary::Everything => true,
            Boundary::Organization(own) => own == id,
            Boundary::Project(_) => false,
        }
    }

    /// Whether a project lies within the boundary.
    pub(crate) fn reaches_project(&self, project: &Project) -> bool {
        match self.boundary() {
            Boundary::Everything => true,
            Boundary::Organization(own) => own == project.organization,
            Boundary::Project(own) => own == project.id,
        }
    }

    /// How the caller is named in the log.
    pub(crate) fn actor(&self) -> Actor {
        match self {
            Caller::ManagementKey(key) => Actor::ManagementKey { id: key.id, name: key.name.clone() },
            Caller::Person { person, .. } => Actor::Person { id: person.id, name: person.name.clone() },
            Caller::Operator { command } => Actor::Operator { command: command.clone() },
        }
    }

    /// Whose idempotency keys these are.
    pub(crate) fn account(&self) -> String {
        match self {
            Caller::ManagementKey(key) => key.id.to_string(),
            Caller::Person { person, .. } => person.id.to_string(),
            Caller::Operator { .. } => "operator".into(),
        }
    }

    /// Whether the caller has any place to ask from: false for a person about what is not theirs.
    pub(crate) fn is_seated(&self) -> bool {
        !matches!(self, Caller::Person { seat: Seat::Nobody, .. })
    }

    /// The person who asks, where one does.
    pub fn person(&self) -> Option<&Arc<Person>> {
        match self {
            Caller::Person { person, .. } => Some(person),
            Caller::ManagementKey(_) | Caller::Operator { .. } => None,
        }
    }

    /// The person behind the caller, also where a management key of theirs asks.
    pub(crate) fn minter(&self) -> Option<PersonId> {
        match self {
            Caller::ManagementKey(key) => key.minted_by,
            Caller::Person { person, .. } => Some(person.id),
            Caller::Operator { .. } => None,
        }
    }

    /// That the caller is still who it was: a revoked management key or a removed member changes nothing any more, not even by
    /// a request that was let in before.
    pub(crate) fn expectation(&self) -> Option<Expect> {
        match self {
            Caller::ManagementKey(key) => Some(Expect::ManagementKey(key.id, key.revision)),
            Caller::Person { person, .. } => Some(Expect::Person(person.id, person.revision)),
            Caller::Operator { .. } => None,
        }
    }
}
