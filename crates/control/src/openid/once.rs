//! Each begun sign-in ends once on this node. That a code is taken once is the provider's to keep; this also keeps a
//! browser's history, or whoever read its cookie, from ending a sign-in again.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};

use keyward_core::clock::Timestamp;

use super::attempt::ATTEMPT_LIFE;

/// How many are remembered; beyond them the oldest is forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// The states that were ended, as long as they could be shown again.
#[derive(Default)]
pub struct Once(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    states: HashSet<[u8; 16]>,
    by_age: BTreeSet<(Timestamp, [u8; 16])>,
}

impl Once {
    /// Whether this is the first time that a state is shown.
    pub fn first(&self, state: [u8; 16], now: Timestamp) -> bool {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(&(at, oldest)) = remembered.by_age.first() {
            if now.since(at) < ATTEMPT_LIFE && remembered.states.len() < REMEMBERED_MAX {
                break;
            }
            remembered.by_age.pop_first();
            remembered.states.remove(&oldest);
        }
        let is_first = remembered.states.insert(state);
        if is_first {
            remembered.by_age.insert((now, state));
        }
        is_first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t09_a_state_ends_once_and_memory_stays_bounded() {
        let once = Once::default();
        let at = Timestamp::from_millis;
        assert!(once.first([1; 16], at(0)));
        assert!(!once.first([1; 16], at(0)) && !once.first([1; 16], at(599_999)));
        for i in 0..20_000_u128 {
            assert!(once.first(i.to_be_bytes(), at(600_000)));
        }
        let remembered = once.0.lock().unwrap();
        assert_eq!((remembered.states.len(), remembered.by_age.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
    }
}
