//! Projects: the walls. A project belongs to one organization and one API; its keys' rules are that API's
//! contract in force. Plan, limits and access are the operator's side of a project (`plans:write`).

mod create;
mod destination;
mod edit;
mod limits;

use std::sync::Arc;

use keyward_core::change::{Expect, KeyRef, ProjectRef, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::contract::Contract;
use keyward_core::id::{OrganizationId, ProjectId};
use keyward_core::key::Key;
use keyward_core::permission::Permission;
use keyward_core::store::Page;
use keyward_core::tenancy::{Organization, Project};
use keyward_verify::ApiInForce;

use super::error::{ControlError, Result};
use super::{Asked, Control, Listed};

pub use create::{NewProject, ProjectMade};
pub use edit::ProjectEdit;
pub use limits::{OwnLimits, SeenLimit, SeenLimits};

/// A project with what is told beside it.
#[derive(Debug)]
pub struct SeenProject {
    /// The project.
    pub project: Project,
    /// Whose it is.
    pub organization: Organization,
    /// The contract in force.
    pub contract: Arc<Contract>,
    /// The contract's word for a project.
    pub noun: String,
    /// How many live keys it may have.
    pub active_key_limit: Option<u32>,
    /// How many it has.
    pub active_keys: u64,
    /// What its plan is called and gives.
    pub plan: SeenPlan,
    /// Whether plan and operator open the API to it now.
    pub has_access: bool,
}

/// A project's plan as people see it.
#[derive(Debug, Clone)]
pub struct SeenPlan {
    /// Its name in the contract.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What it gives, for people.
    pub features: Vec<String>,
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

    /// The project's plan as people see it; only a name where the contract has it no more.
    pub fn seen_plan(&self) -> SeenPlan {
        let name = self.project.plan.clone();
        match self.api.contract.plans.get(&name) {
            Some(plan) => SeenPlan { name, title: plan.title.clone(), features: plan.features.clone() },
            None => SeenPlan { title: name.clone(), name, features: Vec::new() },
        }
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

    /// Whether the project's plan, and where that asks for it the operator's word, open the API to it.
    pub fn has_access(&self) -> bool {
        self.api.contract.gives_access(&self.project.plan, self.project.is_granted)
    }

    /// Goes on only where the project has access to the API.
    pub fn require_access(&self) -> Result<()> {
        if self.has_access() {
            return Ok(());
        }
        let contract = &self.api.contract;
        let plan = contract.plans.get(&self.project.plan);
        let support = [&contract.support.email, &contract.support.url].into_iter().flatten();
        Err(ControlError::PlanForbids {
            plan: plan.map_or(&self.project.plan, |plan| &plan.title).clone(),
            is_on_request: plan.is_some_and(|plan| plan.access && plan.on_request),
            support: support.map(String::as_str).collect::<Vec<_>>().join(" or "),
        })
    }

    /// Goes on only where new keys may be made.
    pub fn require_served(&self) -> Result<()> {
        if !self.organization.state.is_active() {
            return Err(ControlError::Suspended("organization"));
        }
        if !self.project.state.is_active() {
            return Err(ControlError::Suspended("project"));
        }
        self.require_access()
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

    /// Projects of all organizations, newest first: all, or those that a text finds. It may be a project's or an
    /// organization's id, or how a project's name begins.
    ///
    /// # Errors
    /// Where the caller may not read everything.
    pub async fn all_projects(
        &self,
        asked: &Asked,
        search: &str,
        before: Option<Revision>,
        limit: u32,
    ) -> Result<Listed<SeenProject>> {
        asked.require_everywhere(Permission::ProjectsRead)?;
        if let Ok(id) = search.parse::<ProjectId>() {
            let found = match self.project(asked, id).await {
                Err(ControlError::NotFound) => Vec::new(),
                found => vec![found?],
            };
            return Ok(Listed { items: found, next: None });
        }
        if let Ok(id) = search.parse::<OrganizationId>() {
            return match self.projects(asked, id, before, limit).await {
                Err(ControlError::NotFound) => Ok(Listed { items: Vec::new(), next: None }),
                found => found,
            };
        }
        let page = Page { before, limit: limit + 1 };
        let found = self.store.all_projects(Some(search).filter(|start| !start.is_empty()), page).await?;
        let Listed { items, next } = Listed::cut(found, limit, |project| project.created_revision);
        let mut seen = Vec::with_capacity(items.len());
        for project in items {
            // Gone with its organization, or meanwhile.
            match self.project(asked, project.id).await {
                Err(ControlError::NotFound) => {}
                found => seen.push(found?),
            }
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
        Ok(self.store.live_keys(project, at).await?)
    }
}

fn seen(place: Place, active_keys: u64) -> SeenProject {
    SeenProject {
        noun: place.api.contract.project.noun.clone(),
        active_key_limit: place.active_key_limit(),
        active_keys,
        plan: place.seen_plan(),
        has_access: place.has_access(),
        contract: Arc::clone(&place.api.contract),
        organization: place.organization,
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
