//! Counters of quotas in memory: what this node knows and holds of each in its current period. A cell knows its own
//! rules; exchanging units with the store is `blocks`' matter.

use keyward_core::clock::Timestamp;
use keyward_core::limits::block::BlockAnswer;
use keyward_core::limits::{Period, QuotaCounter};
use parking_lot::Mutex;

use super::terms::QuotaTerm;

/// A counter of a quota; laid out like a rate's.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct QuotaCell {
    pub state: Mutex<QuotaState>,
    pub id: QuotaCounter,
    pub per: Period,
    /// One at a time asks the store for more, and waits for what others give back.
    pub lane: tokio::sync::Mutex<()>,
    /// One exchange with the store at a time.
    pub exchanging: tokio::sync::Mutex<()>,
}

/// What this node knows and holds of a quota in its current period.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct QuotaState {
    /// The period's first moment and the first after it, in milliseconds.
    start: i64,
    end: i64,
    /// The limit under which the store told what follows; none where it has to be asked before anything is spent.
    told_under: Option<u64>,
    /// Units that may be spent without asking.
    left: u64,
    /// As told with the last answer: units this node was holding, had been spent, and others held.
    held: u64,
    spent: u64,
    with_others: u64,
    /// When a unit was last asked for, and when the store was last asked in vain, in nanoseconds of boottime.
    touched_at: i64,
    in_vain_at: i64,
    /// Whether more was asked for already while there still is some.
    is_wanted: bool,
    /// The period, by its name.
    pub period: Box<str>,
    /// How the period stood that was left for this one: a clock that is set back finds it as it was.
    before: Option<Box<QuotaState>>,
}

/// What a quota says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// There is enough at hand.
    Enough,
    /// There is enough, but the store has to be asked for it.
    Ask,
    /// Nothing is known: the store has to be asked.
    Unknown,
    /// There was not enough; the store may know of more by now.
    AskAgain,
    /// There is not enough.
    UsedUp,
}

/// After the store was asked in vain while others held some, it is asked again at most this often.
const ASK_AGAIN_NANOS: i64 = 1_000_000_000;
/// The same where nobody holds any, but requests that fail elsewhere may give some back.
const ASK_FOR_REFUNDS_NANOS: i64 = 10_000_000_000;
/// Before anything that a clock says.
const LONG_AGO: i64 = i64::MIN / 2;

impl QuotaCell {
    pub fn new(id: QuotaCounter, per: Period) -> Self {
        let (lane, exchanging) = Default::default();
        QuotaCell { state: Mutex::new(QuotaState::nowhere()), id, per, lane, exchanging }
    }
}

impl QuotaState {
    /// In no period.
    fn nowhere() -> Self {
        QuotaState {
            period: "".into(),
            start: i64::MAX,
            end: i64::MIN,
            told_under: None,
            left: 0,
            held: 0,
            spent: 0,
            with_others: 0,
            in_vain_at: LONG_AGO,
            touched_at: LONG_AGO,
            is_wanted: false,
            before: None,
        }
    }

    /// Whether a moment lies in the period that it counts.
    pub fn counts(&self, moment: Timestamp) -> bool {
        (self.start..self.end).contains(&moment.as_millis())
    }

    /// Moves on to the period that a moment lies in, or back to the one before. What is held of one is worth nothing
    /// in the other.
    pub fn roll(&mut self, per: Period, moment: Timestamp) {
        if self.counts(moment) {
            return;
        }
        let next = match self.before.take() {
            Some(before) if before.counts(moment) => *before,
            _ => {
                let span = per.span(moment);
                let end = span.end.map_or(i64::MAX, Timestamp::as_millis);
                QuotaState { period: span.id, start: span.start.as_millis(), end, ..Self::nowhere() }
            }
        };
        let next = QuotaState { is_wanted: self.is_wanted, ..next };
        let left = std::mem::replace(self, next);
        self.before = Some(Box::new(left));
    }

    /// How a period stands, where it is the one that counts or the one before.
    pub fn of(&mut self, period: &str) -> Option<&mut QuotaState> {
        match *self.period == *period {
            true => Some(self),
            false => self.before.as_deref_mut().filter(|before| *before.period == *period),
        }
    }

    /// Units used, as far as this node knows; what others hold counts as used.
    pub fn used(&self) -> u64 {
        (self.spent + self.with_others).saturating_add(self.held).saturating_sub(self.left)
    }

    /// Units spent of those that the store knows of as `spent`, and of those that this node holds.
    pub fn spent_of(&self, spent: u64) -> u64 {
        spent.saturating_add(self.held).saturating_sub(self.left)
    }

