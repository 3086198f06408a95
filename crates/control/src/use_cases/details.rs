//! What is told of a change beside its name, at every door and in every export.

use keyward_core::change::{
    Change, DataKeyChange, InvitationChange, KeyChange, KeysChange, ManagementKeyChange, OrganizationChange,
    PersonChange, ProjectChange, StoreChange,
};
use keyward_core::id::{KeyId, PersonId};
use keyward_core::key::Key;
use keyward_core::tenancy::ManagementKey;
use serde_json::{Value, json};

/// How many keys of a change of many are told one by one, at most.
const KEYS_TOLD: usize = 1_000;

/// What is told of a change beside its name: what it set. Digests and peppers are left out by naming what is
/// told instead of what is not.
pub fn details(change: &Change) -> Value {
    match change {
        Change::Api { api } => json!({ "api": api.name }),
        Change::Organization { what, .. } => match what {
            OrganizationChange::Created { organization } => json!({ "name": organization.name }),
            OrganizationChange::Renamed { name } => json!({ "name": name }),
            OrganizationChange::Suspended | OrganizationChange::Resumed | OrganizationChange::Deleted => json!({}),
        },
        Change::Project { what, .. } => match what {
            ProjectChange::Created { project } => json!({
                "name": project.name, "api": project.api, "plan": project.plan, "environment": project.environment,
                "access": project.is_granted,
            }),
            ProjectChange::Renamed { name } => json!({ "name": name }),
            ProjectChange::PlanSet { plan } => json!({ "plan": plan }),
            ProjectChange::ActiveKeyLimitSet { limit } => json!({ "active_key_limit": limit }),
            ProjectChange::LimitSet { name, limit } => json!({ "limits": { name: limit } }),
            ProjectChange::AccessSet { is_granted } => json!({ "access": is_granted }),
            ProjectChange::DestinationSet { destination } => json!({ "destination": destination }),
            ProjectChange::Suspended | ProjectChange::Resumed | ProjectChange::Deleted => json!({}),
        },
        Change::Key { what, .. } => key_details(what),
        Change::Keys { of, what: KeysChange::Revoked { reason } } => {
            let all: usize = of.iter().map(|of| of.keys.len()).sum();
            let keys: Vec<KeyId> = change.keys().take(KEYS_TOLD).collect();
            json!({ "reason": reason, "keys": keys, "revoked": all })
        }
        Change::DataKey { what, .. } => match what {
            DataKeyChange::Created { id, .. } | DataKeyChange::Rotated { id, .. } => json!({ "data_key": id }),
            DataKeyChange::Shredded { keys } => json!({ "data_keys": keys }),
        },
        Change::ManagementKey { id, what } => match what {
            ManagementKeyChange::Created { key } => management_key_made(key),
            ManagementKeyChange::Rotated { new } => {
                json!({ "management_key": id, "new_management_key": new.id, "hint": new.hint })
            }
            ManagementKeyChange::Revoked => json!({ "management_key": id }),
        },
        Change::Person { id, what } => person_details(*id, what),
        Change::Invitation { id, what, .. } => match what {
            InvitationChange::Created { invitation } => json!({
                "invitation": id, "email": invitation.email, "to": invitation.invited_to,
                "expires_at": invitation.expires_at,
            }),
            InvitationChange::Accepted { by } => json!({ "invitation": id, "person": by }),
            InvitationChange::Withdrawn => json!({ "invitation": id }),
        },
        Change::Store { what: StoreChange::Restored { revision, lost_head, replayed } } => {
            json!({ "revision": revision, "lost_head": lost_head, "replayed": replayed })
        }
    }
}

fn key_details(what: &KeyChange) -> Value {
    match what {
        KeyChange::Created { key } => key_made(key),
        KeyChange::Renamed { name } => json!({ "name": name }),
        KeyChange::Rescoped { scopes } => json!({ "scopes": scopes }),
        KeyChange::AddressesSet { addresses } => json!({ "addresses": addresses }),
        KeyChange::MetadataSet { metadata } => json!({ "metadata": metadata }),
        KeyChange::ExpirySet { expires_at } => json!({ "expires_at": expires_at }),
        KeyChange::Disabled | KeyChange::Enabled => json!({}),
        KeyChange::Rotated { new, ends_at } => json!({ "new_key": new.id, "hint": new.hint, "ends_at": ends_at }),
        KeyChange::Revoked { reason } => json!({ "reason": reason }),
    }
}

fn key_made(key: &Key) -> Value {
    json!({
        "name": key.name, "hint": key.hint, "scopes": key.scopes, "addresses": key.addresses,
        "expires_at": key.expires_at,
    })
}

fn management_key_made(key: &ManagementKey) -> Value {
    json!({
        "management_key": key.id, "name": key.name, "hint": key.hint, "scopes": key.scopes,
        "expires_at": key.expires_at,
    })
}

fn person_details(id: PersonId, what: &PersonChange) -> Value {
    match what {
        PersonChange::Created { person, .. } => {
            json!({ "person": id, "name": person.name, "email": person.email, "operator": person.is_operator })
        }
        PersonChange::Renamed { name } => json!({ "person": id, "name": name }),
        PersonChange::IdentityLinked { identity } | PersonChange::IdentityUnlinked { identity } => {
            json!({ "person": id, "issuer": identity.issuer })
        }
        PersonChange::OperatorSet { is_operator } => json!({ "person": id, "operator": is_operator }),
        PersonChange::Joined { role, .. } | PersonChange::RoleSet { role, .. } => {
            json!({ "person": id, "role": role })
        }
        PersonChange::PasswordSet { .. }
        | PersonChange::SignInLinkMade
        | PersonChange::Disabled
        | PersonChange::Enabled
        | PersonChange::Removed { .. } => json!({ "person": id }),
    }
}
