//! What an operator sets of a project: its plan, its access, how many keys may be active, and limits of its own. The form
//! as it is filled in, and the edit that it comes to.

use std::collections::{BTreeMap, BTreeSet};

use keyward_core::contract::Contract;
use keyward_core::limits::{LimitBy, OwnLimit};
use maud::{Markup, html};

use crate::dashboard::answer::{fault_of, form_notice};
use crate::dashboard::look::parts::{self, Choice, Field, Input, check, select};
use crate::use_cases::{ControlError, Edit, Faults, OwnLimits, ProjectEdit, SeenProject};

/// The form as it is filled in.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Terms {
    plan: String,
    has_access: bool,
    active_key_limit: String,
    /// By the limit's name: how much, and for rates how much at once. Nothing is the plan's.
    limits: BTreeMap<String, (String, String)>,
}

/// A limit that some plan of the contract has, and a project can have one of its own in place of.
struct Known {
    name: String,
    is_rate: bool,
}

impl Terms {
    /// As the project has them now.
    pub fn of(seen: &SeenProject) -> Self {
        let project = &seen.project;
        let text = |own: Option<u64>| own.map(|own| own.to_string()).unwrap_or_default();
        let limits = known(&seen.contract).into_iter().map(|known| {
            let own = project.limits.get(&known.name);
            (known.name, (text(own.map(|own| own.limit)), text(own.and_then(|own| own.burst))))
        });
        Terms {
            plan: project.plan.clone(),
            has_access: project.is_granted,
            active_key_limit: text(project.active_key_limit.map(u64::from)),
            limits: limits.collect(),
        }
    }

    /// The form.
    pub fn draw(&self, seen: &SeenProject, error: Option<&ControlError>) -> Markup {
        let contract = &seen.contract;
        let plans: Vec<Choice<'_>> =
            contract.plans.iter().map(|(name, plan)| Choice { value: name, label: &plan.title }).collect();
        let action = format!("/projects/{}/limits", seen.project.id);
        let keys = Field::new("active_key_limit", "Active keys at most")
            .hint("Empty: as the contract says.")
            .fault(fault_of(error, "active_key_limit"));
        parts::titled_card(
            "Operator: plan and own limits",
            "",
            html! {
                p.soft { "What is lower than before holds on every node by the time this page answers." }
                @if let Some(error) = error { (form_notice(error)) }
                form.stack method="post" action=(action) {
                    div.columns {
                        (select(Field::new("plan", "Plan").fault(fault_of(error, "plan")), &plans, &self.plan))
                        (keys.line("number", &self.active_key_limit, Input { min: Some("1"), ..Input::default() }))
                    }
                    @if is_on_request(contract) {
                        (check("access", "granted", self.has_access, "Access granted (for plans that give it on request)"))
                    }
                    @for known in known(contract) { (self.limit(&known, error)) }
                    @if let Some(fault) = fault_of(error, "limits") { p.fault { (fault) } }
                    div.actions.end { button.button.primary type="submit" { "Save plan and limits" } }
                }
            },
        )
    }

    fn limit(&self, known: &Known, error: Option<&ControlError>) -> Markup {
        let name = &known.name;
        let (limit, burst) = self.limits.get(name).cloned().unwrap_or_default();
        let whole = Input { min: Some("0"), ..Input::default() };
        let (limit_field, burst_field) = (format!("limit.{name}"), format!("burst.{name}"));
        let faults = |part: &str| fault_of(error, &format!("limits.{name}{part}"));
        let limit_label = format!("Own limit of {name}");
        let burst_label = format!("Own burst of {name}");
        html! {
            div.columns.even {
                (Field::new(&limit_field, &limit_label).hint("Empty: the plan's.").fault(faults(".limit").or(faults("")))
                    .line("number", &limit, whole))
                @if known.is_rate {
                    (Field::new(&burst_field, &burst_label).hint("How many at once. Empty: in proportion.").fault(faults(".burst"))
                        .line("number", &burst, whole))
                }
            }
        }
    }
}

