//! Somebody edits the database by hand: what the log and the reads make of it (trust.md S17).

mod support;

use std::sync::Arc;

use keyward_core::change::{Entry, KeyChange, Revision};
use keyward_core::key::{Key, KeyState};
use keyward_core::log::{GENESIS, LogKeys, SignedHead};
use keyward_core::store::{LogVerdict, Store, StoreError};
use keyward_store::conformance::words::*;
use keyward_store::conformance::{Fixture, World};
use keyward_store::{OpenError, SqliteStore};
use sqlx::{ConnectOptions, Connection, Executor, Row};
use support::*;

/// A closed store with a dozen changes, and the heads that were signed on the way.
struct Closed {
    fixture: SqliteFixture,
    heads: Vec<SignedHead>,
    last: Revision,
    key: Key,
}

async fn closed() -> Closed {
    let fixture = SqliteFixture::new();
    let (store, world) = fixture.world().await;
    let mut heads = Vec::new();
    let project = world.project("one").await;
    for _ in 0..5 {
        let key = world.key(&project).await;
        world.make(revoked_key(&project, key.id)).await;
        let (revision, hash) = store.head().await.unwrap();
        heads.push(log_keys().sign(store.id(), revision, hash, START));
    }
    let key = world.key(&project).await;
    let key = world.change_key(&project, &key, KeyChange::Revoked { reason: None }).await;
    let last = world.revision().await;
    drop((store, world));
    fixture.close().await;
    Closed { fixture, heads, last, key }
}

impl Closed {
    async fn sql(&self, text: &str) {
        sql(&self.fixture.place().database(), text).await;
    }

    async fn read_only(&self) -> SqliteStore {
        SqliteStore::read_only(&self.fixture.dir(), log_keys(), self.fixture.clock.clone()).await.unwrap()
    }

    async fn verdict(&self, heads: &[SignedHead]) -> LogVerdict {
        self.read_only().await.verify_log(heads).await.unwrap()
    }

    /// The first bad revision, and what is said of it.
    async fn broken(&self, heads: &[SignedHead]) -> (i64, String) {
        match self.verdict(heads).await {
            LogVerdict::Broken { revision, reason } => (revision.0, reason),
            intact => panic!("{intact:?}"),
        }
    }
}

#[tokio::test]
async fn s17_an_untouched_log_is_intact() {
    let closed = closed().await;
    let intact = LogVerdict::Intact { revision: closed.last, heads: 5 };
    assert_eq!(closed.verdict(&closed.heads).await, intact);
    let own = closed.read_only().await.signed_heads().unwrap();
    assert!(own.len() >= 2 && own.last().unwrap().head.revision == closed.last);
    assert!(matches!(closed.verdict(&own).await, LogVerdict::Intact { .. }));
}

#[tokio::test]
async fn s17_an_edited_row_is_named() {
    for edit in [
        "UPDATE log SET body = replace(body, 'test', 'tesT') WHERE revision = 6",
        "UPDATE log SET hash = randomblob(32) WHERE revision = 6",
        "UPDATE log SET hash = x'00' WHERE revision = 6",
        "UPDATE log SET body = CAST(body AS BLOB) || x'ff' WHERE revision = 6",
        "UPDATE log SET project = 'proj_0000000000000000000000' WHERE revision = 6",
        "UPDATE log SET at = at + 1 WHERE revision = 6",
        "UPDATE log SET name = 'key.created' WHERE revision = 6",
        "UPDATE log SET key_id = NULL WHERE revision = 6",
        "UPDATE log SET body = 5 WHERE revision = 6",
    ] {
        let closed = closed().await;
        closed.sql(edit).await;
        assert_eq!(closed.broken(&[]).await.0, 6, "{edit}");
        // Every reader of the log is told, not only the one who verifies.
        let read = closed.read_only().await.changes_since(Revision(0), 100).await;
        if !edit.contains("project") && !edit.contains("at =") && !edit.contains("name") && !edit.contains("key_id")
        {
            assert!(matches!(read, Err(StoreError::Damaged(_))), "{edit}: {read:?}");
        }
    }
}

