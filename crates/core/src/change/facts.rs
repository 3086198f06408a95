//! What a change is, whatever it holds: whether it takes something away, its name, and what it is about. Each is one
//! exhaustive match, so that no new kind of change can be forgotten.

use super::{
    Change, DataKeyChange, InvitationChange, KeyChange, KeysChange, ManagementKeyChange, OrganizationChange,
    PersonChange, ProjectChange, StoreChange,
};
use crate::id::{KeyId, OrganizationId, PersonId, ProjectId};

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
                | ProjectChange::LimitSet { .. }
                // What is sent to the old address must stop.
                | ProjectChange::DestinationSet { .. } => true,
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
            Change::Keys { what: KeysChange::Revoked { .. }, .. } => true,
            Change::DataKey { what, .. } => match what {
                DataKeyChange::Shredded { .. } => true,
                DataKeyChange::Created { .. } | DataKeyChange::Rotated { .. } => false,
            },
            Change::ManagementKey { what, .. } => match what {
                ManagementKeyChange::Rotated { .. } | ManagementKeyChange::Revoked => true,
                ManagementKeyChange::Created { .. } => false,
            },
            Change::Person { what, .. } => match what {
                PersonChange::Disabled
                | PersonChange::Removed { .. }
                // The journal must know, so that no restore lets the provider speak for them again.
                | PersonChange::IdentityUnlinked { .. }
                // The new role may be lower.
                | PersonChange::RoleSet { .. } => true,
                PersonChange::OperatorSet { is_operator } => !is_operator,
                PersonChange::Created { .. }
                | PersonChange::Renamed { .. }
                // Nobody caches passwords or sessions: what a new password ends is ended with the commit.
                | PersonChange::PasswordSet { .. }
                | PersonChange::IdentityLinked { .. }
                | PersonChange::SignInLinkMade
                | PersonChange::Enabled
                | PersonChange::Joined { .. } => false,
            },
            Change::Invitation { what, .. } => match what {
                // It opens nothing any more: the journal must know, so that no restore makes it open again.
                InvitationChange::Accepted { .. } | InvitationChange::Withdrawn => true,
                InvitationChange::Created { .. } => false,
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
                ProjectChange::DestinationSet { .. } => "project.destination_set",
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
            Change::Keys { what: KeysChange::Revoked { .. }, .. } => "keys.revoked",
            Change::DataKey { what, .. } => match what {
                DataKeyChange::Created { .. } => "data_key.created",
                DataKeyChange::Rotated { .. } => "data_key.rotated",
                DataKeyChange::Shredded { .. } => "data_keys.shredded",
            },
            Change::ManagementKey { what, .. } => match what {
                ManagementKeyChange::Created { .. } => "management_key.created",
                ManagementKeyChange::Rotated { .. } => "management_key.rotated",
                ManagementKeyChange::Revoked => "management_key.revoked",
            },
            Change::Person { what, .. } => match what {
                PersonChange::Created { .. } => "person.created",
                PersonChange::Renamed { .. } => "person.renamed",
                PersonChange::PasswordSet { .. } => "person.password_set",
                PersonChange::IdentityLinked { .. } => "person.identity_linked",
                PersonChange::IdentityUnlinked { .. } => "person.identity_unlinked",
                PersonChange::SignInLinkMade => "person.sign_in_link_made",
                PersonChange::OperatorSet { .. } => "person.operator_set",
                PersonChange::Disabled => "person.disabled",
                PersonChange::Enabled => "person.enabled",
                PersonChange::Joined { .. } => "member.joined",
                PersonChange::RoleSet { .. } => "member.role_set",
                PersonChange::Removed { .. } => "member.removed",
            },
            Change::Invitation { what, .. } => match what {
                InvitationChange::Created { .. } => "invitation.created",
                InvitationChange::Accepted { .. } => "invitation.accepted",
                InvitationChange::Withdrawn => "invitation.withdrawn",
            },
            Change::Store { what: StoreChange::Restored { .. } } => "store.restored",
        }
    }

    /// The organization it is about, where it is about one alone.
    pub fn organization(&self) -> Option<OrganizationId> {
        match self {
            Change::Organization { id, .. } => Some(*id),
            Change::Project { of, .. } | Change::DataKey { of, .. } => Some(of.organization),
            Change::Key { of, .. } => Some(of.organization),
            Change::Keys { of, .. } => the_one(of.iter().map(|of| of.project.organization)),
            Change::Invitation { organization, .. } => *organization,
            Change::Person { what, .. } => match what {
                PersonChange::Joined { organization, .. }
                | PersonChange::RoleSet { organization, .. }
                | PersonChange::Removed { organization } => Some(*organization),
                _ => None,
            },
            Change::Api { .. } | Change::ManagementKey { .. } | Change::Store { .. } => None,
        }
    }

    /// Whether it ends all sessions of this person, in its own transaction.
    pub fn ends_sessions_of(&self) -> Option<PersonId> {
        match self {
            Change::Person {
                id,
                what:
                    PersonChange::PasswordSet { .. }
                    | PersonChange::Disabled
                    | PersonChange::Removed { .. }
                    | PersonChange::IdentityUnlinked { .. }
                    | PersonChange::OperatorSet { .. },
            } => Some(*id),
            _ => None,
        }
    }

    /// The project it is about, where it is about one alone.
    pub fn project(&self) -> Option<ProjectId> {
        match self {
            Change::Project { of, .. } | Change::DataKey { of, .. } => Some(of.id),
            Change::Key { of, .. } => Some(of.project),
            Change::Keys { of, .. } => the_one(of.iter().map(|of| of.project.id)),
            _ => None,
        }
    }

    /// The key it is about, where it is about one alone. A change of many keys has none, however few they are.
    pub fn key(&self) -> Option<KeyId> {
        match self {
            Change::Key { of, .. } => Some(of.id),
            _ => None,
        }
    }
}

/// What all of these are; none where they differ or there are none.
fn the_one<T: PartialEq>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}
