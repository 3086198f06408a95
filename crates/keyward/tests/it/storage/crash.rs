//! kill -9 at any moment (S01): what was answered with success stands after the next start.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::{Numbers, attempt, text, without_limit};
use crate::harness::{Key, Keyward};

const ROUNDS: usize = 21;
const WRITERS: usize = 4;

/// What the server has answered with success.
#[derive(Default)]
struct Acknowledged {
    live: Vec<Key>,
    dead: Vec<String>,
}

/// Writes until the server is gone. Counts each success, and kills the server at its `last` one.
fn write(
    keyward: &Keyward,
    acknowledged: &Mutex<Acknowledged>,
    (count, last): (&AtomicUsize, usize),
    delay: Duration,
) {
    let succeeded = || {
        if count.fetch_add(1, Ordering::SeqCst) + 1 == last {
            // Not waiting for anything: it moves the kill to another point of the others' commits.
            std::thread::sleep(delay);
            let pid = rustix::process::Pid::from_raw(keyward.pid() as i32).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
    };
    let keys = format!("/v1/projects/{}/keys", keyward.project());
    for step in 0.. {
        let Some((status, made)) = attempt(keyward, &keys, json!({})) else { return };
        assert_eq!(status, 201, "{made}");
        let key = Key { id: text(&made, "/key/id"), secret: text(&made, "/secret") };
        succeeded();
        if step % 3 == 0 {
            acknowledged.lock().unwrap().live.push(key);
            continue;
        }
        let (action, body) =
            if step % 3 == 1 { ("revoke", json!({})) } else { ("rotate", json!({"overlap_seconds": 0})) };
        // Once it was asked for, the key may be dead even if no answer comes.
        let Some((status, done)) = attempt(keyward, &format!("/v1/keys/{}/{action}", key.id), body) else { return };
        assert!(status == 200 || status == 201, "{done}");
        let mut known = acknowledged.lock().unwrap();
        known.dead.push(key.secret);
        if action == "rotate" {
            known.live.push(Key { id: text(&done, "/key/id"), secret: text(&done, "/secret") });
        }
        drop(known);
        succeeded();
    }
}

fn check(keyward: &Keyward, known: &Acknowledged) {
    for key in &known.live {
        assert!(keyward.is_valid(&key.secret), "{} was made, and is gone", key.id);
    }
    for secret in &known.dead {
        assert!(!keyward.is_valid(secret), "{secret} was revoked, and is accepted");
    }
}

#[test]
fn s01_acknowledged_writes_survive_kill_9() {
    let mut keyward = Keyward::dev("standard");
    without_limit(&keyward);
    let mut numbers = Numbers(0x5eed);
    let mut all = Acknowledged::default();
    for _ in 0..ROUNDS {
        let (known, count) = (Mutex::new(Acknowledged::default()), AtomicUsize::new(0));
        let last = 1 + numbers.below(25) as usize;
        let delay = Duration::from_micros(numbers.below(4_000));
        std::thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| write(&keyward, &known, (&count, last), delay));
            }
        });
        keyward.restart();
        let known = known.into_inner().unwrap();
        check(&keyward, &known);
        keyward.expect_log_intact();
        all.live.extend(known.live);
        all.dead.extend(known.dead);
    }
    eprintln!("{ROUNDS} kills; {} keys live, {} dead", all.live.len(), all.dead.len());
    assert!(all.live.len() > ROUNDS && all.dead.len() > ROUNDS);
    check(&keyward, &all);
    assert_eq!(keyward.stop(), Some(0));
    keyward.expect_database_whole();
}
