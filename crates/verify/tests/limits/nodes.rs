//! Several nodes over one store: units are given once, and what lies idle is called back before anyone is denied.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use keyward_core::limits::block::BlockAsk;
use keyward_core::store::Store as _;
use keyward_core::tenancy::Project;
use keyward_verify::{Engine, SystemClock};
use tokio::sync::Semaphore;

use crate::support::Minted;
use crate::support::site::{Opened, Site, TestClock, spend};
use crate::support::watched::{OnRead, Watched};

const NODES: usize = 5;
const TASKS: usize = 64;
const LIMIT: u64 = 10_000;

fn quota(by: &str, limit: u64) -> String {
    format!("[plans.one.quotas.credits]\nlimit = {limit}\nper = \"lifetime\"\nby = \"{by}\"\n")
}

async fn site(contract: &str) -> (Site, Opened) {
    let site = Site::new(contract, Arc::new(SystemClock)).await;
    let opened = site.open().await;
    (site, opened)
}

async fn engines(opened: &Opened, count: usize) -> Vec<Arc<Engine>> {
    let mut engines = Vec::new();
    for _ in 0..count {
        engines.push(opened.engine().await);
    }
    engines
}

/// Every node has many clients that go on until they are refused; how many requests passed.
async fn exhaust(engines: &[Arc<Engine>], secrets: &[&str]) -> u64 {
    let passed = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for (number, engine) in (0..TASKS).flat_map(|task| engines.iter().map(move |engine| (task, engine))) {
        let (engine, passed) = (Arc::clone(engine), Arc::clone(&passed));
        let secret = secrets[number % secrets.len()].to_owned();
        tasks.push(tokio::spawn(async move {
            while spend(&engine, &secret, 1).await.outcome.is_ok() {
                passed.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    passed.load(Ordering::Relaxed)
}

async fn stop(engines: Vec<Arc<Engine>>, opened: Opened) {
    for engine in engines {
        engine.stop().await;
    }
    opened.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q01_five_nodes_with_64_clients_each_grant_exactly_the_limit() {
    let (site, opened) = site(&quota("project", LIMIT)).await;
    let keys = site.mint(&opened, &site.project, 1).await;
    let engines = engines(&opened, NODES).await;
    assert_eq!(exhaust(&engines, &[&keys[0].secret]).await, LIMIT);
    // The one node that is asked afterwards would have to be given what another had left.
    assert!(spend(&engines[0], &keys[0].secret, 1).await.outcome.is_err());
    stop(engines, opened).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q01_a_quota_by_key_is_one_over_rotated_keys_and_nodes() {
    let (site, opened) = site(&quota("key", LIMIT)).await;
    let first = site.mint(&opened, &site.project, 1).await.remove(0);
    let second = site.rotate(&opened, &site.project, first.id).await;
    let third = site.rotate(&opened, &site.project, second.id).await;
    let engines = engines(&opened, NODES).await;
    let secrets = [&*first.secret, &*second.secret, &*third.secret];
    assert_eq!(exhaust(&engines, &secrets).await, LIMIT);
    let fourth = site.rotate(&opened, &site.project, third.id).await;
    assert!(spend(&engines[1], &fourth.secret, 1).await.outcome.is_err());
    let of_another_line = site.mint(&opened, &site.project, 1).await.remove(0);
    assert!(spend(&engines[1], &of_another_line.secret, 1).await.outcome.is_ok());
    stop(engines, opened).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q01_a_quota_by_organization_is_one_over_projects_and_nodes() {
    let (site, opened) = site(&quota("organization", LIMIT)).await;
    let other: Project = site.another_project(&opened, "other").await;
    let mine = site.mint(&opened, &site.project, 1).await.remove(0);
    let theirs = site.mint(&opened, &other, 1).await.remove(0);
    let engines = engines(&opened, NODES).await;
    assert_eq!(exhaust(&engines, &[&mine.secret, &theirs.secret]).await, LIMIT);
    stop(engines, opened).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q01_what_lies_idle_on_other_nodes_is_called_back_before_anyone_is_denied() {
    let (site, opened) = site(&quota("project", 1_000)).await;
    let key = site.mint(&opened, &site.project, 1).await.remove(0);
    let engines = engines(&opened, NODES).await;
    for engine in &engines {
        assert!(spend(engine, &key.secret, 1).await.outcome.is_ok());
    }
    let mut passed = NODES as u64;
    while spend(&engines[0], &key.secret, 1).await.outcome.is_ok() {
        passed += 1;
    }
    assert_eq!(passed, 1_000);
    stop(engines, opened).await;
}

/// Each of two nodes holds less than it needs, and together they hold enough: neither may wait for the other until
/// both give up.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q01_two_nodes_that_need_each_others_units_do_not_both_go_without() {
    let (site, opened) = site(&format!("{}failures_free = true\n", quota("project", 8))).await;
    let key = site.mint(&opened, &site.project, 1).await.remove(0);
    let engines = engines(&opened, 2).await;
    for engine in &engines {
        // What was fetched for a request that failed lies at hand: four units on either.
        let failed = spend(engine, &key.secret, 4).await;
        assert!(failed.outcome.is_ok());
        failed.charge.refund();
    }
    let (one, two) = tokio::join!(spend(&engines[0], &key.secret, 5), spend(&engines[1], &key.secret, 5));
    assert_eq!([one, two].iter().filter(|decision| decision.outcome.is_ok()).count(), 1);
    stop(engines, opened).await;
}

/// A node whose block is spent to the last unit must say so when it is asked, or others wait for it in vain with
/// every denial.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q01_a_block_that_is_spent_is_told_when_it_is_recalled() {
    let (site, opened) = site(&quota("project", 40)).await;
    let key = site.mint(&opened, &site.project, 1).await.remove(0);
    let engines = engines(&opened, 2).await;
    let mut passed = 0;
    for engine in [&engines[1], &engines[0]] {
        while spend(engine, &key.secret, 1).await.outcome.is_ok() {
            passed += 1;
        }
    }
    assert_eq!(passed, 40);
    let counter = keyward_core::limits::QuotaCounter {
        api: site.project.api.clone(),
        name: "credits".into(),
        of: keyward_core::limits::CountedOf::Project(site.project.id),
    };
    let tally = async || {
        let asked = [(counter.clone(), "lifetime".into())];
        keyward_core::store::Store::quota_tallies(&*opened.store, &asked).await.unwrap().remove(0)
    };
    until(async || tally().await.with_others == 0).await;
    assert_eq!(tally().await.spent, 40);
    stop(engines, opened).await;
}

/// What a failed request gives back on one node can be spent on another that was told that all is spent.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q01_what_one_node_gives_back_another_can_spend() {
    let contract = format!("{}failures_free = true\n", quota("project", 10));
    let clock = TestClock::at("2026-11-21T10:00:00Z");
    let site = Site::new(&contract, clock.clone()).await;
    let opened = site.open().await;
    let key = site.mint(&opened, &site.project, 1).await.remove(0);
    let engines = engines(&opened, 2).await;
    let mut charges = Vec::new();
    for engine in [&engines[1], &engines[0]] {
        loop {
            let decision = spend(engine, &key.secret, 1).await;
            if decision.outcome.is_err() {
                break;
            }
            charges.push(decision.charge);
        }
    }
    assert_eq!(charges.len(), 10);
    // The first was taken on the other node.
    charges.remove(0).refund();
    // It lies idle there for a while, and then goes back.
    until(async || {
        clock.pass(Duration::from_secs(1));
        spend(&engines[0], &key.secret, 1).await.outcome.is_ok()
    })
    .await;
    assert!(spend(&engines[0], &key.secret, 1).await.outcome.is_err());
    stop(engines, opened).await;
}

/// A limit that is lowered holds on every node for its next request, also where a node still holds units that it was
/// given under the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q01_a_lowered_limit_holds_over_the_blocks_of_all_nodes() {
    let (site, opened) = site(&quota("project", 100)).await;
    let key = site.mint(&opened, &site.project, 1).await.remove(0);
    let engines = engines(&opened, 2).await;
    let mut passed = 0;
    for engine in &engines {
        assert!(spend(engine, &key.secret, 1).await.outcome.is_ok());
        passed += 1;
    }
    for _ in 0..15 {
        assert!(spend(&engines[1], &key.secret, 1).await.outcome.is_ok());
        passed += 1;
    }
    for engine in &engines {
        opened.set_limit(engine, &site.project, "credits", Some(20)).await;
    }
    for engine in &engines {
        while spend(engine, &key.secret, 1).await.outcome.is_ok() {
            passed += 1;
        }
    }
    assert_eq!(passed, 20);
    for engine in &engines {
        opened.set_limit(engine, &site.project, "credits", None).await;
    }
    for engine in &engines {
        while spend(engine, &key.secret, 1).await.outcome.is_ok() {
            passed += 1;
        }
    }
    assert_eq!(passed, 100);
    stop(engines, opened).await;
}

/// Holds answers to exchanges back until it is told to let go.
struct Slow {
    arrived: Semaphore,
    let_go: Semaphore,
}

#[async_trait]
impl OnRead for Slow {
    async fn read(&self) {}

    async fn exchanged(&self, _ask: &BlockAsk) {
        self.arrived.add_permits(1);
        self.let_go.acquire().await.unwrap().forget();
    }
}

/// A caller that goes away while units are on their way takes none with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q02_callers_that_go_away_while_units_are_fetched_strand_none() {
    let (site, opened) = site(&quota("project", 100)).await;
    let key = site.mint(&opened, &site.project, 1).await.remove(0);
    let slow = Arc::new(Slow { arrived: Semaphore::new(0), let_go: Semaphore::new(0) });
    let store =
        Arc::new(Watched { store: opened.world.store.clone(), on_read: Arc::clone(&slow) as Arc<dyn OnRead> });
    let engine = opened.engine_behind(store).await;
    let caller = {
        let (engine, Minted { secret, .. }) = (Arc::clone(&engine), key.clone());
        tokio::spawn(async move { spend(&engine, &secret, 1).await })
    };
    slow.arrived.acquire().await.unwrap().forget();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    slow.let_go.add_permits(Semaphore::MAX_PERMITS / 2);
    let mut passed = 0;
    while spend(&engine, &key.secret, 1).await.outcome.is_ok() {
        passed += 1;
    }
    assert_eq!(passed, 100);
    stop(vec![engine], opened).await;
}

/// Waits on a condition, for a quarter of a minute at most.
async fn until(condition: impl AsyncFn() -> bool) {
    let mut looks = 0;
    while !condition().await {
        looks += 1;
        assert!(looks < 3_000, "waited in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
