//! A quota under load (Q01, Q03): sixty-four clients on one key, through `/v1/verify` and through the gateway, and
//! counts that come out exact.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::harness::{Keyward, eventually};

const CLIENTS: usize = 64;
const EACH: u64 = 100;
const LIMIT: u64 = 5_000;

/// What a project's usage adds up to for an outcome.
fn counted(keyward: &Keyward, outcome: &str) -> u64 {
    let path = format!("/v1/projects/{}/usage?by=outcome&step=day", keyward.project());
    let usage = keyward.get(&path).expect(200).json();
    let items = usage["items"].as_array().unwrap();
    items.iter().filter(|item| item["outcome"] == outcome).map(|item| item["count"].as_u64().unwrap()).sum()
}

#[test]
fn q01_q03_sixty_four_clients_on_one_key_get_exactly_the_quota() {
    let mut keyward = Keyward::dev("getprofile");
    keyward.lift_limits();
    keyward.set_limits(keyward.project(), json!({"monthly": {"limit": LIMIT}}));
    let key = keyward.first_key();
    let (granted, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let question = keyward.question(&json!({"key": key.secret}));
    let request = keyward.request("/v1/profile/abc123", &key.secret);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (keyward, question, request) = (&keyward, &question, &request);
            let (granted, refused) = (&granted, &refused);
            scope.spawn(move || {
                let verifies = client % 2 == 0;
                let mut caller = if verifies { keyward.checker() } else { keyward.caller() };
                for _ in 0..EACH {
                    let told = caller.ask(if verifies { question } else { request });
                    let is_granted = match (verifies, told.status) {
                        (true, 200) => told.is_grant(),
                        (false, 200) => true,
                        (false, 429) => false,
                        _ => panic!("{}: {}", told.status, String::from_utf8_lossy(&told.body)),
                    };
                    if is_granted { granted } else { refused }.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let (granted, refused) = (granted.into_inner(), refused.into_inner());
    let asked = CLIENTS as u64 * EACH;
    assert_eq!((granted, refused), (LIMIT, asked - LIMIT));
    let limit = keyward.limit(keyward.project(), "monthly");
    assert_eq!((&limit["used"], &limit["remaining"]), (&json!(LIMIT), &json!(0)));
    eventually("all uses are counted", || (counted(&keyward, "valid") == LIMIT).then_some(()));
    eventually("all refusals are counted", || (counted(&keyward, "quota_exceeded") == asked - LIMIT).then_some(()));
    eventually("the key's own counts are there", || {
        let shown = keyward.key(&key.id);
        (shown["uses"] == LIMIT && shown["refusals"] == asked - LIMIT).then_some(())
    });
    // Not one more after a stop and a start, nor one less counted.
    assert_eq!(keyward.stop(), Some(0));
    keyward.restart();
    assert!(!keyward.is_valid(&key.secret));
    assert_eq!(keyward.used_of(keyward.project(), "monthly"), LIMIT);
    assert_eq!(counted(&keyward, "valid"), LIMIT);
}

#[test]
fn q01_a_proper_stop_strands_nothing() {
    let mut keyward = Keyward::dev("getprofile");
    keyward.lift_limits();
    keyward.set_limits(keyward.project(), json!({"monthly": {"limit": 1_000}}));
    let secret = keyward.first_key().secret;
    let mut granted = 0;
    for _ in 0..4 {
        let (mut checker, question) = (keyward.checker(), keyward.question(&json!({"key": secret})));
        for _ in 0..100 {
            granted += u64::from(checker.ask(&question).is_grant());
        }
        assert_eq!(keyward.stop(), Some(0));
        keyward.restart();
        assert_eq!(keyward.used_of(keyward.project(), "monthly"), granted);
    }
    let (mut checker, question) = (keyward.checker(), keyward.question(&json!({"key": secret})));
    while checker.ask(&question).is_grant() {
        granted += 1;
    }
    assert_eq!(granted, 1_000);
}

#[test]
fn q03_a_rate_survives_a_stop_and_a_start() {
    let mut keyward = Keyward::dev("profound");
    keyward.set_limits(keyward.project(), json!({"requests": {"limit": 5}}));
    let secret = keyward.first_key().secret;
    for _ in 0..5 {
        assert!(keyward.is_valid(&secret));
    }
    assert!(!keyward.is_valid(&secret));
    assert_eq!(keyward.stop(), Some(0));
    keyward.restart();
    assert!(!keyward.is_valid(&secret), "starting again refilled the rate");
}
