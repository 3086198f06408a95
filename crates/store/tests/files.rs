//! The files of a SQLite store: damaged, missing, replaced, in use, of another version, copied.

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keyward_core::change::{KeyChange, Revision};
use keyward_core::key::Key;
use keyward_core::log::LogKeys;
use keyward_core::store::{KeyFilter, LogVerdict, Page, Store, StoreError};
use keyward_store::conformance::words::*;
use keyward_store::conformance::{Fixture, World};
use keyward_store::{OpenError, SqliteOptions, SqliteStore, restore};
use sqlx::{ConnectOptions, Connection, Executor};
use support::*;

const ALL: Page = Page { before: None, limit: 10_000 };

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// What a folder holds, by name.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

#[tokio::test]
async fn files_are_their_owners_alone() {
    let fixture = SqliteFixture::new();
    let (store, world) = fixture.world().await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    world.make(revoked_key(&project, key.id)).await;
    store.backup(&fixture.dir().join("a.backup")).await.unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&fixture.dir()), 0o700);
    let place = fixture.place();
    for file in
        [place.database(), place.write_ahead_log(), place.journal(), place.lock(), fixture.dir().join("a.backup")]
    {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    fixture.close().await;
    assert_eq!(mode(&place.heads()), 0o600);
}

/// A small generator with a seed: the same pages are hit at every run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most as u64) as usize
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s04_flipped_pages_never_give_a_wrong_answer() {
    let fixture = SqliteFixture::new();
    let (store, world) = fixture.world().await;
    let project = world.project("one").await;
    let mut keys = Vec::new();
    for i in 0..60 {
        let key = world.key(&project).await;
        keys.push(match i % 3 {
            0 => world.change_key(&project, &key, KeyChange::Revoked { reason: None }).await,
            1 => world.change_key(&project, &key, KeyChange::Disabled).await,
            _ => key,
        });
    }
    let log = store.changes_since(Revision::ZERO, 1_000).await.unwrap();
    drop((store, world));
    fixture.close().await;

    let whole = std::fs::read(fixture.place().database()).unwrap();
    let mut seeded = Seeded(0x9e37_79b9_7f4a_7c15);
    let (mut refused, mut told) = (0, 0);
    for round in 0..100 {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(&fixture.dir(), &folder.path().join("store"));
        let mut bytes = whole.clone();
        let page = seeded.below(bytes.len() / 4096) * 4096;
        for _ in 0..1 + seeded.below(32) {
            bytes[page + seeded.below(4096)] ^= 1 << seeded.below(8);
        }
        std::fs::write(folder.path().join("store/keyward.db"), bytes).unwrap();
        let damaged = SqliteFixture::at(folder.path());
        match damaged.try_open().await {
            Err(error) => {
                assert!(error.to_string().contains("keyward.db"), "{error}");
                refused += 1;
            }
            Ok(store) => {
                told += check_answers(&store, &keys, round).await;
                match store.changes_since(Revision::ZERO, 1_000).await {
                    Ok(read) => assert_eq!(read, log, "{round}"),
                    Err(_) => told += 1,
                }
            }
        }
        damaged.close().await;
    }
    assert!(refused > 20 && refused + told > 60, "{refused} refused at start, {told} answers refused");
}

/// Every answer is the right one, an error, or nothing; how many were errors.
async fn check_answers(store: &SqliteStore, keys: &[Key], round: usize) -> usize {
    let mut errors = 0;
    for key in keys {
        match store.key_by_digest(&key.digest).await {
            Ok(read) => {
                if let Some(found) = read.value {
                    assert_eq!(found.key, *key, "{round}");
                }
            }
            Err(_) => errors += 1,
        }
        match store.key(key.id).await {
            Ok(found) => assert!(found.is_none_or(|found| found == *key), "{round}"),
            Err(_) => errors += 1,
        }
    }
    match store.keys(keys[0].project, &KeyFilter::default(), ALL).await {
        Ok(listed) => assert!(listed.iter().all(|key| keys.contains(key)), "{round}"),
        Err(_) => errors += 1,
    }
    errors
}

