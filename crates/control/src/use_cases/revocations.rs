//! Ending many keys at once: one change, one revision, one wait. What is revoked is what stands at that moment; to keep
//! new keys from being made, suspend the project or organization.

use std::collections::BTreeMap;

use keyward_core::change::{Change, Expect, KeysChange, KeysOf, Revision};
use keyward_core::id::{KeyId, OrganizationId, ProjectId};
use keyward_core::key::{Key, KeyState};
use keyward_core::permission::Permission;
use keyward_core::store::{KeyFilter, Page};
use keyward_core::tenancy::Boundary;
use keyward_verify::InForce;

use super::commit::{Committed, Plan, Tries};
use super::error::{ControlError, Faults, Result};
use super::keys::{checked_reason, require_acknowledged};
use super::projects::Place;
use super::{Asked, Control, opened, sealed};

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

/// The name under which a revocation can be asked for again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationId(pub String);

/// A revocation of many keys.
#[derive(Debug)]
pub struct Revocation {
    /// Its name.
    pub id: RevocationId,
    /// How many keys it ended.
    pub revoked: u32,
    /// How it took force.
    pub in_force: InForce,
}

const PREFIX: &str = "revocation_";
const PURPOSE: &str = "revocation";

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
                Committed::InForce(in_force) => {
                    // All of it is in force up to here, so this revision stands for the revocation.
                    let id = self.revocation_id(self.engine.applied(), revoked, asked.caller.boundary());
                    return Ok(Revocation { id, revoked, in_force });
                }
            }
        }
    }

    /// A revocation made before; waits again until it is in force.
    ///
    /// # Errors
    /// Where there was none of this name within the caller's boundary.
    pub async fn revocation(&self, asked: &Asked, id: &RevocationId) -> Result<Revocation> {
        asked.require(Permission::KeysWrite)?;
        let (revision, revoked, boundary) = self.open_revocation(id).ok_or(ControlError::NotFound)?;
        let own = asked.caller.boundary();
        if own != Boundary::Everything && own != boundary {
            return Err(ControlError::NotFound);
        }
        let in_force = self.engine.settle(revision).await?;
        Ok(Revocation { id: id.clone(), revoked, in_force })
    }

    /// A revocation's name carries what is to be known of it, sealed: it needs no record of its own.
    fn revocation_id(&self, revision: Revision, revoked: u32, boundary: Boundary) -> RevocationId {
        let (kind, wall) = match boundary {
            Boundary::Everything => (0u8, 0),
            Boundary::Organization(id) => (1, id.as_u128()),
            Boundary::Project(id) => (2, id.as_u128()),
        };
        let mut content = revision.0.to_be_bytes().to_vec();
        content.extend(revoked.to_be_bytes());
        content.push(kind);
        content.extend(wall.to_be_bytes());
        RevocationId(format!("{PREFIX}{}", sealed(&self.log_keys, PURPOSE, &content)))
    }

    fn open_revocation(&self, id: &RevocationId) -> Option<(Revision, u32, Boundary)> {
        let content = opened(&self.log_keys, PURPOSE, id.0.strip_prefix(PREFIX)?)?;
        let (revision, rest) = content.split_first_chunk::<8>()?;
        let (revoked, rest) = rest.split_first_chunk::<4>()?;
        let (&kind, rest) = rest.split_first()?;
        let wall = u128::from_be_bytes(rest.try_into().ok()?);
        let boundary = match kind {
            0 => Boundary::Everything,
            1 => Boundary::Organization(OrganizationId::from_u128(wall)),
            _ => Boundary::Project(ProjectId::from_u128(wall)),
        };
        Some((Revision(i64::from_be_bytes(*revision)), u32::from_be_bytes(*revoked), boundary))
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
