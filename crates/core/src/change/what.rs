//! What can happen to each kind of thing: the second half of a [`Change`](super::Change), whose first half says to which.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Revision;
use crate::clock::Timestamp;
use crate::data_key::DataKeyId;
use crate::id::{OrganizationId, PersonId};
use crate::key::{Key, Metadata};
use crate::key_encryption::Wrapped;
use crate::limits::OwnLimit;
use crate::people::{Identity, Invitation, PasswordHash, Person, Role};
use crate::scope::Scopes;
use crate::tenancy::{ManagementKey, Organization, Project};

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
    /// Its encrypted requests go elsewhere.
    DestinationSet {
        /// The address they go to; nowhere where none.
        destination: Option<String>,
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

/// What can happen to a project's data keys. No log holds a data key, not even wrapped: shredding could not reach it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataKeyChange {
    /// One was made where none encrypted.
    Created {
        /// Its id.
        id: DataKeyId,
        /// The key, wrapped.
        #[serde(skip)]
        wrapped: Option<Wrapped>,
    },
    /// Another encrypts from now on; those before it only open.
    Rotated {
        /// The new key's id.
        id: DataKeyId,
        /// The new key, wrapped.
        #[serde(skip)]
        wrapped: Option<Wrapped>,
    },
    /// They were destroyed: what they encrypted cannot be opened any more.
    Shredded {
        /// Which.
        keys: Vec<DataKeyId>,
    },
}

/// What can happen to many keys at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeysChange {
    /// They were ended for ever.
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
