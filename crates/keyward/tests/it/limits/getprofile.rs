//! GetProfile: the app's quota and its plan's limits, with its one key.

use serde_json::{Value, json};

use super::{behind, retry_after};
use crate::harness::{Key, Keyward, Request};

fn read(secret: &str) -> Request {
    Request::get("/v1/profile/abc123").with("Authorization", &format!("Bearer {secret}"))
}

fn rotated(keyward: &Keyward, key: &Key) -> Key {
    Key::of(&keyward.rotate(&key.id, json!({})).expect(201))
}

#[test]
fn g04_the_key_enforces_the_apps_quota_and_rotating_resets_nothing() {
    let (keyward, upstream) = behind("getprofile");
    let (app, key) = (keyward.project(), keyward.first_key());
    keyward.set_limits(app, json!({"monthly": {"limit": 5}}));
    for _ in 0..3 {
        keyward.send(&read(&key.secret)).expect(200);
    }
    // Half way through, the key is another one; the quota is the app's.
    let key = rotated(&keyward, &key);
    for _ in 3..5 {
        keyward.send(&read(&key.secret)).expect(200);
    }
    let expect_refused = |key: &Key| {
        let refused = keyward.send(&read(&key.secret)).expect(429);
        assert_eq!(refused.json(), json!({"error": "Quota exceeded"}));
        // Until the month of UTC ends.
        assert!(retry_after(&refused) <= 31 * 86_400, "{}", refused.head);
    };
    expect_refused(&key);
    let key = rotated(&keyward, &key);
    expect_refused(&key);
    keyward.revoke(&key.id).expect(200);
    let key = keyward.make(app, json!({}));
    expect_refused(&key);
    assert_eq!(upstream.count(), 5);
    let limit = keyward.limit(app, "monthly");
    assert_eq!((&limit["used"], &limit["remaining"], &limit["own"]), (&json!(5), &json!(0), &json!(true)));
    // Another app of the same organization has its own.
    let (other, _) = keyward.new_project("Other");
    keyward.send(&read(&keyward.make(&other, json!({})).secret)).expect(200);
}

#[test]
fn g04_rotating_does_not_reset_the_rate_either() {
    let (keyward, upstream) = behind("getprofile");
    let mut key = keyward.first_key();
    // One a minute, three at once: none comes back while this runs.
    keyward.set_limits(keyward.project(), json!({"requests": {"limit": 1, "burst": 3}}));
    for _ in 0..3 {
        keyward.send(&read(&key.secret)).expect(200);
        key = rotated(&keyward, &key);
    }
    let refused = keyward.send(&read(&key.secret)).expect(429);
    assert_eq!(refused.json(), json!({"error": "Rate limit exceeded"}));
    assert!(retry_after(&refused) <= 60);
    assert_eq!(upstream.count(), 3);
}

#[test]
fn g05_another_plan_holds_for_the_same_key_at_once() {
    let keyward = Keyward::dev("getprofile");
    let (app, key) = (keyward.project().to_owned(), keyward.first_key());
    let limits = |answer: &crate::harness::raw::Answer| answer.header("ratelimit-policy").unwrap().to_owned();
    let month = |policy: &str| policy.split("\"monthly\";q=").nth(1).unwrap().split(';').next().unwrap().to_owned();
    let mut socket = keyward.open();
    let mut ask = || keyward.send_on(&mut socket, &read(&key.secret));
    let free = limits(&ask().expect(200));
    assert!(free.contains("\"requests\";q=60;w=60") && month(&free) == "10000", "{free}");
    keyward.edit(&app, json!({"plan": "pro"})).expect(200);
    let pro = limits(&ask().expect(200));
    assert!(pro.contains("\"requests\";q=600;w=60") && month(&pro) == "1000000", "{pro}");
    assert_eq!(keyward.used_of(&app, "monthly"), 2, "what was used stays used");
    keyward.edit(&app, json!({"plan": "free"})).expect(200);
    assert_eq!(limits(&ask().expect(200)), free);
}

#[test]
fn g05_a_changed_limit_holds_for_the_next_request_of_the_same_key() {
    let (keyward, _upstream) = behind("getprofile");
    let (app, key) = (keyward.project().to_owned(), keyward.first_key());
    let mut socket = keyward.open();
    let mut ask = || keyward.send_on(&mut socket, &read(&key.secret)).status;
    let set = |limit: Value| keyward.set_limits(&app, json!({"monthly": limit}));
    set(json!({"limit": 2}));
    assert_eq!([ask(), ask(), ask()], [200, 200, 429]);
    // Raised: what it is higher comes to what is left.
    set(json!({"limit": 3}));
    assert_eq!([ask(), ask()], [200, 429]);
    // Lowered below what is used: nothing, and nothing is owed beyond.
    set(json!({"limit": 1}));
    assert_eq!(ask(), 429);
    set(json!({"limit": 4}));
    assert_eq!([ask(), ask()], [200, 429]);
    // The plan's again.
    set(Value::Null);
    assert_eq!(ask(), 200);
    assert_eq!(keyward.key(&key.id)["state"], "active");
    let told = keyward.limit(&app, "monthly");
    assert_eq!((&told["limit"], &told["own"], &told["used"]), (&json!(10_000), &json!(false), &json!(5)));
}
