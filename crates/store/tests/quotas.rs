//! Units of quotas in the embedded store: what a crash, a full disk, a backup or damage does to them; and a store
//! of the first schema, which had none of it.

mod support;

use std::io::Write;
use std::path::Path;

use keyward_core::id::ProjectId;
use keyward_core::limits::block::{BlockAsk, Tally};
use keyward_core::limits::{CountedOf, QuotaCounter};
use keyward_core::store::{SavedRate, Store, StoreError};
use keyward_core::usage::{Apart, Fold, UsageBatch, UsageRow};
use keyward_store::conformance::Fixture;
use keyward_store::{OpenError, SqliteStore, restore};
use support::faults::{Ended, Faults, again, dir_of_child, ended, under_faults};
use support::*;

fn counter(name: &str) -> QuotaCounter {
    let of = CountedOf::Project(ProjectId::from_u128(7));
    QuotaCounter { api: "standard".parse().unwrap(), name: name.into(), of }
}

fn ask(counter: &QuotaCounter, holder: u128, (unspent, need, limit): (u64, u64, u64)) -> BlockAsk {
    let ends_at = Some("2026-12-01T00:00:00Z".parse().unwrap());
    BlockAsk { counter: counter.clone(), period: "2026-11".into(), ends_at, holder, unspent, need, limit }
}

async fn tally(store: &SqliteStore, counter: &QuotaCounter) -> Tally {
    store.quota_tallies(&[(counter.clone(), "2026-11".into())]).await.unwrap().remove(0)
}

fn spent(spent: u64) -> Tally {
    Tally { spent, held: 0, with_others: 0, others: 0 }
}

#[tokio::test]
async fn q02_blocks_of_an_earlier_run_count_as_spent() {
    let fixture = SqliteFixture::new();
    let store = fixture.store().await;
    let (shared, given_back) = (counter("shared"), counter("given back"));
    for (holder, need) in [(1, 30), (2, 20), (3, 10)] {
        store.exchange_block(&ask(&shared, holder, (0, need, 100))).await.unwrap();
        let held = store.exchange_block(&ask(&given_back, holder, (0, need, 100))).await.unwrap().held;
        store.exchange_block(&ask(&given_back, holder, (held - 1, 0, 100))).await.unwrap();
    }
    // Six of thirty were spent.
    store.exchange_block(&ask(&shared, 1, (24, 0, 100))).await.unwrap();
    store.exchange_block(&ask(&shared, 4, (0, 90, 100))).await.unwrap();
    assert_eq!(store.recalled_blocks(2).await.unwrap().len(), 1);
    assert_eq!(tally(&store, &shared).await, Tally { spent: 6, held: 0, with_others: 30, others: 2 });
    drop(store);
    fixture.close().await;

    let store = fixture.store().await;
    assert_eq!(tally(&store, &shared).await, spent(36));
    assert_eq!(tally(&store, &given_back).await, spent(3));
    assert!(store.recalled_blocks(2).await.unwrap().is_empty());
    let answer = store.exchange_block(&ask(&shared, 5, (0, 64, 100))).await.unwrap();
    assert_eq!((answer.held, answer.free, answer.spent), (64, 0, 36));
}

/// The child's part of the test that kills: takes units, spends them all, and tells of each block.
fn take_and_spend(dir: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let fixture = SqliteFixture::at(dir);
        let store = fixture.store().await;
        let mut out = std::io::stdout();
        for _ in 0..40 {
            let answer = store.exchange_block(&ask(&counter("one"), 1, (0, 20, 1_000))).await.unwrap();
            writeln!(out, "took {}", answer.held).unwrap();
        }
        fixture.close().await;
    });
}

