//! Changing a project: its name, the operator's side of it (plan, limits, access), suspending, resuming and
//! ending it.

use keyward_core::change::{Change, ProjectChange};
use keyward_core::id::ProjectId;
use keyward_core::permission::Permission;

use super::{OwnLimits, Place, SeenProject, known_plan, limits};
use crate::use_cases::commit::{Committed, Edit, Plan, Tries};
use crate::use_cases::data_keys::Shredding;
use crate::use_cases::error::{ControlError, Faults, Result};
use crate::use_cases::force::Force;
use crate::use_cases::organizations::NAME_CHARS_MAX;
use crate::use_cases::{Asked, Control};

/// What is to be different about a project.
#[derive(Debug, Clone, Default)]
pub struct ProjectEdit {
    /// Another name.
    pub name: Option<String>,
    /// Another plan.
    pub plan: Option<String>,
    /// A limit of active keys of its own, or the contract's again.
    pub active_key_limit: Edit<u32>,
    /// Limits of its own, those that are named; cleared, all are the plan's again.
    pub limits: Edit<OwnLimits>,
    /// Whether it has the operator's word for its access, which some plans ask for.
    pub is_granted: Option<bool>,
}

impl ProjectEdit {
    /// Whether it touches the operator's side of a project.
    fn is_the_operators(&self) -> bool {
        let sets_limit = self.active_key_limit != Edit::Keep || self.limits != Edit::Keep;
        self.plan.is_some() || sets_limit || self.is_granted.is_some()
    }
}

impl Control {
    /// Changes a project's name, plan, limits or access.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches, or a field is not valid.
    pub async fn edit_project(
        &self,
        asked: &Asked,
        id: ProjectId,
        edit: &ProjectEdit,
    ) -> Result<(SeenProject, Force)> {
        let sets_plan = edit.is_the_operators();
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

    /// Has a project's keys refused until it is resumed. The operator's side of a project: an organization
    /// that is suspended must not be able to resume itself.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches, or the caller is not the operator.
    pub async fn suspend_project(&self, asked: &Asked, id: ProjectId) -> Result<(SeenProject, Force)> {
        self.require_operator(asked, id).await?;
        let suspended = ProjectChange::Suspended;
        self.change_project(asked, id, |place| Ok(only(place.project.state.is_active(), &suspended))).await
    }

    /// Has a project served again.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches, or the caller is not the operator.
    pub async fn resume_project(&self, asked: &Asked, id: ProjectId) -> Result<(SeenProject, Force)> {
        self.require_operator(asked, id).await?;
        let resumed = ProjectChange::Resumed;
        self.change_project(asked, id, |place| Ok(only(!place.project.state.is_active(), &resumed))).await
    }

    /// Goes on for whom nothing is out of reach; what is out of reach is told like what does not exist.
    async fn require_operator(&self, asked: &Asked, id: ProjectId) -> Result<()> {
        asked.require(Permission::ProjectsWrite)?;
        self.find_project(asked, id).await?;
        asked.require_everywhere(Permission::ProjectsWrite)
    }

    /// Ends a project, with its keys, for ever. Its data keys are shredded with it: nobody could do so afterwards.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches.
    pub async fn delete_project(&self, asked: &Asked, id: ProjectId) -> Result<(SeenProject, Force)> {
        asked.require(Permission::ProjectsWrite)?;
        let mut tries = Tries::default();
        loop {
            let mut place = self.find_project(asked, id).await?;
            let now = self.now();
            let Shredding { mut changes, expect: mut expected } = self.shredding(&place.project).await?;
            expected.extend(place.expectations());
            changes.push(Change::Project { of: place.project_ref(), what: ProjectChange::Deleted });
            match self.commit(asked, now, Plan { expect: expected, changes, made: None }).await? {
                Committed::Stale(expect) => tries.again(self, expect).await?,
                Committed::InForce(in_force) => {
                    let revision = place.project.revision.next();
                    place.project.apply(&ProjectChange::Deleted, now, revision);
                    let seen = self.see_project(place).await.map_err(ControlError::after_commit)?;
                    return Ok((seen, in_force));
                }
            }
        }
    }

    pub(super) async fn change_project(
        &self,
        asked: &Asked,
        id: ProjectId,
        decide: impl Fn(&Place) -> Result<Vec<ProjectChange>>,
    ) -> Result<(SeenProject, Force)> {
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
}

/// One change where it is needed; where it was made before, none.
fn only(is_needed: bool, change: &ProjectChange) -> Vec<ProjectChange> {
    is_needed.then(|| change.clone()).into_iter().collect()
}

fn decide_edit(place: &Place, edit: &ProjectEdit) -> Result<Vec<ProjectChange>> {
    let project = &place.project;
    let mut faults = Faults::default();
    let mut changes = Vec::new();
    if let Some(name) = &edit.name {
        let name = faults.take("name", keyward_core::text::name(name, 1, NAME_CHARS_MAX));
        changes.extend(name.filter(|name| *name != project.name).map(|name| ProjectChange::Renamed { name }));
    }
    if let Some(plan) = &edit.plan {
        let plan = faults.take("plan", known_plan(&place.api, plan));
        changes.extend(plan.filter(|plan| *plan != project.plan).map(|plan| ProjectChange::PlanSet { plan }));
    }
    let limit = match edit.active_key_limit {
        Edit::Set(0) => Err("must be at least 1; to stop all keys of the project, suspend it".into()),
        Edit::Keep => Ok(project.active_key_limit),
        Edit::Clear => Ok(None),
        Edit::Set(limit) => Ok(Some(limit)),
    };
    if let Some(limit) = faults.take("active_key_limit", limit) {
        let differs = limit != project.active_key_limit;
        changes.extend(differs.then_some(ProjectChange::ActiveKeyLimitSet { limit }));
    }
    changes.extend(limits::decide(project, &place.api.contract, &edit.limits, &mut faults));
    if let Some(is_granted) = edit.is_granted.filter(|is_granted| *is_granted != project.is_granted) {
        changes.push(ProjectChange::AccessSet { is_granted });
    }
    faults.finish()?;
    Ok(changes)
}
