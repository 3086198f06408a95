//! Rate counters that nodes share, against a real Valkey or Redis: exact however many ask at once, never waited for
//! while the server is away, back soon after it is, and not silent about what the server lost.

#[path = "support/counter_server.rs"]
mod counter_server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use counter_server::CounterServer;
use keyward_core::limits::{Rate, TooSoon};
use keyward_verify::limits::shared::{Down, SharedAsk, SharedBack, SharedOptions, SharedRates, Stand, Taken};
use tokio::time::sleep;

const HOUR: Duration = Duration::from_secs(3600);
/// As in production.
const SHORT: Duration = Duration::from_millis(20);
/// Where a test is about counting: a busy machine must not decide it.
const PATIENT: Duration = Duration::from_secs(10);
/// Within which a server that is back must be used again.
const BACK_WITHIN: Duration = Duration::from_secs(5);

fn node(server: &CounterServer, node: u128, timeout: Duration) -> Arc<SharedRates> {
    let prefix = "keyward-test".to_owned();
    SharedRates::start(SharedOptions { url: server.url(), node, timeout, prefix, nodes: 1 }).unwrap()
}

async fn connected(server: &CounterServer, number: u128, timeout: Duration) -> Arc<SharedRates> {
    let node = node(server, number, timeout);
    until(PATIENT, async || node.is_up()).await;
    node
}

/// Waits for a condition, so long and no longer.
async fn until(patience: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < patience, "not within {patience:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn rate(limit: u64, per: Duration, burst: u64) -> Rate {
    Rate::new(limit, per, burst).unwrap()
}

fn ask<'a>(key: &'a str, rate: &Rate, need: u64, slice: u64) -> SharedAsk<'a> {
    SharedAsk { key, interval: rate.interval(), tolerance: rate.tolerance(), need, slice }
}

fn back<'a>(key: &'a str, rate: &Rate, units: u64, at: i64) -> SharedBack<'a> {
    SharedBack { key, interval: rate.interval(), units, at }
}

fn granted(taken: Result<Taken, Down>) -> Vec<Stand> {
    match taken {
        Ok(Taken::Granted(stands)) => stands,
        other => panic!("not granted: {other:?}"),
    }
}

fn refused(taken: Result<Taken, Down>) -> (Option<i64>, usize, Vec<Stand>) {
    match taken {
        Ok(Taken::Refused { wait, by, stands }) => (wait, by, stands),
        other => panic!("not refused: {other:?}"),
    }
}

/// Takes one unit from one counter; whether it was granted.
async fn passes(node: &SharedRates, key: &str, rate: &Rate) -> Result<bool, Down> {
    Ok(matches!(node.take(&[ask(key, rate, 1, 1)]).await?, Taken::Granted(_)))
}

/// How many units were used, going by a look that takes nothing.
async fn used(node: &SharedRates, key: &str, rate: &Rate) -> u64 {
    let stand = granted(node.take(&[ask(key, rate, 0, 0)]).await)[0];
    rate.burst() - rate.remaining(stand.ahead, 0)
}

/// Five nodes with 64 tasks that ask as often as they are told for as many units: everything that was granted.
async fn overload(server: &CounterServer, rate: Rate, asks: usize, slice: u64) -> Vec<Stand> {
    let mut nodes = Vec::new();
    for number in 1..=5 {
        nodes.push(connected(server, number, PATIENT).await);
    }
    let tasks = (0..64).map(|task| {
        let node = Arc::clone(&nodes[task % nodes.len()]);
        tokio::spawn(async move {
            let mut stands = Vec::new();
            for _ in 0..asks {
                if let Taken::Granted(taken) = node.take(&[ask("one", &rate, 1, slice)]).await.unwrap() {
                    stands.extend(taken);
                }
            }
            stands
        })
    });
    let mut stands = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        stands.extend(task.await.unwrap());
    }
    stands.sort_by_key(|stand| stand.at);
    stands
}

