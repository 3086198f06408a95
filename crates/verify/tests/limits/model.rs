//! The plain model beside the engine: plans, what each counter has used in each period, and what was refunded. It
//! only adds up.

use std::collections::{BTreeMap, BTreeSet};

use keyward_core::clock::{Clock as _, Timestamp};
use keyward_core::limits::Period;
use keyward_core::tenancy::Project;
use keyward_verify::limits::Charge;

use crate::support::site::TestClock;

#[derive(Debug, Clone)]
pub struct Rate {
    pub limit: u64,
    pub seconds: u64,
    pub burst: u64,
    pub by: usize,
    pub is_cost: bool,
}

#[derive(Debug, Clone)]
pub struct Quota {
    pub limit: u64,
    pub per: Period,
    pub by: usize,
    pub is_cost: bool,
    pub is_free: bool,
}

/// Limits of the same place have the same name in both plans.
#[derive(Debug, Clone)]
pub struct Plan {
    pub rates: Vec<Rate>,
    pub quotas: Vec<Quota>,
}

/// A counter: the limit's name and whose requests it counts.
pub type Counter = (String, String);

/// Grants of a rate since it last changed, by the clock that only goes on.
#[derive(Debug, Default, Clone)]
pub struct Passed {
    /// Limit, seconds and burst that held.
    pub under: (u64, u64, u64),
    pub grants: Vec<(i64, u64)>,
}

/// A charge that may still be refunded, with what it took from quotas that are free of failures.
pub struct Open {
    pub charge: Charge,
    pub took: Vec<(Counter, Box<str>, Period, u64)>,
}

#[derive(Default)]
pub struct Model {
    pub plans: Vec<Plan>,
    pub projects: Vec<Project>,
    pub of_key: [usize; 3],
    pub plan_of: [usize; 2],
    pub own: [BTreeMap<String, u64>; 2],
    pub used: BTreeMap<(Counter, Box<str>), u64>,
    /// Of which a crash took units, or a refund may not have counted: more may count as spent than was.
    pub lossy: BTreeSet<(Counter, Box<str>)>,
    pub passed: BTreeMap<Counter, Passed>,
    pub open: Vec<Open>,
    /// Whether the wall clock was set since rates were kept.
    pub is_set: bool,
}

pub fn units(is_cost: bool, cost: u64) -> u64 {
    if is_cost { cost } else { 1 }
}

impl Model {
    pub fn counter(&self, name: String, by: usize, key: usize) -> Counter {
        let of = match by {
            0 => format!("key{key}"),
            1 => format!("project{}", self.of_key[key]),
            _ => format!("organization on plan {}", self.plan_of[self.of_key[key]]),
        };
        (name, of)
    }

    /// Quotas that hold for a key, with the limit in force, the counter and the period.
    pub fn quotas(&self, key: usize, now: Timestamp) -> Vec<(Quota, u64, (Counter, Box<str>))> {
        let project = self.of_key[key];
        let quotas = self.plans[self.plan_of[project]].quotas.iter().enumerate();
        quotas
            .map(|(place, quota)| {
                let name = format!("quota{place}");
                let own = self.own[project].get(&name).copied().filter(|_| quota.by < 2);
                let limit = own.unwrap_or(quota.limit);
                let id = quota.per.span(now).id;
                (quota.clone(), limit, (self.counter(name, quota.by, key), id))
            })
            .collect()
    }

    pub fn used(&self, of: &(Counter, Box<str>)) -> u64 {
        self.used.get(of).copied().unwrap_or(0)
    }

