//! Clocks: the machine's own, and the one that a node of several tells time by.
//!
//! Wall time decides when keys expire, and machines disagree about it. So a node takes it from the database, measures it
//! at every renewal and carries it on CLOCK_BOOTTIME in between; who sets its wall clock moves no expiry.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};
use std::time::{SystemTime, UNIX_EPOCH};

use keyward_core::clock::{Clock, Timestamp};
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn boottime_nanos(&self) -> i64 {
        // Unlike `Instant`, this clock goes on while the machine is suspended: a lease must not.
        let time = clock_gettime(ClockId::Boottime);
        time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
    }
}

/// How long a correction backwards takes, in nanoseconds: the clock goes slower by what it is ahead over this, at most by half.
const SLOWING: i64 = 20_000_000_000;
const MILLIONTH_MAX: i64 = 500_000;

/// The database's time, carried on the machine's CLOCK_BOOTTIME. Until it is measured first, the machine's own time. From
/// then on it never goes back: where it is found to be ahead it goes slower until it is right.
pub struct NodeClock {
    machine: Arc<dyn Clock>,
    /// Even where `line` is whole, odd while it is being written; 0 before the first measurement.
    version: AtomicU64,
    line: [AtomicI64; 4],
    writing: Mutex<()>,
}

/// Wall time as a function of CLOCK_BOOTTIME.
#[derive(Debug, Clone, Copy)]
struct Line {
    boottime: i64,
    wall: i64,
    /// By how many millionths it goes slower,
    slower: i64,
    /// until it has lost so much.
    to_lose: i64,
}

impl Line {
    /// The line from a moment on, where `wall` was measured at `heard`, right but for `error`.
    fn after(before: Option<Line>, from: i64, heard: i64, wall: i64, error: i64) -> Line {
        let measured = wall.saturating_add(from.saturating_sub(heard));
        let told = before.map_or(measured, |line| line.at(from));
        let ahead = told.saturating_sub(measured);
        let straight = |wall| Line { boottime: from, wall, slower: 0, to_lose: 0 };
        if ahead.abs() <= error {
            straight(told)
        } else if ahead < 0 {
            straight(measured)
        } else {
            let slower =
                (i128::from(ahead) * 1_000_000 / i128::from(SLOWING)).min(i128::from(MILLIONTH_MAX)) as i64;
            Line { slower: slower.clamp(1, MILLIONTH_MAX), to_lose: ahead, ..straight(told) }
        }
    }

    fn at(&self, boottime: i64) -> i64 {
        let passed = boottime.saturating_sub(self.boottime);
        if self.slower == 0 {
            return self.wall.saturating_add(passed);
        }
        let lost = (i128::from(passed) * i128::from(self.slower) / 1_000_000).clamp(0, i128::from(self.to_lose));
        self.wall.saturating_add(passed).saturating_sub(lost as i64)
    }
}

impl NodeClock {
    /// On a machine's clocks; not measured yet.
    pub fn new(machine: Arc<dyn Clock>) -> Self {
        NodeClock { machine, version: AtomicU64::new(0), line: Default::default(), writing: Mutex::new(()) }
    }

    /// Notes what the database's clock showed some time between two moments of CLOCK_BOOTTIME.
    pub fn measured(&self, sent: i64, heard: i64, shown: Timestamp) {
        let _one_at_a_time = self.writing.lock();
        let error = heard.saturating_sub(sent).max(0) / 2;
        let wall = shown.as_millis().saturating_mul(1_000_000).saturating_add(error);
        let before = self.read().map(|(line, _)| line);
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::SeqCst);
        // Only now, so that nobody has told the time by the line before at a later moment.
        let line = Line::after(before, self.machine.boottime_nanos(), heard, wall, error);
        for (place, number) in self.line.iter().zip([line.boottime, line.wall, line.slower, line.to_lose]) {
            place.store(number, Ordering::Release);
        }
        self.version.store(version + 2, Ordering::Release);
    }

    /// How far the machine's wall clock is ahead of this one, in milliseconds.
    pub fn skew_millis(&self) -> i64 {
        self.machine.now().as_millis().saturating_sub(self.now().as_millis())
    }

    /// The machine's wall clock.
    pub fn machine_now(&self) -> Timestamp {
        self.machine.now()
    }

    /// The line, and CLOCK_BOOTTIME at a moment when it was in force.
    fn read(&self) -> Option<(Line, i64)> {
        loop {
            let version = self.version.load(Ordering::Acquire);
            if version == 0 {
                return None;
            }
            let [boottime, wall, slower, to_lose] = std::array::from_fn(|i| self.line[i].load(Ordering::Acquire));
            let now = self.machine.boottime_nanos();
            fence(Ordering::SeqCst);
            if version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version {
                return Some((Line { boottime, wall, slower, to_lose }, now));
            }
            std::hint::spin_loop();
        }
    }
}

impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        match self.read() {
            None => self.machine.now(),
            Some((line, boottime)) => Timestamp::from_millis(line.at(boottime).div_euclid(1_000_000)),
        }
    }

    fn boottime_nanos(&self) -> i64 {
        self.machine.boottime_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// A machine whose wall clock shows the same for ever; only CLOCK_BOOTTIME goes on.
    #[derive(Default)]
    struct Machine(AtomicI64);

    impl Clock for Machine {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }

        fn boottime_nanos(&self) -> i64 {
            self.0.load(Ordering::SeqCst)
        }
    }

    /// A node's clock, and what its database's shows: `ahead` nanoseconds more than CLOCK_BOOTTIME.
    struct Node {
        machine: Arc<Machine>,
        clock: NodeClock,
        told: Timestamp,
    }

    impl Node {
        fn measured(ahead: i64) -> Node {
            let machine = Arc::new(Machine::default());
            let clock = NodeClock::new(Arc::clone(&machine) as Arc<dyn Clock>);
            let mut node = Node { machine, clock, told: Timestamp::from_millis(0) };
            node.measure(ahead, 0, 0);
            node.told = node.clock.now();
            node
        }

        /// Asks the database, which takes `there` and `back`.
        fn measure(&mut self, ahead: i64, there: i64, back: i64) {
            let sent = self.machine.boottime_nanos();
            self.pass(there);
            let shown = Timestamp::from_millis((self.machine.boottime_nanos() + ahead) / 1_000_000);
            self.pass(back);
            self.clock.measured(sent, self.machine.boottime_nanos(), shown);
            self.look();
        }

        /// Time passes; the clock is looked at and must not have gone back.
        fn pass(&mut self, nanos: i64) {
            self.machine.0.fetch_add(nanos, Ordering::SeqCst);
            self.look();
        }

        fn look(&mut self) {
            let now = self.clock.now();
            assert!(now >= self.told, "{now} was told after {}", self.told);
            self.told = now;
        }

        /// How far this clock is ahead of the database's, in milliseconds.
        fn error(&self, ahead: i64) -> i64 {
            self.clock.now().as_millis() - (self.machine.boottime_nanos() + ahead) / 1_000_000
        }
    }

    #[test]
    fn l08_an_expiry_is_never_off_by_a_second_however_slow_answers_are() {
        let ahead = 1_000_000 * SECOND;
        let mut node = Node::measured(ahead);
        for (there, back) in [(0, SECOND), (SECOND, 0), (SECOND / 2, SECOND / 2), (1, 1), (0, SECOND), (SECOND, 0)]
        {
            for _ in 0..5 {
                node.measure(ahead, there, back);
                assert!(node.error(ahead).abs() <= 500, "{there} {back}: {}", node.error(ahead));
                node.pass(2 * SECOND);
            }
        }
    }

    #[test]
    fn l08_a_clock_that_is_behind_is_set_right_at_once() {
        let ahead = 1_000_000 * SECOND;
        let mut node = Node::measured(ahead);
        node.measure(ahead + 3 * SECOND, 0, 0);
        assert_eq!(node.error(ahead + 3 * SECOND), 0);
    }

    #[test]
    fn l08_a_clock_that_is_ahead_goes_slower_until_it_is_right_and_never_back() {
        let (before, after) = (1_000_000 * SECOND, 999_997 * SECOND);
        let mut node = Node::measured(before);
        node.measure(after, 0, 0);
        assert_eq!(node.error(after), 3_000, "what was told is not taken back");
        let mut error = 3_000;
        for _ in 0..600 {
            node.pass(SECOND / 10);
            node.measure(after, 0, 0);
            assert!(node.error(after) <= error, "it does not get worse");
            error = node.error(after);
        }
        assert!((0..1_000).contains(&error), "{error} ms after a minute");
        let told = node.clock.now();
        node.pass(SECOND);
        let went = node.clock.now().since(told).as_millis();
        assert!((500..=1_000).contains(&went), "it went on by {went} ms in a second");
    }

    #[test]
    fn l08_without_another_look_a_clock_loses_what_it_was_ahead_and_no_more() {
        let (before, after) = (1_000_000 * SECOND, 999_999 * SECOND);
        let mut node = Node::measured(before);
        node.measure(after, 0, 0);
        for _ in 0..30 {
            node.pass(SECOND);
        }
        assert_eq!(node.error(after), 0);
    }

    #[test]
    fn until_it_is_measured_a_clock_shows_the_machines_time() {
        let clock = NodeClock::new(Arc::new(Machine::default()));
        assert_eq!(clock.now(), Timestamp::from_millis(0));
        assert_eq!(clock.skew_millis(), 0);
    }
}
