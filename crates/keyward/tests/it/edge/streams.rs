//! Bodies that flow: each piece is passed on when it comes, in both directions, and a WebSocket stays one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::recorder::Recorder;
use super::{bearer, head};
use crate::harness::raw::Socket;
use crate::harness::{Keyward, Scripted, Upstream, eventually};

#[test]
fn a_piece_of_a_request_reaches_the_upstream_before_its_end() {
    let recorder = Recorder::start();
    let keyward = Keyward::dev_with("standard", &["--upstream", &recorder.url]);
    let key = bearer(&keyward.first_key());
    for (framing, pieces) in [
        ("Transfer-Encoding: chunked", ["5\r\nfirst\r\n", "6\r\nsecond\r\n0\r\n\r\n"]),
        ("Content-Length: 11", ["first", "second"]),
    ] {
        let mut socket = Socket::connect(&keyward.gateway_address());
        socket.send(head("POST", "/v1/hello", &[&key, framing]));
        socket.send(pieces[0]);
        eventually("the first piece is at the upstream", || {
            recorder.partial().windows(5).any(|five| five == b"first").then_some(())
        });
        socket.send(pieces[1]);
        socket.answer().unwrap().expect(200);
        assert_eq!(recorder.last().body, b"firstsecond", "{framing}");
    }
}

/// An upstream that sends what it is told, when it is told, as the chunks of one answer.
fn told() -> (String, Sender<Option<&'static str>>) {
    let (tell, told) = channel();
    let told: std::sync::Mutex<Receiver<Option<&'static str>>> = told.into();
    let upstream = Upstream::start(Scripted::with(move |_, socket| {
        let mut is_open = socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_ok();
        while let Ok(Some(piece)) = told.lock().unwrap().recv() {
            is_open = is_open && socket.write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).is_ok();
        }
        is_open && socket.write_all(b"0\r\n\r\n").is_ok()
    }));
    (upstream.url.clone(), tell)
}

#[test]
fn a_piece_of_an_answer_reaches_the_caller_before_its_end() {
    let (url, tell) = told();
    let keyward = Keyward::dev_with("standard", &["--upstream", &url]);
    let mut socket = Socket::connect(&keyward.gateway_address());
    socket.send(head("GET", "/v1/hello", &[&bearer(&keyward.first_key())]));
    let mut read = Vec::new();
    for piece in ["first", "second"] {
        tell.send(Some(piece)).unwrap();
        while !read.windows(piece.len()).any(|part| part == piece.as_bytes()) {
            read.extend(socket.some().expect("the answer goes on"));
        }
    }
    tell.send(None).unwrap();
    while !read.ends_with(b"0\r\n\r\n") {
        read.extend(socket.some().expect("the answer ends well"));
    }
}

#[test]
fn server_sent_events_come_one_by_one() {
    let keyward = Keyward::dev("standard");
    let mut socket = Socket::connect(&keyward.gateway_address());
    socket.send(head("GET", "/sse?n=3", &[&bearer(&keyward.first_key())]));
    let first = socket.some().unwrap();
    assert!(!String::from_utf8_lossy(&first).contains("data: 2"), "the last event had not happened yet");
    let mut read = first;
    while !read.ends_with(b"0\r\n\r\n") {
        read.extend(socket.some().expect("the stream ends well"));
    }
    let text = String::from_utf8_lossy(&read);
    assert!(["data: 0", "data: 1", "data: 2"].iter().all(|event| text.contains(event)), "{text}");
}

#[test]
fn an_answer_that_breaks_off_is_seen_to_break_off() {
    let upstream = Upstream::start(Scripted::with(|_, socket| {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
        false
    }));
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    let reply = keyward.http.get(format!("{}/v1/hello", keyward.started.gateway_url));
    let response = reply.bearer_auth(keyward.first_key().secret).send();
    // Where the break comes early, not even the head is worth sending.
    let complete = response.and_then(reqwest::blocking::Response::bytes);
    assert!(complete.is_err(), "what is missing is not passed off as complete: {complete:?}");
}