#[tokio::test]
async fn s04_an_emptied_or_foreign_file_is_refused() {
    let fixture = SqliteFixture::new();
    let (store, world) = fixture.world().await;
    world.project("one").await;
    drop((store, world));
    fixture.close().await;
    let database = fixture.place().database();
    let whole = std::fs::read(&database).unwrap();

    std::fs::write(&database, b"").unwrap();
    let refusal = fixture.refusal().await;
    assert!(matches!(refusal, OpenError::Lost { .. }), "{refusal}");
    assert_eq!(std::fs::read(&database).unwrap(), b"", "nothing was made in its place");

    std::fs::remove_file(&database).unwrap();
    let refusal = fixture.refusal().await;
    assert!(matches!(refusal, OpenError::Lost { .. }), "{refusal}");
    assert!(refusal.to_string().contains("keyward restore") && !database.exists(), "{refusal}");

    for (bytes, what) in [
        (&whole[..50], "too short"),
        (&whole[..whole.len() / 2], ""),
        (&b"not a database, but long enough to be looked at by whoever wants to know. ".repeat(20)[..], "begin"),
    ] {
        std::fs::write(&database, bytes).unwrap();
        let refusal = fixture.refusal().await;
        assert!(matches!(refusal, OpenError::Damaged { .. }), "{refusal}");
        assert!(refusal.to_string().contains(what) && refusal.to_string().contains("keyward restore"), "{refusal}");
    }

    std::fs::remove_file(&database).unwrap();
    sql_new(&database, "CREATE TABLE somebody_elses (id INTEGER)").await;
    let refusal = fixture.refusal().await;
    assert!(refusal.to_string().contains("not one of Keyward's"), "{refusal}");

    std::fs::write(&database, whole).unwrap();
    fixture.store().await;
}