#[test]
fn q02_units_that_were_given_out_are_not_given_again_after_a_kill_at_any_sync() {
    let name = "q02_units_that_were_given_out_are_not_given_again_after_a_kill_at_any_sync";
    if Faults::here().is_some() {
        return take_and_spend(&dir_of_child());
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut killed = 0;
    for let_pass in (4..100).step_by(7) {
        let folder = tempfile::tempdir().unwrap();
        let child = again(name, folder.path(), &format!("sync * KILL {let_pass}"));
        let told = String::from_utf8_lossy(&child.stdout).into_owned();
        let took: u64 = told
            .lines()
            .filter_map(|line| line.strip_prefix("took "))
            .map(|units| units.parse::<u64>().unwrap())
            .sum();
        runtime.block_on(async {
            let fixture = SqliteFixture::at(folder.path());
            let store = fixture.store().await;
            let known = tally(&store, &counter("one")).await;
            // The last block may have been given without an answer.
            assert!(known.spent >= took, "{let_pass}: {took} were given out, and {known:?} is known");
            assert_eq!(known.with_others, 0);
            let rest = 1_000 - known.spent;
            let answer = store.exchange_block(&ask(&counter("one"), 2, (0, rest + 1, 1_000))).await.unwrap();
            assert_eq!((answer.held, answer.free), (0, rest));
            fixture.close().await;
        });
        match ended(&child) {
            Ended::Killed => killed += 1,
            Ended::Done => break,
        }
    }
    assert!(killed > 3, "{killed}");
}

#[test]
fn s03_a_full_disk_gives_no_units_and_forgets_none() {
    under_faults("s03_a_full_disk_gives_no_units_and_forgets_none", async |faults| {
        let fixture = SqliteFixture::new();
        let store = fixture.store().await;
        let one = counter("one");
        store.exchange_block(&ask(&one, 1, (0, 30, 100))).await.unwrap();
        faults.set("write keyward.db-wal ENOSPC");
        let outcome = store.exchange_block(&ask(&one, 1, (10, 20, 100))).await;
        assert!(matches!(outcome, Err(StoreError::Full(_))), "{outcome:?}");
        assert_eq!(tally(&store, &one).await.with_others, 30, "as it was");
        // What writes nothing finds no room either.
        store.exchange_block(&ask(&counter("never asked for"), 1, (0, 1, 0))).await.unwrap();
        assert!(!store.is_writable().await);
        drop(store);
        fixture.close().await;

        // A start goes on with what it can read. The lost block stays held: nobody gets it.
        let store = fixture.store().await;
        assert_eq!(tally(&store, &one).await.with_others, 30);
        faults.clear();
        let answer = store.exchange_block(&ask(&one, 2, (0, 70, 100))).await.unwrap();
        assert_eq!((answer.held, answer.free, answer.with_others), (70, 0, 30));
        drop(store);
        fixture.close().await;
        assert_eq!(tally(&*fixture.store().await, &one).await, spent(100));
    });
}

#[test]
fn s02_units_of_an_exchange_that_may_not_be_durable_are_not_given_out() {
    under_faults("s02_units_of_an_exchange_that_may_not_be_durable_are_not_given_out", async |faults| {
        let fixture = SqliteFixture::new();
        let store = fixture.store().await;
        faults.set("sync keyward.db-wal EIO");
        let outcome = store.exchange_block(&ask(&counter("one"), 1, (0, 30, 100))).await;
        assert!(matches!(outcome, Err(StoreError::Unknown(_))), "{outcome:?}");
        faults.clear();
        let outcome = store.exchange_block(&ask(&counter("one"), 1, (0, 30, 100))).await;
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
        drop(store);
        fixture.close().await;
        let known = tally(&*fixture.store().await, &counter("one")).await;
        assert!([0, 30].contains(&known.spent), "{known:?}");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s04_a_damaged_counter_concerns_only_who_asks_for_it() {
    let fixture = SqliteFixture::new();
    let store = fixture.store().await;
    let (whole, damaged) = (counter("whole"), counter("damaged"));
    for counter in [&whole, &damaged] {
        store.exchange_block(&ask(counter, 1, (0, 10, 100))).await.unwrap();
    }
    sql(&fixture.place().database(), "UPDATE quota_holdings SET holder = x'0102' WHERE name = 'damaged'").await;
    // At once, so that some share a transaction.
    let asks = [&whole, &damaged].repeat(8).into_iter().enumerate().map(|(number, counter)| {
        let (store, ask) = (store.clone(), ask(counter, 2 + number as u128, (0, 1, 100)));
        tokio::spawn(async move { (ask.counter.name.clone(), store.exchange_block(&ask).await) })
    });
    for task in asks.collect::<Vec<_>>() {
        let (name, outcome) = task.await.unwrap();
        match &*name {
            "whole" => assert!(outcome.unwrap().held > 0),
            _ => assert!(matches!(outcome, Err(StoreError::Damaged(_))), "{outcome:?}"),
        }
    }
    assert!(store.is_writable().await);
}

#[tokio::test]
async fn a_backup_holds_quotas_rates_and_counts() {
    let fixture = SqliteFixture::new();
    let (store, world) = fixture.world().await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    let one = counter("one");
    store.exchange_block(&ask(&one, 1, (0, 30, 100))).await.unwrap();
    let full_at = "2027-01-01T00:00:00Z".parse().unwrap();
    let rate = SavedRate { api: one.api.clone(), name: "requests".into(), of: one.of, interval: 1, full_at };
    store.save_rates(std::slice::from_ref(&rate)).await.unwrap();
    store.record_usage(&batch(1, vec![uses(&key, START, 3)])).await.unwrap();
    let backup = fixture.folder().join("backup");
    store.backup(&backup).await.unwrap();
    store.exchange_block(&ask(&one, 1, (0, 20, 100))).await.unwrap();
    drop((store, world));
    fixture.close().await;
    restore(&fixture.dir(), &backup, &fixture.keys, START, |_| {}).await.unwrap();

    let store = fixture.store().await;
    assert_eq!(tally(&store, &one).await, spent(30), "as at the backup, and its blocks are lost");
    assert_eq!(store.saved_rates(START).await.unwrap(), [rate]);
    assert_eq!(counts(&store, project.id).await, [3]);
}

fn uses(key: &keyward_core::key::Key, at: keyward_core::clock::Timestamp, count: u64) -> UsageRow {
    UsageRow {
        key: key.id,
        project: key.project,
        minute: at.minute(),
        outcome: "valid".into(),
        count,
        first_at: at,
        last_at: at,
        last_address: None,
    }
}

fn batch(sequence: u64, rows: Vec<UsageRow>) -> UsageBatch {
    UsageBatch { incarnation: 1, sequence, rows }
}

/// A project's counts by the hour.
async fn counts(store: &SqliteStore, project: ProjectId) -> Vec<u64> {
    let (from, to) = ("2026-11-20T00:00:00Z".parse().unwrap(), "2026-11-30T00:00:00Z".parse().unwrap());
    let fold = Fold { step: 3_600_000, by: Apart::Nothing };
    store.usage_counts(project, from, to, fold).await.unwrap().into_iter().map(|count| count.count).collect()
}

#[tokio::test]
async fn s07_a_store_of_the_first_schema_is_moved_on_with_its_counts() {
    let fixture = SqliteFixture::new();
    let (store, world) = fixture.world().await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    let later = |minutes: u64| START.saturating_add(std::time::Duration::from_secs(60 * minutes));
    let rows = (0..90).map(|minute| uses(&key, later(minute), 1)).collect();
    store.record_usage(&batch(1, rows)).await.unwrap();
    drop((store, world));
    fixture.close().await;
    let back =
        "DROP TABLE quota_holdings; DROP TABLE quota_tallies; DROP TABLE saved_rates; DROP TABLE usage_hours;
                DROP INDEX usage_by_age;
                DROP TABLE sign_in_links; DROP TABLE sessions; DROP TABLE invitations; DROP TABLE passwords;
                DROP TABLE identities; DROP TABLE memberships; DROP TABLE people;
                DROP TABLE log_subjects; DROP INDEX log_by_name; DROP INDEX projects_of_all_by_age; DROP INDEX projects_of_all_by_name;
                ALTER TABLE keys DROP COLUMN created_at; ALTER TABLE projects DROP COLUMN name;
                DROP TABLE retired_encryption_keys; DROP TABLE wrapped_data_keys; DROP TABLE data_keys;
                DELETE FROM _sqlx_migrations WHERE version > 1";
    sql(&fixture.place().database(), back).await;
    let refusal = SqliteStore::read_only(&fixture.dir(), log_keys(), fixture.clock.clone()).await.unwrap_err();
    assert!(matches!(refusal, OpenError::Older { found: 1, known: 8, .. }), "{refusal}");

    let store = fixture.store().await;
    // It starts at 23:51:20.
    assert_eq!(counts(&store, project.id).await, [9, 60, 21]);
    store.record_usage(&batch(2, vec![uses(&key, START, 1)])).await.unwrap();
    assert_eq!(counts(&store, project.id).await, [10, 60, 21]);
    store.exchange_block(&ask(&counter("one"), 1, (0, 30, 100))).await.unwrap();
}
