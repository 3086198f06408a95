//! Projects: the walls. A project belongs to one organization and one API; its keys' rules are that API's
//! contract in force. Plan and limits are the operator's side of a project (`plans:write`).

mod create;
mod edit;

use std::sync::Arc;

use keyward_core::change::{Expect, KeyRef, ProjectRef, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::{OrganizationId, ProjectId};
use keyward_core::key::{Key, Standing};
use keyward_core::permission::Permission;
use keyward_core::store::{KeyFilter, Page};
use keyward_core::tenancy::{Organization, Project};
use keyward_verify::ApiInForce;

use super::error::{ControlError, Result};
use super::{Asked, Control, Listed};

pub use create::{NewProject, ProjectMade};
pub use edit::ProjectEdit;

/// A project with what is told beside it.
#[derive(Debug)]
pub struct SeenProject {
    /// The project.
    pub project: Project,
    /// The contract's word for a project.
    pub noun: String,
    /// How many live keys it may have.
    pub active_key_limit: Option<u32>,
    /// How many it has.
    pub active_keys: u64,
}

/// A project with all that rules its keys.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub project: Project,
    pub organization: Organization,
    pub api: Arc<ApiInForce>,
}

impl Place {
    /// How a change names the project.
    pub fn project_ref(&self) -> ProjectRef {
        let Project { id, organization, ref api, .. } = self.project;
        ProjectRef { id, organization, api: api.clone() }
    }

    /// How a change names one of its keys.
    pub fn key_ref(&self, key: &Key) -> KeyRef {
        let Project { id, organization, ref api, .. } = self.project;
        KeyRef { id: key.id, project: id, organization, api: api.clone() }
    }

    /// How many live keys it may have.
    pub fn active_key_limit(&self) -> Option<u32> {
        self.api.contract.active_key_limit(&self.project)
    }

    /// That neither project, organization nor contract has changed since.
    pub fn expectations(&self) -> Vec<Expect> {
        let mut expect = self.expectations_around();
        expect.push(Expect::Project(self.project.id, self.project.revision));
        expect
    }

    /// The same for a project that is only being made.
    pub fn expectations_around(&self) -> Vec<Expect> {
        vec![
            Expect::Api(self.api.name.clone(), self.api.revision),
            Expect::Organization(self.organization.id, self.organization.revision),
        ]
    }

    /// Goes on only where new keys may be made.
    pub fn require_served(&self) -> Result<()> {
        if !self.organization.state.is_active() {
            return Err(ControlError::Suspended("organization"));
        }
        if !self.project.state.is_active() {
            return Err(ControlError::Suspended("project"));
        }
        Ok(())
    }
}

impl Control {
    /// A project.
    ///
    /// # Errors
    /// Where there is none that the caller reaches.
    pub async fn project(&self, asked: &Asked, id: ProjectId) -> Result<SeenProject> {
        asked.require(Permission::ProjectsRead)?;
        self.see_project(self.find_project(asked, id).await?).await
    }

    /// An organization's projects, newest first.
    ///
    /// # Errors
    /// Where there is no organization that the caller reaches.
    pub async fn projects(
        &self,
        asked: &Asked,
        organization: OrganizationId,
        before: Option<Revision>,
        limit: u32,
    ) -> Result<Listed<SeenProject>> {
        asked.require(Permission::ProjectsRead)?;
        let organization = self.find_organization(asked, organization).await?;
        let page = Page { before, limit: limit + 1 };
        let found = self.store.projects(organization.id, page).await?;
        let Listed { items, next } = Listed::cut(found, limit, |project| project.created_revision);
        let mut seen = Vec::with_capacity(items.len());
        for project in items {
            let api = self.contract_of(&project)?;
            seen.push(self.see_project(Place { project, organization: organization.clone(), api }).await?);
        }
        Ok(Listed { items: seen, next })
    }

    /// A project that the caller reaches, with all that rules its keys.
    pub(crate) async fn find_project(&self, asked: &Asked, id: ProjectId) -> Result<Place> {
        let project = self.store.project(id).await?.ok_or(ControlError::NotFound)?;
        let organization = self.store.organization(project.organization).await?.ok_or(ControlError::NotFound)?;
        let is_gone = project.state.is_deleted() || organization.state.is_deleted();
        if is_gone || !asked.caller.reaches_project(&project) {
            return Err(ControlError::NotFound);
        }
        let api = self.contract_of(&project)?;
        Ok(Place { project, organization, api })
    }

    fn contract_of(&self, project: &Project) -> Result<Arc<ApiInForce>> {
        let unreadable = || ControlError::Unavailable(format!("the contract of {} cannot be read", project.api));
        self.engine.api(&project.api).ok_or_else(unreadable)
    }

    async fn see_project(&self, place: Place) -> Result<SeenProject> {
        let active_keys = self.count_live_keys(place.project.id, self.now()).await?;
        Ok(seen(place, active_keys))
    }

    /// How many keys of a project open at a moment.
    pub(crate) async fn count_live_keys(&self, project: ProjectId, at: Timestamp) -> Result<u64> {
        const AT_ONCE: u32 = 1_000;
        let mut count = 0;
        for standing in Standing::ALL.into_iter().filter(|standing| standing.is_live()) {
            let filter = KeyFilter { standing: Some((standing, at)), name: None };
            let mut before = None;
            loop {
                let keys = self.store.keys(project, &filter, Page { before, limit: AT_ONCE }).await?;
                count += keys.len() as u64;
                before = keys.last().map(|key| key.created_revision);
                if keys.len() < AT_ONCE as usize {
                    break;
                }
            }
        }
        Ok(count)
    }
}

fn seen(place: Place, active_keys: u64) -> SeenProject {
    SeenProject {
        noun: place.api.contract.project.noun.clone(),
        active_key_limit: place.active_key_limit(),
        active_keys,
        project: place.project,
    }
}

fn known_plan(api: &ApiInForce, plan: &str) -> std::result::Result<String, String> {
    if api.contract.plans.contains_key(plan) {
        return Ok(plan.to_owned());
    }
    let known: Vec<_> = api.contract.plans.keys().map(String::as_str).collect();
    Err(format!("is none of the API's plans: {}", known.join(", ")))
}
