//! Metriport: two interchangeable keys an account, in `x-api-key`, with full access. Refused with 403
//! `{"message":"Forbidden"}` whatever is wrong, as its real gateway does.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use keyward_core::clock::Timestamp;
use serde_json::{Value, json};

use super::{behind, caller, expect_fields, refused, used};
use crate::harness::{Key, Keyward, Refused, Request, eventually, in_seconds};

const PATH: &str = "/medical/v1/facility";

fn list(secret: &str) -> Request {
    Request::get(PATH).with("x-api-key", secret)
}

fn forbidden() -> Refused {
    refused(403, json!({"message": "Forbidden"}))
}

/// An account without keys.
fn account(keyward: &Keyward) -> String {
    keyward.new_project("Account").0
}

#[test]
fn m02_third_active_key_is_refused() {
    let keyward = Keyward::dev("metriport");
    let account = account(&keyward);
    let first = keyward.make(&account, json!({}));
    keyward.make(&account, json!({}));
    let problem = keyward.create(&account, json!({})).expect_problem(409, "active_key_limit").json();
    assert!(problem["detail"].as_str().unwrap().contains('2'), "{problem}");
    assert_eq!(keyward.live(&account), 2);
    // Only active ones count.
    keyward.revoke(&first.id).expect(200);
    keyward.make(&account, json!({}));
    keyward.create(&account, json!({})).expect_problem(409, "active_key_limit");
}

