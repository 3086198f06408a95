//! The verify API.

mod support;

use keyward_core::scope::Scopes;
use keyward_core::tenancy::Boundary;
use serde_json::{Value, json};
use support::raw::{Answer, ask};
use support::{Node, listener};

async fn verify(node: &Node, management: &str, question: &Value) -> Answer {
    let body = question.to_string();
    let length = body.len();
    let request = format!(
        "POST /v1/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {management}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    ask(node.check, request).await.unwrap()
}

async fn answer(node: &Node, management: &str, question: Value) -> Value {
    let answer = verify(node, management, &question).await;
    assert_eq!((answer.status, answer.headers["cache-control"].as_str()), (200, "no-store"), "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

async fn start(preset: &str) -> Node {
    Node::start(preset, listener().local_addr().unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_tells_of_the_key_and_a_denial_why() {
    let node = start("profound").await;
    let asking = node.management_key(&["verify"], Boundary::Everything).await;
    let key = node.key_with(|key| key.scopes = Scopes::new(["org", "category:7c9e"]).unwrap()).await;
    let expected = json!({
        "valid": true, "code": "valid", "key_id": key.id.to_string(), "name": "ci",
        "project": node.project.id.to_string(), "organization": node.project.organization.to_string(),
        "api": "profound", "plan": "enterprise", "scopes": ["category:7c9e", "org"],
        "metadata": {"team": "größe ✓", "weight": 0.1, "nested": {"list": [1, null, true]}}, "expires_at": null,
    });
    for question in [json!({"key": key.secret}), json!({"key": key.secret, "scopes": ["org"], "cost": 5})] {
        let mut told = answer(&node, &asking, question).await;
        let limits = told.as_object_mut().unwrap().remove("limits").unwrap();
        assert_eq!((told, &limits[0]["name"]), (expected.clone(), &json!("requests")));
    }
    let code = async |question: Value| answer(&node, &asking, question).await["code"].as_str().unwrap().to_owned();
    let key_and = |more: Value| {
        let mut question = json!({"key": key.secret});
        question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        question
    };
    for (more, expected) in [
        (json!({"scopes": ["raw"]}), "insufficient_scope"),
        (json!({"method": "GET", "path": "/v1/org/categories/7c9e/topics?x=y"}), "valid"),
        (json!({"method": "GET", "path": "/v1/org/categories/0000/topics"}), "insufficient_scope"),
        (json!({"method": "GET", "path": "/elsewhere"}), "insufficient_scope"),
        (json!({"project": node.project.id.to_string()}), "valid"),
        (json!({"project": "proj_0000000000000000000001"}), "wrong_project"),
        (json!({"api": "profound", "ip": "10.1.2.3"}), "valid"),
    ] {
        assert_eq!(code(key_and(more.clone())).await, expected, "{more}");
    }
    assert_eq!(code(json!({"key": "garbage"})).await, "malformed_key");
    assert_eq!(code(json!({"key": ""})).await, "malformed_key");
    node.revoke(key.id).await;
    let denied = answer(&node, &asking, json!({"key": key.secret})).await;
    assert_eq!(denied, json!({"valid": false, "code": "revoked", "key_id": key.id.to_string()}));
}

#[tokio::test(flavor = "multi_thread")]
async fn t01_outside_its_boundary_a_management_key_sees_nothing() {
    let node = start("standard").await;
    let key = node.key().await;
    let other = node.another_project().await;
    let others = node.key_of(&other, |_| {}).await;
    for boundary in [Boundary::Project(node.project.id), Boundary::Organization(node.project.organization)] {
        let asking = node.management_key(&["verify"], boundary).await;
        assert_eq!(answer(&node, &asking, json!({"key": key.secret})).await["valid"], true);
        let unknown = json!({"valid": false, "code": "unknown_key"});
        assert_eq!(answer(&node, &asking, json!({"key": others.secret})).await, unknown);
    }
    node.revoke(others.id).await;
    let asking = node.management_key(&["verify"], Boundary::Project(node.project.id)).await;
    assert_eq!(answer(&node, &asking, json!({"key": others.secret})).await["code"], "unknown_key");
}

#[tokio::test(flavor = "multi_thread")]
async fn h22_only_verify_lives_here_and_only_for_those_who_may() {
    let node = start("standard").await;
    let key = node.key().await.secret;
    let asking = node.management_key(&["verify"], Boundary::Everything).await;
    let reading = node.management_key(&["keys:read"], Boundary::Everything).await;
    let question = json!({"key": key});
    for (management, status, code) in [
        ("garbage", 401, "unauthenticated"),
        (key.as_str(), 401, "unauthenticated"),
        (reading.as_str(), 403, "forbidden"),
    ] {
        let answer = verify(&node, management, &question).await;
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, &problem["code"]), (status, &json!(code)));
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(problem["request_id"], json!(answer.headers["x-request-id"]));
    }
    for path in ["/", "/v1/keys", "/metrics", "/healthz", "/v1/verify/", "/v1/apis"] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {asking}\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(ask(node.check, request).await.unwrap().status, 404, "{path}");
    }
    let get = format!("GET /v1/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {asking}\r\n\r\n");
    assert_eq!(ask(node.check, get).await.unwrap().status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_question_is_said() {
    let node = start("standard").await;
    let asking = node.management_key(&["verify"], Boundary::Everything).await;
    let send = async |body: &[u8], headers: &str| {
        let head = format!(
            "POST /v1/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {asking}\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = ask(node.check, [head.as_bytes(), body].concat()).await.unwrap();
        (answer.status, serde_json::from_str::<Value>(&answer.body).unwrap()["code"].as_str().unwrap().to_owned())
    };
    for (body, status, code) in [
        (&b"{"[..], 400, "unparseable"),
        (br#"{"key":"a","key":"b"}"#, 400, "unparseable"),
        (br#"{"key":"a","is_admin":true}"#, 422, "invalid"),
        (br#"{"key":"a","api":"nowhere"}"#, 422, "invalid"),
        (br#"{"key":"a","method":"GET","path":"/a/../b"}"#, 422, "invalid"),
        (&[b' '; 20_000], 413, "payload_too_large"),
    ] {
        assert_eq!(send(body, "").await, (status, code.to_owned()), "{}", String::from_utf8_lossy(body));
    }
    assert_eq!(send(b"{}", "Content-Type: text/plain\r\n").await.0, 415);
    assert_eq!(send(b"{}", "Content-Encoding: gzip\r\n").await.0, 415);
}
