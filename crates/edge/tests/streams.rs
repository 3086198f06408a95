//! Exchanges that last: they pass piece by piece, and are cut when their key is taken away.

mod support;

use std::time::Duration;

use keyward_edge::EdgeOptions;
use support::raw::{Raw, get};
use support::upstream::scripted;
use support::{Node, preset_source};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Reads a request's head.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            break;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// An upstream that streams: one event at once, then silence until it is closed.
async fn silent_stream(mut stream: TcpStream) {
    read_head(&mut stream).await;
    let start = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n";
    stream.write_all(start.as_bytes()).await.unwrap();
    let _ = stream.read(&mut [0; 1]).await;
}

/// An upstream that sends without end.
async fn endless(mut stream: TcpStream) {
    read_head(&mut stream).await;
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n").await;
    while stream.write_all(&[b'x'; 64 * 1024]).await.is_ok() {}
}

/// An upstream that switches protocols and says back what it hears.
async fn switching(mut stream: TcpStream) {
    let head = read_head(&mut stream).await;
    assert!(
        head.to_lowercase().contains("upgrade: websocket") && head.to_lowercase().contains("connection: upgrade")
    );
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";
    stream.write_all(switch.as_bytes()).await.unwrap();
    let mut piece = [0; 1024];
    while let Ok(n @ 1..) = stream.read(&mut piece).await {
        if stream.write_all(&piece[..n]).await.is_err() {
            break;
        }
    }
}

