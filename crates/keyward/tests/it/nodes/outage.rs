//! The database away, slow or gone back; nodes that are stopped in their tracks (trust.md S09, S11, S14, S16, L11, L12).

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use keyward_store::conformance::server::PostgresServer;

use super::cluster::{Cluster, durable};
use super::history::Answer;
use crate::harness::eventually;

const LEASE: Duration = Duration::from_millis(2_000);

/// A table that somebody else has locked against everything, until it is dropped.
struct TableLock<'a> {
    postgres: &'a PostgresServer,
    holder: Child,
}

impl<'a> TableLock<'a> {
    fn hold(postgres: &'a PostgresServer, table: &str) -> Self {
        let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        let mut psql = postgres.program("psql");
        psql.env("PGAPPNAME", "holder").args(["-X", "-q", "-d", "keyward", "-c", "BEGIN", "-c", &lock]);
        let holder = psql.args(["-c", "SELECT pg_sleep(600)"]).stdout(Stdio::null()).spawn().unwrap();
        let held =
            "SELECT COUNT(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation IS NOT NULL";
        eventually("it is locked", || (postgres.psql("keyward", held) != "0").then_some(()));
        TableLock { postgres, holder }
    }
}

impl Drop for TableLock<'_> {
    fn drop(&mut self) {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder'";
        self.postgres.psql("keyward", end);
        let _ = self.holder.wait();
    }
}

fn cluster() -> Cluster {
    Cluster::of(3, durable(), &[("KEYWARD_NODE_LEASE_MILLISECONDS", "2000")])
}

