//! The server is well: what all nodes together let pass is what the limits say, all limits of a request or none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keyward_core::denial::Refusal;
use keyward_core::limits::{CountedOf, Rate};
use keyward_verify::{Decision, Engine};

use crate::counter_server::CounterServer;
use crate::nodes::{HOUR, Nodes, PATIENT, until};
use crate::support::site::{spend, spend_from};

const NODES: usize = 5;
const CLIENTS: usize = 64;

fn rate(name: &str, by: &str, limit: u64, per: &str) -> String {
    format!("[plans.one.rates.{name}]\nlimit = {limit}\nper = \"{per}\"\nburst = {limit}\nby = \"{by}\"\n")
}

async fn started(contract: &str, count: usize) -> (CounterServer, Nodes) {
    let server = CounterServer::start();
    let nodes = Nodes::start(contract, &server.url(), count, PATIENT).await;
    (server, nodes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q04_five_nodes_at_three_times_the_limit_pass_exactly_the_burst() {
    let (_server, nodes) = started(&rate("requests", "project", 100, "1h"), NODES).await;
    let granted = Arc::new(AtomicU64::new(0));
    let mut clients = Vec::new();
    for engine in (0..CLIENTS).flat_map(|_| &nodes.engines) {
        let (engine, secret, granted) = (Arc::clone(engine), nodes.key.secret.clone(), Arc::clone(&granted));
        clients.push(tokio::spawn(async move {
            let decision = spend(&engine, &secret, 1).await;
            granted.fetch_add(u64::from(decision.outcome.is_ok()), Ordering::Relaxed);
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    // A unit may still be on its way back from a request that came too late for it.
    let one_more = async || {
        granted.fetch_add(u64::from(passes(&nodes.engines[0], &nodes.key.secret).await), Ordering::Relaxed);
        granted.load(Ordering::Relaxed) >= 100
    };
    until(PATIENT, one_more).await;
    for engine in &nodes.engines {
        let decision = spend(engine, &nodes.key.secret, 1).await;
        assert_eq!(decision.outcome.unwrap_err().refusal(), Refusal::RateLimited);
        assert_eq!(decision.charge.denied_by(), Some("requests"));
        assert_eq!(decision.charge.state("requests").unwrap().remaining, 0);
        assert!(decision.charge.retry_after().unwrap() <= HOUR / 100);
    }
    assert_eq!(granted.load(Ordering::Relaxed), 100);
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q04_where_the_rate_is_high_nodes_pass_at_most_a_hundredth_more_and_hardly_less() {
    const LIMIT: u64 = 10_000;
    const MINUTE: f64 = 60.0;
    let (_server, nodes) = started(&rate("requests", "project", LIMIT, "1m"), NODES).await;
    let began = Instant::now();
    let load = nodes.load(CLIENTS, PATIENT);
    // Long enough for units that were taken ahead to lose their worth, were they not spent; and overloaded.
    let life = MINUTE / 100.0;
    until(3 * PATIENT, async || {
        let counts = &load.counts;
        counts.refused() > 2 * counts.granted() && began.elapsed().as_secs_f64() > 3.0 * life
    })
    .await;
    let (least, lasted) = (load.counts.granted(), began.elapsed().as_secs_f64());
    let counts = load.stop().await;
    let all = began.elapsed().as_secs_f64();
    let may = |seconds: f64| LIMIT as f64 * (1.0 + seconds / MINUTE);
    let passed = counts.granted() as f64;
    eprintln!(
        "{passed} passed in {all:.2}s, {:.4} of what may pass; longest {:?}",
        passed / may(all),
        counts.longest()
    );
    assert!(passed <= may(all + life), "{passed} in {all}s");
    assert!(least as f64 >= 0.95 * may(lasted), "{least} in {lasted}s");
    nodes.stop().await;
}

/// Several limits by key, project, organization and address: requests go to the nodes in turn, and what one of the
/// limits refuses takes nothing from the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q04_several_limits_hold_over_nodes_keys_projects_and_addresses() {
    let contract = [
        rate("of_key", "key", 5, "1h"),
        rate("of_project", "project", 8, "1h"),
        rate("of_organization", "organization", 11, "1h"),
        rate("of_address", "address", 3, "1h"),
    ];
    let (_server, nodes) = started(&contract.concat(), 3).await;
    let (site, opened) = (&nodes.site, &nodes.opened);
    let first = nodes.key.clone();
    let rotated = site.rotate(opened, &site.project, first.id).await;
    let second = site.mint(opened, &site.project, 1).await.remove(0);
    let other = site.another_project(opened, "other").await;
    let theirs = site.mint(opened, &other, 1).await.remove(0);

    let turn = AtomicU64::new(0);
    let ask = async |secret: &str, address: &str| {
        let turn = turn.fetch_add(1, Ordering::Relaxed) as usize;
        spend_from(&nodes.engines[turn % nodes.engines.len()], secret, 1, Some(address)).await
    };
    // How many pass before which limit refuses.
    let exhaust = async |secret: &str, address: &str| {
        let mut passed = 0;
        loop {
            let decision = ask(secret, address).await;
            match decision.outcome {
                Ok(_) => passed += 1,
                Err(_) => break (passed, decision.charge.denied_by().unwrap().to_owned()),
            }
        }
    };
    let by = |passed: i32, limit: &str| (passed, limit.to_owned());
    assert_eq!(exhaust(&first.secret, "192.0.2.1").await, by(3, "of_address"));
    assert_eq!(exhaust(&rotated.secret, "192.0.2.2").await, by(2, "of_key"));
    assert_eq!(exhaust(&first.secret, "192.0.2.3").await, by(0, "of_key"));
    assert_eq!(exhaust(&second.secret, "192.0.2.3").await, by(3, "of_address"));
    assert_eq!(exhaust(&second.secret, "192.0.2.4").await, by(0, "of_project"));
    assert_eq!(exhaust(&theirs.secret, "192.0.2.3").await, by(3, "of_address"));
    assert_eq!(exhaust(&theirs.secret, "192.0.2.4").await, by(0, "of_organization"));

    let hourly = |limit| Rate::new(limit, HOUR, limit).unwrap();
    let lineage = |key| CountedOf::Lineage(key);
    assert_eq!(nodes.used("of_key", lineage(first.id), &hourly(5)).await, 5);
    assert_eq!(nodes.used("of_key", lineage(second.id), &hourly(5)).await, 3);
    assert_eq!(nodes.used("of_project", CountedOf::Project(site.project.id), &hourly(8)).await, 8);
    assert_eq!(nodes.used("of_project", CountedOf::Project(other.id), &hourly(8)).await, 3);
    nodes.stop().await;
}

/// A quota that refuses takes nothing from a shared rate: neither where that is known at once, nor where two requests
/// have taken from the rate already when the quota turns out to have room for one.
#[tokio::test]
async fn what_is_taken_ahead_for_a_request_that_a_quota_refuses_is_given_back() {
    let quota =
        "[plans.one.quotas.credits]\nlimit = 2\nper = \"lifetime\"\nby = \"project\"\nfailures_free = true\n";
    let (server, nodes) = started(&(rate("requests", "project", 100, "1h") + quota), 1).await;
    let of = CountedOf::Project(nodes.site.project.id);
    let hourly = Rate::new(100, HOUR, 100).unwrap();
    let (engine, secret) = (&nodes.engines[0], &nodes.key.secret);
    assert!(passes(engine, secret).await);
    // What was given back is the one unit at hand; of the rate it stays spent.
    spend(engine, secret, 1).await.charge.refund();
    assert_eq!(nodes.used("requests", of, &hourly).await, 2);

    // Both ask the server before it answers either.
    server.pause();
    let go_on = async { server.resume() };
    let (one, two, ()) = tokio::join!(spend(engine, secret, 1), spend(engine, secret, 1), go_on);
    let refused: Vec<Decision> = [one, two].into_iter().filter(|decision| decision.outcome.is_err()).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].charge.denied_by(), Some("credits"));
    until(PATIENT, async || nodes.used("requests", of, &hourly).await == 3).await;

    for _ in 0..10 {
        assert_eq!(spend(engine, secret, 1).await.charge.denied_by(), Some("credits"));
    }
    assert_eq!(nodes.used("requests", of, &hourly).await, 3);
    nodes.stop().await;
}

/// Costs of all sizes, from nodes in turn: units, not requests, are counted; what costs more than there is takes
/// nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q04_costs_are_counted_over_nodes_and_what_costs_too_much_takes_nothing() {
    let contract = rate("units", "project", 100, "1h") + "counts = \"cost\"\n";
    let (_server, nodes) = started(&contract, 3).await;
    let mut used = 0;
    for (turn, cost) in [7, 0, 40, 101, 33, 21, 1, 19, 1].into_iter().enumerate() {
        let decision = spend(&nodes.engines[turn % 3], &nodes.key.secret, cost).await;
        let fits = used + cost <= 100;
        assert_eq!(decision.outcome.is_ok(), fits, "{cost} beyond {used}");
        used += if fits { cost } else { 0 };
        // What can never pass or takes nothing is answered without asking, with what the node knew before.
        if (1..=100).contains(&cost) {
            assert_eq!(decision.charge.state("units").unwrap().used, used, "after {cost}");
        }
    }
    assert_eq!(used, 100);
    nodes.stop().await;
}

/// A limit that is raised or lowered holds on every node for its next request, and what was used stays used.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q04_a_changed_limit_holds_on_every_node() {
    let (_server, nodes) = started(&rate("requests", "project", 10, "1h"), 2).await;
    let exhaust = async || {
        let mut passed = 0;
        while passes(&nodes.engines[passed % 2], &nodes.key.secret).await {
            passed += 1;
        }
        passed
    };
    assert_eq!(exhaust().await, 10);
    for (limit, more) in [(14, 4), (5, 0), (20, 6)] {
        for engine in &nodes.engines {
            nodes.opened.set_limit(engine, &nodes.site.project, "requests", Some(limit)).await;
        }
        assert_eq!(exhaust().await, more, "at {limit}");
    }
    nodes.stop().await;
}

async fn passes(engine: &Engine, secret: &str) -> bool {
    spend(engine, secret, 1).await.outcome.is_ok()
}

/// Clients that ask in crowds, below the limit, are never refused: what nodes take ahead is what they go on to spend.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q04_crowds_below_the_limit_are_not_refused_for_what_is_taken_ahead() {
    const CROWD: usize = 16;
    let contract = "[plans.one.rates.requests]\nlimit = 10000\nper = \"1m\"\nburst = 100\nby = \"project\"\n";
    let (_server, nodes) = started(contract, 2).await;
    // 32 requests, and never sooner than 41 have come back: the pace is the point.
    for round in 0..12 {
        let mut crowd = Vec::new();
        for engine in (0..CROWD).flat_map(|_| &nodes.engines) {
            let (engine, secret) = (Arc::clone(engine), nodes.key.secret.clone());
            crowd.push(tokio::spawn(async move { passes(&engine, &secret).await }));
        }
        for client in crowd {
            assert!(client.await.unwrap(), "refused in round {round}");
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    nodes.stop().await;
}

/// A rate whose time is short: what is taken ahead is soon worth nothing, and the counter is not starved by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q04_a_rate_by_the_second_stays_within_its_limit() {
    const LIMIT: f64 = 500.0;
    let (_server, nodes) = started(&rate("requests", "project", 500, "1s"), 3).await;
    let began = Instant::now();
    let load = nodes.load(8, PATIENT);
    until(PATIENT, async || load.counts.refused() > 0 && began.elapsed() > Duration::from_secs(1)).await;
    let passed = load.stop().await.granted() as f64;
    let seconds = began.elapsed().as_secs_f64();
    eprintln!("{passed} passed in {seconds:.2}s: {:.4} of what may pass", passed / (LIMIT * (1.0 + seconds)));
    assert!(passed <= LIMIT * (1.0 + seconds + 0.01), "{passed} in {seconds}s");
    nodes.stop().await;
}
