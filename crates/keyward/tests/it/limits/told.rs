//! What callers are told of limits, by `/v1/verify` and in the standard headers; and that a request takes from all of
//! its limits or from none.

use serde_json::{Value, json};

use super::retry_after;
use crate::harness::{Keyward, Request};

/// A contract of one's own: three of a rate, ten of a quota, and nothing comes back while a story runs.
const OWN: &str = r#"
schema = 1
extends = "standard"
api = "standard"
title = "Own"

[plans.standard]
title = "Standard"
rates.requests = { limit = 3, per = "1h", by = "key" }
quotas.units = { limit = 10, per = "lifetime", by = "project" }

[plans.bare]
title = "Bare"
"#;

fn own() -> Keyward {
    let keyward = Keyward::dev("standard");
    keyward.put_contract("standard", OWN).expect(200);
    keyward
}

/// What is told of a limit.
#[track_caller]
fn limit<'t>(told: &'t Value, name: &str) -> &'t Value {
    let limits = told["limits"].as_array().unwrap_or_else(|| panic!("{told}"));
    limits.iter().find(|limit| limit["name"] == name).unwrap_or_else(|| panic!("no {name}: {told}"))
}

/// How much of the two limits is left.
#[track_caller]
fn left(told: &Value) -> (u64, u64) {
    let of = |name| limit(told, name)["remaining"].as_u64().unwrap();
    (of("requests"), of("units"))
}

#[test]
fn q01_a_request_takes_from_all_of_its_limits_or_from_none() {
    let keyward = own();
    let secret = keyward.first_key().secret;
    let verify = |cost: u64| keyward.verify(json!({"key": secret, "cost": cost})).expect(200).json();
    assert_eq!(left(&verify(4)), (2, 6));
    // The quota refuses: the rate stays as it was.
    for _ in 0..3 {
        let refused = verify(7);
        assert_eq!(
            (&refused["valid"], &refused["code"], &refused["limit"]),
            (&json!(false), &json!("quota_exceeded"), &json!("units")),
            "{refused}"
        );
        assert_eq!(left(&refused), (2, 6));
        assert_eq!(refused["retry_after"], 365 * 86_400, "a quota for ever does not come back");
    }
    assert_eq!(left(&verify(1)), (1, 5));
    assert_eq!(left(&verify(0)), (0, 5), "what costs nothing is a request all the same");
    // The rate refuses: the quota stays as it was.
    for _ in 0..3 {
        let refused = verify(1);
        assert_eq!(
            (&refused["code"], &refused["limit"]),
            (&json!("rate_limited"), &json!("requests")),
            "{refused}"
        );
        assert_eq!(left(&refused), (0, 5));
        let wait = refused["retry_after"].as_u64().unwrap();
        assert!((1..=1200).contains(&wait), "{refused}");
    }
    // Both refuse: what is named is what will refuse longest.
    let refused = verify(6);
    assert_eq!((&refused["code"], &refused["limit"]), (&json!("quota_exceeded"), &json!("units")), "{refused}");
    assert_eq!(keyward.used_of(keyward.project(), "units"), 5);
    // Another key has a rate of its own, and the same quota.
    let second = keyward.make(keyward.project(), json!({}));
    let told = keyward.verify(json!({"key": second.secret, "cost": 5})).expect(200).json();
    assert_eq!((&told["valid"], left(&told)), (&json!(true), (2, 0)));
}

#[test]
fn a_verify_tells_how_every_limit_stands() {
    let keyward = own();
    let secret = keyward.first_key().secret;
    let told = keyward.verify(json!({"key": secret, "cost": 2})).expect(200).json();
    let rate = limit(&told, "requests");
    let shown = json!([rate["kind"], rate["by"], rate["limit"], rate["remaining"], rate["used"]]);
    assert_eq!(shown, json!(["rate", "key", 3, 2, 1]), "{told}");
    assert_eq!(rate["reset_after"], 1200, "one of three an hour: {told}");
    assert!(rate["reset_at"].as_str().unwrap().ends_with('Z'), "{told}");
    let quota = json!({
        "name": "units", "kind": "quota", "by": "project", "limit": 10, "remaining": 8, "used": 2,
        "reset_after": null, "reset_at": null,
    });
    assert_eq!(limit(&told, "units"), &quota);
    assert_eq!(told["limits"].as_array().unwrap().len(), 2);
    // A plan without limits tells of none, and a key that is not known has none.
    keyward.edit(keyward.project(), json!({"plan": "bare"})).expect(200);
    assert_eq!(keyward.verify(json!({"key": secret})).expect(200).json()["limits"], json!([]));
    let unknown = keyward.verify(json!({"key": "garbage"})).expect(200).json();
    assert!(unknown["limits"].is_null(), "{unknown}");
}

#[test]
fn the_standard_headers_are_on_every_answer_to_a_key() {
    let keyward = own();
    let bearer = format!("Bearer {}", keyward.first_key().secret);
    let ask = || keyward.send(&Request::get("/v1/hello").with("Authorization", &bearer));
    for remaining in (0..3).rev() {
        let answer = ask().expect(200);
        assert_eq!(answer.header("ratelimit-policy"), Some(r#""requests";q=3;w=3600, "units";q=10"#));
        let told = answer.header("ratelimit").unwrap();
        let reset = told
            .strip_prefix(&format!("\"requests\";r={remaining};t="))
            .and_then(|rest| rest.strip_suffix(&format!(", \"units\";r={}", remaining + 7)))
            .unwrap_or_else(|| panic!("{told}"));
        let (reset, whole) = (reset.parse::<u64>().unwrap(), 1200 * (3 - remaining));
        assert!(reset <= whole && reset + 30 >= whole, "{told}");
        assert_eq!(answer.header("retry-after"), None);
    }
    let refused = ask().expect(429);
    assert_eq!(refused.json(), json!({"error": {"code": "rate_limited", "message": "Rate limit exceeded"}}));
    assert!(refused.header("ratelimit").unwrap().starts_with("\"requests\";r=0;t="), "{}", refused.head);
    assert!(refused.header("ratelimit").unwrap().ends_with("\"units\";r=7"), "{}", refused.head);
    assert!((61..=1200).contains(&retry_after(&refused)));
    // No key, no limits.
    let stranger = keyward.send(&Request::get("/v1/hello").with("Authorization", "Bearer garbage")).expect(401);
    assert_eq!((stranger.header("ratelimit"), stranger.header("ratelimit-policy")), (None, None));
    keyward.edit(keyward.project(), json!({"plan": "bare"})).expect(200);
    let unlimited = ask().expect(200);
    assert_eq!((unlimited.header("ratelimit"), unlimited.header("ratelimit-policy")), (None, None));
}
