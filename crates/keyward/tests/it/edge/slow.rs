//! Callers that send slowly, or not at all: their sockets are reaped, and nobody else notices.

use std::time::{Duration, Instant};

use super::crowds::raise_ours;
use super::{bearer, head};
use crate::harness::raw::Socket;
use crate::harness::{Keyward, Scripted, Upstream, eventually};
use serde_json::json;

/// A Keyward that waits one second for heads and bodies.
fn impatient(upstream: &Upstream) -> Keyward {
    let env = [("KEYWARD_GATEWAY_HEADER_TIMEOUT_SECONDS", "1"), ("KEYWARD_GATEWAY_BODY_GRACE_SECONDS", "1")];
    Keyward::dev_with_env("standard", &["--upstream", &upstream.url], &env)
}

/// Sends a little more on each socket, every tenth of a second, until all have ended; how long that took.
fn drip(mut sockets: Vec<Socket>, bytes: &[u8], meanwhile: impl Fn()) -> Duration {
    let began = Instant::now();
    eventually("all slow sockets are reaped", || {
        meanwhile();
        sockets.retain_mut(|socket| socket.send(bytes));
        std::thread::sleep(Duration::from_millis(100));
        sockets.is_empty().then_some(())
    });
    began.elapsed()
}

#[test]
fn h06_sockets_that_drip_a_head_are_reaped_while_others_are_served() {
    raise_ours();
    let upstream = Upstream::start(Scripted::json(200, "{}"));
    let keyward = impatient(&upstream);
    let key = keyward.first_key();
    for address in [keyward.gateway_address(), keyward.check_address()] {
        let open = |n: usize| {
            let mut socket = Socket::connect(&address);
            // Some begin a first line, some a header, some an HTTP/2 preface.
            socket.send(["G", "GET / HTTP/1.1\r\nHost: a\r\nX-A: ", "PRI"][n % 3]);
            socket
        };
        let sockets: Vec<Socket> = (0..2000).map(open).collect();
        let took = drip(sockets, b"a", || {
            assert!(keyward.is_valid(&key.secret), "a verify while others drip");
            keyward.call("GET", "/v1/hello", &[("Authorization", &format!("Bearer {}", key.secret))]).expect(200);
        });
        assert!(took >= Duration::from_millis(500), "{took:?}: nobody is cut off before the time is over");
    }
    assert!(keyward.is_valid(&key.secret));
}

#[test]
fn h06_silent_sockets_are_reaped() {
    let upstream = Upstream::start(Scripted::json(200, "{}"));
    let keyward = impatient(&upstream);
    for address in [keyward.gateway_address(), keyward.check_address()] {
        let mut sockets: Vec<Socket> = (0..50).map(|_| Socket::connect(&address)).collect();
        assert!(sockets.iter_mut().all(Socket::is_ended), "a socket that never says anything is closed");
    }
}

#[test]
fn h06_a_body_that_drips_is_cut_off_and_never_a_request() {
    let upstream = Upstream::start(Scripted::json(200, "{}"));
    let keyward = impatient(&upstream);
    let key = keyward.first_key();
    let management = format!("Authorization: Bearer {}", keyward.started.management_key);
    for (address, target, key) in [
        (keyward.gateway_address(), "/v1/hello", bearer(&key)),
        (keyward.check_address(), "/v1/verify", management),
    ] {
        let open = |framing: &str, start: &str| {
            let mut socket = Socket::connect(&address);
            let lines = [key.as_str(), "Content-Type: application/json", framing];
            socket.send(head("POST", target, &lines));
            socket.send(start);
            socket
        };
        let dripping: Vec<Socket> = (0..50).map(|_| open("Content-Length: 10000", "{")).collect();
        drip(dripping, b" ", || assert!(keyward.is_valid(&keyward.first_key().secret)));
        let mut stalled = open("Transfer-Encoding: chunked", "5\r\nab");
        assert!(stalled.is_ended(), "a chunk that never ends");
    }
    assert_eq!(upstream.count(), 0, "half a request is none");
}

#[test]
fn h06_a_body_that_takes_its_time_but_comes_is_served() {
    let upstream = Upstream::start(Scripted::json(200, "{}"));
    let keyward = impatient(&upstream);
    let key = bearer(&keyward.first_key());
    let mut socket = Socket::connect(&keyward.gateway_address());
    socket.send(head("POST", "/v1/hello", &[&key, "Content-Length: 4"]));
    for byte in ["a", "b", "c", "d"] {
        std::thread::sleep(Duration::from_millis(100));
        socket.send(byte);
    }
    socket.answer().unwrap().expect(200);
    assert_eq!(upstream.last().body, b"abcd");
}

#[test]
fn h06_the_control_plane_reaps_slow_sockets_too() {
    let keyward = Keyward::dev("standard");
    let mut silent = Socket::connect(&keyward.control_address());
    let mut slow = Socket::connect(&keyward.control_address());
    slow.send("GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: ");
    assert!(slow.is_ended() && silent.is_ended());
    let body = json!({"name": "after"});
    keyward.make(keyward.project(), body);
}
