//! Disks that fail (S02, L03, S18) and disks that are full (S03): what the callers see of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::faulty::Faulty;
use super::{attempt, metric, text, without_limit};
use crate::harness::{Key, Keyward};

/// Whether both the check listener and the gateway grant this secret.
fn is_granted(keyward: &Keyward, secret: &str) -> bool {
    let credential = format!("Bearer {secret}");
    keyward.is_valid(secret) && keyward.call("GET", "/v1/hello", &[("Authorization", &credential)]).status == 200
}

fn expect_not_ready(keyward: &Keyward) {
    let reply = keyward.get("/readyz").expect(503).json();
    assert_eq!(reply["status"], "not ready", "{reply}");
    assert!(reply["reasons"].to_string().contains("written"), "{reply}");
    keyward.get("/healthz").expect(200);
}

#[test]
fn s02_after_a_failed_sync_nothing_is_acknowledged() {
    let mut faulty = Faulty::dev();
    let key = faulty.keyward.make(faulty.keyward.project(), json!({}));
    faulty.keyward.get("/readyz").expect(200);
    faulty.set("sync keyward.db-wal EIO");
    let keyward = &faulty.keyward;
    let reply = keyward.create(keyward.project(), json!({})).expect_problem(503, "outcome_unknown");
    assert!(!reply.text.contains("kw_live_"), "{}", reply.text);
    // The next sync would succeed, and would say nothing of what the failed one lost.
    faulty.clear();
    for path in ["revoke", "rotate", "disable"] {
        let path = format!("/v1/keys/{}/{path}", key.id);
        keyward.post(&path, json!({})).expect_problem(503, "unavailable");
    }
    keyward.create(keyward.project(), json!({})).expect_problem(503, "unavailable");
    assert!(is_granted(keyward, &key.secret) && is_granted(keyward, &keyward.first_key().secret));
    expect_not_ready(keyward);
    assert_eq!(metric(keyward, "keyward_store_failed"), 1.0);
    keyward.get(&format!("/v1/keys/{}", key.id)).expect(200);

    faulty.restart_on_a_good_disk();
    let keyward = &faulty.keyward;
    keyward.get("/readyz").expect(200);
    assert!(keyward.is_valid(&key.secret));
    keyward.revoke(&key.id).expect(200);
    assert!(!keyward.is_valid(&key.secret));
    keyward.expect_log_intact();
}

/// What a writer was told before and after a commit failed.
#[derive(Default)]
struct Told {
    live: Vec<Key>,
    dead: Vec<String>,
    not_made: Vec<String>,
    unknown: usize,
}

/// Makes keys and revokes every other one, until it is told that nothing is written any more.
fn write_until_refused(keyward: &Keyward, told: &Mutex<Told>, numbers: &AtomicUsize) {
    let keys = format!("/v1/projects/{}/keys", keyward.project());
    loop {
        let number = numbers.fetch_add(1, Ordering::SeqCst);
        let name = format!("number {number}");
        let (status, made) = attempt(keyward, &keys, json!({"name": name})).unwrap();
        match (status, made["code"].as_str()) {
            (201, _) => {}
            (503, Some("outcome_unknown")) => {
                told.lock().unwrap().unknown += 1;
                continue;
            }
            (503, Some("unavailable")) => return told.lock().unwrap().not_made.push(name),
            _ => panic!("{status}: {made}"),
        }
        let key = Key { id: text(&made, "/key/id"), secret: text(&made, "/secret") };
        if number.is_multiple_of(2) {
            told.lock().unwrap().live.push(key);
            continue;
        }
        match attempt(keyward, &format!("/v1/keys/{}/revoke", key.id), json!({})).unwrap() {
            (200, _) => told.lock().unwrap().dead.push(key.secret),
            (503, problem) if problem["code"] == "outcome_unknown" => told.lock().unwrap().unknown += 1,
            (503, _) => told.lock().unwrap().live.push(key),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn l03_an_unknown_commit_is_never_success() {
    // A sync or a write in the middle of a transaction, some way into the load.
    for rule in ["sync keyward.db-wal EIO 12", "write keyward.db-wal EIO 155"] {
        let mut faulty = Faulty::dev();
        without_limit(&faulty.keyward);
        let (told, numbers) = (Mutex::new(Told::default()), AtomicUsize::new(0));
        faulty.set(rule);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| write_until_refused(&faulty.keyward, &told, &numbers));
            }
        });
        faulty.restart_on_a_good_disk();
        let (keyward, told) = (&faulty.keyward, told.into_inner().unwrap());
        eprintln!("{rule}: {} live, {} dead, {} unknown", told.live.len(), told.dead.len(), told.unknown);
        assert!(!told.live.is_empty() && told.not_made.len() == 8, "{rule}");
        for key in &told.live {
            assert!(keyward.is_valid(&key.secret), "{rule}: {} was acknowledged", key.id);
        }
        for secret in &told.dead {
            assert!(!keyward.is_valid(secret), "{rule}: its revocation was acknowledged");
        }
        for name in &told.not_made {
            let path = format!("/v1/projects/{}/keys?name={}", keyward.project(), name.replace(' ', "%20"));
            let found = keyward.get(&path).expect(200).json();
            assert_eq!(found["items"], json!([]), "{rule}: nothing was written, it was said");
        }
        keyward.expect_log_intact();
    }
}

