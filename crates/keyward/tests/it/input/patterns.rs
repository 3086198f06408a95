//! Inputs that make careless matching slow: four times the input may take a few times as long, not sixteen.

use std::time::{Duration, Instant};

use crate::harness::raw::Socket;
use crate::harness::{Keyward, Reply};
use serde_json::{Value, json};

/// Panics where an input four times as long takes more than eight times as long. Below a few milliseconds only
/// the way there and back is measured. What else the machine does can only make a run slower, so the fastest of
/// many is what counts: enough have been seen once the fastest are as they should be.
#[track_caller]
fn expect_linear(what: &str, mut run: impl FnMut(usize), length: usize) {
    let mut time = |length: usize| {
        let began = Instant::now();
        run(length);
        began.elapsed()
    };
    let (mut short, mut long) = (Duration::MAX, Duration::MAX);
    for round in 0..60 {
        (short, long) = (short.min(time(length / 4)), long.min(time(length)));
        if round >= 2 && long < short * 8 + Duration::from_millis(10) {
            return;
        }
    }
    panic!("{what}: {short:?}, four times as long {long:?}");
}

/// A contract with routes that share long beginnings, so that each has to be looked at.
fn with_many_routes(keyward: &Keyward) {
    let mut contract = "[scopes]\nread = \"Read\"\n".to_owned();
    for n in 0..200 {
        let captures: String = (0..n % 20).map(|i| format!("/{{a{i}}}")).collect();
        contract
            .push_str(&format!("[[routes]]\npath = \"/v1/a{captures}/end{n}/{{*rest}}\"\nscopes = [\"read\"]\n"));
    }
    keyward.amend(&contract);
}

#[test]
fn i06_long_paths_and_many_routes_take_linear_time() {
    let keyward = Keyward::dev("standard");
    with_many_routes(&keyward);
    let secret = keyward.first_key().secret;
    let verify = |path: String| {
        let reply = keyward.verify(json!({"key": secret, "method": "GET", "path": path}));
        assert!([200, 422].contains(&reply.status), "{} {}", reply.status, reply.text);
    };
    expect_linear("segments", |n| verify(format!("/v1/a{}", "/b".repeat(n))), 6000);
    expect_linear("one long segment", |n| verify(format!("/v1/a/{}", "b".repeat(n))), 12_000);
    expect_linear("escapes", |n| verify(format!("/v1/a/{}", "%62".repeat(n))), 4000);
    expect_linear("slashes", |n| verify("/".repeat(n)), 12_000);
    expect_linear("dots", |n| verify(format!("/v1{}", "/..".repeat(n))), 4000);
    expect_linear("percent signs", |n| verify(format!("/v1/{}", "%25".repeat(n))), 4000);
    expect_linear("almost a route", |n| verify(format!("/v1/a{}/end", "/end1".repeat(n))), 2500);
    let mut socket = Socket::connect(&keyward.gateway_address());
    let mut call = |target: String| {
        socket.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\n\r\n"));
        assert!(socket.answer().is_some());
    };
    expect_linear("the gateway's path", |n| call(format!("/v1/a{}", "/b".repeat(n))), 3500);
}

#[test]
fn i06_long_credentials_queries_and_headers_take_linear_time() {
    let keyward = Keyward::dev_with_env("profound", &[], &[("KEYWARD_GATEWAY_TRUSTED_PROXIES", "127.0.0.0/8")]);
    let secret = keyward.first_key().secret;
    let mut socket = Socket::connect(&keyward.gateway_address());
    let mut call = |target: String, line: String| {
        socket.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nX-API-Key: {secret}\r\n{line}\r\n\r\n"));
        assert!(socket.answer().is_some());
    };
    expect_linear("parameters", |n| call(format!("/x?{}", "&a".repeat(n)), "A: b".into()), 3500);
    expect_linear(
        "credentials in the query",
        |n| call(format!("/x?{}", "&api_key=a".repeat(n)), "A: b".into()),
        700,
    );
    expect_linear("escaped names in the query", |n| call(format!("/x?{}", "&%61".repeat(n)), "A: b".into()), 1800);
    expect_linear(
        "hops",
        |n| call("/x".into(), format!("X-Forwarded-For: {}1.1.1.1", "127.0.0.1,".repeat(n))),
        1400,
    );
    expect_linear("names in Connection", |n| call("/x".into(), format!("Connection: {}a", "a,".repeat(n))), 7000);
    expect_linear(
        "other names in Connection",
        |n| {
            let names: Vec<String> = (0..n).map(|n| format!("x{n}")).collect();
            call("/x".into(), format!("Connection: {}", names.join(",")));
        },
        2500,
    );
    expect_linear("codings", |n| call("/x".into(), format!("TE: {}a", "a,".repeat(n))), 7000);
    let verify = |body: Value| assert_eq!(keyward.verify(body).status, 200);
    for letter in ["a", "_", "-", "=", "pf_"] {
        expect_linear("a long credential", |n| verify(json!({"key": letter.repeat(n / letter.len())})), 1000);
    }
}

