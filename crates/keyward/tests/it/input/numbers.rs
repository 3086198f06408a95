//! Numbers and times at and beyond what fits: kept exactly, or refused; never wrapped, never rounded.

use crate::harness::{Keyward, Reply};
use serde_json::{Value, json};

/// Numbers as they would be written, with no reader of ours in between.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-1",
    "1.5",
    "1e3",
    "1.0",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-2147483649",
    "-9223372036854775808",
    "-9223372036854775809",
    "1000000000000000000",
    "1e18",
    "1e400",
    "99999999999999999999999999999999",
    "\"1\"",
    "\"\"",
    "true",
    "[]",
    "{}",
    "[1]",
];

/// Sends a body whose one field is written like this.
fn send(keyward: &Keyward, method: reqwest::Method, path: &str, field: &str, written: &str, more: &str) -> Reply {
    let request = keyward.http.request(method, format!("{}{path}", keyward.started.control_url));
    let request = request.bearer_auth(&keyward.started.management_key).header("Content-Type", "application/json");
    request.body(format!("{{\"{field}\": {written}{more}}}")).send().unwrap().into()
}

/// Whether a number that was taken came back as it was written.
fn is_exact(written: &str, kept: &Value) -> bool {
    let (written, kept) = (written.parse::<f64>(), kept.as_f64());
    kept.is_some() && written.ok() == kept && kept.is_some_and(|kept| kept.abs() < 9.0e15)
}

#[test]
fn i03_the_cost_of_a_question_is_bounded() {
    let keyward = Keyward::dev("standard");
    let secret = keyward.first_key().secret;
    for written in NUMBERS {
        let request = keyward.http.post(format!("{}/v1/verify", keyward.started.check_url));
        let request =
            request.bearer_auth(&keyward.started.management_key).header("Content-Type", "application/json");
        let reply: Reply =
            request.body(format!("{{\"key\": \"{secret}\", \"cost\": {written}}}")).send().unwrap().into();
        let is_small = written.parse::<u64>().is_ok_and(|cost| cost <= 1_000_000_000);
        let allowed: &[u16] = if is_small { &[200, 422] } else { &[400, 422] };
        assert!(allowed.contains(&reply.status), "{written}: {} {}", reply.status, reply.text);
    }
    assert_eq!(keyward.verify(json!({"key": secret, "cost": 1})).expect(200).json()["valid"], true);
    assert_eq!(keyward.verify(json!({"key": secret, "cost": 0})).expect(200).json()["valid"], true);
}

#[test]
fn i03_an_overlap_ends_when_it_was_asked_to_or_is_refused() {
    let keyward = Keyward::dev("standard");
    let key = keyward.make(keyward.project(), json!({"name": "rotated"}));
    let path = format!("/v1/keys/{}/rotate", key.id);
    for written in NUMBERS.iter().filter(|written| !["0", "-0"].contains(written)) {
        let reply = send(&keyward, reqwest::Method::POST, &path, "overlap_seconds", written, "");
        assert!([400, 422].contains(&reply.status), "{written}: {} {}", reply.status, reply.text);
    }
    // None of these took anything from the key.
    assert!(keyward.is_valid(&key.secret));
    assert_eq!(keyward.key(&key.id)["state"], "active");
    let thirty_days = 30 * 86_400;
    keyward.rotate(&key.id, json!({"overlap_seconds": thirty_days + 1})).expect_problem(422, "invalid");
    let rotated = keyward.rotate(&key.id, json!({"overlap_seconds": thirty_days})).expect(201).json();
    let seconds = |value: &Value| {
        value.as_str().unwrap().parse::<keyward_core::clock::Timestamp>().unwrap().as_millis() / 1000
    };
    let asked = seconds(&rotated["replaced"]["ends_at"]) - seconds(&rotated["key"]["created_at"]);
    assert!((asked - thirty_days).abs() <= 1, "{asked}");
}

#[test]
fn i03_a_page_has_as_many_items_as_were_asked_for() {
    let keyward = Keyward::dev("standard");
    for n in 0..3 {
        keyward.make(keyward.project(), json!({"name": format!("key {n}")}));
    }
    let lists = [
        format!("/v1/projects/{}/keys", keyward.project()),
        format!("/v1/projects/{}/events", keyward.project()),
        "/v1/organizations".into(),
        "/v1/management-keys".into(),
        "/v1/changes".into(),
    ];
    for list in &lists {
        for limit in [
            "0",
            "-1",
            "201",
            "1.5",
            "1e2",
            "2147483648",
            "4294967297",
            "9223372036854775808",
            "18446744073709551617",
            "",
            "a",
            "%2B1",
            "0x10",
            "1_0",
            "٣",
            "1;2",
            "null",
            "99999999999999999999999",
        ] {
            let reply = keyward.get(&format!("{list}?limit={limit}"));
            reply.expect_problem(422, "invalid");
        }
        keyward.get(&format!("{list}?limit=1&limit=2")).expect_problem(422, "invalid");
        let items = keyward.get(&format!("{list}?limit=1")).expect(200).json()["items"].as_array().unwrap().len();
        assert_eq!(items, 1, "{list}");
        keyward.get(&format!("{list}?limit=200")).expect(200);
    }
    for after in ["-1", "1.5", "9223372036854775808", "18446744073709551616", "a", ""] {
        let reply = keyward.get(&format!("/v1/changes?after={after}"));
        assert!([400, 422].contains(&reply.status), "{after}: {}", reply.status);
    }
    let beyond = keyward.get("/v1/changes?after=9223372036854775807").expect(200).json();
    assert_eq!(beyond["items"].as_array().unwrap().len(), 0);
}

