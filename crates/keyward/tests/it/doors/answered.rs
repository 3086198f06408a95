//! What is said is said for one request: kept by no cache, and what the contract answers itself is there at the gateway alone.

use super::proxy::{Kind, Proxy};
use super::world::{TRUSTED, World};
use crate::harness::{Keyward, Reply, Request, Scripted, Upstream};

#[test]
fn l10_nginx_with_a_cache_before_keyward_keeps_no_decision() {
    let upstream = Upstream::start(Scripted::json(200, "{}"));
    let keyward = Keyward::dev_with_env("getprofile", &["--upstream", &upstream.url], &[TRUSTED]);
    let world = World { keyward, upstream, proxies: Vec::new() };
    let nginx = Proxy::start_with(Kind::Nginx, world.around(), |text| {
        // One entry for everybody: if anything were kept, all would get it.
        let cached =
            "proxy_cache kept; proxy_cache_key one; proxy_cache_valid any 10m; proxy_cache_methods GET HEAD;";
        assert_eq!(text.matches("proxy_cache off;").count(), 2);
        let text = text.replace("proxy_cache off;", cached);
        text.replace("http {", "http {\nproxy_cache_path cache keys_zone=kept:1m;")
    });
    let key = world.keyward.first_key();
    let with = |secret: &str| Request::get("/v1/profile/a").with("Authorization", &format!("Bearer {secret}"));
    nginx.send(&with("gp_nonsense")).expect(401);
    for _ in 0..5 {
        nginx.send(&with(&key.secret)).expect(200);
    }
    nginx.send(&with("gp_nonsense")).expect(401);
    assert_eq!(world.upstream.count(), 5);
    world.keyward.rotate(&key.id, serde_json::json!({})).expect(201);
    nginx.send(&with(&key.secret)).expect(401);
    assert_eq!(world.upstream.count(), 5);
    // The cache is on, and was asked.
    assert!(nginx.folder().join("cache").is_dir());
}

/// Asks forward-auth about a request with this key.
fn ask(keyward: &Keyward, method: &str, target: &str, header: (&str, &str)) -> Reply {
    let url = format!("{}/v1/forward-auth/{}", keyward.started.check_url, keyward.started.api);
    let request = keyward.http.get(url).header(header.0, header.1);
    request.header("X-Forwarded-Method", method).header("X-Forwarded-Uri", target).send().unwrap().into()
}

#[test]
fn a_request_costs_behind_a_proxy_what_it_costs_at_the_gateway() {
    let keyward = Keyward::dev_with_env("scrapegraphai", &[], &[TRUSTED]);
    let key = keyward.first_key().secret;
    let header = ("SGAI-APIKEY", &*key);
    let left = || keyward.call("GET", "/api/credits", &[header]).expect(200).json()["remaining"].as_u64().unwrap();
    let full = left();
    keyward.call_with_body("POST", "/api/extract", &[header], Some("{}")).expect(200);
    let cost = full - left();
    assert!(cost > 1, "{cost}");
    ask(&keyward, "POST", "/api/extract", header).expect(200);
    assert_eq!(left(), full - 2 * cost);
    ask(&keyward, "GET", "/api/extract/7", header).expect(200);
    assert_eq!(left(), full - 2 * cost, "a route that costs nothing");

    // What the contract answers itself has no upstream: a proxy would ask one that knows nothing of it.
    let refused = ask(&keyward, "GET", "/api/credits", header);
    assert_eq!(refused.status, keyward.terms().refusal("no_such_route").status, "{}", refused.text);
    assert_eq!(left(), full - 2 * cost, "a refusal costs nothing");
}

#[test]
fn a_key_limited_to_what_the_body_names_opens_nothing_without_the_body() {
    let keyward = Keyward::dev_with_env("profound", &[], &[TRUSTED]);
    let body = serde_json::json!({
        "name": "one category", "expires_at": crate::harness::in_seconds(86_400),
        "scopes": ["reports", "org", "category:one"],
    });
    let key = keyward.create(keyward.project(), body);
    let secret = crate::harness::Key::of(&key.expect(201)).secret;
    let header = ("X-API-Key", &*secret);
    let body = Some(r#"{"category_id":"one"}"#);
    keyward.call_with_body("POST", "/v1/reports/x", &[header], body).expect(200);
    let refused = ask(&keyward, "POST", "/v1/reports/x", header);
    assert_eq!(refused.status, keyward.terms().refusal("insufficient_scope").status, "{}", refused.text);
    // Where the path names it, the proxy hands it over.
    ask(&keyward, "GET", "/v1/org/categories/one/x", header).expect(200);
}
