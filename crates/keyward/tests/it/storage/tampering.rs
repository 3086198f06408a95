//! Somebody edits the database of a stopped server with another program (S17): `keyward log verify` names the
//! first bad revision, and a start is refused where the log is not the one whose head was signed.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keyward_core::change::Revision;
use keyward_core::log::{LogKeys, from_hex, to_hex};
use serde_json::{Value, json};

use crate::harness::Keyward;
use crate::harness::offline::{copy_folder, refused_start, run, sql};

/// A stopped server's folder, and copies of it to edit.
struct Stopped {
    keyward: Keyward,
    /// The revision at which a key with a name was made.
    named: i64,
    last: i64,
}

fn stopped() -> Stopped {
    let mut keyward = Keyward::dev("standard");
    for number in 0..8 {
        let key = keyward.make(keyward.project(), json!({"name": format!("number {number}")}));
        keyward.revoke(&key.id).expect(200);
    }
    assert_eq!(keyward.stop(), Some(0));
    keyward.expect_log_intact();
    let last = keyward.sql("SELECT MAX(revision) FROM log")[0].parse().unwrap();
    let named = "SELECT MIN(revision) FROM log WHERE name = 'key.created' AND body LIKE '%number 0%'";
    let named = keyward.sql(named)[0].parse().unwrap();
    Stopped { keyward, named, last }
}

/// An edited copy of a folder.
struct Edited(PathBuf);

impl Stopped {
    fn edited(&self, name: &str, statements: &str) -> Edited {
        let dir = copy_folder(&self.keyward.dir(), &self.keyward.folder().join(name));
        sql(&dir.join("keyward.db"), statements);
        Edited(dir)
    }
}

