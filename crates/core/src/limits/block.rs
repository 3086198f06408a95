//! Blocks of quotas: a node takes some units at once, durably, and spends them from memory. What a crash takes
//! with it counts as spent: nothing is ever given out twice (`model/quota_sim.py`).
//!
//! [`exchange`] is the whole protocol: a node says what it has left of what it holds, the store works out what
//! was spent and gives more if there is more. It is a plain function so that stores and simulations share it.

use super::QuotaCounter;
use crate::clock::Timestamp;

/// The most units in one block, unless one request needs more or the limit is so large that they are less than a
/// thousandth of it: what a crash may take stays small beside the limit, and a busy node need not ask all the time.
pub const BLOCK_MAX: u64 = 256;

/// A node's request for units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockAsk {
    /// Of which counter.
    pub counter: QuotaCounter,
    /// In which period, by its name.
    pub period: Box<str>,
    /// When the period ends, so that its tally can be forgotten some time after.
    pub ends_at: Option<Timestamp>,
    /// The node's run that asks: new at every start of a process.
    pub holder: u128,
    /// What it has left of the units that it holds, with what failed requests gave back since. Everything else
    /// that was given to it counts as spent.
    pub unspent: u64,
    /// How many it must hold afterwards to go on; 0 to give back all.
    pub need: u64,
    /// The limit that holds for it.
    pub limit: u64,
}

/// What a node got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockAnswer {
    /// What it holds now: what it had left, and what was added.
    pub held: u64,
    /// Units that nobody holds or has spent.
    pub free: u64,
    /// Units that other nodes hold; they were asked to give back what lies idle where this one got too few.
    pub with_others: u64,
    /// Units spent, as far as is known.
    pub spent: u64,
}

/// How a counter stands in one period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Units spent, or lost with a node that held them.
    pub spent: u64,
    /// Units that the asking node holds.
    pub held: u64,
    /// Units that others hold.
    pub with_others: u64,
    /// How many others hold some.
    pub others: u64,
}

/// Works an exchange out: how the counter stands afterwards, and what the node is told.
pub fn exchange(tally: Tally, ask: &BlockAsk) -> (Tally, BlockAnswer) {
    // A node can have more left than it held at its last exchange: requests that counted as spent then may have
    // failed since and been given back. It cannot have more than was ever given out.
    let given = tally.held.saturating_add(tally.spent);
    let unspent = ask.unspent.min(given);
    let spent = given - unspent;
    let taken = spent.saturating_add(tally.with_others);
    let room = ask.limit.saturating_sub(taken);
    let held = match ask.need {
        0 => 0,
        need if need > room => unspent.min(room),
        need => {
            let left = room - unspent.min(room);
            let block = (left / (4 * (tally.others + 1))).clamp(1, BLOCK_MAX.max(ask.limit / 1000));
            need.max(block).max(unspent).min(room)
        }
    };
    let after = Tally { spent, held, ..tally };
    let free = room - held;
    (after, BlockAnswer { held, free, with_others: tally.with_others, spent })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::ProjectId;
    use crate::limits::CountedOf;

    fn ask(unspent: u64, need: u64, limit: u64) -> BlockAsk {
        let of = CountedOf::Project(ProjectId::random(&crate::clock::SystemEntropy));
        let counter = QuotaCounter { api: "a".parse().unwrap(), name: "q".into(), of };
        BlockAsk { counter, period: "2026-11".into(), ends_at: None, holder: 1, unspent, need, limit }
    }

    #[test]
    fn blocks_shrink_towards_the_end_and_the_last_unit_is_given() {
        let mut tally = Tally::default();
        let mut sizes = Vec::new();
        loop {
            let (after, answer) = exchange(tally, &ask(0, 1, 1000));
            if answer.held == 0 {
                break;
            }
            sizes.push(answer.held);
            tally = after;
        }
        assert_eq!(sizes.iter().sum::<u64>(), 1000);
        assert_eq!((sizes[0], *sizes.last().unwrap()), (250, 1));
        assert!(sizes.len() < 40, "{sizes:?}");
    }

    #[test]
    fn i03_an_exchange_of_absurd_numbers_gives_nothing_away() {
        let full = Tally { spent: u64::MAX, held: u64::MAX, with_others: u64::MAX, others: 3 };
        assert_eq!(exchange(full, &ask(0, u64::MAX, u64::MAX)).1.held, 0);
        assert_eq!(exchange(Tally::default(), &ask(u64::MAX, 1, 10)).1.held, 2);
    }

    proptest! {
        /// Several nodes that spend, crash, lose answers and see limits change: what the store has in its books always
        /// covers what was spent and what lies at hand, so no unit is given twice.
        #[test]
        fn q01_units_are_given_once(
            steps in prop::collection::vec((0usize..4, 0u8..8, 1u64..6, 1u64..300), 1..400), changes in 0u8..4,
        ) {
            let (mut spent_truly, mut left, mut told_under) = (0u64, [0u64; 4], [0u64; 4]);
            let (mut spent, mut held, mut limit, mut highest) = (0u64, [0u64; 4], 200, 200);
            for (node, what, need, another_limit) in steps {
                if changes > 0 && what == 6 {
                    limit = another_limit;
                    highest = highest.max(limit);
                }
                match what {
                    // A crash: what it had at hand is gone, and the store still counts it as held.
                    0 => left[node] = 0,
                    1..=4 if left[node] >= need && told_under[node] <= limit => {
                        left[node] -= need;
                        spent_truly += need;
                    }
                    _ => {
                        let need = if what == 7 { 0 } else { need };
                        let others = (0..4).filter(|&other| other != node).map(|other| held[other]);
                        let (with_others, holders) = others.fold((0, 0), |(sum, n), h| (sum + h, n + u64::from(h > 0)));
                        let tally = Tally { spent, held: held[node], with_others, others: holders };
                        let (after, answer) = exchange(tally, &ask(left[node], need, limit));
                        // Whoever may lose units takes them away before it asks.
                        if need == 0 || told_under[node] > limit {
                            left[node] = 0;
                        }
                        (spent, held[node]) = (after.spent, after.held);
                        // 5: the answer is lost; a node can only go on with what it had.
                        if what != 5 {
                            (left[node], told_under[node]) = (answer.held, limit);
                        }
                    }
                }
                let books = spent + held.iter().sum::<u64>();
                prop_assert!(spent_truly + left.iter().sum::<u64>() <= books);
                prop_assert!(books <= highest);
            }
        }
    }
}
