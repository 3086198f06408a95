//! What holds for every request, whatever it asks: an id of our own, refusal of what no client needs, one
//! log line, headers that keep answers out of caches and frames, and a caught panic.

use std::any::Any;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, Version, header};
use keyward_core::base62;

use super::caller::{AdmittedBy, RequestId};
use super::doors::Rest;
use super::problem::{Code, Problem};

/// The outermost layer.
pub(crate) async fn finish(State(control): State<Rest>, mut request: Request, next: Next) -> Response {
    let began = control.engine.clock().boottime_nanos();
    let id = request_id(&control);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = match refused_outright(&request) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED && !response.headers().contains_key(header::ALLOW) {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE"));
    }
    let caller = response.extensions_mut().remove::<AdmittedBy>().map(|by| by.0);
    let problem = response.extensions_mut().remove::<Problem>();
    let line = Line {
        id: &id,
        method: &method,
        route: route.as_deref().unwrap_or("none"),
        caller: caller.as_deref().unwrap_or("nobody"),
        problem: problem.as_ref(),
    };
    let nanos = control.engine.clock().boottime_nanos().saturating_sub(began);
    line.write(response.status().as_u16(), nanos / 1_000);
    let is_drawn = response.extensions_mut().remove::<Drawn>().is_some();
    if let Some(problem) = problem
        && !is_drawn
    {
        response = problem.document(response, &id);
    }
    protect(&mut response, &id);
    response
}

/// Says of a response that its problem is already told in its body, as a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drawn;

/// Refuses what carries no question that we answer (trust.md H17).
fn refused_outright(request: &Request) -> Option<Problem> {
    let is_forwarded = request.version() <= Version::HTTP_11 && request.uri().scheme().is_some();
    if *request.method() == Method::TRACE || *request.method() == Method::CONNECT {
        return Some(Problem::new(Code::MethodNotAllowed, "This method is never served."));
    }
    if is_forwarded {
        return Some(Problem::new(Code::Unparseable, "This is no proxy: send the path alone."));
    }
    if request.headers().contains_key(header::UPGRADE) {
        return Some(Problem::new(Code::Unparseable, "This connection speaks no other protocol."));
    }
    None
}

fn protect(response: &mut Response, id: &str) {
    let headers = response.headers_mut();
    // Pages and their assets have said so themselves.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("x-request-id", id);
    }
}

/// Ids are never taken from outside: what stands in the log can be trusted to be one request.
fn request_id(control: &Rest) -> String {
    let mut bytes = [0; 16];
    control.entropy.fill(&mut bytes);
    format!("req_{}", base62::encode_u128(u128::from_be_bytes(bytes)))
}

/// The one line that the log keeps of a request.
struct Line<'a> {
    id: &'a str,
    method: &'a Method,
    /// The route's pattern: paths themselves may hold anything.
    route: &'a str,
    caller: &'a str,
    problem: Option<&'a Problem>,
}

impl Line<'_> {
    fn write(&self, status: u16, micros: i64) {
        let Line { id, method, route, caller, problem } = *self;
        let code = problem.map_or("ok", |problem| problem.code().as_str());
        let labels = [("route", route.to_owned()), ("code", code.to_owned())];
        metrics::counter!("keyward_control_requests_total", &labels).increment(1);
        match problem {
            Some(problem) if status >= 500 => {
                let reason = problem.log();
                tracing::error!(request_id = id, %method, route, caller, status, code, micros, reason, "request failed");
            }
            Some(problem) => {
                let reason = problem.log();
                tracing::info!(request_id = id, %method, route, caller, status, code, micros, reason, "request refused");
            }
            None => tracing::info!(request_id = id, %method, route, caller, status, micros, "request answered"),
        }
    }
}

/// A panic ends one request with one 500. Its message goes to the log by the panic hook, not to the caller.
pub(crate) fn caught(_: Box<dyn Any + Send + 'static>) -> Response {
    Problem::internal("a handler panicked").into_response()
}
