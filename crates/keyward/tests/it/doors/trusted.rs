//! Whom Keyward believes: a proxy that a setting lists or that shows the secret, and nobody else. And where a request comes
//! from, behind a proxy: from who spoke to the proxy.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;

use reqwest::blocking::Client;
use serde_json::json;

use super::proxy::Kind;
use super::world::{TRUSTED, World};
use crate::harness::{Keyward, Reply};

/// A caller at this address of this machine.
fn from(address: &str) -> Client {
    Client::builder().local_address(address.parse::<IpAddr>().unwrap()).no_proxy().build().unwrap()
}

/// Asks forward-auth, as a proxy at this address would.
fn ask(keyward: &Keyward, address: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let request = from(address).get(format!("{}{path}", keyward.started.check_url));
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().unwrap().into()
}

#[test]
fn h11_who_is_no_listed_proxy_gets_no_decision_whatever_it_claims() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "a-secret-of-the-proxies\n").unwrap();
    std::fs::set_permissions(secret.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = ("KEYWARD_CHECK_PROXY_SECRET_FILE", secret.path().to_str().unwrap());
    let keyward = Keyward::dev_with_env("standard", &[], &[TRUSTED, file]);
    let bearer = format!("Bearer {}", keyward.first_key().secret);
    let asked = [("Authorization", &*bearer), ("X-Original-Method", "GET"), ("X-Original-URI", "/v1/hello")];
    let path = "/v1/forward-auth/standard";
    ask(&keyward, "127.0.0.1", path, &asked).expect(200);

    let claims = [
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Real-IP", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1"),
        ("X-Keyward-Proxy-Secret", "a-secret-of-the-proxie"),
        ("X-Keyward-Proxy-Secret", ""),
    ];
    for claim in claims {
        let told = [&asked[..], &[claim]].concat();
        for path in [path, "/v1/forward-auth/standard?proxy=nginx", "/v1/forward-auth/standard/v1/hello"] {
            ask(&keyward, "127.0.0.2", path, &told).expect_problem(403, "forbidden");
        }
        ask(&keyward, "127.0.0.2", "/v1/refusals/standard/revoked", &told).expect_problem(403, "forbidden");
    }
    let told = [&asked[..], &[("X-Keyward-Proxy-Secret", "a-secret-of-the-proxies")]].concat();
    ask(&keyward, "127.0.0.2", path, &told).expect(200);
    assert!(!keyward.stderr().contains("a-secret-of"));
}

#[test]
fn h11_what_a_proxy_hands_over_is_one_thing_or_refused() {
    let keyward = Keyward::dev_with_env("standard", &[], &[TRUSTED]);
    let bearer = format!("Bearer {}", keyward.first_key().secret);
    let ask = |path: &str, headers: &[(&str, &str)]| {
        ask(&keyward, "127.0.0.1", path, &[&[("Authorization", &*bearer)], headers].concat())
    };
    let path = "/v1/forward-auth/standard";
    let forwarded = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/v1/hello")];
    let granted = ask(path, &forwarded).expect(200);
    assert_eq!((granted.header("cache-control"), granted.header("vary")), (Some("no-store"), Some("*")));
    assert_eq!(granted.header("x-keyward-target"), Some("/v1/hello"));
    assert!(granted.text.is_empty());
    for contradiction in
        [("X-Original-URI", "/v1/other"), ("X-Original-Method", "POST"), ("X-Forwarded-Uri", "/v1/b")]
    {
        let refused = ask(path, &[&forwarded[..], &[contradiction]].concat()).expect(400);
        assert_eq!((refused.header("cache-control"), refused.header("vary")), (Some("no-store"), Some("*")));
    }
    ask(path, &[]).expect_problem(400, "unparseable");
    ask(path, &forwarded[..1]).expect_problem(400, "unparseable");
    for target in ["v1/hello", "http://elsewhere/v1/hello", "/v1/hello#x", "*", "/v1/%zz"] {
        ask(path, &[forwarded[0], ("X-Forwarded-Uri", target)]).expect(400);
    }
    for method in ["TRACE", "get", "G T", "CONNECT"] {
        ask(path, &[("X-Forwarded-Method", method), forwarded[1]]).expect(405);
    }
    ask("/v1/forward-auth/nobodys", &forwarded).expect_problem(404, "not_found");
    ask("/v1/forward-auth/standard?proxy=other", &forwarded).expect_problem(404, "not_found");
    // Under the request's own path, headers that name another are nothing.
    let own = ask("/v1/forward-auth/standard/v1/hello?a=b", &[("X-Forwarded-Uri", "/v1/%2e%2e/x")]);
    own.expect(200);
    // For nginx: 401 and 403 alone, and the contract's answer by its code.
    let nginx = ask("/v1/forward-auth/standard?proxy=nginx", &[forwarded[0], ("X-Forwarded-Uri", "/v1/%zz")]);
    assert_eq!(nginx.expect(403).header("x-keyward-refusal"), Some("bad_request"));
    ask("/v1/refusals/standard/bad_request", &[]).expect(400);
    ask("/v1/refusals/standard/nothing", &[]).expect_problem(404, "not_found");
}

#[test]
fn h11_behind_a_proxy_a_key_opens_from_its_addresses_whatever_a_caller_claims() {
    let world = World::new("standard");
    let make = |addresses: &[&str]| {
        let body = json!({"name": "from the office", "addresses": addresses});
        world.keyward.make(world.keyward.project(), body).secret
    };
    let (office, here) = (make(&["203.0.113.0/24"]), make(&["127.0.0.3/32"]));
    for proxy in &world.proxies {
        let call = |secret: &str, address: &str, claim: Option<(&str, &str)>| {
            let request = from(address).get(format!("http://{}/v1/hello", proxy.address)).bearer_auth(secret);
            let request = claim.into_iter().fold(request, |request, (name, value)| request.header(name, value));
            request.send().unwrap().status().as_u16()
        };
        let before = world.upstream.count();
        let claimed = "203.0.113.9";
        for name in ["X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP", "X-Envoy-External-Address"] {
            assert_eq!(call(&office, "127.0.0.3", Some((name, claimed))), 403, "{:?} {name}", proxy.kind);
        }
        // A request that claims another path, host or method is about its own.
        for name in ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", "X-Forwarded-Host"] {
            assert_eq!(call(&office, "127.0.0.3", Some((name, "/v1/other"))), 403, "{:?} {name}", proxy.kind);
        }
        assert_eq!(world.upstream.count(), before, "{:?}", proxy.kind);
        assert_eq!(call(&here, "127.0.0.4", None), 403, "{:?}", proxy.kind);
        // Over HTTP Envoy tells of a caller on loopback that it has the machine's own address.
        if proxy.kind != Kind::EnvoyHttp {
            assert_eq!(call(&here, "127.0.0.3", None), 200, "{:?}", proxy.kind);
            assert_eq!(call(&here, "127.0.0.3", Some(("X-Forwarded-For", claimed))), 200, "{:?}", proxy.kind);
        }
    }
}
