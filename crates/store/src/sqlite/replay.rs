//! Which changes of the journal still make sense on a restored backup: what took something away since, from
//! somebody the backup knows.
//!
//! Decided on records in memory, one change after the other, before anything is written: the log tells how
//! many there are before it tells them.

use keyward_core::change::{
    Change, KeyChange, ManagementKeyChange, OrganizationChange, ProjectChange, Revision,
};
use keyward_core::clock::Timestamp;
use keyward_core::key::{Key, KeyState};
use keyward_core::tenancy::{Api, ManagementKey, Organization, Project, TenantState};

use super::records::{Records, Refusal};

/// Whether `change` still makes sense; where it does, the records in memory move on by it. `revision` only
/// has to grow from call to call.
pub(super) async fn consider(
    records: &mut Records<'_>,
    change: &Change,
    at: Timestamp,
    revision: Revision,
) -> Result<bool, Refusal> {
    match change {
        // A contract that was put in force is in force again, first ones too.
        Change::Api { api } => {
            let found: Option<Api> = records.load(&api.name).await?;
            let differs =
                found.is_none_or(|found| (&found.source, &found.resolved) != (&api.source, &api.resolved));
            if differs {
                records.put(Api::clone(api));
            }
            Ok(differs)
        }
        Change::Organization { id, what } => {
            let Some(mut found) = records.load::<Organization>(id).await? else { return Ok(false) };
            let wanted = matches!(
                (what, found.state),
                (OrganizationChange::Suspended, TenantState::Active)
                    | (OrganizationChange::Deleted, TenantState::Active | TenantState::Suspended { .. })
            );
            if wanted {
                found.apply(what, at, revision);
                records.put(found);
            }
            Ok(wanted)
        }
        Change::Project { of, what } => {
            let Some(mut found) = records.load::<Project>(&of.id).await? else { return Ok(false) };
            let wanted = project(&found, what);
            if wanted {
                found.apply(what, at, revision);
                records.put(found);
            }
            Ok(wanted)
        }
        Change::Key { of, what } => {
            let Some(found) = records.load::<Key>(&of.id).await? else { return Ok(false) };
            key(records, found, what, at, revision).await
        }
        Change::ManagementKey { id, what } => {
            let Some(mut found) = records.load::<ManagementKey>(id).await? else { return Ok(false) };
            if found.revoked_at.is_some() {
                return Ok(false);
            }
            if let ManagementKeyChange::Rotated { new } = what {
                if records.load::<ManagementKey>(&new.id).await?.is_some() {
                    return Ok(false);
                }
                records.put(ManagementKey::clone(new));
            }
            found.apply(what, at, revision);
            records.put(found);
            Ok(true)
        }
        Change::Store { .. } => Ok(false),
    }
}

fn project(found: &Project, what: &ProjectChange) -> bool {
    if found.state.is_deleted() {
        return false;
    }
    match what {
        ProjectChange::Suspended => found.state.is_active(),
        ProjectChange::Deleted => true,
        ProjectChange::PlanSet { plan } => found.plan != *plan,
        ProjectChange::ActiveKeyLimitSet { limit } => found.active_key_limit != *limit,
        ProjectChange::Created { .. } | ProjectChange::Renamed { .. } | ProjectChange::Resumed => false,
    }
}

async fn key(
    records: &mut Records<'_>,
    mut found: Key,
    what: &KeyChange,
    at: Timestamp,
    revision: Revision,
) -> Result<bool, Refusal> {
    if matches!(found.state, KeyState::Revoked { .. }) {
        return Ok(false);
    }
    let wanted = match what {
        KeyChange::Revoked { .. } => true,
        // The journal has the new key whole: whoever rotated since the backup keeps the key they hold.
        KeyChange::Rotated { new, .. } => records.load::<Key>(&new.id).await?.is_none(),
        KeyChange::Disabled => !matches!(found.state, KeyState::Disabled { .. }),
        KeyChange::ExpirySet { expires_at } => found.expires_at.is_none_or(|end| *expires_at < end),
        KeyChange::Rescoped { scopes } => found.scopes != *scopes,
        KeyChange::AddressesSet { addresses } => found.addresses != *addresses,
        KeyChange::Created { .. }
        | KeyChange::Renamed { .. }
        | KeyChange::MetadataSet { .. }
        | KeyChange::Enabled => false,
    };
    if wanted {
        if let KeyChange::Rotated { new, .. } = what {
            records.put(Key::clone(new));
        }
        found.apply(what, at, revision);
        records.put(found);
    }
    Ok(wanted)
}
