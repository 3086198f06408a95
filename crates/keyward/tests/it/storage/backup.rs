//! Backups under load (S08), and that restoring one brings no revoked key back (L11).

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use super::{text, without_limit};
use crate::harness::offline::{copy_folder, refused_start};
use crate::harness::{Key, Keyward};

/// Changes that must have happened while backups were made.
const UNDER_WAY: usize = 300;

#[derive(Default)]
struct Ledger {
    made: Vec<Key>,
    /// Secrets whose revocation was asked for, and those where it was acknowledged.
    asked: Vec<String>,
    revoked: Vec<String>,
}

impl Ledger {
    fn writes(&self) -> usize {
        self.made.len() + self.revoked.len()
    }
}

fn write(keyward: &Keyward, ledger: &Mutex<Ledger>, stop: &AtomicBool) {
    let mut caller = keyward.controller();
    let mut ask = |path: &str, status: u16| -> Value {
        let told = caller.ask(&keyward.order(path, &json!({})));
        assert_eq!(told.status, status, "{}", String::from_utf8_lossy(&told.body));
        serde_json::from_slice(&told.body).unwrap()
    };
    let keys = format!("/v1/projects/{}/keys", keyward.project());
    for step in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let made = ask(&keys, 201);
        let key = Key { id: text(&made, "/key/id"), secret: text(&made, "/secret") };
        ledger.lock().unwrap().made.push(key.clone());
        if step % 2 == 0 {
            ledger.lock().unwrap().asked.push(key.secret.clone());
            ask(&format!("/v1/keys/{}/revoke", key.id), 200);
            ledger.lock().unwrap().revoked.push(key.secret);
        }
    }
}

/// A backup through the CLI: its path.
fn back_up(keyward: &Keyward) -> String {
    let (code, stdout, stderr) = keyward.cli(&["backup", "create", "--json"]);
    assert_eq!(code, 0, "{stderr}");
    text(&serde_json::from_str(&stdout).unwrap(), "/path")
}

#[test]
fn s08_a_backup_under_load_restores_whole() {
    let mut keyward = Keyward::dev("standard");
    without_limit(&keyward);
    let (ledger, stop) = (Mutex::new(Ledger::default()), AtomicBool::new(false));
    let (path, before, after) = std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| write(&keyward, &ledger, &stop));
        }
        let (began, first) = (Instant::now(), ledger.lock().unwrap().writes());
        loop {
            let before = ledger.lock().unwrap().made.len();
            let path = back_up(&keyward);
            let known = ledger.lock().unwrap();
            if known.writes() - first >= UNDER_WAY {
                let writes = known.writes() - first;
                eprintln!(
                    "{writes} writes, {:.0}/s while backing up",
                    writes as f64 / began.elapsed().as_secs_f64()
                );
                let after = known.made.len();
                drop(known);
                // Something that the backup does not have.
                crate::harness::eventually("more keys", || {
                    (ledger.lock().unwrap().made.len() > after + 20).then_some(())
                });
                stop.store(true, Ordering::SeqCst);
                return (path, before, after);
            }
        }
    });
    assert_eq!(keyward.stop(), Some(0));
    let ledger = ledger.into_inner().unwrap();
    let told = keyward.offline(&["restore", &path, "--yes", "--json"]).expect_done().json();
    assert_eq!(told["journal"]["unreadable"], 0, "{told}");
    keyward.expect_database_whole();
    keyward.expect_log_intact();
    keyward.restart();
    let asked: std::collections::HashSet<&String> = ledger.asked.iter().collect();
    for (number, key) in ledger.made.iter().enumerate() {
        let is_valid = keyward.is_valid(&key.secret);
        if asked.contains(&key.secret) {
            assert!(!is_valid, "{} was revoked before or after the backup", key.id);
        } else if number < before {
            assert!(is_valid, "{} was there before the backup", key.id);
        } else if number >= after {
            assert!(!is_valid, "{} was made after the backup", key.id);
        }
    }
    keyward.make(keyward.project(), json!({}));
    assert_eq!(keyward.stop(), Some(0));
    keyward.expect_log_intact();
    let names = std::fs::read_dir(keyward.dir().join("backups")).unwrap();
    for backup in names.map(|entry| entry.unwrap().path()) {
        // No secret that opens anything is in a backup.
        let secrets = std::fs::read_to_string(keyward.dir().join("secrets.toml")).unwrap();
        let kept: Vec<_> = secrets.lines().filter_map(|line| line.split('"').nth(1)).collect();
        let traces = crate::harness::traces::Traces::of(kept);
        traces.must_not_be_in(&backup.display().to_string(), std::fs::read(&backup).unwrap());
    }
}

#[test]
fn l11_a_restore_brings_no_revoked_key_back() {
    let mut keyward = Keyward::dev("standard");
    let make =
        |count: usize| -> Vec<Key> { (0..count).map(|_| keyward.make(keyward.project(), json!({}))).collect() };
    let (revoked, at_once, rotated, disabled, kept) = (make(20), make(10), make(10), make(10), make(3));
    let (suspended, _) = keyward.new_project("suspended");
    let (deleted, its_project, _) = keyward.new_organization("deleted");
    let walled = [keyward.make(&suspended, json!({})), keyward.make(&its_project, json!({}))];
    let backup = back_up(&keyward);

    revoked.iter().for_each(|key| drop(keyward.revoke(&key.id).expect(200)));
    let ids: Vec<_> = at_once.iter().map(|key| key.id.clone()).collect();
    keyward.post("/v1/revocations", json!({"keys": ids})).expect(200);
    rotated.iter().for_each(|key| drop(keyward.rotate(&key.id, json!({"overlap_seconds": 0})).expect(201)));
    disabled
        .iter()
        .for_each(|key| drop(keyward.post(&format!("/v1/keys/{}/disable", key.id), json!({})).expect(200)));
    keyward.post(&format!("/v1/projects/{suspended}/suspend"), json!({})).expect(200);
    keyward.delete(&format!("/v1/organizations/{deleted}")).expect(200);
    let dead: Vec<&Key> = [&revoked[..], &at_once, &rotated, &disabled, &walled].into_iter().flatten().collect();
    assert!(dead.len() >= 50);
    assert_eq!(keyward.stop(), Some(0));

    // By hand: the old file in the place of the new one is noticed, by the signed heads and by the journal.
    let copy = copy_folder(&keyward.dir(), &keyward.folder().join("copy"));
    std::fs::copy(&backup, copy.join("keyward.db")).unwrap();
    refused_start(&copy, &["old copy was put in its place", "keyward restore"]);
    std::fs::remove_file(copy.join("heads.jsonl")).unwrap();
    refused_start(&copy, &["old copy was put in its place", "keyward restore"]);

    let told = keyward.offline(&["restore", &backup, "--yes"]).expect_done();
    assert!(told.stdout.contains("made again"), "{told:?}");
    keyward.expect_log_intact();
    keyward.restart();
    for key in &dead {
        assert!(!keyward.is_valid(&key.secret), "{} came back", key.id);
    }
    for key in &kept {
        assert!(keyward.is_valid(&key.secret), "{} was never touched", key.id);
    }
    let log = keyward.get("/v1/changes?limit=200").expect(200).json();
    let names: Vec<_> = log["items"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect();
    assert!(names.contains(&json!("store.restored")), "{names:?}");
}
