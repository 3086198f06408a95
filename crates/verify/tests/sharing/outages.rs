//! The server is emptied, killed, or was never there: each node holds its share, all together little more than the
//! limit, and the counters are shared again soon after it is back.

use std::time::Instant;

use keyward_core::limits::{CountedOf, Rate};
use keyward_verify::Engine;

use crate::counter_server::CounterServer;
use crate::nodes::{BACK_WITHIN, HOUR, Nodes, PATIENT, SHORT, until};
use crate::support::site::spend;

const NODES: usize = 5;
const CLIENTS: usize = 8;

fn requests(by: &str, limit: u64) -> String {
    format!("[plans.one.rates.requests]\nlimit = {limit}\nper = \"1h\"\nburst = {limit}\nby = \"{by}\"\n")
}

/// What comes back of an hourly limit since a moment, rounded up.
fn came_back(limit: u64, since: Instant) -> u64 {
    (limit as f64 * since.elapsed().as_secs_f64() / HOUR.as_secs_f64()).ceil() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q05_a_flush_under_load_costs_at_most_one_burst_and_every_node_notices() {
    const LIMIT: u64 = 500;
    let server = CounterServer::start();
    let nodes = Nodes::start(&requests("project", LIMIT), &server.url(), 3, PATIENT).await;
    let began = Instant::now();
    let load = nodes.load(CLIENTS, PATIENT);
    for flushes in 1..=2 {
        until(PATIENT, async || load.counts.granted() >= LIMIT * flushes).await;
        assert_eq!(server.tell("FLUSHALL SYNC"), "+OK");
        until(PATIENT, async || nodes.shared().all(|shared| shared.lost() == flushes)).await;
    }
    until(PATIENT, async || load.counts.granted() >= LIMIT * 3).await;
    let refused = load.counts.refused();
    until(PATIENT, async || load.counts.refused() > refused + 1_000).await;
    let passed = load.stop().await.granted();
    eprintln!("{passed} passed of {LIMIT} with two flushes");
    assert!(passed <= 3 * LIMIT + came_back(LIMIT, began), "{passed}");
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q06_killed_under_load_all_nodes_together_stay_within_one_share_more() {
    const LIMIT: u64 = 1_000;
    let mut server = CounterServer::start();
    let nodes = Nodes::start(&requests("project", LIMIT), &server.url(), NODES, SHORT).await;
    let began = Instant::now();
    let load = nodes.load(CLIENTS, PATIENT);
    until(PATIENT, async || load.counts.granted() >= LIMIT / 3).await;
    server.kill();
    until(PATIENT, async || load.counts.degraded() > 1_000).await;
    let passed = load.stop().await.granted();
    eprintln!("{passed} passed of {LIMIT}, killed at a third");
    assert!(passed <= LIMIT + LIMIT / NODES as u64 + came_back(LIMIT, began), "{passed}");

    server.restart();
    let took = nodes.back().await;
    eprintln!("back after {took:?}");
    nodes.know_each_other(BACK_WITHIN).await;
    nodes.stop().await;
}

/// Nodes that heard long ago that nothing was used, and nodes that never heard anything, must not each let pass their
/// share of it when the server goes away after one node has used all.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q06_what_nodes_last_heard_is_no_promise_that_it_is_still_there() {
    const LIMIT: u64 = 100;
    let mut server = CounterServer::start();
    let nodes = Nodes::start(&requests("project", LIMIT), &server.url(), NODES, PATIENT).await;
    let began = Instant::now();
    let mut passed = 0;
    for engine in &nodes.engines[..3] {
        assert!(passes(engine, &nodes.key.secret).await);
        passed += 1;
    }
    passed += exhaust(&nodes.engines[0], &nodes.key.secret).await;
    assert_eq!(passed, LIMIT);
    server.kill();
    until(PATIENT, async || nodes.shared().all(|shared| !shared.is_up())).await;
    for engine in &nodes.engines {
        let decision = spend(engine, &nodes.key.secret, 1).await;
        assert!(decision.charge.is_degraded());
        passed += u64::from(decision.outcome.is_ok());
        passed += exhaust(engine, &nodes.key.secret).await;
    }
    eprintln!("{passed} passed of {LIMIT} that one node had used");
    assert!(passed > LIMIT, "a share is not nothing");
    assert!(passed <= LIMIT + LIMIT / NODES as u64 + came_back(LIMIT, began), "{passed}");
    nodes.stop().await;
}

/// A server that is away again and again for a moment: what passes meanwhile is told it each time it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q06_short_outages_one_after_another_add_up_to_no_more_than_the_limit() {
    const LIMIT: u64 = 100;
    let server = CounterServer::start();
    let nodes = Nodes::start(&requests("project", LIMIT), &server.url(), 2, SHORT).await;
    let of = CountedOf::Project(nodes.site.project.id);
    let hourly = Rate::new(LIMIT, HOUR, LIMIT).unwrap();
    let began = Instant::now();
    let mut passed = 0;
    for _ in 0..5 {
        server.pause();
        // The first finds out.
        for engine in &nodes.engines {
            passed += exhaust(engine, &nodes.key.secret).await;
        }
        assert!(nodes.shared().all(|shared| !shared.is_up()));
        server.resume();
        until(BACK_WITHIN, async || nodes.shared().all(|shared| shared.is_up())).await;
        for engine in &nodes.engines {
            until(BACK_WITHIN, async || {
                let decision = spend(engine, &nodes.key.secret, 1).await;
                passed += u64::from(decision.outcome.is_ok());
                !decision.charge.is_degraded()
            })
            .await;
        }
    }
    eprintln!("{passed} passed of {LIMIT} in five short outages");
    assert!(passed <= LIMIT + LIMIT / 2 + came_back(LIMIT, began), "{passed}");
    until(BACK_WITHIN, async || nodes.shared().all(|shared| shared.is_up())).await;
    let used = nodes.used("requests", of, &hourly).await;
    assert!(used + came_back(LIMIT, began) >= passed.min(LIMIT), "{used} of {passed}");
    nodes.stop().await;
}

