//! Rates of whatever there is much of: addresses, accounts, projects. One number each, and a ceiling on how many are
//! counted, so that a flood of made-up ones takes no memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use super::Rate;

/// How many are counted at once; beyond that, those that have long been quiet make room, and else nothing is counted.
const COUNTED_MAX: usize = 65_536;

/// How often, at most, all that is counted is looked through for what has long been quiet, in nanoseconds: a flood
/// must not have it done for every request.
const SWEPT_EVERY: i64 = 1_000_000_000;

/// Rates by what they count.
#[derive(Debug)]
pub struct Counted<K> {
    tats: HashMap<K, i64>,
    swept_at: i64,
}

impl<K> Default for Counted<K> {
    fn default() -> Self {
        Counted { tats: HashMap::new(), swept_at: i64::MIN / 2 }
    }
}

impl<K: Hash + Eq> Counted<K> {
    /// Counts one of `of` at `now`, in nanoseconds of one clock.
    ///
    /// # Errors
    /// How long to wait, where there were too many.
    pub fn take(&mut self, of: K, rate: &Rate, now: i64) -> Result<(), Duration> {
        if self.tats.len() >= COUNTED_MAX && !self.tats.contains_key(&of) {
            if now - self.swept_at >= SWEPT_EVERY {
                self.sweep(now);
            }
            if self.tats.len() >= COUNTED_MAX {
                return Ok(());
            }
        }
        let tat = self.tats.entry(of).or_insert(i64::MIN);
        match rate.after(*tat, now, 1) {
            Ok(next) => {
                *tat = next;
                Ok(())
            }
            Err(too_soon) => Err(too_soon.retry_after()),
        }
    }

    /// Forgets what has long been quiet.
    pub fn sweep(&mut self, now: i64) {
        self.tats.retain(|_, tat| *tat > now);
        self.swept_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q07_a_flood_of_addresses_has_a_ceiling() {
        let mut counted = Counted::default();
        let rate = Rate::new(1, Duration::from_secs(1), 1).unwrap();
        for number in 0..COUNTED_MAX * 2 {
            assert!(counted.take(number, &rate, 0).is_ok());
        }
        assert_eq!((counted.tats.len(), counted.swept_at), (COUNTED_MAX, 0), "looked through once");
        assert!(counted.take(usize::MAX, &rate, 1_000_000_000).is_ok());
        assert_eq!(counted.tats.len(), 1);
    }
}
