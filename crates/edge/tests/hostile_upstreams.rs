//! Upstreams that are out of their mind: whatever they say, memory and time are bounded, nothing of it reaches another
//! request, and others are served meanwhile.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use support::raw::{Answer, Raw, ask, get};
use support::upstream::scripted;
use support::{Minted, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A contract without limits, whose upstream has a second to begin its answer.
const CONTRACT: &str = "schema = 1\nextends = \"standard\"\napi = \"standard\"\n[plans.standard]\ntitle = \"S\"\n\
                        [gateway]\ntimeout = \"1s\"\nidle_timeout = \"2s\"\n";

async fn before(upstream: SocketAddr) -> (Node, Minted) {
    let node = Node::start_with(CONTRACT, upstream, |options| options.workers = 1).await;
    let key = node.key().await;
    (node, key)
}

/// Reads a request's head; its first line.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned()
}

/// An upstream that says this to `/evil`, then closes, and is sane otherwise.
async fn saying(said: impl Into<Vec<u8>>) -> SocketAddr {
    let said: Vec<u8> = said.into();
    scripted(move |mut stream: TcpStream| {
        let said = said.clone();
        async move {
            loop {
                let line = read_head(&mut stream).await;
                if line.is_empty() {
                    return;
                }
                if line.contains("/evil") {
                    let _ = stream.write_all(&said).await;
                    return;
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsane").await;
            }
        }
    })
    .await
}

async fn is_sane(node: &Node, key: &Minted) {
    let answer = ask(node.gateway, get("/good", &key.secret)).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "sane"));
}

