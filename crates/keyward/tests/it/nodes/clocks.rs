//! Clocks that are wrong: keys end when the database's clock says so, on every node (trust.md L08, S22).

use std::time::{Duration, Instant};

use serde_json::json;

use super::cluster::{Cluster, durable};
use super::history::Answer;
use crate::harness::{eventually, in_seconds};

/// The library that makes a process see another wall clock; CLOCK_BOOTTIME is left alone.
fn faketime() -> String {
    let found = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .map(|machine| format!("/usr/lib/{machine}/faketime/libfaketime.so.1"))
        .into_iter()
        .find(|path| std::path::Path::new(path).exists());
    found.expect("libfaketime is installed by `cargo xtask test`")
}

#[test]
fn l08_s22_nodes_with_wrong_clocks_end_keys_when_the_database_says_and_say_that_they_are_wrong() {
    let mut cluster = Cluster::of(3, durable(), &[("KEYWARD_NODE_LEASE_MILLISECONDS", "2000")]);
    let library = faketime();
    for (node, skew) in [(1, "-300"), (2, "+86400")] {
        let more = [("LD_PRELOAD", &*library), ("FAKETIME", skew), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
        cluster.nodes[node].restart_with(&more);
    }
    let ends = Instant::now() + Duration::from_secs(6);
    let key = cluster.make_key_with(2, json!({"expires_at": in_seconds(6)}));
    let question = cluster.question(&key.secret);
    let mut checkers: Vec<_> = (0..3).map(|node| cluster.checker(node)).collect();
    let mut ended = [None; 3];
    while Instant::now() < ends + Duration::from_secs(3) {
        for (checker, ended) in checkers.iter_mut().zip(&mut ended) {
            match (checker.ask(&question), &ended) {
                (Answer::Granted, None) => {}
                (Answer::Denied, None) => *ended = Some(Instant::now()),
                (Answer::Denied, Some(_)) => {}
                (other, ended) => panic!("{other:?} after {ended:?}: what has ended stays so"),
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    for (node, ended) in ended.iter().enumerate() {
        let ended = ended.unwrap_or_else(|| panic!("it never ended on node {node}"));
        let off = if ended > ends { ended - ends } else { ends - ended };
        assert!(off <= Duration::from_secs(1), "node {node} was off by {off:?}");
    }
    for (node, is_off) in [(0, false), (1, true), (2, true)] {
        let (_, body) = eventually("it answers", || cluster.nodes[node].readiness());
        assert_eq!(body.to_string().contains("clock"), is_off, "{body}");
    }
}
