//! What the store does on a bad disk, a full disk and at kill -9, under the shim `faults/io_faults.c`.

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use keyward_core::change::KeyChange;
use keyward_core::id::KeyId;
use keyward_core::key::Standing;
use keyward_core::store::{KeyFilter, LogVerdict, Page, Store, StoreError};
use keyward_store::conformance::words::*;
use keyward_store::conformance::{Fixture, World};
use keyward_store::{SqliteStore, restore};
use support::faults::{Ended, Faults, again, dir_of_child, ended, under_faults};
use support::*;

/// Keys made one after the other until something fails; those that were acknowledged.
async fn create_until_failure(world: &World, most: usize) -> (Vec<KeyId>, Option<StoreError>) {
    let project = world.project("one").await;
    let mut made = Vec::new();
    for _ in 0..most {
        let key = world.new_key(&project);
        match world.propose(vec![created_key(&project, &key)]).await {
            Ok(_) => made.push(key.id),
            Err(error) => return (made, Some(error)),
        }
    }
    (made, None)
}

#[test]
fn s02_a_failed_sync_ends_writing() {
    under_faults("s02_a_failed_sync_ends_writing", async |faults| {
        let fixture = SqliteFixture::new();
        let (store, world) = fixture.world().await;
        let project = world.project("one").await;
        let before = world.key(&project).await;
        let head = store.head().await.unwrap();
        assert!(store.is_writable().await);

        faults.set("sync keyward.db-wal EIO");
        let lost = world.new_key(&project);
        let outcome = world.propose(vec![created_key(&project, &lost)]).await;
        assert!(matches!(outcome, Err(StoreError::Unknown(_))), "{outcome:?}");
        // A sync that succeeds afterwards says nothing of what the failed one lost: no more writes.
        faults.clear();
        let outcome = world.propose(vec![revoked_key(&project, before.id)]).await;
        let Err(StoreError::Unavailable(advice)) = outcome else { panic!("{outcome:?}") };
        assert!(advice.contains("restart"), "{advice}");
        assert!(!store.is_writable().await);
        // Reading goes on, of what is known to be durable.
        assert_eq!(world.read_key(before.id).await, before);
        assert_eq!(store.head().await.unwrap(), head);

        fixture.close().await;
        let (store, world) = fixture.world().await;
        assert_eq!(world.read_key(before.id).await, before);
        assert!(store.is_writable().await);
        world.change_key(&project, &before, KeyChange::Disabled).await;
        assert_intact(&store, "after the restart").await;
    });
}

/// The log and the heads beside it agree.
async fn assert_intact(store: &SqliteStore, of: &str) {
    let heads = store.signed_heads().unwrap();
    let intact = LogVerdict::Intact { revision: store.head().await.unwrap().0, heads: heads.len() as u64 };
    assert_eq!(store.verify_log(&heads).await.unwrap(), intact, "{of}");
}

#[test]
fn s02_a_checkpoint_that_fails_ends_writing() {
    under_faults("s02_a_checkpoint_that_fails_ends_writing", async |faults| {
        let fixture = SqliteFixture::new();
        let (store, world) = fixture.world().await;
        faults.set("sync keyward.db$ EIO");
        // The write-ahead log is durable, so everybody is answered Ok until it has to be moved.
        let (made, error) = create_until_failure(&world, 5_000).await;
        let Some(StoreError::Unavailable(_)) = error else { panic!("{error:?}") };
        assert!(!store.is_writable().await);
        faults.clear();
        fixture.close().await;
        let (_, world) = fixture.world().await;
        for id in made {
            world.read_key(id).await;
        }
    });
}

