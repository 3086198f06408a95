//! Which changes of the journal still make sense on a restored backup: what took something away since, from
//! somebody the backup knows.
//!
//! Decided on records in memory, one change after the other, before anything is written: the log tells how
//! many there are before it tells them.

use keyward_core::change::{
    Change, DataKeyChange, InvitationChange, KeyChange, KeysChange, KeysOf, ManagementKeyChange,
    OrganizationChange, PersonChange, ProjectChange, Revision,
};
use keyward_core::clock::Timestamp;
use keyward_core::data_keyring::DataKeyring;
use keyward_core::key::{Key, KeyState};
use keyward_core::people::{Invitation, InvitationState, Person};
use keyward_core::tenancy::{Api, ManagementKey, Organization, Project, TenantState};

use super::foresee;
use super::narrowing;
use super::people::unlink;
use super::records::{DigestKind, Records, Refusal};
use super::timeline::Belief;

/// What is to be done again of changes that were lost, one after the other. `head` is the log's last revision.
pub(crate) async fn consider_all(
    records: &mut Records<'_>,
    lost: Vec<(Change, Belief)>,
    at: Timestamp,
    head: Revision,
) -> Result<Vec<Change>, Refusal> {
    match foresee::read_for(records, lost.iter().map(|(change, _)| change)).await {
        // A record that cannot be read is met again where it is needed.
        Ok(()) | Err(Refusal::Proposal(_)) => {}
        Err(error) => return Err(error),
    }
    // Only has to be above every revision in the log.
    let mut revision = head;
    let mut again = Vec::new();
    for (change, belief) in lost {
        revision = revision.next();
        again.extend(consider(records, (change, belief), at, revision).await?);
    }
    // It was only thought through: made, it is by the proposal.
    records.refuse();
    Ok(again)
}

/// What is to be done again of a change; none where it makes no sense any more. The records in memory move on
/// by it. `revision` only has to grow from call to call.
async fn consider(
    records: &mut Records<'_>,
    (change, belief): (Change, Belief),
    at: Timestamp,
    revision: Revision,
) -> Result<Option<Change>, Refusal> {
    match change {
        // What is neither wider nor narrower than what stands is only made again where it surely stood.
        Change::Api { .. } if belief != Belief::Happened => Ok(None),
        Change::Api { api } => Ok(api_applied(records, &api).await?.then_some(Change::Api { api })),
        Change::Organization { id, what } => {
            let Some(mut found) = records.load::<Organization>(&id).await? else { return Ok(None) };
            if !is_wanted_by_organization(&found, &what) {
                return Ok(None);
            }
            found.apply(&what, at, revision);
            records.put(found);
            Ok(Some(Change::Organization { id, what }))
        }
        Change::Project { of, what } => {
            let Some(mut found) = records.load::<Project>(&of.id).await? else { return Ok(None) };
            if !is_wanted_by_project(&found, &what, belief) {
                return Ok(None);
            }
            found.apply(&what, at, revision);
            records.put(found);
            Ok(Some(Change::Project { of, what }))
        }
        Change::Key { of, what } => {
            let Some(mut found) = records.load::<Key>(&of.id).await? else { return Ok(None) };
            let Some(what) = wanted_by_key(records, &found, what, belief).await? else { return Ok(None) };
            found.apply(&what, at, revision);
            records.put(found);
            Ok(Some(Change::Key { of, what }))
        }
        Change::Keys { of, what } => keys(records, (of, what), belief, (at, revision)).await,
        Change::DataKey { of, what } => {
            let Some(mut found) = records.load::<DataKeyring>(&of.id).await? else { return Ok(None) };
            let Some(what) = wanted_by_data_keys(&found, what) else { return Ok(None) };
            found.apply(&what, at, revision);
            records.put(found);
            Ok(Some(Change::DataKey { of, what }))
        }
        Change::ManagementKey { id, what } => {
            let Some(mut found) = records.load::<ManagementKey>(&id).await? else { return Ok(None) };
            let Some(what) = wanted_by_management_key(records, &found, what, belief).await? else {
                return Ok(None);
            };
            found.apply(&what, at, revision);
            records.put(found);
            Ok(Some(Change::ManagementKey { id, what }))
        }
        Change::Person { id, what } => {
            let Some(mut found) = records.load::<Person>(&id).await? else { return Ok(None) };
            if !is_wanted_by_person(&found, &what) {
                return Ok(None);
            }
            if let PersonChange::IdentityUnlinked { identity } = &what {
                unlink(records, id, identity).await?;
            }
            found.apply(&what, at, revision);
            records.put(found);
            Ok(Some(Change::Person { id, what }))
        }
        Change::Invitation { id, organization, what } => {
            let Some(mut found) = records.load::<Invitation>(&id).await? else { return Ok(None) };
            let Some(what) = wanted_by_invitation(records, &found, what, belief).await? else { return Ok(None) };
            found.apply(&what, at, revision);
            records.put(found);
            Ok(Some(Change::Invitation { id, organization, what }))
        }
        Change::Store { .. } => Ok(None),
    }
}

