//! What limits said of one request: what is left of each, which refused and for how long; and the way back for
//! what the upstream failed.

use std::sync::Arc;
use std::time::Duration;

use keyward_core::clock::Timestamp;
use keyward_core::decision::ProjectFacts;
use keyward_core::limits::{LimitBy, NEVER, Period};
use smallvec::SmallVec;

use super::quota_cell::QuotaState;
use super::rate_cell::{Mode, RateCell, RateState};
use super::terms::{Bound, Terms};

/// Of a limit: a rate or a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitKind {
    /// How fast.
    Rate,
    /// How much.
    Quota,
}

/// How a limit stands after a request, or for a view of it.
#[derive(Debug, Clone, Copy)]
pub struct LimitState<'a> {
    /// Its name.
    pub name: &'a str,
    /// Rate or quota.
    pub kind: LimitKind,
    /// Whose requests it counts.
    pub by: LimitBy,
    /// How much there is in a rate's time or a quota's period.
    pub limit: u64,
    /// How much would pass now.
    pub remaining: u64,
    /// How much of it is used; of a rate, what has not come back yet.
    pub used: u64,
    /// How long until it is all there again; [`NEVER`] where it never is.
    pub reset_after: Duration,
    /// The rate's time or the length of the quota's period; none for a lifetime.
    pub window: Option<Duration>,
}

/// What was taken from limits for one request, or why nothing was. Dropping it leaves it spent.
#[derive(Debug, Default)]
pub struct Charge(Option<Box<Told>>);

#[derive(Debug)]
enum Told {
    Limits(Taken),
    /// Nothing was taken, or what could be given back was.
    Settled(Taken),
    /// A rate of what is no request refused.
    Guard {
        name: &'static str,
        wait: Duration,
    },
}

/// How one rate or quota stood: two numbers each, worked out only where somebody asks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stood {
    /// Nanoseconds until the burst is all there.
    Rate { place: u8, ahead: i64 },
    /// Units used.
    Quota { place: u8, used: u64, end: Option<Timestamp> },
}

impl Stood {
    /// A rate, by its counter.
    pub fn of_rate(terms: &Terms, place: u8, state: &RateState, mode: Mode, boottime: i64) -> Self {
        Stood::Rate { place, ahead: state.ahead(&terms.rate(place).rate, mode, boottime) }
    }

    /// A quota, by its counter; none where the store has not told of it yet.
    pub fn of_quota(place: u8, state: &QuotaState, now: Timestamp) -> Option<Self> {
        state.is_told(now).then(|| Stood::Quota { place, used: state.used(), end: state.end() })
    }

    /// The plan's order: rates first.
    pub fn order(&self) -> (bool, u8) {
        match *self {
            Stood::Rate { place, .. } => (false, place),
            Stood::Quota { place, .. } => (true, place),
        }
    }
}

#[derive(Debug)]
pub(super) struct Taken {
    pub bound: Arc<Bound>,
    pub stood: SmallVec<[Stood; 6]>,
    pub cost: u64,
    pub at: Timestamp,
    /// The name of the limit that refused, and how long until it would not.
    pub refused: Option<(Box<str>, Duration)>,
    pub is_degraded: bool,
}

impl Charge {
    pub(super) fn of(taken: Taken) -> Self {
        Charge(Some(Box::new(Told::Limits(taken))))
    }

    /// How limits stand for a request that was refused for something else: nothing was taken.
    pub(super) fn seen(taken: Taken) -> Self {
        Charge(Some(Box::new(Told::Settled(taken))))
    }

    /// Of a rate of what is no request.
    pub(crate) fn refused_by_guard(name: &'static str, wait: Duration) -> Self {
        Charge(Some(Box::new(Told::Guard { name, wait })))
    }

    fn taken(&self) -> Option<&Taken> {
        match self.0.as_deref() {
            Some(Told::Limits(taken) | Told::Settled(taken)) => Some(taken),
            _ => None,
        }
    }

