//! Hostile and mistaken input: bodies, queries, headers, methods.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::{World, request};

fn raw(world: &World, method: &str, path: &str, kind: Option<&str>, body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    request = request.header("authorization", format!("Bearer {}", world.operator));
    if let Some(kind) = kind {
        request = request.header("content-type", kind);
    }
    request.body(body.into()).unwrap()
}

#[tokio::test]
async fn h16_bodies_are_bounded_and_strict() {
    let world = World::with("standard").await;
    let keys = format!("/v1/projects/{}/keys", world.project);
    let wide = format!("{{{}}}", (0..1_001).map(|i| format!("\"k{i}\":0")).collect::<Vec<_>>().join(","));
    let unparseable = [
        "",
        "{",
        "nul",
        "{\"name\":\"a\",\"name\":\"b\"}",
        "{\"metadata\":{\"a\":1e400}}",
        "{\"metadata\":{\"a\":9223372036854775808}}",
        "{\"name\":\"\\ud800\"}",
        "{} {}",
        &"[".repeat(60_000),
        &"{\"a\":".repeat(10_000),
        &wide,
    ];
    for body in unparseable {
        let answer = world.send(raw(&world, "POST", &keys, Some("application/json"), body.to_owned())).await;
        let start: String = body.chars().take(40).collect();
        assert_eq!(answer.problem(), (400, "unparseable"), "{start}");
    }
    let not_utf8 = world.send(raw(&world, "POST", &keys, Some("application/json"), vec![b'"', 0xff, b'"'])).await;
    assert_eq!(not_utf8.problem(), (400, "unparseable"));
    for body in ["[]", "null", "5", "\"x\""] {
        let answer = world.send(raw(&world, "POST", &keys, Some("application/json"), body)).await;
        assert_eq!(answer.problem(), (422, "invalid"), "{body}");
    }
}

#[tokio::test]
async fn h05_bodies_too_large_are_refused_before_they_are_read() {
    let world = World::with("standard").await;
    let keys = format!("/v1/projects/{}/keys", world.project);
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(64 * 1024));
    let answer = world.send(raw(&world, "POST", &keys, Some("application/json"), large)).await;
    assert_eq!(answer.problem(), (413, "payload_too_large"));
    let mut declared = raw(&world, "POST", &keys, Some("application/json"), "{}");
    declared.headers_mut().insert("content-length", "10000000000".parse().unwrap());
    assert_eq!(world.send(declared).await.problem(), (413, "payload_too_large"));
    let contract = raw(&world, "PUT", "/v1/apis/x", Some("text/plain"), "#".repeat(257 * 1024));
    assert_eq!(world.send(contract).await.problem(), (413, "payload_too_large"));
}

#[tokio::test]
async fn h15_only_plain_json_is_read() {
    let world = World::with("standard").await;
    let keys = format!("/v1/projects/{}/keys", world.project);
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/jsonx"),
        Some("application/json; charset=latin1"),
    ] {
        let answer = world.send(raw(&world, "POST", &keys, kind, "{}")).await;
        assert_eq!(answer.problem(), (415, "unsupported_media_type"), "{kind:?}");
    }
    let mut zipped = raw(&world, "POST", &keys, Some("application/json"), "{}");
    zipped.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(world.send(zipped).await.problem(), (415, "unsupported_media_type"));
    for kind in ["application/json", "Application/JSON; Charset=UTF-8"] {
        world.send(raw(&world, "POST", &keys, Some(kind), "{}")).await.expect(201);
    }
    world.send(raw(&world, "POST", &keys, None, "")).await.expect(201);
}

