//! Ending many keys at once: one change, one revision, one wait. What is revoked is what stands at that moment; to keep
//! new keys from being made, suspend the project or organization.

use std::collections::BTreeMap;

use keyward_core::change::{Change, Expect, KeysChange, KeysOf};
use keyward_core::id::{KeyId, OrganizationId, ProjectId};
use keyward_core::key::{Key, KeyState};
use keyward_core::permission::Permission;
use keyward_core::store::{KeyFilter, Page};
use keyward_verify::InForce;

use super::commit::{Committed, Plan, Tries};
use super::error::{ControlError, Faults, Result};
use super::force::{Force, Named, RevocationId};
use super::keys::{checked_reason, require_acknowledged};
use super::projects::Place;
use super::{Asked, Control};

/// Most keys that one revocation may name.
pub const KEYS_MAX: usize = 1_000;
/// Rows read in one go.
const AT_ONCE: u32 = 1_000;

/// Which keys are to end.
#[derive(Debug, Clone)]
pub enum Target {
    /// These.
    Keys(Vec<KeyId>),
    /// All of a project.
    Project(ProjectId),
    /// All of an organization.
    Organization(OrganizationId),
}

/// A revocation of many keys.
#[derive(Debug)]
pub struct Revocation {
    /// Its name.
    pub id: RevocationId,
    /// How many keys it ended; none where the name is another change's.
    pub revoked: Option<u32>,
    /// How it took force; none where nobody waited for it and it has not yet.
    pub in_force: Option<InForce>,
}

impl Control {
    /// Ends many keys.
    ///
    /// # Errors
    /// Where one of them is none that the caller reaches, or a contract's statements are not acknowledged.
    pub async fn revoke_many(
        &self,
        asked: &Asked,
        target: &Target,
        reason: Option<&str>,
        acknowledge: bool,
    ) -> Result<Revocation> {
        asked.require(Permission::KeysWrite)?;
        let reason = checked_reason(reason)?;
        let mut tries = Tries::default();
        loop {
            let found = self.find_target(asked, target).await?;
            require_acknowledged(&statements(&found), acknowledge)?;
            let now = self.now();
            let open = |key: &&Key| !matches!(key.state, KeyState::Revoked { .. });
            let mut expect = Vec::new();
            let mut of: BTreeMap<ProjectId, KeysOf> = BTreeMap::new();
            for (place, keys) in &found {
                for key in keys.iter().filter(open) {
                    expect.push(Expect::Key(key.id, key.revision));
                    let project = || KeysOf { project: place.project_ref(), keys: Vec::new() };
                    of.entry(key.project).or_insert_with(project).keys.push(key.id);
                }
            }
            let revoked = u32::try_from(expect.len()).unwrap_or(u32::MAX);
            let what = KeysChange::Revoked { reason: reason.clone() };
            let change = (!of.is_empty()).then(|| Change::Keys { of: of.into_values().collect(), what });
            let changes = Vec::from_iter(change);
            match self.commit(asked, now, Plan { expect, changes, made: None }).await? {
                Committed::Stale(expect) => tries.again(self, expect).await?,
                Committed::InForce(Force { revision, in_force, .. }) => {
                    let (revoked, boundary) = (Some(revoked), asked.caller.boundary());
                    let id = self.named(&Named { revision, revoked, boundary });
                    return Ok(Revocation { id, revoked, in_force });
                }
            }
        }
    }

    /// How a revocation, or any other change that its caller did not wait for, took force. Waits again until it has,
    /// where the caller waits.
    ///
    /// # Errors
    /// Where there was none of this name within the caller's boundary.
    pub async fn revocation(&self, asked: &Asked, id: &RevocationId) -> Result<Revocation> {
        let (named, in_force) = self.ask_again(asked, id).await?;
        Ok(Revocation { id: id.clone(), revoked: named.revoked, in_force })
    }

    async fn find_target(&self, asked: &Asked, target: &Target) -> Result<Vec<(Place, Vec<Key>)>> {
        match target {
            Target::Keys(ids) => self.find_named(asked, ids).await,
            Target::Project(id) => {
                let place = self.find_project(asked, *id).await?;
                let keys = self.all_keys(*id).await?;
                Ok(vec![(place, keys)])
            }
            Target::Organization(id) => {
                let organization = self.find_organization(asked, *id).await?;
                let mut found = Vec::new();
                let mut before = None;
                loop {
                    let projects = self.store.projects(organization.id, Page { before, limit: AT_ONCE }).await?;
                    let Some(last) = projects.last() else { return Ok(found) };
                    before = Some(last.created_revision);
                    for project in projects {
                        let place = self.find_project(asked, project.id).await?;
                        found.push((place, self.all_keys(project.id).await?));
                    }
                }
            }
        }
    }

    async fn find_named(&self, asked: &Asked, ids: &[KeyId]) -> Result<Vec<(Place, Vec<Key>)>> {
        let mut faults = Faults::default();
        if ids.is_empty() || ids.len() > KEYS_MAX {
            faults.add("keys", format!("must be 1 to {KEYS_MAX}"));
        }
        faults.finish()?;
        let mut faults = Faults::default();
        let mut found: Vec<(Place, Vec<Key>)> = Vec::new();
        for (number, id) in ids.iter().enumerate().filter(|(number, id)| !ids[..*number].contains(id)) {
            match self.find_key(asked, *id).await {
                Ok((key, place)) => found.push((place, vec![key])),
                Err(ControlError::NotFound) => faults.add(&format!("keys.{number}"), "is no key within reach"),
                Err(error) => return Err(error),
            }
        }
        faults.finish()?;
        Ok(found)
    }

    async fn all_keys(&self, project: ProjectId) -> Result<Vec<Key>> {
        let mut keys = Vec::new();
        let mut before = None;
        loop {
            let page = self.store.keys(project, &KeyFilter::default(), Page { before, limit: AT_ONCE }).await?;
            let Some(last) = page.last() else { return Ok(keys) };
            before = Some(last.created_revision);
            keys.extend(page);
        }
    }
}

/// What has to be acknowledged before these keys end: the statements of every contract, each once.
fn statements(found: &[(Place, Vec<Key>)]) -> Vec<String> {
    let mut statements: Vec<String> = Vec::new();
    for statement in found.iter().flat_map(|(place, _)| &place.api.contract.acknowledge.revoke) {
        if !statements.contains(statement) {
            statements.push(statement.clone());
        }
    }
    statements
}