/// The form that was sent, and the edit that it asks for.
pub fn read(seen: &SeenProject, fields: Vec<(String, String)>) -> (Terms, Result<ProjectEdit, ControlError>) {
    let mut terms = Terms { limits: BTreeMap::new(), ..Terms::default() };
    let mut faults = Faults::default();
    for (name, value) in fields {
        let value = value.trim().to_owned();
        match (name.as_str(), name.split_once('.')) {
            ("plan", _) => terms.plan = value,
            ("access", _) => terms.has_access = true,
            ("active_key_limit", _) => terms.active_key_limit = value,
            (_, Some(("limit", limit))) => terms.limits.entry(limit.to_owned()).or_default().0 = value,
            (_, Some(("burst", limit))) => terms.limits.entry(limit.to_owned()).or_default().1 = value,
            _ => faults.add("limits", "are sent with a field that the page does not have"),
        }
    }
    let edit = edit(seen, &terms, faults);
    (terms, edit)
}

fn edit(seen: &SeenProject, terms: &Terms, mut faults: Faults) -> Result<ProjectEdit, ControlError> {
    let keys = match terms.active_key_limit.as_str() {
        "" => Ok(Edit::Clear),
        text => text.parse().map(Edit::Set).map_err(|_| "must be a whole number, or empty".to_owned()),
    };
    let keys = faults.take("active_key_limit", keys);
    let mut own = OwnLimits::new();
    for (name, (limit, burst)) in &terms.limits {
        let limit = faults.take(&format!("limits.{name}.limit"), whole(limit));
        let burst = faults.take(&format!("limits.{name}.burst"), whole(burst));
        let (Some(limit), Some(burst)) = (limit, burst) else { continue };
        match (limit, burst) {
            (Some(limit), burst) => drop(own.insert(name.clone(), Some(OwnLimit { limit, burst }))),
            (None, Some(_)) => faults.add(&format!("limits.{name}.limit"), "is needed where there is a burst"),
            // What was not its own before is nothing to take away.
            (None, None) if seen.project.limits.contains_key(name) => drop(own.insert(name.clone(), None)),
            (None, None) => {}
        }
    }
    let edit = keys.map(|active_key_limit| ProjectEdit {
        name: None,
        plan: Some(terms.plan.clone()),
        active_key_limit,
        limits: if own.is_empty() { Edit::Keep } else { Edit::Set(own) },
        // Without a plan that asks for it the form has no such field.
        is_granted: is_on_request(&seen.contract).then_some(terms.has_access),
    });
    faults.finish_with(edit)
}

fn is_on_request(contract: &Contract) -> bool {
    contract.plans.values().any(|plan| plan.on_request)
}

fn whole(text: &str) -> Result<Option<u64>, String> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| "must be a whole number, 0 or more, or empty".into()),
    }
}

/// All limits that a project can have one of its own in place of. What counts for a whole organization is its plan's.
fn known(contract: &Contract) -> Vec<Known> {
    let plans = || contract.plans.values();
    let shared: BTreeSet<&str> = plans()
        .flat_map(|plan| {
            let rates = plan.rates.iter().map(|rate| (&*rate.name, rate.by));
            rates.chain(plan.quotas.iter().map(|quota| (&*quota.name, quota.by)))
        })
        .filter_map(|(name, by)| (by == LimitBy::Organization).then_some(name))
        .collect();
    let rates: BTreeSet<&str> = plans().flat_map(|plan| plan.rates.iter().map(|rate| &*rate.name)).collect();
    let quotas: BTreeSet<&str> = plans().flat_map(|plan| plan.quotas.iter().map(|quota| &*quota.name)).collect();
    let all: BTreeSet<&str> = rates.union(&quotas).copied().filter(|name| !shared.contains(name)).collect();
    all.into_iter().map(|name| Known { name: name.to_owned(), is_rate: rates.contains(name) }).collect()
}
