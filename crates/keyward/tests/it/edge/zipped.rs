//! Compressed bodies: nothing is ever inflated here.

use super::resident_bytes;
use crate::harness::{Keyward, Reply, Scripted, Upstream, in_seconds};
use reqwest::Method;
use serde_json::json;

/// A gzip member of `{"key": "aaaa…` that inflates to about 158 times its length. Deflate's fixed code can be
/// written by hand: literals as they are, then "repeat the last byte 258 times" over and over.
fn bomb(length: usize) -> Vec<u8> {
    let mut bits = Bits { bytes: vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], used: 8 };
    bits.push(0b011, 3);
    for byte in *b"{\"key\": \"a" {
        bits.push_code(0x30 + u32::from(byte), 8);
    }
    while bits.bytes.len() < length - 16 {
        // Length 258 is code 285, distance 1 is code 0.
        bits.push_code(0b1100_0101, 8);
        bits.push_code(0, 5);
    }
    bits.push_code(0x30 + u32::from(b'"'), 8);
    bits.push_code(0x30 + u32::from(b'}'), 8);
    bits.push_code(0, 7);
    bits.bytes.resize(length, 0);
    bits.bytes
}

struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// Appends bits, the lowest first.
    fn push(&mut self, value: u32, count: u32) {
        for n in 0..count {
            if self.used == 8 {
                self.bytes.push(0);
                self.used = 0;
            }
            *self.bytes.last_mut().unwrap() |= (((value >> n) & 1) as u8) << self.used;
            self.used += 1;
        }
    }

    /// Appends a Huffman code, the highest bit first.
    fn push_code(&mut self, code: u32, length: u32) {
        (0..length).rev().for_each(|n| self.push(code >> n, 1));
    }
}

#[test]
fn the_bomb_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bomb.gz");
    std::fs::write(&path, bomb(16 * 1024)).unwrap();
    // The length and checksum at its end are wrong on purpose, so only what comes out counts.
    let inflated = std::process::Command::new("gzip").args(["-dc"]).arg(&path).output().unwrap().stdout;
    assert!(inflated.len() > 2_000_000 && inflated.starts_with(b"{\"key\": \"aaaa"), "{}", inflated.len());
}

fn send(keyward: &Keyward, method: Method, url: &str, key: &str, encoding: &str, body: Vec<u8>) -> Reply {
    let request = keyward.http.request(method, url).bearer_auth(key);
    let request = request.header("Content-Type", "application/json").header("Content-Encoding", encoding);
    request.body(body).send().unwrap().into()
}

#[test]
fn h15_compressed_bodies_are_refused_where_they_would_have_to_be_read() {
    let keyward = Keyward::dev("standard");
    let key = keyward.started.management_key.clone();
    let before = resident_bytes(keyward.pid());
    let urls = [
        (Method::POST, format!("{}/v1/verify", keyward.started.check_url)),
        (Method::POST, format!("{}/v1/projects/{}/keys", keyward.started.control_url, keyward.project())),
        (Method::PATCH, format!("{}/v1/keys/{}", keyward.started.control_url, keyward.started.key_id)),
        (Method::PUT, format!("{}/v1/apis/standard", keyward.started.control_url)),
        (Method::POST, format!("{}/v1/organizations", keyward.started.control_url)),
    ];
    for (method, url) in &urls {
        for encoding in
            ["gzip", "x-gzip", "deflate", "br", "zstd", "compress", "gzip, gzip", "identity, gzip", "GZIP"]
        {
            for body in [bomb(15 * 1024), b"{}".to_vec()] {
                let reply = send(&keyward, method.clone(), url, &key, encoding, body);
                reply.expect_problem(415, "unsupported_media_type");
            }
        }
    }
    for (method, url) in &urls {
        // Not declared: then it is merely no JSON.
        let reply = send(&keyward, method.clone(), url, &key, "identity", bomb(15 * 1024));
        assert!([400, 415, 422].contains(&reply.status), "{} {}", reply.status, reply.text);
    }
    let grown = resident_bytes(keyward.pid()).saturating_sub(before);
    assert!(grown < 16 * 1024 * 1024, "grew by {grown} bytes");
    assert!(keyward.is_valid(&keyward.first_key().secret));
}

#[test]
fn h15_the_gateway_passes_compressed_bodies_on_as_they_are() {
    let upstream = Upstream::start(Scripted::json(200, "{}"));
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    let before = resident_bytes(keyward.pid());
    let body = bomb(1024 * 1024);
    let url = format!("{}/v1/hello", keyward.started.gateway_url);
    send(&keyward, Method::POST, &url, &keyward.first_key().secret, "gzip", body.clone()).expect(200);
    let seen = upstream.last();
    assert!(
        seen.body == body && seen.header("content-encoding") == Some("gzip"),
        "the body came through unchanged"
    );
    let grown = resident_bytes(keyward.pid()).saturating_sub(before);
    assert!(grown < 16 * 1024 * 1024, "grew by {grown} bytes");
}

#[test]
fn h15_where_the_decision_needs_the_body_a_compressed_one_is_refused() {
    let upstream = Upstream::start(Scripted::json(200, "{}"));
    let keyward = Keyward::dev_with("profound", &["--upstream", &upstream.url]);
    let limited =
        json!({"name": "one category", "expires_at": in_seconds(3600), "scopes": ["reports", "category:one"]});
    let key = keyward.make(keyward.project(), limited);
    let url = format!("{}/v1/reports/visibility", keyward.started.gateway_url);
    let refused = keyward.terms().refusal("unsupported_body");
    let post = |encoding: &str, body: &[u8]| {
        let request =
            keyward.http.post(&url).header("X-API-Key", &key.secret).header("Content-Type", "application/json");
        Reply::from(request.header("Content-Encoding", encoding).body(body.to_vec()).send().unwrap())
    };
    let before = resident_bytes(keyward.pid());
    for encoding in ["gzip", "br", "zstd", "deflate", "gzip, gzip"] {
        for body in [bomb(60 * 1024), br#"{"category_id": "one"}"#.to_vec()] {
            assert_eq!(post(encoding, &body).expect(refused.status).json(), refused.body, "{encoding}");
        }
    }
    assert_eq!(upstream.count(), 0);
    let grown = resident_bytes(keyward.pid()).saturating_sub(before);
    assert!(grown < 16 * 1024 * 1024, "grew by {grown} bytes");
    post("identity", br#"{"category_id": "one"}"#).expect(200);
    post("identity", br#"{"category_id": "two"}"#).expect(403);
    // A key without that limit needs no look into the body, so the body may be what it likes.
    let open = keyward.first_key();
    let request = keyward.http.post(&url).header("X-API-Key", open.secret).header("Content-Encoding", "gzip");
    Reply::from(request.body(bomb(1000)).send().unwrap()).expect(200);
}
