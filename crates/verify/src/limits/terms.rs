//! The limits that hold for a project under a contract, and the counters that a key counts on: worked out once,
//! and again when plan, own limits or contract change.

use std::sync::Arc;

use keyward_core::contract::Contract;
use keyward_core::decision::{KeyFacts, ProjectFacts};
use keyward_core::limits::{CountedOf, Counts, LimitBy, Period, QuotaCounter, Rate};

use smallvec::SmallVec;

use super::counters::{Counters, Holding};
use super::quota_cell::QuotaCell;
use super::rate_cell::{RateCell, RateId, RateOf};

/// The limits of one project under one contract.
#[derive(Debug)]
pub(crate) struct Terms {
    pub project: Arc<ProjectFacts>,
    pub contract: Arc<Contract>,
    pub rates: Box<[RateTerm]>,
    pub quotas: Box<[QuotaTerm]>,
}

/// A rate as it holds for the project.
#[derive(Debug)]
pub(crate) struct RateTerm {
    pub name: Box<str>,
    pub rate: Rate,
    pub by: LimitBy,
    pub counts: Counts,
}

/// A quota as it holds for the project.
#[derive(Debug)]
pub(crate) struct QuotaTerm {
    pub name: Box<str>,
    pub limit: u64,
    pub per: Period,
    pub by: LimitBy,
    pub counts: Counts,
    pub failures_free: bool,
}

/// Terms with the counters of one key, or of every key of the project where none counts by key. Counters stand in
/// one order for all, so that requests that take several never wait for one another in a circle.
#[derive(Debug)]
pub(crate) struct Bound {
    pub terms: Arc<Terms>,
    /// Each with the place of its term.
    pub rates: SmallVec<[(u8, Arc<RateCell>); 3]>,
    pub quotas: SmallVec<[(u8, Arc<QuotaCell>); 2]>,
    /// The places of rates by address, whose counters are found for each request.
    pub by_address: Box<[u8]>,
    /// Where to note that units of a quota are at hand again.
    pub holding: Arc<Holding>,
}

impl Terms {
    /// The limits of a project's plan, with its own in their place.
    pub fn of(project: &Arc<ProjectFacts>, contract: &Arc<Contract>) -> Self {
        let plan = contract.plans.get(&project.plan);
        // What several projects share has one limit.
        let own = |name: &str, by| project.limits.get(name).filter(|_| by != LimitBy::Organization);
        let rates = plan.map(|plan| &*plan.rates).unwrap_or_default().iter().map(|term| RateTerm {
            name: term.name.clone(),
            // The control plane checked it; under a contract that came later, the plan's holds.
            rate: term.rate_with(own(&term.name, term.by)).unwrap_or(term.rate),
            by: term.by,
            counts: term.counts,
        });
        let quotas = plan.map(|plan| &*plan.quotas).unwrap_or_default().iter().map(|term| QuotaTerm {
            name: term.name.clone(),
            limit: own(&term.name, term.by).map_or(term.limit, |own| own.limit),
            per: term.per,
            by: term.by,
            counts: term.counts,
            failures_free: term.failures_free,
        });
        Terms {
            rates: rates.collect(),
            quotas: quotas.collect(),
            project: Arc::clone(project),
            contract: Arc::clone(contract),
        }
    }

    /// The rate of a place.
    pub fn rate(&self, place: u8) -> &RateTerm {
        &self.rates[usize::from(place)]
    }

    /// The quota of a place.
    pub fn quota(&self, place: u8) -> &QuotaTerm {
        &self.quotas[usize::from(place)]
    }

    /// Whether these are the terms of this project and contract as they are now.
    pub fn are_of(&self, project: &Arc<ProjectFacts>, contract: &Arc<Contract>) -> bool {
        Arc::ptr_eq(&self.project, project) && Arc::ptr_eq(&self.contract, contract)
    }

    /// Whether some limit counts each key's requests for themselves.
    pub fn count_by_key(&self) -> bool {
        self.rates.iter().any(|term| term.by == LimitBy::Key)
            || self.quotas.iter().any(|term| term.by == LimitBy::Key)
    }

    /// Whose requests a limit counts for a key; none where it counts by address.
    pub fn counted(&self, by: LimitBy, lineage: keyward_core::id::KeyId) -> Option<CountedOf> {
        match by {
            LimitBy::Key => Some(CountedOf::Lineage(lineage)),
            LimitBy::Project => Some(CountedOf::Project(self.project.id)),
            LimitBy::Organization => Some(CountedOf::Organization(self.project.organization)),
            LimitBy::Address => None,
        }
    }

    /// What a limit's counter is called. Projects of an organization count together where they are on one plan, so
    /// that a counter has one limit; no name of a limit holds a slash.
    fn counter_name(&self, name: &str, by: LimitBy) -> Box<str> {
        match by {
            LimitBy::Organization => format!("{}/{name}", self.project.plan).into(),
            LimitBy::Key | LimitBy::Project | LimitBy::Address => name.into(),
        }
    }

    /// The id of a rate's counter.
    pub fn rate_id(&self, term: &RateTerm, of: RateOf) -> RateId {
        RateId { api: self.project.api.clone(), name: self.counter_name(&term.name, term.by), of }
    }

    /// The id of a quota's counter.
    pub fn quota_id(&self, term: &QuotaTerm, of: CountedOf) -> QuotaCounter {
        QuotaCounter { api: self.project.api.clone(), name: self.counter_name(&term.name, term.by), of }
    }
}

impl Bound {
    /// Binds a key to its counters.
    pub fn new(terms: Arc<Terms>, key: &KeyFacts, counters: &Counters) -> Self {
        let mut rates = SmallVec::new();
        let mut by_address = Vec::new();
        for (place, term) in (0u8..).zip(&terms.rates) {
            match terms.counted(term.by, key.lineage) {
                Some(of) => rates.push((place, counters.rate(terms.rate_id(term, RateOf::Counted(of))))),
                None => by_address.push(place),
            }
        }
        let mut quotas: SmallVec<[_; 2]> = (0u8..)
            .zip(&terms.quotas)
            .filter_map(|(place, term)| {
                let of = terms.counted(term.by, key.lineage)?;
                Some((place, counters.quota(terms.quota_id(term, of), term.per)))
            })
            .collect();
        rates.sort_by_key(|(_, cell): &(u8, Arc<RateCell>)| Arc::as_ptr(cell) as usize);
        quotas.sort_by_key(|(_, cell)| Arc::as_ptr(cell) as usize);
        Bound { terms, rates, quotas, by_address: by_address.into(), holding: Arc::clone(&counters.holding) }
    }

    /// Has the processor fetch all counters at once. Locking one waits for its memory before the next is looked for.
    pub fn fetch_ahead(&self) {
        let rates: usize = self.rates.iter().map(|(_, cell)| Arc::strong_count(cell)).sum();
        let quotas: usize = self.quotas.iter().map(|(_, cell)| Arc::strong_count(cell)).sum();
        std::hint::black_box(rates + quotas);
    }

    /// Whether there is nothing to be met.
    pub fn is_empty(&self) -> bool {
        self.rates.is_empty() && self.quotas.is_empty() && self.by_address.is_empty()
    }
}
