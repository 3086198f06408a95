//! The upstream of `dev`: answers every request with what it received, so that one sees what the gateway
//! forwards. Where a contract's example matches, the fields of its answer are laid over that, for clients
//! that insist on them. Streams (`/sse`) and WebSockets are echoed too.

mod websocket;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use keyward_core::contract::Example;
use serde_json::{Map, Value, json};

/// The largest body that is echoed.
const BODY_BYTES_MAX: usize = 128 * 1024 * 1024;
/// The pause between two events of a stream.
const PAUSE: Duration = Duration::from_millis(100);

/// The echo upstream, which knows these examples.
pub fn router(examples: Vec<Example>) -> Router {
    Router::new().fallback(echo).with_state(Arc::new(examples))
}

async fn echo(State(examples): State<Arc<Vec<Example>>>, request: Request) -> Response {
    if websocket::is_asked_for(request.headers()) {
        return websocket::accept(request);
    }
    if request.uri().path() == "/sse" {
        return events(request.uri().query().unwrap_or_default());
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": "the body broke off or is too large"})))
            .into_response();
    };
    let path = parts.uri.path();
    let mut answer = Map::new();
    answer.insert("method".into(), parts.method.as_str().into());
    answer.insert("path".into(), path.into());
    answer.insert("query".into(), parts.uri.query().map(Value::from).unwrap_or_default());
    answer.insert("headers".into(), json!(headers(&parts.headers)));
    answer.insert("body".into(), read(&body));
    if let Some(example) = examples.iter().find(|example| matches(example, &parts.method, path)) {
        answer.extend(example.answer.clone());
    }
    Json(Value::Object(answer)).into_response()
}

fn headers(headers: &HeaderMap) -> BTreeMap<&str, String> {
    let joined = |name| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        values.collect::<Vec<_>>().join(", ")
    };
    headers.keys().map(|name| (name.as_str(), joined(name))).collect()
}

/// A body as JSON where it is that, else as text.
fn read(body: &Bytes) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned().into())
}

fn matches(example: &Example, method: &Method, path: &str) -> bool {
    let documented = example.path.split('?').next().unwrap_or_default();
    let same = |(documented, asked): (&str, &str)| documented == asked || documented == "{project}";
    example.method == method.as_str()
        && documented.split('/').count() == path.split('/').count()
        && documented.split('/').zip(path.split('/')).all(same)
}

/// `/sse?n=3`: so many events, one every tenth of a second.
fn events(query: &str) -> Response {
    let asked = query.split('&').find_map(|pair| pair.strip_prefix("n=")).and_then(|n| n.parse::<u64>().ok());
    let count = asked.unwrap_or(10);
    let events = stream::unfold(0, move |number| async move {
        if number >= count {
            return None;
        }
        if number > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        Some((Ok::<_, Infallible>(Bytes::from(format!("data: {number}\n\n"))), number + 1))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(events)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(method: &str, path: &str) -> Example {
        let answer = json!({"success": true}).as_object().cloned().unwrap_or_default();
        let (method, path) = (method.into(), path.into());
        Example { title: String::new(), method, path, headers: Vec::new(), body: None, answer }
    }

    #[test]
    fn an_example_is_recognised_by_method_and_path() {
        let proxy = example("POST", "/proxy/{project}?x=1");
        assert!(matches(&proxy, &Method::POST, "/proxy/proj_1"));
        assert!(!matches(&proxy, &Method::GET, "/proxy/proj_1"));
        assert!(!matches(&proxy, &Method::POST, "/proxy/proj_1/more"));
        assert!(!matches(&proxy, &Method::POST, "/other/proj_1"));
    }

    #[test]
    fn a_body_is_json_or_text_or_nothing() {
        assert_eq!(read(&Bytes::from_static(b"")), Value::Null);
        assert_eq!(read(&Bytes::from_static(b"{\"a\": 1}")), json!({"a": 1}));
        assert_eq!(read(&Bytes::from_static(b"a \xff")), json!("a \u{fffd}"));
    }
}
