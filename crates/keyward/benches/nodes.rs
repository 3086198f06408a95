//! Three real nodes on a real PostgreSQL with synchronous commit, on this machine: how long a revocation takes to return,
//! and what a hundred of them a second do to verification. Both sides of each ratio are measured in one run, by turns.
//! Prints a table. `--quick` only shows that it runs.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    dead_code,
    unused_imports,
    reason = "a benchmark prints its table"
)]

#[path = "../tests/it/harness/mod.rs"]
mod harness;

/// The cluster of the tests.
#[path = "../tests/it/nodes"]
mod nodes {
    pub mod cluster;
    pub mod history;
    pub mod link;
    pub mod node;
}

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use harness::Key;
use nodes::cluster::{Cluster, durable};
use nodes::history::Answer;

/// Keys that are verified while others are revoked.
const KEPT: usize = 100;
const CALLERS: usize = 3;
const A_SECOND: u32 = 100;

struct Size {
    revocations: usize,
    rounds: usize,
    round: Duration,
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick" || argument == "--test");
    let size = match quick {
        true => Size { revocations: 20, rounds: 1, round: Duration::from_millis(300) },
        false => Size { revocations: 1_000, rounds: 5, round: Duration::from_secs(4) },
    };
    let cluster = Cluster::of(3, durable(), &[("KEYWARD_LOG_LEVEL", "warn")]);
    println!("| what | p50 | p99 |");
    println!("| --- | ---: | ---: |");
    revocations(&cluster, size.revocations);
    verification(&cluster, &size);
}

/// One after the other, each by the next node, of keys that every node has in memory.
fn revocations(cluster: &Cluster, count: usize) {
    let keys = keys(cluster, count);
    let (mut took, mut told) = (Vec::new(), Vec::new());
    for (number, key) in keys.iter().enumerate() {
        let began = Instant::now();
        let answer = cluster.revoke(number % 3, &key.id).expect(200);
        took.push(began.elapsed());
        told.push(Duration::from_millis(answer.json()["in_force"]["waited_ms"].as_u64().unwrap()));
    }
    row("revoke to return, three healthy nodes, by the caller's clock", &mut took);
    row("of which waiting for all nodes (whole ms)", &mut told);
}

/// Keys that every node has in memory.
fn keys(cluster: &Cluster, count: usize) -> Vec<Key> {
    let keys: Vec<Key> = (0..count).map(|number| cluster.make_key(number % 3)).collect();
    let mut checkers: Vec<_> = (0..3).map(|node| cluster.checker(node)).collect();
    for key in &keys {
        let question = cluster.question(&key.secret);
        for checker in &mut checkers {
            assert_eq!(checker.ask(&question), Answer::Granted);
        }
    }
    keys
}

/// Rounds with and without revocations by turns, so that what else happens on the machine happens to both.
fn verification(cluster: &Cluster, size: &Size) {
    let kept = keys(cluster, KEPT);
    let (mut alone, mut during) = (Vec::new(), Vec::new());
    let mut revoked = Vec::new();
    for _ in 0..size.rounds {
        alone.extend(verify_for(cluster, &kept, size.round, &mut Vec::new(), false));
        during.extend(verify_for(cluster, &kept, size.round, &mut revoked, true));
    }
    row("verify, nothing else", &mut alone);
    row(&format!("verify, while {A_SECOND} keys a second are revoked"), &mut during);
    row("those revocations", &mut revoked);
    let p99 = |took: &[Duration]| took[took.len() * 99 / 100].as_secs_f64();
    println!(
        "\nverify's p99 with revocations / without: {:.3} ({} and {} verifies, {} revocations)",
        p99(&during) / p99(&alone),
        during.len(),
        alone.len(),
        revoked.len()
    );
}

fn verify_for(
    cluster: &Cluster,
    kept: &[Key],
    time: Duration,
    revoked: &mut Vec<Duration>,
    is_revoking: bool,
) -> Vec<Duration> {
    let doomed =
        if is_revoking { keys(cluster, (time.as_secs_f64() * f64::from(A_SECOND)) as usize) } else { Vec::new() };
    let over = AtomicBool::new(false);
    let questions: Vec<_> = kept.iter().map(|key| cluster.question(&key.secret)).collect();
    scope(|threads| {
        let verifying: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (over, questions, mut checker) = (&over, &questions, cluster.checker(caller % 3));
                threads.spawn(move || {
                    let mut took = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        let question = &questions[took.len() % questions.len()];
                        let began = Instant::now();
                        assert_eq!(checker.ask(question), Answer::Granted);
                        took.push(began.elapsed());
                    }
                    took
                })
            })
            .collect();
        let began = Instant::now();
        let revoking: Vec<_> = (0..4)
            .map(|part| {
                let doomed = &doomed;
                threads.spawn(move || {
                    let mut took = Vec::new();
                    for (number, key) in doomed.iter().enumerate().skip(part).step_by(4) {
                        // An open loop: each has its moment, whatever became of those before.
                        let moment = Duration::from_secs(1) / A_SECOND * number as u32;
                        std::thread::sleep(moment.saturating_sub(began.elapsed()));
                        let asked = Instant::now();
                        cluster.revoke(number % 3, &key.id).expect(200);
                        took.push(asked.elapsed());
                    }
                    took
                })
            })
            .collect();
        revoking.into_iter().for_each(|revoking| revoked.extend(revoking.join().unwrap()));
        std::thread::sleep(time.saturating_sub(began.elapsed()));
        over.store(true, Ordering::Relaxed);
        verifying.into_iter().flat_map(|verifying| verifying.join().unwrap()).collect()
    })
}

fn row(what: &str, took: &mut [Duration]) {
    took.sort_unstable();
    if let Some(last) = took.len().checked_sub(1) {
        let at = |part: usize| took[(took.len() * part / 100).min(last)];
        println!("| {what} | {:.3?} | {:.3?} |", at(50), at(99));
    }
}
