//! A database that went back: restored from a dump, or taken over by a standby that lagged. And stores that go from one
//! database to another.

mod support;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keyward_core::change::{Entry, Revision};
use keyward_core::clock::SystemEntropy;
use keyward_core::id::NodeId;
use keyward_core::key::{Key, Standing};
use keyward_core::limits::block::BlockAsk;
use keyward_core::limits::{CountedOf, QuotaCounter};
use keyward_core::nodes::{Followed, NewNode, Nodes, Renewal, Renewed, Replayed};
use keyward_core::store::{ChangeFilter, LogVerdict, Page, Store};
use keyward_core::tenancy::Project;
use keyward_store::conformance::World;
use keyward_store::conformance::server::{PostgresServer, ServerOptions};
use keyward_store::conformance::words::*;
use keyward_store::transfer::{export, import, import_into_folder};
use keyward_store::{OpenError, PostgresError, PostgresOptions, PostgresStore, SqliteStore};
use support::postgres::PostgresFixture;
use support::proxy::Proxy;
use support::{START, SqliteFixture};

const ALL: Page = Page { before: None, limit: 10_000 };

/// Writes a dump of the database.
fn dump(server: &PostgresServer, database: &str, to: &Path) {
    let dumped = server.program("pg_dump").arg(database).output().unwrap();
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    std::fs::write(to, dumped.stdout).unwrap();
}

/// Puts a dump in the database's place, whoever is connected to it.
fn put_back(server: &PostgresServer, database: &str, from: &Path) {
    server.psql("postgres", &format!("DROP DATABASE {database} WITH (FORCE)"));
    server.create_database(database);
    let mut psql = server.program("psql");
    let file = std::fs::File::open(from).unwrap();
    let done = psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database]).stdin(file).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// A node as it follows the log: what it read last, and its journal.
struct Follower {
    nodes: Arc<dyn Nodes>,
    id: NodeId,
    place: Followed,
}

impl Follower {
    async fn begin(store: &PostgresStore) -> Self {
        let nodes = store.nodes().unwrap();
        let (revision, hash) = store.head().await.unwrap();
        let id = NodeId::random(&SystemEntropy);
        nodes
            .register(&NewNode {
                id,
                nonce: 1,
                lease: Duration::from_secs(1),
                name: "a".into(),
                version: "1".into(),
                started_at: START,
            })
            .await
            .unwrap();
        Follower { nodes, id, place: Followed { revision, hash } }
    }

    async fn renew(&self) -> Renewal {
        // The first may meet a connection that was cut.
        let mut renewed = self.nodes.renew(self.id, 2, self.place.revision, self.place, 1_000).await;
        for _ in 0..20 {
            if renewed.is_err() {
                renewed = self.nodes.renew(self.id, 2, self.place.revision, self.place, 1_000).await;
            }
        }
        renewed.unwrap()
    }

    /// Follows the log to its end, and remembers.
    async fn follow(&mut self) {
        let Renewal::Renewed(Renewed { entries, hash, .. }) = self.renew().await else { panic!("fenced") };
        assert_eq!(hash, Some(self.place.hash));
        self.nodes.remember(&entries).await.unwrap();
        if let Some(last) = entries.last() {
            self.place = Followed { revision: last.revision, hash: last.hash };
        }
    }
}

async fn keys(world: &World, project: &Project, count: usize) -> Vec<Key> {
    let mut keys = Vec::new();
    for _ in 0..count {
        keys.push(world.key(project).await);
    }
    keys
}

async fn revoke(world: &World, project: &Project, keys: &[Key]) -> Vec<Entry> {
    let changes = keys.iter().map(|key| revoked_key(project, key.id)).collect();
    world.propose(changes).await.unwrap()
}

async fn are_revoked(world: &World, keys: &[Key]) -> bool {
    let mut all = true;
    for key in keys {
        all &= world.read_key(key.id).await.standing(START) == Standing::Revoked;
    }
    all
}

/// Connections that were cut are passed over: nobody who reads notices them.
async fn is_read_again(store: &PostgresStore) {
    for _ in 0..20 {
        store.head().await.unwrap();
    }
}

