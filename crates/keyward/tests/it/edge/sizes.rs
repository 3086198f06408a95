//! Heads and bodies that are too large.

use std::time::{Duration, Instant};

use super::{bearer, head, resident_bytes};
use crate::harness::raw::{Socket, exchange};
use crate::harness::{Keyward, Scripted, Upstream};
use serde_json::json;

const MIB: u64 = 1024 * 1024;
/// What the kernel may hold of a connection on both sides: bytes that were sent but that nobody read.
const IN_FLIGHT_MAX: u64 = 12 * MIB;
/// By how much the memory in use may grow while one request is refused.
const GROWTH_MAX: u64 = 16 * MIB;

fn addresses(keyward: &Keyward) -> [(&'static str, String); 3] {
    [
        ("gateway", keyward.gateway_address()),
        ("check", keyward.check_address()),
        ("control", keyward.control_address()),
    ]
}

#[test]
fn h04_oversize_heads_are_refused() {
    let upstream = Upstream::start(Scripted::json(200, "{}"));
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    let key = bearer(&keyward.first_key());
    let status = |address: &str, target: &str, lines: &[&str]| {
        exchange(address, head("GET", target, lines)).map(|answer| answer.status)
    };
    let large = format!("X-Large: {}", "v".repeat(17 * 1024));
    let many: Vec<String> = (0..101).map(|n| format!("X-{n}: v")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = format!("/{}", "a".repeat(17 * 1024));
    let long_query = format!("/v1/hello?{}", "a".repeat(17 * 1024));
    for (door, address) in addresses(&keyward) {
        assert_eq!(status(&address, "/v1/hello", &[&key, &large]), Some(431), "{door}: 17 KiB");
        assert_eq!(status(&address, "/v1/hello", &many), Some(431), "{door}: 101 headers");
        for long in [&long, &long_query] {
            let status = status(&address, long, &[&key]);
            assert!(matches!(status, Some(414 | 431)), "{door}: a long target: {status:?}");
        }
    }
    assert_eq!(upstream.count(), 0);
    // What is large but within the caps goes through.
    let large = format!("X-Large: {}", "v".repeat(12 * 1024));
    let lines: Vec<&str> = many[..90].iter().copied().chain([key.as_str()]).collect();
    assert_eq!(status(&keyward.gateway_address(), "/v1/hello", &[&key, &large]), Some(200));
    assert_eq!(status(&keyward.gateway_address(), "/v1/hello", &lines), Some(200));
    assert_eq!(status(&keyward.gateway_address(), &format!("/{}", "a".repeat(4096)), &[&key]), Some(200));
}

#[test]
fn h04_the_gateway_refuses_them_in_the_contracts_words() {
    let keyward = Keyward::dev("standard");
    let terms = keyward.terms();
    let key = bearer(&keyward.first_key());
    let large = format!("X-Large: {}", "v".repeat(17 * 1024));
    let answer = exchange(&keyward.gateway_address(), head("GET", "/v1/hello", &[&key, &large])).unwrap();
    answer.expect_refused(&terms.refusal("headers_too_large"));
    let long = format!("/{}", "a".repeat(12 * 1024));
    let answer = exchange(&keyward.gateway_address(), head("GET", &long, &[&key])).unwrap();
    answer.expect_refused(&terms.refusal("uri_too_long"));
}

#[test]
fn h04_a_head_of_8_mib_is_closed_and_never_held() {
    let keyward = Keyward::dev("standard");
    for (door, address) in addresses(&keyward) {
        let before = resident_bytes(keyward.pid());
        let mut socket = Socket::connect(&address);
        socket.send("GET / HTTP/1.1\r\nHost: a\r\n");
        let line = format!("X-Drip: {}\r\n", "v".repeat(16 * 1024 - 10));
        let taken = (0..8 * MIB / 16_384).take_while(|_| socket.send(&line)).count() as u64 * 16_384;
        assert!(taken < 8 * MIB || socket.is_ended(), "{door} still reads after 8 MiB");
        let grown = resident_bytes(keyward.pid()).saturating_sub(before);
        assert!(grown < GROWTH_MAX, "{door} grew by {grown} bytes");
    }
    assert!(keyward.is_valid(&keyward.first_key().secret));
}

#[test]
fn h05_a_declared_body_that_is_too_large_is_refused_before_it_is_sent() {
    let upstream = Upstream::start(Scripted::json(200, "{}"));
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    let (gateway, management) =
        (bearer(&keyward.first_key()), format!("Authorization: Bearer {}", keyward.started.management_key));
    let project = format!("/v1/projects/{}/keys", keyward.project());
    let doors = [
        ("gateway", keyward.gateway_address(), "/v1/hello", &gateway),
        ("check", keyward.check_address(), "/v1/verify", &management),
        ("control", keyward.control_address(), &project, &management),
    ];
    for (door, address, target, key) in doors {
        for length in ["10000000000", "18446744073709551615"] {
            let lines = [key.as_str(), "Content-Type: application/json", &format!("Content-Length: {length}")];
            let answer = exchange(&address, head("POST", target, &lines)).expect("an answer without the body");
            // The largest number of all is refused for itself.
            let is_refused =
                answer.status == 413 || (length.starts_with("18") && [400, 431].contains(&answer.status));
            assert!(is_refused, "{door}: {} {}", answer.status, answer.text());
        }
    }
    let lines = [gateway.as_str(), "Content-Length: 10000000000"];
    let answer = exchange(&keyward.gateway_address(), head("POST", "/v1/hello", &lines)).unwrap();
    answer.expect_refused(&keyward.terms().refusal("body_too_large"));
    assert_eq!(upstream.count(), 0);
}

#[test]
fn h05_an_endless_chunked_body_is_cut_off_at_the_cap() {
    let upstream = Upstream::start(Scripted::json(200, "{}"));
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    keyward.amend("[gateway]\nbody_max_bytes = 1048576");
    let (gateway, management) =
        (bearer(&keyward.first_key()), format!("Authorization: Bearer {}", keyward.started.management_key));
    let project = format!("/v1/projects/{}/keys", keyward.project());
    let doors = [
        ("gateway", keyward.gateway_address(), "/v1/hello", &gateway, MIB),
        ("check", keyward.check_address(), "/v1/verify", &management, 16 * 1024),
        ("control", keyward.control_address(), &project, &management, 4 * MIB),
    ];
    for (door, address, target, key, cap) in doors {
        let before = resident_bytes(keyward.pid());
        let (sent, status) = send_endlessly(&address, target, key);
        assert!(sent <= cap + IN_FLIGHT_MAX, "{door} took {sent} bytes, the cap is {cap}");
        assert!(matches!(status, None | Some(413)), "{door}: {status:?}");
        let grown = resident_bytes(keyward.pid()).saturating_sub(before);
        assert!(grown < GROWTH_MAX, "{door} grew by {grown} bytes");
    }
    assert_eq!(upstream.count(), 0, "half a request is none");
}

/// Sends chunks until the other side no longer takes them; how many bytes, and the status that came back.
fn send_endlessly(address: &str, target: &str, key: &str) -> (u64, Option<u16>) {
    let mut socket = Socket::connect(address);
    let lines = [key, "Content-Type: application/json", "Transfer-Encoding: chunked"];
    socket.send(head("POST", target, &lines));
    let chunk = format!("2000\r\n{}\r\n", "[".repeat(0x2000));
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut sent = 0;
    while Instant::now() < deadline && sent < 64 * MIB && socket.send(&chunk) {
        sent += 0x2000;
    }
    (sent, socket.answer().map(|answer| answer.status))
}

#[test]
fn h05_an_oversize_chunked_body_is_answered_with_413() {
    let keyward = Keyward::dev("standard");
    keyward.amend("[gateway]\nbody_max_bytes = 1000");
    let key = bearer(&keyward.first_key());
    let management = format!("Authorization: Bearer {}", keyward.started.management_key);
    let chunked = |target: &str, key: &str, size: usize| {
        let lines = [key, "Content-Type: application/json", "Transfer-Encoding: chunked"];
        format!("{}{size:x}\r\n{}\r\n0\r\n\r\n", head("POST", target, &lines), " ".repeat(size))
    };
    let answer = exchange(&keyward.gateway_address(), chunked("/v1/hello", &key, 1001)).unwrap();
    answer.expect_refused(&keyward.terms().refusal("body_too_large"));
    exchange(&keyward.gateway_address(), chunked("/v1/hello", &key, 1000)).unwrap().expect(200);
    let answer = exchange(&keyward.check_address(), chunked("/v1/verify", &management, 16 * 1024 + 1)).unwrap();
    assert_eq!(answer.expect(413).json()["code"], "payload_too_large");
}

#[test]
fn h05_a_verify_body_has_at_most_16_kib() {
    let keyward = Keyward::dev("standard");
    let secret = keyward.first_key().secret;
    let padded = |length: usize| {
        let body = json!({"key": secret}).to_string();
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    let ask = |body: String| {
        let request = keyward.http.post(format!("{}/v1/verify", keyward.started.check_url));
        let request =
            request.bearer_auth(&keyward.started.management_key).header("Content-Type", "application/json");
        crate::harness::Reply::from(request.body(body).send().unwrap())
    };
    assert_eq!(ask(padded(16 * 1024)).expect(200).json()["valid"], true);
    ask(padded(16 * 1024 + 1)).expect_problem(413, "payload_too_large");
    ask(padded(1024 * 1024)).expect_problem(413, "payload_too_large");
}