#[tokio::test(flavor = "multi_thread")]
async fn h19_what_is_no_answer_is_502_and_nobody_elses() {
    let mut corpus: Vec<Vec<u8>> = [
        "",
        "<html>an answer of HTTP/0.9</html>\r\n",
        "\0\0\0\0\r\n\r\n",
        "HTTP/0.9 200 OK\r\n\r\nold",
        "HTTP/2.0 200 OK\r\n\r\nnew",
        "HTTP/1.1 99 Small\r\n\r\n",
        "HTTP/1.1 20 Short\r\n\r\n",
        "HTTP/1.1 2000 Long\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: evil\r\n\r\nraw bytes",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    // The preface of HTTP/2's server, a TLS alert, and more headers than anybody has.
    corpus.push(vec![0, 0, 0, 4, 0, 0, 0, 0, 0]);
    corpus.push(vec![0x15, 3, 3, 0, 2, 2, 40]);
    corpus.push([&b"HTTP/1.1 200 OK\r\n"[..], &b"X: y\r\n".repeat(5_000), b"\r\n"].concat());
    corpus.push([&b"HTTP/1.1 200 "[..], &vec![b'O'; 200_000], b"\r\n\r\n"].concat());
    for said in corpus {
        let (node, key) = before(saying(said.clone()).await).await;
        let shown = String::from_utf8_lossy(&said[..said.len().min(60)]).into_owned();
        let answer = ask(node.gateway, get("/evil", &key.secret)).await.unwrap();
        assert_eq!(answer.status, 502, "{shown:?}: {answer:?}");
        is_sane(&node, &key).await;
        assert_eq!(node.engine.open_exchanges(), 0, "{shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h19_a_body_that_is_not_as_long_as_said_never_looks_whole() {
    for (said, whole) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\nzz\r\n", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", true),
        ("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", true),
    ] {
        let (node, key) = before(saying(said).await).await;
        let mut raw = Raw::connect(node.gateway).await;
        raw.send(get("/evil", &key.secret)).await;
        // Where the answer breaks at once, the caller may get no head of it at all.
        let head = raw.head_if_any().await;
        assert!(head.as_ref().map_or(!whole, |head| head.starts_with("HTTP/1.1 20")), "{head:?}");
        if !whole {
            let mut body = Vec::new();
            loop {
                match raw.bytes().await {
                    piece if piece.is_empty() => break,
                    piece => body.extend(piece),
                }
            }
            let text = String::from_utf8_lossy(&body);
            assert!(body.len() < 10 || !text.ends_with("0\r\n\r\n"), "{said:?}: {text:?}");
        }
        for _ in 0..3 {
            is_sane(&node, &key).await;
        }
    }
}

/// What an upstream says without end, after a beginning; a pause after each piece where there is one.
async fn endless(start: &'static str, piece: &'static [u8], pause: Duration) -> SocketAddr {
    scripted(move |mut stream: TcpStream| async move {
        let line = read_head(&mut stream).await;
        if !line.contains("/evil") {
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsane").await;
            return;
        }
        let _ = stream.write_all(start.as_bytes()).await;
        while stream.write_all(piece).await.is_ok() {
            match pause.is_zero() {
                true => tokio::task::yield_now().await,
                false => tokio::time::sleep(pause).await,
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn h19_a_head_that_never_ends_has_an_end_and_others_are_served_meanwhile() {
    let tick = Duration::from_millis(20);
    let cases: [(&str, &[u8], Duration, u16); 5] = [
        ("HTTP/1.1 200 OK\r\n", &[b'x'; 16 * 1024], Duration::ZERO, 502),
        ("HTTP/1.1 200 OK\r\n", b"X-Endless: yes\r\n", Duration::ZERO, 502),
        // Dripped: the time that an answer may take to begin runs to the head's last byte.
        ("HTTP/1.1 200 OK\r\nX: ", b"y", tick, 504),
        ("", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", Duration::ZERO, 502),
        ("", b"HTTP/1.1 102 Processing\r\n\r\n", tick, 504),
    ];
    for (start, piece, pause, status) in cases {
        let (node, key) = before(endless(start, piece, pause).await).await;
        let mut raw = Raw::connect(node.gateway).await;
        raw.send(get("/evil", &key.secret)).await;
        is_sane(&node, &key).await;
        let answer: Answer = raw.answer().await.unwrap();
        assert_eq!(answer.status, status, "{start:?} {:?}", String::from_utf8_lossy(&piece[..piece.len().min(30)]));
        assert_eq!(node.engine.open_exchanges(), 0);
        is_sane(&node, &key).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h19_a_body_that_never_ends_ends_with_its_caller_or_its_key() {
    let start = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
    for pause in [Duration::ZERO, Duration::from_millis(50)] {
        let (node, key) = before(endless(start, &[b'x'; 4096], pause).await).await;
        let mut raw = Raw::connect(node.gateway).await;
        raw.send(get("/evil", &key.secret)).await;
        assert!(raw.head().await.starts_with("HTTP/1.1 200"));
        assert!(!raw.bytes().await.is_empty());
        is_sane(&node, &key).await;
        drop(raw);
        // Its caller is gone: so is what was open for it.
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while node.engine.open_exchanges() != 0 {
            assert!(tokio::time::Instant::now() < deadline, "nobody reads it any more");
            tokio::task::yield_now().await;
        }
        let mut raw = Raw::connect(node.gateway).await;
        raw.send(get("/evil", &key.secret)).await;
        assert!(raw.head().await.starts_with("HTTP/1.1 200"));
        node.revoke(key.id).await;
        assert_eq!(node.engine.open_exchanges(), 0);
        assert!(raw.ends().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h19_an_answer_before_the_requests_body_is_read_is_passed_on() {
    // Refuses large bodies unread, and closes.
    let upstream = saying("HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge").await;
    let (node, key) = before(upstream).await;
    let head = format!(
        "POST /evil HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Length: 8000000\r\n\r\n",
        key.secret
    );
    let mut raw = Raw::connect(node.gateway).await;
    raw.send(head).await;
    let answer = raw.answer().await.unwrap();
    assert!(answer.status == 413 || answer.status == 502, "{answer:?}");
    for _ in 0..3 {
        is_sane(&node, &key).await;
    }
    assert_eq!(node.engine.open_exchanges(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn h19_h10_an_answer_is_stripped_of_one_hops_headers_and_of_ours() {
    let upstream = saying(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Keyward-Project: proj_forged\r\nx_keyward_plan: forged\r\n\
         X-Public: 2\r\n\r\nok",
    )
    .await;
    let (node, key) = before(upstream).await;
    let answer = ask(node.gateway, get("/evil", &key.secret)).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    assert_eq!(answer.headers["x-public"], "2");
    for gone in ["x-private", "keep-alive", "proxy-authenticate", "upgrade", "x-keyward-project", "x_keyward_plan"]
    {
        assert!(!answer.headers.contains_key(gone), "{gone}: {answer:?}");
    }
}
