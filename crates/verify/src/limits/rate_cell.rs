//! Counters of rates in memory: one cell a counter, for every key that counts on it. A cell knows its own rules; that
//! all limits of a request are met or none is spent is `reserve`'s matter, asking the server that nodes share counters
//! in is `sharing`'s.

use std::net::IpAddr;

use keyward_core::id::{ApiName, ProjectId};
use keyward_core::limits::{CountedOf, Rate, TooSoon};
use parking_lot::Mutex;

/// Whose requests a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RateOf {
    /// One of those that outlive a restart.
    Counted(CountedOf),
    /// Those of one project from one network.
    Network(ProjectId, IpAddr),
}

/// Which rate's counter one is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RateId {
    pub api: ApiName,
    pub name: Box<str>,
    pub of: RateOf,
}

/// A counter of a rate. What every request needs stands first: in the line of memory that its `Arc` is in.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct RateCell {
    pub state: Mutex<RateState>,
    pub id: RateId,
}

/// Where a rate's counter stands.
#[derive(Debug, Default)]
pub(crate) struct RateState {
    /// When the whole burst is there again, in nanoseconds of boottime.
    tat: i64,
    /// What one unit took when `tat` was set: under another rate it is worked out anew.
    interval: i64,
    /// Whether it moved since it was last kept.
    pub is_dirty: bool,
    /// Whether it stands as it was kept before a restart: a clock that was set back meanwhile must refuse nobody for
    /// longer than the rate itself would.
    is_restored: bool,
    /// What is known of the counter that nodes share, where they share one.
    slice: Option<Box<Slice>>,
}

/// By which counter a rate goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// This node's own.
    Own,
    /// The one that nodes share.
    Shared,
    /// This node's own again, at its share among so many nodes: the shared one cannot be reached.
    Share(u32),
}

/// What a rate says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RateSays {
    /// It passes, and the counter would stand here.
    Pass(i64),
    /// It does not.
    Wait(TooSoon),
    /// The shared counter has to be asked.
    Ask,
}

impl RateCell {
    pub fn new(id: RateId) -> Self {
        RateCell { state: Mutex::default(), id }
    }
}

impl RateState {
    /// As it stood when it was kept before a restart.
    pub fn restored(tat: i64, interval: i64) -> Self {
        RateState { tat, interval, is_restored: true, ..RateState::default() }
    }

    /// Where it stands under a rate.
    pub fn tat(&self, rate: &Rate, now: i64) -> i64 {
        match self.interval == rate.interval() {
            true => self.tat,
            false => rate.rescaled(self.tat, self.interval, now),
        }
    }

    /// Goes over to another rate: as many units are used as before. From then on they come back at the new pace, so
    /// that what callers are told to wait is what they wait. Says whether it was another.
    pub fn adopt(&mut self, rate: &Rate, mode: Mode, now: i64) -> bool {
        let rate = match mode {
            Mode::Own => *rate,
            Mode::Share(nodes) if self.is_share() => rate.share(nodes),
            _ => return false,
        };
        if std::mem::take(&mut self.is_restored) {
            self.tat = self.tat.min(now.saturating_add(self.interval.saturating_mul(rate.burst() as i64)));
        }
        if self.interval == rate.interval() || rate.limit() == 0 {
            return false;
        }
        let before = self.interval;
        (self.tat, self.interval) = (self.tat(&rate, now), rate.interval());
        before != 0
    }

    /// What it says of `units` more.
    pub fn says(&mut self, rate: &Rate, mode: Mode, now: i64, units: u64) -> RateSays {
        let by = |passed: Result<i64, TooSoon>| passed.map_or_else(RateSays::Wait, RateSays::Pass);
        match mode {
            // Who takes nothing is not too soon, whatever a rate that was lowered still has to catch up with.
            Mode::Own if units == 0 => RateSays::Pass(self.tat(rate, now)),
            Mode::Own => by(rate.after(self.tat(rate, now), now, units)),
            Mode::Share(nodes) => {
                let share = rate.share(nodes);
                self.begin_share(rate, &share, now);
                by(share.after(self.tat(&share, now), now, units))
            }
            Mode::Shared if units > rate.burst() => RateSays::Wait(TooSoon { wait: None }),
            Mode::Shared if units <= self.in_slice(now) => RateSays::Pass(now),
            Mode::Shared => RateSays::Ask,
        }
    }

    /// Spends units that it said pass.
    pub fn spend(&mut self, rate: &Rate, mode: Mode, (tat, now): (i64, i64), units: u64) {
        match mode {
            Mode::Own => (self.tat, self.interval) = (tat, rate.interval()),
            Mode::Share(nodes) => {
                (self.tat, self.interval) = (tat, rate.share(nodes).interval());
                self.owe(units, now);
            }
            Mode::Shared => {
                if let Some(slice) = &mut self.slice {
                    slice.left = slice.left.saturating_sub(units);
                }
            }
        }
    }

    /// Nanoseconds until the whole burst is there again, as far as is known.
    pub fn ahead(&self, rate: &Rate, mode: Mode, now: i64) -> i64 {
        match mode {
            Mode::Own => rate.full_in(self.tat(rate, now), now),
            Mode::Share(nodes) => rate.full_in(self.share_tat(rate, &rate.share(nodes), now), now),
            Mode::Shared => self.slice.as_ref().map_or(0, |slice| {
                let unspent = rate.interval().saturating_mul(self.in_slice(now) as i64);
                slice.ahead_at(now).saturating_sub(unspent).max(0)
            }),
        }
    }

    /// Units of the shared counter that may be spent without asking.
    pub fn in_slice(&self, now: i64) -> u64 {
        self.slice.as_ref().filter(|slice| now < slice.until).map_or(0, |slice| slice.left)
    }

