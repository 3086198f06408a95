//! What each change does to the rows. What it does to a record is core's business (`Key::apply` and its
//! like); here is only which records it touches.

use keyward_core::change::{
    Change, Expect, KeyChange, ManagementKeyChange, OrganizationChange, ProjectChange, Revision,
};
use keyward_core::clock::Timestamp;
use keyward_core::id::{ManagementKeyId, OrganizationId, ProjectId};
use keyward_core::key::Key;
use keyward_core::store::StoreError;
use keyward_core::tenancy::{Api, ManagementKey, Organization, Project};

use super::error::Cause;
use super::records::{Records, Refusal};

/// Makes one change, under its revision. Records that it makes get the revision as their own, in the change
/// too: the log then tells followers the same as the rows.
pub(super) async fn apply(
    records: &mut Records<'_>,
    change: &mut Change,
    at: Timestamp,
    revision: Revision,
) -> Result<(), Refusal> {
    let in_the_way = in_the_way(change);
    let done = match change {
        Change::Api { api } => api_applied(records, api, revision).await,
        Change::Organization { id, what } => organization(records, *id, what, at, revision).await,
        Change::Project { of, what } => project(records, of.id, what, at, revision).await,
        Change::Key { of, what } => key(records, of.id, what, at, revision).await,
        Change::ManagementKey { id, what } => management_key(records, *id, what, at, revision).await,
        Change::Store { .. } => Ok(()),
    };
    match done {
        // An id or digest that is taken, or a parent that is not there: the caller saw another state.
        Err(Refusal::Database(error)) => match (Cause::of(&error), in_the_way) {
            (Cause::Rule | Cause::MissingReference, Some(expect)) => Err(StoreError::Conflict(expect).into()),
            _ => Err(Refusal::Database(error)),
        },
        done => done,
    }
}

/// What a change that makes a record takes for granted: that there is none of this id yet, and its parent.
fn in_the_way(change: &Change) -> Option<Expect> {
    match change {
        Change::Api { .. } | Change::Store { .. } => None,
        Change::Organization { id, .. } => Some(Expect::Organization(*id, Revision::ZERO)),
        Change::Project { of, .. } => Some(Expect::Project(of.id, Revision::ZERO)),
        Change::Key { of, what: KeyChange::Rotated { new, .. } } if new.id != of.id => {
            Some(Expect::Key(new.id, Revision::ZERO))
        }
        Change::Key { of, .. } => Some(Expect::Key(of.id, Revision::ZERO)),
        Change::ManagementKey { id, .. } => Some(Expect::ManagementKey(*id, Revision::ZERO)),
    }
}

async fn api_applied(records: &mut Records<'_>, api: &mut Api, revision: Revision) -> Result<(), Refusal> {
    let before: Option<Api> = records.load(&api.name).await?;
    api.created_revision = before.map_or(revision, |before| before.created_revision);
    api.revision = revision;
    records.put_api(api).await
}

async fn organization(
    records: &mut Records<'_>,
    id: OrganizationId,
    what: &mut OrganizationChange,
    at: Timestamp,
    revision: Revision,
) -> Result<(), Refusal> {
    if let OrganizationChange::Created { organization } = what {
        (organization.created_revision, organization.revision) = (revision, revision);
        return records.insert_organization(organization).await;
    }
    let found: Option<Organization> = records.load(&id).await?;
    let mut organization = found.ok_or(StoreError::Conflict(Expect::Organization(id, Revision::ZERO)))?;
    organization.apply(what, at, revision);
    records.update_organization(&organization).await
}

async fn project(
    records: &mut Records<'_>,
    id: ProjectId,
    what: &mut ProjectChange,
    at: Timestamp,
    revision: Revision,
) -> Result<(), Refusal> {
    if let ProjectChange::Created { project } = what {
        (project.created_revision, project.revision) = (revision, revision);
        return records.insert_project(project).await;
    }
    let found: Option<Project> = records.load(&id).await?;
    let mut project = found.ok_or(StoreError::Conflict(Expect::Project(id, Revision::ZERO)))?;
    project.apply(what, at, revision);
    records.update_project(&project).await
}

async fn key(
    records: &mut Records<'_>,
    id: keyward_core::id::KeyId,
    what: &mut KeyChange,
    at: Timestamp,
    revision: Revision,
) -> Result<(), Refusal> {
    if let KeyChange::Created { key } = what {
        (key.created_revision, key.revision) = (revision, revision);
        return records.insert_key(key).await;
    }
    let found: Option<Key> = records.load(&id).await?;
    let mut key = found.ok_or(StoreError::Conflict(Expect::Key(id, Revision::ZERO)))?;
    if let KeyChange::Rotated { new, .. } = what {
        (new.created_revision, new.revision) = (revision, revision);
        records.insert_key(new).await?;
    }
    key.apply(what, at, revision);
    records.update_key(&key).await
}

async fn management_key(
    records: &mut Records<'_>,
    id: ManagementKeyId,
    what: &mut ManagementKeyChange,
    at: Timestamp,
    revision: Revision,
) -> Result<(), Refusal> {
    if let ManagementKeyChange::Created { key } = what {
        (key.created_revision, key.revision) = (revision, revision);
        return records.insert_management_key(key).await;
    }
    let found: Option<ManagementKey> = records.load(&id).await?;
    let mut key = found.ok_or(StoreError::Conflict(Expect::ManagementKey(id, Revision::ZERO)))?;
    if let ManagementKeyChange::Rotated { new } = what {
        (new.created_revision, new.revision) = (revision, revision);
        records.insert_management_key(new).await?;
    }
    key.apply(what, at, revision);
    records.update_management_key(&key).await
}
