//! A project's limits: those of its own, which the operator sets in place of its plan's, and how all of them
//! stand. What a limit counts, and how exactly, is the engine's.

use std::collections::{BTreeMap, BTreeSet};

use keyward_core::change::ProjectChange;
use keyward_core::contract::Contract;
use keyward_core::decision::ProjectFacts;
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::limits::{LimitBy, OwnLimit, QUOTA_MAX, RateError};
use keyward_core::permission::Permission;
use keyward_core::tenancy::Project;
use keyward_verify::limits::LimitView;

use super::SeenPlan;
use crate::use_cases::commit::Edit;
use crate::use_cases::error::{ControlError, Faults, Result};
use crate::use_cases::{Asked, Control};

/// Most limits that a project can have of its own.
const OWN_LIMITS_MAX: usize = 32;
/// How much of a name of somebody's choice is told back.
const NAME_CHARS_SHOWN: usize = 64;

/// Limits of a project's own, by name; the plan's again where none.
pub type OwnLimits = BTreeMap<String, Option<OwnLimit>>;

/// One limit and how it stands.
#[derive(Debug)]
pub struct SeenLimit {
    /// How it stands.
    pub view: LimitView,
    /// What the plan gives, where the project has one of its own.
    pub plan_limit: Option<u64>,
}

/// A project's plan with its limits and how they stand.
#[derive(Debug)]
pub struct SeenLimits {
    /// The plan.
    pub plan: SeenPlan,
    /// Whether the project has the operator's word for its access.
    pub is_granted: bool,
    /// Whether plan and operator open the API to it now.
    pub has_access: bool,
    /// The limits: first rates, then quotas.
    pub limits: Vec<SeenLimit>,
}

impl Control {
    /// How a project's limits stand; those that count by key, for one key and those it was rotated from and to.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches, or no such key in it.
    pub async fn project_limits(&self, asked: &Asked, id: ProjectId, key: Option<KeyId>) -> Result<SeenLimits> {
        asked.require(Permission::ProjectsRead)?;
        let place = self.find_project(asked, id).await?;
        let lineage = match key {
            Some(key) => Some(self.lineage_in(id, key).await?),
            None => None,
        };
        let facts = ProjectFacts::of(&place.project, &place.organization);
        let contract = &place.api.contract;
        let views = self.engine.limit_views(facts, contract, lineage).await?;
        let plan_limit = |view: &LimitView| {
            let of_plan = limits_of_plan(contract, &place.project.plan);
            view.is_own.then(|| of_plan.into_iter().find(|(name, _)| *name == view.name)).flatten()
        };
        let limits = views.into_iter().map(|view| {
            let plan_limit = plan_limit(&view).map(|(_, limit)| limit);
            SeenLimit { view, plan_limit }
        });
        let limits = limits.collect();
        let (is_granted, has_access) = (place.project.is_granted, place.has_access());
        Ok(SeenLimits { plan: place.seen_plan(), is_granted, has_access, limits })
    }

    async fn lineage_in(&self, project: ProjectId, key: KeyId) -> Result<KeyId> {
        let found = self.store.key(key).await?.filter(|found| found.project == project);
        found.map(|found| found.lineage).ok_or(ControlError::NotFound)
    }
}

fn limits_of_plan<'a>(contract: &'a Contract, plan: &str) -> Vec<(&'a str, u64)> {
    let Some(plan) = contract.plans.get(plan) else { return Vec::new() };
    let rates = plan.rates.iter().map(|rate| (&*rate.name, rate.rate.limit()));
    rates.chain(plan.quotas.iter().map(|quota| (&*quota.name, quota.limit))).collect()
}

/// The changes that an edit of a project's own limits comes to; none for what is so already.
pub(super) fn decide(
    project: &Project,
    contract: &Contract,
    edit: &Edit<OwnLimits>,
    faults: &mut Faults,
) -> Vec<ProjectChange> {
    let wanted = match edit {
        Edit::Keep => return Vec::new(),
        Edit::Clear => project.limits.keys().map(|name| (name.clone(), None)).collect(),
        Edit::Set(limits) => limits.clone(),
    };
    let mut own = project.limits.clone();
    let mut changes = Vec::new();
    for (name, limit) in wanted {
        // What it has can always be taken away, also where the contract names it no more.
        let is_known = limit.is_none() && own.contains_key(&name);
        if let Err((part, message)) = if is_known { Ok(()) } else { check(contract, &name, limit.as_ref()) } {
            let shown: String = name.chars().take(NAME_CHARS_SHOWN).collect();
            faults.add(&format!("limits.{shown}{part}"), message);
            continue;
        }
        let before = match limit {
            Some(limit) => own.insert(name.clone(), limit),
            None => own.remove(&name),
        };
        changes.extend((before != limit).then_some(ProjectChange::LimitSet { name, limit }));
    }
    if own.len() > OWN_LIMITS_MAX {
        faults.add("limits", format!("would be {} of the project's own; at most {OWN_LIMITS_MAX}", own.len()));
    }
    changes
}