#[test]
fn i03_a_limit_of_active_keys_is_exact_or_refused() {
    let keyward = Keyward::dev("standard");
    let project = format!("/v1/projects/{}", keyward.project());
    for written in NUMBERS {
        let reply = send(&keyward, reqwest::Method::PATCH, &project, "active_key_limit", written, "");
        match reply.status {
            200 => {
                let kept = keyward.get(&project).expect(200).json()["project"]["active_key_limit_override"].clone();
                assert!(is_exact(written, &kept), "{written} became {kept}");
                assert!(kept.as_u64().is_some(), "{written} became {kept}");
            }
            status => assert!([400, 422].contains(&status), "{written}: {status} {}", reply.text),
        }
    }
    keyward.patch(&project, json!({"active_key_limit": 2})).expect(200);
    keyward.make(keyward.project(), json!({"name": "second"}));
    keyward.create(keyward.project(), json!({"name": "third"})).expect_problem(409, "active_key_limit");
    keyward.patch(&project, json!({"active_key_limit": null})).expect(200);
    keyward.make(keyward.project(), json!({"name": "third"}));
}

#[test]
fn i03_an_expiry_is_a_time_to_come_that_is_kept_exactly() {
    let keyward = Keyward::dev("standard");
    for (asked, kept) in [
        ("2999-01-01T00:00:00Z", "2999-01-01T00:00:00.000Z"),
        ("2999-12-31T23:59:59.999Z", "2999-12-31T23:59:59.999Z"),
        ("2999-01-01T02:00:00+02:00", "2999-01-01T00:00:00.000Z"),
        ("2999-01-01T00:00:00.123Z", "2999-01-01T00:00:00.123Z"),
        ("2096-02-29T00:00:00Z", "2096-02-29T00:00:00.000Z"),
    ] {
        let made =
            keyward.create(keyward.project(), json!({"name": "far", "expires_at": asked})).expect(201).json();
        assert_eq!(made["key"]["expires_at"], kept, "{asked}");
    }
    for bad in [
        json!("1969-12-31T23:59:59Z"),
        json!("0000-01-01T00:00:00Z"),
        json!("-0001-01-01T00:00:00Z"),
        json!("2020-01-01T00:00:00Z"),
        json!("10000-01-01T00:00:00Z"),
        json!("+10000-01-01T00:00:00Z"),
        json!("+999999999-01-01T00:00:00Z"),
        json!("2999-02-30T00:00:00Z"),
        json!("2999-13-01T00:00:00Z"),
        json!("2999-01-01T24:00:01Z"),
        json!("2999-01-01T00:00:61Z"),
        json!("2999-01-01"),
        json!("2999-01-01T00:00:00"),
        json!("2999-01-01T00:00:00+25:00"),
        json!("tomorrow"),
        json!("1e18"),
        json!("32503680000"),
        json!(""),
        json!(32_503_680_000_i64),
        json!(1_000_000_000_000_000_000_i64),
        json!(i64::MAX),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(true),
        json!([]),
        json!({}),
        json!("2999-01-01T00:00:00Z\u{0}"),
        json!(" 2999-01-01T00:00:00Z"),
        json!("2999-01-01T00:00:00Z[Europe/Berlin]"),
    ] {
        let reply = keyward.create(keyward.project(), json!({"name": "bad", "expires_at": bad}));
        let reply = reply.expect_problem(422, "invalid");
        assert_eq!(reply.json()["errors"][0]["field"], "expires_at", "{bad}");
    }
    // As far as times go at all: kept, or refused; never wrapped into the past.
    for far in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999Z", "9999-12-30T22:00:00Z"] {
        let reply = keyward.create(keyward.project(), json!({"name": "farthest", "expires_at": far}));
        assert!([201, 422].contains(&reply.status), "{far}: {}", reply.text);
        if reply.status == 201 {
            let made = reply.json();
            assert!(made["key"]["expires_at"].as_str().unwrap().starts_with("9999-12-3"), "{made}");
            assert!(keyward.is_valid(made["secret"].as_str().unwrap()));
        }
    }
}

#[test]
fn i03_times_of_a_usage_query_are_bounded() {
    let keyward = Keyward::dev("standard");
    let usage = format!("/v1/projects/{}/usage", keyward.project());
    for (from, to) in [
        ("0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
        ("9999-12-31T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("1e18", "1e19"),
        ("-1", "0"),
        ("9223372036854775807", "9223372036854775808"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("now", "later"),
    ] {
        let reply = keyward.get(&format!("{usage}?from={from}&to={to}&step=hour"));
        assert!([200, 400, 422].contains(&reply.status), "{from} {to}: {} {}", reply.status, reply.text);
    }
}
