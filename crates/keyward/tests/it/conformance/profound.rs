//! Profound: named keys with an expiry for an organization, in `X-API-Key` or the query's `api_key`.

use std::time::Duration;

use keyward_core::clock::Timestamp;
use serde_json::{Value, json};

use super::{behind, caller, event, expect_fields, expect_secret_nowhere, records_of, refused, used};
use crate::harness::contract::escaped;
use crate::harness::{Key, Keyward, Refused, Request, Sdk, in_seconds};

const PATH: &str = "/v1/reports/visibility";

const CURL_HEADER: &str = r#"curl -X POST "https://api.tryprofound.com/v1/reports/visibility" \
    -H "X-API-Key: your_api_key_here" \
    -H "Content-Type: application/json""#;

const CURL_QUERY: &str = r#"curl -X POST "https://api.tryprofound.com/v1/reports/visibility?api_key=your_api_key_here" \
    -H "Content-Type: application/json""#;

/// The documented request: a JSON content type, and neither a body nor a `Content-Length`.
fn report(secret: &str) -> Request {
    unkeyed().with("X-API-Key", secret)
}

fn unkeyed() -> Request {
    Request::post(PATH).with("Content-Type", "application/json")
}

fn invalid() -> Refused {
    refused(401, json!({"detail": "Invalid API key"}))
}

fn forbidden() -> Refused {
    refused(403, json!({"detail": "Insufficient permissions"}))
}

/// What a key with this name is asked for with: it ends in an hour.
fn wish(name: &str) -> Value {
    json!({"name": name, "expires_at": in_seconds(3600)})
}

fn make(keyward: &Keyward, name: &str) -> Key {
    keyward.make(keyward.project(), wish(name))
}

#[test]
fn p03_a_request_needs_a_key() {
    let (keyward, upstream) = behind("profound");
    keyward.send(&unkeyed()).expect_refused(&invalid());
    assert_eq!(upstream.count(), 0);
}

#[test]
fn p04_the_key_identifies_whose_request_it_is() {
    let (keyward, upstream) = behind("profound");
    let key = make(&keyward, "identified");
    keyward.send(&report(&key.secret)).expect(200);
    let told = json!({"project": keyward.project(), "organization": keyward.started.organization, "key": key.id});
    assert_eq!(caller(&upstream.last()), told);
    let event = event(&keyward, keyward.project(), "key.used", &key.id);
    assert_eq!((&event["count"], &event["outcome"]), (&json!(1), &json!("valid")), "{event}");
    assert_eq!(event["origin"]["address"], "127.0.0.1", "{event}");
    used(&keyward, &key.id, 1);
    let verdict = keyward.verify(json!({"key": key.secret})).expect(200).json();
    assert_eq!((&verdict["key_id"], &verdict["organization"]), (&told["key"], &told["organization"]), "{verdict}");
}

