//! What is open with a key ends with it, before the call that ends the key returns (L09).

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::raw::Socket;
use crate::harness::{Key, Keyward, Scripted, Seen, Upstream};

/// How a stream is begun by the upstream.
const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
const DOWNLOAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000000000\r\n\r\n";
const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// An upstream whose streams never end of themselves: every few milliseconds a line with the time.
fn clockwork() -> (Upstream, Instant) {
    let start = Instant::now();
    let script = move |seen: &Seen, socket: &mut TcpStream| {
        let head = match seen.target.as_str() {
            "/socket" => UPGRADED,
            "/download" => DOWNLOAD,
            _ => EVENTS,
        };
        let mut is_open = socket.write_all(head.as_bytes()).is_ok();
        while is_open {
            is_open = write!(socket, "data: {}\n\n", start.elapsed().as_micros()).is_ok();
            std::thread::sleep(Duration::from_millis(2));
        }
        false
    };
    (Upstream::start(Scripted::with(script)), start)
}

/// A stream through the gateway that has begun to flow.
struct Stream {
    socket: Socket,
    received: Vec<u8>,
}

impl Stream {
    fn open(keyward: &Keyward, target: &str, key: &Key) -> Self {
        let mut socket = keyward.open();
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let more = if target == "/socket" { upgrade } else { "" };
        let (host, secret) = (keyward.gateway_address(), &key.secret);
        socket
            .send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {secret}\r\n{more}\r\n"));
        let mut stream = Stream { socket, received: Vec::new() };
        while !stream.text().contains("data: ") {
            let part = stream.socket.some().unwrap_or_else(|| panic!("{target} did not begin: {}", stream.text()));
            stream.received.extend(part);
        }
        stream
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    /// Reads to the end; when the upstream wrote the last line that came through, in microseconds.
    fn end(mut self) -> u128 {
        while let Some(part) = self.socket.some() {
            self.received.extend(part);
        }
        let text = self.text();
        let times = text.split("data: ").filter_map(|line| line.split('\n').next()?.parse().ok());
        times.max().expect("a line with a time")
    }
}

#[test]
fn l09_every_kind_of_stream_is_cut_before_a_revoke_returns() {
    let (upstream, start) = clockwork();
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    let key = keyward.first_key();
    let bystander = keyward.make(keyward.project(), json!({}));
    let mut other = Stream::open(&keyward, "/events", &bystander);
    let targets = ["/events", "/download", "/socket"];
    let streams: Vec<Stream> = targets.iter().cycle().take(9).map(|t| Stream::open(&keyward, t, &key)).collect();

    keyward.revoke(&key.id).expect(200);
    let returned = start.elapsed().as_micros();
    for (stream, target) in streams.into_iter().zip(targets.iter().cycle()) {
        let last = stream.end();
        assert!(last <= returned, "{target} still flowed {} µs after the revoke returned", last - returned);
    }
    // Nobody else's stream was touched.
    let before = other.received.len();
    while other.received.len() < before + 1_000 {
        other.received.extend(other.socket.some().expect("another key's stream goes on"));
    }
}

#[test]
fn l09_streams_end_with_whatever_ends_the_key() {
    let (upstream, start) = clockwork();
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    let (organization, _, _) = keyward.new_organization("customer");
    let project = |name: &str| {
        let path = format!("/v1/organizations/{organization}/projects");
        let made = keyward.post(&path, json!({"name": name, "api": keyward.started.api})).expect(201).json();
        made["project"]["id"].as_str().unwrap().to_owned()
    };
    let projects = [project("one"), project("two"), project("three")];
    let key = || keyward.make(&projects[2], json!({}));
    type End<'a> = Box<dyn Fn(&Key) + 'a>;
    let post = |path: String| {
        let reply = keyward.post(&path, json!({}));
        assert!(reply.status == 200 || reply.status == 201, "{path}: {}", reply.text);
    };
    let ends: Vec<(&str, Key, End<'_>)> = vec![
        ("disable", key(), Box::new(|key| post(format!("/v1/keys/{}/disable", key.id)))),
        ("rotate", key(), Box::new(|key| post(format!("/v1/keys/{}/rotate", key.id)))),
        (
            "suspend",
            keyward.make(&projects[0], json!({})),
            Box::new(|_| post(format!("/v1/projects/{}/suspend", projects[0]))),
        ),
        (
            "delete",
            keyward.make(&projects[1], json!({})),
            Box::new(|_| {
                keyward.delete(&format!("/v1/projects/{}", projects[1])).expect(200);
            }),
        ),
        (
            "many",
            key(),
            Box::new(|_| {
                keyward.post("/v1/revocations", json!({"project": projects[2]})).expect(200);
            }),
        ),
        (
            "organization",
            keyward.make(&project("four"), json!({})),
            Box::new(|_| {
                keyward.delete(&format!("/v1/organizations/{organization}")).expect(200);
            }),
        ),
    ];
    for (name, key, end) in &ends {
        let streams = [Stream::open(&keyward, "/events", key), Stream::open(&keyward, "/socket", key)];
        end(key);
        let returned = start.elapsed().as_micros();
        for stream in streams {
            let last = stream.end();
            assert!(last <= returned, "{name}: a stream still flowed {} µs after", last - returned);
        }
    }
}

#[test]
fn l09_a_stream_ends_when_its_key_expires_of_itself() {
    let (upstream, start) = clockwork();
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    let key = keyward.make(keyward.project(), json!({"expires_at": crate::harness::in_seconds(2)}));
    let old = keyward.make(keyward.project(), json!({}));
    let streams = [Stream::open(&keyward, "/events", &key), Stream::open(&keyward, "/events", &old)];
    keyward.rotate(&old.id, json!({"overlap_seconds": 2})).expect(201);
    let latest = start.elapsed() + Duration::from_secs(2) + Duration::from_secs(2);
    for stream in streams {
        let last = stream.end();
        assert!(last <= latest.as_micros(), "a stream outlived its key by {} µs", last - latest.as_micros());
    }
}
