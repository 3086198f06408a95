//! All limits of one request, or none: the counters are locked in one order, every one is asked, and only if all
//! agree is anything spent.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use keyward_core::clock::Timestamp;
use keyward_core::contract::Contract;
use keyward_core::decision::{Limits, ProjectFacts};
use keyward_core::denial::{Denial, Refusal};
use keyward_core::limits::{LimitBy, NEVER, network_of};
use parking_lot::MutexGuard;
use smallvec::SmallVec;

use super::Limiter;
use super::charge::{Charge, Stood, Taken};
use super::quota_cell::{QuotaCell, QuotaState, Says};
use super::rate_cell::{Mode, RateCell, RateOf, RateSays, RateState};
use super::sharing::Lacking;
use super::terms::{Bound, RateTerm};
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
    /// The server that nodes share counters in has to be asked first.
    Share(Box<Lacking>),
}

/// A quota that has too little at hand.
#[derive(Debug)]
pub(crate) struct Short {
    pub cell: Arc<QuotaCell>,
    pub bound: Arc<Bound>,
    pub place: u8,
    pub units: u64,
}

/// Rates that a request counts on, each with the place of its term.
type Rates<'a> = SmallVec<[(u8, &'a Arc<RateCell>); 6]>;

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
        let found = if bound.by_address.is_empty() { Vec::new() } else { self.of_network(&bound) };
        let mut rates: Rates<'_> = bound.rates.iter().map(|(place, cell)| (*place, cell)).collect();
        if found.is_empty() {
            return self.reserve_all(&bound, boottime, &rates);
        }
        rates.extend(found.iter().map(|(place, cell)| (*place, cell)));
        rates.sort_by_key(|(_, cell)| Arc::as_ptr(cell) as usize);
        self.reserve_all(&bound, boottime, &rates)
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
        let rates = bound.rates.iter().map(|(place, cell)| (*place, cell));
        let stood = bound.stand(rates, self.limiter.mode(), (self.now, boottime));
        let bound = Arc::clone(&bound);
        Charge::seen(Taken { bound, stood, cost: 0, at: self.now, refused: None, is_degraded: false })
    }

    /// The counters of the network that the request comes from; none where that is not known.
    fn of_network(&self, bound: &Bound) -> Vec<(u8, Arc<RateCell>)> {
        let Some(network) = self.address.map(network_of) else { return Vec::new() };
        let terms = &bound.terms;
        let of = RateOf::Network(terms.project.id, network);
        let cell = |&place: &u8| {
            let id = terms.rate_id(terms.rate(place), of);
            (place, self.limiter.counters.rate_of_network(id))
        };
        bound.by_address.iter().map(cell).collect()
    }

    fn reserve_all<'a>(
        &'a self,
        bound: &'a Arc<Bound>,
        boottime: i64,
        rates: &[(u8, &'a Arc<RateCell>)],
    ) -> Result<Charge, Unmet> {
        bound.fetch_ahead();
        let mut asked = Asked::new(self, bound, boottime, rates);
        asked.ask_rates();
        asked.ask_quotas();
        if let Some(place) = asked.short {
            drop(asked);
            return Err(Unmet::Ask(short(bound, place, self.cost)));
        }
        if asked.refuser.is_none() {
            if asked.lacks_shared {
                drop(asked);
                let rates = rates.iter().map(|(place, cell)| (*place, Arc::clone(cell))).collect();
                let lacking = Lacking { bound: Arc::clone(bound), rates, cost: self.cost, at: self.now };
                return Err(Unmet::Share(Box::new(lacking)));
            }
            asked.spend();
        }
        asked.tell()
    }
}

/// What the quota of a place needs for a request.
fn short(bound: &Arc<Bound>, place: u8, cost: u64) -> Short {
    let term = bound.terms.quota(place);
    let (_, cell) = bound.quotas.iter().find(|(at, _)| *at == place).expect("each quota has its counter");
    Short { cell: Arc::clone(cell), bound: Arc::clone(bound), place, units: term.counts.units(cost) }
}

/// Who refuses, and for how long.
struct Refuser<'a> {
    name: &'a str,
    refusal: Refusal,
    wait: Duration,
}

/// A request with all its counters locked.
struct Asked<'a> {
    request: &'a Request<'a>,
    bound: &'a Arc<Bound>,
    boottime: i64,
    mode: Mode,
    rates: SmallVec<[AskedRate<'a>; 6]>,
    quotas: SmallVec<[AskedQuota<'a>; 4]>,
    /// The limit that refuses longest.
    refuser: Option<Refuser<'a>>,
    /// A quota that the store has to be asked for first.
    short: Option<u8>,
    /// Whether a rate's shared counter has to be asked.
    lacks_shared: bool,
}

/// A quota, by the place of its term.
type AskedQuota<'a> = (u8, &'a Arc<QuotaCell>, MutexGuard<'a, QuotaState>);

struct AskedRate<'a> {
    place: u8,
    cell: &'a Arc<RateCell>,
    state: MutexGuard<'a, RateState>,
    /// Where it would stand.
    next: i64,
}