impl Edited {
    /// Panics unless this revision is named as the first bad one, to people and to programs.
    #[track_caller]
    fn expect_broken(&self, revision: i64, word: &str) -> &Self {
        let ran = run(&self.0, &["log", "verify", "--offline", "--json"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        let verdict: Value = serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
        assert_eq!((&verdict["result"], &verdict["revision"]), (&json!("broken"), &json!(revision)), "{verdict}");
        assert!(verdict["reason"].as_str().unwrap().contains(word), "{verdict}");
        let words = format!("broken at revision {revision}:");
        run(&self.0, &["log", "verify", "--offline"]).expect_refused(&[&words, word]);
        self
    }
}

#[test]
fn s17_an_edited_row_is_named() {
    let stopped = stopped();
    let edits = [
        ("body", "body = replace(body, 'number', 'Number')"),
        ("space", "body = body || ' '"),
        ("name", "name = 'key.renamed'"),
        ("time", "at = at + 1"),
        ("key", "key_id = 'key_0000000000000000000000'"),
        ("hash", "hash = zeroblob(32)"),
    ];
    for (name, edit) in edits {
        let named = stopped.named;
        let edited = stopped.edited(name, &format!("UPDATE log SET {edit} WHERE revision = {named}"));
        edited.expect_broken(named, "");
        refused_start(&edited.0, &[&named.to_string(), "damaged"]);
    }
}

#[test]
fn s17_a_deleted_row_is_named() {
    let stopped = stopped();
    let edited = stopped.edited("one", "DELETE FROM log WHERE revision = 7");
    refused_start(&edited.expect_broken(7, "missing").0, &["7"]);
    // With the later ones moved up, so that no number is missing.
    let last = stopped.last;
    let moves: Vec<_> =
        (8..=last).map(|n| format!("UPDATE log SET revision = {} WHERE revision = {n}", n - 1)).collect();
    let head = format!("UPDATE store SET head_revision = {}", last - 1);
    let closed_up = format!("DELETE FROM log WHERE revision = 7;;{};;{head}", moves.join(";;"));
    let edited = stopped.edited("closed up", &closed_up);
    refused_start(&edited.expect_broken(7, "follow").0, &["7"]);
}

#[test]
fn s17_two_swapped_rows_are_named() {
    let stopped = stopped();
    let edited = stopped.edited(
        "swapped",
        "UPDATE log SET revision = -1 WHERE revision = 9;;UPDATE log SET revision = 9 WHERE revision = 10;;\
         UPDATE log SET revision = 10 WHERE revision = -1",
    );
    refused_start(&edited.expect_broken(9, "follow").0, &["9"]);
}

#[test]
fn s17_a_cut_tail_is_named() {
    let stopped = stopped();
    let end = stopped.last - 4;
    let cut = format!("DELETE FROM log WHERE revision > {end}");
    let edited = stopped.edited("head left", &cut);
    refused_start(&edited.expect_broken(end + 1, "missing").0, &["is missing"]);
    let moved = format!(
        "UPDATE store SET head_revision = {end}, head_hash = (SELECT hash FROM log WHERE revision = {end})"
    );
    let edited = stopped.edited("head moved", &format!("{cut};;{moved}"));
    edited.expect_broken(end + 1, "tail was cut");
    refused_start(&edited.0, &["tail was cut", "keyward restore"]);
    // Without the signed heads the journal still knows of the revocations.
    std::fs::remove_file(edited.0.join("heads.jsonl")).unwrap();
    refused_start(&edited.0, &["tail was cut", "keyward restore"]);
    // And rows behind the end are no log either.
    let behind = format!(
        "UPDATE store SET head_revision = {end}, head_hash = (SELECT hash FROM log WHERE revision = {end})"
    );
    stopped.edited("behind", &behind).expect_broken(end + 1, "beyond");
}

/// Statements that write the log anew from `from` on: other words, and links under these keys.
fn rewrite(keyward: &Keyward, from: i64, keys: &LogKeys) -> String {
    let hash = &keyward.sql(&format!("SELECT hash FROM log WHERE revision = {}", from - 1))[0];
    let mut previous: [u8; 32] = from_hex(hash).unwrap().try_into().unwrap();
    let mut statements = Vec::new();
    for (revision, body) in
        (from..).zip(keyward.sql(&format!("SELECT body FROM log WHERE revision >= {from} ORDER BY revision")))
    {
        let body = body.replace("number", "Number");
        previous = keys.link(&previous, Revision(revision), body.as_bytes());
        let (body, hash) = (body.replace('\'', "''"), to_hex(&previous));
        statements.push(format!("UPDATE log SET body = '{body}', hash = x'{hash}' WHERE revision = {revision}"));
    }
    statements.push(format!("UPDATE store SET head_hash = x'{}'", to_hex(&previous)));
    statements.join(";;")
}

#[test]
fn s17_a_chain_written_anew_is_named() {
    let stopped = stopped();
    let keyward = &stopped.keyward;
    // Under keys of his own, from the first new link on.
    let others = LogKeys::new(&[7; 32], &[8; 32]);
    let edited = stopped.edited("own keys", &rewrite(keyward, 8, &others));
    refused_start(&edited.expect_broken(8, "follow").0, &["8"]);
    // Even with the chain's key: the heads that were signed meanwhile are others.
    let secrets = std::fs::read_to_string(keyward.dir().join("secrets.toml")).unwrap();
    let line = secrets.lines().find(|line| line.starts_with("chain_key")).unwrap();
    let chain = STANDARD.decode(line.split('"').nth(1).unwrap()).unwrap().try_into().unwrap();
    let thief = LogKeys::new(&chain, &[8; 32]);
    let edited = stopped.edited("the chain's key", &rewrite(keyward, 8, &thief));
    let heads = std::fs::read_to_string(keyward.dir().join("heads.jsonl")).unwrap();
    let signed = heads.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()?["revision"].as_i64());
    let first = signed.filter(|revision| *revision >= 8).min().unwrap();
    edited.expect_broken(first, "written anew");
    refused_start(&edited.0, &["another entry", "keyward restore"]);
}
