//! Profound: the plan's gate, the operator's gate behind it, what each key used, and its own rate.

use keyward_core::clock::Timestamp;
use serde_json::{Value, json};

use super::{behind, number, retry_after};
use crate::harness::{Key, Keyward, Request, Sdk, eventually, in_seconds};

fn report(secret: &str) -> Request {
    Request::post("/v1/reports/visibility").with("Content-Type", "application/json").with("X-API-Key", secret)
}

fn wish(name: &str) -> Value {
    json!({"name": name, "expires_at": in_seconds(3600)})
}

/// An organization on this plan, without the operator's word.
fn organization(keyward: &Keyward, plan: &str) -> String {
    let path = format!("/v1/organizations/{}/projects", keyward.started.organization);
    let made = keyward.post(&path, json!({"name": plan, "api": "profound", "plan": plan})).expect(201).json();
    assert_eq!((&made["project"]["access"], &made["project"]["has_access"]), (&json!(false), &json!(false)));
    made["project"]["id"].as_str().unwrap().to_owned()
}

#[track_caller]
fn expect_gated(keyward: &Keyward, organization: &str) {
    keyward.create(organization, wish("Reports")).expect_problem(403, "plan_forbids");
    assert_eq!(keyward.live(organization), 0);
}

#[test]
fn p01_the_api_is_for_the_enterprise_plan_only() {
    let (keyward, upstream) = behind("profound");
    for plan in ["starter", "growth"] {
        let organization = organization(&keyward, plan);
        expect_gated(&keyward, &organization);
        // The operator's word alone opens nothing.
        keyward.edit(&organization, json!({"access": true})).expect(200);
        expect_gated(&keyward, &organization);
    }
    let organization = organization(&keyward, "enterprise");
    keyward.edit(&organization, json!({"access": true})).expect(200);
    let key = keyward.make(&organization, wish("Reports"));
    let mut in_use = keyward.use_key(report(&key.secret));
    let reached = upstream.count();
    keyward.edit(&organization, json!({"plan": "growth"})).expect(200);
    let message = "Your plan does not include API access";
    in_use.expect_refused(&crate::harness::Refused { status: 403, body: json!({"detail": message}) });
    assert_eq!(upstream.count(), reached, "refused before the upstream");
    assert_eq!(keyward.verify(json!({"key": key.secret})).json()["code"], "plan_forbids");
    keyward.rotate(&key.id, json!({})).expect_problem(403, "plan_forbids");
    // Back on the plan, the same key opens again.
    keyward.edit(&organization, json!({"plan": "enterprise"})).expect(200);
    in_use.expect_accepted();
}

#[test]
fn p02_access_is_granted_by_the_operator_beside_the_plan() {
    let (keyward, _upstream) = behind("profound");
    let organization = organization(&keyward, "enterprise");
    expect_gated(&keyward, &organization);
    let granted = keyward.edit(&organization, json!({"access": true})).expect(200).json();
    assert_eq!((&granted["project"]["access"], &granted["project"]["has_access"]), (&json!(true), &json!(true)));
    let key = keyward.make(&organization, wish("Reports"));
    let mut in_use = keyward.use_key(report(&key.secret));
    keyward.edit(&organization, json!({"access": false})).expect(200);
    let message = "Your plan does not include API access";
    in_use.expect_refused(&crate::harness::Refused { status: 403, body: json!({"detail": message}) });
    keyward.edit(&organization, json!({"access": true})).expect(200);
    in_use.expect_accepted();
    // Each is a change in the log, and the customer cannot make it.
    let changes = keyward.get("/v1/changes?after=0&limit=200").expect(200).text;
    assert!(changes.contains("access"), "{changes}");
    let scopes = ["projects:*", "keys:*", "plans:*"];
    let within = json!({"organization": keyward.started.organization});
    let (_, customer) = keyward.management_key("customer", &scopes, Some(within));
    let path = format!("/v1/projects/{organization}");
    for change in [json!({"access": false}), json!({"plan": "starter"}), json!({"limits": null})] {
        let asked = keyward.control_as(&customer, reqwest::Method::PATCH, &path, Some(change));
        asked.expect_problem(403, "forbidden");
    }
}

