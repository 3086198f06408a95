//! Several APIs behind one gateway: told by host or by the path's beginning, each with its own contract.

use super::recorder::Recorder;
use crate::harness::{Key, Keyward, Request};
use serde_json::json;

struct Two {
    keyward: Keyward,
    first: Recorder,
    second: Recorder,
    third: Recorder,
    /// A key of the first, of the second (by path prefix) and of the third API (by host).
    keys: [Key; 3],
}

impl Two {
    fn new() -> Self {
        let [first, second, third] = [Recorder::start(), Recorder::start(), Recorder::start()];
        let keyward = Keyward::dev_with("standard", &["--upstream", &first.url]);
        let by_prefix = format!(
            "schema = 1\nextends = \"metriport\"\napi = \"second\"\n[key]\nactive_limit = 9\n\
             [gateway]\nupstream = \"{}/base\"\npath_prefix = \"/second/v2\"",
            second.url
        );
        keyward.put_contract("second", &by_prefix).expect(201);
        let by_host = format!(
            "schema = 1\nextends = \"getprofile\"\napi = \"third\"\n[key]\nprefix = \"gq\"\ntest_prefix = \"gqt\"\n\
             [gateway]\nupstream = \"{}\"\nhosts = [\"third.example\", \"*.third.example\"]",
            third.url
        );
        keyward.put_contract("third", &by_host).expect(201);
        let key = |api: &str| {
            let path = format!("/v1/organizations/{}/projects", keyward.started.organization);
            let made = keyward.post(&path, json!({"name": api, "api": api})).expect(201).json();
            keyward.make(made["project"]["id"].as_str().unwrap(), json!({}))
        };
        let keys = [keyward.first_key(), key("second"), key("third")];
        Two { keyward, first, second, third, keys }
    }

    /// How many requests reached each upstream.
    fn reached(&self) -> [usize; 3] {
        [&self.first, &self.second, &self.third].map(|recorder| recorder.requests().len())
    }

    fn bearer(&self, api: usize) -> String {
        format!("Bearer {}", self.keys[api].secret)
    }
}

#[test]
fn a_path_prefix_tells_the_api_and_is_taken_off() {
    let two = Two::new();
    let ask = |target: &str| two.keyward.send(&Request::get(target).with("x-api-key", &two.keys[1].secret));
    for (target, seen) in [
        ("/second/v2/medical/v1/facility?a=1", "/base/medical/v1/facility?a=1"),
        ("/second/v2/", "/base/"),
        ("/second/v2", "/base"),
        ("/second/v2?a=1", "/base?a=1"),
        ("/second/v2/second/v2/x", "/base/second/v2/x"),
    ] {
        ask(target).expect(200);
        let reached = two.second.requests();
        assert!(reached.iter().any(|request| request.target == seen), "{target}: {reached:?}");
    }
    for reached in two.second.requests() {
        assert_eq!(reached.all("x-keyward-project").len(), 1);
    }
    assert_eq!(two.reached(), [0, 5, 0]);
    // What only looks alike is the first API's, whose contract knows no x-api-key.
    for target in ["/second/v22/x", "/second/V2/x", "/second", "/x/second/v2", "/second%2fv2/x", "/sec%6fnd/v2x"] {
        let answer = ask(target);
        assert!([400, 401].contains(&answer.status), "{target}: {}", answer.status);
    }
    assert_eq!(two.reached(), [0, 5, 0]);
}

#[test]
fn a_host_tells_the_api_whatever_its_case_and_port() {
    let two = Two::new();
    let ask = |host: &str| {
        two.keyward.send(&Request::get("/v1/profile/a").host(host).with("Authorization", &two.bearer(2)))
    };
    for host in ["third.example", "THIRD.example", "third.example:8080", "eu.third.example", "third.example."] {
        let answer = ask(host);
        assert!(answer.status == 200 || host.ends_with('.'), "{host}: {}", answer.status);
    }
    let [_, _, reached] = two.reached();
    assert!(reached >= 4);
    for host in [
        "third.example.evil",
        "xthird.example",
        "example",
        "a.b.third.example",
        "third.example@evil",
        "third.example, x",
    ] {
        let answer = ask(host);
        assert!([400, 401].contains(&answer.status), "{host}: {}", answer.status);
    }
    assert_eq!(two.reached(), [0, 0, reached]);
}

