//! People: who may use the dashboard, what they may do there, and how they are invited. Sessions, which are no
//! changes, are in [`crate::session`].
//!
//! A person is one record with all memberships in it: what somebody may do is read, expected and taken away as one.

use serde::{Deserialize, Serialize};

use crate::change::{InvitationChange, PersonChange, Revision};
use crate::clock::Timestamp;
use crate::id::{InvitationId, OrganizationId, PersonId};
use crate::permission::Permission;
use crate::scope::Scopes;
use crate::secret::Digest;

/// What a member may do in an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks, and changes nothing.
    Viewer,
    /// Manages keys.
    Developer,
    /// Manages keys, projects, members and management keys.
    Owner,
}

impl Role {
    /// All of them, the most powerful first.
    pub const ALL: [Role; 3] = [Role::Owner, Role::Developer, Role::Viewer];

    /// The word used in answers and forms.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Developer => "developer",
            Role::Owner => "owner",
        }
    }

    /// What it allows, for people.
    pub const fn title(self) -> &'static str {
        match self {
            Role::Viewer => "sees keys, usage and events",
            Role::Developer => "creates, rotates and revokes keys",
            Role::Owner => "manages keys, projects and members",
        }
    }

    /// The role with this name.
    pub fn named(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// What it allows within its organization.
    pub const fn permissions(self) -> &'static [Permission] {
        use Permission as P;
        match self {
            Role::Viewer => &[P::OrganizationsRead, P::ProjectsRead, P::KeysRead, P::MembersRead],
            Role::Developer => &[P::OrganizationsRead, P::ProjectsRead, P::KeysRead, P::MembersRead, P::KeysWrite],
            Role::Owner => &[
                P::OrganizationsRead,
                P::ProjectsRead,
                P::KeysRead,
                P::MembersRead,
                P::KeysWrite,
                P::OrganizationsWrite,
                P::ProjectsWrite,
                P::MembersWrite,
                P::ManagementKeysRead,
                P::ManagementKeysWrite,
                P::Verify,
            ],
        }
    }

    /// The same as scopes.
    pub fn scopes(self) -> Scopes {
        Scopes::new(self.permissions().iter().map(|permission| permission.scope())).unwrap_or_default()
    }
}

/// Somebody's place in an organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The organization.
    pub organization: OrganizationId,
    /// What the person may do there.
    pub role: Role,
    /// Since when.
    pub joined_at: Timestamp,
}

/// Who somebody is at an OpenID provider: never the mail address, which another may come to hold (OpenID Connect
/// Core 1.0, section 5.7).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The provider's issuer identifier.
    pub issuer: String,
    /// The provider's identifier of the person.
    pub subject: String,
}

/// Whether a person may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PersonState {
    /// May.
    Active,
    /// May not, until enabled again.
    Disabled {
        /// Since when.
        at: Timestamp,
    },
}

/// Somebody who signs in to the dashboard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// Their id.
    pub id: PersonId,
    /// Their mail address, as [`crate::text::email`] gives it: no two people have the same.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// Whether they are an operator: may see and do everything.
    pub is_operator: bool,
    /// Where they are members, each organization once.
    pub memberships: Vec<Membership>,
    /// Who they are at OpenID providers.
    pub identities: Vec<Identity>,
    /// Whether they may sign in.
    pub state: PersonState,
    /// When they were added.
    pub created_at: Timestamp,
    /// The revision of their creation.
    pub created_revision: Revision,
    /// The revision of the last change to them.
    pub revision: Revision,
}

impl Person {
    /// Whether they may sign in.
    pub const fn is_active(&self) -> bool {
        matches!(self.state, PersonState::Active)
    }

    /// Their place in an organization.
    pub fn membership(&self, organization: OrganizationId) -> Option<&Membership> {
        self.memberships.iter().find(|membership| membership.organization == organization)
    }

