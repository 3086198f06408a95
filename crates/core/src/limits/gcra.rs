//! The generic cell rate algorithm (ITU-T I.371, in its virtual-scheduling form): one number a counter, no
//! window that could be straddled. In any time `t` at most `burst + limit * t / per` units pass.

use std::time::Duration;

/// What a counter says of a request that it will never let pass.
pub const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// The most units in one time of a rate.
const LIMIT_MAX: u64 = 1_000_000_000;
/// The longest time a full burst may take to come back: what nanoseconds in 64 bits can count, and half.
const TOLERANCE_MAX: i64 = i64::MAX / 4;

/// How fast: `limit` units in each `per`, of which `burst` may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    limit: u64,
    per: Duration,
    burst: u64,
    /// Nanoseconds that one unit takes; rounded up, so that never more passes than was said.
    interval: i64,
    /// Nanoseconds that a full burst takes.
    tolerance: i64,
}

/// Why a rate cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Too many units.
    #[error("a rate is at most {LIMIT_MAX} in its time")]
    Limit,
    /// No time at all, or too long.
    #[error("a rate's time is from 1s to 366d")]
    Per,
    /// A burst that would take ages to come back.
    #[error("a burst of this size would take more than 70 years to come back")]
    Burst,
    /// Nothing could ever pass.
    #[error("a burst is at least 1")]
    NoBurst,
}

/// A request came before there was room for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSoon {
    /// How long until there is, in nanoseconds, if nobody else comes first; none where there never is.
    pub wait: Option<i64>,
}

impl TooSoon {
    /// The wait, to be told; [`NEVER`] where waiting does not help.
    pub fn retry_after(self) -> Duration {
        self.wait.map_or(NEVER, |nanos| Duration::from_nanos(nanos.max(0) as u64))
    }
}

impl Rate {
    /// A rate of `limit` units in each `per`, of which `burst` may come at once. A limit of 0 lets nothing pass.
    ///
    /// # Errors
    /// [`RateError`] where it cannot be kept in 64 bits of nanoseconds.
    pub fn new(limit: u64, per: Duration, burst: u64) -> Result<Self, RateError> {
        if limit > LIMIT_MAX {
            return Err(RateError::Limit);
        }
        if per < Duration::from_secs(1) || per > Duration::from_secs(366 * 86_400) {
            return Err(RateError::Per);
        }
        if limit == 0 {
            return Ok(Rate { limit, per, burst: 0, interval: TOLERANCE_MAX, tolerance: 0 });
        }
        if burst == 0 {
            return Err(RateError::NoBurst);
        }
        let interval = per.as_nanos().div_ceil(u128::from(limit));
        let tolerance = interval.saturating_mul(u128::from(burst));
        match (i64::try_from(interval), i64::try_from(tolerance)) {
            (Ok(interval), Ok(tolerance)) if tolerance <= TOLERANCE_MAX => {
                Ok(Rate { limit, per, burst, interval, tolerance })
            }
            _ => Err(RateError::Burst),
        }
    }

    /// Units in each [`Rate::per`].
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// The time that the limit is for.
    pub const fn per(&self) -> Duration {
        self.per
    }

    /// Units that may come at once.
    pub const fn burst(&self) -> u64 {
        self.burst
    }

    /// Nanoseconds that one unit takes.
    pub const fn interval(&self) -> i64 {
        self.interval
    }

    /// Nanoseconds that a full burst takes to come back.
    pub const fn tolerance(&self) -> i64 {
        self.tolerance
    }

    /// What one of `nodes` nodes lets pass by itself while it cannot ask the others: its share, and at least one unit
    /// at a time.
    #[must_use]
    pub fn share(&self, nodes: u32) -> Rate {
        let nodes = nodes.max(1);
        let burst = (self.burst / u64::from(nodes)).max(u64::from(self.limit > 0));
        let interval = self.interval.saturating_mul(i64::from(nodes)).min(TOLERANCE_MAX);
        let tolerance = interval.saturating_mul(burst as i64).min(TOLERANCE_MAX);
        Rate { limit: self.limit, per: self.per, burst, interval, tolerance }
    }

    /// Where a counter that stands at `tat` would stand after `units` more at `now`; both in nanoseconds of one
    /// clock. Nothing is taken: the caller keeps the number once every other limit agrees.
    ///
    /// # Errors
    /// [`TooSoon`] where there is no room for them now.
    pub fn after(&self, tat: i64, now: i64, units: u64) -> Result<i64, TooSoon> {
        if units > self.burst {
            return Err(TooSoon { wait: None });
        }
        // At most the tolerance, which fits.
        let takes = self.interval * units as i64;
        let next = tat.max(now).saturating_add(takes);
        let ahead = next.saturating_sub(now);
        if ahead > self.tolerance {
            return Err(TooSoon { wait: Some(ahead - self.tolerance) });
        }
        Ok(next)
    }

    /// Units that would pass at `now`.
    pub fn remaining(&self, tat: i64, now: i64) -> u64 {
        if self.limit == 0 {
            return 0;
        }
        let room = self.tolerance - tat.saturating_sub(now).max(0);
        (room.max(0) / self.interval) as u64
    }

