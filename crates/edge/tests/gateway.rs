//! What passes the gateway, what does not, and what either side sees.

mod support;

use std::collections::BTreeSet;

use keyward_core::change::KeyChange;
use keyward_core::id::ProjectId;
use keyward_core::scope::Scopes;
use support::raw::{Raw, ask, get};
use support::upstream::Recording;
use support::{Node, listener};

#[tokio::test(flavor = "multi_thread")]
async fn g01_the_upstream_is_told_who_calls_and_never_the_key() {
    let upstream = Recording::start().await;
    let node = Node::start("getprofile", upstream.address).await;
    let key = node.key().await;
    let answer = ask(node.gateway, get("/v1/profile/abc123?x=%2F", &key.secret)).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "GET /v1/profile/abc123?x=%2F"));
    assert_eq!(answer.headers["x-upstream"], "yes");
    assert!(!answer.headers.contains_key("x-keyward-forged"));
    let seen = upstream.last();
    assert_eq!(seen.header("x-keyward-project"), [node.project.id.to_string()]);
    assert_eq!(seen.header("x-keyward-organization"), [node.project.organization.to_string()]);
    assert_eq!(seen.header("x-keyward-key-id"), [key.id.to_string()]);
    assert_eq!(seen.header("x-keyward-plan"), ["free"]);
    assert_eq!(seen.header("x-keyward-scopes"), ["*"]);
    assert_eq!(seen.header("x-keyward-request-id"), [answer.headers["x-request-id"].as_str()]);
    assert_eq!(seen.header("host"), [upstream.address.to_string()]);
    assert_eq!(seen.header("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.header("x-forwarded-host"), ["api.example"]);
    assert!(seen.headers.iter().all(|(_, value)| !value.contains(&key.secret)));
}

#[tokio::test(flavor = "multi_thread")]
async fn h20_all_refusals_of_the_credential_are_the_same_bytes() {
    let upstream = Recording::start().await;
    let node = Node::start("getprofile", upstream.address).await;
    let (revoked, other) = (node.key().await, node.key().await);
    node.revoke(revoked.id).await;
    let truncated = &other.secret[..other.secret.len() - 1];
    let mut answers = BTreeSet::new();
    for key in [revoked.secret.as_str(), truncated, "garbage", "gp_0000000000000000000000000000000000000000000"] {
        let mut answer = ask(node.gateway, get("/v1/profile/a", key)).await.unwrap();
        assert_eq!(answer.headers.remove("x-request-id").unwrap().len(), 32);
        answer.headers.remove("date").unwrap();
        answers.insert(format!("{answer:?}"));
        assert_eq!(answer.status, 401);
        assert_eq!(answer.body, r#"{"error":"Invalid API key"}"#);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
    assert_eq!(answers.len(), 1);
    let missing = ask(node.gateway, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!((missing.status, missing.body.as_str()), (401, r#"{"error":"Missing API key"}"#));
    assert!(upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn g12_a_revoked_key_is_refused_on_the_next_request_of_an_open_connection() {
    let upstream = Recording::start().await;
    let node = Node::start("getprofile", upstream.address).await;
    let key = node.key().await;
    let mut raw = Raw::connect(node.gateway).await;
    for _ in 0..3 {
        raw.send(get("/v1/profile/a", &key.secret)).await;
        assert_eq!(raw.answer().await.unwrap().status, 200);
    }
    assert_eq!(upstream.connections(), 1, "the connection to the upstream is used again");
    node.revoke(key.id).await;
    raw.send(get("/v1/profile/a", &key.secret)).await;
    assert_eq!(raw.answer().await.unwrap().status, 401);
    assert_eq!(upstream.seen().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn p18_to_p21_header_and_query_without_a_body() {
    let upstream = Recording::start().await;
    let node = Node::start("profound", upstream.address).await;
    let key = node.key().await.secret;
    let post = "POST /v1/reports/visibility";
    let head = "HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    let by_header = ask(node.gateway, format!("{post} {head}x-API-key: {key}\r\n\r\n")).await.unwrap();
    assert_eq!(by_header.status, 200);
    assert!(upstream.last().header("x-api-key").is_empty() && upstream.last().header("content-length").is_empty());
    let by_query = ask(node.gateway, format!("{post}?a=1&api_key={key}&b=%2f {head}\r\n")).await.unwrap();
    assert_eq!(by_query.status, 200);
    assert_eq!(upstream.last().target, "/v1/reports/visibility?a=1&b=%2f");
    let both = ask(node.gateway, format!("{post}?api_key=garbage {head}X-API-Key: {key}\r\n\r\n")).await.unwrap();
    assert_eq!((both.status, upstream.last().target.as_str()), (200, "/v1/reports/visibility"));
    let garbage =
        ask(node.gateway, format!("{post}?api_key={key} {head}X-API-Key: garbage\r\n\r\n")).await.unwrap();
    assert_eq!((garbage.status, garbage.body.as_str()), (401, r#"{"detail":"Invalid API key"}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn p22_a_key_limited_to_a_category_reaches_no_other() {
    let upstream = Recording::start().await;
    let node = Node::start("profound", upstream.address).await;
    let limited = node.key_with(|key| key.scopes = Scopes::new(["org", "reports", "category:7c9e"]).unwrap()).await;
    let call = |method: &str, path: &str, body: &str| {
        let length = body.len();
        let key = &limited.secret;
        format!("{method} {path} HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    for (method, path, body, status) in [
        ("GET", "/v1/org/categories/7c9e/topics", "", 200),
        ("GET", "/v1/org/categories/%37c9e/topics", "", 200),
        ("GET", "/v1/org/categories/0000/topics", "", 403),
        ("GET", "/v1/org/x/../categories/0000/topics", "", 400),
        ("POST", "/v1/reports/visibility", r#"{"category_id":"7c9e"}"#, 200),
        ("POST", "/v1/reports/visibility", r#"{"category_id":"0000"}"#, 403),
        ("POST", "/v1/reports/visibility", r#"{"category_id":"7c9e","category_id":"0000"}"#, 400),
        ("POST", "/v1/reports/visibility", "", 403),
        ("POST", "/v1/raw/prompts", r#"{"category_id":"7c9e"}"#, 403),
        ("GET", "/elsewhere", "", 403),
    ] {
        let answer = ask(node.gateway, call(method, path, body)).await.unwrap();
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.body);
        if status == 200 {
            assert_eq!(upstream.last().body, body, "the body goes on as it came");
        }
    }
    let encoded = call("POST", "/v1/reports/x", "{}").replace("Host: a", "Host: a\r\nContent-Encoding: gzip");
    assert_eq!(ask(node.gateway, encoded).await.unwrap().status, 415);
    let large = format!(r#"{{"category_id":"7c9e","x":"{}"}}"#, "x".repeat(65_536));
    assert_eq!(ask(node.gateway, call("POST", "/v1/reports/x", &large)).await.unwrap().status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn q21_the_project_in_the_path_is_the_keys_own() {
    let upstream = Recording::start().await;
    let node = Node::start("qanapi", upstream.address).await;
    let key = node.key().await.secret;
    let other = node.another_project().await.id;
    let nobodys = ProjectId::from_u128(1);
    let call = |project: &str| {
        format!("POST /proxy/{project} HTTP/1.1\r\nHost: a\r\nX-Qanapi-Authorization: {key}\r\n\r\n")
    };
    // Its own: nothing but the body is missing.
    assert_eq!(ask(node.gateway, call(&node.project.id.to_string())).await.unwrap().status, 422);
    let mut refusals = BTreeSet::new();
    for project in [other.to_string(), nobodys.to_string(), "x".into()] {
        let answer = ask(node.gateway, call(&project)).await.unwrap();
        assert_eq!(answer.status, 403);
        refusals.insert(answer.body);
    }
    assert_eq!(refusals.len(), 1);
    assert!(upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrowed_key_is_refused_at_once() {
    let upstream = Recording::start().await;
    let node = Node::start("profound", upstream.address).await;
    let key = node.key_with(|key| key.scopes = Scopes::new(["org", "reports"]).unwrap()).await;
    let call = format!("GET /v1/reports/x HTTP/1.1\r\nHost: a\r\nX-API-Key: {}\r\n\r\n", key.secret);
    assert_eq!(ask(node.gateway, &call).await.unwrap().status, 200);
    node.change(key.id, KeyChange::Rescoped { scopes: Scopes::new(["org"]).unwrap() }).await;
    assert_eq!(ask(node.gateway, &call).await.unwrap().status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_down_is_502_in_the_contracts_shape() {
    let nobody = listener().local_addr().unwrap();
    let node = Node::start("getprofile", nobody).await;
    let key = node.key().await.secret;
    let answer = ask(node.gateway, get("/", &key)).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (502, r#"{"error":"The API cannot be reached"}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstreams_base_path_and_an_apis_prefix() {
    let upstream = Recording::start().await;
    let source = "schema = 1\nextends = \"standard\"\napi = \"standard\"\n[gateway]\npath_prefix = \"/acme\"\n";
    let base = format!("http://{}/base/", upstream.address);
    let node = Node::start_with(source, upstream.address, |options| options.default_upstream = Some(base)).await;
    let key = node.key().await.secret;
    for (path, target) in
        [("/acme/x?y=1", "/base/x?y=1"), ("/acme", "/base"), ("/acme/", "/base/"), ("/acmex", "/base/acmex")]
    {
        let answer = ask(node.gateway, get(path, &key)).await.unwrap();
        assert_eq!((answer.status, upstream.last().target.as_str()), (200, target));
    }
    assert_eq!(ask(node.gateway, get("/acme/../x", &key)).await.unwrap().status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_api_there_is_a_404_of_our_own() {
    let upstream = Recording::start().await;
    let elsewhere = "nowhere".parse().unwrap();
    let node = Node::start_with(&support::preset_source("standard"), upstream.address, |options| {
        options.gateways[0].api = Some(elsewhere);
    })
    .await;
    let answer = ask(node.gateway, get("/", "k")).await.unwrap();
    assert_eq!((answer.status, answer.headers["content-type"].as_str()), (404, "application/problem+json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn m09_a_preflight_needs_a_key_like_anything_else() {
    let upstream = Recording::start().await;
    let node = Node::start("metriport", upstream.address).await;
    let preflight = "OPTIONS /x HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: GET\r\n\r\n";
    let answer = ask(node.gateway, preflight).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (403, r#"{"message":"Forbidden"}"#));
    assert!(answer.headers.keys().all(|name| !name.starts_with("access-control-")));
}

#[tokio::test(flavor = "multi_thread")]
async fn s15_a_graceful_stop_finishes_what_runs() {
    let upstream = support::upstream::scripted(|stream| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = stream;
        let mut piece = [0; 4096];
        let _ = stream.read(&mut piece).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab").await.unwrap();
        // The rest comes when the caller has seen the beginning, which the test shows by closing another socket.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        stream.write_all(b"cd").await.unwrap();
    })
    .await;
    let node = Node::start("getprofile", upstream).await;
    let key = node.key().await.secret;
    let mut idle = Raw::connect(node.gateway).await;
    let mut raw = Raw::connect(node.gateway).await;
    raw.send(get("/", &key)).await;
    let head = raw.head().await;
    assert!(head.starts_with("HTTP/1.1 200"));
    let stopping = tokio::spawn(node.edge.shutdown(std::time::Duration::from_secs(20)));
    let mut body = Vec::new();
    loop {
        let bytes = raw.bytes().await;
        if bytes.is_empty() {
            break;
        }
        body.extend(bytes);
    }
    assert_eq!(body, b"abcd");
    assert!(idle.ends().await);
    stopping.await.unwrap();
}
