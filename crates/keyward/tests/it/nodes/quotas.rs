//! Quotas on three nodes: exact however the traffic is spread and whichever node dies (trust.md Q01 to Q03, on several
//! nodes).

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Method;
use serde_json::json;

use super::cluster::{Cluster, durable};
use super::history::Answer;

const LIMIT: u64 = 2_000;
const CONTRACT: &str = r#"
[plans.standard]
title = "Standard"
access = true
quotas.calls = { limit = 2000, per = "month", by = "project" }
"#;

fn cluster() -> Cluster {
    let cluster = Cluster::of(3, durable(), &[("KEYWARD_NODE_LEASE_MILLISECONDS", "2000")]);
    cluster.amend(CONTRACT);
    cluster
}

#[test]
fn q01_a_quota_is_spent_exactly_by_three_nodes_with_skewed_traffic() {
    let cluster = cluster();
    let key = cluster.make_key(0);
    let question = cluster.question(&key.secret);
    let granted = AtomicU64::new(0);
    // Of ten callers seven are at one node, two at another and one at the third.
    std::thread::scope(|threads| {
        for caller in 0..10 {
            let node = [0, 0, 0, 0, 0, 0, 0, 1, 1, 2][caller];
            let (cluster, question, granted) = (&cluster, &question, &granted);
            threads.spawn(move || {
                let mut checker = cluster.checker(node);
                for _ in 0..LIMIT / 5 {
                    if checker.ask(question) == Answer::Granted {
                        granted.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    // Whatever a node still holds can be had there.
    for node in [0, 1, 2] {
        let mut checker = cluster.checker(node);
        while checker.ask(&question) == Answer::Granted {
            granted.fetch_add(1, Ordering::SeqCst);
        }
    }
    assert_eq!(granted.into_inner(), LIMIT);
}

#[test]
fn q02_killed_nodes_lose_units_but_nothing_is_overspent() {
    let mut cluster = cluster();
    let key = cluster.make_key(0);
    let question = cluster.question(&key.secret);
    let mut granted = 0;
    for round in 0..9 {
        for node in 0..3 {
            let mut checker = cluster.checker(node);
            for _ in 0..60 {
                granted += u64::from(checker.ask(&question) == Answer::Granted);
            }
        }
        cluster.nodes[round % 3].kill();
        cluster.nodes[round % 3].restart();
    }
    let mut refused = 0;
    while refused < 3 {
        refused = 0;
        for node in 0..3 {
            match cluster.verify(node, &key.secret) {
                Answer::Granted => granted += 1,
                // What dead nodes hold is spent: nobody is told to wait for it.
                Answer::Denied => refused += 1,
                other => panic!("{other:?} after {granted}"),
            }
        }
    }
    let path = format!("/v1/projects/{}/limits", cluster.project);
    let limits = cluster.control(0, Method::GET, &path, None).expect(200);
    eprintln!("q02: {granted} of {LIMIT} granted over nine kills; {}", json!(limits.text));
    assert!(granted <= LIMIT, "{granted}");
    // Blocks are at most a hundredth of the limit, or what one refill asks for: kills strand some, not most.
    assert!(granted > LIMIT / 2, "{granted}");
}
