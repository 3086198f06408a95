//! Files that are damaged (S04), held or gone (S05), or of a newer Keyward (S07).

use std::path::Path;

use serde_json::json;

use crate::harness::Keyward;
use crate::harness::offline::{copy_folder, refused_start, sql};

const PAGE: usize = 4096;

/// A stopped Keyward with a few keys in its folder.
fn stopped() -> Keyward {
    let mut keyward = Keyward::dev("standard");
    for _ in 0..5 {
        let key = keyward.make(keyward.project(), json!({"name": "a key"}));
        keyward.revoke(&key.id).expect(200);
    }
    assert_eq!(keyward.stop(), Some(0));
    keyward
}

#[test]
fn s04_a_damaged_file_is_refused_with_advice() {
    let keyward = stopped();
    let whole = std::fs::read(keyward.dir().join("keyward.db")).unwrap();
    assert_eq!(keyward.sql("PRAGMA freelist_count"), ["0"], "every page is in use");
    let copy = copy_folder(&keyward.dir(), &keyward.folder().join("copy"));
    let database = copy.join("keyward.db");
    let refused = |damaged: &[u8], words: &[&str]| {
        std::fs::write(&database, damaged).unwrap();
        refused_start(&copy, &[words, &["keyward.db", "keyward restore"]].concat());
        assert_eq!(std::fs::read(&database).unwrap(), damaged, "what is damaged is left as it is");
    };
    refused(b"", &["missing or empty"]);
    refused(b"SQLite", &["damaged"]);
    refused(&[0; 2 * PAGE], &["damaged"]);
    refused(&whole[..whole.len() / 2], &["damaged"]);
    refused(&whole[..whole.len() - PAGE], &["damaged"]);
    // Every third page, the first and the last: as a disk that lost a block gives it back.
    for page in (0..whole.len() / PAGE).step_by(3).chain([whole.len() / PAGE - 1]) {
        let mut damaged = whole.clone();
        damaged[page * PAGE..(page + 1) * PAGE].iter_mut().for_each(|byte| *byte ^= 0xa5);
        refused(&damaged, &["damaged"]);
    }
    let told = crate::harness::offline::run(&copy, &["doctor"]);
    assert!(told.code == 1 && told.stdout.contains("damaged"), "{told:?}");
    std::fs::remove_file(&database).unwrap();
    refused_start(&copy, &["missing or empty", "keyward restore", "new, empty store is not made"]);
    assert!(!database.exists());
}

#[test]
fn s05_a_second_process_is_refused() {
    let keyward = Keyward::dev("standard");
    let dir = keyward.dir();
    let (pid, path) = (keyward.pid().to_string(), dir.display().to_string());
    let words = [pid.as_str(), path.as_str(), "in use"];
    assert_eq!(refused_start(&dir, &words).code, 1);
    let backup = keyward.post("/v1/backups", json!({})).expect(201).json();
    let backup = backup["path"].as_str().unwrap();
    for command in [&["restore", backup, "--yes"][..], &["init", "--new-management-key"], &["pepper", "add"]] {
        let ran = keyward.offline(command);
        // A new pepper is a line in a file, and no business of the store's.
        assert!(ran.code == 0 || ran.stderr.contains("in use"), "{command:?}: {ran:?}");
        assert!(ran.code != 0 || command[0] == "pepper", "{command:?}: {ran:?}");
    }
    assert!(keyward.is_valid(&keyward.first_key().secret));
    keyward.make(keyward.project(), json!({}));
    keyward.expect_log_intact();
}

#[test]
fn s05_a_deleted_database_stops_writes() {
    let mut keyward = Keyward::dev("standard");
    let key = keyward.make(keyward.project(), json!({}));
    assert!(keyward.is_valid(&key.secret));
    let database = keyward.dir().join("keyward.db");
    let aside = keyward.folder().join("aside.db");
    std::fs::rename(&database, &aside).unwrap();
    // What would be written now would be in no file that anybody finds again.
    keyward.revoke(&key.id).expect_problem(503, "unavailable");
    keyward.create(keyward.project(), json!({})).expect_problem(503, "unavailable");
    keyward.get("/readyz").expect(503);
    assert!(keyward.is_valid(&key.secret));
    assert!(!database.exists(), "no other is made in its place");
    keyward.kill();
    refused_start(&keyward.dir(), &["missing or empty", "put the file back"]);
    std::fs::rename(&aside, &database).unwrap();
    keyward.restart();
    assert!(keyward.is_valid(&key.secret));
    keyward.revoke(&key.id).expect(200);

    // Another file in its place is no better.
    let key = keyward.make(keyward.project(), json!({}));
    let copy = keyward.folder().join("copy.db");
    std::fs::copy(&database, &copy).unwrap();
    std::fs::rename(&copy, &database).unwrap();
    keyward.revoke(&key.id).expect_problem(503, "unavailable");
    assert!(keyward.is_valid(&key.secret));
}

fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with("keyward.lock"))
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect();
    found.sort();
    found
}

#[test]
fn s07_a_newer_schema_is_refused() {
    let mut keyward = stopped();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'of tomorrow', 1, x'00', 1)";
    sql(&keyward.dir().join("keyward.db"), newer);
    let before = contents(&keyward.dir());
    refused_start(
        &keyward.dir(),
        &["schema version 9999", "knows versions up to", "newer Keyward", "Nothing was changed"],
    );
    // Reading it leaves SQLite's index and an empty write-ahead log; nothing else was written, not a byte.
    let (after, mut left): (Vec<_>, Vec<_>) =
        contents(&keyward.dir()).into_iter().partition(|(name, _)| before.iter().any(|(was, _)| was == name));
    assert!(after == before, "what was there was changed");
    left.retain(|(name, content)| !(name.ends_with("-shm") || name.ends_with("-wal") && content.is_empty()));
    assert!(left.is_empty(), "{left:?}");
    keyward.offline(&["log", "verify", "--offline"]).expect_refused(&["schema version 9999"]);
    let told = keyward.offline(&["doctor"]);
    assert!(told.code == 1 && (told.stdout.clone() + &told.stderr).contains("schema version 9999"), "{told:?}");
    sql(&keyward.dir().join("keyward.db"), "DELETE FROM _sqlx_migrations WHERE version = 9999");
    keyward.restart();
    keyward.make(keyward.project(), json!({}));
}