    /// How many units to ask of the shared counter for a request of `units`: more than it needs where those that were
    /// taken last went fast, at most `most`. What is taken ahead is good for `life` and lost to all if it is not
    /// spent by then, so that only one of many requests at once takes more than it needs.
    pub fn slice_for(&mut self, units: u64, most: u64, now: i64, life: i64) -> u64 {
        let Some(slice) = self.slice.as_mut().filter(|slice| now >= slice.asking_until) else { return units };
        let wanted = match now.saturating_sub(slice.sized_at) {
            since if since < life / 2 => slice.size * 2,
            since if since < life => slice.size,
            _ => 0,
        };
        let wanted = wanted.clamp(units, most.max(units));
        if wanted > units {
            slice.asking_until = now.saturating_add(life);
        }
        wanted
    }

    /// Takes in units that the shared counter gave: good until a moment.
    pub fn told(&mut self, taken: u64, ahead: i64, (now, until): (i64, i64)) {
        let left = self.in_slice(now);
        self.told_of(ahead, now);
        let slice = self.slice.get_or_insert_default();
        slice.left = left + taken;
        if taken >= slice.size || now.saturating_sub(slice.sized_at) >= until - now {
            (slice.size, slice.sized_at) = (taken, now);
        }
        slice.until = until;
    }

    /// Takes in how the shared counter stands.
    pub fn told_of(&mut self, ahead: i64, now: i64) {
        let owed = self.take_owed(now);
        let slice = self.slice.get_or_insert_default();
        (slice.ahead, slice.told_at, slice.is_share, slice.asking_until) = (ahead, now, false, 0);
        self.owe(owed, now);
    }

    /// Takes out what this node let pass by its share and the shared counter, which has gone on meanwhile, does not
    /// know of: so many units that it stands, with those of the other nodes, where it would had it been asked.
    pub fn take_owed(&mut self, now: i64) -> u64 {
        let Some(slice) = &mut self.slice else { return 0 };
        let owed = slice.would_stand.saturating_sub(slice.stands(now)).max(0);
        slice.would_stand = i64::MIN;
        owed.unsigned_abs().div_ceil(slice.owed_interval.max(1).unsigned_abs())
    }

    /// Notes units that the shared counter has to be told of.
    pub fn owe(&mut self, units: u64, now: i64) {
        if units == 0 {
            return;
        }
        let is_another = self.slice.as_ref().is_some_and(|slice| slice.owed_interval != self.interval);
        let units = units.saturating_add(if is_another { self.take_owed(now) } else { 0 });
        let takes = self.interval.saturating_mul(i64::try_from(units).unwrap_or(i64::MAX));
        let slice = self.slice.get_or_insert_default();
        slice.owed_interval = self.interval;
        slice.would_stand = slice.would_stand.max(slice.stands(now)).saturating_add(takes);
    }

    /// Takes units out again, at most so many as are there.
    pub fn take_back(&mut self, units: u64) -> u64 {
        let Some(slice) = &mut self.slice else { return 0 };
        let taken = units.min(slice.left);
        slice.left -= taken;
        taken
    }

    /// Has this node count its share from now on, where it does not yet.
    fn begin_share(&mut self, rate: &Rate, share: &Rate, now: i64) {
        if !self.is_share() {
            (self.tat, self.interval) = (self.share_tat(rate, share, now), share.interval());
            self.slice.get_or_insert_default().is_share = true;
        }
    }

    fn is_share(&self) -> bool {
        self.slice.as_ref().is_some_and(|slice| slice.is_share)
    }

    /// Where this node's share stands. It begins with a part of its part, however much the shared counter had left
    /// when last heard of: others may have taken all of it since, and all nodes together must stay within one share
    /// more than the limit. It begins with less where less was left.
    fn share_tat(&self, rate: &Rate, share: &Rate, now: i64) -> i64 {
        if self.is_share() {
            return self.tat(share, now);
        }
        let nodes = (share.interval() / rate.interval().max(1)).max(1) as u64;
        let known = self.slice.as_ref().map(|slice| rate.remaining(slice.stands(now), now) / nodes);
        let most = (share.burst() / nodes).max(1);
        let left = known.map_or(most, |known| known.min(most)).min(share.burst());
        now.saturating_add(share.tolerance() - share.interval().saturating_mul(left as i64))
    }

    /// What one unit took.
    pub fn interval(&self) -> i64 {
        self.interval
    }

    /// When the whole burst is there again, under the rate that it last counted by.
    pub fn full_at(&self) -> i64 {
        let shared = self.slice.as_ref().map_or(i64::MIN, |slice| slice.told_at.saturating_add(slice.ahead));
        self.tat.max(shared)
    }
}

/// What a node knows of a counter that nodes share, and the units of it that it took ahead.
#[derive(Debug, Default)]
struct Slice {
    left: u64,
    /// How many were taken at once lately, and when: what asking for more goes by.
    size: u64,
    sized_at: i64,
    /// Until when nobody else takes more than is needed: somebody is asking for more already.
    asking_until: i64,
    /// When what is left is worth nothing any more, so that no unit is spent long after it was taken.
    until: i64,
    /// By how much the counter was ahead of its clock when it was last heard of, and when that was.
    ahead: i64,
    told_at: i64,
    /// Whether this node has since counted its share alone.
    is_share: bool,
    /// Where the counter would stand had every node spent by its share what this one has.
    would_stand: i64,
    /// What one unit of that took.
    owed_interval: i64,
}

impl Slice {
    /// Where the counter stands, as far as was told.
    fn stands(&self, now: i64) -> i64 {
        self.told_at.saturating_add(self.ahead).max(now)
    }

    fn ahead_at(&self, now: i64) -> i64 {
        self.stands(now) - now
    }
}
