//! Paths that servers read in different ways, behind every proxy: what a key may not reach is reached by no spelling.

use serde_json::json;

use super::world::World;
use crate::harness::{Request, in_seconds};

/// Where the key may go, and where it may not.
const OPEN: &str = "/v1/reports/";
const CLOSED: &str = "/v1/org/";

const LEADING: [&str; 5] = ["/v1/reports/", "/v1/reports/x/../", "/", "/v1/", "//v1/"];
const TURNS: [&str; 22] = [
    "../",
    "..%2f",
    "..%2F",
    "%2e%2e/",
    "%2E%2e%2f",
    ".%2e/",
    "..\\",
    "..%5c",
    "..;/",
    "..;x=y/",
    "%252e%252e/",
    "%252e%252e%252f",
    "..%252f",
    "..%00/",
    "..%0d%0a/",
    "%c0%ae%c0%ae/",
    "..%c0%af",
    "..//",
    "./../",
    ".././",
    "..?/../",
    "..#/../",
];
const TRAILING: [&str; 4] = ["org/categories", "%6frg/categories", "org%2fcategories", "ORG/categories/."];

fn variants() -> Vec<String> {
    let mut variants: Vec<String> = LEADING
        .iter()
        .flat_map(|start| {
            TURNS.iter().flat_map(move |turn| TRAILING.iter().map(move |end| format!("{start}{turn}{end}")))
        })
        .collect();
    let plain =
        ["/v1/org/categories", "//v1/org/categories", "/v1//org/categories", "/v1/./org/categories", "/V1/org/x"];
    variants.extend(plain.iter().flat_map(|plain| {
        ["", "/", "?", "?/v1/reports/", "#/v1/reports/", ";/v1/reports/", "%20", "%00", "%3f/v1/reports/x"]
            .map(|end| format!("{plain}{end}"))
    }));
    variants
}

/// The path as the most obliging server could read it: decoded until nothing changes, with either slash, without parameters,
/// empty segments and dots, in lower case.
fn obligingly(target: &str) -> String {
    let mut path = target.split(['?', '#']).next().unwrap().to_owned();
    for _ in 0..4 {
        path = decoded(&path);
    }
    let path = path.replace('\\', "/").to_ascii_lowercase();
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment.split([';', '\0']).next().unwrap().trim() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    format!("/{}/", segments.join("/"))
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let digits = more.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (first, digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    // An overlong dot or slash is one to a careless decoder.
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn h12_no_spelling_of_a_path_gets_past_the_route_policy_at_any_proxy() {
    let lines = "[plans.enterprise.rates]\nrequests = { limit = 1000000, per = \"1h\", by = \"key\" }";
    let world = World::amended("profound", lines);
    let keyward = &world.keyward;
    let body = json!({"name": "reports alone", "expires_at": in_seconds(86_400), "scopes": ["reports"]});
    let key = keyward.make(keyward.project(), body);
    let variants = variants();
    assert!(variants.len() >= 200, "{}", variants.len());
    assert_eq!(obligingly("/v1/reports/..%252f%6frg\\x;y/../a?b"), "/v1/org/a/");
    for proxy in &world.proxies {
        let mut passed = 0;
        for target in &variants {
            let bare = Request::get(target);
            let before = world.upstream.count();
            if let Some(answer) = proxy.send_bytes(bare.bytes(&proxy.address)) {
                assert!(answer.status >= 300, "{:?} {target}: {}", proxy.kind, answer.head);
            }
            assert_eq!(world.upstream.count(), before, "{:?}: {target} passed without a key", proxy.kind);
            let with_key = bare.with("X-API-Key", &key.secret);
            let answer = proxy.send_bytes(with_key.bytes(&proxy.address));
            for seen in world.upstream.seen().iter().skip(before) {
                let read = obligingly(&seen.target);
                assert!(!read.starts_with(CLOSED), "{:?}: {target} reached {} ({read})", proxy.kind, seen.target);
                assert!(read.starts_with(OPEN), "{:?}: {target} reached {} ({read})", proxy.kind, seen.target);
                passed += 1;
            }
            let has_passed = answer.is_some_and(|answer| answer.status == 200);
            assert_eq!(has_passed, world.upstream.count() > before, "{:?}: {target}", proxy.kind);
        }
        let good = Request::get("/v1/reports/x%20y").with("X-API-Key", &key.secret);
        proxy.send(&good).expect(200);
        assert!(passed < variants.len() / 10, "{:?} lets {passed} of {} pass", proxy.kind, variants.len());
    }
}