/// Those of the keys to which it is still to happen; none where there are none.
async fn keys(
    records: &mut Records<'_>,
    (mut of, what): (Vec<KeysOf>, KeysChange),
    belief: Belief,
    (at, revision): (Timestamp, Revision),
) -> Result<Option<Change>, Refusal> {
    for KeysOf { keys, .. } in &mut of {
        let mut wanted = Vec::new();
        for id in keys.drain(..) {
            let Some(mut found) = records.load::<Key>(&id).await? else { continue };
            if let Some(what) = wanted_by_key(records, &found, what.of_each(), belief).await? {
                found.apply(&what, at, revision);
                records.put(found);
                wanted.push(id);
            }
        }
        *keys = wanted;
    }
    of.retain(|of| !of.keys.is_empty());
    Ok((!of.is_empty()).then_some(Change::Keys { of, what }))
}

/// What was shredded is shredded again, however far it is believed: who asked for it counts on it.
fn wanted_by_data_keys(found: &DataKeyring, what: DataKeyChange) -> Option<DataKeyChange> {
    match what {
        DataKeyChange::Shredded { mut keys } => {
            keys.retain(|id| found.key(*id).is_some_and(|key| !key.state.is_shredded()));
            (!keys.is_empty()).then_some(DataKeyChange::Shredded { keys })
        }
        // The journal holds no key.
        DataKeyChange::Created { .. } | DataKeyChange::Rotated { .. } => None,
    }
}

/// What was taken from a person is taken again, however far it is believed; a role is only ever lowered.
fn is_wanted_by_person(found: &Person, what: &PersonChange) -> bool {
    match what {
        PersonChange::Disabled => found.is_active(),
        PersonChange::OperatorSet { is_operator: false } => found.is_operator,
        PersonChange::Removed { organization } => found.membership(*organization).is_some(),
        PersonChange::IdentityUnlinked { identity } => found.identities.contains(identity),
        PersonChange::RoleSet { organization, role } => {
            found.membership(*organization).is_some_and(|place| place.role > *role)
        }
        PersonChange::Created { .. }
        | PersonChange::Renamed { .. }
        | PersonChange::PasswordSet { .. }
        | PersonChange::IdentityLinked { .. }
        | PersonChange::SignInLinkMade
        | PersonChange::OperatorSet { is_operator: true }
        | PersonChange::Enabled
        | PersonChange::Joined { .. } => false,
    }
}

/// An invitation that was used up or taken back cannot be accepted any more. Whom the backup does not know, or who may
/// not have accepted it, is not named: it then counts as taken back.
async fn wanted_by_invitation(
    records: &mut Records<'_>,
    found: &Invitation,
    what: InvitationChange,
    belief: Belief,
) -> Result<Option<InvitationChange>, Refusal> {
    if found.state != InvitationState::Open {
        return Ok(None);
    }
    match what {
        InvitationChange::Accepted { by } => {
            let is_known = belief == Belief::Happened && records.load::<Person>(&by).await?.is_some();
            Ok(Some(if is_known { what } else { InvitationChange::Withdrawn }))
        }
        InvitationChange::Withdrawn => Ok(Some(InvitationChange::Withdrawn)),
        InvitationChange::Created { .. } => Ok(None),
    }
}

/// A contract that was put in force is in force again, an API's first one too.
async fn api_applied(records: &mut Records<'_>, api: &Api) -> Result<bool, Refusal> {
    let found: Option<Api> = records.load(&api.name).await?;
    let differs = found.is_none_or(|found| (&found.source, &found.resolved) != (&api.source, &api.resolved));
    if differs {
        records.put(api.clone());
    }
    Ok(differs)
}