    /// Nanoseconds until the whole burst is there again.
    pub fn full_in(&self, tat: i64, now: i64) -> i64 {
        tat.saturating_sub(now).max(0)
    }

    /// Where a counter stands under this rate that stood at `tat` when a unit took `interval` nanoseconds: as many
    /// units are used as before, and come back at this rate's pace.
    pub fn rescaled(&self, tat: i64, interval: i64, now: i64) -> i64 {
        let ahead = tat.saturating_sub(now).max(0);
        if ahead == 0 || interval <= 0 || self.limit == 0 {
            return tat;
        }
        // Rounded up, so that going over and back gives nothing.
        let scaled =
            (i128::from(ahead) * i128::from(self.interval) + i128::from(interval - 1)) / i128::from(interval);
        now.saturating_add(i64::try_from(scaled).unwrap_or(TOLERANCE_MAX).min(TOLERANCE_MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn rate(limit: u64, seconds: u64, burst: u64) -> Rate {
        Rate::new(limit, Duration::from_secs(seconds), burst).unwrap()
    }

    #[test]
    fn a_burst_passes_at_once_and_then_one_each_interval() {
        let rate = rate(5, 60, 5);
        let mut tat = 0;
        for left in (0..5).rev() {
            tat = rate.after(tat, 0, 1).unwrap();
            assert_eq!(rate.remaining(tat, 0), left);
        }
        assert_eq!(rate.after(tat, 0, 1), Err(TooSoon { wait: Some(12 * SECOND) }));
        assert_eq!(rate.after(tat, 12 * SECOND - 1, 1), Err(TooSoon { wait: Some(1) }));
        assert!(rate.after(tat, 12 * SECOND, 1).is_ok());
        assert_eq!(rate.full_in(tat, 0), 60 * SECOND);
    }

    #[test]
    fn i03_rates_at_the_ends_of_what_numbers_hold() {
        assert_eq!(Rate::new(0, Duration::from_secs(1), 1).unwrap().after(0, 0, 1), Err(TooSoon { wait: None }));
        assert_eq!(Rate::new(u64::MAX, Duration::from_secs(1), 1), Err(RateError::Limit));
        assert_eq!(Rate::new(1, Duration::ZERO, 1), Err(RateError::Per));
        assert_eq!(Rate::new(1, Duration::MAX, 1), Err(RateError::Per));
        assert_eq!(Rate::new(1, Duration::from_secs(86_400), u64::MAX), Err(RateError::Burst));
        assert_eq!(Rate::new(1, Duration::from_secs(1), 0), Err(RateError::NoBurst));
        let fastest = rate(1_000_000_000, 1, 1_000_000_000);
        assert_eq!(fastest.after(i64::MIN, i64::MAX - 1, 1_000_000_000), Ok(i64::MAX));
        assert_eq!(fastest.after(0, 0, u64::MAX), Err(TooSoon { wait: None }));
        assert_eq!(fastest.remaining(i64::MAX, i64::MIN), 0);
    }

    #[test]
    fn a_raised_rate_keeps_count_of_what_was_used() {
        let (low, high) = (rate(10, 3600, 10), rate(1000, 3600, 1000));
        let mut tat = 0;
        for _ in 0..10 {
            tat = low.after(tat, 0, 1).unwrap();
        }
        assert_eq!(low.remaining(tat, 0), 0);
        assert_eq!(high.remaining(high.rescaled(tat, low.interval(), 0), 0), 990);
    }

    proptest! {
        /// Whatever comes when: in every stretch of time no more passes than the rate says.
        #[test]
        fn q04_never_more_than_burst_and_rate(
            limit in 1u64..200, seconds in 1u64..100, burst in 1u64..200,
            steps in prop::collection::vec((0i64..3 * SECOND, 1u64..5), 1..200),
        ) {
            let rate = rate(limit, seconds, burst);
            let (mut tat, mut now) = (0, 0);
            let mut passed: Vec<(i64, u64)> = Vec::new();
            for (wait, units) in steps {
                now += wait;
                match rate.after(tat, now, units) {
                    Ok(next) => {
                        tat = next;
                        passed.push((now, units));
                    }
                    Err(TooSoon { wait: Some(wait) }) => {
                        // Told honestly: not a nanosecond sooner, and then it passes.
                        prop_assert!(rate.after(tat, now + wait, units).is_ok());
                        prop_assert!(rate.after(tat, now + wait - 1, units).is_err());
                    }
                    Err(TooSoon { wait: None }) => prop_assert!(units > burst),
                }
                prop_assert!(rate.after(tat, now, rate.remaining(tat, now).max(1)).is_ok() || rate.remaining(tat, now) == 0);
                prop_assert!(rate.after(tat, now, rate.remaining(tat, now) + 1).is_err());
            }
            for from in 0..passed.len() {
                let mut sum = 0;
                for &(at, units) in &passed[from..] {
                    sum += units;
                    let stretch = i128::from(at - passed[from].0);
                    let room = i128::from(burst) + stretch * i128::from(limit) / i128::from(seconds as i64 * SECOND);
                    prop_assert!(i128::from(sum) <= room + 1);
                }
            }
        }
    }
}