async fn restorations(world: &World) -> usize {
    let changes = world.store.changes(&ChangeFilter::default(), ALL).await.unwrap();
    changes.iter().filter(|entry| entry.body.change.name() == "store.restored").count()
}

async fn is_intact(store: &PostgresStore) -> bool {
    let heads = store.signed_heads().unwrap();
    matches!(store.verify_log(&heads).await.unwrap(), LogVerdict::Intact { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l11_what_was_revoked_since_a_dump_is_revoked_again_before_anything_is_served() {
    let fixture = PostgresFixture::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump");
    let ((a, world), b) = (fixture.world("a").await, fixture.node("b").await);
    let (mut on_a, mut on_b) = (Follower::begin(&a).await, Follower::begin(&b).await);
    let project = world.project("one").await;
    let made = keys(&world, &project, 100).await;
    let early = revoke(&world, &project, &made[..10]).await;
    on_a.follow().await;
    on_b.follow().await;
    dump(&fixture.server, "keyward", &file);
    let dumped = world.revision().await;
    revoke(&world, &project, &made[10..40]).await;
    on_a.follow().await;
    // What the one learns after the other stopped.
    on_b.follow().await;
    b.close().await;
    revoke(&world, &project, &made[40..]).await;
    on_a.follow().await;
    a.close().await;
    put_back(&fixture.server, "keyward", &file);

    // The one that knows less comes first.
    let (b, on_restored) = fixture.world("b").await;
    assert!(
        b.warnings().iter().any(|told| told.contains("30 restrictive changes were made again")),
        "{:?}",
        b.warnings()
    );
    assert!(are_revoked(&on_restored, &made[..40]).await);
    assert!(!are_revoked(&on_restored, &made[40..]).await);
    let between = keys(&on_restored, &project, 2).await;
    let (a, on_restored) = fixture.world("a").await;
    assert!(
        a.warnings().iter().any(|told| told.contains("60 restrictive changes were made again")),
        "{:?}",
        a.warnings()
    );
    assert!(are_revoked(&on_restored, &made).await);
    assert_eq!(restorations(&on_restored).await, 2);
    assert_eq!(on_restored.revision().await.0, dumped.0 + 1 + 30 + 2 + 1 + 60, "and nothing twice");
    assert_eq!(on_restored.read_key(made[0].id).await.revision, early[0].revision);
    assert!(is_intact(&a).await && is_intact(&b).await);

    // Opened again nothing is made again; from the same dump once more everything is.
    a.close().await;
    b.close().await;
    let a = fixture.node("a").await;
    assert!(a.warnings().iter().all(|told| !told.contains("made again")), "{:?}", a.warnings());
    a.close().await;
    put_back(&fixture.server, "keyward", &file);
    let (a, world) = fixture.world("a").await;
    assert!(are_revoked(&world, &made).await);
    assert!(world.store.key(between[0].id).await.unwrap().is_none());
    assert_eq!(restorations(&world).await, 1);
    assert!(is_intact(&a).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l11_nodes_that_run_notice_a_dump_put_back_and_make_it_good_once() {
    let fixture = PostgresFixture::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump");
    let ((a, world), b) = (fixture.world("a").await, fixture.node("b").await);
    let (mut on_a, mut on_b) = (Follower::begin(&a).await, Follower::begin(&b).await);
    let project = world.project("one").await;
    let made = keys(&world, &project, 20).await;
    dump(&fixture.server, "keyward", &file);
    revoke(&world, &project, &made).await;
    on_a.follow().await;
    on_b.follow().await;
    put_back(&fixture.server, "keyward", &file);
    // A client that came first writes on the restored log: what was lost is lost all the same.
    let mut stray = world.propose(vec![created_organization(&world.new_organization("stray"))]).await;
    for _ in 0..20 {
        if stray.is_err() {
            stray = world.propose(vec![created_organization(&world.new_organization("stray"))]).await;
        }
    }
    stray.unwrap();

    for follower in [&on_a, &on_b] {
        let Renewal::Renewed(told) = follower.renew().await else { panic!("fenced") };
        assert_eq!(told.hash, None, "it went back behind what the node has seen");
    }
    is_read_again(&a).await;
    let (of_a, of_b) = tokio::join!(on_a.nodes.replay(), on_b.nodes.replay());
    let (of_a, of_b) = (of_a.unwrap(), of_b.unwrap());
    assert_eq!((of_a.changes + of_b.changes, of_a.unreadable + of_b.unreadable), (20, 0), "by whoever came first");
    assert_eq!(on_a.nodes.replay().await.unwrap(), Replayed { changes: 0, unreadable: 0 });
    assert!(are_revoked(&world, &made).await);
    assert_eq!(restorations(&world).await, 1);
    assert!(is_intact(&a).await && is_intact(&b).await);
    // And they go on.
    let mut again = Follower::begin(&a).await;
    let more = keys(&world, &project, 1).await;
    revoke(&world, &project, &more).await;
    again.follow().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l11_thousands_of_lost_revocations_are_made_again() {
    let fixture = PostgresFixture::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump");
    let (a, world) = fixture.world("a").await;
    let mut on_a = Follower::begin(&a).await;
    let project = world.project("one").await;
    let made: Vec<Key> = (0..3_000).map(|_| world.new_key(&project)).collect();
    for made in made.chunks(500) {
        world.propose(made.iter().map(|key| created_key(&project, key)).collect()).await.unwrap();
        on_a.follow().await;
    }
    on_a.follow().await;
    dump(&fixture.server, "keyward", &file);
    for made in made.chunks(500) {
        revoke(&world, &project, made).await;
        on_a.follow().await;
    }
    put_back(&fixture.server, "keyward", &file);
    is_read_again(&a).await;
    assert_eq!(on_a.nodes.replay().await.unwrap(), Replayed { changes: 3_000, unreadable: 0 });
    assert!(are_revoked(&world, &made[..3]).await && are_revoked(&world, &made[2_997..]).await);
    // Changes go on as ever after it.
    world.key(&project).await;
    assert!(is_intact(&a).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l12_a_standby_that_lagged_takes_over_and_revocations_are_made_again() {
    let fixture = PostgresFixture::with(ServerOptions { is_durable: true, settings: Vec::new() });
    let proxy = Proxy::to(fixture.server.port()).await;
    let options = PostgresOptions { url: proxy.url("keyward"), ..fixture.options("a") };
    let store = Arc::new(PostgresStore::open(options).await.unwrap());
    let world = World::new(store.clone(), START);
    let mut follower = Follower::begin(&store).await;
    let project = world.project("one").await;
    let made = keys(&world, &project, 10).await;
    follower.follow().await;
    let standby = fixture.server.standby(false);
    let epoch = store.nodes().unwrap().census().await.unwrap().epoch;
    // It follows no more: what comes now it never gets.
    standby.psql("postgres", "ALTER SYSTEM SET primary_conninfo = ''");
    standby.psql("postgres", "SELECT pg_reload_conf()");
    standby.wait_for("SELECT COUNT(*) FROM pg_stat_wal_receiver", "0");
    revoke(&world, &project, &made).await;
    follower.follow().await;
    fixture.server.crash();
    standby.promote();
    proxy.lead_to(standby.port());

    let Renewal::Renewed(told) = follower.renew().await else { panic!("fenced") };
    assert_ne!(told.hash, Some(follower.place.hash), "it went back behind what the node has seen");
    assert!(told.entries.is_empty());
    assert_ne!(told.epoch, epoch);
    is_read_again(&store).await;
    assert!(!are_revoked(&world, &made).await);
    assert_eq!(follower.nodes.replay().await.unwrap(), Replayed { changes: 10, unreadable: 0 });
    assert!(are_revoked(&world, &made).await);
    assert!(is_intact(&store).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l12_a_synchronous_standby_has_all_that_was_acknowledged() {
    let fixture = PostgresFixture::with(ServerOptions { is_durable: true, settings: Vec::new() });
    let proxy = Proxy::to(fixture.server.port()).await;
    let options = PostgresOptions { url: proxy.url("keyward"), ..fixture.options("a") };
    let store = Arc::new(PostgresStore::open(options).await.unwrap());
    let world = World::new(store.clone(), START);
    let standby = fixture.server.standby(true);
    let mut follower = Follower::begin(&store).await;
    let project = world.project("one").await;
    let made = keys(&world, &project, 10).await;
    revoke(&world, &project, &made).await;
    follower.follow().await;
    fixture.server.crash();
    standby.promote();
    // It waits for no standby of its own.
    standby.psql("postgres", "ALTER SYSTEM SET synchronous_standby_names = ''");
    standby.psql("postgres", "SELECT pg_reload_conf()");
    proxy.lead_to(standby.port());
    follower.follow().await;
    is_read_again(&store).await;
    assert!(are_revoked(&world, &made).await);
    assert_eq!(follower.nodes.replay().await.unwrap(), Replayed { changes: 0, unreadable: 0 });
    assert_eq!(restorations(&world).await, 0);
}

/// Something of everything that is carried over.
async fn fill(world: &World) -> (Project, Key) {
    let project = world.project("one").await;
    let mut key = world.new_key(&project);
    key.name = Some("nul \0 and \u{fffd}".into());
    world.make(created_key(&project, &key)).await;
    world.make(revoked_key(&project, key.id)).await;
    let live = world.key(&project).await;
    world.management_key("ops").await;
    let person = world.operator("ada").await;
    world.invitation(Some(project.organization)).await;
    let session = keyward_core::session::Session {
        id: keyward_core::id::SessionId::random(&SystemEntropy),
        digest: new_digest(),
        person: person.id,
        signed_in_by: keyward_core::session::SignedInBy::Password,
        created_at: START,
        seen_at: START,
        ends_at: START.saturating_add(Duration::from_secs(60)),
        address: None,
        browser: String::new(),
    };
    world.store.add_session(&session).await.unwrap();
    world.store.add_canary(1, &[1, 2, 3]).await.unwrap();
    let ask = BlockAsk {
        counter: QuotaCounter {
            api: "standard".parse().unwrap(),
            name: "requests".into(),
            of: CountedOf::Project(project.id),
        },
        period: "2026-11".into(),
        ends_at: None,
        holder: 5,
        unspent: 0,
        need: 30,
        limit: 100,
    };
    world.store.exchange_block(&ask).await.unwrap();
    (project, live)
}

async fn is_same(from: &dyn Store, to: &dyn Store, (project, key): &(Project, Key)) {
    assert_eq!(from.id(), to.id());
    assert_eq!(from.head().await.unwrap(), to.head().await.unwrap());
    let all = async |store: &dyn Store| store.changes_since(Revision::ZERO, 1_000).await.unwrap();
    assert_eq!(all(from).await, all(to).await);
    let filter = Default::default();
    assert_eq!(
        from.keys(project.id, &filter, ALL).await.unwrap(),
        to.keys(project.id, &filter, ALL).await.unwrap()
    );
    let found = to.key_by_digest(&key.digest).await.unwrap().value.unwrap();
    assert_eq!((&found.key, &found.project), (key, project));
    let people = Default::default();
    assert_eq!(from.people(&people, ALL).await.unwrap(), to.people(&people, ALL).await.unwrap());
    let person = from.people(&people, ALL).await.unwrap().remove(0);
    assert_eq!(from.sessions(person.id).await.unwrap(), to.sessions(person.id).await.unwrap());
    assert_eq!(from.canaries().await.unwrap(), to.canaries().await.unwrap());
    let counter = QuotaCounter {
        api: "standard".parse().unwrap(),
        name: "requests".into(),
        of: CountedOf::Project(project.id),
    };
    let tally = to.quota_tallies(&[(counter, "2026-11".into())]).await.unwrap().remove(0);
    assert_eq!((tally.spent, tally.with_others), (30, 0), "what nodes held there counts as spent");
    assert!(matches!(to.verify_log(&[]).await.unwrap(), LogVerdict::Intact { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_goes_from_sqlite_to_postgresql_and_back() {
    let (sqlite, postgres) = (SqliteFixture::new(), PostgresFixture::new());
    let folder = tempfile::tempdir().unwrap();
    let (there, world) = sqlite.world().await;
    let known = fill(&world).await;
    let file = folder.path().join("export");
    there.backup(&file).await.unwrap();

    let heard = Mutex::new(Vec::new());
    let imported = import(&file, &postgres.options("a"), &|table: &'static str, done, total| {
        heard.lock().unwrap().push((table, done, total))
    })
    .await
    .unwrap();
    assert_eq!((imported.store, imported.revision), (there.id(), there.head().await.unwrap().0));
    assert!(heard.lock().unwrap().contains(&("keys", 2, 2)), "{heard:?}");
    let (here, world) = postgres.world("a").await;
    is_same(&*there, &*here, &known).await;
    assert!(here.nodes().unwrap().census().await.unwrap().nodes.is_empty());
    let refusal = import(&file, &postgres.options("b"), &|_: &'static str, _, _| {}).await.unwrap_err();
    assert!(matches!(refusal, PostgresError::NotEmpty { .. }), "{refusal}");
    // It goes on where it was.
    world.key(&known.0).await;

    let back = folder.path().join("back");
    let revision = export(&here, &back, &|_: &'static str, _, _| {}).await.unwrap();
    assert_eq!(revision, here.head().await.unwrap().0);
    assert!(export(&here, &back, &|_: &'static str, _, _| {}).await.is_err(), "there is such a file");
    let dir = folder.path().join("again");
    let imported = import_into_folder(&back, &dir, &postgres.keys).await.unwrap();
    assert_eq!(imported.revision, revision);
    let options = keyward_store::SqliteOptions::new(&dir, postgres.keys.clone(), postgres.clock.clone());
    let again = SqliteStore::open(options).await.unwrap();
    is_same(&*here, &again, &known).await;
    let refusal = import_into_folder(&back, &sqlite.dir(), &postgres.keys).await.unwrap_err();
    assert!(matches!(refusal, OpenError::InUse { .. }), "{refusal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s17_an_export_that_was_edited_is_refused_and_leaves_nothing() {
    let (sqlite, postgres) = (SqliteFixture::new(), PostgresFixture::new());
    let folder = tempfile::tempdir().unwrap();
    let (there, world) = sqlite.world().await;
    fill(&world).await;
    for (name, edit) in [
        ("record", "UPDATE keys SET record = replace(record, 'active', 'actiwe')"),
        ("log", "UPDATE log SET body = replace(body, 'test', 'text') WHERE revision = 4"),
        ("digest", "UPDATE digests SET pepper = 2"),
        ("cut", "DELETE FROM log WHERE revision > 3"),
    ] {
        let file = folder.path().join(name);
        there.backup(&file).await.unwrap();
        support::sql(&file, edit).await;
        let refusal = import(&file, &postgres.options("a"), &|_: &'static str, _, _| {}).await.unwrap_err();
        assert!(matches!(refusal, PostgresError::NotAnExport { .. }), "{name}: {refusal}");
        let dir = folder.path().join("store");
        let refusal = import_into_folder(&file, &dir, &postgres.keys).await.unwrap_err();
        assert!(matches!(refusal, OpenError::NotABackup { .. }), "{name}: {refusal}");
        assert!(!dir.join("keyward.db").exists());
    }
    let file = folder.path().join("none");
    std::fs::write(&file, "text").unwrap();
    let refusal = import(&file, &postgres.options("a"), &|_: &'static str, _, _| {}).await.unwrap_err();
    assert!(matches!(refusal, PostgresError::NotAnExport { .. }), "{refusal}");
    // The database is empty as before: a good one goes in.
    let file = folder.path().join("good");
    there.backup(&file).await.unwrap();
    import(&file, &postgres.options("a"), &|_: &'static str, _, _| {}).await.unwrap();
}