#[test]
fn p05_the_key_opens_all_data_of_its_organization_and_none_of_another() {
    let upstream = records_of("x-keyward-organization");
    let keyward = Keyward::dev_with("profound", &["--upstream", &upstream.url]);
    let (ours, colleagues) = (make(&keyward, "ours"), make(&keyward, "a colleague's"));
    let (_, their_project, _) = keyward.new_organization("Others");
    let theirs = keyward.make(&their_project, wish("theirs"));
    for path in ["/v1/org/categories", "/v1/org/regions", "/v1/reports/visibility", "/v1/reports/citations"] {
        let write = Request::post(path).with("X-API-Key", &ours.secret).json(r#"{"rows":[1]}"#);
        keyward.send(&write).expect(200);
        let read = |key: &Key| keyward.send(&Request::get(path).with("X-API-Key", &key.secret));
        assert_eq!(read(&ours).expect(200).json(), json!({"rows": [1]}));
        assert_eq!(
            read(&colleagues).expect(200).json(),
            json!({"rows": [1]}),
            "not the user's, the organization's"
        );
        read(&theirs).expect(404);
    }
}

#[test]
fn p07_the_table_lists_the_organizations_keys() {
    let keyward = Keyward::dev("profound");
    let (_, their_project, _) = keyward.new_organization("Others");
    let theirs = keyward.make(&their_project, wish("theirs"));
    let ours = make(&keyward, "ours");
    let ids: Vec<_> = keyward.list(keyward.project()).iter().map(|key| key["id"].clone()).collect();
    assert_eq!(ids, [json!(ours.id), json!(keyward.started.key_id)], "newest first, and no one else's");
    assert_eq!(keyward.list(&their_project)[0]["id"], theirs.id);
}

#[test]
fn p09_a_key_needs_a_name_and_an_expiry_in_the_future() {
    let keyward = Keyward::dev("profound");
    let expires_at = in_seconds(86_400);
    let made = keyward.create(keyward.project(), json!({"name": "Reports", "expires_at": expires_at})).expect(201);
    let key = made.json()["key"].clone();
    assert_eq!((&key["name"], &key["expires_at"]), (&json!("Reports"), &json!(expires_at)));
    let refusals = [
        (json!({"expires_at": expires_at}), &["name"][..]),
        (json!({"name": "Reports"}), &["expires_at"]),
        (json!({"name": "Reports", "expires_at": null}), &["expires_at"]),
        (json!({"name": "Reports", "expires_at": in_seconds(-1)}), &["expires_at"]),
        (json!({"name": "ab", "expires_at": in_seconds(-86_400)}), &["expires_at", "name"]),
        (json!({}), &["expires_at", "name"]),
    ];
    let before = keyward.list(keyward.project()).len();
    for (wish, fields) in refusals {
        expect_fields(keyward.create(keyward.project(), wish), fields);
    }
    assert_eq!(keyward.list(keyward.project()).len(), before, "a refused wish made a key");
}

#[test]
fn p10_the_name_is_longer_than_two_characters() {
    let keyward = Keyward::dev("profound");
    for short in ["", "a", "ab", "  a ", " ab\t", "日本", "🔑🔑"] {
        expect_fields(keyward.create(keyward.project(), wish(short)), &["name"]);
    }
    for (given, kept) in [("abc", "abc"), ("日本語", "日本語"), ("🔑🔑🔑", "🔑🔑🔑"), ("  abc ", "abc")]
    {
        let made = keyward.create(keyward.project(), wish(given)).expect(201).json();
        assert_eq!(made["key"]["name"], kept);
    }
    for deceptive in ["abc\u{0}", "ab\ncd", "abc\u{202E}def", "abc\u{2066}def"] {
        expect_fields(keyward.create(keyward.project(), wish(deceptive)), &["name"]);
    }
}

#[test]
fn p11_creating_generates_the_key() {
    let keyward = Keyward::dev("profound");
    let made = keyward.create(keyward.project(), wish("Reports")).expect(201);
    let key = Key::of(&made);
    assert_eq!(made.json()["key"]["state"], "active");
    assert_eq!(made.header("cache-control"), Some("no-store"));
    keyward.use_key(report(&key.secret)).expect_accepted();
}

#[test]
fn p12_the_key_cannot_be_retrieved_again() {
    let (keyward, _upstream) = behind("profound");
    let made = keyward.create(keyward.project(), wish("Reports")).expect(201);
    let key = Key::of(&made);
    keyward.send(&report(&key.secret)).expect(200);
    used(&keyward, &key.id, 1);
    expect_secret_nowhere(&keyward, keyward.project(), &key.id, &key.secret);
    // What is shown of it is its prefix and its last four characters.
    let hint = keyward.key(&key.id)["hint"].as_str().unwrap().to_owned();
    assert_eq!(hint, format!("pf_…{}", &key.secret[key.secret.len() - 4..]));
}

#[test]
fn p13_the_key_stands_in_the_table_beside_the_others() {
    let keyward = Keyward::dev("profound");
    let (_, project, _) = keyward.new_organization("Fresh");
    let wishes = [wish("First"), json!({"name": "Second", "expires_at": in_seconds(7200)})];
    wishes.iter().for_each(|wish| drop(keyward.make(&project, wish.clone())));
    let listed = keyward.list(&project);
    let rows: Vec<_> = listed.iter().map(|key| (key["name"].clone(), key["expires_at"].clone())).collect();
    let row = |wish: &Value| (wish["name"].clone(), wish["expires_at"].clone());
    assert_eq!(rows, [row(&wishes[1]), row(&wishes[0])]);
}

#[test]
fn p15_an_existing_key_is_revoked() {
    let keyward = Keyward::dev("profound");
    let key = make(&keyward, "Reports");
    let mut in_use = keyward.use_key(report(&key.secret));
    keyward.revoke(&key.id).expect(200);
    in_use.expect_refused(&invalid());
}

#[test]
fn p17_the_published_client_gets_its_report() {
    let keyward = Keyward::dev("profound");
    let key = make(&keyward, "Reports");
    let got = Sdk::new("profound", &keyward).key(&key.secret).call();
    assert_eq!(got["ok"], true, "{got}");
    assert_eq!(got["data"]["info"]["total_rows"], 0, "{got}");
}

#[test]
fn p18_the_documented_curl_line_passes_though_it_has_no_body_and_no_length() {
    let (keyward, upstream) = behind("profound");
    let key = make(&keyward, "Reports");
    let host = ("https://api.tryprofound.com", keyward.started.gateway_url.as_str());
    let curled = keyward.curl(CURL_HEADER, &[host, ("your_api_key_here", &key.secret)]).expect(200);
    assert_eq!(curled.json(), json!({"ok": true}));
    let seen = upstream.last();
    assert_eq!((seen.method.as_str(), seen.target.as_str(), seen.body.len()), ("POST", PATH, 0));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("transfer-encoding"), None);
    assert!(matches!(seen.header("content-length"), None | Some("0")), "{seen:?}");
    assert!(!seen.text().contains(&key.secret));
    assert_eq!(keyward.curl(CURL_HEADER, &[host]).expect(401).json(), invalid().body);
}

