//! Requests that want to be read in two ways, or to cost more than they may.

mod support;

use http::{Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::raw::{Raw, ask, get};
use support::upstream::Recording;
use support::{Node, preset_source};

/// Requests of which nothing may reach the upstream, and what they may be answered with.
fn smuggled(key: &str) -> Vec<(&'static str, String)> {
    let auth = format!("Host: a\r\nAuthorization: Bearer {key}\r\n");
    let inner = format!("GET /smuggled HTTP/1.1\r\n{auth}\r\n");
    let chunk = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    vec![
        (
            "length then chunked",
            format!(
                "POST / HTTP/1.1\r\n{auth}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}"
            ),
        ),
        (
            "chunked then length",
            format!(
                "POST / HTTP/1.1\r\n{auth}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{inner}"
            ),
        ),
        ("two lengths", format!("POST / HTTP/1.1\r\n{auth}Content-Length: 0\r\nContent-Length: 5\r\n\r\n{inner}")),
        (
            "two equal lengths",
            format!("POST / HTTP/1.1\r\n{auth}Content-Length: 0\r\nContent-Length: 0\r\n\r\n{inner}"),
        ),
        ("a list of lengths", format!("POST / HTTP/1.1\r\n{auth}Content-Length: 0, 0\r\n\r\n{inner}")),
        ("a signed length", format!("POST / HTTP/1.1\r\n{auth}Content-Length: +5\r\n\r\n{inner}")),
        ("a negative length", format!("POST / HTTP/1.1\r\n{auth}Content-Length: -1\r\n\r\n{inner}")),
        ("a hexadecimal length", format!("POST / HTTP/1.1\r\n{auth}Content-Length: 0x0\r\n\r\n{inner}")),
        ("a length with a blank inside", format!("POST / HTTP/1.1\r\n{auth}Content-Length: 1 0\r\n\r\n{inner}")),
        ("an empty length", format!("POST / HTTP/1.1\r\n{auth}Content-Length: \r\n\r\n{inner}")),
        (
            "a length beyond 64 bits",
            format!("POST / HTTP/1.1\r\n{auth}Content-Length: 18446744073709551617\r\n\r\n{inner}"),
        ),
        (
            "chunked twice",
            format!(
                "POST / HTTP/1.1\r\n{auth}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"
            ),
        ),
        (
            "chunked in a list",
            format!("POST / HTTP/1.1\r\n{auth}Transfer-Encoding: chunked, chunked\r\n\r\n{chunk}"),
        ),
        ("gzip and chunked", format!("POST / HTTP/1.1\r\n{auth}Transfer-Encoding: gzip, chunked\r\n\r\n{chunk}")),
        (
            "chunked and identity",
            format!("POST / HTTP/1.1\r\n{auth}Transfer-Encoding: chunked, identity\r\n\r\n{chunk}"),
        ),
        ("an unknown encoding", format!("POST / HTTP/1.1\r\n{auth}Transfer-Encoding: xchunked\r\n\r\n{chunk}")),
        (
            "an encoding in quotes",
            format!("POST / HTTP/1.1\r\n{auth}Transfer-Encoding: \"chunked\"\r\n\r\n{chunk}"),
        ),
        (
            "an encoding behind a vertical tab",
            format!("POST / HTTP/1.1\r\n{auth}Transfer-Encoding: \x0bchunked\r\n\r\n{chunk}"),
        ),
        (
            "a blank before the colon",
            format!("POST / HTTP/1.1\r\n{auth}Transfer-Encoding : chunked\r\n\r\n{chunk}"),
        ),
        (
            "a blank before the length's colon",
            format!("POST / HTTP/1.1\r\n{auth}Content-Length : 0\r\n\r\n{inner}"),
        ),
        ("a folded header", format!("POST / HTTP/1.1\r\n{auth}X: y\r\n Content-Length: 5\r\n\r\n{inner}")),
        ("a folded encoding", format!("POST / HTTP/1.1\r\n{auth}Transfer-Encoding:\r\n chunked\r\n\r\n{chunk}")),
        ("a bare LF after the request line", format!("POST / HTTP/1.1\n{auth}\r\n{inner}")),
        ("a bare LF after a header", format!("POST / HTTP/1.1\r\n{auth}X: y\n\r\n{inner}")),
        ("a bare LF at the end", format!("POST / HTTP/1.1\r\n{auth}\n{inner}")),
        ("a bare CR in a header", format!("POST / HTTP/1.1\r\n{auth}X: y\rContent-Length: 5\r\n\r\n{inner}")),
        ("a NUL in a header", format!("POST / HTTP/1.1\r\n{auth}X: y\0z\r\n\r\n{inner}")),
        ("a NUL in a name", format!("POST / HTTP/1.1\r\n{auth}X\0: y\r\n\r\n{inner}")),
        (
            "a chunk without a size",
            format!("POST / HTTP/1.1\r\n{auth}Transfer-Encoding: chunked\r\n\r\n\r\n{inner}"),
        ),
        (
            "a chunk of a size that is none",
            format!("POST / HTTP/1.1\r\n{auth}Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n{inner}"),
        ),
        (
            "a chunk of a size too large",
            format!(
                "POST / HTTP/1.1\r\n{auth}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx\r\n0\r\n\r\n{inner}"
            ),
        ),
        (
            "a chunk's size ended by a bare LF",
            format!("POST / HTTP/1.1\r\n{auth}Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n{inner}"),
        ),
        (
            "a chunk longer than its size",
            format!("POST / HTTP/1.1\r\n{auth}Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n{inner}"),
        ),
        (
            "a chunk ended by a bare LF",
            format!("POST / HTTP/1.1\r\n{auth}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n{inner}"),
        ),
        ("two hosts", format!("POST / HTTP/1.1\r\n{auth}Host: b\r\n\r\n")),
        ("no host", format!("GET / HTTP/1.1\r\nAuthorization: Bearer {key}\r\n\r\n")),
        ("a host that is none", format!("GET / HTTP/1.1\r\nHost: a b\r\nAuthorization: Bearer {key}\r\n\r\n")),
        ("a target of another host", format!("GET http://b/ HTTP/1.1\r\n{auth}\r\n")),
        (
            "HTTP/1.0 with an encoding",
            format!("POST / HTTP/1.0\r\n{auth}Transfer-Encoding: chunked\r\n\r\n{chunk}"),
        ),
        ("HTTP/0.9", "GET /\r\n\r\n".to_owned()),
        ("another version", format!("GET / HTTP/1.2\r\n{auth}\r\n")),
        ("blanks in the request line", format!("GET  / HTTP/1.1\r\n{auth}\r\n")),
        ("a tab in the request line", format!("GET\t/ HTTP/1.1\r\n{auth}\r\n")),
        ("no path", format!("GET * HTTP/1.1\r\n{auth}\r\n")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn h08_one_request_in_is_at_most_one_out() {
    let upstream = Recording::start().await;
    let node = Node::start("getprofile", upstream.address).await;
    let key = node.key().await.secret;
    let corpus = smuggled(&key);
    assert!(corpus.len() >= 40);
    for (what, request) in corpus {
        let before = upstream.seen().len();
        let mut raw = Raw::connect(node.gateway).await;
        raw.send(request).await;
        let answer = raw.answer().await;
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 400), "{what}: {answer:?}");
        let second = raw.answer().await;
        assert!(second.is_none(), "{what}: {second:?}");
        let seen = upstream.seen().split_off(before);
        // A body may only turn out to be broken when its request has gone out already; then it is cut off there.
        assert!(seen.is_empty(), "{what}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h08_well_framed_pipelined_requests_are_one_each() {
    let upstream = Recording::start().await;
    let node = Node::start("getprofile", upstream.address).await;
    let key = node.key().await.secret;
    let auth = format!("Host: a\r\nAuthorization: Bearer {key}\r\n");
    let body = "GET /no HTTP/1.1\nHost: a\n\n";
    let requests = format!(
        "POST /1 HTTP/1.1\r\n{auth}Content-Length: {}\r\n\r\n{body}POST /2 HTTP/1.1\r\n{auth}Transfer-Encoding: chunked\r\n\r\n{:x};x=y\r\n{body}\r\n0\r\nX: y\r\n\r\nGET /3 HTTP/1.1\r\n{auth}\r\n",
        body.len(),
        body.len(),
    );
    let mut raw = Raw::connect(node.gateway).await;
    raw.send(requests).await;
    for expected in ["POST /1", "POST /2", "GET /3"] {
        assert_eq!(raw.answer().await.unwrap().body, expected);
    }
    let seen = upstream.seen();
    assert_eq!(seen.iter().map(|seen| seen.body.as_str()).collect::<Vec<_>>(), [body, body, ""]);
    // The same, byte by byte.
    let mut raw = Raw::connect(node.gateway).await;
    for byte in format!("\r\nPOST /1 HTTP/1.1\r\n{auth}Content-Length: 2\r\n\r\nhi").bytes() {
        raw.send([byte]).await;
    }
    assert_eq!(raw.answer().await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn h09_h10_nothing_a_caller_says_touches_our_headers() {
    let upstream = Recording::start().await;
    let node = Node::start("getprofile", upstream.address).await;
    let key = node.key().await;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nConnection: close, X-Keyward-Project, x-keyward-key-id\r\n\
         X-Keyward-Project: proj_forged\r\nx-KEYWARD-key-id: key_forged\r\nX_Keyward_Plan: enterprise\r\nx_keyward-Scopes: *\r\n\
         X-Keyward-Anything: x\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Original-URL: /admin\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nTransfer-Encoding: chunked\r\nTrailer: X-Keyward-Plan\r\n\r\n\
         2\r\nhi\r\n0\r\nX-Keyward-Plan: enterprise\r\nX-Fine: y\r\n\r\n",
        key.secret
    );
    assert_eq!(ask(node.gateway, request).await.unwrap().status, 200);
    let seen = upstream.last();
    let mut ours: Vec<_> =
        seen.headers.iter().filter(|(n, _)| n.replace('_', "-").starts_with("x-keyward")).collect();
    ours.sort();
    let names: Vec<_> = ours.iter().map(|(name, _)| name.as_str()).collect();
    let expected = ["key-id", "organization", "plan", "project", "request-id", "scopes"];
    assert_eq!(names, expected.map(|name| format!("x-keyward-{name}")));
    assert_eq!(seen.header("x-keyward-project"), [node.project.id.to_string()]);
    assert_eq!(seen.header("x-keyward-key-id"), [key.id.to_string()]);
    assert_eq!(seen.header("x-forwarded-for"), ["127.0.0.1"]);
    for gone in ["forwarded", "x-original-url", "upgrade", "http2-settings"] {
        assert!(seen.header(gone).is_empty(), "{gone}");
    }
    assert!(seen.trailers.iter().all(|(name, _)| !name.contains("keyward")), "{:?}", seen.trailers);
}

#[tokio::test(flavor = "multi_thread")]
async fn h04_h05_what_is_too_large_is_refused_before_it_is_held() {
    let upstream = Recording::start().await;
    let source = format!("{}\n[gateway]\nbody_max_bytes = 100000\n", preset_source("getprofile"));
    let node = Node::start_with(&source, upstream.address, |_| {}).await;
    let key = node.key().await.secret;
    let with = |more: String| format!("POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n{more}\r\n");
    let headers: String = (0..101).map(|i| format!("X-{i}: y\r\n")).collect();
    assert_eq!(ask(node.gateway, with(headers)).await.unwrap().status, 431);
    let wide = ask(node.gateway, with(format!("X: {}\r\n", "y".repeat(17 * 1024)))).await.unwrap();
    assert_eq!((wide.status, wide.body.as_str()), (431, r#"{"error":"The request's headers are too large"}"#));
    let long = ask(node.gateway, get(&format!("/{}", "x".repeat(9 * 1024)), &key)).await.unwrap();
    assert_eq!(long.status, 414);
    let declared = ask(node.gateway, with("Content-Length: 10000000000\r\n".into())).await.unwrap();
    assert_eq!((declared.status, declared.body.as_str()), (413, r#"{"error":"The request's body is too large"}"#));
    let mut drip = Raw::connect(node.gateway).await;
    drip.send("GET / HTTP/1.1\r\nX: ").await;
    let mut sent = 0;
    while sent < 8 << 20 && drip.try_send(&[b'y'; 4096]).await {
        sent += 4096;
    }
    assert!(drip.ends().await);
    assert!(upstream.seen().is_empty());
    let mut endless = Raw::connect(node.gateway).await;
    endless.send(with("Transfer-Encoding: chunked\r\n".into())).await;
    let mut sent = 0;
    while sent < 64 << 20 && endless.try_send(format!("1000\r\n{}\r\n", "z".repeat(4096)).as_bytes()).await {
        sent += 4096;
    }
    assert!(sent < 64 << 20, "an endless body is not read on");
    assert!(upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn h17_what_is_never_forwarded() {
    let upstream = Recording::start().await;
    let node = Node::start("profound", upstream.address).await;
    let key = node.key().await.secret;
    let with = |line: &str, more: &str| format!("{line} HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n{more}\r\n");
    for (request, status) in [
        (with("TRACE /", ""), 405),
        (with("CONNECT a:1", ""), 405),
        (with("get /v1/org/x", ""), 405),
        (with("GET /v1/org/x", "X-HTTP-Method-Override: DELETE\r\n"), 400),
        (with("GET http://b/v1/org/x", ""), 400),
        (
            with(
                "GET /v1/org/x",
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
            ),
            200,
        ),
        (with("GET http://a/v1/org/x", ""), 200),
    ] {
        let answer = ask(node.gateway, &request).await.unwrap();
        assert_eq!(answer.status, status, "{request} {answer:?}");
    }
    assert_eq!(upstream.last().target, "/v1/org/x");
    assert_eq!(upstream.seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_passes_by_the_same_rules() {
    let upstream = Recording::start().await;
    let node = Node::start("getprofile", upstream.address).await;
    let key = node.key().await;
    let stream = tokio::net::TcpStream::connect(node.gateway).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut status = async |key: &str| {
        let request = Request::get("http://api.example/v1/profile/a?b=c")
            .version(Version::HTTP_2)
            .header("authorization", format!("Bearer {key}"))
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header("x-keyward-plan", "forged")
            .body(Empty::<bytes::Bytes>::new())
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let status = answer.status().as_u16();
        (status, String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
    };
    assert_eq!(status(&key.secret).await, (200, "GET /v1/profile/a?b=c".into()));
    let seen = upstream.last();
    assert_eq!((seen.header("cookie"), seen.header("x-forwarded-host")), (vec!["a=1; b=2"], vec!["api.example"]));
    assert_eq!(seen.header("x-keyward-plan"), ["free"]);
    assert_eq!(status("garbage").await.0, 401);
    node.revoke(key.id).await;
    assert_eq!(status(&key.secret).await.0, 401);
}
