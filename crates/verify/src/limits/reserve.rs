//! All limits of one request, or none: the counters are locked in one order, every one is asked, and only if all
//! agree is anything spent.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use keyward_core::clock::Timestamp;
use keyward_core::contract::Contract;
use keyward_core::decision::{Limits, ProjectFacts};
use keyward_core::denial::{Denial, Refusal};
use keyward_core::limits::{LimitBy, NEVER, TooSoon, network_of};
use smallvec::SmallVec;

use super::Limiter;
use super::cell::{QuotaCell, RateCell, RateOf, Says};
use super::charge::{Charge, Stood, Taken};
use super::terms::Bound;
use crate::cache::Entry;

/// A burst shorter than this is back before a restart is over: where it stands is not kept.
const KEPT_FROM_NANOS: i64 = 5_000_000_000;

/// One request before the limits.
pub(crate) struct Request<'a> {
    pub limiter: &'a Limiter,
    pub cost: u64,
    pub address: Option<IpAddr>,
    pub now: Timestamp,
}

/// Why nothing was taken.
#[derive(Debug)]
pub(crate) enum Unmet {
    /// A limit has not enough left.
    Denied(Denial, Charge),
    /// The store has to be asked first for units of this quota.
    Ask(Short),
}

/// A quota that has too little at hand.
#[derive(Debug)]
pub(crate) struct Short {
    pub cell: Arc<QuotaCell>,
    pub bound: Arc<Bound>,
    pub place: u8,
    pub units: u64,
}

/// Who refuses, and for how long.
struct Refuser<'a> {
    name: &'a str,
    refusal: Refusal,
    wait: Duration,
}

impl Limits<Entry> for Request<'_> {
    type Reserved = Charge;
    type Unmet = Unmet;

    fn reserve(
        &self,
        key: &Arc<Entry>,
        project: &Arc<ProjectFacts>,
        contract: &Arc<Contract>,
    ) -> Result<Charge, Unmet> {
        let bound = self.limiter.bound(key, project, contract);
        if bound.is_empty() {
            return Ok(Charge::default());
        }
        // Read only now: most requests of plans without limits never need it.
        let boottime = self.limiter.clock.boottime_nanos();
        match bound.by_address.is_empty() {
            true => self.reserve_all(&bound, boottime, bound.rates.iter().map(|(place, cell)| (*place, cell)).collect()),
            false => {
                let found = self.of_network(&bound);
                let mut rates: SmallVec<[_; 6]> = bound.rates.iter().map(|(place, cell)| (*place, cell)).collect();
                rates.extend(found.iter().map(|(place, cell)| (*place, cell)));
                rates.sort_by_key(|(_, cell)| Arc::as_ptr(cell) as usize);
                self.reserve_all(&bound, boottime, rates)
            }
        }
    }
}

