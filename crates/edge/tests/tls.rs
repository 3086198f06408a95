//! TLS of the data plane's listeners: versions, protocols, handshakes that come to nothing, certificates that are
//! replaced while connections are open, and cuts that cut.

mod support;

use std::time::Duration;

use http::{Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyward_edge::EdgeOptions;
use keyward_edge::tls::{Offer, Pair, TlsError, server_config};
use rustls::version::{TLS12, TLS13};
use support::raw::{Raw, get};
use support::tls::{Authority, Made};
use support::upstream::{Recording, scripted};
use support::{Node, preset_source};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn node(made: &Made, upstream: std::net::SocketAddr) -> Node {
    let (check, gateway) = (made.server(), made.server());
    Node::start_with(&preset_source("getprofile"), upstream, |options| {
        options.check_tls = Some(check);
        options.gateway_tls = Some(gateway);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_tls_and_both_of_http_are_spoken() {
    let authority = Authority::new("ours");
    let upstream = Recording::start().await;
    let node = node(&authority.issue(), upstream.address).await;
    let key = node.key().await.secret;
    for versions in [&[&TLS12][..], &[&TLS13]] {
        for alpn in ["", "http/1.1"] {
            let client = authority.client(versions, alpn, None);
            let mut raw = Raw::over(client.connect(node.gateway).await.unwrap());
            for _ in 0..3 {
                raw.send(get("/v1/x", &key)).await;
                assert_eq!(raw.answer().await.unwrap().body, "GET /v1/x");
            }
            assert_eq!(upstream.last().header("x-forwarded-proto"), ["https"]);
        }
        let client = authority.client(versions, "h2", None);
        let stream = TokioIo::new(client.connect(node.gateway).await.unwrap());
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("https://api.example/v2/y")
            .version(Version::HTTP_2)
            .header("authorization", format!("Bearer {key}"))
            .body(Empty::<bytes::Bytes>::new())
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "GET /v2/y");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_tls_or_believes_another_authority_gets_no_request_through() {
    let authority = Authority::new("ours");
    let upstream = Recording::start().await;
    let node = node(&authority.issue(), upstream.address).await;
    let key = node.key().await.secret;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let endless_record = [&[0x16, 3, 1, 0xff, 0xff][..], &[1; 70_000]].concat();
    for garbage in [get("/", &key).into_bytes(), vec![0; 4096], preface, endless_record] {
        for address in [node.gateway, node.check] {
            let mut raw = Raw::connect(address).await;
            raw.try_send(&garbage).await;
            assert!(raw.ends().await);
        }
    }
    let stranger = Authority::new("theirs").client(&[&TLS13], "", None);
    assert!(stranger.connect(node.gateway).await.is_err());
    assert!(upstream.seen().is_empty());
}

fn impatient(options: &mut EdgeOptions) {
    options.caps.header_timeout = Duration::from_millis(500);
    options.caps.idle_timeout = Duration::from_secs(3600);
}

#[tokio::test(flavor = "multi_thread")]
async fn h06_half_handshakes_and_silence_after_whole_ones_are_reaped() {
    let authority = Authority::new("ours");
    let made = authority.issue();
    let upstream = Recording::start().await;
    let node = Node::start_with(&preset_source("getprofile"), upstream.address, |options| {
        impatient(options);
        options.gateway_tls = Some(made.server());
    })
    .await;
    let key = node.key().await.secret;
    let mut slow = Vec::new();
    for start in [&b""[..], &[0x16], &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]] {
        let mut raw = Raw::connect(node.gateway).await;
        raw.send(start).await;
        slow.push(raw);
    }
    for alpn in ["", "http/1.1", "h2"] {
        // The handshake is whole, and then nothing is said: HTTP/2's preface is awaited like a request's head.
        let client = authority.client(&[&TLS13], alpn, None);
        slow.push(Raw::over(client.connect(node.gateway).await.unwrap()));
    }
    let client = authority.client(&[&TLS13], "", None);
    let mut served = Raw::over(client.connect(node.gateway).await.unwrap());
    served.send(get("/", &key)).await;
    assert_eq!(served.answer().await.unwrap().status, 200);
    for raw in &mut slow {
        assert!(raw.ends().await);
    }
    // One that has asked may rest for longer.
    served.send(get("/", &key)).await;
    assert_eq!(served.answer().await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_connection_gets_the_new_certificate_and_open_ones_go_on() {
    let (before, after) = (Authority::new("before"), Authority::new("after"));
    let upstream = Recording::start().await;
    let shown = before.issue().server();
    let node = Node::start_with(&preset_source("getprofile"), upstream.address, |options| {
        options.gateway_tls = Some(shown.clone());
    })
    .await;
    let key = node.key().await.secret;
    let (old, new) = (before.client(&[&TLS13], "", None), after.client(&[&TLS13], "", None));
    let mut open = Raw::over(old.connect(node.gateway).await.unwrap());
    open.send(get("/", &key)).await;
    assert_eq!(open.answer().await.unwrap().status, 200);
    assert!(new.connect(node.gateway).await.is_err());
    shown.replace(server_config(&after.issue().pair(), None, Offer::Http2).unwrap());
    let mut next = Raw::over(new.connect(node.gateway).await.unwrap());
    for raw in [&mut open, &mut next] {
        raw.send(get("/", &key)).await;
        assert_eq!(raw.answer().await.unwrap().status, 200);
    }
    // Not even a session of before is resumed.
    assert!(old.connect(node.gateway).await.is_err());
}

/// An upstream that sends without end.
async fn endless(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 4096]).await;
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n").await;
    while stream.write_all(&[b'x'; 64 * 1024]).await.is_ok() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn l09_under_tls_a_cut_leaves_nothing_to_read_but_what_had_arrived() {
    let authority = Authority::new("ours");
    let node = node(&authority.issue(), scripted(endless).await).await;
    let key = node.key().await;
    let client = authority.client(&[&TLS13], "", None);
    let mut raw = Raw::over(client.connect(node.gateway).await.unwrap());
    raw.send(get("/large", &key.secret)).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 200"));
    node.revoke(key.id).await;
    assert_eq!(node.engine.open_exchanges(), 0);
    // Nothing says that the answer ended as it should: the connection is reset, no close is told.
    assert!(raw.ends().await);
    let mut again = Raw::over(client.connect(node.gateway).await.unwrap());
    again.send(get("/", &key.secret)).await;
    assert_eq!(again.answer().await.unwrap().status, 401);
}

#[test]
fn pairs_that_cannot_be_used_say_why() {
    let (ours, theirs) = (Authority::new("a").issue(), Authority::new("b").issue());
    let read = |chain: &str, key: &str| Pair::read(chain.as_bytes(), key.as_bytes()).map(drop);
    assert_eq!(read(&ours.chain, &ours.key), Ok(()));
    assert_eq!(read(&ours.chain, &theirs.key), Err(TlsError::Mismatch));
    assert_eq!(read(&ours.chain, &ours.chain), Err(TlsError::NoKey));
    assert!(matches!(read(&ours.key, &ours.key), Err(TlsError::NoCertificate(_))));
    assert!(matches!(read("", &ours.key), Err(TlsError::NoCertificate(_))));
    let half = &ours.chain[..ours.chain.len() / 2];
    assert!(matches!(read(half, &ours.key), Err(TlsError::NoCertificate(_))));
    let debug = format!("{:?}", ours.pair());
    assert!(debug.starts_with("Pair { not_after: ") && !debug.contains("key"), "{debug}");
}