    /// What it says of `units` more under a term's limit.
    pub fn says(&self, units: u64, term: &QuotaTerm, now: Timestamp, boottime: i64) -> Says {
        let Some(told_under) = self.told_under.filter(|_| self.counts(now)) else { return Says::Unknown };
        if units == 0 {
            return Says::Enough;
        }
        if units > term.limit {
            return Says::UsedUp;
        }
        if units > term.limit.saturating_sub(self.used()) {
            let after = match self.with_others {
                0 if !term.failures_free => return Says::UsedUp,
                0 => ASK_FOR_REFUNDS_NANOS,
                _ => ASK_AGAIN_NANOS,
            };
            return if boottime - self.in_vain_at > after { Says::AskAgain } else { Says::UsedUp };
        }
        // What was given under a higher limit may be too much under this one, together with what others have.
        if units <= self.left && told_under <= term.limit { Says::Enough } else { Says::Ask }
    }

    /// Spends units that it said are at hand.
    pub fn spend(&mut self, units: u64, boottime: i64) {
        self.left -= units;
        self.touched_at = boottime;
    }

    /// Takes back units that were spent at a moment, if that still counts; says whether it does.
    pub fn give_back(&mut self, units: u64, spent_at: Timestamp) -> bool {
        if !self.counts(spent_at) {
            return false;
        }
        self.left = self.left.saturating_add(units);
        true
    }

    /// Whether few enough are left that more should be asked for while there still are some.
    pub fn is_low(&self, limit: u64) -> bool {
        self.left < self.held / 4 && self.used() + self.left < limit
    }

    /// Notes that more is asked for; says whether it was not yet.
    pub fn want(&mut self) -> bool {
        !std::mem::replace(&mut self.is_wanted, true)
    }

    /// Notes that asking for more has ended, however.
    pub fn unwant(&mut self) {
        self.is_wanted = false;
    }

    /// Units at hand.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The first moment after its period.
    pub fn end(&self) -> Option<Timestamp> {
        (self.end != i64::MAX).then(|| Timestamp::from_millis(self.end))
    }

    /// Whether there is something to give back, of this period or the one before. What is held of one that is over is
    /// worth nothing to anybody.
    pub fn has_block(&self, now: Timestamp) -> bool {
        let is_held = now.as_millis() < self.end && (self.left > 0 || self.held > 0);
        is_held || self.before.as_ref().is_some_and(|before| before.has_block(now))
    }

    /// The period of which something is to be given back, if it is such a one.
    pub fn block_of(&mut self, now: Timestamp, fits: impl Fn(&Self) -> bool) -> Option<&mut QuotaState> {
        let is_held = now.as_millis() < self.end && (self.left > 0 || self.held > 0);
        match is_held && fits(self) {
            true => Some(self),
            false => {
                self.before.as_deref_mut().and_then(|before| before.block_of(now, &fits as &dyn Fn(&Self) -> bool))
            }
        }
    }

    /// Whether nobody asked for units since a moment.
    pub fn is_idle(&self, since: i64) -> bool {
        self.touched_at < since
    }

    /// Whether the store has told of the period that a moment lies in.
    pub fn is_told(&self, moment: Timestamp) -> bool {
        self.told_under.is_some() && self.counts(moment)
    }

    /// Takes all that is at hand away, to give it back to the store.
    pub fn take_all(&mut self) -> u64 {
        // Whatever comes of it, the store is asked before anything more is spent.
        self.told_under = None;
        self.held = 0;
        std::mem::take(&mut self.left)
    }

    /// Whether an exchange under a limit may take units away: they were given under a higher one.
    pub fn may_lose_units(&self, limit: u64) -> bool {
        self.told_under.is_none_or(|told_under| told_under > limit)
    }

    /// Takes in what the store answered under a limit to who had `unspent`. What was spent meanwhile stays spent.
    pub fn told(&mut self, answer: &BlockAnswer, limit: u64, unspent: u64) {
        self.left = (self.left + answer.held).saturating_sub(unspent);
        self.held = answer.held;
        self.spent = answer.spent;
        self.with_others = answer.with_others;
        self.told_under = Some(limit);
    }

    /// Notes that units were got for a request that is about to spend them, or that none were to be had.
    pub fn asked(&mut self, is_in_vain: bool, boottime: i64) {
        match is_in_vain {
            true => self.in_vain_at = boottime,
            false => self.touched_at = boottime,
        }
    }
}
