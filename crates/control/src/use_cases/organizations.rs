//! Organizations: the operator's customers. Making, suspending, resuming and deleting one is the operator's
//! (a caller that reaches everything); an organization's own management key may read and rename it.

use keyward_core::change::{Change, Expect, OrganizationChange, Revision};
use keyward_core::id::OrganizationId;
use keyward_core::permission::Permission;
use keyward_core::store::Page;
use keyward_core::tenancy::{Boundary, Organization, TenantState};
use keyward_core::text;

use super::commit::{Committed, Made, Once, Plan, Tries, another_kind};
use super::data_keys::Shredding;
use super::error::{ControlError, Result};
use super::force::Force;
use super::{Asked, Control, Listed};

/// Longest name of an organization or project, in characters.
pub(super) const NAME_CHARS_MAX: u32 = 100;

/// An organization that was made.
#[derive(Debug)]
pub struct OrganizationMade {
    /// It.
    pub organization: Organization,
    /// Whether it had been made by the same request before.
    pub is_repeated: bool,
}

impl Control {
    /// Makes an organization.
    ///
    /// # Errors
    /// Where the caller may not, or the name is none.
    pub async fn create_organization(&self, asked: &Asked, name: &str) -> Result<OrganizationMade> {
        asked.require_everywhere(Permission::OrganizationsWrite)?;
        match self.once(asked, self.make_organization(asked, name)).await? {
            Once::Now(organization) => Ok(OrganizationMade { organization, is_repeated: false }),
            Once::Before(Made::Organization { id }) => {
                Ok(OrganizationMade { organization: self.find_organization(asked, id).await?, is_repeated: true })
            }
            Once::Before(other) => another_kind(&other),
        }
    }

    async fn make_organization(&self, asked: &Asked, name: &str) -> Result<Organization> {
        let now = self.now();
        let organization = Organization {
            id: OrganizationId::random(&*self.entropy),
            name: tenant_name(name)?,
            created_at: now,
            state: TenantState::Active,
            created_revision: Revision::ZERO,
            revision: Revision::ZERO,
        };
        let id = organization.id;
        let created = OrganizationChange::Created { organization: Box::new(organization.clone()) };
        let changes = vec![Change::Organization { id, what: created }];
        let plan = Plan { expect: Vec::new(), changes, made: Some(Made::Organization { id }) };
        match self.commit(asked, now, plan).await? {
            Committed::InForce(_) => Ok(organization),
            Committed::Stale(expect) => Err(ControlError::Conflict(Some(expect))),
        }
    }

    /// An organization.
    ///
    /// # Errors
    /// Where there is none that the caller reaches.
    pub async fn organization(&self, asked: &Asked, id: OrganizationId) -> Result<Organization> {
        asked.require(Permission::OrganizationsRead)?;
        self.find_organization(asked, id).await
    }

    /// The organizations that the caller reaches, newest first.
    ///
    /// # Errors
    /// Where the caller may not list any.
    pub async fn organizations(
        &self,
        asked: &Asked,
        before: Option<Revision>,
        limit: u32,
    ) -> Result<Listed<Organization>> {
        asked.require(Permission::OrganizationsRead)?;
        let found = match asked.caller.boundary() {
            Boundary::Everything => self.store.organizations(Page { before, limit: limit + 1 }).await?,
            Boundary::Organization(own) if before.is_none() => {
                let own = self.store.organization(own).await?;
                own.into_iter().filter(|own| !own.state.is_deleted()).collect()
            }
            Boundary::Organization(_) | Boundary::Project(_) => Vec::new(),
        };
        Ok(Listed::cut(found, limit, |organization| organization.created_revision))
    }

    /// Gives an organization another name.
    ///
    /// # Errors
    /// Where there is none that the caller reaches, or the name is none.
    pub async fn rename_organization(&self, asked: &Asked, id: OrganizationId, name: &str) -> Result<Organization> {
        asked.require(Permission::OrganizationsWrite)?;
        self.find_organization(asked, id).await?;
        let name = tenant_name(name)?;
        let decide =
            |found: &Organization| (found.name != name).then(|| OrganizationChange::Renamed { name: name.clone() });
        Ok(self.change_organization(asked, id, decide).await?.0)
    }