#[tokio::test]
async fn s17_what_a_change_of_many_is_about_cannot_be_hidden() {
    let fixture = SqliteFixture::new();
    let (_, world) = fixture.world().await;
    let (one, two) = (world.project("one").await, world.project("two").await);
    let keys = [world.key(&one).await, world.key(&one).await, world.key(&two).await];
    let made = world.make(revoked_keys(&[(&one, &[&keys[0], &keys[1]]), (&two, &[&keys[2]])])).await;
    let plain = world.make(revoked_key(&one, keys[0].id)).await;
    drop(world);
    fixture.close().await;
    let closed = Closed { fixture, heads: Vec::new(), last: plain.revision, key: keys[0].clone() };
    assert!(matches!(closed.verdict(&[]).await, LogVerdict::Intact { .. }));
    let key = keys[0].id;
    closed.sql("CREATE TABLE kept AS SELECT * FROM log_subjects").await;
    let moved = plain.revision.0;
    let beyond = moved + 1;
    for (edit, revision) in [
        (format!("DELETE FROM log_subjects WHERE key_id = '{key}'"), made.revision.0),
        ("DELETE FROM log_subjects".to_owned(), made.revision.0),
        ("DELETE FROM log_subjects WHERE project = ''".to_owned(), made.revision.0),
        (format!("UPDATE log_subjects SET key_id = 'key_0' WHERE key_id = '{key}'"), made.revision.0),
        ("UPDATE log_subjects SET at = at + 1".to_owned(), made.revision.0),
        ("UPDATE log_subjects SET at = 'soon'".to_owned(), made.revision.0),
        ("UPDATE log_subjects SET name = 'key.created'".to_owned(), made.revision.0),
        (format!("UPDATE log_subjects SET project = '{}' WHERE key_id = '{key}'", two.id), made.revision.0),
        (format!("UPDATE log_subjects SET revision = {moved} WHERE key_id = '{key}'"), made.revision.0),
        (format!("INSERT INTO log_subjects VALUES ({moved}, 'org_0', '', '', 1, 'keys.revoked')"), moved),
        (format!("INSERT INTO log_subjects VALUES ({beyond}, 'org_0', '', '', 1, 'keys.revoked')"), beyond),
        ("INSERT INTO log_subjects VALUES (-4, 'org_0', '', '', 1, 'keys.revoked')".to_owned(), beyond),
    ] {
        closed.sql(&edit).await;
        let (broken, reason) = closed.broken(&[]).await;
        assert_eq!(broken, revision, "{edit}: {reason}");
        assert!(reason.contains("what it is about"), "{edit}: {reason}");
        // Nor does the store start on it.
        assert!(matches!(closed.fixture.refusal().await, OpenError::Damaged { .. }), "{edit}");
        closed.sql("DELETE FROM log_subjects; INSERT INTO log_subjects SELECT * FROM kept").await;
    }
    assert!(matches!(closed.verdict(&[]).await, LogVerdict::Intact { .. }));
}

#[tokio::test]
async fn s17_a_removed_or_reordered_row_is_named() {
    let closed_one = closed().await;
    closed_one.sql("DELETE FROM log WHERE revision = 7").await;
    let (revision, reason) = closed_one.broken(&[]).await;
    assert_eq!(revision, 7);
    assert!(reason.contains("missing"), "{reason}");

    let closed_one = closed().await;
    closed_one
        .sql(
            "UPDATE log SET revision = -1 WHERE revision = 4; UPDATE log SET revision = 4 WHERE revision = 5;
             UPDATE log SET revision = 5 WHERE revision = -1",
        )
        .await;
    assert_eq!(closed_one.broken(&[]).await.0, 4);

    // Removed, and those after it moved up: the chain still tells.
    let closed_one = closed().await;
    closed_one
        .sql(
            "DELETE FROM log WHERE revision = 3;
             UPDATE log SET revision = -(revision - 1) WHERE revision > 3;
             UPDATE log SET revision = -revision WHERE revision < 0;
             UPDATE store SET head_revision = head_revision - 1",
        )
        .await;
    assert_eq!(closed_one.broken(&[]).await.0, 3);
}