    /// Moves the person on by one change; a change seen already does nothing.
    pub fn apply(&mut self, change: &PersonChange, at: Timestamp, revision: Revision) {
        if revision <= self.revision {
            return;
        }
        self.revision = revision;
        match change {
            PersonChange::Created { .. } | PersonChange::PasswordSet { .. } | PersonChange::SignInLinkMade => {}
            PersonChange::Renamed { name } => self.name = name.clone(),
            PersonChange::IdentityLinked { identity } => {
                if !self.identities.contains(identity) {
                    self.identities.push(identity.clone());
                }
            }
            PersonChange::IdentityUnlinked { identity } => self.identities.retain(|known| known != identity),
            PersonChange::OperatorSet { is_operator } => self.is_operator = *is_operator,
            PersonChange::Disabled => self.state = PersonState::Disabled { at },
            PersonChange::Enabled => self.state = PersonState::Active,
            PersonChange::Joined { organization, role } => {
                self.memberships.retain(|membership| membership.organization != *organization);
                self.memberships.push(Membership { organization: *organization, role: *role, joined_at: at });
            }
            PersonChange::RoleSet { organization, role } => {
                let mut found = self.memberships.iter_mut();
                if let Some(membership) = found.find(|membership| membership.organization == *organization) {
                    membership.role = *role;
                }
            }
            PersonChange::Removed { organization } => {
                self.memberships.retain(|membership| membership.organization != *organization);
            }
        }
    }
}

/// A password, hashed: a PHC string of argon2id keyed with a pepper. It is kept beside the person and in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash")
    }
}

/// What an invitation invites to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case")]
pub enum InvitedTo {
    /// To be a member of an organization.
    Organization {
        /// Which.
        id: OrganizationId,
        /// As what.
        role: Role,
    },
    /// To be an operator.
    Operators,
}

impl InvitedTo {
    /// The organization, where it is to one.
    pub const fn organization(&self) -> Option<OrganizationId> {
        match self {
            InvitedTo::Organization { id, .. } => Some(*id),
            InvitedTo::Operators => None,
        }
    }
}

/// What became of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum InvitationState {
    /// It can be accepted until it expires.
    Open,
    /// Somebody accepted it.
    Accepted {
        /// When.
        at: Timestamp,
        /// Who.
        by: PersonId,
    },
    /// It was taken back.
    Withdrawn {
        /// When.
        at: Timestamp,
    },
}

/// An invitation: whoever holds its link may accept it once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// To what.
    pub invited_to: InvitedTo,
    /// Whom, by mail address: nobody else can accept.
    pub email: String,
    /// The keyed hash of the secret in its link.
    pub digest: Digest,
    /// Who invited, also through a management key of theirs; none where nobody did: at the machine, or by another key.
    pub invited_by: Option<PersonId>,
    /// When.
    pub created_at: Timestamp,
    /// From when on it cannot be accepted.
    pub expires_at: Timestamp,
    /// What became of it.
    pub state: InvitationState,
    /// The revision of its creation.
    pub created_revision: Revision,
    /// The revision of the last change to it.
    pub revision: Revision,
}

impl Invitation {
    /// Whether it can be accepted at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.state == InvitationState::Open && now < self.expires_at
    }

    /// Moves the invitation on by one change; a change seen already does nothing.
    pub fn apply(&mut self, change: &InvitationChange, at: Timestamp, revision: Revision) {
        if revision <= self.revision {
            return;
        }
        self.revision = revision;
        match change {
            InvitationChange::Created { .. } => {}
            InvitationChange::Accepted { by } => self.state = InvitationState::Accepted { at, by: *by },
            InvitationChange::Withdrawn => self.state = InvitationState::Withdrawn { at },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t04_a_role_allows_what_the_roles_below_it_allow() {
        assert!(Role::Viewer < Role::Developer && Role::Developer < Role::Owner);
        for pair in Role::ALL.windows(2) {
            assert!(pair[1].permissions().iter().all(|permission| pair[0].permissions().contains(permission)));
        }
    }

    #[test]
    fn t04_no_role_may_what_is_the_operators_alone() {
        for role in Role::ALL {
            for permission in
                [Permission::PlansWrite, Permission::Operate, Permission::ApisWrite, Permission::LogRead]
            {
                assert!(!role.scopes().allow(permission.scope()), "{role:?} {permission:?}");
            }
        }
    }
}