#[test]
fn l03_a_failed_commit_is_never_success() {
    under_faults("l03_a_failed_commit_is_never_success", async |faults| {
        // A sync or a write, the first or a later one: wherever the COMMIT breaks.
        for rule in ["sync keyward.db-wal EIO 3", "write keyward.db-wal EIO 40", "write keyward.db-wal EIO 7"] {
            let fixture = SqliteFixture::new();
            let (_, world) = fixture.world().await;
            let project = world.project("one").await;
            faults.set(rule);
            let tasks: Vec<_> = (0..64)
                .map(|_| {
                    let (world, project) = (world.clone(), project.clone());
                    tokio::spawn(async move {
                        let (mut done, mut not_done) = (Vec::new(), Vec::new());
                        loop {
                            let key = world.new_key(&project);
                            match world.propose(vec![created_key(&project, &key)]).await {
                                Ok(_) => done.push(key.id),
                                Err(StoreError::Unknown(_)) => {}
                                Err(StoreError::Unavailable(_)) => {
                                    not_done.push(key.id);
                                    return (done, not_done);
                                }
                                Err(other) => panic!("{other}"),
                            }
                        }
                    })
                })
                .collect();
            let (mut done, mut not_done) = (Vec::new(), Vec::new());
            for task in tasks {
                let (some_done, some_not) = task.await.unwrap();
                done.extend(some_done);
                not_done.extend(some_not);
            }
            faults.clear();
            drop(world);
            fixture.close().await;
            let (store, world) = fixture.world().await;
            for id in done {
                world.read_key(id).await;
            }
            for id in not_done {
                assert_eq!(store.key(id).await.unwrap(), None, "nothing was written, it was said");
            }
            assert!(matches!(store.verify_log(&[]).await.unwrap(), LogVerdict::Intact { .. }));
        }
    });
}

/// The child's part of the tests that kill: makes and revokes keys, and tells each once it is acknowledged.
fn create_and_revoke(dir: &Path) {
    use std::io::Write;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let fixture = SqliteFixture::at(dir);
        let (_, world) = fixture.world().await;
        let project = world.project("one").await;
        let mut out = std::io::stdout();
        for _ in 0..40 {
            let key = world.new_key(&project);
            world.make(created_key(&project, &key)).await;
            writeln!(out, "made {}", key.id).unwrap();
            world.make(revoked_key(&project, key.id)).await;
            writeln!(out, "revoked {}", key.id).unwrap();
        }
        fixture.close().await;
    });
}