/// Replays what was granted, in the order of the server's clock, against the core's rule.
fn assert_within(rate: &Rate, stands: &[Stand]) {
    let mut tat = 0;
    for stand in stands {
        tat = rate.after(tat, stand.at * 1000, stand.taken).expect("more than the rate allows was granted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn q04_five_nodes_together_never_pass_more_than_the_rate() {
    let server = CounterServer::start();
    let rate = rate(1000, Duration::from_secs(1), 50);
    let stands = overload(&server, rate, 60, 1).await;
    assert_within(&rate, &stands);
    let window = stands[stands.len() - 1].at - stands[0].at;
    let most = 50 + window * 1000 / 1_000_000;
    assert!(stands.len() as i64 <= most, "{} in {window} µs, {most} at most", stands.len());
    // Overloaded all the time, so it was also not far from what it may: the burst at the least.
    assert!(stands.len() >= 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn q04_five_nodes_together_pass_exactly_the_burst() {
    let server = CounterServer::start();
    let stands = overload(&server, rate(100, 24 * HOUR, 100), 5, 1).await;
    assert_eq!(stands.iter().map(|stand| stand.taken).sum::<u64>(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn q04_slices_never_take_more_than_the_rate() {
    let server = CounterServer::start();
    let rate = rate(20_000, Duration::from_secs(1), 1003);
    let stands = overload(&server, rate, 60, 100).await;
    assert_within(&rate, &stands);
    assert!(stands.iter().any(|stand| stand.taken == 100));
    assert!(stands.iter().all(|stand| (1..=100).contains(&stand.taken)));
}

/// The same requests as the core judges them, at the server's times, to the nanosecond.
#[tokio::test]
async fn q04_the_script_and_the_core_say_the_same() {
    let server = CounterServer::start();
    let node = connected(&server, 1, PATIENT).await;
    let rates = [
        rate(3, Duration::from_secs(1), 2),
        rate(7, Duration::from_secs(1), 100),
        rate(700, Duration::from_secs(1), 3),
        rate(33_333, Duration::from_secs(1), 7),
        rate(1_000_000_000, Duration::from_secs(1), 1_000),
        rate(1_000_000_000, Duration::from_secs(7), 900_000_001),
        rate(1, 366 * 24 * HOUR, 70),
        rate(11, 365 * 24 * HOUR, 700),
        rate(0, HOUR, 5),
    ];
    let mut tats = [0; 9];
    let mut random = 1_u64;
    for step in 0..3000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let place = (random >> 33) as usize % rates.len();
        let (rate, tat) = (&rates[place], &mut tats[place]);
        let need = [0, 1, 1, 1, 2, 5, rate.burst(), rate.burst() + 1, u64::MAX][(random >> 40) as usize % 9];
        let slice = [0, need, 3, 10, rate.burst() / 3, u64::MAX][(random >> 50) as usize % 6];
        let answer = node.take(&[ask(&format!("rate {place}"), rate, need, slice)]).await.unwrap();
        let (Taken::Granted(stands) | Taken::Refused { stands, .. }) = &answer;
        let now = stands[0].at * 1000;
        let expected = match rate.after(*tat, now, need) {
            Err(TooSoon { wait }) => {
                let ahead = (*tat - now).max(0);
                Taken::Refused { wait, by: 0, stands: vec![Stand { taken: 0, ahead, at: stands[0].at }] }
            }
            Ok(next) => {
                let more = slice.saturating_sub(need).min(rate.remaining(next, now));
                *tat = rate.after(*tat, now, need + more).unwrap();
                let ahead = (*tat - now).max(0);
                Taken::Granted(vec![Stand { taken: need + more, ahead, at: stands[0].at }])
            }
        };
        assert_eq!(answer, expected, "step {step}: {need} to {slice} of {rate:?}");
    }
}

#[tokio::test]
async fn q04_all_counters_of_a_request_or_none() {
    let server = CounterServer::start();
    let node = connected(&server, 1, PATIENT).await;
    let (wide, narrow, shut) = (rate(10, HOUR, 10), rate(2, HOUR, 2), rate(0, HOUR, 0));
    let request = [ask("wide", &wide, 1, 3), ask("narrow", &narrow, 1, 1)];
    for units in [3, 3] {
        let taken: Vec<u64> = granted(node.take(&request).await).iter().map(|stand| stand.taken).collect();
        assert_eq!(taken, [units, 1]);
    }
    let (wait, by, stands) = refused(node.take(&request).await);
    assert_eq!(by, 1);
    assert!(wait.is_some_and(|wait| wait > narrow.interval() * 9 / 10 && wait <= narrow.interval()), "{wait:?}");
    assert!(stands.iter().all(|stand| stand.taken == 0));
    assert_eq!((used(&node, "wide", &wide).await, used(&node, "narrow", &narrow).await), (6, 2));

    // What never helps is waited for longest, wherever it stands.
    let hopeless = [ask("shut", &shut, 1, 1), ask("narrow", &narrow, 1, 1), ask("wide", &wide, 11, 11)];
    assert!(matches!(refused(node.take(&hopeless).await), (None, 0, _)));
    assert!(matches!(refused(node.take(&hopeless[1..]).await), (None, 1, _)));
    assert_eq!(used(&node, "wide", &wide).await, 6);
    assert_eq!(node.take(&[]).await, Ok(Taken::Granted(Vec::new())));
}

#[tokio::test]
async fn q04_a_changed_limit_keeps_count_of_what_was_used() {
    let server = CounterServer::start();
    let node = connected(&server, 1, PATIENT).await;
    let (low, high) = (rate(10, HOUR, 10), rate(1000, HOUR, 1000));
    granted(node.take(&[ask("k", &low, 10, 10)]).await);
    assert_eq!(used(&node, "k", &high).await, 10);
    granted(node.take(&[ask("k", &high, 500, 500)]).await);
    // All of the lower limit is used, and no more than all: one unit comes back after one interval.
    let (wait, _, _) = refused(node.take(&[ask("k", &low, 1, 1)]).await);
    assert!(wait.is_some_and(|wait| wait <= low.interval()), "{wait:?}");
}

#[tokio::test]
async fn q04_what_is_given_back_can_be_taken_again_and_nothing_more() {
    let server = CounterServer::start();
    let node = connected(&server, 1, PATIENT).await;
    let (rate, fast) = (rate(5, HOUR, 5), rate(1_000_000, Duration::from_secs(1), 1_000_000));
    let at = granted(node.take(&[ask("k", &rate, 5, 5), ask("fast", &fast, 1, 1)]).await)[0].at;
    node.undo(&[back("k", &rate, 3, at), back("never taken", &rate, 3, at)]).await;
    assert_eq!(used(&node, "k", &rate).await, 2);
    assert_eq!(granted(node.take(&[ask("k", &rate, 1, 5)]).await)[0].taken, 3);
    refused(node.take(&[ask("k", &rate, 1, 1)]).await);

    // A unit that came back by itself is not given back a second time: others have taken since.
    let full = granted(node.take(&[ask("fast", &fast, 1_000_000, 1_000_000)]).await)[0];
    node.undo(&[back("fast", &fast, 1, at)]).await;
    let after = granted(node.take(&[ask("fast", &fast, 0, 0)]).await)[0];
    assert_eq!(after.ahead, full.ahead - (after.at - full.at) * 1000);

    // Nor what was taken under another limit, nor more than the counter holds.
    node.undo(&[back("k", &fast, 1_000_000, at)]).await;
    assert_eq!(used(&node, "k", &rate).await, 5);
    node.undo(&[back("k", &rate, u64::MAX, at)]).await;
    assert_eq!(used(&node, "k", &rate).await, 0);
}

#[tokio::test]
async fn q04_counters_that_are_empty_again_leave_nothing_behind() {
    let server = CounterServer::start();
    let node = connected(&server, 1, PATIENT).await;
    granted(node.take(&[ask("k", &rate(1000, Duration::from_secs(1), 10), 10, 10)]).await);
    granted(node.take(&[ask("looked at", &rate(1, HOUR, 1), 0, 0)]).await);
    until(PATIENT, async || server.tell("DBSIZE") == ":2").await;
    assert_eq!(server.tell("EXISTS keyward-test:nodes keyward-test:epoch"), ":2");
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_sent_again() {
    let server = CounterServer::start();
    let node = connected(&server, 1, PATIENT).await;
    let rate = rate(5, HOUR, 5);
    server.tell("SCRIPT FLUSH SYNC");
    let at = granted(node.take(&[ask("k", &rate, 1, 1)]).await)[0].at;
    server.tell("SCRIPT FLUSH SYNC");
    node.undo(&[back("k", &rate, 1, at)]).await;
    assert_eq!(used(&node, "k", &rate).await, 0);
    assert!(node.is_up());
}

#[tokio::test]
async fn q06_nodes_know_how_many_they_are_and_remember_it() {
    let mut server = CounterServer::start();
    let mut nodes = Vec::new();
    for number in 1..=5 {
        nodes.push(connected(&server, number, PATIENT).await);
    }
    until(PATIENT, async || nodes.iter().all(|node| node.nodes() == 5)).await;
    nodes.pop().unwrap().stop().await;
    until(PATIENT, async || nodes.iter().all(|node| node.nodes() == 4)).await;
    server.kill();
    until(PATIENT, async || nodes.iter().all(|node| !node.is_up())).await;
    assert!(nodes.iter().all(|node| node.nodes() == 4));
    assert!(nodes.iter().all(|node| node.lost() == 0));
}

#[tokio::test]
async fn s10_a_paused_server_is_waited_for_once() {
    let server = CounterServer::start();
    let node = connected(&server, 1, SHORT).await;
    let rate = rate(1_000_000, HOUR, 1_000_000);
    until(PATIENT, async || passes(&node, "k", &rate).await == Ok(true)).await;
    server.pause();
    let began = Instant::now();
    assert_eq!(passes(&node, "k", &rate).await, Err(Down));
    assert!(!node.is_up());
    for _ in 0..1000 {
        assert_eq!(passes(&node, "k", &rate).await, Err(Down));
        node.undo(&[back("k", &rate, 1, 1)]).await;
    }
    // Were any of the thousand waited for, it would have been twenty seconds.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(node.nodes(), 1);
    server.resume();
    until(BACK_WITHIN, async || passes(&node, "k", &rate).await == Ok(true)).await;
    assert_eq!(node.lost(), 0, "a pause loses nothing");
}

#[tokio::test]
async fn s10_a_node_starts_without_a_server_and_finds_it_later() {
    let mut server = CounterServer::start();
    server.kill();
    let node = node(&server, 1, SHORT);
    let rate = rate(10, HOUR, 10);
    assert_eq!(passes(&node, "k", &rate).await, Err(Down));
    assert_eq!((node.is_up(), node.nodes()), (false, 1));
    server.restart();
    until(BACK_WITHIN, async || passes(&node, "k", &rate).await == Ok(true)).await;
    node.stop().await;
    assert_eq!(passes(&node, "k", &rate).await, Err(Down));
    assert_eq!(server.tell("EXISTS keyward-test:nodes"), ":0");
    node.stop().await;
}

#[tokio::test]
async fn q06_a_killed_server_is_used_again_within_5_s_of_its_return() {
    let mut server = CounterServer::start();
    let node = connected(&server, 1, SHORT).await;
    let rate = rate(1_000_000, HOUR, 1_000_000);
    server.kill();
    until(PATIENT, async || passes(&node, "k", &rate).await.is_err()).await;
    assert!(!node.is_up());
    server.restart();
    until(BACK_WITHIN, async || passes(&node, "k", &rate).await == Ok(true)).await;
    assert_eq!(node.lost(), 1, "a server that keeps nothing on disk comes back empty");
}

#[tokio::test]
async fn q05_a_flush_is_noticed_and_gives_one_burst_more_at_most() {
    let server = CounterServer::start();
    let node = connected(&server, 1, PATIENT).await;
    let rate = rate(20, 24 * HOUR, 20);
    let mut passed = 0;
    for attempt in 0..200 {
        if attempt == 100 {
            assert_eq!(server.tell("FLUSHALL SYNC"), "+OK");
        }
        passed += u64::from(passes(&node, "k", &rate).await == Ok(true));
    }
    assert_eq!(passed, 40);
    until(BACK_WITHIN, async || node.lost() == 1).await;
    assert!(node.is_up());
}

#[tokio::test]
async fn q05_a_copy_of_before_is_noticed() {
    let server = CounterServer::start();
    let node = connected(&server, 1, PATIENT).await;
    let name = format!("{:032x}", 1);
    // What a replica that lagged behind, or a snapshot, would hold.
    server.tell(&format!("ZADD keyward-test:nodes 1000 {name}"));
    until(BACK_WITHIN, async || node.lost() == 1).await;
}

#[tokio::test]
async fn a_server_that_refuses_is_down() {
    let server = CounterServer::start();
    let node = connected(&server, 1, PATIENT).await;
    let rate = rate(10, HOUR, 10);
    assert_eq!(server.tell("REPLICAOF 127.0.0.1 1"), "+OK");
    assert_eq!(passes(&node, "k", &rate).await, Err(Down));
    assert!(!node.is_up());
    assert_eq!(server.tell("REPLICAOF NO ONE"), "+OK");
    until(BACK_WITHIN, async || passes(&node, "k", &rate).await == Ok(true)).await;
}
