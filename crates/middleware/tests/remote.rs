//! The layer against a node: the same decisions, over its check listener.

#[path = "../../edge/tests/support/mod.rs"]
mod support;

use std::net::SocketAddr;

use axum::body::Body;
use axum::{Extension, Router};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use keyward_edge::EdgeOptions;
use keyward_middleware::{Caller, KeywardLayer, NotANode, Remote};
use support::{Node, preset_source};
use tower::ServiceExt;

/// Nothing is forwarded here.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

async fn node(preset: &str) -> Node {
    Node::start_with(&preset_source(preset), NOWHERE, trust_loopback).await
}

fn trust_loopback(options: &mut EdgeOptions) {
    options.asking_proxies.networks = ["127.0.0.0/8".parse().unwrap()].into();
}

fn app(node: &Node, api: &str) -> Router {
    let remote = Remote::new(&format!("http://{}", node.check), api, "").unwrap();
    Router::new().fallback(seen).layer(KeywardLayer::new(remote))
}

/// Tells what reaches the handler.
async fn seen(uri: Uri, headers: HeaderMap, Extension(caller): Extension<Caller>) -> String {
    let mut lines: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    format!("{uri}\n{} {}\n{}", caller.key, caller.project, lines.join("\n"))
}

async fn ask(app: &Router, request: Request<Body>) -> (Response<()>, String) {
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(parts, ()), String::from_utf8(body.to_vec()).unwrap())
}

fn with(name: &str, value: &str, target: &str) -> Request<Body> {
    Request::get(target).header(name, value).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_granted_request_arrives_with_who_calls_and_without_the_credential() {
    let node = node("metriport").await;
    let key = node.key().await;
    let mut request = with("x-api-key", &key.secret, "/settings?a=%2F");
    for (name, value) in [
        ("x-keyward-project", "forged"),
        ("x_keyward_project", "forged"),
        ("x-forwarded-uri", "/elsewhere"),
        ("x-forwarded-for", "10.1.1.1"),
        ("x-original-uri", "/elsewhere"),
    ] {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let (answer, body) = ask(&app(&node, "metriport"), request).await;
    assert_eq!(answer.status(), StatusCode::OK, "{body}");
    let mut lines = body.lines();
    assert_eq!(lines.next(), Some("/settings?a=%2F"));
    assert_eq!(lines.next(), Some(format!("{} {}", key.id, node.project.id).as_str()));
    assert!(!body.contains("forged") && !body.contains(&key.secret), "{body}");
    assert_eq!(lines.filter(|line| line.starts_with("x-keyward-")).count(), 6, "{body}");
}

#[tokio::test]
async fn a_credential_in_the_query_does_not_arrive_either() {
    let node = node("profound").await;
    let key = node.key().await;
    let target = format!("/v1/org/categories?api_key={}", key.secret);
    let request = Request::get(target).body(Body::empty()).unwrap();
    let (answer, body) = ask(&app(&node, "profound"), request).await;
    assert_eq!((answer.status(), body.lines().next()), (StatusCode::OK, Some("/v1/org/categories")), "{body}");
}

#[tokio::test]
async fn what_is_refused_gets_the_contracts_answer_and_nothing_more() {
    let node = node("metriport").await;
    let app = app(&node, "metriport");
    for request in [with("accept", "*/*", "/settings"), with("x-api-key", "made-up", "/settings")] {
        let (answer, body) = ask(&app, request).await;
        assert_eq!((answer.status(), body.as_str()), (StatusCode::FORBIDDEN, r#"{"message":"Forbidden"}"#));
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let ours: Vec<_> = answer.headers().keys().filter(|name| name.as_str().starts_with("x-keyward-")).collect();
        assert!(ours.is_empty(), "{ours:?}");
    }
}

#[tokio::test]
async fn l10_nothing_is_kept_and_a_revoked_key_is_refused_at_once() {
    let node = node("standard").await;
    let key = node.key().await;
    let app = app(&node, "standard");
    let bearing = || with("authorization", &format!("Bearer {}", key.secret), "/");
    for _ in 0..3 {
        assert_eq!(ask(&app, bearing()).await.0.status(), StatusCode::OK);
    }
    node.revoke(key.id).await;
    assert_eq!(ask(&app, bearing()).await.0.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn h13_without_a_node_that_answers_nothing_passes() {
    let node = node("standard").await;
    let key = node.key().await;
    let bearing = || with("authorization", &format!("Bearer {}", key.secret), "/");
    let refused = |(answer, body): (Response<()>, String)| {
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{body}");
        assert!(body.contains("unavailable"), "{body}");
    };
    // An API that the node does not know is a fault of ours, not of the caller.
    refused(ask(&app(&node, "another"), bearing()).await);
    let untrusted = Node::start("standard", NOWHERE).await;
    refused(ask(&app(&untrusted, "standard"), bearing()).await);
    // Something else listens there, and says yes to everything.
    let other = Router::new().fallback(|| async { "yes" });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, other).await.unwrap() });
    let layer = KeywardLayer::new(Remote::new(&format!("http://{address}"), "standard", "").unwrap());
    refused(ask(&Router::new().fallback(seen).layer(layer), bearing()).await);
    let app = app(&node, "standard");
    assert_eq!(ask(&app, bearing()).await.0.status(), StatusCode::OK);
    node.edge.shutdown(std::time::Duration::ZERO).await;
    refused(ask(&app, bearing()).await);
}

#[tokio::test]
async fn a_node_that_is_slow_is_no_yes() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let remote = Remote::new(&url, "standard", "").unwrap().timeout(std::time::Duration::from_millis(50));
    let app = Router::new().fallback(seen).layer(KeywardLayer::new(remote));
    let (answer, _) = ask(&app, with("authorization", "Bearer k", "/")).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(silent);
}

#[test]
fn what_is_no_way_to_a_node_is_told_at_once() {
    assert!(matches!(Remote::new("127.0.0.1:7701", "standard", ""), Err(NotANode::Url(_))));
    assert!(matches!(Remote::new("http://127.0.0.1:7701", "No Name", ""), Err(NotANode::Api(..))));
    assert!(matches!(Remote::new("http://127.0.0.1:7701", "standard", "a\nb"), Err(NotANode::Secret)));
}