#[test]
fn s03_a_full_disk_refuses_writes_and_recovers() {
    let faulty = Faulty::dev();
    let keyward = &faulty.keyward;
    let key = keyward.make(keyward.project(), json!({}));
    let (stop, granted) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while !stop.load(Ordering::SeqCst) {
                        assert!(is_granted(keyward, &key.secret), "refused while the disk was full");
                        granted.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let so_far = || granted.load(Ordering::SeqCst);
        for rule in ["write keyward.db-wal ENOSPC", "all keyward/ ENOSPC", "write keyward.db-wal ENOSPC 2"] {
            let other = keyward.make(keyward.project(), json!({}));
            faulty.set(rule);
            let before = so_far();
            // With some calls let pass the first change may still find room.
            let outcome = keyward.revoke(&other.id);
            assert!(outcome.status == 507 || rule.ends_with('2'), "{rule}: {}", outcome.text);
            for _ in 0..3 {
                keyward.create(keyward.project(), json!({})).expect_problem(507, "storage_full");
            }
            assert!(is_granted(keyward, &other.secret) == (outcome.status != 200));
            expect_not_ready(keyward);
            assert_eq!(metric(keyward, "keyward_store_full"), 1.0);
            crate::harness::eventually("calls while it is full", || (so_far() > before + 4).then_some(()));
            faulty.clear();
            // Without a restart, and without a wait.
            keyward.revoke(&other.id).expect(200);
            assert!(!keyward.is_valid(&other.secret));
            keyward.get("/readyz").expect(200);
            assert_eq!(metric(keyward, "keyward_store_full"), 0.0);
        }
        stop.store(true, Ordering::SeqCst);
        for caller in callers {
            caller.join().unwrap();
        }
    });
    eprintln!("{} calls to each door, all granted", granted.load(Ordering::SeqCst));
    keyward.expect_log_intact();
}

#[test]
fn s18_a_journal_that_cannot_be_written_stops_mutations_not_verification() {
    let mut faulty = Faulty::dev();
    let key = faulty.keyward.make(faulty.keyward.project(), json!({}));
    let restrictions: [(&str, Value); 3] =
        [("revoke", json!({})), ("disable", json!({})), ("rotate", json!({"overlap_seconds": 0}))];
    let keyward = &faulty.keyward;
    let failures = || metric(keyward, "keyward_store_journal_failed_total");
    for (rule, status, code) in [
        ("write restrictive.journal ENOSPC", 507, "storage_full"),
        ("sync restrictive.journal ENOSPC", 507, "storage_full"),
        ("sync restrictive.journal EIO", 503, "unavailable"),
    ] {
        faulty.set(rule);
        let before = failures();
        for (action, body) in &restrictions {
            keyward.post(&format!("/v1/keys/{}/{action}", key.id), body.clone()).expect_problem(status, code);
        }
        assert!(failures() > before, "{rule} is not counted");
        assert!(is_granted(keyward, &key.secret), "{rule}");
        assert_eq!(keyward.key(&key.id)["state"], "active", "{rule}");
        if status == 507 {
            faulty.clear();
            let other = keyward.make(keyward.project(), json!({}));
            keyward.revoke(&other.id).expect(200);
        }
    }
    // A disk that failed is not trusted again.
    faulty.clear();
    keyward.create(keyward.project(), json!({})).expect_problem(503, "unavailable");
    expect_not_ready(keyward);
    assert!(is_granted(keyward, &key.secret));
    faulty.restart_on_a_good_disk();
    let keyward = &faulty.keyward;
    assert!(keyward.is_valid(&key.secret));
    keyward.revoke(&key.id).expect(200);
    assert!(!keyward.is_valid(&key.secret));
    keyward.expect_log_intact();
}
