//! Units of quotas: exchanged among holders, never given twice, and forgotten with their period.

use keyward_core::clock::{Clock, Timestamp};
use keyward_core::id::{KeyId, OrganizationId, ProjectId};
use keyward_core::limits::block::{BlockAnswer, BlockAsk, Tally};
use keyward_core::limits::{CountedOf, QuotaCounter};
use keyward_core::store::Store;

use super::world::*;
use super::{Fixture, World};

async fn world(fixture: &dyn Fixture) -> World {
    World::new(fixture.open().await, fixture.clock().now())
}

/// A counter that no other case asks for.
fn counter() -> QuotaCounter {
    let of = CountedOf::Project(ProjectId::from_u128(new_number()));
    QuotaCounter { api: api_name("standard"), name: "credits".into(), of }
}

/// A node's run with what it has left of one counter.
#[derive(Debug, Clone)]
struct Node {
    counter: QuotaCounter,
    period: &'static str,
    holder: u128,
    left: u64,
}

impl Node {
    fn of(counter: &QuotaCounter) -> Self {
        Node { counter: counter.clone(), period: "2026-11", holder: new_number(), left: 0 }
    }

    fn ask(&self, need: u64, limit: u64) -> BlockAsk {
        BlockAsk {
            counter: self.counter.clone(),
            period: self.period.into(),
            ends_at: Some("2026-12-01T00:00:00Z".parse().unwrap()),
            holder: self.holder,
            unspent: self.left,
            need,
            limit,
        }
    }

    /// Asks, and holds what it is given.
    async fn exchange(&mut self, store: &dyn Store, need: u64, limit: u64) -> BlockAnswer {
        let answer = store.exchange_block(&self.ask(need, limit)).await.unwrap();
        self.left = answer.held;
        answer
    }

    async fn recalled(&self, store: &dyn Store) -> bool {
        let recalled = store.recalled_blocks(self.holder).await.unwrap();
        let own = (self.counter.clone(), self.period.into());
        assert!(recalled.iter().all(|one| *one == own), "{recalled:?}");
        !recalled.is_empty()
    }
}

async fn tally(store: &dyn Store, counter: &QuotaCounter, period: &str) -> Tally {
    store.quota_tallies(&[(counter.clone(), period.into())]).await.unwrap().remove(0)
}

pub async fn q01_units_are_given_once_among_holders_that_spend_and_crash(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let (store, counter, limit) = (&*world.store, counter(), 300);
    let head = store.head().await.unwrap();
    let mut nodes: Vec<Node> = (0..4).map(|_| Node::of(&counter)).collect();
    let (mut spent, mut seed) = (0, 0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..400 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let (node, what, need) = (&mut nodes[(seed % 4) as usize], seed >> 8 & 15, 1 + (seed >> 16 & 3));
        match what {
            // It crashes, and what it had left is gone; it begins again as itself, or as a new run.
            0 => node.left = 0,
            1 => *node = Node::of(&counter),
            // Its answer is lost: all it knows of is what it had.
            2 => drop(store.exchange_block(&node.ask(need, limit)).await.unwrap()),
            3 => drop(node.exchange(store, 0, limit).await),
            _ if node.left < need => drop(node.exchange(store, need, limit).await),
            _ => {
                node.left -= need;
                spent += need;
            }
        }
        let tally = tally(store, &counter, "2026-11").await;
        assert!(tally.spent + tally.with_others <= limit, "{tally:?}");
        assert!(spent + nodes.iter().map(|node| node.left).sum::<u64>() <= limit, "{spent} {nodes:?}");
    }
    assert!(spent > 100, "most of it was there to be spent: {spent}");
    assert_eq!(store.head().await.unwrap(), head, "an exchange is no change");
}

pub async fn q01_the_last_units_of_many_asks_at_once(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    for limit in [1, 10] {
        let counter = counter();
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let (world, mut node) = (world.clone(), Node::of(&counter));
                tokio::spawn(async move { node.exchange(&*world.store, 1, limit).await.held })
            })
            .collect();
        let mut held = 0;
        for task in tasks {
            held += task.await.unwrap();
        }
        assert_eq!(held, limit);
        let tally = tally(&*world.store, &counter, "2026-11").await;
        assert_eq!((tally.spent, tally.with_others), (0, limit));
    }
}

