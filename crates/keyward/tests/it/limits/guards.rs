//! Qanapi: "API key requests are rate-limited" (Q22), which is calls with a key, the management of keys, and what
//! fails to authenticate.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{behind, retry_after};
use crate::harness::{Key, Keyward, Reply, Request};

fn encrypt(secret: &str) -> Request {
    Request::post("/api/v2/encrypt").with("X-Qanapi-Authorization", secret).json(r#"{"data":"text"}"#)
}

fn create(keyward: &Keyward, project: &str) -> Reply {
    keyward.create(project, json!({"acknowledge": true}))
}

/// How many of a guard's thirty come back in this time, at the most.
fn back_after(time: Duration) -> usize {
    usize::try_from(time.as_secs() / 2).unwrap() + 1
}

/// Seconds that a problem document says to wait, in its header and its body alike.
#[track_caller]
fn told_to_wait(refused: &Reply) -> u64 {
    let seconds = refused.header("retry-after").unwrap_or_else(|| panic!("{:?}", refused.headers));
    let seconds = seconds.parse().unwrap();
    assert!(seconds >= 1, "{:?}", refused.headers);
    seconds
}

#[test]
fn q22_calls_with_the_key_are_limited() {
    let (keyward, upstream) = behind("qanapi");
    let key = keyward.first_key();
    keyward.set_limits(keyward.project(), json!({"requests": {"limit": 1, "burst": 3}}));
    for _ in 0..3 {
        keyward.send(&encrypt(&key.secret)).expect(200);
    }
    let refused = keyward.send(&encrypt(&key.secret)).expect(429);
    assert_eq!(refused.json(), json!({"message": "Rate limit exceeded"}));
    assert!(retry_after(&refused) <= 60);
    // All keys of the project share it, and no other project's do.
    let second = keyward.make(keyward.project(), json!({"acknowledge": true}));
    keyward.send(&encrypt(&second.secret)).expect(429);
    let (other, _) = keyward.new_project("Other");
    let others = keyward.make(&other, json!({"acknowledge": true}));
    keyward.send(&encrypt(&others.secret)).expect(200);
    assert_eq!(upstream.count(), 4);
}

#[test]
fn q22_a_burst_of_key_management_is_limited_and_revoking_is_not() {
    let keyward = Keyward::dev("qanapi");
    let (project, _) = keyward.new_project("Burst");
    let began = Instant::now();
    let mut keys: Vec<Key> = Vec::new();
    let mut passed = 0;
    let refused = loop {
        let reply = match keys.len() {
            // The limit of active keys is ten: a trial that it stops counts, too.
            0..10 => create(&keyward, &project),
            _ => keyward.rotate(&keys[0].id, json!({})),
        };
        match reply.status {
            201 if keys.len() < 10 => keys.push(Key::of(&reply)),
            201 => keys[0] = Key::of(&reply),
            429 => break reply,
            other => panic!("{other}: {}", reply.text),
        }
        passed += 1;
        assert!(passed <= 30 + back_after(began.elapsed()), "{passed} passed within {:?}", began.elapsed());
    };
    assert!(passed >= 30, "{passed} passed");
    let refused = refused.expect_problem(429, "rate_limited");
    assert!(told_to_wait(&refused) <= 60, "{:?}", refused.headers);
    // Ending is never limited, and holds at once.
    for key in &keys {
        keyward.revoke(&key.id).expect(200);
        keyward.send(&encrypt(&key.secret)).expect(401);
    }
    assert_eq!(keyward.live(&project), 0);
    // Another project's owner does not feel it.
    let (other, _) = keyward.new_project("Other");
    create(&keyward, &other).expect(201);
}

#[test]
fn q22_each_kind_of_key_management_counts_and_none_that_ends_keys() {
    let keyward = Keyward::dev("qanapi");
    // Two in a day: enough for one act, and then one more.
    keyward.amend("[guards.key_management]\nlimit = 2\nper = \"1d\"\n");
    let project = |name: &str| keyward.new_project(name).0;
    let used_up = |name: &str| {
        let project = project(name);
        let key = Key::of(&create(&keyward, &project).expect(201));
        create(&keyward, &project).expect(201);
        (project, key)
    };
    let (p, key) = used_up("create");
    let refused = create(&keyward, &p).expect_problem(429, "rate_limited");
    assert!(told_to_wait(&refused) > 3600);
    keyward.rotate(&key.id, json!({})).expect_problem(429, "rate_limited");
    let regenerate = format!("/v1/projects/{p}/keys/regenerate");
    keyward.post(&regenerate, json!({"acknowledge": true})).expect_problem(429, "rate_limited");
    keyward.patch(&format!("/v1/keys/{}", key.id), json!({"name": "New"})).expect_problem(429, "rate_limited");
    // What is only read is not limited, nor is ending.
    assert_eq!(keyward.list(&p).len(), 2);
    keyward.send(&encrypt(&key.secret)).expect(200);
    keyward.revoke(&key.id).expect(200);
    keyward.post("/v1/revocations", json!({"project": p, "reason": "leaked", "acknowledge": true})).expect(200);
    assert_eq!(keyward.live(&p), 0);
}

#[test]
fn q22_failed_authentications_are_limited_by_address_and_a_good_key_is_not() {
    let (keyward, upstream) = behind("qanapi");
    let key = keyward.first_key();
    let (mut socket, began, mut failed) = (keyward.open(), Instant::now(), 0);
    let refused = loop {
        let answer = keyward.send_on(&mut socket, &encrypt("garbage"));
        if answer.status == 429 {
            break answer;
        }
        assert_eq!(answer.expect(401).json(), json!({"message": "Invalid API key"}));
        failed += 1;
        assert!(failed <= 30 + back_after(began.elapsed()), "{failed} failed within {:?}", began.elapsed());
    };
    assert!(failed >= 30, "{failed} failed");
    assert_eq!(refused.json(), json!({"message": "Rate limit exceeded"}));
    assert!(retry_after(&refused) <= 60);
    assert!(!refused.head.to_lowercase().contains("ratelimit"), "{}", refused.head);
    // From the same address, over the same connection: a good key is never in the way of this.
    for _ in 0..5 {
        keyward.send_on(&mut socket, &encrypt(&key.secret)).expect(200);
        keyward.send(&encrypt(&key.secret)).expect(200);
    }
    assert_eq!(upstream.count(), 10);
    // A key that was good a moment ago is a failure now.
    keyward.revoke(&key.id).expect(200);
    let refused = keyward.send_on(&mut socket, &encrypt(&key.secret));
    assert!([401, 429].contains(&refused.status), "{}", refused.head);
    assert_eq!(upstream.count(), 10);
}