#[test]
fn s01_what_was_acknowledged_survives_a_kill_at_any_sync() {
    let name = "s01_what_was_acknowledged_survives_a_kill_at_any_sync";
    if Faults::here().is_some() {
        return create_and_revoke(&dir_of_child());
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Steps that are prime to one another meet the database, the journal and the heads alike.
    for let_pass in (3..200).step_by(13) {
        let folder = tempfile::tempdir().unwrap();
        let child = again(name, folder.path(), &format!("sync * KILL {let_pass}"));
        let told = String::from_utf8_lossy(&child.stdout).into_owned();
        runtime.block_on(async {
            let fixture = SqliteFixture::at(folder.path());
            let (store, world) = fixture.world().await;
            for line in told.lines() {
                let Some((what, Ok(id))) = line.split_once(' ').map(|(what, id)| (what, id.parse::<KeyId>()))
                else {
                    continue;
                };
                let standing = world.read_key(id).await.standing(START);
                assert!(what == "made" || standing == Standing::Revoked, "{let_pass}: {line}");
            }
            assert_intact(&store, &let_pass.to_string()).await;
            world.project("after").await;
            fixture.close().await;
        });
        if ended(&child) == Ended::Done {
            break;
        }
    }
}

#[test]
fn s03_a_full_disk_refuses_and_recovers() {
    under_faults("s03_a_full_disk_refuses_and_recovers", async |faults| {
        let fixture = SqliteFixture::new();
        let (store, world) = fixture.world().await;
        let project = world.project("one").await;
        let key = world.key(&project).await;
        for call in ["write keyward.db-wal ENOSPC", "write keyward.db-wal ENOSPC 3"] {
            let head = store.head().await.unwrap();
            faults.set(call);
            let mut refused = world.propose(vec![revoked_key(&project, key.id)]).await;
            // With some calls let pass, a first change may still find room.
            if refused.is_ok() {
                refused = world.propose(vec![created_key(&project, &world.new_key(&project))]).await;
            } else {
                assert_eq!(store.head().await.unwrap(), head);
                assert_eq!(world.read_key(key.id).await, key);
            }
            assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
            assert!(!store.is_writable().await, "and asking again finds no room either");
            store.key_by_digest(&key.digest).await.unwrap();
            faults.clear();
            assert!(store.is_writable().await, "it recovers by itself");
            world.key(&project).await;
        }
        let journal = std::fs::read_to_string(fixture.place().journal()).unwrap();
        let revoked = journal.lines().filter(|line| line.contains("revoked")).count();
        let key = world.read_key(key.id).await;
        // A line whose COMMIT is known to have failed does not stay.
        assert_eq!(revoked, usize::from(key.standing(START) == Standing::Revoked));
        assert_eq!(
            store.verify_log(&[]).await.unwrap(),
            LogVerdict::Intact { revision: world.revision().await, heads: 0 }
        );
    });
}

#[test]
fn s03_a_full_disk_at_a_checkpoint_stops_nobody() {
    under_faults("s03_a_full_disk_at_a_checkpoint_stops_nobody", async |faults| {
        let fixture = SqliteFixture::new();
        let (store, world) = fixture.world().await;
        faults.set("write keyward.db$ ENOSPC");
        let (made, error) = create_until_failure(&world, 700).await;
        assert!(error.is_none(), "{error:?}");
        faults.clear();
        assert!(store.is_writable().await);
        let (more, error) = create_until_failure(&world, 700).await;
        assert!(error.is_none(), "{error:?}");
        fixture.close().await;
        let (_, world) = fixture.world().await;
        for id in made.into_iter().chain(more) {
            world.read_key(id).await;
        }
    });
}

#[test]
fn s18_without_the_journal_nothing_is_taken_away() {
    under_faults("s18_without_the_journal_nothing_is_taken_away", async |faults| {
        let fixture = SqliteFixture::new();
        let (store, world) = fixture.world().await;
        let project = world.project("one").await;
        let key = world.key(&project).await;
        let lines = || std::fs::read_to_string(fixture.place().journal()).unwrap().lines().count();
        for call in ["write restrictive.journal ENOSPC", "sync restrictive.journal ENOSPC"] {
            faults.set(call);
            let outcome = world.propose(vec![revoked_key(&project, key.id)]).await;
            assert!(matches!(outcome, Err(StoreError::Full(_))), "{outcome:?}");
            assert_eq!(world.read_key(key.id).await, key);
            assert_eq!(lines(), 0);
            // What takes nothing away needs no journal.
            world.key(&project).await;
        }
        faults.clear();
        let other = world.key(&project).await;
        world.change_key(&project, &other, KeyChange::Disabled).await;
        assert_eq!(lines(), 1);

        faults.set("sync restrictive.journal EIO");
        let outcome = world.propose(vec![revoked_key(&project, key.id)]).await;
        let Err(StoreError::Unavailable(why)) = outcome else { panic!("{outcome:?}") };
        assert!(why.contains("journal") && why.contains("nothing was written"), "{why}");
        faults.clear();
        assert!(!store.is_writable().await);
        fixture.close().await;
        let (store, world) = fixture.world().await;
        assert_eq!(world.read_key(key.id).await, key);
        world.make(revoked_key(&project, key.id)).await;
        assert!(store.is_writable().await);
    });
}

#[test]
fn s06_a_first_start_killed_at_any_write_is_completed() {
    let name = "s06_a_first_start_killed_at_any_write_is_completed";
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if Faults::here().is_some() {
        return runtime.block_on(async {
            SqliteFixture::at(&dir_of_child()).store().await;
        });
    }
    for let_pass in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let child = again(name, folder.path(), &format!("all store/ KILL {let_pass}"));
        runtime.block_on(async {
            let fixture = SqliteFixture::at(folder.path());
            let (store, world) = fixture.world().await;
            world.project("one").await;
            assert_eq!(store.verify_log(&[]).await.unwrap(), intact_without_heads(2), "{let_pass}");
            fixture.close().await;
        });
        if ended(&child) == Ended::Done {
            assert!(let_pass > 20, "the shim saw only {let_pass} calls");
            return;
        }
    }
}

