//! kill -9 under load (Q02): what a node held of a quota is lost, and nothing is ever given twice.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::harness::Keyward;

const ROUNDS: u64 = 24;
const CLIENTS: usize = 8;
const LIMIT: u64 = 15_000;
/// The most that a node holds of a quota.
const BLOCK: u64 = 256;

/// What clients saw.
#[derive(Default)]
struct Seen {
    granted: AtomicU64,
    /// Asked, and never answered: these may have been granted.
    unanswered: AtomicU64,
}

/// Asks until the server is gone, and kills it at the `last` grant of all clients' together.
fn ask_until_killed(keyward: &Keyward, secret: &str, (seen, last): (&Seen, u64)) {
    let (mut checker, question) = (keyward.checker(), keyward.question(&json!({"key": secret})));
    loop {
        let Some(told) = checker.try_ask(&question) else {
            seen.unanswered.fetch_add(1, Ordering::SeqCst);
            return;
        };
        assert!(told.is_grant(), "{}", String::from_utf8_lossy(&told.body));
        if seen.granted.fetch_add(1, Ordering::SeqCst) + 1 == last {
            let pid = rustix::process::Pid::from_raw(keyward.pid() as i32).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
    }
}

#[test]
fn q02_kill_9_under_load_loses_what_was_held_and_grants_nothing_twice() {
    let mut keyward = Keyward::dev("getprofile");
    keyward.lift_limits();
    keyward.set_limits(keyward.project(), json!({"monthly": {"limit": LIMIT}}));
    let secret = keyward.first_key().secret;
    let seen = Seen::default();
    for round in 0..ROUNDS {
        // Other points of a block each time, and sometimes the middle of the taking of one.
        let last = seen.granted.load(Ordering::SeqCst) + 1 + round * 37 % 300;
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| ask_until_killed(&keyward, &secret, (&seen, last)));
            }
        });
        keyward.restart();
        let (granted, used) = (seen.granted.load(Ordering::SeqCst), keyward.used_of(keyward.project(), "monthly"));
        let most = granted + seen.unanswered.load(Ordering::SeqCst) + (round + 1) * BLOCK;
        assert!((granted..=most.min(LIMIT)).contains(&used), "round {round}: {granted} granted, {used} used");
    }
    // What is left is given to the last unit, and no further.
    let (mut checker, question) = (keyward.checker(), keyward.question(&json!({"key": secret})));
    let mut granted = seen.granted.into_inner();
    while checker.ask(&question).is_grant() {
        granted += 1;
    }
    let stranded = LIMIT.checked_sub(granted).expect("more was granted than there is");
    let unanswered = seen.unanswered.into_inner();
    eprintln!("{ROUNDS} kills: {granted} granted, {stranded} stranded, {unanswered} unanswered");
    assert!(stranded <= ROUNDS * BLOCK + unanswered, "{stranded} stranded");
    assert_eq!(keyward.used_of(keyward.project(), "monthly"), LIMIT);
    assert!(granted > LIMIT / 4);
}