impl Request<'_> {
    /// How the limits of a key stand that is refused for something else. Nothing is taken or asked for; what counts
    /// by address is left out.
    pub fn look(&self, key: &Arc<Entry>, project: &Arc<ProjectFacts>, contract: &Arc<Contract>) -> Charge {
        let bound = self.limiter.bound(key, project, contract);
        if bound.is_empty() {
            return Charge::default();
        }
        let boottime = self.limiter.clock.boottime_nanos();
        let terms = &bound.terms;
        let rates = bound.rates.iter().map(|(place, cell)| {
            let rate = &terms.rates[usize::from(*place)].rate;
            let tat = cell.state.lock().tat(rate, boottime);
            Stood::Rate { place: *place, ahead: rate.full_in(tat, boottime) }
        });
        let quotas = bound.quotas.iter().filter_map(|(place, cell)| {
            let state = cell.state.lock();
            let stood = Stood::Quota { place: *place, used: state.used(), end: state.end() };
            state.is_told(self.now).then_some(stood)
        });
        let mut stood: SmallVec<[Stood; 6]> = rates.chain(quotas).collect();
        stood.sort_unstable_by_key(Stood::order);
        let bound = Arc::clone(&bound);
        Charge::seen(Taken { bound, stood, cost: 0, at: self.now, refused: None, is_degraded: false })
    }

    /// The counters of the network that the request comes from; none where that is not known.
    fn of_network(&self, bound: &Bound) -> Vec<(u8, Arc<RateCell>)> {
        let Some(network) = self.address.map(network_of) else { return Vec::new() };
        let terms = &bound.terms;
        let of = RateOf::Network(terms.project.id, network);
        let cell = |&place: &u8| {
            let id = terms.rate_id(&terms.rates[usize::from(place)], of);
            (place, self.limiter.counters.rate(id))
        };
        bound.by_address.iter().map(cell).collect()
    }

    fn reserve_all(
        &self,
        bound: &Arc<Bound>,
        boottime: i64,
        rates: SmallVec<[(u8, &Arc<RateCell>); 6]>,
    ) -> Result<Charge, Unmet> {
        bound.fetch_ahead();
        let terms = &bound.terms;
        let mut rate_locks: SmallVec<[_; 6]> = rates.iter().map(|(_, cell)| cell.state.lock()).collect();
        let mut quota_locks: SmallVec<[_; 6]> = bound.quotas.iter().map(|(_, cell)| cell.state.lock()).collect();
        let mut next: SmallVec<[i64; 6]> = SmallVec::new();
        let mut refuser: Option<Refuser<'_>> = None;
        let mut refuse = |name, refusal, wait| {
            if refuser.as_ref().is_none_or(|longest| longest.wait < wait) {
                refuser = Some(Refuser { name, refusal, wait });
            }
        };
        for ((place, _), state) in rates.iter().zip(&rate_locks) {
            let term = &terms.rates[usize::from(*place)];
            match state.after(&term.rate, boottime, term.counts.units(self.cost)) {
                Ok(tat) => next.push(tat),
                Err(TooSoon { wait }) => {
                    let wait = wait.map_or(NEVER, |nanos| Duration::from_nanos(nanos.max(0) as u64));
                    next.push(state.tat(&term.rate, boottime));
                    refuse(&term.name, Refusal::RateLimited, wait);
                }
            }
        }
        let mut short = None;
        for ((place, _), state) in bound.quotas.iter().zip(&quota_locks) {
            let term = &terms.quotas[usize::from(*place)];
            match state.says(term.counts.units(self.cost), term.limit, self.now, boottime) {
                Says::Enough => {}
                Says::Ask => short = short.or(Some(*place)),
                Says::UsedUp => {
                    let is_too_much = term.counts.units(self.cost) > term.limit;
                    let end = state.end().filter(|_| !is_too_much);
                    refuse(&term.name, Refusal::QuotaExceeded, end.map_or(NEVER, |end| end.since(self.now)));
                }
            }
        }
        // Refused already: nobody need ask the store.
        if refuser.is_none()
            && let Some(place) = short
        {
            drop((rate_locks, quota_locks));
            return Err(Unmet::Ask(self.short(bound, place)));
        }
        let mut stood: SmallVec<[Stood; 6]> = SmallVec::new();
        for (((place, cell), state), tat) in rates.iter().zip(&mut rate_locks).zip(&next) {
            let term = &terms.rates[usize::from(*place)];
            if refuser.is_none() {
                state.set(&term.rate, *tat);
                if !state.is_dirty && term.by != LimitBy::Address && term.rate.tolerance() >= KEPT_FROM_NANOS {
                    state.is_dirty = true;
                    self.limiter.moved.lock().push(Arc::clone(cell));
                }
            }
            stood.push(Stood::Rate { place: *place, ahead: term.rate.full_in(*tat, boottime) });
        }
        for ((place, cell), state) in bound.quotas.iter().zip(&mut quota_locks) {
            let term = &terms.quotas[usize::from(*place)];
            let units = term.counts.units(self.cost);
            if refuser.is_none() && units > 0 {
                state.spend(units, boottime);
                if state.is_low(term.limit) && state.want() {
                    self.limiter.want_more(Short { cell: Arc::clone(cell), ..self.short(bound, *place) });
                }
            }
            // A request that a rate refused never asked the store.
            if state.is_told(self.now) {
                stood.push(Stood::Quota { place: *place, used: state.used(), end: state.end() });
            }
        }
        stood.sort_unstable_by_key(Stood::order);
        let refused = refuser.as_ref().map(|refuser| (Box::from(refuser.name), refuser.wait));
        let taken = Taken {
            bound: Arc::clone(bound),
            stood,
            cost: self.cost,
            at: self.now,
            refused,
            is_degraded: false,
        };
        match refuser {
            None => Ok(Charge::of(taken)),
            Some(Refuser { refusal, .. }) => Err(Unmet::Denied(Denial::new(refusal), Charge::of(taken))),
        }
    }

    fn short(&self, bound: &Arc<Bound>, place: u8) -> Short {
        let term = &bound.terms.quotas[usize::from(place)];
        let (_, cell) = bound.quotas.iter().find(|(at, _)| *at == place).expect("each quota has its counter");
        Short { cell: Arc::clone(cell), bound: Arc::clone(bound), place, units: term.counts.units(self.cost) }
    }
}