#[tokio::test]
async fn s17_a_cut_tail_is_noticed() {
    let closed = closed().await;
    // Roughly: the head still points beyond.
    closed.sql("DELETE FROM log WHERE revision > 8").await;
    assert_eq!(closed.broken(&[]).await.0, 9);
    assert!(matches!(closed.fixture.refusal().await, OpenError::Damaged { .. }));
    // With care: the head is set back too. Only heads that were signed and kept elsewhere can tell.
    closed.sql("UPDATE store SET head_revision = 8, head_hash = (SELECT hash FROM log WHERE revision = 8)").await;
    assert!(matches!(closed.verdict(&[]).await, LogVerdict::Intact { .. }));
    let (revision, reason) = closed.broken(&closed.heads).await;
    assert_eq!(revision, 9);
    assert!(reason.contains("cut"), "{reason}");
    // The store's own heads tell at the next start, or, where they are gone, its journal.
    let OpenError::Regressed { known, .. } = closed.fixture.refusal().await else { panic!("refused as cut") };
    assert_eq!(known, closed.last);
    std::fs::remove_file(closed.fixture.place().heads()).unwrap();
    assert!(matches!(closed.fixture.refusal().await, OpenError::Regressed { .. }));
}

/// Writes the whole chain anew, from an edited body on, with these keys.
async fn rewrite(closed: &Closed, keys: &LogKeys) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(closed.fixture.place().database());
    let mut connection = options.connect().await.unwrap();
    connection
        .execute("UPDATE log SET body = replace(body, '\"test\"', '\"tesT\"') WHERE revision = 6")
        .await
        .unwrap();
    let rows = sqlx::query("SELECT revision, body FROM log ORDER BY revision").fetch_all(&mut connection).await;
    let mut previous = GENESIS;
    for row in rows.unwrap() {
        let (revision, body): (i64, String) = (row.get("revision"), row.get("body"));
        previous = keys.link(&previous, Revision(revision), body.as_bytes());
        sqlx::query("UPDATE log SET hash = $1 WHERE revision = $2")
            .bind(previous.to_vec())
            .bind(revision)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    sqlx::query("UPDATE store SET head_hash = $1").bind(previous.to_vec()).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn s17_a_chain_written_anew_is_noticed() {
    // With another key: no link holds.
    let other = closed().await;
    rewrite(&other, &LogKeys::new(&[9; 32], &[9; 32])).await;
    assert_eq!(other.broken(&[]).await.0, 1);
    assert!(matches!(other.fixture.refusal().await, OpenError::Damaged { .. }));

    // With the right key of the chain: every link holds, and the first head signed after the edit tells.
    let same = closed().await;
    rewrite(&same, &log_keys()).await;
    assert!(matches!(same.verdict(&[]).await, LogVerdict::Intact { .. }));
    let first_after = same.heads.iter().map(|signed| signed.head.revision.0).find(|at| *at >= 6).unwrap();
    let (revision, reason) = same.broken(&same.heads).await;
    assert_eq!(revision, first_after);
    assert!(reason.contains("anew"), "{reason}");
    assert!(matches!(same.fixture.refusal().await, OpenError::Regressed { .. }));

    // New heads that fit it, signed by somebody who has the chain's key only.
    let forger = LogKeys::new(&[1; 32], &[7; 32]);
    let store = same.read_only().await;
    let (last, hash) = store.head().await.unwrap();
    let forged = forger.sign(store.id(), last, hash, START);
    assert_eq!(same.broken(&[forged]).await.0, last.0);
    std::fs::write(same.fixture.place().heads(), serde_json::to_vec(&forged).unwrap()).unwrap();
    assert!(matches!(same.fixture.refusal().await, OpenError::Damaged { .. }));
}

#[tokio::test]
async fn a_revoked_key_cannot_be_edited_back_to_life() {
    let closed = closed().await;
    // The columns beside a record decide nothing.
    closed.sql("UPDATE keys SET state = 'active'").await;
    let store = closed.read_only().await;
    let found = store.key_by_digest(&closed.key.digest).await.unwrap().value.unwrap().key;
    assert!(matches!(found.state, KeyState::Revoked { .. }));
    store.close().await;
    // The record itself is sealed.
    closed.sql("UPDATE keys SET record = replace(record, '\"revoked\"', '\"active\"')").await;
    let store = closed.read_only().await;
    let read = store.key_by_digest(&closed.key.digest).await;
    assert!(matches!(read, Err(StoreError::Damaged(_))), "{read:?}");
    store.close().await;
}

#[tokio::test]
async fn a_digest_cannot_be_moved_to_another_key() {
    let fixture = SqliteFixture::new();
    let (_, world) = fixture.world().await;
    let (weak, strong) = (world.project("weak").await, world.project("strong").await);
    let (mine, theirs) = (world.key(&weak).await, world.key(&strong).await);
    let management_key = world.management_key("ops").await;
    fixture.close().await;
    // My secret, their key.
    let digest = keyward_core::log::to_hex(mine.digest.as_bytes());
    let move_it = format!(
        "UPDATE digests SET key_id = '{}' WHERE digest = x'{digest}';
         UPDATE management_keys SET digest = x'{digest}'",
        theirs.id
    );
    sql(&fixture.place().database(), &move_it).await;
    let (store, _) = fixture.world().await;
    assert!(matches!(store.key_by_digest(&mine.digest).await, Err(StoreError::Damaged(_))));
    assert!(matches!(store.management_key_by_digest(&mine.digest).await, Err(StoreError::Damaged(_))));
    assert!(store.management_key_by_digest(&management_key.digest).await.unwrap().value.is_none());
    assert!(store.key_by_digest(&theirs.digest).await.unwrap().value.is_some());
}

#[tokio::test]
async fn a_record_that_was_edited_concerns_only_those_who_ask_for_it() {
    let fixture = SqliteFixture::new();
    let (_, world) = fixture.world().await;
    let project = world.project("one").await;
    let (bad, good) = (world.key(&project).await, world.key(&project).await);
    fixture.close().await;
    let edit = format!("UPDATE keys SET record = replace(record, 'ci', 'cj') WHERE id = '{}'", bad.id);
    sql(&fixture.place().database(), &edit).await;
    let world = World::new(fixture.store().await as Arc<dyn Store>, START);
    let both = tokio::join!(
        world.propose(vec![revoked_key(&project, bad.id)]),
        world.propose(vec![revoked_key(&project, good.id)]),
    );
    assert!(matches!(both.0, Err(StoreError::Damaged(_))), "{:?}", both.0);
    let entries: Vec<Entry> = both.1.unwrap();
    assert_eq!(entries.len(), 1);
    assert!(world.store.is_writable().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_are_signed_as_the_log_moves_and_the_file_stays_short() {
    let fixture = SqliteFixture::new();
    let (store, world) = fixture.world().await;
    world.project("one").await;
    // The first is signed at once, later ones at most once a second, and the last at the end.
    let heads = fixture.place().heads();
    while std::fs::read_to_string(&heads).map_or(0, |text| text.lines().count()) == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..50 {
        world.project("more").await;
    }
    let last = world.revision().await;
    drop(world);
    fixture.close().await;
    let signed = store.signed_heads().unwrap();
    assert_eq!(signed.last().unwrap().head.revision, last);
    assert!(signed.iter().all(|head| fixture.keys.has_signed(head)));
    // A file that has grown long is written anew with the newest.
    let line = serde_json::to_string(signed.last().unwrap()).unwrap();
    std::fs::write(&heads, format!("{line}\n").repeat(3_000)).unwrap();
    let (store, world) = fixture.world().await;
    world.project("one more").await;
    drop(world);
    fixture.close().await;
    let signed = store.signed_heads().unwrap();
    assert!(signed.len() <= 1_001, "{}", signed.len());
    assert_eq!(signed.last().unwrap().head.revision, Revision(last.0 + 2));
}
