//! Rates that nodes share: units are taken from the shared counter for one request, or for a little while where the
//! rate is high, and spent from memory. Where it cannot be reached, `rate_cell` counts this node's share.

use std::sync::Arc;
use std::time::Duration;

use keyward_core::clock::Timestamp;
use keyward_core::limits::{Rate, TooSoon};
use smallvec::SmallVec;

use super::Limiter;
use super::charge::{Charge, Taken as Told};
use super::rate_cell::{Mode, RateCell, RateOf};
use super::shared::{Down, SharedAsk, SharedBack, Taken};
use super::terms::Bound;

/// Units are spent within this part of a rate's time after they were taken, and no more of them are taken ahead: so
/// no stretch of time sees more than this part over the limit.
const SLICE_PART: u32 = 100;

/// A request whose rates' shared counters have to be asked.
#[derive(Debug)]
pub(crate) struct Lacking {
    pub bound: Arc<Bound>,
    pub rates: SmallVec<[(u8, Arc<RateCell>); 4]>,
    pub cost: u64,
    pub at: Timestamp,
}

/// Units that were taken for a request, so that they can be given back.
#[derive(Debug)]
pub(crate) struct TakenAhead(Vec<(u8, Arc<RateCell>, u64, i64)>);

impl Limiter {
    /// By which counters rates go now.
    pub(super) fn mode(&self) -> Mode {
        match &self.shared {
            None => Mode::Own,
            Some(shared) if shared.is_up() => Mode::Shared,
            Some(shared) => Mode::Share(shared.nodes()),
        }
    }

    /// Takes what a request lacks from the shared counters, all or nothing, so that it can be judged again. Where
    /// they cannot be reached, that is known from then on, and the request is judged by this node's share.
    ///
    /// # Errors
    /// The charge that tells which limit refused.
    pub async fn take_shared(self: &Arc<Self>, lacking: &Arc<Lacking>) -> Result<TakenAhead, Charge> {
        let (limiter, lacking) = (Arc::clone(self), Arc::clone(lacking));
        // In a task of its own: a caller that goes away must not take along what is owed, nor what is on its way.
        let taking = self.tasks.spawn(async move { limiter.take_shared_here(&lacking).await });
        taking.await.unwrap_or_else(|_| Ok(TakenAhead(Vec::new())))
    }

    async fn take_shared_here(&self, lacking: &Lacking) -> Result<TakenAhead, Charge> {
        let mut taken = TakenAhead(Vec::new());
        let Some(shared) = &self.shared else { return Ok(taken) };
        let now = self.clock.boottime_nanos();
        let nodes = u64::from(shared.nodes());
        let asked: Vec<_> =
            lacking.rates.iter().filter(|(place, cell)| self.lacks(lacking, *place, cell, now)).collect();
        let keys: Vec<String> = asked.iter().map(|(_, cell)| key(cell)).collect();
        // What passed by this node's share while the counters were away is told them with the next ask, once.
        let owed: Vec<u64> = asked.iter().map(|(_, cell)| cell.state.lock().take_owed(now)).collect();
        let asks: Vec<SharedAsk<'_>> = asked
            .iter()
            .zip(keys.iter().zip(&owed))
            .map(|((place, cell), (key, owed))| {
                let term = lacking.bound.terms.rate(*place);
                let need = term.counts.units(lacking.cost);
                let most = term.rate.limit() / u64::from(SLICE_PART) / nodes;
                let slice = cell.state.lock().slice_for(need, most, now, life(&term.rate)).saturating_add(*owed);
                SharedAsk { key, interval: term.rate.interval(), tolerance: term.rate.tolerance(), need, slice }
            })
            .collect();
        let answer = shared.take(&asks).await;
        let now = self.clock.boottime_nanos();
        if !matches!(answer, Ok(Taken::Granted(_))) {
            asked.iter().zip(&owed).for_each(|((_, cell), owed)| cell.state.lock().owe(*owed, now));
        }
        match answer {
            Err(Down) => Ok(taken),
            Ok(Taken::Granted(stands)) => {
                for (((place, cell), ask), (stand, owed)) in asked.iter().zip(&asks).zip(stands.iter().zip(&owed)) {
                    let term = lacking.bound.terms.rate(*place);
                    let units = stand.taken - (*owed).min(stand.taken.saturating_sub(ask.need));
                    cell.state.lock().told(units, stand.ahead, (now, now.saturating_add(life(&term.rate))));
                    taken.0.push((*place, Arc::clone(cell), units, stand.at));
                }
                Ok(taken)
            }
            Ok(Taken::Refused { wait, by, stands }) => {
                for ((_, cell), stand) in asked.iter().zip(stands) {
                    cell.state.lock().told_of(stand.ahead, now);
                }
                let wait = TooSoon { wait }.retry_after();
                let refuser = asked.get(by).map_or(0, |(place, _)| *place);
                Err(self.refused_by_shared(lacking, refuser, wait))
            }
        }
    }

    /// Gives back what was taken for a request that something else refused, as far as nobody spent it since.
    pub async fn undo_shared(&self, lacking: &Lacking, taken: TakenAhead) {
        let Some(shared) = &self.shared else { return };
        let mut backs = Vec::new();
        for (place, cell, units, at) in &taken.0 {
            let units = cell.state.lock().take_back(*units);
            let interval = lacking.bound.terms.rate(*place).rate.interval();
            backs.push((key(cell), interval, units, *at));
        }
        let backs: Vec<_> = backs
            .iter()
            .filter(|(_, _, units, _)| *units > 0)
            .map(|(key, interval, units, at)| SharedBack { key, interval: *interval, units: *units, at: *at })
            .collect();
        shared.undo(&backs).await;
    }

    fn lacks(&self, lacking: &Lacking, place: u8, cell: &RateCell, now: i64) -> bool {
        let term = lacking.bound.terms.rate(place);
        cell.state.lock().in_slice(now) < term.counts.units(lacking.cost)
    }

    fn refused_by_shared(&self, lacking: &Lacking, refuser: u8, wait: Duration) -> Charge {
        let terms = &lacking.bound.terms;
        let boottime = self.clock.boottime_nanos();
        let rates = lacking.rates.iter().map(|(place, cell)| (*place, cell));
        let stood = lacking.bound.stand(rates, Mode::Shared, (lacking.at, boottime));
        Charge::of(Told {
            bound: Arc::clone(&lacking.bound),
            stood,
            cost: lacking.cost,
            at: lacking.at,
            refused: Some((terms.rate(refuser).name.clone(), wait)),
            is_degraded: false,
        })
    }
}

/// For how many nanoseconds units of a rate are good after they were taken.
fn life(rate: &Rate) -> i64 {
    i64::try_from((rate.per() / SLICE_PART).as_nanos()).unwrap_or(i64::MAX)
}

/// What the server knows a counter by. Names of APIs and limits hold no colon.
fn key(cell: &RateCell) -> String {
    let id = &cell.id;
    match &id.of {
        RateOf::Counted(of) => format!("{}:{}:{of}", id.api, id.name),
        RateOf::Network(project, network) => format!("{}:{}:{project}:{network}", id.api, id.name),
    }
}
