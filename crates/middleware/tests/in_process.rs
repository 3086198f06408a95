//! The layer over an engine of the same process: what comes through, what does not, and what is cut.

#[path = "../../edge/tests/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use axum::routing::get;
use axum::{Extension, Router};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use keyward_core::id::ApiName;
use keyward_middleware::{Caller, Cut, InProcess, KeywardLayer, NoSuchApi};
use support::Node;
use tokio::sync::{Notify, mpsc};
use tower::ServiceExt;

/// Nothing is forwarded here.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

fn layer(node: &Node) -> KeywardLayer {
    let api = node.project.api.clone();
    let peer = |_: &http::Extensions| Some("203.0.113.7".parse().unwrap());
    KeywardLayer::new(InProcess::new(Arc::clone(&node.engine), api).unwrap()).peers(peer, Vec::new())
}

/// Tells what reaches the handler.
async fn seen(uri: Uri, headers: HeaderMap, Extension(caller): Extension<Caller>) -> String {
    let mut lines: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    format!("{uri}\n{}\n{}", caller.key, lines.join("\n"))
}

async fn ask(app: &Router, request: Request<Body>) -> (Response<()>, String) {
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(parts, ()), String::from_utf8(body.to_vec()).unwrap())
}

fn bearing(key: &str, target: &str) -> Request<Body> {
    Request::get(target).header("authorization", format!("Bearer {key}")).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_granted_request_arrives_with_who_calls_and_without_the_credential() {
    let node = Node::start("standard", NOWHERE).await;
    let key = node.key().await;
    let app = Router::new().route("/whoami", get(seen)).layer(layer(&node));
    let mut request = bearing(&key.secret, "/whoami?page=2");
    // H10: what a caller says under our names, in any spelling, is nothing.
    for name in ["x-keyward-project", "x_keyward_project", "X-Keyward-Key-Id", "x-keyward-anything"] {
        request.headers_mut().append(name, "forged".parse().unwrap());
    }
    let (answer, body) = ask(&app, request).await;
    assert_eq!(answer.status(), StatusCode::OK, "{body}");
    let mut lines = body.lines();
    assert_eq!(lines.next(), Some("/whoami?page=2"));
    assert_eq!(lines.next(), Some(key.id.to_string().as_str()));
    let headers: Vec<&str> = lines.collect();
    assert!(headers.contains(&format!("x-keyward-project: {}", node.project.id).as_str()), "{headers:?}");
    assert!(!body.contains("forged") && !body.contains(&key.secret), "{body}");
    assert_eq!(headers.iter().filter(|line| line.starts_with("x-keyward-")).count(), 6, "{headers:?}");
}

#[tokio::test]
async fn a_credential_in_the_query_does_not_arrive_either() {
    let node = Node::start("profound", NOWHERE).await;
    let key = node.key().await;
    let app = Router::new().fallback(seen).layer(layer(&node));
    let target = format!("/v1/org/categories?a=%2F&api_key={}", key.secret);
    let (answer, body) = ask(&app, Request::get(target).body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::OK, "{body}");
    assert_eq!(body.lines().next(), Some("/v1/org/categories?a=%2F"));
}

#[tokio::test]
async fn what_is_refused_gets_the_contracts_answer_and_never_arrives() {
    let node = Node::start("metriport", NOWHERE).await;
    let key = node.key().await;
    let arrived = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&arrived);
    let handler = move || {
        count.fetch_add(1, Ordering::SeqCst);
        async { "served" }
    };
    let app = Router::new().fallback(get(handler)).layer(layer(&node));
    let with = |name: &str, value: &str| Request::get("/settings").header(name, value).body(Body::empty()).unwrap();
    let twice = {
        let mut twice = with("x-api-key", &key.secret);
        twice.headers_mut().append("x-api-key", key.secret.parse().unwrap());
        twice
    };
    for request in [with("accept", "*/*"), with("x-api-key", "made-up"), with("authorization", &key.secret), twice]
    {
        let (answer, body) = ask(&app, request).await;
        assert_eq!((answer.status(), body.as_str()), (StatusCode::FORBIDDEN, r#"{"message":"Forbidden"}"#));
        assert_eq!(answer.headers()["cache-control"], "no-store");
    }
    assert_eq!(arrived.load(Ordering::SeqCst), 0);
    assert_eq!(ask(&app, with("x-api-key", &key.secret)).await.0.status(), StatusCode::OK);
    node.revoke(key.id).await;
    assert_eq!(ask(&app, with("x-api-key", &key.secret)).await.0.status(), StatusCode::FORBIDDEN);
    assert_eq!(arrived.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_api_that_is_not_there_is_told_at_once() {
    let node = Node::start("standard", NOWHERE).await;
    let api: ApiName = "another".parse().unwrap();
    assert_eq!(InProcess::new(Arc::clone(&node.engine), api.clone()).unwrap_err(), NoSuchApi(api));
}

#[tokio::test]
async fn l09_a_stream_is_cut_when_its_key_is_revoked() {
    let node = Node::start("standard", NOWHERE).await;
    let key = node.key().await;
    let (pieces, source) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let source = Arc::new(tokio::sync::Mutex::new(Some(source)));
    let handler = move || {
        let source = Arc::clone(&source);
        async move {
            let source = source.lock().await.take().unwrap();
            let stream = futures_util::stream::unfold(source, |mut source| async move {
                source.recv().await.map(|piece| (piece, source))
            });
            Body::from_stream(stream)
        }
    };
    let app = Router::new().route("/stream", get(handler)).layer(layer(&node));
    let mut body = app.oneshot(bearing(&key.secret, "/stream")).await.unwrap().into_body();
    pieces.send(Ok(Bytes::from_static(b"first"))).await.unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    // Whoever reads finds the end while the revocation waits for it.
    let reader = tokio::spawn(async move {
        let end = body.frame().await.unwrap().unwrap_err();
        let mut cause: Option<&dyn std::error::Error> = Some(&end);
        let mut is_cut = false;
        while let Some(error) = cause {
            is_cut |= error.is::<Cut>();
            cause = error.source();
        }
        is_cut
    });
    node.revoke(key.id).await;
    assert!(reader.await.unwrap(), "the stream ended for another reason");
}

#[tokio::test]
async fn a_handler_under_way_is_dropped_when_its_key_is_revoked() {
    let node = Node::start("standard", NOWHERE).await;
    let key = node.key().await;
    let begun = Arc::new(Notify::new());
    let noted = Arc::clone(&begun);
    let handler = move || {
        let noted = Arc::clone(&noted);
        async move {
            noted.notify_one();
            std::future::pending::<String>().await
        }
    };
    let app = Router::new().route("/long", get(handler)).layer(layer(&node));
    let asked = tokio::spawn(app.oneshot(bearing(&key.secret, "/long")));
    begun.notified().await;
    node.revoke(key.id).await;
    assert_eq!(asked.await.unwrap().unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn l09_an_upgrade_that_would_outlive_its_key_is_refused() {
    let node = Node::start("standard", NOWHERE).await;
    let key = node.key().await;
    let handler = || async { StatusCode::SWITCHING_PROTOCOLS };
    let app = Router::new().route("/socket", get(handler)).layer(layer(&node));
    let (answer, body) = ask(&app, bearing(&key.secret, "/socket")).await;
    assert_eq!(answer.status(), StatusCode::NOT_IMPLEMENTED, "{body}");
}