/// Whether the contract's plans have such a limit, and could keep it at this value; else which part is wrong.
/// All plans are asked: the project may be put on any of them later.
fn check(
    contract: &Contract,
    name: &str,
    limit: Option<&OwnLimit>,
) -> std::result::Result<(), (&'static str, String)> {
    let rates = contract.plans.values().flat_map(|plan| &plan.rates).filter(|rate| &*rate.name == name);
    let mut quotas = contract.plans.values().flat_map(|plan| &plan.quotas).filter(|quota| &*quota.name == name);
    let is_quota = quotas.next().is_some();
    let mut rates = rates.peekable();
    if rates.peek().is_none() && !is_quota {
        return Err(("", known_limits(contract)));
    }
    let Some(own) = limit else { return Ok(()) };
    if counts_by_organization(contract, name) {
        let message = "counts for all projects of the organization: put them on another plan instead";
        return Err(("", message.into()));
    }
    if own.burst.is_some() && rates.peek().is_none() {
        return Err((".burst", "is for rates, and this limit is a quota".into()));
    }
    if own.burst == Some(0) && own.limit > 0 {
        return Err((".burst", "must be at least 1".into()));
    }
    if is_quota && own.limit > QUOTA_MAX {
        return Err((".limit", format!("must be at most {QUOTA_MAX}")));
    }
    for rate in rates {
        rate.rate_with(Some(own)).map_err(|error| match error {
            RateError::Burst if own.burst.is_some() => (".burst", format!("cannot be kept: {error}")),
            _ => (".limit", format!("cannot be kept: {error}")),
        })?;
    }
    Ok(())
}

fn counts_by_organization(contract: &Contract, name: &str) -> bool {
    let of_rates = contract.plans.values().flat_map(|plan| plan.rates.iter().map(|rate| (&rate.name, rate.by)));
    let of_quotas =
        contract.plans.values().flat_map(|plan| plan.quotas.iter().map(|quota| (&quota.name, quota.by)));
    of_rates.chain(of_quotas).any(|(named, by)| **named == *name && by == LimitBy::Organization)
}

fn known_limits(contract: &Contract) -> String {
    let names: BTreeSet<_> =
        contract.plans.keys().flat_map(|plan| limits_of_plan(contract, plan)).map(|(name, _)| name).collect();
    match names.is_empty() {
        true => "is no limit: the API's plans have none".into(),
        false => format!("is none of the API's limits: {}", names.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_core::contract::Presets;

    const STANDARD: &str = include_str!("../../../../../contracts/standard.toml");
    const OWN: &str = r#"
        schema = 1
        extends = "standard"
        [plans.standard]
        rates.requests = { limit = 60, per = "1m", by = "key" }
        [plans.large]
        quotas.credits = { limit = 100, per = "month", by = "project" }
        rates.bulk = { limit = 1, per = "366d", by = "project" }
        rates.everybody = { limit = 1, per = "1m", by = "organization" }
    "#;

    fn checked(name: &str, limit: u64, burst: Option<u64>) -> std::result::Result<(), String> {
        let presets = Presets::new([("standard".to_owned(), STANDARD.to_owned())]);
        let contract = Contract::read(OWN, &presets).unwrap();
        check(&contract, name, Some(&OwnLimit { limit, burst }))
            .map_err(|(part, message)| part.to_owned() + " " + &message)
    }

    #[test]
    fn i03_limits_of_a_project_are_ones_that_can_be_kept() {
        assert_eq!(checked("requests", 0, None), Ok(()));
        assert_eq!(checked("requests", 1_000_000_000, Some(5)), Ok(()));
        assert_eq!(checked("credits", QUOTA_MAX, None), Ok(()));
        for (name, limit, burst, wrong) in [
            ("request", 1, None, " is none of the API's limits: bulk, credits, everybody, requests"),
            ("everybody", 1, None, " counts for all projects"),
            ("requests", 1_000_000_001, None, ".limit cannot be kept"),
            ("requests", u64::MAX, None, ".limit cannot be kept"),
            ("requests", 1, Some(0), ".burst must be at least 1"),
            ("requests", 1, Some(u64::MAX), ".burst cannot be kept"),
            ("bulk", 1, Some(1_000), ".burst cannot be kept"),
            ("credits", QUOTA_MAX + 1, None, ".limit must be at most"),
            ("credits", 5, Some(5), ".burst is for rates"),
        ] {
            let told = checked(name, limit, burst).unwrap_err();
            assert!(told.starts_with(wrong), "{name} {limit} {burst:?}: {told}");
        }
    }
}
