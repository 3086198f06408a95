//! Making a project, with its first key where the contract issues one.

use std::collections::BTreeMap;

use keyward_core::change::{Change, KeyChange, ProjectChange, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::{ApiName, OrganizationId, ProjectId};
use keyward_core::key::Key;
use keyward_core::permission::Permission;
use keyward_core::tenancy::{Environment, Organization, Project, TenantState};

use super::{Place, SeenProject, known_plan, seen};
use crate::use_cases::commit::{Committed, Made, Once, Plan, Tries, another_kind};
use crate::use_cases::error::{ControlError, Faults, Result};
use crate::use_cases::keys::{NewKey, SeenKey};
use crate::use_cases::organizations::NAME_CHARS_MAX;
use crate::use_cases::{Asked, Control, Disclosure};

/// What is asked of a new project.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// What to call it.
    pub name: String,
    /// The API its keys shall open.
    pub api: String,
    /// Its plan; the contract's default where none.
    pub plan: Option<String>,
    /// Live or test.
    pub environment: Environment,
    /// Whether it has the operator's word for its access, which some plans ask for.
    pub is_granted: bool,
}

/// A project that was made.
#[derive(Debug)]
pub struct ProjectMade {
    /// The project.
    pub project: SeenProject,
    /// Its first key, where the contract issues one with the project.
    pub key: Option<SeenKey>,
    /// The first key's secret.
    pub secret: Disclosure,
    /// Whether it had been made by the same request before.
    pub is_repeated: bool,
}

impl Control {
    /// Makes a project, with a first key where the contract says so and the project has access.
    ///
    /// # Errors
    /// Where there is no organization that the caller reaches, or the contract does not allow what is asked.
    pub async fn create_project(
        &self,
        asked: &Asked,
        organization: OrganizationId,
        wish: &NewProject,
    ) -> Result<ProjectMade> {
        asked.require(Permission::ProjectsWrite)?;
        let sets_plan = wish.plan.is_some() || wish.is_granted;
        if sets_plan {
            asked.require(Permission::PlansWrite)?;
        }
        self.find_organization(asked, organization).await?;
        if sets_plan {
            asked.require_everywhere(Permission::PlansWrite)?;
        }
        match self.once(asked, self.make_project(asked, organization, wish)).await? {
            Once::Now(made) => Ok(made),
            Once::Before(Made::Project { id, key }) => {
                let place = self.find_project(asked, id).await?;
                let key = match key {
                    Some(key) => Some(self.see_key(self.find_key(asked, key).await?.0).await?),
                    None => None,
                };
                let secret = if key.is_some() { Disclosure::Before } else { Disclosure::None };
                Ok(ProjectMade { project: self.see_project(place).await?, key, secret, is_repeated: true })
            }
            Once::Before(other) => another_kind(&other),
        }
    }

    async fn make_project(
        &self,
        asked: &Asked,
        organization: OrganizationId,
        wish: &NewProject,
    ) -> Result<ProjectMade> {
        let mut tries = Tries::default();
        loop {
            let organization = self.find_organization(asked, organization).await?;
            let now = self.now();
            let place = self.plan_project(organization, wish, now)?;
            let id = place.project.id;
            let first_key = self.plan_first_key(&place, now)?;
            let expect = place.expectations_around();
            let created = ProjectChange::Created { project: Box::new(place.project.clone()) };
            let mut changes = vec![Change::Project { of: place.project_ref(), what: created }];
            changes.extend(first_key.iter().map(|(key, _)| Change::Key {
                of: place.key_ref(key),
                what: KeyChange::Created { key: Box::new(key.clone()) },
            }));
            let made = Some(Made::Project { id, key: first_key.as_ref().map(|(key, _)| key.id) });
            match self.commit(asked, now, Plan { expect, changes, made }).await? {
                Committed::Stale(expect) => tries.again(self, expect).await?,
                Committed::InForce(_) => {
                    let project = seen(place, u64::from(first_key.is_some()));
                    let (key, secret) = first_key.unzip();
                    let key = key.map(|key| SeenKey { key, usage: Default::default(), at: now });
                    let secret = secret.unwrap_or(Disclosure::None);
                    return Ok(ProjectMade { project, key, secret, is_repeated: false });
                }
            }
        }
    }

    /// The project that a wish asks for.
    fn plan_project(&self, organization: Organization, wish: &NewProject, now: Timestamp) -> Result<Place> {
        if !organization.state.is_active() {
            return Err(ControlError::Suspended("organization"));
        }
        let mut faults = Faults::default();
        let name = faults.take("name", keyward_core::text::name(&wish.name, 1, NAME_CHARS_MAX));
        let api = wish.api.parse::<ApiName>().ok().and_then(|name| self.engine.api(&name));
        let api = faults.take("api", api.ok_or_else(|| "names no API that has a contract".into()));
        let plan = api.as_ref().and_then(|api| {
            let plan = wish.plan.as_ref().unwrap_or(&api.contract.project.default_plan);
            faults.take("plan", known_plan(api, plan))
        });
        let (name, plan, api) = faults.finish_with(name.zip(plan).zip(api).map(|((n, p), a)| (n, p, a)))?;
        let project = Project {
            id: ProjectId::random(&*self.entropy),
            organization: organization.id,
            api: api.name.clone(),
            name,
            environment: wish.environment,
            plan,
            active_key_limit: None,
            limits: BTreeMap::new(),
            is_granted: wish.is_granted,
            destination: None,
            state: TenantState::Active,
            created_at: now,
            created_revision: Revision::ZERO,
            revision: Revision::ZERO,
        };
        Ok(Place { project, organization, api })
    }

    /// The key that the contract issues with a project, by the same rules as any other; none where the project
    /// has no access yet: it gets one by regenerating once it has.
    fn plan_first_key(&self, place: &Place, now: Timestamp) -> Result<Option<(Key, Disclosure)>> {
        let contract = &place.api.contract;
        if !contract.project.first_key || !place.has_access() {
            return Ok(None);
        }
        let name = contract.key.name.required.then(|| place.project.name.clone());
        let wish = NewKey { name, acknowledge: true, ..NewKey::default() };
        let minted = self.plan_key(place, &wish, now).map_err(|error| match error {
            ControlError::Invalid(faults) => {
                let reasons: Vec<_> =
                    faults.iter().map(|fault| format!("{} {}", fault.field, fault.message)).collect();
                let reason = format!("issues a first key, which its own rules refuse: {}", reasons.join("; "));
                ControlError::invalid("api", reason)
            }
            other => other,
        });
        minted.map(Some)
    }
}
