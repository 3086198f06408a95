//! Who calls, as the upstream is told: only ever by us.

use super::frames::{self, Connection};
use super::head;
use super::recorder::{Message, Recorder};
use crate::harness::Keyward;
use crate::harness::raw::exchange;
use serde_json::json;

/// Every header of ours that tells who calls.
const OURS: [&str; 6] = [
    "X-Keyward-Project",
    "X-Keyward-Organization",
    "X-Keyward-Key-Id",
    "X-Keyward-Plan",
    "X-Keyward-Scopes",
    "X-Keyward-Request-Id",
];

struct Called {
    keyward: Keyward,
    recorder: Recorder,
    key: String,
}

impl Called {
    fn new() -> Self {
        let recorder = Recorder::start();
        let keyward = Keyward::dev_with("standard", &["--upstream", &recorder.url]);
        let key = super::bearer(&keyward.first_key());
        Called { keyward, recorder, key }
    }

    /// Sends a request with these lines; what reached the upstream.
    #[track_caller]
    fn send(&self, lines: &[&str]) -> Message {
        let lines: Vec<&str> = lines.iter().copied().chain([self.key.as_str()]).collect();
        exchange(&self.keyward.gateway_address(), head("GET", "/v1/hello", &lines)).unwrap().expect(200);
        self.recorder.last()
    }

    /// Panics unless the upstream is told who calls, once, by us, and nothing else that could be taken for it.
    #[track_caller]
    fn expect_ours(&self, message: &Message) {
        let started = &self.keyward.started;
        assert_eq!(message.all("X-Keyward-Project"), [started.project.as_str()], "{message:?}");
        assert_eq!(message.all("X-Keyward-Organization"), [started.organization.as_str()], "{message:?}");
        assert_eq!(message.all("X-Keyward-Key-Id"), [started.key_id.as_str()], "{message:?}");
        assert_eq!(message.all("X-Keyward-Plan"), ["standard"], "{message:?}");
        assert_eq!(message.all("X-Keyward-Scopes"), ["*"], "{message:?}");
        let is_like_ours = |name: &str| folded(name).starts_with("xkeyward");
        let like_ours: Vec<_> = message.headers.iter().filter(|(name, _)| is_like_ours(name)).collect();
        assert_eq!(message.all("X-Keyward-Request-Id").len(), 1, "{message:?}");
        assert_eq!(like_ours.len(), OURS.len(), "{like_ours:?}");
        assert!(!message.headers.iter().any(|(_, value)| value.contains("forged")), "{message:?}");
    }
}

/// A header's name as the most careless server would read it.
fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

#[test]
fn h09_connection_cannot_take_out_who_calls() {
    let called = Called::new();
    for name in OURS {
        for line in [
            format!("Connection: {name}"),
            format!("Connection: close, {}", name.to_ascii_lowercase()),
            format!("Connection: keep-alive , {name},"),
            format!("Proxy-Connection: {name}"),
            format!("Keep-Alive: {name}"),
            format!("Trailer: {name}"),
            format!("Vary: {name}"),
        ] {
            let message = called.send(&[&line]);
            called.expect_ours(&message);
            assert!(
                message.all("connection").iter().all(|value| !folded(value).contains("keyward")),
                "{message:?}"
            );
        }
    }
    let all = format!("Connection: {}, X-Forwarded-For, Host, Authorization", OURS.join(", "));
    let message = called.send(&[&all]);
    called.expect_ours(&message);
    for kept in ["X-Forwarded-For", "Host"] {
        assert_eq!(message.all(kept).len(), 1, "{kept}: {message:?}");
    }
}

#[test]
fn h09_what_connection_names_is_of_one_hop() {
    let called = Called::new();
    let message =
        called.send(&["Connection: X-Private, close", "X-Private: 1", "X-Public: 2", "Keep-Alive: timeout=5"]);
    assert_eq!(message.all("X-Private"), [""; 0]);
    assert_eq!(message.all("Keep-Alive"), [""; 0]);
    assert_eq!(message.all("X-Public"), ["2"]);
}

/// The ways to write a header of ours that some server somewhere takes for it.
fn spellings(name: &str) -> Vec<String> {
    let lower = name.to_ascii_lowercase();
    let mut spellings = vec![
        name.to_owned(),
        lower.clone(),
        name.to_ascii_uppercase(),
        name.replace('-', "_"),
        lower.replace('-', "_"),
        name.to_ascii_uppercase().replace('-', "_"),
        lower.replacen('-', "_", 1),
        lower.replace("d-", "d_"),
        lower.replace('-', "."),
        format!("{name}-"),
        format!("{name}_"),
    ];
    spellings.extend(
        ['!', '#', '$', '%', '&', '\'', '*', '+', '^', '`', '|', '~'].map(|c| lower.replace('-', &c.to_string())),
    );
    spellings
}

#[test]
fn h10_forged_headers_of_ours_never_reach_the_upstream() {
    let called = Called::new();
    for name in OURS {
        for spelling in spellings(name) {
            let line = format!("{spelling}: forged");
            called.expect_ours(&called.send(&[&line]));
        }
    }
    let twice =
        ["X-Keyward-Project: forged", "X-Other: 1", "x-keyward-project: forged", "X_Keyward_Project: forged"];
    called.expect_ours(&called.send(&twice));
    let unknown =
        ["X-Keyward: forged", "X-Keyward-Admin: forged", "X-Keyward-Member: forged", "X_KEYWARD_ROLE: forged"];
    called.expect_ours(&called.send(&unknown));
    // Names that merely begin alike are the caller's own.
    assert_eq!(called.send(&["X-Keywards: mine"]).all("X-Keywards"), ["mine"]);
}