fn intact_without_heads(revision: i64) -> LogVerdict {
    LogVerdict::Intact { revision: keyward_core::change::Revision(revision), heads: 0 }
}

/// A store with a backup, and a hundred keys revoked since.
async fn revoked_since_backup(fixture: &SqliteFixture) -> BTreeSet<KeyId> {
    let (store, world) = fixture.world().await;
    let project = world.project("one").await;
    let mut keys = Vec::new();
    for _ in 0..100 {
        keys.push(world.new_key(&project));
    }
    world.propose(keys.iter().map(|key| created_key(&project, key)).collect()).await.unwrap();
    store.backup(&fixture.folder().join("backup")).await.unwrap();
    for some in keys.chunks(10) {
        world.propose(some.iter().map(|key| revoked_key(&project, key.id)).collect()).await.unwrap();
    }
    fixture.close().await;
    keys.iter().map(|key| key.id).collect()
}

#[test]
fn l11_a_restore_killed_at_any_point_leaves_the_old_store_or_the_new() {
    let name = "l11_a_restore_killed_at_any_point_leaves_the_old_store_or_the_new";
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if Faults::here().is_some() {
        let dir = dir_of_child();
        runtime.block_on(async {
            let (store, backup) = (dir.join("store"), dir.join("backup"));
            restore(&store, &backup, &log_keys(), START, |_| {}).await.unwrap();
        });
        return;
    }
    let (mut old, mut new) = (0, 0);
    for let_pass in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let keys = runtime.block_on(revoked_since_backup(&SqliteFixture::at(folder.path())));
        let child = again(name, folder.path(), &format!("sync store KILL {let_pass}"));
        runtime.block_on(async {
            let fixture = SqliteFixture::at(folder.path());
            let (store, world) = fixture.world().await;
            for id in &keys {
                assert_eq!(world.read_key(*id).await.standing(START), Standing::Revoked, "{let_pass}");
            }
            let log = store.changes_since(keyward_core::change::Revision::ZERO, 1_000).await.unwrap();
            match log.iter().any(|entry| entry.body.change.name() == "store.restored") {
                true => new += 1,
                false => old += 1,
            }
            assert_intact(&store, &let_pass.to_string()).await;
            fixture.close().await;
        });
        if ended(&child) == Ended::Done {
            break;
        }
    }
    assert!(old > 3 && new > 1, "{old} times the old store, {new} times the new");
}

#[test]
fn the_list_of_keys_is_whole_after_a_failed_batch() {
    under_faults("the_list_of_keys_is_whole_after_a_failed_batch", async |faults| {
        let fixture = SqliteFixture::new();
        let (store, world) = fixture.world().await;
        let project = world.project("one").await;
        faults.set("write keyward.db-wal ENOSPC");
        let lost = world.new_key(&project);
        let outcome = world.propose(vec![created_key(&project, &lost)]).await;
        assert!(matches!(outcome, Err(StoreError::Full(_))), "{outcome:?}");
        faults.clear();
        // The same key once more: nothing of the failed attempt is in the way.
        world.make(created_key(&project, &lost)).await;
        let page = Page { before: None, limit: 10 };
        assert_eq!(store.keys(project.id, &KeyFilter::default(), page).await.unwrap().len(), 1);
    });
}