#[tokio::test]
async fn h17_methods_and_targets_that_no_client_needs_are_refused() {
    let world = World::with("standard").await;
    for (method, path, expected) in [
        ("TRACE", "/v1/keys", (405, "method_not_allowed")),
        ("CONNECT", "/v1/keys", (405, "method_not_allowed")),
        ("PUT", "/v1/organizations", (405, "method_not_allowed")),
        ("OPTIONS", "/v1/organizations", (405, "method_not_allowed")),
        ("GET", "http://localhost/v1/organizations", (400, "unparseable")),
        ("GET", "/v1/nothing", (404, "not_found")),
        ("GET", "/v1/organizations/", (404, "not_found")),
    ] {
        let answer = world.send(request(&world.operator, method, path, &[], Value::Null)).await;
        assert_eq!(answer.problem(), expected, "{method} {path}");
    }
    let upgrade = [("connection", "upgrade, http2-settings"), ("upgrade", "h2c")];
    let upgrade = world.send(request(&world.operator, "GET", "/v1/organizations", &upgrade, Value::Null)).await;
    assert_eq!(upgrade.problem(), (400, "unparseable"));
    for header in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let path = format!("/v1/organizations/{}", world.organization);
        let read = world.send(request(&world.operator, "GET", &path, &[(header, "DELETE")], Value::Null)).await;
        assert_eq!(read.expect(200).text("/organization/state"), "active");
        let posted = world.send(request(&world.operator, "POST", &path, &[(header, "DELETE")], Value::Null)).await;
        assert_eq!(posted.problem(), (405, "method_not_allowed"));
        assert!(posted.headers["allow"].to_str().unwrap().contains("GET"));
    }
}

#[tokio::test]
async fn k07_h18_every_answer_stays_out_of_caches_frames_and_other_origins() {
    let world = World::with("standard").await;
    let origin = [("origin", "https://evil.example")];
    for (method, path) in [("GET", "/v1/whoami"), ("GET", "/openapi.json"), ("GET", "/nothing"), ("TRACE", "/")] {
        let answer = world.send(request(&world.operator, method, path, &origin, Value::Null)).await;
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'");
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
        assert!(answer.headers["x-request-id"].to_str().unwrap().starts_with("req_"));
    }
    let forged =
        world.send(request(&world.operator, "GET", "/nothing", &[("x-request-id", "mine")], Value::Null)).await;
    assert_eq!(forged.headers["x-request-id"].to_str().unwrap(), forged.text("/request_id"));
    assert_eq!(forged.headers["content-type"], "application/problem+json");
}

#[tokio::test]
async fn t05_fields_that_a_request_does_not_have_change_nothing() {
    let world = World::with("standard").await;
    let (project, organization, key) = (&world.project, &world.organization, &world.key.0);
    let management = world.post("/v1/management-keys", json!({ "name": "m", "scopes": ["verify"] })).await;
    let management = management.text("/management_key/id").to_owned();
    let writes = [
        ("POST", "/v1/organizations".to_owned(), json!({ "name": "x" })),
        ("PATCH", format!("/v1/organizations/{organization}"), json!({ "name": "x" })),
        ("POST", format!("/v1/organizations/{organization}/suspend"), json!({})),
        ("POST", format!("/v1/organizations/{organization}/resume"), json!({})),
        ("POST", format!("/v1/organizations/{organization}/projects"), json!({ "name": "x", "api": "standard" })),
        ("PATCH", format!("/v1/projects/{project}"), json!({ "name": "x" })),
        ("POST", format!("/v1/projects/{project}/suspend"), json!({})),
        ("POST", format!("/v1/projects/{project}/resume"), json!({})),
        ("POST", format!("/v1/projects/{project}/keys"), json!({})),
        ("POST", format!("/v1/projects/{project}/keys/regenerate"), json!({})),
        ("PATCH", format!("/v1/keys/{key}"), json!({ "name": "x" })),
        ("POST", format!("/v1/keys/{key}/rotate"), json!({})),
        ("POST", format!("/v1/keys/{key}/revoke"), json!({})),
        ("POST", format!("/v1/keys/{key}/disable"), json!({})),
        ("POST", format!("/v1/keys/{key}/enable"), json!({})),
        ("POST", "/v1/revocations".to_owned(), json!({ "keys": [key] })),
        ("POST", "/v1/management-keys".to_owned(), json!({ "name": "x", "scopes": ["verify"] })),
        ("POST", format!("/v1/management-keys/{management}/rotate"), json!({})),
        ("POST", format!("/v1/management-keys/{management}/revoke"), json!({})),
        ("POST", "/v1/backups".to_owned(), json!({})),
    ];
    let head = world.get("/v1/changes/head").await.json["revision"].clone();
    for (method, path, body) in writes {
        for field in ["project_id", "is_admin", "created_at", "hash", "used", "state", "id"] {
            let mut body = body.clone();
            body[field] = json!("x");
            let answer = world.ask(&world.operator, method, &path, body).await;
            assert_eq!((answer.problem(), answer.fields()), ((422, "invalid"), vec![field]), "{method} {path}");
        }
    }
    assert_eq!(world.get("/v1/changes/head").await.json["revision"], head);
}