#[test]
fn m02b_ten_creations_at_once_make_exactly_two_keys() {
    let keyward = Keyward::dev("metriport");
    let account = account(&keyward);
    let start = Barrier::new(10);
    let mut statuses: Vec<u16> = std::thread::scope(|threads| {
        let create = || {
            start.wait();
            keyward.create(&account, json!({})).status
        };
        let started: Vec<_> = (0..10).map(|_| threads.spawn(create)).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 201, 409, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(keyward.live(&account), 2);
}

/// Services that call without pause with the key they are told, while `rotate` is done; how often they were
/// not served.
fn failures_during(keyward: &Keyward, key: &Key, rotate: impl FnOnce(&Rollout)) -> usize {
    let rollout =
        Rollout { secret: Mutex::new(key.secret.clone()), failed: AtomicUsize::new(0), made: AtomicUsize::new(0) };
    let is_over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        // However the rotation ends, also where it panics, the services end with it.
        let _end = OnDrop(&is_over);
        for _ in 0..4 {
            threads.spawn(|| {
                let mut socket = keyward.open();
                while !is_over.load(Ordering::SeqCst) {
                    let secret = rollout.secret.lock().unwrap();
                    let answer = keyward.send_on(&mut socket, &list(&secret));
                    drop(secret);
                    rollout.failed.fetch_add(usize::from(answer.status != 200), Ordering::SeqCst);
                    rollout.made.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        rollout.wait_for_traffic();
        rotate(&rollout);
        rollout.wait_for_traffic();
    });
    rollout.failed.into_inner()
}

/// Sets a flag when it goes.
struct OnDrop<'f>(&'f AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What services call with.
struct Rollout {
    secret: Mutex<String>,
    failed: AtomicUsize,
    made: AtomicUsize,
}

impl Rollout {
    fn roll_out(&self, key: &Key) {
        key.secret.clone_into(&mut self.secret.lock().unwrap());
    }

    fn wait_for_traffic(&self) {
        let before = self.made.load(Ordering::SeqCst);
        eventually("a hundred more calls", || (self.made.load(Ordering::SeqCst) >= before + 100).then_some(()));
    }
}

#[test]
fn m03_keys_are_rotated_without_any_downtime() {
    let (keyward, _upstream) = behind("metriport");
    keyward.lift_limits();
    let mut old = keyward.first_key();
    let failed = failures_during(&keyward, &old.clone(), |services| {
        for _ in 0..3 {
            let new = Key::of(&keyward.rotate(&old.id, json!({"overlap_seconds": 3600})).expect(201));
            services.wait_for_traffic();
            services.roll_out(&new);
            services.wait_for_traffic();
            keyward.revoke(&old.id).expect(200);
            old = new;
        }
    });
    assert_eq!(failed, 0);
}

#[test]
fn m05_a_revoked_key_is_inactive_immediately() {
    let keyward = Keyward::dev("metriport");
    let key = keyward.first_key();
    let mut in_use = keyward.use_key(list(&key.secret));
    let reply = keyward.revoke(&key.id).expect(200).json();
    assert_eq!(reply["key"]["state"], "revoked");
    assert_eq!(reply["in_force"]["nodes"], 1);
    in_use.expect_refused(&forbidden());
}

#[test]
fn m06_a_new_key_is_generated_in_the_place_of_a_revoked_one() {
    let keyward = Keyward::dev("metriport");
    let account = account(&keyward);
    let (compromised, _other) = (keyward.make(&account, json!({})), keyward.make(&account, json!({})));
    keyward.revoke(&compromised.id).expect(200);
    let new = keyward.make(&account, json!({}));
    keyward.use_key(list(&new.secret)).expect_accepted();
    assert_eq!(keyward.live(&account), 2);
}

#[test]
fn m07_a_key_gives_full_access() {
    let (keyward, upstream) = behind("metriport");
    keyward.lift_limits();
    let key = keyward.first_key();
    let paths = ["/medical/v1/facility", "/medical/v1/patient/018a80c4/consolidated", "/settings", "/"];
    for path in paths {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let request = Request::new(method, path).with("x-api-key", &key.secret);
            let request = if method == "GET" { request } else { request.json("{}") };
            keyward.send(&request).expect(200);
            let seen = upstream.last();
            assert_eq!((seen.method.as_str(), seen.target.as_str()), (method, path));
        }
    }
    // Nothing less can be asked for.
    let account = account(&keyward);
    expect_fields(keyward.create(&account, json!({"scopes": ["read"]})), &["scopes"]);
    let narrowed = keyward.patch(&format!("/v1/keys/{}", key.id), json!({"scopes": ["read"]}));
    expect_fields(narrowed, &["scopes"]);
}

#[test]
fn m08_nothing_that_is_kept_can_be_presented() {
    let keyward = Keyward::dev("metriport");
    let account = account(&keyward);
    let key = keyward.make(&account, json!({}));
    keyward.send(&list(&key.secret)).expect(200);
    super::expect_secret_nowhere(&keyward, &account, &key.id, &key.secret);
}

#[test]
fn m09_browsers_are_not_let_in() {
    let (keyward, upstream) = behind("metriport");
    let asks = |request: Request| {
        request.with("Origin", "https://app.example").with("Access-Control-Request-Method", "GET")
    };
    let preflight = keyward.send(&asks(Request::new("OPTIONS", PATH))).expect_refused(&forbidden());
    let with_key = keyward.send(&asks(list(&keyward.first_key().secret))).expect(200);
    for answer in [preflight, with_key] {
        assert!(!answer.head.to_lowercase().contains("access-control-"), "{}", answer.head);
    }
    assert_eq!(upstream.count(), 1);
}

#[test]
fn m10_the_key_counts_only_in_x_api_key() {
    let (keyward, upstream) = behind("metriport");
    let Key { secret, .. } = keyward.first_key();
    for name in ["x-api-key", "X-API-Key", "X-API-KEY"] {
        keyward.send(&Request::get(PATH).with(name, &secret)).expect(200);
        assert!(!upstream.last().text().contains(&secret));
    }
    let elsewhere = [
        Request::get(PATH),
        Request::get(PATH).with("Authorization", &format!("Bearer {secret}")),
        Request::get(PATH).with("x-api-key", &format!("Bearer {secret}")),
        Request::get(PATH).with("api-key", &secret),
        Request::get(PATH).query("api_key", &secret),
        Request::get(PATH).query("x-api-key", &secret),
    ];
    let before = upstream.count();
    for request in elsewhere {
        keyward.send(&request).expect_refused(&forbidden());
    }
    assert_eq!(upstream.count(), before);
}

#[test]
fn m11_keys_have_the_published_format_by_the_contracts_word() {
    let keyward = Keyward::dev("metriport");
    let account = account(&keyward);
    let key = keyward.make(&account, json!({}));
    let decoded = String::from_utf8(BASE64.decode(&key.secret).unwrap()).unwrap();
    let (random, owner) = decoded.split_once(':').unwrap();
    assert_eq!((random.len(), owner), (32, account.as_str()));
    // A contract that wants its keys found by scanners says so, and its next key has a prefix and a checksum.
    keyward.amend("[key]\nformat = \"keyward\"\nprefix = \"mp\"\ntest_prefix = \"mp_test\"\n");
    assert_eq!(keyward.send(&list(&key.secret)).status, 403);
    let scannable = keyward.make(&account, json!({}));
    assert!(scannable.secret.starts_with("mp_"));
    keyward.use_key(list(&scannable.secret)).expect_accepted();
}

#[test]
fn m12_both_keys_are_interchangeable() {
    let (keyward, upstream) = behind("metriport");
    let account = account(&keyward);
    let (first, second) = (keyward.make(&account, json!({})), keyward.make(&account, json!({})));
    let write = Request::post("/medical/v1/patient").with("x-api-key", &first.secret).json("{}");
    let written = keyward.send(&write).expect(200);
    let by_first = caller(&upstream.last());
    let read = keyward.send(&Request::get("/medical/v1/patient").with("x-api-key", &second.secret)).expect(200);
    let by_second = caller(&upstream.last());
    assert_eq!(written.body, read.body);
    for same in ["project", "organization"] {
        assert_eq!(by_first[same], by_second[same]);
    }
    assert_eq!((&by_first["key"], &by_second["key"]), (&json!(first.id), &json!(second.id)));
}

#[test]
fn m13_requests_never_fail_while_a_new_key_is_rolled_out() {
    let (keyward, _upstream) = behind("metriport");
    let account = account(&keyward);
    keyward.lift_limits_of(&account);
    let old = keyward.make(&account, json!({}));
    let failed = failures_during(&keyward, &old, |services| {
        let new = keyward.make(&account, json!({}));
        services.wait_for_traffic();
        services.roll_out(&new);
        services.wait_for_traffic();
        keyward.revoke(&old.id).expect(200);
    });
    assert_eq!(failed, 0);
}

#[test]
fn m14_a_second_key_is_active_beside_the_first() {
    let keyward = Keyward::dev("metriport");
    let account = account(&keyward);
    let keys = [keyward.make(&account, json!({})), keyward.make(&account, json!({}))];
    let states: Vec<_> = keyward.list(&account).iter().map(|key| key["state"].clone()).collect();
    assert_eq!(states, ["active", "active"]);
    for key in &keys {
        keyward.use_key(list(&key.secret)).expect_accepted();
    }
}

#[test]
fn m15_it_can_be_seen_which_key_the_traffic_uses() {
    let (keyward, _upstream) = behind("metriport");
    let account = account(&keyward);
    let (old, new) = (keyward.make(&account, json!({})), keyward.make(&account, json!({})));
    keyward.send(&list(&old.secret)).expect(200);
    for _ in 0..3 {
        keyward.send(&list(&new.secret)).expect(200);
    }
    let shown = [used(&keyward, &old.id, 1), used(&keyward, &new.id, 3)];
    let [last_old, last_new] = shown.map(|key| key["last_used_at"].as_str().unwrap().parse::<Timestamp>().unwrap());
    assert!(last_old <= last_new);
    assert!(last_new <= in_seconds(0).parse().unwrap());
}

#[test]
fn m16_revoking_the_old_key_leaves_the_new_one() {
    let keyward = Keyward::dev("metriport");
    let account = account(&keyward);
    let (old, new) = (keyward.make(&account, json!({})), keyward.make(&account, json!({})));
    let (mut old_in_use, mut new_in_use) = (keyward.use_key(list(&old.secret)), keyward.use_key(list(&new.secret)));
    keyward.revoke(&old.id).expect(200);
    old_in_use.expect_refused(&forbidden());
    new_in_use.expect_accepted();
}

#[test]
fn m17_every_key_is_revoked_when_one_was_compromised() {
    let keyward = Keyward::dev("metriport");
    let account = account(&keyward);
    let keys = [keyward.make(&account, json!({})), keyward.make(&account, json!({}))];
    let mut in_use: Vec<_> = keys.iter().map(|key| keyward.use_key(list(&key.secret))).collect();
    let ids: Vec<Value> = keys.iter().map(|key| json!(key.id)).collect();
    let revoked = keyward.post("/v1/revocations", json!({"keys": ids, "reason": "leaked"})).expect(200).json();
    assert_eq!(revoked["revoked"], 2, "{revoked}");
    in_use.iter_mut().for_each(|key| key.expect_refused(&forbidden()));
    assert_eq!(keyward.live(&account), 0);
    let new = keyward.make(&account, json!({}));
    keyward.use_key(list(&new.secret)).expect_accepted();
}
