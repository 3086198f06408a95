//! Nodes that start: on an empty database, at once, killed while they do, and with secrets that are not the database's
//! (trust.md S06).

use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::cluster::{Cluster, durable};
use super::dice::Dice;
use super::node::{Node, Start};
use crate::harness::{binary, eventually, offline};

#[test]
fn s06_nodes_that_start_at_once_on_an_empty_database_make_its_tables_once() {
    let postgres = durable();
    postgres.create_database("keyward");
    let folder = TempDir::new().unwrap();
    // Secrets, from a folder whose store is thrown away.
    let first = folder.path().join("first");
    offline::run(&first, &["init"]).expect_done();
    let nodes: Vec<Node> = std::thread::scope(|threads| {
        let starting: Vec<_> = (0..4)
            .map(|number| {
                let dir = folder.path().join(format!("node-{number}"));
                std::fs::create_dir(&dir).unwrap();
                std::fs::copy(first.join("secrets.toml"), dir.join("secrets.toml")).unwrap();
                let port = postgres.port();
                threads.spawn(move || {
                    Node::start(Start { number, dir: &dir, port, database: "keyward", environment: Vec::new() })
                })
            })
            .collect();
        starting.into_iter().map(|node| node.join().unwrap()).collect()
    });
    assert_eq!(postgres.psql("keyward", "SELECT COUNT(*) FROM store").trim(), "1");
    for node in &nodes {
        eventually("it is ready", || node.readiness().filter(|(status, _)| *status == 200));
    }
}

#[test]
fn s06_a_start_that_is_killed_while_it_makes_the_tables_is_completed_by_the_next() {
    let postgres = durable();
    let folder = TempDir::new().unwrap();
    let mut dice = Dice::new(6);
    for round in 0..12 {
        let (database, dir) = (format!("keyward_{round}"), folder.path().join(format!("node-{round}")));
        postgres.create_database(&database);
        let url = postgres.url(&database);
        let mut child = Command::new(binary())
            .args(["init", "--dir"])
            .arg(&dir)
            .env("KEYWARD_STORE_URL", &url)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(dice.below(400) as u64));
        let _ = child.kill();
        let _ = child.wait();
        let environment = [("KEYWARD_STORE_URL", &*url)];
        // What it had done already it does not do again; the management key is made anew where it was not told.
        let again = offline::run_with_env(&dir, &["init"], &environment);
        if again.code != 0 {
            offline::run_with_env(&dir, &["init", "--new-management-key"], &environment).expect_done();
        }
        assert_eq!(postgres.psql(&database, "SELECT COUNT(*) FROM store").trim(), "1");
    }
}

#[test]
fn a_database_of_other_secrets_is_refused_and_nothing_is_left_behind() {
    let cluster = Cluster::of(1, durable(), &[]);
    let (folder, url) = (TempDir::new().unwrap(), cluster.postgres.url("keyward"));
    let dir = folder.path().join("stranger");
    let environment = [("KEYWARD_STORE_URL", &*url)];
    offline::run_with_env(&dir, &["init"], &environment).expect_refused(&["secrets"]);
    assert!(!dir.join("secrets.toml").exists(), "secrets of no use were left behind");
    let key = cluster.make_key(0);
    cluster.revoke(0, &key.id).expect(200);
}