#[test]
fn h10_forged_headers_are_of_no_use_with_a_refused_key() {
    let called = Called::new();
    let project = format!("X-Keyward-Project: {}", called.keyward.project());
    for key in ["Authorization: Bearer garbage", "X-None: 1"] {
        let request = head("GET", "/v1/hello", &[key, &project, "X-Keyward-Scopes: *"]);
        exchange(&called.keyward.gateway_address(), request).unwrap().expect(401);
    }
    assert!(called.recorder.requests().is_empty());
}

#[test]
fn h10_trailers_cannot_carry_them_either() {
    let called = Called::new();
    let lines =
        [called.key.as_str(), "TE: trailers", "Trailer: X-Keyward-Project, X-Fine", "Transfer-Encoding: chunked"];
    let body = "2\r\nhi\r\n0\r\nX-Keyward-Project: forged\r\nX_Keyward_Key_Id: forged\r\nX-Fine: 1\r\n\r\n";
    let request = format!("{}{body}", head("POST", "/v1/hello", &lines));
    exchange(&called.keyward.gateway_address(), request).unwrap().expect(200);
    let message = called.recorder.last();
    called.expect_ours(&message);
    assert_eq!(message.body, b"hi");
    assert!(
        !message.trailers.iter().any(|(name, _)| folded(name).starts_with("xkeyward")),
        "{:?}",
        message.trailers
    );
}

#[test]
fn h10_http_2_cannot_carry_them_either() {
    let called = Called::new();
    let key = called.key.trim_start_matches("Authorization: ").as_bytes();
    let forged = OURS
        .map(|name| spellings(name).into_iter().filter(|name| *name == name.to_ascii_lowercase()))
        .into_iter()
        .flatten();
    let forged: Vec<String> = forged.collect();
    for forged in forged.chunks(50) {
        let mut fields: Vec<(&str, &[u8])> = vec![
            (":method", b"GET"),
            (":scheme", b"http"),
            (":path", b"/v1/hello"),
            (":authority", b"a"),
            ("authorization", key),
        ];
        fields.extend(forged.iter().map(|name| (name.as_str(), &b"forged"[..])));
        let mut connection = Connection::open(&called.keyward.gateway_address());
        connection.send(frames::HEADERS, frames::END_HEADERS | frames::END_STREAM, 1, &frames::block(&fields));
        assert_eq!(connection.outcome(1), Some(200));
        called.expect_ours(&called.recorder.last());
    }
}

#[test]
fn h10_answers_cannot_pass_off_headers_of_ours() {
    use crate::harness::{Scripted, Upstream};
    use std::io::Write;
    let upstream = Upstream::start(Scripted::with(|_, socket| {
        let forged = "X-Keyward-Key-Id: forged\r\nx_keyward_project: forged\r\nX-Fine: 1\r\n";
        socket.write_all(format!("HTTP/1.1 200 OK\r\n{forged}Content-Length: 0\r\n\r\n").as_bytes()).is_ok()
    }));
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    let request = head("GET", "/v1/hello", &[&super::bearer(&keyward.first_key())]);
    let answer = exchange(&keyward.gateway_address(), request).unwrap().expect(200);
    assert!(!answer.head.contains("forged"), "{}", answer.head);
    assert_eq!(answer.header("x-fine"), Some("1"));
}

#[test]
fn the_upstream_is_told_who_calls() {
    let called = Called::new();
    called.expect_ours(&called.send(&[]));
    let body = json!({"name": "limited", "scopes": ["reports:*", "a"]});
    let key = called.keyward.make(called.keyward.project(), body);
    let lines = [super::bearer(&key)];
    exchange(&called.keyward.gateway_address(), head("GET", "/v1/hello", &[&lines[0]])).unwrap().expect(200);
    let message = called.recorder.last();
    assert_eq!(message.all("X-Keyward-Key-Id"), [key.id.as_str()]);
    assert_eq!(message.all("X-Keyward-Scopes"), ["a reports:*"]);
    assert_eq!(message.all("authorization"), [""; 0]);
}

#[test]
fn every_answer_has_a_request_id_and_the_upstream_sees_the_same() {
    let called = Called::new();
    let mut ids = Vec::new();
    for line in ["X-None: 1", "X-Request-Id: forged", "X-Request-Id: forged\r\nX-Request-Id: again"] {
        let request = head("GET", "/v1/hello", &[&called.key, line]);
        let answer = exchange(&called.keyward.gateway_address(), request).unwrap().expect(200);
        let id = answer.header("x-request-id").expect("a request id").to_owned();
        assert_eq!(called.recorder.last().all("x-keyward-request-id"), [id.as_str()]);
        ids.push(id);
    }
    let refused = exchange(&called.keyward.gateway_address(), head("GET", "/v1/hello", &[])).unwrap();
    ids.push(refused.header("x-request-id").expect("a request id").to_owned());
    let verified = called.keyward.verify(json!({"key": "garbage"}));
    ids.push(verified.header("x-request-id").expect("a request id").to_owned());
    let read = called.keyward.get("/v1/whoami");
    ids.push(read.header("x-request-id").expect("a request id").to_owned());
    assert!(ids.iter().all(|id| id.len() >= 16 && !id.contains("forged")), "{ids:?}");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
}