fn websocket(key: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn l09_a_silent_stream_is_cut_before_the_revoke_returns() {
    let node = Node::start("getprofile", scripted(silent_stream).await).await;
    let key = node.key().await;
    let mut raw = Raw::connect(node.gateway).await;
    raw.send(get("/events", &key.secret)).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 200"));
    let mut event = Vec::new();
    while !event.ends_with(b"data: 1\n\n\r\n") {
        event.extend(raw.bytes().await);
    }
    assert_eq!(node.engine.open_exchanges(), 1);
    node.revoke(key.id).await;
    assert_eq!(node.engine.open_exchanges(), 0);
    assert!(raw.bytes().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn l09_a_download_that_the_caller_does_not_read_is_cut_too() {
    let node = Node::start("getprofile", scripted(endless).await).await;
    let key = node.key().await;
    let mut raw = Raw::connect(node.gateway).await;
    raw.send(get("/large", &key.secret)).await;
    raw.head().await;
    // Unread: every buffer on the way is full by the time this is seen.
    let mut before = 0;
    while node.engine.open_exchanges() != 1 || before != 0 {
        tokio::task::yield_now().await;
        before = 0;
    }
    node.revoke(key.id).await;
    assert_eq!(node.engine.open_exchanges(), 0);
    assert!(raw.ends().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l09_a_websocket_is_cut_before_the_revoke_returns() {
    let node = Node::start("getprofile", scripted(switching).await).await;
    let key = node.key().await;
    let mut raw = Raw::connect(node.gateway).await;
    raw.send(websocket(&key.secret)).await;
    let head = raw.head().await.to_lowercase();
    assert!(
        head.starts_with("http/1.1 101")
            && head.contains("upgrade: websocket")
            && head.contains("sec-websocket-accept: x"),
        "{head}"
    );
    for said in [&b"hello"[..], b"\n\x00\xff no http", b"GET / HTTP/1.1\r\n\r\n"] {
        raw.send(said).await;
        let mut heard = Vec::new();
        while heard.len() < said.len() {
            heard.extend(raw.bytes().await);
        }
        assert_eq!(heard, said);
    }
    node.revoke(key.id).await;
    assert_eq!(node.engine.open_exchanges(), 0);
    assert!(raw.bytes().await.is_empty());
    let mut again = Raw::connect(node.gateway).await;
    again.send(websocket(&key.secret)).await;
    assert_eq!(again.answer().await.unwrap().status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_for_its_answer_is_refused_when_its_key_goes() {
    let (seen, mut arrived) = tokio::sync::mpsc::unbounded_channel();
    let upstream = scripted(move |mut stream: TcpStream| {
        let seen = seen.clone();
        async move {
            read_head(&mut stream).await;
            seen.send(()).unwrap();
            let _ = stream.read(&mut [0; 1]).await;
        }
    })
    .await;
    let node = Node::start("getprofile", upstream).await;
    let key = node.key().await;
    let mut raw = Raw::connect(node.gateway).await;
    raw.send(get("/slow", &key.secret)).await;
    arrived.recv().await.unwrap();
    node.revoke(key.id).await;
    let answer = raw.answer().await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (401, r#"{"error":"Invalid API key"}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_pass_both_ways_as_they_come() {
    let upstream = scripted(|mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n").await.unwrap();
        let mut piece = [0; 64];
        let mut heard = String::new();
        while !heard.contains("\r\n0\r\n\r\n") {
            let n = stream.read(&mut piece).await.unwrap();
            heard.push_str(std::str::from_utf8(&piece[..n]).unwrap());
            let said = format!("{n:x}\r\n{}\r\n", std::str::from_utf8(&piece[..n]).unwrap().replace("\r\n", "__"));
            stream.write_all(said.as_bytes()).await.unwrap();
        }
        stream.write_all(b"0\r\nX-Sum: 42\r\nX-Keyward-Plan: forged\r\n\r\n").await.unwrap();
        let _ = stream.read(&mut piece).await;
    })
    .await;
    let node = Node::start("getprofile", upstream).await;
    let key = node.key().await.secret;
    let mut raw = Raw::connect(node.gateway).await;
    let head = format!(
        "POST /chat HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    raw.send(head).await;
    let answer = raw.head().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("trailer: X-Sum"), "{answer}");
    for said in ["one", "two", "three"] {
        raw.send(format!("{:x}\r\n{said}\r\n", said.len())).await;
        let mut heard = String::new();
        while !heard.contains(said) {
            heard.push_str(&String::from_utf8(raw.bytes().await).unwrap());
        }
    }
    raw.send("0\r\n\r\n").await;
    let mut rest = String::new();
    while !rest.contains("0\r\nx-sum: 42\r\n") {
        rest.push_str(&String::from_utf8(raw.bytes().await).unwrap().to_lowercase());
    }
    assert!(!rest.contains("keyward"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_waits_for_the_decision() {
    let upstream = support::upstream::Recording::start().await;
    let node = Node::start("getprofile", upstream.address).await;
    let key = node.key().await.secret;
    let head = |key: &str| {
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        )
    };
    let mut refused = Raw::connect(node.gateway).await;
    refused.send(head("garbage")).await;
    assert_eq!(refused.answer().await.unwrap().status, 401);
    let mut granted = Raw::connect(node.gateway).await;
    granted.send(head(&key)).await;
    assert!(granted.head().await.starts_with("HTTP/1.1 100"));
    granted.send("body").await;
    assert_eq!(granted.answer().await.unwrap().status, 200);
    assert_eq!((upstream.last().body.as_str(), upstream.last().header("expect").len()), ("body", 0));
}

fn impatient(options: &mut EdgeOptions) {
    options.caps.header_timeout = Duration::from_millis(500);
    options.caps.idle_timeout = Duration::from_millis(500);
    options.caps.body_grace = Duration::from_millis(500);
}

#[tokio::test(flavor = "multi_thread")]
async fn h06_those_who_drip_or_do_nothing_are_reaped() {
    let upstream = support::upstream::Recording::start().await;
    let node = Node::start_with(&preset_source("getprofile"), upstream.address, impatient).await;
    let key = node.key().await.secret;
    let mut silent = Raw::connect(node.gateway).await;
    let mut half = Raw::connect(node.gateway).await;
    half.send("GET / HT").await;
    let mut idle = Raw::connect(node.gateway).await;
    idle.send(get("/", &key)).await;
    assert_eq!(idle.answer().await.unwrap().status, 200);
    let mut body = Raw::connect(node.gateway).await;
    body.send(format!("POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Length: 9\r\n\r\nx"))
        .await;
    let mut http2 = Raw::connect(node.gateway).await;
    http2.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    for raw in [&mut silent, &mut half, &mut idle, &mut body, &mut http2] {
        assert!(raw.ends().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_does_not_answer_is_504() {
    let upstream = scripted(|mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        let _ = stream.read(&mut [0; 1]).await;
    })
    .await;
    let source = format!("{}\n[gateway]\ntimeout = \"1s\"\n", preset_source("getprofile"));
    let node = Node::start_with(&source, upstream, |_| {}).await;
    let key = node.key().await.secret;
    let mut raw = Raw::connect(node.gateway).await;
    raw.send(get("/", &key)).await;
    assert_eq!(raw.answer().await.unwrap().status, 504);
    assert_eq!(node.engine.open_exchanges(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_breaks_off_is_502_and_one_that_closes_between_requests_is_not_noticed() {
    let broken = scripted(|mut stream: TcpStream| async move {
        read_head(&mut stream).await;
    })
    .await;
    let node = Node::start("getprofile", broken).await;
    let key = node.key().await.secret;
    let mut raw = Raw::connect(node.gateway).await;
    raw.send(get("/", &key)).await;
    assert_eq!(raw.answer().await.unwrap().status, 502);

    let (closed, mut closings) = tokio::sync::mpsc::unbounded_channel();
    let closing = scripted(move |mut stream: TcpStream| {
        let closed = closed.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            drop(stream);
            closed.send(()).unwrap();
        }
    })
    .await;
    let node = Node::start("getprofile", closing).await;
    let key = node.key().await.secret;
    let mut raw = Raw::connect(node.gateway).await;
    for _ in 0..5 {
        raw.send(get("/", &key)).await;
        assert_eq!(raw.answer().await.unwrap().status, 200);
        closings.recv().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_connections_to_upstreams_are_no_more_than_there_is_room_for() {
    let node = Node::start_with(&preset_source("getprofile"), scripted(silent_stream).await, |options| {
        options.caps.upstream_connections_max = 2;
    })
    .await;
    let key = node.key().await;
    let mut streams = Vec::new();
    for request in [get("/events", &key.secret), websocket(&key.secret)] {
        let mut raw = Raw::connect(node.gateway).await;
        raw.send(request).await;
        assert!(raw.head().await.starts_with("HTTP/1.1 200"));
        streams.push(raw);
    }
    let mut beyond = Raw::connect(node.gateway).await;
    for request in [get("/events", &key.secret), websocket(&key.secret)] {
        beyond.send(request).await;
        assert_eq!(beyond.answer().await.unwrap().status, 502);
    }
    drop(streams);
    // Room comes back with the streams' end, which is noticed after the callers' sockets are closed.
    let mut status = 502;
    while status == 502 {
        let mut raw = Raw::connect(node.gateway).await;
        raw.send(get("/events", &key.secret)).await;
        status = raw.head().await.split(' ').nth(1).unwrap().parse().unwrap();
    }
    assert_eq!(status, 200);
}