/// A request that takes more at once than a node's share begins with is not refused for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q06_who_waits_as_told_by_a_share_is_let_pass() {
    let contract =
        "[plans.one.rates.units]\nlimit = 1000\nper = \"1s\"\nburst = 100\nby = \"project\"\ncounts = \"cost\"\n";
    let mut server = CounterServer::start();
    let nodes = Nodes::start(contract, &server.url(), 3, PATIENT).await;
    server.kill();
    until(PATIENT, async || nodes.shared().all(|shared| !shared.is_up())).await;
    let engine = &nodes.engines[0];
    // A share of 33, of which 11 are there at the beginning.
    let decision = spend(engine, &nodes.key.secret, 30).await;
    let wait = decision.charge.retry_after().unwrap();
    tokio::time::sleep(wait).await;
    assert!(spend(engine, &nodes.key.secret, 30).await.outcome.is_ok());
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q06_without_a_server_from_the_start_each_node_holds_the_limit_and_joins_later() {
    const LIMIT: u64 = 10;
    let mut server = CounterServer::start();
    server.kill();
    let nodes = Nodes::start_apart(&requests("key", LIMIT), &server.url(), 3, PATIENT).await;
    let other = nodes.site.mint(&nodes.opened, &nodes.site.project, 1).await.remove(0);
    assert!(nodes.shared().all(|shared| shared.nodes() == 1 && !shared.is_up()));
    for engine in &nodes.engines {
        let first = spend(engine, &nodes.key.secret, 1).await;
        assert!(first.outcome.is_ok() && first.charge.is_degraded());
        assert_eq!(exhaust(engine, &nodes.key.secret).await, LIMIT - 1);
    }
    server.restart();
    nodes.know_each_other(BACK_WITHIN).await;
    let mut passed = 0;
    for engine in &nodes.engines {
        passed += exhaust(engine, &other.secret).await;
    }
    assert_eq!(passed, LIMIT, "a key that is new to all nodes has one limit");
    // Of the first key the server learns what had passed: one request of one node at most comes before.
    passed = 0;
    for engine in &nodes.engines {
        passed += exhaust(engine, &nodes.key.secret).await;
    }
    assert!(passed <= 1, "{passed}");
    nodes.stop().await;
}

/// Quotas are the store's: where a plan has no rates, nothing is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q06_a_plan_without_rates_is_not_degraded() {
    let contract = "[plans.one.quotas.credits]\nlimit = 2\nper = \"lifetime\"\nby = \"project\"\n";
    let mut server = CounterServer::start();
    server.kill();
    let nodes = Nodes::start_apart(contract, &server.url(), 1, PATIENT).await;
    let decision = spend(&nodes.engines[0], &nodes.key.secret, 1).await;
    assert!(decision.outcome.is_ok() && !decision.charge.is_degraded());
    nodes.stop().await;
}

async fn passes(engine: &Engine, secret: &str) -> bool {
    spend(engine, secret, 1).await.outcome.is_ok()
}

/// How many requests pass before one is refused.
async fn exhaust(engine: &Engine, secret: &str) -> u64 {
    let mut passed = 0;
    while passes(engine, secret).await {
        passed += 1;
    }
    passed
}
