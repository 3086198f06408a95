//! Counts as the page tells them: added up over all, step by step, by outcome and by key. Steps without any use, which
//! the store leaves out, are there as zeros.

use std::collections::BTreeMap;

use keyward_core::clock::Timestamp;
use keyward_core::id::KeyId;
use keyward_core::usage::UsageCount;

use crate::dashboard::pages::events::told::GRANTED;

/// How often, step by step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    /// In all.
    pub total: u64,
    /// By step.
    pub steps: Vec<u64>,
}

/// Uses of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfKey {
    /// Which.
    pub key: KeyId,
    /// How many were granted.
    pub granted: u64,
    /// How many were refused.
    pub refused: u64,
    /// All of them, by step.
    pub series: Series,
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Counted {
    /// When the steps began.
    pub starts: Vec<Timestamp>,
    /// By outcome: what was granted first, then refusals, the most frequent first.
    pub outcomes: Vec<(String, Series)>,
    /// By key, the most used first.
    pub by_key: Vec<OfKey>,
    /// Uses of keys that are not told apart any more.
    pub other_keys: Series,
}

impl Counted {
    /// Adds up what the store counted, of all keys or of one.
    pub fn of(counts: &[UsageCount], starts: &[Timestamp], only: Option<KeyId>, keys_max: usize) -> Self {
        let mut outcomes: BTreeMap<String, Series> = BTreeMap::new();
        let mut keys: BTreeMap<KeyId, OfKey> = BTreeMap::new();
        for count in counts.iter().filter(|count| only.is_none_or(|only| count.key == Some(only))) {
            let Some(step) = step_of(count.start, starts) else { continue };
            let outcome = count.outcome.as_deref().unwrap_or(GRANTED);
            add(outcomes.entry(outcome.to_owned()).or_default(), step, starts.len(), count.count);
            if let Some(key) = count.key {
                let of_key = keys.entry(key).or_insert_with(|| OfKey::none(key));
                add(&mut of_key.series, step, starts.len(), count.count);
                let told = if outcome == GRANTED { &mut of_key.granted } else { &mut of_key.refused };
                *told = told.saturating_add(count.count);
            }
        }
        let mut outcomes: Vec<(String, Series)> = outcomes.into_iter().collect();
        outcomes.sort_by_key(|(outcome, series)| (outcome != GRANTED, std::cmp::Reverse(series.total)));
        let mut by_key: Vec<OfKey> = keys.into_values().collect();
        by_key.sort_by_key(|of_key| std::cmp::Reverse(of_key.series.total));
        let others = by_key.split_off(by_key.len().min(keys_max));
        let other_keys = together(others.iter().map(|of_key| &of_key.series));
        Counted { starts: starts.to_vec(), outcomes, by_key, other_keys }
    }

    /// How many were granted.
    pub fn granted(&self) -> u64 {
        self.outcomes.iter().filter(|(outcome, _)| outcome == GRANTED).map(|(_, series)| series.total).sum()
    }

    /// How many were refused.
    pub fn refused(&self) -> u64 {
        self.total().saturating_sub(self.granted())
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.outcomes.iter().map(|(_, series)| series.total).sum()
    }

    /// The keys that are told apart.
    pub fn keys(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.by_key.iter().map(|of_key| of_key.key)
    }

    /// What was counted of a key.
    pub fn of_key(&self, key: KeyId) -> Option<&OfKey> {
        self.by_key.iter().find(|of_key| of_key.key == key)
    }
}

impl OfKey {
    fn none(key: KeyId) -> Self {
        OfKey { key, granted: 0, refused: 0, series: Series::default() }
    }
}

impl Series {
    /// What was counted in one step.
    pub fn at(&self, step: usize) -> u64 {
        self.steps.get(step).copied().unwrap_or(0)
    }
}

/// Several as one.
pub fn together<'a>(series: impl Iterator<Item = &'a Series>) -> Series {
    let mut sum = Series::default();
    for one in series {
        sum.total = sum.total.saturating_add(one.total);
        sum.steps.resize(sum.steps.len().max(one.steps.len()), 0);
        for (sum, count) in sum.steps.iter_mut().zip(&one.steps) {
            *sum = sum.saturating_add(*count);
        }
    }
    sum
}

/// The step that a moment lies in; none before the first and after the last.
fn step_of(moment: Timestamp, starts: &[Timestamp]) -> Option<usize> {
    let step = starts.partition_point(|start| *start <= moment).checked_sub(1)?;
    let length = match starts {
        [first, second, ..] => second.since(*first),
        _ => return Some(step),
    };
    (moment.since(*starts.get(step)?) < length).then_some(step)
}

fn add(series: &mut Series, step: usize, steps: usize, count: u64) {
    series.steps.resize(steps, 0);
    series.total = series.total.saturating_add(count);
    if let Some(told) = series.steps.get_mut(step) {
        *told = told.saturating_add(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(start: i64, key: u128, outcome: &str, count: u64) -> UsageCount {
        let key = Some(KeyId::from_u128(key));
        UsageCount { start: Timestamp::from_millis(start), key, outcome: Some(outcome.into()), count }
    }

    #[test]
    fn p25_uses_are_added_up_by_outcome_and_by_key() {
        let starts = [0, 10, 20].map(Timestamp::from_millis);
        let counts = [
            count(0, 1, "valid", 5),
            count(25, 1, "valid", 1),
            count(20, 1, "rate_limited", 2),
            count(20, 2, "valid", 100),
            count(30, 2, "valid", 7),
        ];
        let counted = Counted::of(&counts, &starts, None, 1);
        assert_eq!((counted.total(), counted.granted(), counted.refused()), (108, 106, 2));
        assert_eq!(counted.outcomes[0], ("valid".into(), Series { total: 106, steps: vec![5, 0, 101] }));
        assert_eq!(counted.keys().collect::<Vec<_>>(), [KeyId::from_u128(2)]);
        assert_eq!(counted.other_keys, Series { total: 8, steps: vec![5, 0, 3] });
        let one = Counted::of(&counts, &starts, Some(KeyId::from_u128(1)), 10);
        let of_key = one.of_key(KeyId::from_u128(1)).unwrap();
        assert_eq!((of_key.granted, of_key.refused, one.total()), (6, 2, 8));
    }
}
