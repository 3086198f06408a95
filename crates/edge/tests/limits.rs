//! What callers are told of limits, what requests cost, and what failures give back.

mod support;

use keyward_core::scope::Scopes;
use keyward_core::tenancy::Boundary;
use serde_json::{Value, json};
use support::raw::{Answer, Raw, ask, get};
use support::upstream::{Recording, scripted};
use support::{Node, listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Quotas for a lifetime, so that no test straddles the end of a period; and a rate that nothing meets.
const CONTRACT: &str = r#"
schema = 1
extends = "standard"
api = "standard"
other_routes = "refuse"
[key]
scopes = true
[scopes]
admin = "everything"
[plans.standard]
title = "Standard plan"
rates.requests = { limit = 60, per = "1h", burst = 6, by = "key" }
quotas.credits = { limit = 20, per = "lifetime", by = "project", failures_free = true }
quotas.calls = { limit = 100, per = "lifetime", by = "project", counts = "requests" }
[gateway]
body_max_bytes = 10
[[routes]]
path = "/admin"
scopes = ["admin"]
[[routes]]
path = "/credits"
methods = ["GET", "HEAD"]
cost = 0
answer = { left = "{credits.remaining}", used = "{credits.used}", plan = "{plan.title}", whose = "{project}" }
[[routes]]
path = "/extract"
cost = 5
[[routes]]
path = "/x/{*rest}"
[limit_headers.own]
X-Credits = "{credits.remaining}"
X-Of = "{credits.used}/{credits.limit} on {plan}"
"#;

/// What is left of credits and calls, as the headers tell.
fn left(answer: &Answer) -> (u64, u64) {
    let fields = &answer.headers["ratelimit"];
    let of = |name: &str| {
        let at = fields.find(&format!("\"{name}\";r=")).unwrap_or_else(|| panic!("{name} in {fields}"));
        let digits = &fields[at + name.len() + 5..];
        digits.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    };
    (of("credits"), of("calls"))
}

async fn answers(status: &'static str) -> std::net::SocketAddr {
    scripted(move |mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nX-Credits: 999\r\n\r\nok");
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn p29_every_answer_tells_how_limits_stand_and_a_refusal_when_to_come_again() {
    let node = Node::start_with(CONTRACT, answers("200 OK").await, |_| {}).await;
    let key = node.key().await.secret;
    let first = ask(node.gateway, get("/extract", &key)).await.unwrap();
    assert_eq!((first.status, first.body.as_str()), (200, "ok"));
    let policy = r#""requests";q=60;w=3600, "calls";q=100, "credits";q=20"#;
    assert_eq!(first.headers["ratelimit-policy"], policy);
    assert_eq!(first.headers["ratelimit"], r#""requests";r=5;t=60, "calls";r=99, "credits";r=15"#);
    assert_eq!((first.headers["x-credits"].as_str(), first.headers["x-of"].as_str()), ("15", "5/20 on standard"));
    assert!(!first.headers.contains_key("retry-after"));
    for used in 2..=4 {
        let answer = ask(node.gateway, get("/extract", &key)).await.unwrap();
        assert_eq!((answer.status, left(&answer)), (200, (20 - 5 * used, 100 - used)));
    }
    // Denied: nothing is spent, the quota is named by being empty, and waiting does not help.
    let refused = ask(node.gateway, get("/extract", &key)).await.unwrap();
    assert_eq!((refused.status, left(&refused)), (429, (0, 96)));
    assert_eq!(refused.headers["ratelimit-policy"], policy);
    assert_eq!(
        (refused.headers["retry-after"].as_str(), refused.headers["x-should-retry"].as_str()),
        ("31536000", "false")
    );
    // What costs nothing still passes, as fast as the rate lets it.
    let mut refused = None;
    for _ in 0..4 {
        let answer = ask(node.gateway, get("/credits", &key)).await.unwrap();
        if answer.status == 429 {
            refused = Some(answer);
        }
    }
    let refused = refused.expect("six at once, and one a minute");
    assert!((1..=60).contains(&refused.headers["retry-after"].parse::<u64>().unwrap()));
    assert!(!refused.headers.contains_key("x-should-retry"));
    let other = node.key().await.secret;
    assert_eq!(ask(node.gateway, get("/credits", &other)).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_good_keys_are_told_of_limits() {
    let node = Node::start_with(CONTRACT, answers("200 OK").await, |_| {}).await;
    let key = node.key_with(|key| key.scopes = Scopes::new(["other"]).unwrap()).await;
    // Of a quota nothing is known before the store was asked.
    let refused = ask(node.gateway, get("/admin", &key.secret)).await.unwrap();
    assert_eq!((refused.status, refused.headers["ratelimit"].as_str()), (403, r#""requests";r=6;t=0"#));
    assert_eq!(ask(node.gateway, get("/x/", &key.secret)).await.unwrap().status, 200);
    for (path, status) in [("/admin", 403), ("/nowhere", 404)] {
        let refused = ask(node.gateway, get(path, &key.secret)).await.unwrap();
        assert_eq!((refused.status, left(&refused)), (status, (19, 99)), "{path}");
        assert!(refused.headers["x-credits"] == "19" && !refused.headers.contains_key("retry-after"));
    }
    node.revoke(key.id).await;
    for presented in [key.secret.as_str(), "garbage"] {
        let refused = ask(node.gateway, get("/x/", presented)).await.unwrap();
        assert_eq!(refused.status, 401);
        assert!(!refused.headers.keys().any(|name| name.starts_with("ratelimit") || name == "x-credits"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_fails_costs_nothing_where_the_contract_says_so() {
    let nobody = listener().local_addr().unwrap();
    for (upstream, status) in
        [(nobody, 502), (answers("500 Internal Server Error").await, 500), (answers("404 Not Found").await, 404)]
    {
        let node = Node::start_with(CONTRACT, upstream, |_| {}).await;
        let key = node.key().await.secret;
        for calls in 1..=2 {
            let failed = ask(node.gateway, get("/extract", &key)).await.unwrap();
            assert_eq!((failed.status, left(&failed)), (status, (20, 100 - calls)));
            assert_eq!(failed.headers["x-credits"], "20");
            assert!(!failed.headers.contains_key("retry-after"));
        }
    }
    // 400 bytes where 10 are the most, told only while they come.
    let node = Node::start_with(CONTRACT, answers("200 OK").await, |_| {}).await;
    let key = node.key().await.secret;
    let head = format!(
        "POST /extract HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let body = format!("190\r\n{}\r\n0\r\n\r\n", "x".repeat(400));
    let refused = ask(node.gateway, head + &body).await.unwrap();
    assert_eq!((refused.status, left(&refused)), (413, (20, 99)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hangs_up_gets_nothing_back() {
    let (reached, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let upstream = scripted(move |mut stream| {
        let reached = reached.clone();
        async move {
            let _ = stream.read(&mut [0; 4096]).await;
            reached.send(()).unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await;
    let node = Node::start_with(CONTRACT, upstream, |_| {}).await;
    let key = node.key().await.secret;
    let with_body =
        format!("POST /extract HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Length: 9\r\n\r\n12");
    for request in [get("/extract", &key), with_body] {
        let mut raw = Raw::connect(node.gateway).await;
        raw.send(request).await;
        seen.recv().await.unwrap();
        drop(raw);
        while node.engine.open_exchanges() > 0 {
            tokio::task::yield_now().await;
        }
    }
    let told = ask(node.gateway, get("/credits", &key)).await.unwrap();
    assert_eq!((told.status, left(&told)), (200, (10, 97)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_the_contracts_never_reaches_the_upstream() {
    let upstream = Recording::start().await;
    let node = Node::start_with(CONTRACT, upstream.address, |_| {}).await;
    let key = node.key().await.secret;
    assert_eq!(ask(node.gateway, get("/extract", &key)).await.unwrap().status, 200);
    let mut raw = Raw::connect(node.gateway).await;
    raw.send(get("/credits?x=y", &key)).await;
    let told = raw.answer().await.unwrap();
    assert_eq!((told.status, told.headers["content-type"].as_str()), (200, "application/json"));
    assert_eq!((told.headers["cache-control"].as_str(), told.headers["x-credits"].as_str()), ("no-store", "15"));
    assert_eq!((told.headers["x-request-id"].len(), left(&told)), (32, (15, 98)));
    let expected = json!({"left": 15, "used": 5, "plan": "Standard plan", "whose": node.project.id.to_string()});
    assert_eq!(serde_json::from_str::<Value>(&told.body).unwrap(), expected);
    raw.send(get("/credits", &key).replace("GET", "HEAD")).await;
    let head = raw.head().await.to_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains(&format!("content-length: {}\r\n", told.body.len())));
    raw.send(get("/credits", &key)).await;
    assert_eq!(raw.answer().await.unwrap().body, told.body, "nothing but the head came before");
    assert_eq!(ask(node.gateway, get("/credits", "garbage")).await.unwrap().status, 401);
    assert_eq!(ask(node.gateway, get("/credits", &key).replace("GET", "POST")).await.unwrap().status, 404);
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn q22_guesses_are_slowed_down_and_good_keys_are_not() {
    let source = format!("{CONTRACT}\n[guards.failed_authentication]\nlimit = 2\nper = \"1h\"\n");
    let node = Node::start_with(&source, answers("200 OK").await, |_| {}).await;
    let key = node.key().await.secret;
    for status in [401, 401, 429, 429] {
        let refused = ask(node.gateway, get("/x/", "garbage")).await.unwrap();
        assert_eq!((refused.status, refused.headers.contains_key("retry-after")), (status, status == 429));
        assert!(!refused.headers.contains_key("ratelimit"));
    }
    assert_eq!(ask(node.gateway, get("/x/", &key)).await.unwrap().status, 200);
}

async fn verify(node: &Node, question: Value) -> Value {
    let management = node.management_key(&["verify"], Boundary::Everything).await;
    let body = question.to_string();
    let request = format!(
        "POST /v1/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {management}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = ask(node.check, request).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verify_spends_what_it_is_asked_to_and_tells_what_is_left() {
    let node = Node::start_with(CONTRACT, listener().local_addr().unwrap(), |_| {}).await;
    let key = node.key().await;
    let ask = async |more: Value| {
        let mut question = json!({"key": key.secret});
        question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        verify(&node, question).await
    };
    let told = ask(json!({})).await;
    let limits = told["limits"].as_array().unwrap();
    assert_eq!((told["valid"].clone(), limits.len()), (json!(true), 3));
    let rate = &limits[0];
    assert_eq!((&rate["name"], &rate["kind"], &rate["by"]), (&json!("requests"), &json!("rate"), &json!("key")));
    assert_eq!((&rate["limit"], &rate["remaining"], &rate["reset_after"]), (&json!(60), &json!(5), &json!(60)));
    assert!(rate["reset_at"].as_str().unwrap().ends_with('Z'));
    let credits = json!({
        "name": "credits", "kind": "quota", "by": "project", "limit": 20, "remaining": 19, "used": 1,
        "reset_after": null, "reset_at": null,
    });
    assert_eq!(limits[2], credits);
    let used = |told: &Value| told["limits"][2]["used"].as_u64().unwrap();
    assert_eq!(used(&ask(json!({"method": "GET", "path": "/extract"})).await), 6);
    assert_eq!(used(&ask(json!({"method": "GET", "path": "/extract", "cost": 2})).await), 8);
    assert_eq!(used(&ask(json!({"cost": 0})).await), 8);
    let denied = ask(json!({"cost": 13})).await;
    let expected = json!({
        "valid": false, "code": "quota_exceeded", "key_id": key.id.to_string(), "limit": "credits",
        "retry_after": 31_536_000, "limits": denied["limits"],
    });
    assert_eq!((&denied, used(&denied)), (&expected, 8));
    assert_eq!(ask(json!({"scopes": ["admin"], "cost": 12})).await["limits"][2]["remaining"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_limits_tells_of_none() {
    let node = Node::start_with(&support::preset_source("standard"), answers("200 OK").await, |_| {}).await;
    let key = node.key().await.secret;
    let answer = ask(node.gateway, get("/x", &key)).await.unwrap();
    assert!(!answer.headers.keys().any(|name| name.starts_with("ratelimit")));
    assert_eq!(answer.headers["x-credits"], "999", "the upstream's own stays");
    let told = verify(&node, json!({"key": key})).await;
    assert_eq!((&told["valid"], &told["limits"]), (&json!(true), &json!([])));
}
