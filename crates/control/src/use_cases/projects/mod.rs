//! Projects: the walls. A project belongs to one organization and one API; its keys' rules are that API's
//! contract in force. Plan and limits are the operator's side of a project (`plans:write`).

use std::sync::Arc;

use keyward_core::change::{Change, Expect, KeyChange, KeyRef, ProjectChange, ProjectRef, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::{ApiName, OrganizationId, ProjectId};
use keyward_core::key::{Key, Standing};
use keyward_core::permission::Permission;
use keyward_core::store::{KeyFilter, Page};
use keyward_core::tenancy::{Environment, Organization, Project, TenantState};
use keyward_verify::{ApiInForce, InForce};

use super::commit::{Committed, Edit, Made, Once, Plan, Tries, another_kind};
use super::error::{ControlError, Faults, Result};
use super::keys::{NewKey, SeenKey};
use super::organizations::{NAME_CHARS_MAX, tenant_name};
use super::{Asked, Control, Disclosure, Listed};

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
}

/// What is to be different about a project.
#[derive(Debug, Clone, Default)]
pub struct ProjectEdit {
    /// Another name.
    pub name: Option<String>,
    /// Another plan.
    pub plan: Option<String>,
    /// A limit of active keys of its own, or the contract's again.
    pub active_key_limit: Edit<u32>,
}

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
        vec![
            Expect::Api(self.api.name.clone(), self.api.revision),
            Expect::Organization(self.organization.id, self.organization.revision),
            Expect::Project(self.project.id, self.project.revision),
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
    /// Makes a project, with a first key where the contract says so.
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
        if wish.plan.is_some() {
            asked.require(Permission::PlansWrite)?;
        }
        self.find_organization(asked, organization).await?;
        if wish.plan.is_some() {
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
            let mut expect = place.expectations();
            expect.pop();
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
            state: TenantState::Active,
            created_at: now,
            created_revision: Revision::ZERO,
            revision: Revision::ZERO,
        };
        Ok(Place { project, organization, api })
    }

    /// The key that the contract issues with a project, by the same rules as any other.
    fn plan_first_key(&self, place: &Place, now: Timestamp) -> Result<Option<(Key, Disclosure)>> {
        let contract = &place.api.contract;
        if !contract.project.first_key {
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

    /// Changes a project's name, plan or limit.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches, or a field is not valid.
    pub async fn edit_project(
        &self,
        asked: &Asked,
        id: ProjectId,
        edit: &ProjectEdit,
    ) -> Result<(SeenProject, InForce)> {
        let sets_plan = edit.plan.is_some() || edit.active_key_limit != Edit::Keep;
        if edit.name.is_some() || !sets_plan {
            asked.require(Permission::ProjectsWrite)?;
        }
        if sets_plan {
            asked.require(Permission::PlansWrite)?;
            self.find_project(asked, id).await?;
            asked.require_everywhere(Permission::PlansWrite)?;
        }
        self.change_project(asked, id, |place| decide_edit(place, edit)).await
    }

    /// Has a project's keys refused until it is resumed.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches.
    pub async fn suspend_project(&self, asked: &Asked, id: ProjectId) -> Result<(SeenProject, InForce)> {
        asked.require(Permission::ProjectsWrite)?;
        let suspended = ProjectChange::Suspended;
        self.change_project(asked, id, |place| Ok(only(place.project.state.is_active(), &suspended))).await
    }

    /// Has a project served again.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches.
    pub async fn resume_project(&self, asked: &Asked, id: ProjectId) -> Result<(SeenProject, InForce)> {
        asked.require(Permission::ProjectsWrite)?;
        let resumed = ProjectChange::Resumed;
        self.change_project(asked, id, |place| Ok(only(!place.project.state.is_active(), &resumed))).await
    }

    /// Ends a project, with its keys, for ever.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches.
    pub async fn delete_project(&self, asked: &Asked, id: ProjectId) -> Result<(SeenProject, InForce)> {
        asked.require(Permission::ProjectsWrite)?;
        self.change_project(asked, id, |_| Ok(vec![ProjectChange::Deleted])).await
    }

    async fn change_project(
        &self,
        asked: &Asked,
        id: ProjectId,
        decide: impl Fn(&Place) -> Result<Vec<ProjectChange>>,
    ) -> Result<(SeenProject, InForce)> {
        let mut tries = Tries::default();
        loop {
            let mut place = self.find_project(asked, id).await?;
            let now = self.now();
            let decided = decide(&place)?;
            let expect = place.expectations();
            let of = place.project_ref();
            let changes =
                decided.iter().map(|what| Change::Project { of: of.clone(), what: what.clone() }).collect();
            match self.commit(asked, now, Plan { expect, changes, made: None }).await? {
                Committed::Stale(expect) => tries.again(self, expect).await?,
                Committed::InForce(in_force) => {
                    for what in &decided {
                        let revision = place.project.revision.next();
                        place.project.apply(what, now, revision);
                    }
                    let seen = self.see_project(place).await.map_err(ControlError::after_commit)?;
                    return Ok((seen, in_force));
                }
            }
        }
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

/// One change where it is needed; where it was made before, none.
fn only(is_needed: bool, change: &ProjectChange) -> Vec<ProjectChange> {
    is_needed.then(|| change.clone()).into_iter().collect()
}

fn decide_edit(place: &Place, edit: &ProjectEdit) -> Result<Vec<ProjectChange>> {
    let project = &place.project;
    let mut changes = Vec::new();
    if let Some(name) = &edit.name {
        let name = tenant_name(name)?;
        changes.extend((name != project.name).then_some(ProjectChange::Renamed { name }));
    }
    if let Some(plan) = &edit.plan {
        let plan = known_plan(&place.api, plan).map_err(|message| ControlError::invalid("plan", message))?;
        changes.extend((plan != project.plan).then_some(ProjectChange::PlanSet { plan }));
    }
    let limit = match edit.active_key_limit {
        Edit::Set(0) => {
            let message = "must be at least 1; to stop all keys of the project, suspend it";
            return Err(ControlError::invalid("active_key_limit", message));
        }
        Edit::Keep => project.active_key_limit,
        Edit::Clear => None,
        Edit::Set(limit) => Some(limit),
    };
    changes.extend((limit != project.active_key_limit).then_some(ProjectChange::ActiveKeyLimitSet { limit }));
    Ok(changes)
}

fn known_plan(api: &ApiInForce, plan: &str) -> std::result::Result<String, String> {
    if api.contract.plans.contains_key(plan) {
        return Ok(plan.to_owned());
    }
    let known: Vec<_> = api.contract.plans.keys().map(String::as_str).collect();
    Err(format!("is none of the API's plans: {}", known.join(", ")))
}
