//! Which records a change touches. What it does to a record is core's business (`Key::apply` and its like); changes
//! of people and invitations are [`super::people`]'s.

use keyward_core::change::{
    Change, Expect, KeyChange, ManagementKeyChange, OrganizationChange, ProjectChange, Revision,
};
use keyward_core::clock::Timestamp;
use keyward_core::id::{KeyId, ManagementKeyId, OrganizationId, ProjectId};
use keyward_core::key::Key;
use keyward_core::store::StoreError;
use keyward_core::tenancy::{Api, ManagementKey, Organization, Project};

use super::data_keys;
use super::people;
use super::records::{DigestKind, Records, Refusal};

/// Makes one change, under its revision. Records that it makes get the revision as their own, in the change
/// too: the log then tells followers the same as the rows.
pub(crate) async fn apply(
    records: &mut Records<'_>,
    change: &mut Change,
    at: Timestamp,
    revision: Revision,
) -> Result<(), Refusal> {
    match change {
        Change::Api { api } => api_applied(records, api, revision).await,
        Change::Organization { id, what } => organization(records, *id, what, at, revision).await,
        Change::Project { of, what } => project(records, of.id, what, at, revision).await,
        Change::Key { of, what } => key(records, of.id, what, at, revision).await,
        Change::Keys { of, what } => {
            let mut what = what.of_each();
            for id in of.iter().flat_map(|of| &of.keys) {
                key(records, *id, &mut what, at, revision).await?;
            }
            Ok(())
        }
        Change::DataKey { of, what } => data_keys::apply(records, of.id, what, at, revision).await,
        Change::ManagementKey { id, what } => management_key(records, *id, what, at, revision).await,
        Change::Person { id, what } => people::person(records, *id, what, at, revision).await,
        Change::Invitation { id, what, .. } => people::invitation(records, *id, what, at, revision).await,
        Change::Store { .. } => Ok(()),
    }?;
    if let Some(person) = change.ends_sessions_of() {
        records.signed_out.put(person, ());
    }
    Ok(())
}

/// Whoever proposed this saw another state: something is there already, or is not there.
pub(crate) fn conflict<T>(expect: Expect) -> Result<T, Refusal> {
    Err(StoreError::Conflict(expect).into())
}

async fn api_applied(records: &mut Records<'_>, api: &mut Api, revision: Revision) -> Result<(), Refusal> {
    let before: Option<Api> = records.load(&api.name).await?;
    api.created_revision = before.map_or(revision, |before| before.created_revision);
    api.revision = revision;
    records.put(api.clone());
    Ok(())
}

async fn organization(
    records: &mut Records<'_>,
    id: OrganizationId,
    what: &mut OrganizationChange,
    at: Timestamp,
    revision: Revision,
) -> Result<(), Refusal> {
    let found: Option<Organization> = records.load(&id).await?;
    match (found, &mut *what) {
        (None, OrganizationChange::Created { organization }) => {
            (organization.created_revision, organization.revision) = (revision, revision);
            records.put(Organization::clone(organization));
        }
        (Some(_), OrganizationChange::Created { .. }) | (None, _) => {
            return conflict(Expect::Organization(id, Revision::ZERO));
        }
        (Some(mut organization), what) => {
            organization.apply(what, at, revision);
            records.put(organization);
        }
    }
    Ok(())
}

async fn project(
    records: &mut Records<'_>,
    id: ProjectId,
    what: &mut ProjectChange,
    at: Timestamp,
    revision: Revision,
) -> Result<(), Refusal> {
    let found: Option<Project> = records.load(&id).await?;
    match (found, &mut *what) {
        (None, ProjectChange::Created { project }) => {
            let owner = project.organization;
            if records.load::<Organization>(&owner).await?.is_none() {
                return conflict(Expect::Organization(owner, Revision::ZERO));
            }
            (project.created_revision, project.revision) = (revision, revision);
            records.put(Project::clone(project));
        }
        (Some(_), ProjectChange::Created { .. }) | (None, _) => {
            return conflict(Expect::Project(id, Revision::ZERO));
        }
        (Some(mut project), what) => {
            project.apply(what, at, revision);
            records.put(project);
        }
    }
    Ok(())
}

async fn key(
    records: &mut Records<'_>,
    id: KeyId,
    what: &mut KeyChange,
    at: Timestamp,
    revision: Revision,
) -> Result<(), Refusal> {
    if let KeyChange::Created { key } = what {
        return new_key(records, key, revision).await;
    }
    let Some(mut key) = records.load::<Key>(&id).await? else {
        return conflict(Expect::Key(id, Revision::ZERO));
    };
    if let KeyChange::Rotated { new, .. } = what {
        new_key(records, new, revision).await?;
    }
    key.apply(what, at, revision);
    records.put(key);
    Ok(())
}

async fn new_key(records: &mut Records<'_>, key: &mut Key, revision: Revision) -> Result<(), Refusal> {
    let taken = records.load::<Key>(&key.id).await?.is_some()
        || records.holder(DigestKind::Key, &key.digest).await?.is_some();
    if taken {
        return conflict(Expect::Key(key.id, Revision::ZERO));
    }
    if records.load::<Project>(&key.project).await?.is_none() {
        return conflict(Expect::Project(key.project, Revision::ZERO));
    }
    (key.created_revision, key.revision) = (revision, revision);
    records.digests.put(key.digest, key.id.to_string());
    records.put(key.clone());
    Ok(())
}

async fn management_key(
    records: &mut Records<'_>,
    id: ManagementKeyId,
    what: &mut ManagementKeyChange,
    at: Timestamp,
    revision: Revision,
) -> Result<(), Refusal> {
    if let ManagementKeyChange::Created { key } = what {
        return new_management_key(records, key, revision).await;
    }
    let Some(mut key) = records.load::<ManagementKey>(&id).await? else {
        return conflict(Expect::ManagementKey(id, Revision::ZERO));
    };
    if let ManagementKeyChange::Rotated { new } = what {
        new_management_key(records, new, revision).await?;
    }
    key.apply(what, at, revision);
    records.put(key);
    Ok(())
}

async fn new_management_key(
    records: &mut Records<'_>,
    key: &mut ManagementKey,
    revision: Revision,
) -> Result<(), Refusal> {
    let taken = records.load::<ManagementKey>(&key.id).await?.is_some()
        || records.holder(DigestKind::ManagementKey, &key.digest).await?.is_some();
    if taken {
        return conflict(Expect::ManagementKey(key.id, Revision::ZERO));
    }
    (key.created_revision, key.revision) = (revision, revision);
    records.management_digests.put(key.digest, key.id.to_string());
    records.put(key.clone());
    Ok(())
}