#[tokio::test]
async fn i03_i04_queries_and_ids_are_read_strictly() {
    let world = World::with("standard").await;
    let keys = format!("/v1/projects/{}/keys", world.project);
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=9223372036854775808", "limit"),
        ("limit=1&limit=2", "limit"),
        ("state=gone", "state"),
        ("sort=name", "sort"),
        ("state=active'--", "state"),
    ] {
        let answer = world.get(&format!("{keys}?{query}")).await;
        assert_eq!((answer.problem(), answer.fields()), ((422, "invalid"), vec![field]), "{query}");
    }
    for name in ["'%20OR%201=1--", "%00", "%22;DROP%20TABLE%20keys", "%25", "_", "%E2%80%AE"] {
        let found = world.get(&format!("{keys}?name={name}")).await.expect(200);
        assert_eq!(found.json["items"], json!([]), "{name}");
    }
    for bad in [
        "x",
        "key_",
        "proj_0000000000000000000001",
        "key_0000000000000000000001'--",
        "%ff",
        "key_%00",
        &"k".repeat(9_000),
    ] {
        assert_eq!(world.get(&format!("/v1/keys/{bad}")).await.problem(), (404, "not_found"), "{bad}");
    }
    let usage = format!("/v1/projects/{}/usage", world.project);
    for query in
        ["from=yesterday", "step=week", "from=2020-01-01T00:00:00Z", "from=2027-01-01T00:00:00Z", "by=name"]
    {
        assert_eq!(world.get(&format!("{usage}?{query}")).await.problem(), (422, "invalid"), "{query}");
    }
    for query in ["after=-1", "after=9223372036854775808", "after=x"] {
        assert_eq!(world.get(&format!("/v1/changes?{query}")).await.fields(), ["after"], "{query}");
    }
    let far = world.get("/v1/changes?after=9223372036854775807").await.expect(200);
    assert_eq!(far.json["items"], json!([]));
}

#[tokio::test]
async fn contracts_are_refused_with_line_and_field_and_the_one_in_force_stays() {
    let world = World::with("standard").await;
    let put = |path: &str, source: &str| raw(&world, "PUT", path, Some("text/plain"), source.to_owned());
    let bad = "schema = 1\nextends = \"standard\"\n[key]\nformat = \"rot13\"\n";
    let refused = world.send(put("/v1/apis/standard", bad)).await;
    assert_eq!((refused.problem(), refused.fields()), ((422, "invalid"), vec!["key.format"]));
    assert_eq!(refused.json["errors"][0]["line"], 4);
    let before = world.get("/v1/apis/standard").await.expect(200);

    let good = "schema = 1\nextends = \"standard\"\n[key]\nactive_limit = 1\n";
    let tried = world.send(put("/v1/apis/standard?dry_run=true", good)).await.expect(200);
    assert!(tried.json.get("in_force").is_none());
    let differences = tried.json["differences"].as_array().unwrap();
    assert!(
        differences.iter().any(|d| d["field"] == "key.active_limit" && d["before"] == "100" && d["after"] == "1")
    );
    assert_eq!(world.get("/v1/apis/standard").await.json, before.json);

    let applied = world.send(put("/v1/apis/standard", good)).await.expect(200);
    assert_eq!(applied.json["in_force"]["nodes"], 1);
    assert_eq!(world.get("/v1/apis/standard").await.json["api"]["revision"], applied.json["api"]["revision"]);
    assert_eq!(world.create(json!({})).await.problem(), (409, "active_key_limit"));
    let again = world.send(put("/v1/apis/standard", good)).await.expect(200);
    assert_eq!(
        (&again.json["differences"], &again.json["api"]["revision"]),
        (&json!([]), &applied.json["api"]["revision"])
    );
    world.send(put("/v1/apis/second", good)).await.expect(201);
    assert_eq!(world.send(put("/v1/apis/Bad_Name", good)).await.problem(), (404, "not_found"));
    assert_eq!(world.get("/v1/apis").await.json["items"].as_array().unwrap().len(), 2);
}