pub async fn an_exchange_repeated_after_a_lost_answer_gives_nothing_twice(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let (store, counter) = (&*world.store, counter());
    let mut node = Node::of(&counter);
    let lost = store.exchange_block(&node.ask(60, 100)).await.unwrap();
    assert_eq!(lost, BlockAnswer { held: 60, free: 40, with_others: 0, spent: 0 });
    // All it can say is that it has none left: what it was given and does not know of counts as spent.
    let answer = node.exchange(store, 40, 100).await;
    assert_eq!(answer, BlockAnswer { held: 40, free: 0, with_others: 0, spent: 60 });
    // The same again with nothing lost.
    assert_eq!(node.exchange(store, 40, 100).await, answer);
    // A request that counted as spent may fail and be given back; never more than was ever given out.
    node.left = 42;
    assert_eq!(node.exchange(store, 1, 100).await, BlockAnswer { held: 42, free: 0, with_others: 0, spent: 58 });
    node.left = 5_000;
    assert_eq!(node.exchange(store, 1, 100).await, BlockAnswer { held: 100, free: 0, with_others: 0, spent: 0 });
    node.left = 25;
    assert_eq!(node.exchange(store, 0, 100).await, BlockAnswer { held: 0, free: 25, with_others: 0, spent: 75 });
    let given_back = Tally { spent: 75, held: 0, with_others: 0, others: 0 };
    assert_eq!(tally(store, &counter, "2026-11").await, given_back);
    assert_eq!(node.exchange(store, 0, 100).await.spent, 75);
}

pub async fn a_lowered_limit_takes_units_back(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let (store, counter) = (&*world.store, counter());
    let (mut one, mut two) = (Node::of(&counter), Node::of(&counter));
    assert_eq!(one.exchange(store, 100, 400).await.held, 100);
    assert_eq!(two.exchange(store, 30, 400).await.held, 37, "a part of what is left");
    one.left = 90;
    let answer = one.exchange(store, 1, 100).await;
    assert_eq!(answer, BlockAnswer { held: 53, free: 0, with_others: 37, spent: 10 });
    // Below what is spent already: nothing more, and nothing kept.
    let answer = one.exchange(store, 1, 5).await;
    assert_eq!(answer, BlockAnswer { held: 0, free: 0, with_others: 37, spent: 10 });
    // Raised again it goes on from what was spent.
    two.exchange(store, 0, 150).await;
    assert_eq!(one.exchange(store, 140, 150).await.held, 140);
}

pub async fn a_recall_marks_the_others_until_they_exchange(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let (store, counter) = (&*world.store, counter());
    let [mut one, mut two, mut three] = [(); 3].map(|()| Node::of(&counter));
    let elsewhere = Node { period: "2026-12", ..two.clone() };
    store.exchange_block(&elsewhere.ask(5, 10)).await.unwrap();
    one.exchange(store, 6, 10).await;
    two.exchange(store, 4, 10).await;
    for node in [&one, &two, &three] {
        assert!(!node.recalled(store).await, "everybody got enough");
    }
    assert_eq!(three.exchange(store, 1, 10).await, BlockAnswer { held: 0, free: 0, with_others: 10, spent: 0 });
    assert_eq!((one.recalled(store).await, two.recalled(store).await), (true, true));
    assert!(!three.recalled(store).await, "it has nothing to give back");
    // One gives back, the other goes on with what it has: both were heard from.
    one.left = 5;
    one.exchange(store, 0, 10).await;
    two.exchange(store, 1, 10).await;
    assert_eq!((one.recalled(store).await, two.recalled(store).await), (false, false));
    assert_eq!(three.exchange(store, 5, 10).await.held, 5);
    // Whoever gets too little is asked nothing; giving back is not getting too little.
    two.exchange(store, 9, 10).await;
    assert_eq!((two.recalled(store).await, three.recalled(store).await), (false, true));
    three.exchange(store, 0, 10).await;
    assert!(!two.recalled(store).await);
    // Where nobody holds any, nobody can be asked.
    two.exchange(store, 9, 10).await;
    assert!(!three.recalled(store).await);
}

pub async fn q10_counters_and_periods_have_nothing_in_common(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let (store, number) = (&*world.store, new_number());
    let first = QuotaCounter { of: CountedOf::Project(ProjectId::from_u128(number)), ..counter() };
    // Numbers alike, but ids of different kinds.
    let others = [
        QuotaCounter { of: CountedOf::Organization(OrganizationId::from_u128(number)), ..first.clone() },
        QuotaCounter { of: CountedOf::Lineage(KeyId::from_u128(number)), ..first.clone() },
        QuotaCounter { api: api_name("other"), ..first.clone() },
        QuotaCounter { name: "it's 100%; größe \u{1f600}".into(), ..first.clone() },
    ];
    let holder = new_number();
    let mut places: Vec<Node> =
        [&first].into_iter().chain(&others).map(|of| Node { holder, ..Node::of(of) }).collect();
    places.push(Node { period: "2026-12", ..places[0].clone() });
    places.push(Node { period: "lifetime", ..places[0].clone() });
    for (spends, node) in places.iter_mut().enumerate() {
        assert_eq!(node.exchange(store, 10, 10).await.held, 10, "{node:?}");
        node.left -= spends as u64;
        node.exchange(store, 0, 10).await;
        node.exchange(store, 1, 10).await;
    }
    for (spends, node) in places.iter().enumerate() {
        assert_eq!(tally(store, &node.counter, node.period).await.spent, spends as u64, "{node:?}");
    }
    // Everyone's units are asked back, and each is told by its own name.
    let mut wanted = Vec::new();
    for node in &places {
        Node { holder: new_number(), ..node.clone() }.exchange(store, 10, 10).await;
        wanted.push((node.counter.clone(), Box::from(node.period)));
    }
    let mut recalled = store.recalled_blocks(holder).await.unwrap();
    recalled.sort();
    wanted.sort();
    assert_eq!(recalled, wanted);
}