#[test]
fn p19_the_key_may_be_a_query_parameter() {
    let (keyward, _upstream) = behind("profound");
    let key = make(&keyward, "Reports");
    keyward.send(&unkeyed().query("api_key", &key.secret)).expect(200);
    keyward.send(&unkeyed().query("apikey", &key.secret)).expect_refused(&invalid());
    keyward.send(&unkeyed().query("API_KEY", &key.secret)).expect_refused(&invalid());
}

#[test]
fn p20_the_documented_query_curl_line_passes_and_the_key_goes_no_further() {
    let (keyward, upstream) = {
        let upstream = records_of("x-keyward-organization");
        (Keyward::dev_with("profound", &["--upstream", &upstream.url, "--log-level", "trace"]), upstream)
    };
    let key = make(&keyward, "Reports");
    let host = ("https://api.tryprofound.com", keyward.started.gateway_url.as_str());
    keyward.curl(CURL_QUERY, &[host, ("your_api_key_here", &key.secret)]).expect(200);
    let seen = upstream.last();
    assert_eq!((seen.target.as_str(), seen.body.len()), (PATH, 0), "{seen:?}");
    assert!(!seen.text().contains(&key.secret));
    let among_others = Request::get(&format!("/v1/org/regions?b=%20x&api_key={}&a=1&b", key.secret));
    keyward.send(&among_others);
    assert_eq!(upstream.last().target, "/v1/org/regions?b=%20x&a=1&b", "the others stay as they were");
    used(&keyward, &key.id, 2);
    expect_secret_nowhere(&keyward, keyward.project(), &key.id, &key.secret);
}