#[test]
fn t01_a_key_of_one_api_opens_no_other() {
    let two = Two::new();
    let second = two.keyward.terms_of("second").refusal("unknown_key");
    let third = two.keyward.terms_of("third").refusal("unknown_key");
    for foreign in [0, 2] {
        two.keyward
            .send(&Request::get("/second/v2/x").with("x-api-key", &two.keys[foreign].secret))
            .expect_refused(&second);
    }
    for foreign in [0, 1] {
        let request = Request::get("/x").host("third.example").with("Authorization", &two.bearer(foreign));
        two.keyward.send(&request).expect_refused(&third);
    }
    for foreign in [1, 2] {
        two.keyward.send(&Request::get("/x").with("Authorization", &two.bearer(foreign))).expect(401);
    }
    assert_eq!(two.reached(), [0, 0, 0]);
    two.keyward.send(&Request::get("/x").with("Authorization", &two.bearer(0))).expect(200);
    assert_eq!(two.reached(), [1, 0, 0]);
}

#[test]
fn each_api_refuses_in_its_own_words() {
    let two = Two::new();
    two.keyward
        .send(&Request::get("/second/v2/x"))
        .expect_refused(&two.keyward.terms_of("second").refusal("missing_key"));
    let third = two.keyward.terms_of("third").refusal("missing_key");
    two.keyward.send(&Request::get("/x").host("third.example")).expect_refused(&third);
    two.keyward.send(&Request::get("/x")).expect_refused(&two.keyward.terms().refusal("missing_key"));
}

#[test]
fn a_contract_in_force_takes_the_next_request_elsewhere() {
    let two = Two::new();
    let request = Request::get("/x").with("Authorization", &two.bearer(0));
    let mut open = two.keyward.open();
    two.keyward.send_on(&mut open, &request).expect(200);
    two.keyward.amend(&format!("[gateway]\nupstream = \"{}\"", two.second.url));
    // On the connection that was open and on a new one.
    two.keyward.send_on(&mut open, &request).expect(200);
    two.keyward.send(&request).expect(200);
    assert_eq!(two.reached(), [1, 2, 0]);
}

#[test]
fn routes_that_the_contract_refuses_are_404_in_its_words() {
    let recorder = Recorder::start();
    let keyward = Keyward::dev_with("standard", &["--upstream", &recorder.url]);
    keyward.amend(
        "other_routes = \"refuse\"\n[scopes]\nread = \"Read\"\nwrite = \"Write\"\n\
         [[routes]]\nmethods = [\"GET\"]\npath = \"/v1/items/{item}\"\nscopes = [\"read\"]\n\
         [[routes]]\nmethods = [\"POST\", \"DELETE\"]\npath = \"/v1/items/{item}\"\nscopes = [\"write\"]",
    );
    let terms = keyward.terms();
    let key = keyward.make(keyward.project(), json!({"name": "reader", "scopes": ["read"]}));
    let ask = |method: &str, target: &str| {
        keyward.send(&Request::new(method, target).with("Authorization", &format!("Bearer {}", key.secret)))
    };
    ask("GET", "/v1/items/1").expect(200);
    ask("GET", "/v1/items/a%20b").expect(200);
    ask("DELETE", "/v1/items/1").expect_refused(&terms.refusal("insufficient_scope"));
    ask("GET", "/v1/other").expect_refused(&terms.refusal("no_such_route"));
    ask("GET", "/v1/items/").expect_refused(&terms.refusal("no_such_route"));
    let before = recorder.requests().len();
    // h12: where routes decide, a path that servers read differently is refused.
    for target in [
        "/v1/items/../items/1",
        "/v1//items/1",
        "/v1/items/1/..",
        "/v1/items/%2e%2e/1",
        "/v1/items%2f1",
        "/v1/items/1%00",
        "/v1/items/1;x",
        "/v1\\items\\1",
        "/v1/./items/1",
        "/v1/items/%252e%252e",
        "/v1/items/1%5c",
        "/v1/items/%zz",
        "/v1/items/%ff",
    ] {
        let answer = ask("GET", target);
        assert!(answer.status == 400 || answer.status == 404, "{target}: {}", answer.status);
    }
    assert_eq!(recorder.requests().len(), before);
}
