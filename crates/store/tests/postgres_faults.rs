//! What happens to a store in PostgreSQL when connections, servers and locks fail it.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use keyward_core::change::{Entry, Revision};
use keyward_core::clock::SystemEntropy;
use keyward_core::id::{KeyId, NodeId};
use keyward_core::log::GENESIS;
use keyward_core::nodes::{Followed, NewNode, Renewal};
use keyward_core::store::{ChangeFilter, EventFilter, LogVerdict, Page, Store, StoreError};
use keyward_core::usage::Event;
use keyward_store::conformance::World;
use keyward_store::conformance::server::ServerOptions;
use keyward_store::conformance::words::*;
use keyward_store::{PostgresError, PostgresOptions, PostgresStore};
use sqlx::{Connection as _, Executor as _};
use support::START;
use support::postgres::PostgresFixture;
use support::proxy::{Cut, Proxy};

fn through(fixture: &PostgresFixture, proxy: &Proxy, node: &str) -> PostgresOptions {
    PostgresOptions { url: proxy.url("keyward"), ..fixture.options(node) }
}

async fn world_through(fixture: &PostgresFixture, proxy: &Proxy) -> (Arc<PostgresStore>, World) {
    let store = Arc::new(PostgresStore::open(through(fixture, proxy, "store")).await.unwrap());
    (store.clone(), World::new(store, START))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s06_a_migration_cut_off_at_any_statement_is_completed_by_the_next_start() {
    let fixture = PostgresFixture::new();
    let proxy = Proxy::to(fixture.server.port()).await;
    let tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'public'";
    let (mut cut, mut within) = (0, 0);
    loop {
        proxy.cut_after(Some(cut));
        let opened = PostgresStore::open(through(&fixture, &proxy, "store")).await;
        proxy.cut_after(None);
        let found: u32 = fixture.psql(tables).parse().unwrap();
        match opened {
            Ok(store) => {
                store.close().await;
                break;
            }
            // The table with the version is made before: all others come together or not at all.
            Err(error) => {
                assert!(found <= 1 || found > 20, "{found} tables after {error}");
                assert!(
                    matches!(error, PostgresError::Unreachable { .. } | PostgresError::Database { .. }),
                    "{error}"
                );
            }
        }
        within += u32::from(found == 1);
        cut += 1;
        assert!(cut < 500);
    }
    assert!(within > 40, "{within} of {cut} cuts were within the migration");
    let (store, world) = fixture.world("store").await;
    world.project("one").await;
    assert_eq!(store.head().await.unwrap().0, Revision(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s06_of_several_nodes_that_start_at_once_one_migrates_and_all_go_on() {
    let fixture = PostgresFixture::new();
    let opened = tokio::join!(fixture.node("a"), fixture.node("b"), fixture.node("c"), fixture.node("d"));
    let stores = [opened.0, opened.1, opened.2, opened.3];
    let ids: BTreeSet<String> = stores.iter().map(|store| store.id().to_string()).collect();
    assert_eq!(ids.len(), 1);
    for store in &stores {
        World::new(store.clone(), START).organization("one").await;
    }
    assert_eq!(stores[0].head().await.unwrap().0, Revision(4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s07_a_newer_schema_is_refused_without_a_write() {
    let fixture = PostgresFixture::new();
    let (store, world) = fixture.world("store").await;
    world.project("one").await;
    store.close().await;
    fixture.psql("UPDATE keyward_schema SET version = 9999");
    let dump = || {
        let dumped = fixture.server.program("pg_dump").arg("keyward").output().unwrap().stdout;
        // Some versions guard their output with a random word.
        let lines = String::from_utf8(dumped).unwrap();
        lines.lines().filter(|line| !line.starts_with('\\')).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = dump();
    for refusal in [
        fixture.try_open("store").await.unwrap_err(),
        PostgresStore::read_only(fixture.options("store")).await.unwrap_err(),
    ] {
        let PostgresError::Newer { found: 9999, known: 2, .. } = &refusal else { panic!("{refusal}") };
        assert!(refusal.to_string().contains("run the newer Keyward"), "{refusal}");
    }
    assert!(!before.is_empty() && dump() == before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_opened_says_so_and_never_the_password() {
    let fixture = PostgresFixture::new();
    let refusal = async |url: String| {
        let options = PostgresOptions { url, password: Some("s3cret-word".into()), ..fixture.options("store") };
        let refusal = PostgresStore::open(options.clone()).await.unwrap_err();
        let told = format!("{refusal} {refusal:?} {options:?}");
        assert!(!told.contains("s3cret"), "{told}");
        refusal
    };
    let url = |at: &str| format!("postgres://keyward:s3cret-in-url@{at}");
    assert!(matches!(refusal("mysql://keyward:s3cret@host/db".into()).await, PostgresError::Url { .. }));
    assert!(matches!(refusal(url("host:port/db")).await, PostgresError::Url { .. }));
    assert!(matches!(refusal(url("h/db?passwort=s3cret")).await, PostgresError::Url { .. }));
    for question_mark in ["abc?s3cret", "abc?s3cret&def", "abc?s3cret=def"] {
        let refusal = refusal(format!("postgres://keyward:{question_mark}@host/db")).await;
        assert!(refusal.to_string().contains("%3F"), "{refusal}");
    }
    assert!(matches!(refusal(url("127.0.0.1:1/keyward")).await, PostgresError::Unreachable { .. }));
    let here = format!("127.0.0.1:{}", fixture.server.port());
    let missing = refusal(url(&format!("{here}/nothing"))).await;
    assert!(matches!(missing, PostgresError::Unreachable { .. }), "{missing}");
    fixture.server.psql(
        "postgres",
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0 LOCALE_PROVIDER libc",
    );
    let latin = refusal(url(&format!("{here}/latin"))).await;
    assert!(matches!(latin, PostgresError::Encoding { .. }), "{latin}");
    let nothing = PostgresStore::read_only(fixture.options("store")).await.unwrap_err();
    assert!(matches!(nothing, PostgresError::NotFound { .. }), "{nothing}");

    let (store, world) = fixture.world("store").await;
    world.organization("one").await;
    let in_use = fixture.try_open("store").await.unwrap_err();
    assert!(matches!(in_use, PostgresError::InUse { .. }), "{in_use}");
    store.close().await;
    let keys = Arc::new(keyward_core::log::LogKeys::new(&[3; 32], &[4; 32]));
    let other = PostgresOptions { log_keys: keys, ..fixture.options("other") };
    let other = PostgresStore::open(other).await.unwrap_err();
    assert!(matches!(other, PostgresError::WrongLogKeys { .. }), "{other}");
    // An empty database in the store's place: the folder knows better.
    fixture.server.create_database("empty");
    let empty = PostgresOptions { url: fixture.server.url("empty"), ..fixture.options("store") };
    let lost = PostgresStore::open(empty).await.unwrap_err();
    assert!(matches!(lost, PostgresError::Lost { .. }), "{lost}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_never_opened_and_how_a_database_is_run_is_told() {
    let fixture = PostgresFixture::with(ServerOptions { is_durable: true, settings: Vec::new() });
    let (store, world) = fixture.world("store").await;
    world.organization("one").await;
    assert_eq!(store.warnings(), [] as [&str; 0]);
    store.close().await;
    let standby = fixture.server.standby(false);
    let on_standby = PostgresOptions { url: standby.url("keyward"), ..fixture.options("other") };
    let refusal = PostgresStore::open(on_standby).await.unwrap_err();
    assert!(matches!(refusal, PostgresError::Standby { .. }), "{refusal}");
    fixture.server.wait_for("SELECT COUNT(*) FROM pg_stat_replication", "1");
    let store = fixture.node("store").await;
    assert!(store.warnings()[0].contains("a failover may lose changes"), "{:?}", store.warnings());
    store.close().await;
    fixture.server.psql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
    fixture.server.psql("postgres", "ALTER SYSTEM SET full_page_writes = off");
    fixture.server.psql("postgres", "SELECT pg_reload_conf()");
    fixture.server.wait_for("SELECT COUNT(*) FROM pg_stat_replication WHERE sync_state = 'sync'", "1");
    let store = fixture.node("store").await;
    assert_eq!(store.warnings().len(), 1);
    assert!(store.warnings()[0].contains("full_page_writes"), "{:?}", store.warnings());
    let fast = PostgresFixture::new();
    assert!(fast.node("store").await.warnings()[0].contains("fsync"));
}

/// Runs as many at once as `width`, and gives what each came to.
async fn at_once<T: Send + 'static>(
    count: usize,
    width: usize,
    work: impl Fn(usize) -> std::pin::Pin<Box<dyn Future<Output = T> + Send>> + Send + Sync + 'static,
) -> Vec<T> {
    let (work, next) = (Arc::new(work), Arc::new(AtomicUsize::new(0)));
    let mut tasks = Vec::new();
    for _ in 0..width {
        let (work, next) = (work.clone(), next.clone());
        tasks.push(tokio::spawn(async move {
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= count {
                    return done;
                }
                done.push(work(number).await);
            }
        }));
    }
    let mut done = Vec::new();
    for task in tasks {
        done.extend(task.await.unwrap());
    }
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l03_of_a_thousand_commits_cut_at_their_reply_none_is_told_wrong() {
    let fixture = PostgresFixture::new();
    let proxy = Proxy::to(fixture.server.port()).await;
    let (store, world) = world_through(&fixture, &proxy).await;
    let project = world.project("one").await;
    let (mut ok, mut refused) = (0, 0);
    for number in 0..1_000 {
        let key = world.new_key(&project);
        let cuts = proxy.cuts();
        proxy.cut_next(if number % 4 == 0 { Cut::BeforeCommit } else { Cut::AfterCommit }, false);
        let made = world.propose(vec![created_key(&project, &key)]).await;
        assert!(proxy.cuts() > cuts);
        let stands = store.key(key.id).await.unwrap();
        match made {
            Ok(entries) => {
                ok += 1;
                assert_eq!(stands.unwrap().created_revision, entries[0].revision);
            }
            Err(StoreError::Unknown(_)) => {}
            Err(error) => {
                refused += 1;
                assert!(stands.is_none(), "{error}");
            }
        }
    }
    // The database is there again at once, so what became of each is found out.
    assert_eq!((ok, refused), (1_000, 0));
    let head = store.head().await.unwrap().0;
    assert_eq!(head, Revision(1_002), "none was made twice");
    assert_eq!(store.verify_log(&[]).await.unwrap(), LogVerdict::Intact { revision: head, heads: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l03_what_cannot_be_found_out_is_unknown_in_bounded_time() {
    let fixture = PostgresFixture::new();
    let proxy = Proxy::to(fixture.server.port()).await;
    let (_, world) = world_through(&fixture, &proxy).await;
    let reader = fixture.node("reader").await;
    let project = world.project("one").await;
    for cut in [Cut::BeforeCommit, Cut::AfterCommit, Cut::AfterCommit] {
        let key = world.new_key(&project);
        proxy.cut_next(cut, true);
        let began = Instant::now();
        let made = world.propose(vec![created_key(&project, &key)]).await;
        assert!(matches!(&made, Err(StoreError::Unknown(_))), "{made:?}");
        assert!(began.elapsed() < Duration::from_secs(8));
        // Nobody gets to the database: that is told at once.
        let began = Instant::now();
        let away = world.propose(vec![created_key(&project, &world.new_key(&project))]).await;
        assert!(matches!(&away, Err(StoreError::Unavailable(_))), "{away:?}");
        assert!(began.elapsed() < Duration::from_secs(4));
        assert!(!world.store.is_writable().await);
        proxy.close(false);
        // By itself it comes back.
        let after = world.key(&project).await;
        if cut == Cut::BeforeCommit {
            assert!(reader.key(key.id).await.unwrap().is_none());
        }
        assert!(reader.key(after.id).await.unwrap().is_some());
        assert!(world.store.is_writable().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l14_events_are_changes_without_gaps_however_often_the_writer_is_killed() {
    let fixture = PostgresFixture::new();
    let (store, world) = fixture.world("a").await;
    let (_, other) = fixture.world("b").await;
    let project = world.project("one").await;
    let before = world.revision().await;
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let killing = {
        let (url, stop, answered) = (fixture.server.url("postgres"), stop.clone(), answered.clone());
        tokio::spawn(async move {
            let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
            let mut killed = 0;
            while !stop.load(Ordering::SeqCst) {
                let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                            WHERE datname = 'keyward' AND (state <> 'idle' OR query = 'COMMIT')
                            ORDER BY random() LIMIT 1";
                killed += connection.fetch_all(kill).await.unwrap().len();
                // Some get through between two kills.
                let before = answered.load(Ordering::SeqCst);
                while answered.load(Ordering::SeqCst) < before + 20 && !stop.load(Ordering::SeqCst) {
                    connection.execute("SELECT 1").await.unwrap();
                }
            }
            killed
        })
    };
    let work = {
        let (world, other, project) = (world.clone(), other.clone(), project.clone());
        move |number: usize| {
            let answered = answered.clone();
            let (world, project) =
                (if number.is_multiple_of(2) { world.clone() } else { other.clone() }, project.clone());
            let made = async move {
                let key = world.new_key(&project);
                let changes = vec![created_key(&project, &key), revoked_key(&project, key.id)];
                let outcome = world.propose(changes).await;
                answered.fetch_add(1, Ordering::SeqCst);
                (key.id, outcome)
            };
            Box::pin(made) as std::pin::Pin<Box<dyn Future<Output = _> + Send>>
        }
    };
    let made: Vec<(KeyId, Result<Vec<Entry>, StoreError>)> = at_once(2_000, 16, work).await;
    stop.store(true, Ordering::SeqCst);
    let killed = killing.await.unwrap();
    let head = store.head().await.unwrap().0;
    let log = store.changes_since(before, 10_000).await.unwrap();
    assert!(log.iter().map(|entry| entry.revision).eq((before.0 + 1..=head.0).map(Revision)), "no gaps");
    assert_eq!(store.verify_log(&[]).await.unwrap(), LogVerdict::Intact { revision: head, heads: 0 });
    let mut done = 0;
    for (id, outcome) in &made {
        let of_key = log.iter().filter(|entry| entry.body.change.key() == Some(*id)).count();
        match outcome {
            Ok(entries) => {
                done += 1;
                assert!(entries.iter().all(|entry| log[(entry.revision.0 - before.0 - 1) as usize] == *entry));
                assert_eq!(of_key, 2);
            }
            Err(StoreError::Unknown(_)) => assert!(of_key == 0 || of_key == 2),
            Err(_) => assert_eq!(of_key, 0),
        }
        assert_eq!(store.key(*id).await.unwrap().is_some(), of_key == 2, "state and log are one");
    }
    assert!(killed > 10 && done > 1_000, "{killed} killed, {done} of 2000 done");
    let all = Page { before: None, limit: 10_000 };
    let filter = ChangeFilter { project: Some(project.id), ..Default::default() };
    let changes = store.changes(&filter, all).await.unwrap();
    let events = store.events(project.id, &EventFilter::default(), None, 10_000).await.unwrap();
    let events: BTreeSet<Revision> = events
        .into_iter()
        .map(|(_, event)| match event {
            Event::Change(entry) => entry.revision,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(events.into_iter().rev().eq(changes.iter().map(|entry| entry.revision)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s14_a_locked_table_stops_neither_heartbeats_nor_what_does_not_need_it() {
    let fixture = PostgresFixture::new();
    let (store, world) = fixture.world("store").await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    let nodes = store.nodes().unwrap();
    let node = NewNode {
        id: NodeId::random(&SystemEntropy),
        nonce: 1,
        lease: Duration::from_secs(1),
        name: "a".into(),
        version: "1".into(),
        started_at: START,
    };
    nodes.register(&node).await.unwrap();
    let mut locking = sqlx::PgConnection::connect(&fixture.url).await.unwrap();
    locking.execute("BEGIN; LOCK TABLE keys IN ACCESS EXCLUSIVE MODE").await.unwrap();

    let head = store.head().await.unwrap().0;
    let refused = {
        let (world, project, key) = (world.clone(), project.clone(), key.clone());
        tokio::spawn(async move {
            let began = Instant::now();
            let changes = vec![created_organization(&world.new_organization("two")), revoked_key(&project, key.id)];
            let refused = world.propose(changes).await;
            (refused, began.elapsed())
        })
    };
    // Those who read keys wait, more of them than there are connections, and are told in bounded time.
    let reading: Vec<_> = (0..20)
        .map(|_| {
            let (store, id) = (store.clone(), key.id);
            tokio::spawn(async move { (Instant::now(), store.key(id).await) })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    let mut followed = Followed { revision: Revision::ZERO, hash: GENESIS };
    while !refused.is_finished() {
        let began = Instant::now();
        let Renewal::Renewed(renewed) = nodes.renew(node.id, 2, Revision::ZERO, followed, 10).await.unwrap() else {
            panic!("fenced")
        };
        if let Some(last) = renewed.entries.last() {
            followed = Followed { revision: last.revision, hash: last.hash };
        }
        nodes.acknowledge(node.id, followed.revision).await.unwrap();
        assert_eq!(nodes.census().await.unwrap().nodes.len(), 1);
        slowest = slowest.max(began.elapsed());
    }
    let (refused, took) = refused.await.unwrap();
    assert!(matches!(&refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    for read in reading {
        let (began, read) = read.await.unwrap();
        assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    assert_eq!(store.head().await.unwrap().0, head, "not half done");
    world.organization("three").await;
    locking.execute("ROLLBACK").await.unwrap();
    world.make(revoked_key(&project, key.id)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stops_while_holding_the_heads_row_does_not_stop_the_others() {
    let fixture = PostgresFixture::new();
    let (_, world) = fixture.world("store").await;
    // A node that stopped: its transaction is open, and it says nothing more.
    let mut stopped = sqlx::PgConnection::connect(&fixture.url).await.unwrap();
    stopped
        .execute("SET idle_in_transaction_session_timeout = 1500; BEGIN; SELECT 1 FROM store FOR UPDATE")
        .await
        .unwrap();
    let began = Instant::now();
    world.organization("one").await;
    let waited = began.elapsed();
    assert!(waited > Duration::from_millis(500) && waited < Duration::from_millis(2_500), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_crashes_or_freezes_is_told_in_time_and_met_again() {
    let fixture = PostgresFixture::with(ServerOptions { is_durable: true, settings: Vec::new() });
    let (store, world) = fixture.world("store").await;
    let project = world.project("one").await;
    let mut known = Vec::new();
    for round in 0..3 {
        known.push(world.key(&project).await.id);
        match round {
            1 => fixture.server.freeze(true),
            _ => fixture.server.crash(),
        }
        let began = Instant::now();
        let refused = world.propose(vec![created_key(&project, &world.new_key(&project))]).await;
        assert!(matches!(&refused, Err(StoreError::Unavailable(_) | StoreError::Unknown(_))), "{refused:?}");
        assert!(store.key(known[0]).await.is_err());
        assert!(store.nodes().unwrap().census().await.is_err());
        assert!(!store.is_writable().await);
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        match round {
            1 => fixture.server.freeze(false),
            _ => fixture.server.restart(),
        }
        let mut again = Err(StoreError::Unavailable(String::new()));
        let until = Instant::now() + Duration::from_secs(30);
        while again.is_err() && Instant::now() < until {
            again = world.propose(vec![created_key(&project, &world.new_key(&project))]).await;
        }
        again.unwrap();
        for id in &known {
            assert!(store.key(*id).await.unwrap().is_some(), "what was acknowledged is there");
        }
    }
    let head = store.head().await.unwrap().0;
    assert_eq!(store.verify_log(&[]).await.unwrap(), LogVerdict::Intact { revision: head, heads: 0 });
}
