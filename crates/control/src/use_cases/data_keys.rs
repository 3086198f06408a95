//! A project's data keys, under which its fields are encrypted: which there are, a new one in the current one's place, and
//! destroying them all. What they encrypt is the data plane's business; a project's first is made when it is first used.

use keyward_core::change::{Change, DataKeyChange, Expect, ProjectRef, Revision};
use keyward_core::data_key::DataKeyId;
use keyward_core::data_keyring::{DATA_KEYS_MAX, DataKeyFacts, DataKeyring};
use keyward_core::id::{OrganizationId, ProjectId};
use keyward_core::permission::Permission;
use keyward_core::store::Page;
use keyward_core::tenancy::Project;

use super::commit::{Committed, Made, Once, Plan, Tries, another_kind};
use super::error::{ControlError, Result};
use super::force::Force;
use super::{Asked, Control};

/// What is acknowledged by whoever shreds.
pub const SHREDDING: &str = "Everything that this project has encrypted can never be decrypted again";

/// How many projects are looked through at a time.
const PART: u32 = 200;

/// A data key that was made.
#[derive(Debug)]
pub struct DataKeyMade {
    /// The key.
    pub key: DataKeyFacts,
    /// Whether it had been made by the same request before.
    pub is_repeated: bool,
}

/// What shreds a project's data keys, as a part of a larger change.
#[derive(Default)]
pub(super) struct Shredding {
    /// None where there is nothing to shred.
    pub changes: Vec<Change>,
    /// That no data key has come since.
    pub expect: Vec<Expect>,
}

impl Control {
    /// What shreds all that a project has.
    pub(super) async fn shredding(&self, project: &Project) -> Result<Shredding> {
        let ring = self.keyring(project.id).await?;
        let keys: Vec<DataKeyId> = ring.living().map(|key| key.id).collect();
        let of = ProjectRef { id: project.id, organization: project.organization, api: project.api.clone() };
        let shred = Change::DataKey { of, what: DataKeyChange::Shredded { keys } };
        let changes = ring.living().next().map(|_| shred).into_iter().collect();
        Ok(Shredding { changes, expect: vec![Expect::DataKeys(project.id, ring.revision)] })
    }

    /// What shreds all that an organization's projects have.
    pub(super) async fn shredding_of_all(&self, organization: OrganizationId) -> Result<Shredding> {
        let (mut all, mut before) = (Shredding::default(), None);
        loop {
            let part = self.store.projects(organization, Page { before, limit: PART }).await?;
            let Some(last) = part.last() else { return Ok(all) };
            before = Some(last.created_revision);
            for project in &part {
                let of_one = self.shredding(project).await?;
                if !of_one.changes.is_empty() {
                    all.changes.extend(of_one.changes);
                    all.expect.extend(of_one.expect);
                }
            }
        }
    }

    /// A project's data keys, the newest first.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches.
    pub async fn data_keys(&self, asked: &Asked, project: ProjectId) -> Result<Vec<DataKeyFacts>> {
        asked.require(Permission::ProjectsRead)?;
        let place = self.find_project(asked, project).await?;
        let ring = self.store.data_keyring(place.project.id).await?;
        Ok(newest_first(ring.map_or_else(Vec::new, |ring| ring.keys)))
    }

    /// Has another data key encrypt from now on; those before it only open. The project's first, where it has none.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches, or no data key can be made now.
    pub async fn rotate_data_key(&self, asked: &Asked, project: ProjectId) -> Result<DataKeyMade> {
        asked.require(Permission::ProjectsWrite)?;
        self.find_project(asked, project).await?;
        match self.once(asked, self.make_data_key(asked, project)).await? {
            Once::Now(key) => Ok(DataKeyMade { key, is_repeated: false }),
            Once::Before(Made::DataKey { id }) => {
                let ring = self.store.data_keyring(project).await?;
                let found = ring.as_ref().and_then(|ring| ring.key(id)).copied();
                Ok(DataKeyMade { key: found.ok_or(ControlError::NotFound)?, is_repeated: true })
            }
            Once::Before(other) => another_kind(&other),
        }
    }

    async fn make_data_key(&self, asked: &Asked, project: ProjectId) -> Result<DataKeyFacts> {
        let mut tries = Tries::default();
        loop {
            let place = self.find_project(asked, project).await?;
            place.require_served()?;
            let mut ring = self.keyring(project).await?;
            if ring.keys.len() >= DATA_KEYS_MAX {
                let reason = format!("a project can have {DATA_KEYS_MAX} data keys, and this one has had them");
                return Err(ControlError::invalid("", reason));
            }
            let (id, wrapped) = self.engine.wrap_new_data_key(project).await?;
            let wrapped = Some(wrapped);
            let what = match ring.current() {
                None => DataKeyChange::Created { id, wrapped },
                Some(_) => DataKeyChange::Rotated { id, wrapped },
            };
            let mut expect = place.expectations();
            expect.push(Expect::DataKeys(project, ring.revision));
            let changes = vec![Change::DataKey { of: place.project_ref(), what: what.clone() }];
            let now = self.now();
            match self.commit(asked, now, Plan { expect, changes, made: Some(Made::DataKey { id }) }).await? {
                Committed::Stale(expect) => tries.again(self, expect).await?,
                Committed::InForce(_) => {
                    ring.apply(&what, now, ring.revision.next());
                    let key = ring.key(id).copied();
                    return key
                        .ok_or_else(|| ControlError::Internal("a data key was made and is not there".into()));
                }
            }
        }
    }

    /// Destroys all data keys of a project: what they encrypted can never be decrypted again. When this returns no node
    /// has any of them, and requests that used them have ended. Where there are none, nothing is done.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches, or what that means is not acknowledged.
    pub async fn shred_data_keys(
        &self,
        asked: &Asked,
        project: ProjectId,
        acknowledge: bool,
    ) -> Result<(Vec<DataKeyFacts>, Force)> {
        asked.require(Permission::ProjectsWrite)?;
        let mut tries = Tries::default();
        loop {
            let place = self.find_project(asked, project).await?;
            if !acknowledge {
                return Err(ControlError::AcknowledgementRequired(vec![SHREDDING.to_owned()]));
            }
            let mut ring = self.keyring(project).await?;
            let keys: Vec<DataKeyId> = ring.living().map(|key| key.id).collect();
            let what = DataKeyChange::Shredded { keys };
            let change = Change::DataKey { of: place.project_ref(), what: what.clone() };
            let has_any = ring.living().next().is_some();
            let changes = if has_any { vec![change] } else { Vec::new() };
            let expect = vec![Expect::DataKeys(project, ring.revision)];
            let now = self.now();
            match self.commit(asked, now, Plan { expect, changes, made: None }).await? {
                Committed::Stale(expect) => tries.again(self, expect).await?,
                Committed::InForce(force) => {
                    if has_any {
                        ring.apply(&what, now, ring.revision.next());
                    }
                    return Ok((newest_first(ring.keys), force));
                }
            }
        }
    }

    async fn keyring(&self, project: ProjectId) -> Result<DataKeyring> {
        let found = self.store.data_keyring(project).await?;
        Ok(found.unwrap_or_else(|| DataKeyring { revision: Revision::ZERO, ..DataKeyring::empty(project) }))
    }
}

fn newest_first(mut keys: Vec<DataKeyFacts>) -> Vec<DataKeyFacts> {
    keys.reverse();
    keys
}
