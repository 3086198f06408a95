//! Counters of quotas in memory: what this node knows and holds of each in its current period. A cell knows its own
//! rules; exchanging units with the store is `blocks`' matter.

use keyward_core::clock::Timestamp;
use keyward_core::limits::block::BlockAnswer;
use keyward_core::limits::{Period, QuotaCounter};
use parking_lot::Mutex;

/// A counter of a quota; laid out like a rate's.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct QuotaCell {
    pub state: Mutex<QuotaState>,
    pub id: QuotaCounter,
    /// One exchange with the store at a time.
    pub lane: tokio::sync::Mutex<()>,
}

/// What this node knows and holds of a quota in its current period.
#[derive(Debug, Clone)]
pub(crate) struct QuotaState {
    /// The period, by its name, with its first moment and the first after it, in milliseconds.
    pub period: Box<str>,
    start: i64,
    end: i64,
    /// Whether what follows was told by the store under the limits in force.
    is_fresh: bool,
    /// Units that may be spent without asking.
    left: u64,
    /// As told with the last answer: units this node was holding, had been spent, and others held.
    held: u64,
    spent: u64,
    with_others: u64,
    /// When that was, and when a unit was last asked for, in nanoseconds of boottime.
    told_at: i64,
    touched_at: i64,
    /// Whether more was asked for already while there still is some.
    is_wanted: bool,
}

/// What a quota says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// There is enough at hand.
    Enough,
    /// The store has to be asked.
    Ask,
    /// There is not enough.
    UsedUp,
}

/// After a refusal because others hold what is left, the store is asked again at most this often.
const ASK_AGAIN_NANOS: i64 = 1_000_000_000;

impl QuotaCell {
    pub fn new(id: QuotaCounter) -> Self {
        let state = QuotaState {
            period: "".into(),
            start: i64::MAX,
            end: i64::MIN,
            is_fresh: false,
            left: 0,
            held: 0,
            spent: 0,
            with_others: 0,
            told_at: 0,
            touched_at: 0,
            is_wanted: false,
        };
        QuotaCell { state: Mutex::new(state), id, lane: tokio::sync::Mutex::default() }
    }
}

impl QuotaState {
    /// Whether a moment lies in the period that it counts.
    pub fn counts(&self, moment: Timestamp) -> bool {
        (self.start..self.end).contains(&moment.as_millis())
    }

    /// Moves on to the period that a moment lies in. What was held of another is worth nothing in this one.
    pub fn roll(&mut self, per: Period, moment: Timestamp) {
        if self.counts(moment) {
            return;
        }
        let span = per.span(moment);
        self.start = span.start.as_millis();
        self.end = span.end.map_or(i64::MAX, Timestamp::as_millis);
        self.period = span.id;
        self.is_fresh = false;
        (self.left, self.held, self.spent, self.with_others) = (0, 0, 0, 0);
    }

    /// Has the store asked before anything more is spent: limits may be others than it was told under.
    pub fn distrust(&mut self) {
        self.is_fresh = false;
    }

    /// Units used, as far as this node knows; what others hold counts as used.
    pub fn used(&self) -> u64 {
        (self.spent + self.with_others).saturating_add(self.held).saturating_sub(self.left)
    }

    /// Units spent since the store was last told.
    pub fn spent_of_block(&self) -> u64 {
        self.held.saturating_sub(self.left)
    }

    /// What it says of `units` more under a limit.
    pub fn says(&self, units: u64, limit: u64, now: Timestamp, boottime: i64) -> Says {
        if !self.is_told(now) {
            return Says::Ask;
        }
        if units == 0 {
            return Says::Enough;
        }
        if units > limit.saturating_sub(self.used()) {
            let may_have_changed = self.with_others > 0 && boottime - self.told_at > ASK_AGAIN_NANOS;
            return if may_have_changed { Says::Ask } else { Says::UsedUp };
        }
        if units <= self.left { Says::Enough } else { Says::Ask }
    }

    /// Spends units that it said are at hand.
    pub fn spend(&mut self, units: u64, boottime: i64) {
        self.left -= units;
        self.touched_at = boottime;
    }

    /// Takes back units that were spent at a moment, if that still counts.
    pub fn give_back(&mut self, units: u64, spent_at: Timestamp) {
        if self.counts(spent_at) {
            self.left = self.left.saturating_add(units);
        }
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

    /// Whether units lie at hand that nobody asked for since a moment.
    pub fn is_idle(&self, since: i64) -> bool {
        self.left > 0 && self.touched_at < since
    }

    /// Whether the store has told of the period that a moment lies in.
    pub fn is_told(&self, moment: Timestamp) -> bool {
        self.is_fresh && self.counts(moment)
    }

    /// Takes all that is at hand away, to give it back to the store.
    pub fn take_all(&mut self) -> u64 {
        // Whatever comes of it, the store is asked before anything more is spent.
        self.is_fresh = false;
        std::mem::take(&mut self.left)
    }

    /// Takes in what the store answered to `unspent`. What was spent meanwhile stays spent.
    pub fn told(&mut self, answer: &BlockAnswer, unspent: u64, boottime: i64) {
        self.left = (self.left + answer.held).saturating_sub(unspent);
        self.held = answer.held;
        self.spent = answer.spent;
        self.with_others = answer.with_others;
        self.told_at = boottime;
        self.is_fresh = true;
    }
}