#[test]
fn s09_an_outage_is_ridden_through_until_the_lease_ends_and_is_over_two_seconds_after_it_is() {
    let cluster = cluster();
    let key = cluster.make_key(0);
    assert_eq!(cluster.verify_everywhere(&key.secret), [Answer::Granted; 3]);
    let questions = cluster.question(&key.secret);
    let mut checkers: Vec<_> = (0..3).map(|node| cluster.checker(node)).collect();
    // It takes a moment to stop: the last renewals came before or during it.
    let began = Instant::now();
    cluster.postgres.stop();
    let stopped = Instant::now();
    // Every lease was renewed within the last fifth of it: until then all is granted, and after it nothing.
    let surely_held = LEASE.mul_f64(0.55);
    let surely_over = LEASE + Duration::from_millis(300);
    let mut granted = 0;
    while stopped.elapsed() < surely_over + Duration::from_millis(700) {
        for checker in &mut checkers {
            let asked = stopped.elapsed();
            let answer = checker.ask(&questions);
            match answer {
                Answer::Granted => {
                    granted += 1;
                    assert!(asked < surely_over, "granted {asked:?} after the database was gone");
                }
                Answer::Unavailable => {
                    let held = began.elapsed();
                    assert!(held > surely_held, "refused {held:?} after the database began to stop");
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(granted > 100, "{granted}");
    // Nothing is promised meanwhile, and readiness says why.
    let answer = cluster.revoke(0, &key.id);
    assert_eq!(answer.status, 503, "{answer:?}");
    let (status, body) = cluster.nodes[1].readiness().unwrap();
    assert!(status == 503 && body["reasons"].to_string().contains("lease"), "{body}");
    cluster.postgres.restart();
    let up = Instant::now();
    for checker in &mut checkers {
        eventually("it grants again", || (checker.ask(&questions) == Answer::Granted).then_some(()));
    }
    assert!(up.elapsed() < Duration::from_secs(2), "back after {:?}", up.elapsed());
    cluster.revoke(0, &key.id).expect(200);
    assert_eq!(cluster.verify_everywhere(&key.secret), [Answer::Denied; 3]);
}

#[test]
fn s16_a_node_that_was_frozen_for_three_leases_does_not_grant_when_it_wakes() {
    let cluster = cluster();
    for _ in 0..3 {
        let key = cluster.make_key(0);
        let question = cluster.question(&key.secret);
        let mut checker = cluster.checker(2);
        assert_eq!(checker.ask(&question), Answer::Granted);
        cluster.nodes[2].freeze();
        let frozen = Instant::now();
        cluster.revoke(0, &key.id).expect(200);
        // What the story is about: it sleeps for three leases, whatever the call needed.
        std::thread::sleep((LEASE * 3).saturating_sub(frozen.elapsed()));
        // Asked while it sleeps, so that this is the first thing that it does.
        std::thread::scope(|threads| {
            let asked = threads.spawn(|| checker.ask(&question));
            cluster.nodes[2].thaw();
            assert_ne!(asked.join().unwrap(), Answer::Granted);
        });
        eventually("it takes part again", || (cluster.verify(2, &key.secret) == Answer::Denied).then_some(()));
    }
}

#[test]
fn s14_a_locked_table_stops_neither_leases_nor_verification_of_known_keys() {
    let cluster = cluster();
    let (key, other) = (cluster.make_key(0), cluster.make_key(0));
    assert_eq!(cluster.verify_everywhere(&key.secret), [Answer::Granted; 3]);
    let lock = TableLock::hold(&cluster.postgres, "keys");
    let locked = Instant::now();
    // Reads of keys pile up behind the lock.
    std::thread::scope(|threads| {
        for node in 0..3 {
            for _ in 0..20 {
                threads.spawn({
                    let (cluster, other) = (&cluster, &other);
                    move || cluster.verify(node, &other.secret)
                });
            }
        }
        while locked.elapsed() < LEASE * 4 {
            assert_eq!(
                cluster.verify_everywhere(&key.secret),
                [Answer::Granted; 3],
                "after {:?}",
                locked.elapsed()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        // A revocation needs the key's row: it is refused in bounded time, and nothing is half done.
        let asked = Instant::now();
        let refused = cluster.revoke(1, &key.id);
        assert!(refused.status == 503 && asked.elapsed() < Duration::from_secs(15), "{refused:?}");
        drop(lock);
    });
    eventually("it is revoked", || (cluster.revoke(1, &key.id).status == 200).then_some(()));
    assert_eq!(cluster.verify_everywhere(&key.secret), [Answer::Denied; 3]);
}

#[test]
fn s11_a_node_that_starts_cold_under_load_reads_each_key_once() {
    let mut cluster = cluster();
    let keys: Vec<_> = (0..50).map(|_| cluster.make_key(0)).collect();
    cluster.nodes[1].restart();
    let questions: Vec<_> = keys.iter().map(|key| cluster.question(&key.secret)).collect();
    let slowest = std::thread::scope(|threads| {
        let callers: Vec<_> = (0..8)
            .map(|caller| {
                let (questions, mut checker) = (&questions, cluster.checker(1));
                threads.spawn(move || {
                    let mut slowest = Duration::ZERO;
                    for round in 0..500 {
                        let asked = Instant::now();
                        assert_eq!(checker.ask(&questions[(caller + round) % questions.len()]), Answer::Granted);
                        slowest = slowest.max(asked.elapsed());
                    }
                    slowest
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).max().unwrap()
    });
    let misses = cluster.nodes[1].metric("keyward_misses_total").unwrap();
    eprintln!("s11: {misses} reads for {} keys, slowest answer {slowest:?}", keys.len());
    assert!(misses <= keys.len() as f64 + 1.0, "{misses} reads");
}

#[test]
fn l12_a_standby_that_lagged_and_took_over_brings_no_revoked_key_back() {
    let cluster = cluster();
    let keys: Vec<_> = (0..20).map(|number| cluster.make_key(number % 3)).collect();
    for key in &keys {
        assert_eq!(cluster.verify_everywhere(&key.secret), [Answer::Granted; 3]);
    }
    let standby = cluster.postgres.standby(false);
    // From here on the standby hears nothing more: an asynchronous one that lags.
    standby.stop();
    for (number, key) in keys.iter().enumerate() {
        cluster.revoke(number % 3, &key.id).expect(200);
    }
    let questions: Vec<_> = keys.iter().map(|key| cluster.question(&key.secret)).collect();
    cluster.postgres.crash();
    standby.restart();
    standby.promote();
    for node in &cluster.nodes {
        node.link.lead_to(standby.port());
    }
    let failed_over = Instant::now();
    let mut back = false;
    while failed_over.elapsed() < LEASE * 3 || !back {
        for node in 0..3 {
            for question in &questions {
                assert_ne!(
                    cluster.checker(node).ask(question),
                    Answer::Granted,
                    "after {:?}",
                    failed_over.elapsed()
                );
            }
        }
        back = cluster.nodes.iter().all(|node| node.readiness().is_some_and(|(status, _)| status == 200));
        assert!(failed_over.elapsed() < Duration::from_secs(30), "not back");
    }
    for node in &cluster.nodes {
        assert_eq!(node.metric("keyward_revision_regressed"), Some(1.0), "node {} raised no alarm", node.number);
        assert!(node.log().contains("the store went back"));
    }
    // And they are revoked for good: by the record, not only by what nodes remember.
    for key in &keys {
        assert_eq!(cluster.get(0, &format!("/v1/keys/{}", key.id)).expect(200).json()["key"]["state"], "revoked");
    }
}

#[test]
fn l11_a_restored_backup_of_the_database_brings_no_revoked_key_back() {
    let mut cluster = cluster();
    let keys: Vec<_> = (0..100).map(|number| cluster.make_key(number % 3)).collect();
    let survivor = cluster.make_key(0);
    let dump = cluster.postgres.program("pg_dump").args(["-d", "keyward"]).output().unwrap();
    assert!(dump.status.success());
    for (number, key) in keys.iter().enumerate() {
        cluster.revoke(number % 3, &key.id).expect(200);
    }
    for node in &mut cluster.nodes {
        assert_eq!(node.stop(), Some(0));
    }
    cluster.postgres.psql("postgres", "DROP DATABASE keyward WITH (FORCE)");
    cluster.postgres.create_database("keyward");
    let mut psql = cluster.postgres.program("psql");
    let mut restoring =
        psql.args(["-X", "-q", "-d", "keyward"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(&mut restoring.stdin.take().unwrap(), &dump.stdout).unwrap();
    assert!(restoring.wait().unwrap().success());
    for node in &mut cluster.nodes {
        node.restart();
    }
    for key in &keys {
        assert!(!cluster.verify_everywhere(&key.secret).contains(&Answer::Granted));
    }
    assert_eq!(cluster.verify_everywhere(&survivor.secret), [Answer::Granted; 3]);
    assert!(cluster.nodes.iter().any(|node| node.log().contains("made again")), "no alarm was raised");
}
