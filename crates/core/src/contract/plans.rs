//! Plans: what a project may do, how fast and how much; and the rates of what is no request to the API.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::compile::{Result, complain, fail, is_plain};
use super::duration;
use super::spec::{GuardSpec, GuardsSpec, PlanSpec, QuotaSpec, RateSpec, Spec};
use crate::limits::{Counts, LIMITS_MAX, LimitBy, Period, QUOTA_MAX, QuotaLimit, Rate, RateLimit};

/// What a plan gives.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What people call it.
    pub title: String,
    /// Whether it includes the API at all.
    pub access: bool,
    /// Whether each project needs the operator's word for its access besides.
    pub on_request: bool,
    /// What it gives, for people.
    pub features: Vec<String>,
    /// How fast, by name.
    pub rates: Vec<RateLimit>,
    /// How much, by name.
    pub quotas: Vec<QuotaLimit>,
}

/// Rates of what is no request to the API; none where there is no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Guards {
    /// Making, rotating and changing keys, by project. Ending a key is never limited.
    pub key_management: Option<Rate>,
    /// Requests whose credential is refused, by address. A good key is never refused by it.
    pub failed_authentication: Option<Rate>,
}

pub(super) fn compile(spec: &Spec) -> Result<BTreeMap<String, Plan>> {
    let plans = spec.plans.clone().unwrap_or_default();
    plans.into_iter().map(|(name, plan)| Ok((name.clone(), compile_plan(&name, plan)?))).collect()
}

/// The names of all limits of all plans: what texts about limits may speak of.
pub(super) fn limit_names(plans: &BTreeMap<String, Plan>) -> BTreeSet<String> {
    let rates = plans.values().flat_map(|plan| plan.rates.iter().map(|rate| rate.name.to_string()));
    let quotas = plans.values().flat_map(|plan| plan.quotas.iter().map(|quota| quota.name.to_string()));
    rates.chain(quotas).collect()
}

pub(super) fn guards(spec: Option<&GuardsSpec>) -> Result<Guards> {
    let Some(spec) = spec else { return Ok(Guards::default()) };
    Ok(Guards {
        key_management: guard("guards.key_management", spec.key_management.as_ref())?,
        failed_authentication: guard("guards.failed_authentication", spec.failed_authentication.as_ref())?,
    })
}

fn guard(field: &str, spec: Option<&GuardSpec>) -> Result<Option<Rate>> {
    match spec {
        None => Ok(None),
        Some(GuardSpec { limit: Some(0), .. }) => Ok(None),
        Some(GuardSpec { limit, per, burst }) => rate(field, *limit, per.as_deref(), *burst).map(Some),
    }
}

fn compile_plan(name: &str, plan: PlanSpec) -> Result<Plan> {
    let field = format!("plans.{name}");
    if !is_name(name) {
        return fail(&field, "a plan's name is at most 63 letters, digits, _ and -");
    }
    let rates = plan.rates.unwrap_or_default();
    let quotas = plan.quotas.unwrap_or_default();
    if rates.len() + quotas.len() > LIMITS_MAX {
        return fail(&field, format!("has more than {LIMITS_MAX} limits"));
    }
    if let Some(both) = rates.keys().find(|rate| quotas.contains_key(*rate)) {
        return fail(&format!("{field}.quotas.{both}"), "is a rate's name too; each limit has its own");
    }
    let rates = rates.iter().map(|(limit, spec)| compile_rate(&format!("{field}.rates.{limit}"), limit, spec));
    let quotas = quotas.iter().map(|(limit, spec)| compile_quota(&format!("{field}.quotas.{limit}"), limit, spec));
    Ok(Plan {
        title: plan.title.unwrap_or_else(|| name.to_owned()),
        access: plan.access.unwrap_or(true),
        on_request: plan.on_request.unwrap_or(false),
        features: plan.features.unwrap_or_default(),
        rates: rates.collect::<Result<_>>()?,
        quotas: quotas.collect::<Result<_>>()?,
    })
}

fn compile_rate(field: &str, name: &str, spec: &RateSpec) -> Result<RateLimit> {
    Ok(RateLimit {
        name: limit_name(field, name)?,
        rate: rate(field, spec.limit, spec.per.as_deref(), spec.burst)?,
        by: by(field, spec.by.as_deref(), true)?,
        counts: counts(field, spec.counts.as_deref(), Counts::Requests)?,
    })
}

fn compile_quota(field: &str, name: &str, spec: &QuotaSpec) -> Result<QuotaLimit> {
    let limit = spec.limit.ok_or_else(|| complain(&format!("{field}.limit"), "is missing"))?;
    if limit > QUOTA_MAX {
        return fail(&format!("{field}.limit"), format!("is at most {QUOTA_MAX}"));
    }
    let per = spec.per.as_deref().ok_or_else(|| complain(&format!("{field}.per"), "is missing"))?;
    Ok(QuotaLimit {
        name: limit_name(field, name)?,
        limit,
        per: Period::from_word(per).ok_or_else(|| {
            complain(&format!("{field}.per"), format!("\"{per}\" is none of day, month and lifetime"))
        })?,
        by: by(field, spec.by.as_deref(), false)?,
        counts: counts(field, spec.counts.as_deref(), Counts::Cost)?,
        failures_free: spec.failures_free.unwrap_or(false),
    })
}

fn rate(field: &str, limit: Option<u64>, per: Option<&str>, burst: Option<u64>) -> Result<Rate> {
    let limit = limit.ok_or_else(|| complain(&format!("{field}.limit"), "is missing"))?;
    let per = per.ok_or_else(|| complain(&format!("{field}.per"), "is missing; write a time such as 1m"))?;
    let per: Duration = duration::parse(per).map_err(|reason| complain(&format!("{field}.per"), reason))?;
    Rate::new(limit, per, burst.unwrap_or(limit)).map_err(|error| complain(field, error))
}

fn by(field: &str, word: Option<&str>, may_be_address: bool) -> Result<LimitBy> {
    let field = format!("{field}.by");
    let word = word.ok_or_else(|| complain(&field, "is missing; write key, project or organization"))?;
    let all = [LimitBy::Key, LimitBy::Project, LimitBy::Organization, LimitBy::Address];
    match all.into_iter().find(|by| by.as_str() == word) {
        Some(LimitBy::Address) if !may_be_address => fail(&field, "a quota is by key, project or organization"),
        Some(by) => Ok(by),
        None => fail(&field, format!("\"{word}\" is none of key, project, organization and address")),
    }
}

fn counts(field: &str, word: Option<&str>, default: Counts) -> Result<Counts> {
    match word {
        None => Ok(default),
        Some("requests") => Ok(Counts::Requests),
        Some("cost") => Ok(Counts::Cost),
        Some(other) => fail(&format!("{field}.counts"), format!("\"{other}\" is none of requests and cost")),
    }
}

fn limit_name(field: &str, name: &str) -> Result<Box<str>> {
    match is_name(name) {
        true => Ok(name.into()),
        false => fail(field, "a limit's name is at most 63 letters, digits, _ and -"),
    }
}

fn is_name(name: &str) -> bool {
    is_plain(name) && name.len() <= 63
}