    /// Has an organization's keys refused until it is resumed.
    ///
    /// # Errors
    /// Where the caller may not, or there is no such organization.
    pub async fn suspend_organization(&self, asked: &Asked, id: OrganizationId) -> Result<(Organization, Force)> {
        self.require_operator_of(asked, id).await?;
        let decide = |found: &Organization| found.state.is_active().then_some(OrganizationChange::Suspended);
        self.change_organization(asked, id, decide).await
    }

    /// Has an organization served again.
    ///
    /// # Errors
    /// Where the caller may not, or there is no such organization.
    pub async fn resume_organization(&self, asked: &Asked, id: OrganizationId) -> Result<(Organization, Force)> {
        self.require_operator_of(asked, id).await?;
        let decide = |found: &Organization| (!found.state.is_active()).then_some(OrganizationChange::Resumed);
        self.change_organization(asked, id, decide).await
    }

    /// Ends an organization, with its projects and keys, for ever. Its projects' data keys are shredded with it: nobody could
    /// do so afterwards.
    ///
    /// # Errors
    /// Where the caller may not, or there is no such organization.
    pub async fn delete_organization(&self, asked: &Asked, id: OrganizationId) -> Result<(Organization, Force)> {
        self.require_operator_of(asked, id).await?;
        let mut tries = Tries::default();
        loop {
            let mut found = self.find_organization(asked, id).await?;
            let now = self.now();
            let Shredding { mut changes, expect: mut expected } = self.shredding_of_all(id).await?;
            expected.push(Expect::Organization(id, found.revision));
            changes.push(Change::Organization { id, what: OrganizationChange::Deleted });
            match self.commit(asked, now, Plan { expect: expected, changes, made: None }).await? {
                Committed::Stale(expect) => tries.again(self, expect).await?,
                Committed::InForce(mut in_force) => {
                    found.apply(&OrganizationChange::Deleted, now, found.revision.next());
                    // A project's first data key may have come between the look and the end; none comes after it.
                    let Shredding { changes, expect } = self.shredding_of_all(id).await?;
                    if !changes.is_empty() {
                        match self.commit(asked, now, Plan { expect, changes, made: None }).await? {
                            Committed::InForce(later) => in_force = later,
                            Committed::Stale(expect) => return Err(ControlError::Conflict(Some(expect))),
                        }
                    }
                    return Ok((found, in_force));
                }
            }
        }
    }

    /// Goes on only for the operator, after telling others that do not reach it that there is nothing.
    async fn require_operator_of(&self, asked: &Asked, id: OrganizationId) -> Result<()> {
        asked.require(Permission::OrganizationsWrite)?;
        self.find_organization(asked, id).await?;
        asked.require_everywhere(Permission::OrganizationsWrite)
    }

    async fn change_organization(
        &self,
        asked: &Asked,
        id: OrganizationId,
        decide: impl Fn(&Organization) -> Option<OrganizationChange>,
    ) -> Result<(Organization, Force)> {
        let mut tries = Tries::default();
        loop {
            let mut found = self.find_organization(asked, id).await?;
            let now = self.now();
            let what = decide(&found);
            let expect = vec![Expect::Organization(id, found.revision)];
            let changes = what.iter().map(|what| Change::Organization { id, what: what.clone() }).collect();
            match self.commit(asked, now, Plan { expect, changes, made: None }).await? {
                Committed::Stale(expect) => tries.again(self, expect).await?,
                Committed::InForce(in_force) => {
                    if let Some(what) = what {
                        found.apply(&what, now, found.revision.next());
                    }
                    return Ok((found, in_force));
                }
            }
        }
    }

    pub(crate) async fn find_organization(&self, asked: &Asked, id: OrganizationId) -> Result<Organization> {
        let found = self.store.organization(id).await?;
        found
            .filter(|found| !found.state.is_deleted() && asked.caller.reaches_organization(id))
            .ok_or(ControlError::NotFound)
    }
}

/// Takes a text as the name of an organization or project.
pub(super) fn tenant_name(name: &str) -> Result<String> {
    text::name(name, 1, NAME_CHARS_MAX).map_err(|message| ControlError::invalid("name", message))
}