#[test]
fn p21_either_method_works_and_the_header_wins() {
    let (keyward, upstream) = behind("profound");
    let (first, second) = (make(&keyward, "first"), make(&keyward, "second"));
    let both = |header: &str, query: &str| keyward.send(&report(header).query("api_key", query));
    both(&first.secret, &second.secret).expect(200);
    assert_eq!(caller(&upstream.last())["key"], first.id);
    assert_eq!(upstream.last().target, PATH);
    both(&first.secret, "garbage").expect(200);
    assert_eq!(upstream.last().target, PATH, "the query's value is taken out all the same");
    let before = upstream.count();
    both("garbage", &second.secret).expect_refused(&invalid());
    both("", &second.secret).expect_refused(&invalid());
    assert_eq!(upstream.count(), before);
    let encoded = first.secret.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    keyward.send(&unkeyed().query("api_key", &encoded)).expect(200);
    keyward.send(&unkeyed().query("api%5Fkey", &escaped(&first.secret))).expect(200);
    assert_eq!(upstream.last().target, PATH);
}

#[test]
fn p22_a_key_reaches_its_categories_and_reports_only() {
    let (keyward, upstream) = behind("profound");
    let narrow = |scopes: Value| {
        let wish = json!({"name": "narrow", "expires_at": in_seconds(3600), "scopes": scopes});
        keyward.make(keyward.project(), wish)
    };
    let key = narrow(json!(["org", "reports", "category:x1"]));
    let get = |path: &str| Request::get(path).with("X-API-Key", &key.secret);
    let post = |path: &str, body: Value| Request::post(path).with("X-API-Key", &key.secret).json(&body.to_string());
    let allowed = [
        get("/v1/org/regions"),
        get("/v1/org/categories/x1/topics"),
        post(PATH, json!({"category_id": "x1", "metrics": ["visibility_score"]})),
        post("/v2/reports/citations", json!({"category_id": "x1"})),
    ];
    for request in &allowed {
        keyward.send(request).expect(200);
    }
    assert_eq!(upstream.last().body, br#"{"category_id":"x1"}"#, "the body arrives though it was looked into");
    let forbidden_requests = [
        get("/v1/org/categories/y2/topics"),
        get("/v1/org/categories/%791/../y2/topics"),
        post(PATH, json!({"category_id": "y2"})),
        post(PATH, json!({"metrics": []})),
        post("/v1/raw/answers", json!({"category_id": "x1"})),
        post("/v1/prompts/answers", json!({"category_id": "x1"})),
        get("/v1/something/else"),
    ];
    for request in &forbidden_requests {
        let answer = keyward.send(request);
        assert!([400, 403].contains(&answer.status), "{request:?}: {}", answer.text());
    }
    assert_eq!(upstream.count(), allowed.len());
    let unlimited = make(&keyward, "unlimited");
    let raw = Request::post("/v1/raw/answers").with("X-API-Key", &unlimited.secret);
    keyward.send(&raw.json(r#"{"category_id":"y2"}"#)).expect(200);
}

#[test]
fn p24_keys_are_rotated_by_making_a_second_and_revoking_the_first() {
    let keyward = Keyward::dev("profound");
    let first = make(&keyward, "first");
    let mut first_in_use = keyward.use_key(report(&first.secret));
    let second = make(&keyward, "second");
    let mut second_in_use = keyward.use_key(report(&second.secret));
    first_in_use.expect_accepted();
    keyward.revoke(&first.id).expect(200);
    first_in_use.expect_refused(&invalid());
    second_in_use.expect_accepted();
    // No limit of active keys is stated: twenty more are no trouble.
    (0..20).for_each(|number| drop(make(&keyward, &format!("key {number}"))));
}

#[test]
fn p25_usage_can_be_checked_by_key() {
    let (keyward, _upstream) = behind("profound");
    let (busy, idle) = (make(&keyward, "busy"), make(&keyward, "idle"));
    let began = in_seconds(0);
    for _ in 0..7 {
        keyward.send(&report(&busy.secret)).expect(200);
    }
    let shown = used(&keyward, &busy.id, 7);
    let last: Timestamp = shown["last_used_at"].as_str().unwrap().parse().unwrap();
    assert!(last >= began.parse().unwrap(), "{shown}");
    let usage =
        keyward.get(&format!("/v1/projects/{}/usage?by=key&step=hour", keyward.project())).expect(200).json();
    let items = usage["items"].as_array().unwrap();
    let counted = |key: &Key| -> i64 {
        items.iter().filter(|item| item["key"] == key.id).map(|item| item["count"].as_i64().unwrap()).sum()
    };
    assert_eq!((counted(&busy), counted(&idle)), (7, 0), "{usage}");
    assert_eq!(keyward.key(&idle.id)["last_used_at"], Value::Null);
}

#[test]
fn p26_an_incorrect_key_is_told_to_be_invalid_and_nothing_more() {
    let (keyward, upstream) = behind("profound");
    let key = make(&keyward, "Reports");
    let other_last = if key.secret.ends_with('0') { '1' } else { '0' };
    let changed = format!("{}{other_last}", &key.secret[..key.secret.len() - 1]);
    let truncated = &key.secret[..key.secret.len() - 1];
    let made_up = format!("pf_{}", "A".repeat(43));
    let answers: Vec<_> = ["garbage", "", truncated, &changed, &made_up, "pf_", &key.secret.to_uppercase()]
        .into_iter()
        .map(|wrong| keyward.send(&report(wrong)).expect_refused(&invalid()))
        .collect();
    let variable = ["date", "x-request-id"];
    let head = |head: &str| -> Vec<String> {
        let named = |line: &&str| variable.iter().any(|name| line.to_lowercase().starts_with(&format!("{name}:")));
        head.lines().filter(|line| !named(line)).map(str::to_owned).collect()
    };
    for answer in &answers {
        assert_eq!(answer.body, answers[0].body);
        assert_eq!(head(&answer.head), head(&answers[0].head));
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn p27_an_expired_key_is_told_to_be_invalid() {
    let keyward = Keyward::dev("profound");
    // Long enough to be used before on a busy machine.
    let expires_at = in_seconds(4);
    let key = keyward.make(keyward.project(), json!({"name": "Short", "expires_at": expires_at}));
    let mut in_use = keyward.use_key(report(&key.secret));
    in_use.expect_refused_in_the_end(&invalid());
    let (now, end): (Timestamp, Timestamp) = (in_seconds(0).parse().unwrap(), expires_at.parse().unwrap());
    assert!(now >= end, "refused {:?} before its end", end.since(now));
    assert!(now.since(end) < Duration::from_secs(10), "refused {:?} after its end", now.since(end));
    // Callers are told that it is invalid; its owner sees that it expired, and when.
    let shown = keyward.key(&key.id);
    assert_eq!((&shown["state"], &shown["expires_at"]), (&json!("expired"), &json!(expires_at)));
    assert_eq!(keyward.list(keyward.project())[0]["state"], "expired");
    keyward.rotate(&key.id, json!({})).expect_problem(409, "key_not_active");
}

#[test]
fn p28_a_key_without_access_to_a_resource_is_told_so() {
    let (keyward, _upstream) = behind("profound");
    let wish = json!({"name": "Narrow", "expires_at": in_seconds(3600), "scopes": ["reports", "category:x1"]});
    let key = keyward.make(keyward.project(), wish);
    let elsewhere = Request::get("/v1/org/regions").with("X-API-Key", &key.secret);
    keyward.send(&elsewhere).expect_refused(&forbidden());
    let other_category = report(&key.secret);
    keyward.send(&other_category).expect_refused(&forbidden());
    // Narrowing a key holds for its very next request.
    let wide = make(&keyward, "Wide");
    let mut in_use = keyward.use_key(Request::get("/v1/org/regions").with("X-API-Key", &wide.secret));
    keyward.patch(&format!("/v1/keys/{}", wide.id), json!({"scopes": ["reports"]})).expect(200);
    in_use.expect_refused(&forbidden());
}
