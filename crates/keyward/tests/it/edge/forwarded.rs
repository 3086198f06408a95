//! Where a request comes from: the socket says it, and proxies only where they are trusted.

use std::net::IpAddr;

use super::recorder::{Message, Recorder};
use crate::harness::{Key, Keyward, Reply};
use reqwest::blocking::Client;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

/// The proxy that is trusted in these stories; loopback has many addresses.
const PROXY: &str = "127.0.0.9";
const TRUSTED: (&str, &str) = ("KEYWARD_GATEWAY_TRUSTED_PROXIES", "127.0.0.9/32,127.0.0.10/32");

struct Guarded {
    keyward: Keyward,
    recorder: Recorder,
    /// A key that opens only from 203.0.113.0/24 and 2001:db8::/32.
    key: Key,
}

impl Guarded {
    fn new(env: &[(&str, &str)]) -> Self {
        let recorder = Recorder::start();
        let keyward = Keyward::dev_with_env("standard", &["--upstream", &recorder.url], env);
        let body = json!({"name": "from the office", "addresses": ["203.0.113.0/24", "2001:db8::/32"]});
        let key = keyward.make(keyward.project(), body);
        Guarded { keyward, recorder, key }
    }

    /// Asks from this address of this machine.
    fn ask(&self, from: &str, lines: &[(&str, &str)]) -> Reply {
        let address: IpAddr = from.parse().unwrap();
        let client = Client::builder().local_address(address).no_proxy().build().unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
        }
        let request = client.get(format!("{}/v1/hello", self.keyward.started.gateway_url));
        request.bearer_auth(&self.key.secret).headers(headers).send().unwrap().into()
    }

    fn last(&self) -> Message {
        self.recorder.last()
    }
}

/// Headers by which a caller could claim to be somebody else.
const CLAIMS: [&str; 14] = [
    "X-Forwarded-For",
    "X-Real-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "X-Original-Forwarded-For",
    "X-Originating-IP",
    "X-Remote-IP",
    "X-Remote-Addr",
    "Fastly-Client-IP",
    "X-Forwarded",
    "Forwarded-For",
    "X_Forwarded_For",
];

#[test]
fn h11_nobody_is_believed_who_is_not_a_trusted_proxy() {
    for env in [&[][..], &[TRUSTED]] {
        let guarded = Guarded::new(env);
        let refused = guarded.keyward.terms().refusal("address_forbidden");
        for name in CLAIMS {
            for value in ["203.0.113.5", "203.0.113.5, 127.0.0.9", "127.0.0.9, 203.0.113.5"] {
                let reply = guarded.ask("127.0.0.1", &[(name, value)]).expect(refused.status);
                assert_eq!(reply.json(), refused.body, "{name}: {value}");
            }
        }
        for value in ["for=203.0.113.5", "for=\"203.0.113.5:80\";by=127.0.0.9", "for=203.0.113.5, for=127.0.0.9"] {
            guarded.ask("127.0.0.1", &[("Forwarded", value)]).expect(refused.status);
        }
        assert!(guarded.recorder.requests().is_empty());
    }
}

#[test]
fn h11_a_trusted_proxy_is_believed_about_the_last_address_before_it() {
    let guarded = Guarded::new(&[TRUSTED]);
    let x = "X-Forwarded-For";
    let passes: [&[(&str, &str)]; 8] = [
        &[(x, "203.0.113.5")],
        &[(x, "198.51.100.7, 203.0.113.5")],
        &[(x, "203.0.113.5, 127.0.0.10")],
        &[(x, "garbage, 203.0.113.5")],
        &[(x, "198.51.100.7"), (x, "203.0.113.5")],
        &[(x, "203.0.113.5:4711")],
        &[(x, "[2001:db8::1]:4711")],
        &[(x, "::ffff:203.0.113.5")],
    ];
    for lines in passes {
        assert_eq!(guarded.ask(PROXY, lines).status, 200, "{lines:?}");
    }
    let refused: [&[(&str, &str)]; 10] = [
        &[],
        &[(x, "203.0.113.5, 198.51.100.7")],
        &[(x, "203.0.113.5"), (x, "198.51.100.7")],
        &[(x, "203.0.113.5, garbage")],
        &[(x, "203.0.113.5, ")],
        &[(x, "unknown")],
        &[(x, "203.0.113.5 203.0.113.5")],
        &[("Forwarded", "for=203.0.113.5")],
        &[("X-Real-IP", "203.0.113.5")],
        &[(x, "198.51.100.7"), ("X-Real-IP", "203.0.113.5")],
    ];
    for lines in refused {
        assert_eq!(guarded.ask(PROXY, lines).status, 403, "{lines:?}");
    }
}

#[test]
fn h11_the_upstream_sees_hops_that_can_be_trusted() {
    let guarded = Guarded::new(&[TRUSTED]);
    let open = guarded.keyward.first_key();
    let guarded = Guarded { key: open, ..guarded };
    let forged: Vec<(&str, &str)> = vec![
        ("X-Forwarded-For", "203.0.113.5"),
        ("X-Real-IP", "203.0.113.5"),
        ("Forwarded", "for=203.0.113.5"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Prefix", "/admin"),
        ("X-Forwarded-Uri", "/admin"),
        ("X-Forwarded-Method", "DELETE"),
        ("X-Original-URL", "/admin"),
        ("X-Rewrite-URL", "/admin"),
        ("X-Original-URI", "/admin"),
    ];
    guarded.ask("127.0.0.1", &forged).expect(200);
    let seen = guarded.last();
    assert_eq!(seen.all("X-Forwarded-For"), ["127.0.0.1"]);
    let text = format!("{:?}", seen.headers);
    assert!(
        !["203.0.113.5", "evil.example", "/admin", "DELETE"].iter().any(|forged| text.contains(forged)),
        "{text}"
    );
    assert_eq!(seen.target, "/v1/hello");

    guarded.ask(PROXY, &[("X-Forwarded-For", "203.0.113.5"), ("X-Forwarded-Proto", "https")]).expect(200);
    let seen = guarded.last();
    assert_eq!(seen.all("X-Forwarded-For"), ["203.0.113.5, 127.0.0.9"]);
    assert_eq!(seen.all("X-Forwarded-Proto"), ["https"]);
}

#[test]
fn h11_the_address_that_a_service_tells_counts_on_verify_and_its_headers_do_not() {
    let guarded = Guarded::new(&[]);
    let verify = |body: serde_json::Value| guarded.keyward.verify(body).expect(200).json();
    let secret = &guarded.key.secret;
    assert_eq!(verify(json!({"key": secret, "ip": "203.0.113.5"}))["valid"], true);
    assert_eq!(verify(json!({"key": secret, "ip": "::ffff:203.0.113.5"}))["valid"], true);
    assert_eq!(verify(json!({"key": secret, "ip": "198.51.100.7"}))["code"], "address_forbidden");
    assert_eq!(verify(json!({"key": secret}))["code"], "address_forbidden");
    for bad in ["", "203.0.113", "203.0.113.5/32", "203.0.113.5, 198.51.100.7", "localhost", "0x7f.1", "[::1]"] {
        guarded.keyward.verify(json!({"key": secret, "ip": bad})).expect_problem(422, "invalid");
    }
    let url = format!("{}/v1/verify", guarded.keyward.started.check_url);
    let request = guarded.keyward.http.post(url).bearer_auth(&guarded.keyward.started.management_key);
    let reply: Reply =
        request.header("X-Forwarded-For", "203.0.113.5").json(&json!({"key": secret})).send().unwrap().into();
    assert_eq!(reply.expect(200).json()["code"], "address_forbidden");
}