    /// Whether no limit held for the request.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How each limit stands, in the order of the plan: rates first.
    pub fn states(&self) -> impl Iterator<Item = LimitState<'_>> {
        self.taken().into_iter().flat_map(|taken| taken.stood.iter().map(|stood| taken.state(stood)))
    }

    /// How the limit of a name stands, where the plan has one.
    pub fn state(&self, name: &str) -> Option<LimitState<'_>> {
        self.states().find(|state| state.name == name)
    }

    /// The limit that refused.
    pub fn denied_by(&self) -> Option<&str> {
        match self.0.as_deref()? {
            Told::Limits(taken) | Told::Settled(taken) => taken.refused.as_ref().map(|(name, _)| &**name),
            Told::Guard { name, .. } => Some(name),
        }
    }

    /// How long until the request would not be refused, if nobody else came first; [`NEVER`] where waiting does not
    /// help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.0.as_deref()? {
            Told::Limits(taken) | Told::Settled(taken) => taken.refused.as_ref().map(|(_, wait)| *wait),
            Told::Guard { wait, .. } => Some(*wait),
        }
    }

    /// Whether counters shared between nodes could not be reached, so that this node went by its share.
    pub fn is_degraded(&self) -> bool {
        self.taken().is_some_and(|taken| taken.is_degraded)
    }

    /// When it was taken.
    pub fn at(&self) -> Option<Timestamp> {
        self.taken().map(|taken| taken.at)
    }

    /// The project whose limits they are, where any held.
    pub fn project(&self) -> Option<&ProjectFacts> {
        self.taken().map(|taken| &*taken.bound.terms.project)
    }

    /// Gives back what the contract says is free when the upstream fails. What belongs to a period that has ended
    /// stays spent in it.
    pub fn refund(self) {
        drop(self.refunded());
    }

    /// The same, and tells how the limits stand after it.
    #[must_use = "to give back and be told nothing there is `refund`"]
    pub fn refunded(self) -> Charge {
        let Charge(Some(mut told)) = self else { return self };
        if let Told::Limits(taken) = &mut *told
            && taken.refused.is_none()
        {
            taken.give_back();
        }
        Charge(Some(match *told {
            Told::Limits(taken) => Box::new(Told::Settled(taken)),
            _ => told,
        }))
    }
}

impl Bound {
    /// How limits stand now, in the plan's order: these rates, and all quotas of which the store has told.
    pub(super) fn stand<'a>(
        &self,
        rates: impl Iterator<Item = (u8, &'a Arc<RateCell>)>,
        mode: Mode,
        (now, boottime): (Timestamp, i64),
    ) -> SmallVec<[Stood; 6]> {
        let rates =
            rates.map(|(place, cell)| Stood::of_rate(&self.terms, place, &cell.state.lock(), mode, boottime));
        let quotas =
            self.quotas.iter().filter_map(|(place, cell)| Stood::of_quota(*place, &cell.state.lock(), now));
        let mut stood: SmallVec<[Stood; 6]> = rates.chain(quotas).collect();
        stood.sort_unstable_by_key(Stood::order);
        stood
    }
}

impl Taken {
    fn give_back(&mut self) {
        for (place, cell) in &self.bound.quotas {
            let term = self.bound.terms.quota(*place);
            if !term.failures_free {
                continue;
            }
            let units = term.counts.units(self.cost);
            let mut state = cell.state.lock();
            if state.give_back(units, self.at) {
                self.bound.holding.note(cell);
            }
            drop(state);
            for stood in &mut self.stood {
                if let Stood::Quota { place: of, used, .. } = stood
                    && of == place
                {
                    *used = used.saturating_sub(units);
                }
            }
        }
    }

    fn state(&self, stood: &Stood) -> LimitState<'_> {
        match *stood {
            Stood::Rate { place, ahead } => {
                let term = self.bound.terms.rate(place);
                let remaining = term.rate.remaining(ahead, 0);
                LimitState {
                    name: &term.name,
                    kind: LimitKind::Rate,
                    by: term.by,
                    limit: term.rate.limit(),
                    remaining,
                    used: term.rate.burst().saturating_sub(remaining),
                    reset_after: Duration::from_nanos(u64::try_from(ahead).unwrap_or(0)),
                    window: Some(term.rate.per()),
                }
            }
            Stood::Quota { place, used, end } => {
                let term = self.bound.terms.quota(place);
                LimitState {
                    name: &term.name,
                    kind: LimitKind::Quota,
                    by: term.by,
                    limit: term.limit,
                    remaining: term.limit.saturating_sub(used),
                    used,
                    reset_after: end.map_or(NEVER, |end| end.since(self.at)),
                    window: window_of(term.per, self.at),
                }
            }
        }
    }
}

/// The length of the period that a moment lies in.
pub(super) fn window_of(per: Period, at: Timestamp) -> Option<Duration> {
    match per {
        Period::Day => Some(Duration::from_secs(86_400)),
        Period::Month => {
            let span = per.span(at);
            span.end.map(|end| end.since(span.start))
        }
        Period::Lifetime => None,
    }
}