pub async fn tallies_are_told_in_the_order_asked_for(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let store = &*world.store;
    // More than one statement takes.
    let counters: Vec<QuotaCounter> = (0..100).map(|_| counter()).collect();
    for (number, counter) in counters.iter().enumerate().filter(|(number, _)| number % 3 == 0) {
        let mut node = Node::of(counter);
        node.exchange(store, number as u64 + 1, number as u64 + 1).await;
        node.left = 1;
        node.exchange(store, 1, number as u64 + 1).await;
    }
    let mut asked: Vec<(QuotaCounter, Box<str>)> =
        counters.iter().map(|counter| (counter.clone(), "2026-11".into())).collect();
    asked.reverse();
    asked.push(asked[3].clone());
    asked.push((counters[3].clone(), "2026-12".into()));
    let told = store.quota_tallies(&asked).await.unwrap();
    assert_eq!(told.len(), 102);
    for (number, tally) in told[..100].iter().rev().enumerate() {
        let wanted = match number % 3 {
            0 => Tally { spent: number as u64, held: 0, with_others: 1, others: 1 },
            _ => Tally::default(),
        };
        assert_eq!(*tally, wanted, "{number}");
    }
    assert_eq!((told[100], told[101]), (told[3], Tally::default()));
    assert!(store.quota_tallies(&[]).await.unwrap().is_empty());
}

pub async fn i03_absurd_numbers_give_nothing_away(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let (store, counter) = (&*world.store, counter());
    let [mut one, mut two] = [(); 2].map(|()| Node::of(&counter));
    one.left = u64::MAX;
    assert_eq!(one.exchange(store, u64::MAX, u64::MAX).await.held, 0, "more than there can be");
    let most = i64::MAX as u64;
    assert_eq!(one.exchange(store, most, u64::MAX).await.held, most);
    two.left = u64::MAX;
    let answer = two.exchange(store, 1, u64::MAX).await;
    assert_eq!(answer, BlockAnswer { held: 0, free: 0, with_others: most, spent: 0 });
    one.left = 0;
    assert_eq!(one.exchange(store, 1, u64::MAX).await.held, 0);
    let spent = Tally { spent: most, held: 0, with_others: 0, others: 0 };
    assert_eq!(tally(store, &counter, "2026-11").await, spent);
}

pub async fn tallies_of_old_periods_are_forgotten_when_nobody_holds_any(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let (store, long_ago) = (&*world.store, Timestamp::from_millis(0));
    let (given_back, held, lifetime, later) = (counter(), counter(), counter(), counter());
    for (counter, keeps, ends_at) in [
        (&given_back, 0, Some("2026-12-01T00:00:00Z")),
        (&held, 2, Some("2026-12-01T00:00:00Z")),
        (&lifetime, 0, None),
        (&later, 0, Some("2026-12-02T00:00:00Z")),
    ] {
        let mut node = Node::of(counter);
        let ends_at = ends_at.map(|end| end.parse().unwrap());
        store.exchange_block(&BlockAsk { ends_at, ..node.ask(5, 10) }).await.unwrap();
        node.left = 3;
        node.exchange(store, keeps, 10).await;
    }
    let spent = async || {
        let mut spent = Vec::new();
        for counter in [&given_back, &held, &lifetime, &later] {
            spent.push(tally(store, counter, "2026-11").await.spent);
        }
        spent
    };
    assert_eq!(spent().await, [2; 4]);
    let end = "2026-12-01T00:00:00Z".parse().unwrap();
    while store.forget_usage(long_ago, end, 1).await.unwrap() {}
    assert_eq!(spent().await, [2; 4], "it must have ended before");
    let soon = Timestamp::from_millis(end.as_millis() + 399 * 86_400_000);
    while store.forget_usage(long_ago, soon, 1).await.unwrap() {}
    assert_eq!(spent().await, [2; 4], "tallies outlast charts");
    let after = Timestamp::from_millis(end.as_millis() + 400 * 86_400_000 + 1);
    while store.forget_usage(long_ago, after, 1).await.unwrap() {}
    assert_eq!(spent().await, [0, 2, 2, 2]);
}