impl<'a> Asked<'a> {
    fn new(
        request: &'a Request<'a>,
        bound: &'a Arc<Bound>,
        boottime: i64,
        rates: &[(u8, &'a Arc<RateCell>)],
    ) -> Self {
        let lock =
            |&(place, cell): &(u8, &'a Arc<RateCell>)| AskedRate { place, cell, state: cell.state.lock(), next: 0 };
        Asked {
            rates: rates.iter().map(lock).collect(),
            quotas: bound.quotas.iter().map(|(place, cell)| (*place, cell, cell.state.lock())).collect(),
            mode: request.limiter.mode(),
            refuser: None,
            short: None,
            lacks_shared: false,
            request,
            bound,
            boottime,
        }
    }

    fn ask_rates(&mut self) {
        for asked in &mut self.rates {
            let term = self.bound.terms.rate(asked.place);
            let units = term.counts.units(self.request.cost);
            if asked.state.adopt(&term.rate, self.mode, self.boottime) {
                keep(self.request.limiter, self.mode, term, asked);
            }
            match asked.state.says(&term.rate, self.mode, self.boottime, units) {
                RateSays::Pass(next) => asked.next = next,
                RateSays::Ask => self.lacks_shared = true,
                RateSays::Wait(too_soon) => {
                    let wait = too_soon.retry_after();
                    refuse(&mut self.refuser, Refuser { name: &term.name, refusal: Refusal::RateLimited, wait });
                }
            }
        }
    }

    fn ask_quotas(&mut self) {
        let mut lacking = None;
        let mut used_up: SmallVec<[(u8, &QuotaState, bool); 4]> = SmallVec::new();
        for (place, _, state) in &self.quotas {
            let term = self.bound.terms.quota(*place);
            let units = term.counts.units(self.request.cost);
            match state.says(units, term, self.request.now, self.boottime) {
                Says::Enough => {}
                Says::Ask => lacking = lacking.or(Some(*place)),
                Says::Unknown => self.short = self.short.or(Some(*place)),
                Says::AskAgain => used_up.push((*place, state, true)),
                Says::UsedUp => used_up.push((*place, state, false)),
            }
        }
        // Whoever is refused is told for how long by all that refuse: what is not known of a quota is asked even
        // then, but not whether one that was used up has got some back.
        let is_refused = self.refuser.is_some() || used_up.iter().any(|(_, _, may_ask)| !may_ask);
        for (place, state, _) in used_up.iter().filter(|(_, _, may_ask)| is_refused || !may_ask) {
            let term = self.bound.terms.quota(*place);
            let end = state.end().filter(|_| term.counts.units(self.request.cost) <= term.limit);
            let wait = end.map_or(NEVER, |end| end.since(self.request.now));
            refuse(&mut self.refuser, Refuser { name: &term.name, refusal: Refusal::QuotaExceeded, wait });
        }
        if !is_refused {
            let again = used_up.iter().map(|(place, _, _)| *place).next();
            self.short = self.short.or(again).or(lacking);
        }
    }

    fn spend(&mut self) {
        let limiter = self.request.limiter;
        for asked in &mut self.rates {
            let term = self.bound.terms.rate(asked.place);
            let units = term.counts.units(self.request.cost);
            asked.state.spend(&term.rate, self.mode, (asked.next, self.boottime), units);
            keep(limiter, self.mode, term, asked);
        }
        for (place, _, state) in &mut self.quotas {
            let term = self.bound.terms.quota(*place);
            let units = term.counts.units(self.request.cost);
            if units > 0 {
                state.spend(units, self.boottime);
                if state.is_low(term.limit) && state.want() {
                    limiter.want_more(short(self.bound, *place, self.request.cost));
                }
            }
        }
    }

    /// What came of it, to be told.
    fn tell(&self) -> Result<Charge, Unmet> {
        let terms = &self.bound.terms;
        let mut stood: SmallVec<[Stood; 6]> = SmallVec::new();
        for asked in &self.rates {
            stood.push(Stood::of_rate(terms, asked.place, &asked.state, self.mode, self.boottime));
        }
        // Where a rate refused, the store may never have been asked.
        stood.extend(
            self.quotas.iter().filter_map(|(place, _, state)| Stood::of_quota(*place, state, self.request.now)),
        );
        stood.sort_unstable_by_key(Stood::order);
        let taken = Taken {
            bound: Arc::clone(self.bound),
            stood,
            cost: self.request.cost,
            at: self.request.now,
            refused: self.refuser.as_ref().map(|refuser| (Box::from(refuser.name), refuser.wait)),
            is_degraded: !self.rates.is_empty() && matches!(self.mode, Mode::Share(_)),
        };
        match &self.refuser {
            None => Ok(Charge::of(taken)),
            Some(Refuser { refusal, .. }) => Err(Unmet::Denied(Denial::new(*refusal), Charge::of(taken))),
        }
    }
}

/// Has the place of a rate kept that moved, where a restart is over before its burst is back.
fn keep(limiter: &Limiter, mode: Mode, term: &RateTerm, asked: &mut AskedRate<'_>) {
    let is_kept = term.by != LimitBy::Address && term.rate.tolerance() >= KEPT_FROM_NANOS;
    if mode == Mode::Own && is_kept && !asked.state.is_dirty {
        asked.state.is_dirty = true;
        limiter.moved.lock().push(Arc::clone(asked.cell));
    }
}

/// Of several that refuse, the one that refuses longest is told.
fn refuse<'a>(refuser: &mut Option<Refuser<'a>>, another: Refuser<'a>) {
    if refuser.as_ref().is_none_or(|longest| longest.wait < another.wait) {
        *refuser = Some(another);
    }
}