#[test]
fn a_caller_that_goes_away_lets_go_of_the_upstream() {
    let (url, tell) = told();
    let keyward = Keyward::dev_with("standard", &["--upstream", &url]);
    let mut socket = Socket::connect(&keyward.gateway_address());
    socket.send(head("GET", "/v1/hello", &[&bearer(&keyward.first_key())]));
    tell.send(Some("first")).unwrap();
    socket.some().unwrap();
    drop(socket);
    // Once the gateway has noticed, the upstream's writes fail and it waits for its next connection.
    eventually("the upstream's connection is closed", || {
        tell.send(Some("more")).ok()?;
        std::thread::sleep(Duration::from_millis(10));
        let text = keyward.http.get(format!("{}/metrics", keyward.started.control_url)).send().ok()?.text().ok()?;
        open_connections(&text).filter(|open| *open == 0.0).map(drop)
    });
}

/// How many connections of callers the gateway has open, by the metrics.
fn open_connections(metrics: &str) -> Option<f64> {
    let line = metrics
        .lines()
        .find(|line| line.contains("connections") && line.contains("gateway") && !line.starts_with('#'))?;
    line.split_whitespace().last()?.parse().ok()
}

/// The handshake of RFC 6455, with a key of ours.
fn handshake(key: &str) -> String {
    let lines = [
        "Connection: keep-alive, Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        key,
    ];
    head("GET", "/socket", &lines)
}

/// A masked text frame, as clients send it.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | text.len() as u8, 1, 2, 3, 4];
    frame.extend(text.bytes().zip([1, 2, 3, 4].into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

#[test]
fn a_websocket_is_echoed() {
    let keyward = Keyward::dev("standard");
    let mut socket = Socket::connect(&keyward.gateway_address());
    socket.send(handshake(&bearer(&keyward.first_key())));
    let answer = socket.answer().unwrap().expect(101);
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert!(answer.header("x-request-id").is_some());
    for text in ["hello", "again"] {
        socket.send(frame(text));
        let mut echoed = Vec::new();
        while echoed.len() < 2 + text.len() {
            echoed.extend(socket.some().expect("an echo"));
        }
        assert_eq!(&echoed[2..], text.as_bytes());
    }
    // Close: echoed, then the connection ends.
    socket.send([0x88, 0x80, 0, 0, 0, 0]);
    assert!(socket.is_ended());
}

#[test]
fn a_websocket_is_refused_without_a_key_that_opens() {
    let keyward = Keyward::dev("standard");
    for key in ["Authorization: Bearer garbage", "X-None: 1"] {
        let mut socket = Socket::connect(&keyward.gateway_address());
        socket.send(handshake(key));
        socket.answer().unwrap().expect(401);
    }
}

#[test]
fn h08_after_a_refused_upgrade_nothing_passes_unseen() {
    let recorder = Recorder::start();
    let keyward = Keyward::dev_with("standard", &["--upstream", &recorder.url]);
    let mut socket = Socket::connect(&keyward.gateway_address());
    socket.send(handshake(&bearer(&keyward.first_key())));
    // The upstream answers 200: the connection goes on as HTTP, and what comes next needs a key of its own.
    socket.answer().unwrap().expect(200);
    socket.send(head("GET", "/smuggled", &[]));
    socket.patience(Duration::from_secs(2));
    let answer = socket.answer();
    assert!(matches!(answer.map(|answer| answer.status), None | Some(401)));
    let targets: Vec<String> = recorder.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/socket"]);
}

#[test]
fn large_bodies_flow_in_both_directions() {
    const LENGTH: usize = 20 * 1024 * 1024;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        mirror(&mut socket, LENGTH);
    });
    let keyward = Keyward::dev_with("standard", &["--upstream", &url]);
    let before = super::resident_bytes(keyward.pid());
    let body: Vec<u8> = (0..LENGTH).map(|n| (n % 251) as u8).collect();
    let request = keyward.http.post(format!("{}/v1/hello", keyward.started.gateway_url));
    let response = request.bearer_auth(keyward.first_key().secret).body(body.clone()).send().unwrap();
    assert!(response.bytes().unwrap() == body, "every byte came back");
    let grown = super::resident_bytes(keyward.pid()).saturating_sub(before);
    assert!(grown < 12 * 1024 * 1024, "grew by {grown} bytes: bodies are not held");
}

/// Reads a head and a body of this length and sends the body back.
fn mirror(socket: &mut TcpStream, length: usize) {
    let mut read = Vec::new();
    let mut buffer = vec![0; 65_536];
    let start = loop {
        let n = socket.read(&mut buffer).unwrap();
        read.extend_from_slice(&buffer[..n]);
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    while read.len() < start + length {
        let n = socket.read(&mut buffer).unwrap();
        read.extend_from_slice(&buffer[..n]);
    }
    socket.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes()).unwrap();
    socket.write_all(&read[start..]).unwrap();
}