#[test]
fn i06_scopes_with_stars_and_documents_take_linear_time() {
    let keyward = Keyward::dev("standard");
    let stars: Vec<String> = (0..100).map(|n| format!("{}:*", "a:".repeat(20) + &n.to_string())).collect();
    let key = keyward.make(keyward.project(), json!({"name": "starred", "scopes": stars}));
    let asked: Vec<String> =
        (0..100).map(|n| format!("{}:{}", "a:".repeat(20) + &n.to_string(), "b".repeat(20))).collect();
    expect_linear(
        "scopes",
        |n| {
            let answer = keyward.verify(json!({"key": key.secret, "scopes": asked[..n]})).expect(200).json();
            assert_eq!(answer["valid"], true, "{answer}");
        },
        100,
    );
    let check = keyward.started.check_url.clone();
    let raw = |url: &str, body: String| {
        let request = keyward
            .http
            .post(url)
            .bearer_auth(&keyward.started.management_key)
            .header("Content-Type", "application/json");
        let reply: Reply = request.body(body).send().unwrap().into();
        assert!(reply.status < 500, "{}", reply.text);
    };
    let verify = format!("{check}/v1/verify");
    expect_linear("escapes in a text", |n| raw(&verify, format!("{{\"key\": \"{}\"}}", "\\u0061".repeat(n))), 2500);
    expect_linear("blanks", |n| raw(&verify, format!("{{{}\"key\": \"a\"}}", " ".repeat(n))), 16_000);
    expect_linear("brackets", |n| raw(&verify, "[".repeat(n)), 16_000);
    expect_linear("backslashes", |n| raw(&verify, format!("{{\"key\": \"{}", "\\\\".repeat(n))), 8000);
    expect_linear("digits", |n| raw(&verify, format!("{{\"cost\": {}}}", "9".repeat(n))), 16_000);
    let keys = format!("{}/v1/projects/{}/keys", keyward.started.control_url, keyward.project());
    expect_linear(
        "keys of an object",
        |n| {
            let fields: Vec<String> = (0..n).map(|n| format!("\"{}{n}\":1", "k".repeat(10))).collect();
            raw(&keys, format!("{{{}}}", fields.join(",")));
        },
        1000,
    );
    expect_linear(
        "accents in a name",
        |n| raw(&keys, json!({"name": format!("z{}", "\u{300}\u{323}".repeat(n))}).to_string()),
        10_000,
    );
    expect_linear(
        "unknown parameters",
        |n| {
            let query: Vec<String> = (0..n).map(|n| format!("p{n}=1")).collect();
            let reply = keyward.get(&format!("/v1/projects/{}/keys?{}", keyward.project(), query.join("&")));
            assert!(reply.status < 500 && reply.status >= 400, "{}", reply.text);
        },
        1500,
    );
    expect_linear(
        "a contract's brackets",
        |n| drop(keyward.put_contract("standard", &format!("a = {}", "[".repeat(n)))),
        20_000,
    );
    expect_linear(
        "a contract's tables",
        |n| drop(keyward.put_contract("standard", &format!("[{}a]", "a.".repeat(n)))),
        4000,
    );
    expect_linear(
        "a contract's routes",
        |n| {
            let routes: String = (0..n).map(|n| format!("[[routes]]\npath = \"/a{n}\"\n")).collect();
            drop(keyward.put_contract("standard", &format!("schema = 1\nextends = \"standard\"\n{routes}")));
        },
        800,
    );
    assert!(keyward.is_valid(&keyward.first_key().secret));
}