fn is_wanted_by_organization(found: &Organization, what: &OrganizationChange) -> bool {
    match what {
        OrganizationChange::Suspended => found.state.is_active(),
        OrganizationChange::Deleted => !found.state.is_deleted(),
        OrganizationChange::Created { .. } | OrganizationChange::Renamed { .. } | OrganizationChange::Resumed => {
            false
        }
    }
}

fn is_wanted_by_project(found: &Project, what: &ProjectChange, belief: Belief) -> bool {
    if matches!(found.state, TenantState::Deleted { .. }) {
        return false;
    }
    match what {
        ProjectChange::Suspended => found.state.is_active(),
        ProjectChange::Deleted => true,
        ProjectChange::PlanSet { plan } => belief == Belief::Happened && found.plan != *plan,
        ProjectChange::ActiveKeyLimitSet { limit } => {
            belief == Belief::Happened && found.active_key_limit != *limit
        }
        ProjectChange::LimitSet { name, limit } => {
            belief == Belief::Happened && found.limits.get(name) != limit.as_ref()
        }
        ProjectChange::AccessSet { is_granted: false } => found.is_granted,
        ProjectChange::DestinationSet { destination } => {
            belief == Belief::Happened && found.destination != *destination
        }
        ProjectChange::Created { .. }
        | ProjectChange::Renamed { .. }
        | ProjectChange::AccessSet { is_granted: true }
        | ProjectChange::Resumed => false,
    }
}

async fn wanted_by_key(
    records: &mut Records<'_>,
    found: &Key,
    what: KeyChange,
    belief: Belief,
) -> Result<Option<KeyChange>, Refusal> {
    if matches!(found.state, KeyState::Revoked { .. }) {
        return Ok(None);
    }
    let wanted = match &what {
        KeyChange::Revoked { .. } => true,
        // The journal has the new key whole: whoever rotated since the backup keeps the key they hold.
        KeyChange::Rotated { new, .. } => {
            let exists = records.load::<Key>(&new.id).await?.is_some();
            if exists && matches!(found.state, KeyState::Retiring { .. }) {
                return Ok(None);
            }
            let abandoned = belief == Belief::Abandoned;
            if abandoned && matches!(found.state, KeyState::Retiring { .. }) {
                return Ok(None);
            }
            if abandoned || exists || records.holder(DigestKind::Key, &new.digest).await?.is_some() {
                // It cannot be made, but the old one was to end.
                return Ok(Some(KeyChange::Revoked { reason: Some("rotated".into()) }));
            }
            records.digests.put(new.digest, new.id.to_string());
            records.put(Key::clone(new));
            true
        }
        KeyChange::Disabled => !matches!(found.state, KeyState::Disabled { .. }),
        KeyChange::ExpirySet { expires_at } => found.expires_at.is_none_or(|end| *expires_at < end),
        KeyChange::Rescoped { scopes } => return Ok(narrowing::scopes(found, scopes, belief)),
        KeyChange::AddressesSet { addresses } => return Ok(narrowing::addresses(found, addresses)),
        KeyChange::Created { .. }
        | KeyChange::Renamed { .. }
        | KeyChange::MetadataSet { .. }
        | KeyChange::Enabled => false,
    };
    Ok(wanted.then_some(what))
}

async fn wanted_by_management_key(
    records: &mut Records<'_>,
    found: &ManagementKey,
    what: ManagementKeyChange,
    belief: Belief,
) -> Result<Option<ManagementKeyChange>, Refusal> {
    if found.revoked_at.is_some() {
        return Ok(None);
    }
    match &what {
        ManagementKeyChange::Revoked => Ok(Some(what)),
        ManagementKeyChange::Rotated { new } => {
            let taken = belief == Belief::Abandoned
                || records.load::<ManagementKey>(&new.id).await?.is_some()
                || records.holder(DigestKind::ManagementKey, &new.digest).await?.is_some();
            if taken {
                return Ok(Some(ManagementKeyChange::Revoked));
            }
            records.management_digests.put(new.digest, new.id.to_string());
            records.put(ManagementKey::clone(new));
            Ok(Some(what))
        }
        ManagementKeyChange::Created { .. } => Ok(None),
    }
}
