//! Which door serves what: the data plane's listeners have their own routes and no others.

use super::head;
use super::recorder::Recorder;
use crate::harness::raw::exchange;
use crate::harness::{Keyward, Reply};
use reqwest::Method;
use serde_json::Value;

/// Paths of the control plane and of operations.
fn foreign_paths(keyward: &Keyward) -> Vec<String> {
    let document = keyward.get("/openapi.json").expect(200).json();
    let paths = document["paths"].as_object().unwrap().keys();
    let started = &keyward.started;
    let filled = paths.map(|path| {
        path.replace("{api}", &started.api)
            .replace("{organization}", &started.organization)
            .replace("{org}", &started.organization)
            .replace("{project}", &started.project)
            .replace("{key}", &started.key_id)
            .replace(['{', '}'], "")
    });
    let others = ["/metrics", "/healthz", "/readyz", "/openapi.json", "/", "/debug/pprof/", "/v1", "/v1/nodes"];
    filled.chain(others.map(str::to_owned)).filter(|path| path != "/v1/verify").collect()
}

#[test]
fn h22_the_check_listener_serves_verify_and_nothing_else() {
    let keyward = Keyward::dev("standard");
    let ask = |method: Method, path: &str| {
        let request = keyward.http.request(method, format!("{}{path}", keyward.started.check_url));
        Reply::from(request.bearer_auth(&keyward.started.management_key).send().unwrap())
    };
    for path in foreign_paths(&keyward) {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let reply = ask(method.clone(), &path);
            assert!([404, 405].contains(&reply.status), "{method} {path}: {} {}", reply.status, reply.text);
            assert!(!reply.text.contains(&keyward.started.organization), "{}", reply.text);
        }
    }
    ask(Method::GET, "/v1/projects").expect_problem(404, "not_found");
    for near in [
        "/v1/verify/",
        "/v1/verify/x",
        "/v1//verify",
        "/V1/verify",
        "/v1/%76erify",
        "/v1/verify;a",
        "/x/../v1/verify",
    ] {
        let request = head("POST", near, &[&format!("Authorization: Bearer {}", keyward.started.management_key)]);
        let status = exchange(&keyward.check_address(), request).map(|answer| answer.status);
        assert!(matches!(status, Some(400 | 404)), "{near}: {status:?}");
    }
}

#[test]
fn h22_the_gateway_serves_the_api_behind_it_and_nothing_else() {
    let recorder = Recorder::start();
    let keyward = Keyward::dev_with("standard", &["--upstream", &recorder.url]);
    let management = format!("Authorization: Bearer {}", keyward.started.management_key);
    let key = super::bearer(&keyward.first_key());
    let refused = keyward.terms().refusal("missing_key");
    let mut paths = foreign_paths(&keyward);
    paths.push("/v1/verify".into());
    for path in &paths {
        // No key, or one of the control plane: refused as anything else is, in the contract's words.
        exchange(&keyward.gateway_address(), head("GET", path, &[])).unwrap().expect_refused(&refused);
        exchange(&keyward.gateway_address(), head("GET", path, &[&management])).unwrap().expect(401);
    }
    assert!(recorder.requests().is_empty());
    // With a key of the API: the upstream's, whatever the path looks like.
    for path in &paths {
        let answer = exchange(&keyward.gateway_address(), head("GET", path, &[&key])).unwrap().expect(200);
        assert_eq!(answer.text(), "ok", "{path}");
    }
    let mut reached: Vec<String> = recorder.requests().into_iter().map(|request| request.target).collect();
    reached.sort();
    paths.sort();
    assert_eq!(reached, paths);
}

#[test]
fn h22_the_control_plane_decides_nothing_and_forwards_nothing() {
    let recorder = Recorder::start();
    let keyward = Keyward::dev_with("standard", &["--upstream", &recorder.url]);
    let key = keyward.first_key();
    for path in ["/v1/hello", "/v1/verify", "/v1/forward-auth/standard", "/proxy/x"] {
        keyward.get(path).expect_problem(404, "not_found");
        keyward.control_as(&key.secret, Method::GET, path, None).expect(404);
    }
    keyward.control_as(&key.secret, Method::GET, "/v1/whoami", None).expect_problem(401, "unauthenticated");
    assert!(recorder.requests().is_empty());
}

#[test]
fn h22_operations_can_have_an_address_of_their_own() {
    let keyward = Keyward::dev("standard");
    keyward
        .http
        .get(format!("{}/healthz", keyward.started.control_url))
        .send()
        .unwrap()
        .error_for_status()
        .unwrap();
    let ready: Reply = keyward.http.get(format!("{}/readyz", keyward.started.control_url)).send().unwrap().into();
    assert_eq!(ready.expect(200).json()["status"], "ready");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let keyward = Keyward::dev_with("standard", &["--ops-listen", &free]);
    for path in ["/healthz", "/readyz", "/metrics"] {
        let reply: Reply = keyward.http.get(format!("http://{free}{path}")).send().unwrap().into();
        reply.expect(200);
        keyward.get(path).expect(404);
    }
    let foreign: Reply = keyward.http.get(format!("http://{free}/v1/whoami")).send().unwrap().into();
    foreign.expect(404);
}

#[test]
fn h18_no_origin_is_ever_allowed() {
    let keyward = Keyward::dev("standard");
    let lines = ["Origin: https://evil.example", "Access-Control-Request-Method: POST"];
    for address in [keyward.control_address(), keyward.check_address(), keyward.gateway_address()] {
        for method in ["GET", "OPTIONS", "POST"] {
            let answer = exchange(&address, head(method, "/v1/whoami", &lines)).unwrap();
            assert!(!answer.head.to_ascii_lowercase().contains("access-control"), "{}", answer.head);
        }
    }
    let read: Value = keyward.get("/v1/whoami").expect(200).json();
    assert!(read.is_object());
}