    pub fn granted(&mut self, key: usize, cost: u64, charge: Charge, clock: &TestClock) {
        let mut took = Vec::new();
        for (quota, limit, of) in self.quotas(key, clock.now()) {
            let units = units(quota.is_cost, cost);
            let used = self.used(&of);
            assert!(units == 0 || used + units <= limit, "{of:?}: {used} and {units} of {limit}");
            self.used.insert(of.clone(), used + units);
            if quota.is_free {
                took.push((of.0, of.1, quota.per, units));
            }
        }
        let project = self.of_key[key];
        let rates = self.plans[self.plan_of[project]].rates.clone();
        for (place, rate) in rates.into_iter().enumerate() {
            let name = format!("rate{place}");
            let own = self.own[project].get(&name).copied().filter(|_| rate.by < 2);
            let in_proportion = |own: u64| (rate.burst * own).div_ceil(rate.limit).max(u64::from(own > 0));
            let under = (own.unwrap_or(rate.limit), rate.seconds, own.map_or(rate.burst, in_proportion));
            let of = self.counter(name, rate.by, key);
            let passed = self.passed.entry(of).or_default();
            if passed.under != under {
                *passed = Passed { under, grants: Vec::new() };
            }
            passed.grants.push((clock.boottime_nanos(), units(rate.is_cost, cost)));
            passed.check();
        }
        self.open.push(Open { charge, took });
    }

    pub fn denied(&self, key: usize, cost: u64, charge: &Charge, now: Timestamp) {
        let name = charge.denied_by().unwrap();
        let Some(place) = name.strip_prefix("quota").map(|place| place.parse::<usize>().unwrap()) else { return };
        let (quota, limit, of) = self.quotas(key, now).remove(place);
        let (units, used) = (units(quota.is_cost, cost), self.used(&of));
        assert!(units > 0, "{of:?} refuses nothing");
        assert!(
            used + units > limit || self.lossy.contains(&of),
            "{of:?}: {units} fit, {used} of {limit} are used"
        );
    }

    pub fn refund(&mut self, which: usize, now: Timestamp) {
        if self.open.is_empty() {
            return;
        }
        let Open { charge, took } = self.open.remove(which % self.open.len());
        charge.refund();
        for (counter, period, per, units) in took {
            let is_over = per.span(now).id != period;
            let of = (counter, period);
            let used = self.used(&of);
            self.used.insert(of.clone(), used - units);
            // Whether a refund of another period than now's counts is left open: it must not count in now's.
            if is_over {
                self.lossy.insert(of);
            }
        }
    }

    pub fn crashed(&mut self, now: Timestamp) {
        self.lossy.extend(self.used.keys().cloned());
        // Units that were wished for before a period ended may have been fetched of the next.
        let counters: BTreeSet<&Counter> = self.used.keys().map(|(counter, _)| counter).collect();
        for per in [Period::Day, Period::Month] {
            let id = per.span(now).id;
            self.lossy.extend(counters.iter().map(|counter| ((*counter).clone(), id.clone())));
        }
        self.passed.clear();
        self.open.clear();
    }

    pub fn restarted(&mut self, now: Timestamp) {
        // What is held of a period that is over is not given back; a clock that is set back may come there again.
        let over = |id: &str| {
            let per = [(10, Period::Day), (7, Period::Month)].into_iter().find(|(length, _)| *length == id.len());
            per.is_some_and(|(_, per)| *id < *per.span(now).id)
        };
        self.lossy.extend(self.used.keys().filter(|(_, id)| over(id)).cloned());
        // Short bursts are not kept, and what is kept is kept by the wall clock.
        let is_set = self.is_set;
        self.passed.retain(|_, passed| !is_set && passed.under.1 * passed.under.2 >= 5 * passed.under.0.max(1));
        self.is_set = false;
        // Charges of another run give back to that run.
        for (counter, period, ..) in self.open.drain(..).flat_map(|open| open.took) {
            self.lossy.insert((counter, period));
        }
    }
}

impl Passed {
    /// In every stretch that ends now no more passed than burst and pace allow.
    pub fn check(&self) {
        let (limit, seconds, burst) = self.under;
        let Some(&(end, _)) = self.grants.last() else { return };
        let mut sum = 0;
        for &(at, units) in self.grants.iter().rev() {
            sum += units;
            let paced = i128::from(end - at) * i128::from(limit) / (i128::from(seconds) * 1_000_000_000);
            assert!(i128::from(sum) <= i128::from(burst) + paced + 1, "{sum} since {at}, by {end}: {self:?}");
        }
    }
}