#[test]
fn p25_usage_tells_how_often_each_key_was_used_and_when_last() {
    let (keyward, _upstream) = behind("profound");
    let organization = keyward.project();
    let (busy, idle) = (keyward.make(organization, wish("busy")), keyward.make(organization, wish("idle")));
    keyward.set_limits(organization, json!({"requests": {"limit": 5}}));
    let began: Timestamp = in_seconds(-1).parse().unwrap();
    let statuses: Vec<u16> = (0..7).map(|_| keyward.send(&report(&busy.secret)).status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429]);
    let count = |by: &str, of: &str| -> u64 {
        let path = format!("/v1/projects/{organization}/usage?by={by}&step=day");
        let usage = keyward.get(&path).expect(200).json();
        let items = usage["items"].as_array().unwrap();
        items.iter().filter(|item| item[by] == of).map(|item| item["count"].as_u64().unwrap()).sum()
    };
    eventually("the uses are counted", || (count("outcome", "valid") == 5).then_some(()));
    eventually("the refusals are counted", || (count("outcome", "rate_limited") == 2).then_some(()));
    assert_eq!((count("key", &busy.id), count("key", &idle.id)), (7, 0), "by key: all that was asked with it");
    let shown = keyward.key(&busy.id);
    assert_eq!((&shown["uses"], &shown["refusals"]), (&json!(5), &json!(2)), "{shown}");
    let last: Timestamp = shown["last_used_at"].as_str().unwrap().parse().unwrap();
    assert!(last >= began && last <= in_seconds(1).parse().unwrap(), "{shown}");
    assert_eq!(keyward.key(&idle.id)["last_used_at"], Value::Null);
}

/// Two keys, each with five requests an hour.
fn two_keys(keyward: &Keyward) -> [Key; 2] {
    keyward.set_limits(keyward.project(), json!({"requests": {"limit": 5}}));
    ["first", "second"].map(|name| keyward.make(keyward.project(), wish(name)))
}

#[test]
fn p29_each_key_has_its_own_rate() {
    let (keyward, upstream) = behind("profound");
    let [first, second] = two_keys(&keyward);
    for left in (0..5).rev() {
        let answer = keyward.send(&report(&first.secret)).expect(200);
        assert!(answer.header("ratelimit").unwrap().starts_with(&format!("\"requests\";r={left};t=")));
    }
    let refused = keyward.send(&report(&first.secret)).expect(429);
    assert_eq!(refused.json(), json!({"detail": "Rate limit exceeded"}));
    let wait = retry_after(&refused);
    assert!((60..=720).contains(&wait), "one of five an hour comes back after 12 minutes, not {wait} s");
    assert_eq!(number(&refused, "retry-after"), wait);
    for _ in 0..5 {
        keyward.send(&report(&second.secret)).expect(200);
    }
    assert_eq!(upstream.count(), 10);
    // A key that comes of rotating the first has no more than it.
    let rotated = Key::of(&keyward.rotate(&first.id, json!({"overlap_seconds": 60})).expect(201));
    keyward.send(&report(&rotated.secret)).expect(429);
    let third = keyward.make(keyward.project(), wish("third"));
    keyward.send(&report(&third.secret)).expect(200);
    let path = format!("/v1/projects/{}/limits?key={}", keyward.project(), rotated.id);
    let told = keyward.get(&path).expect(200).json();
    assert_eq!(told["limits"][0]["remaining"], 0, "{told}");
}

#[test]
fn p29_the_published_client_sees_its_rate_limit_error_after_one_request() {
    let (keyward, upstream) = behind("profound");
    let [key, _] = two_keys(&keyward);
    for _ in 0..5 {
        keyward.send(&report(&key.secret)).expect(200);
    }
    let refused = Sdk::new("profound", &keyward).key(&key.secret).call();
    assert_eq!(
        (&refused["ok"], &refused["status"], &refused["error_class"], &refused["data"]),
        (&json!(false), &json!(429), &json!("RateLimitError"), &json!({"detail": "Rate limit exceeded"})),
        "{refused}"
    );
    assert_eq!(upstream.count(), 5);
    // It was told not to try again, and did not: three refusals would have been counted else.
    eventually("the refusal is counted", || (keyward.key(&key.id)["refusals"] == 1).then_some(()));
}