async fn sql_new(database: &Path, text: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    connection.execute(text).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn the_keys_of_another_log_are_refused() {
    let fixture = SqliteFixture::new();
    fixture.store().await;
    fixture.close().await;
    for keys in [LogKeys::new(&[8; 32], &[2; 32]), LogKeys::new(&[1; 32], &[8; 32])] {
        let options = SqliteOptions { log_keys: Arc::new(keys), ..fixture.options() };
        let refusal = SqliteStore::open(options).await.unwrap_err();
        assert!(matches!(refusal, OpenError::WrongLogKeys { .. }), "{refusal}");
    }
    fixture.store().await;
}

#[tokio::test]
async fn s05_a_second_process_is_told_who_has_the_store() {
    let fixture = SqliteFixture::new();
    let store = fixture.store().await;
    let refusal = SqliteStore::open(fixture.options()).await.unwrap_err();
    let OpenError::InUse { pid, .. } = &refusal else { panic!("{refusal}") };
    assert_eq!(*pid, Some(std::process::id()));
    let text = refusal.to_string();
    assert!(text.contains(&fixture.dir().display().to_string()) && text.contains("HTTP"), "{text}");
    let refusal = restore(&fixture.dir(), Path::new("/nowhere"), &fixture.keys, START, |_| {}).await.unwrap_err();
    assert!(matches!(refusal, OpenError::InUse { .. }), "{refusal}");
    // Whoever only reads needs no lock.
    let reader = SqliteStore::read_only(&fixture.dir(), fixture.keys.clone(), fixture.clock.clone()).await.unwrap();
    assert_eq!(reader.head().await.unwrap(), store.head().await.unwrap());
    let refused = World::new(Arc::new(reader), START).propose(Vec::new()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    store.close().await;
    fixture.store().await;
}

#[tokio::test]
async fn s05_a_deleted_or_replaced_file_ends_writing() {
    for replace in [false, true] {
        let fixture = SqliteFixture::new();
        let (store, world) = fixture.world().await;
        let project = world.project("one").await;
        let database = fixture.place().database();
        let copy = std::fs::read(&database).unwrap();
        std::fs::remove_file(&database).unwrap();
        if replace {
            std::fs::write(&database, copy).unwrap();
        }
        let outcome = world.propose(vec![created_key(&project, &world.new_key(&project))]).await;
        let Err(StoreError::Unavailable(why)) = outcome else { panic!("{outcome:?}") };
        assert!(why.contains("deleted or replaced"), "{why}");
        assert!(!store.is_writable().await);
        assert!(store.project(project.id).await.unwrap().is_some(), "reading goes on");
    }
    let fixture = SqliteFixture::new();
    let (store, world) = fixture.world().await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    std::fs::remove_file(fixture.place().journal()).unwrap();
    let outcome = world.propose(vec![revoked_key(&project, key.id)]).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    assert_eq!(store.key(key.id).await.unwrap(), Some(key));
}

#[tokio::test]
async fn s06_a_migration_cut_off_at_any_statement_is_completed() {
    let text = include_str!("../migrations/sqlite/0001_state_and_log.sql");
    let without_comments: String =
        text.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
    let statements: Vec<&str> = without_comments.split(';').map(str::trim).filter(|one| !one.is_empty()).collect();
    assert!(statements.len() > 20);
    for cut in 0..=statements.len() {
        let fixture = SqliteFixture::new();
        std::fs::create_dir_all(fixture.dir()).unwrap();
        // As far as it came, in the file that it is made in; the process then dies.
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(fixture.dir().join("keyward.db.new"))
            .create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        connection.execute("BEGIN").await.unwrap();
        for statement in &statements[..cut] {
            connection.execute(sqlx::AssertSqlSafe((*statement).to_owned())).await.unwrap();
        }
        if cut % 2 == 0 {
            connection.execute("COMMIT").await.unwrap();
        }
        connection.close().await.unwrap();
        let (store, world) = fixture.world().await;
        world.project("one").await;
        assert!(matches!(store.verify_log(&[]).await.unwrap(), LogVerdict::Intact { .. }));
        drop((store, world));
        fixture.close().await;
    }
}

#[tokio::test]
async fn s07_a_newer_schema_is_refused_without_a_write() {
    let fixture = SqliteFixture::new();
    let (store, world) = fixture.world().await;
    world.project("one").await;
    drop((store, world));
    fixture.close().await;
    let newer = "INSERT INTO _sqlx_migrations VALUES (9999, 'from the future', CURRENT_TIMESTAMP, TRUE, x'00', 0)";
    sql(&fixture.place().database(), newer).await;
    let before = contents(&fixture.dir());
    let refusal = fixture.refusal().await;
    let OpenError::Newer { found, known, .. } = refusal else { panic!("{refusal}") };
    assert_eq!((found, known), (9999, 8));
    let mut after = contents(&fixture.dir());
    // SQLite's index of the write-ahead log is of no worth, and the lock tells who looked last.
    after.retain(|name, _| before.contains_key(name) || !name.ends_with("-shm"));
    after.retain(|name, bytes| before.contains_key(name) || !(name.ends_with("-wal") && bytes.is_empty()));
    assert_eq!(after, before);
    let refusal = SqliteStore::read_only(&fixture.dir(), log_keys(), fixture.clock.clone()).await.unwrap_err();
    assert!(matches!(refusal, OpenError::Newer { .. }), "{refusal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s08_a_backup_under_writes_is_consistent_and_restores() {
    let fixture = SqliteFixture::new();
    let (store, world) = fixture.world().await;
    let project = world.project("one").await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let (world, project, stop) = (world.clone(), project.clone(), stop.clone());
            tokio::spawn(async move {
                let mut made = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let key = world.new_key(&project);
                    let changes = vec![created_key(&project, &key), revoked_key(&project, key.id)];
                    made.push((world.propose(changes).await.unwrap()[1].revision, key.id));
                }
                made
            })
        })
        .collect();
    let mut backups = Vec::new();
    for i in 0..5 {
        // Some work goes on between one and the next.
        let reached = Revision(world.revision().await.0 + 200);
        store.follow().wait_for(|revision| *revision >= reached).await.unwrap();
        let to = fixture.folder().join(format!("{i}.backup"));
        backups.push((store.backup(&to).await.unwrap(), to));
    }
    stop.store(true, Ordering::Relaxed);
    let mut made = Vec::new();
    for writer in writers {
        made.extend(writer.await.unwrap());
    }
    drop((store, world));
    fixture.close().await;

    for (revision, backup) in backups {
        let bytes = std::fs::read(&backup).unwrap();
        assert!(bytes.starts_with(b"SQLite format 3\0"));
        let folder = tempfile::tempdir().unwrap();
        let restored = SqliteFixture::at(folder.path());
        let report = restore(&restored.dir(), &backup, &restored.keys, START, |_| {}).await.unwrap();
        assert_eq!(report.backup_revision, revision);
        assert_eq!((report.revision, report.lost_head, report.aside), (revision.next(), None, None));
        let (store, world) = restored.world().await;
        let (inside, outside): (Vec<_>, Vec<_>) = made.iter().partition(|(at, _)| *at <= revision);
        assert_eq!(revision.0, 2 + 2 * inside.len() as i64, "all or nothing of each proposal");
        for (_, id) in inside {
            assert!(store.key(id).await.unwrap().is_some());
        }
        for (_, id) in outside {
            assert!(store.key(id).await.unwrap().is_none());
        }
        assert!(matches!(store.verify_log(&[]).await.unwrap(), LogVerdict::Intact { .. }));
        assert_eq!(store.check_file().await.unwrap(), Vec::<String>::new());
        world.key(&project).await;
        drop((store, world));
        restored.close().await;
    }
}

#[tokio::test]
async fn s08_a_backup_goes_nowhere_but_to_a_new_file() {
    let fixture = SqliteFixture::new();
    let store = fixture.store().await;
    let missing = store.backup(&fixture.folder().join("no such folder/backup")).await;
    assert!(matches!(missing, Err(StoreError::Unavailable(_))), "{missing:?}");
    let hostile = fixture.folder().join("it's; \"DROP\" ?1 $1.backup");
    store.backup(&hostile).await.unwrap();
    let names: Vec<String> = contents_names(&fixture.folder());
    assert_eq!(names.iter().filter(|name| name.contains("backup")).count(), 1, "{names:?}");
    // It opens for reading like a store does.
    let copy = SqliteStore::read_only(&hostile, fixture.keys.clone(), fixture.clock.clone()).await.unwrap();
    assert_eq!((copy.id(), copy.head().await.unwrap()), (store.id(), store.head().await.unwrap()));
    assert!(matches!(copy.verify_log(&[]).await.unwrap(), LogVerdict::Intact { .. }));
}

fn contents_names(dir: &Path) -> Vec<String> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
