//! ScrapeGraphAI: credits that failures and status polls leave alone, `X-RateLimit-*` beside every answer to a key,
//! and how the credits stand, which the gateway says itself.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};

use super::{number, retry_after};
use crate::harness::raw::Answer;
use crate::harness::{Keyward, Request, Scripted, Sdk, Upstream, in_seconds};

fn extract(secret: &str) -> Request {
    Request::post("/api/extract").with("SGAI-APIKEY", secret).json(r#"{"url":"https://example.com","prompt":"t"}"#)
}

fn scrape(secret: &str) -> Request {
    Request::post("/api/scrape").with("SGAI-APIKEY", secret).json(r#"{"url":"https://example.com"}"#)
}

fn credits(secret: &str) -> Request {
    Request::get("/api/credits").with("SGAI-APIKEY", secret)
}

fn refusal(code: &str, message: &str) -> Value {
    json!({"detail": message, "error": {"type": code, "message": message}})
}

/// A Keyward in front of an upstream that answers with the status it was last told, and the account's secret. The
/// account's requests are out of the way: 10 a minute would stop these stories first.
fn account(own_credits: u64) -> (Keyward, Upstream, Arc<AtomicU16>, String) {
    let status = Arc::new(AtomicU16::new(200));
    let told = Arc::clone(&status);
    let upstream = Upstream::start(Scripted::with(move |_, socket| {
        let status = told.load(Ordering::SeqCst);
        let head = "Content-Type: application/json\r\nContent-Length: 2";
        socket.write_all(format!("HTTP/1.1 {status} Told\r\n{head}\r\n\r\n{{}}").as_bytes()).is_ok()
    }));
    let keyward = Keyward::dev_with("scrapegraphai", &["--upstream", &upstream.url]);
    keyward.lift_limits();
    keyward.set_limits(keyward.project(), json!({"credits": {"limit": own_credits}}));
    let secret = keyward.first_key().secret;
    (keyward, upstream, status, secret)
}

#[test]
fn an_extract_costs_five_credits_and_without_them_it_is_payment_required() {
    let (keyward, upstream, _, secret) = account(12);
    keyward.send(&extract(&secret)).expect(200);
    keyward.send(&extract(&secret)).expect(200);
    let refused = keyward.send(&extract(&secret)).expect(402);
    assert_eq!(refused.json(), refusal("quota_exceeded", "Insufficient credits"));
    assert!(retry_after(&refused) <= 31 * 86_400);
    assert_eq!(
        (upstream.count(), keyward.used_of(keyward.project(), "credits")),
        (2, 10),
        "a refusal costs nothing"
    );
    // Two are left, for what costs one.
    keyward.send(&scrape(&secret)).expect(200);
    keyward.send(&scrape(&secret)).expect(200);
    keyward.send(&scrape(&secret)).expect(402);
    let clients = [("scrapegraph-py", '-'), ("scrapegraph-js", '—')];
    for (client, dash) in clients {
        let got = Sdk::new(client, &keyward).key(&secret).call();
        let message = format!(
            "Insufficient credits {dash} purchase more at https://dashboard.scrapegraphai.com: Insufficient credits"
        );
        assert_eq!((&got["ok"], &got["message"]), (&json!(false), &json!(message)), "{got}");
    }
}

#[test]
fn what_the_upstream_fails_costs_nothing() {
    let (keyward, upstream, status, secret) = account(10);
    let used = || keyward.used_of(keyward.project(), "credits");
    for failure in [500, 503, 400, 404, 422, 429] {
        status.store(failure, Ordering::SeqCst);
        for _ in 0..3 {
            keyward.send(&extract(&secret)).expect(failure);
        }
        assert_eq!(used(), 0, "{failure}");
    }
    status.store(200, Ordering::SeqCst);
    keyward.send(&extract(&secret)).expect(200);
    assert_eq!(used(), 5);
    keyward.send(&extract(&secret)).expect(200);
    // Nothing is left to reserve: a request that might fail does not reach the upstream either.
    status.store(500, Ordering::SeqCst);
    let before = upstream.count();
    keyward.send(&extract(&secret)).expect(402);
    assert_eq!((upstream.count(), used()), (before, 10));
}

#[test]
fn asking_how_a_job_stands_costs_nothing_also_without_credits() {
    let (keyward, upstream, _, secret) = account(1);
    keyward.send(&scrape(&secret)).expect(200);
    keyward.send(&scrape(&secret)).expect(402);
    for path in ["/api/crawl/7f1d2c6e", "/api/history/1", "/api/monitor/1/activity"] {
        keyward.send(&Request::get(path).with("SGAI-APIKEY", &secret)).expect(200);
    }
    assert_eq!((upstream.count(), keyward.used_of(keyward.project(), "credits")), (4, 1));
}

#[test]
fn how_the_credits_stand_is_told_by_the_gateway() {
    let (keyward, upstream, _, secret) = account(500);
    let jobs = json!({"crawl": {"used": 0, "limit": 1}, "monitor": {"used": 0, "limit": 1}});
    let told = |remaining: u64, used: u64, plan: &str| {
        let answer = keyward.send(&credits(&secret)).expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.json(), json!({"remaining": remaining, "used": used, "plan": plan, "jobs": jobs}));
    };
    told(500, 0, "Free");
    keyward.send(&extract(&secret)).expect(200);
    told(495, 5, "Free");
    keyward.edit(keyward.project(), json!({"plan": "starter", "limits": {"credits": null}})).expect(200);
    told(9_995, 5, "Starter");
    assert_eq!(upstream.count(), 1, "nobody else is asked for it");
    for client in ["scrapegraph-py", "scrapegraph-js"] {
        let got = Sdk::new(client, &keyward).key(&secret).given("call", "credits").call();
        let data = &got["data"];
        assert_eq!(
            (&got["ok"], &data["remaining"], &data["used"], &data["plan"], &data["jobs"]),
            (&json!(true), &json!(9_995), &json!(5), &json!("Starter"), &jobs),
            "{got}"
        );
    }
    // Only with a key, and only to read.
    keyward.send(&Request::get("/api/credits")).expect(401);
    keyward.send(&credits("sgai-garbage")).expect(401);
    assert_eq!(upstream.count(), 1);
}

fn now() -> u64 {
    let now: keyward_core::clock::Timestamp = in_seconds(0).parse().unwrap();
    (now.as_millis() / 1000).cast_unsigned()
}

#[track_caller]
fn expect_headers(answer: &Answer, remaining: u64) {
    assert_eq!(number(answer, "x-ratelimit-limit"), 1, "{}", answer.head);
    assert_eq!(number(answer, "x-ratelimit-remaining"), remaining, "{}", answer.head);
    let reset = number(answer, "x-ratelimit-reset");
    assert!((now() - 1..=now() + 241).contains(&reset), "{}", answer.head);
    // The contract's own stand in place of the standard's.
    assert_eq!((answer.header("ratelimit"), answer.header("ratelimit-policy")), (None, None));
}

#[test]
fn every_answer_to_a_key_tells_the_rate_and_no_other() {
    let (keyward, _upstream, status, secret) = account(5);
    // One a minute, four at once: none comes back while this runs.
    keyward.set_limits(keyward.project(), json!({"requests": {"limit": 1, "burst": 4}}));
    expect_headers(&keyward.send(&extract(&secret)).expect(200), 3);
    expect_headers(&keyward.send(&extract(&secret)).expect(402), 3);
    status.store(500, Ordering::SeqCst);
    expect_headers(&keyward.send(&Request::get("/api/history/1").with("SGAI-APIKEY", &secret)).expect(500), 2);
    expect_headers(&keyward.send(&credits(&secret)).expect(200), 1);
    status.store(404, Ordering::SeqCst);
    expect_headers(&keyward.send(&Request::get("/api/nowhere").with("SGAI-APIKEY", &secret)).expect(404), 0);
    let refused = keyward.send(&credits(&secret)).expect(429);
    assert_eq!(refused.json(), refusal("rate_limited", "Rate limit exceeded"));
    assert!(retry_after(&refused) <= 60);
    expect_headers(&refused, 0);
    // Without a key that is known there is no account whose rate could be told.
    for request in [Request::get("/api/credits"), credits("sgai-garbage")] {
        let refused = keyward.send(&request).expect(401);
        assert!(!refused.head.to_lowercase().contains("ratelimit"), "{}", refused.head);
    }
}

#[test]
fn the_free_plan_gives_ten_requests_a_minute_and_five_hundred_credits() {
    let keyward = Keyward::dev("scrapegraphai");
    let first = keyward.send(&extract(&keyward.first_key().secret)).expect(200);
    assert_eq!((number(&first, "x-ratelimit-limit"), number(&first, "x-ratelimit-remaining")), (10, 9));
    let account = keyward.project();
    for (plan, requests, credits) in
        [("free", 10, 500), ("starter", 100, 10_000), ("growth", 500, 100_000), ("pro", 5000, 750_000)]
    {
        keyward.edit(account, json!({"plan": plan})).expect(200);
        let limit = |name| keyward.limit(account, name)["limit"].clone();
        assert_eq!((limit("requests"), limit("credits")), (json!(requests), json!(credits)));
        assert_eq!(keyward.used_of(account, "credits"), 5);
    }
}
