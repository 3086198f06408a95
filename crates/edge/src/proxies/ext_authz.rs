//! Envoy's ext_authz over gRPC: `envoy.service.auth.v3.Authorization/Check`. tonic reads and writes gRPC, the check
//! listener's HTTP/2 carries it. A fault of the asking itself is a gRPC status, on which Envoy refuses the request.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use keyward_core::denial::{Kind, Refusal};
use keyward_verify::ApiInForce;
use tonic::server::Grpc;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use super::handed::Handed;
use super::messages::{
    AppendAction, CheckRequest, CheckResponse, DeniedResponse, Header, HeaderOption, HttpRequest, HttpStatus,
    OkResponse, Outcome, Status as RpcStatus,
};
use super::{Proxies, Unanswered};
use crate::asking::{Answer, Asked, Denied, Granted, forwarded};
use crate::reply::{Content, Reply, X_REQUEST_ID};
use crate::serve::caller::Turn;
use crate::serve::lifeline::Party;

pub(super) const PATH: &str = "/envoy.service.auth.v3.Authorization/Check";

/// The largest question, in bytes: a head of the largest size, told twice.
const QUESTION_BYTES_MAX: usize = 128 * 1024;
/// What of the request's context names its API.
const API: &str = "api";

impl Proxies {
    /// Answers one call.
    pub(super) async fn check(
        &self,
        turn: &Turn,
        parts: &mut Parts,
        body: Incoming,
        request_id: &HeaderValue,
    ) -> Reply {
        if parts.version != Version::HTTP_2 {
            return Unanswered::NotFound.reply(request_id);
        }
        let is_trusted = self.admits(turn, &parts.headers);
        let mut request = Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.headers_mut() = std::mem::take(&mut parts.headers);
        let service = tower::service_fn(move |question: tonic::Request<CheckRequest>| async move {
            turn.lifeline.excuse(Party::Caller);
            if !is_trusted {
                return Err(Status::permission_denied("only trusted proxies may ask here"));
            }
            self.answer_check(turn, &question.into_inner(), request_id).await.map(tonic::Response::new)
        });
        turn.lifeline.expect(Party::Caller, turn.caller.worker.caps.body_grace);
        let mut grpc = Grpc::new(ProstCodec::default()).max_decoding_message_size(QUESTION_BYTES_MAX);
        let (head, body) = grpc.unary(service, request).await.into_parts();
        // One message: all of it is there, so nothing is waited for.
        let content = match body.collect().await {
            Ok(collected) => {
                let trailers = collected.trailers().cloned().unwrap_or_default();
                Content::Trailed(collected.to_bytes(), trailers)
            }
            Err(status) => return Reply::from_parts(status.into_http::<()>().into_parts().0, Content::Empty),
        };
        Reply::from_parts(head, content)
    }

    async fn answer_check(
        &self,
        turn: &Turn,
        question: &CheckRequest,
        request_id: &HeaderValue,
    ) -> Result<CheckResponse, Status> {
        let attributes = question.attributes.as_ref();
        let http = attributes.and_then(|attributes| attributes.request.as_ref()?.http.as_ref());
        let (Some(attributes), Some(http)) = (attributes, http) else {
            return Err(Status::invalid_argument("there is no HTTP request in the question"));
        };
        let api = self.api_of(turn, attributes.context_extensions.get(API).map(String::as_str))?;
        let source = attributes.source.as_ref().and_then(|peer| peer.address.as_ref()?.socket_address.as_ref());
        let source: Option<IpAddr> = source.and_then(|source| source.address.parse().ok());
        let Some(headers) = headers(http) else {
            return Ok(denied(self.ext_authz.refuse(&api, Refusal::BadRequest, request_id)));
        };
        // Who spoke to Envoy is told by Envoy; what that one says of others counts where it is a listed proxy, too.
        let source = source.map_or(turn.caller.peer, |source| source.to_canonical());
        let address = forwarded::caller_address(&headers, source, |address| self.trust.lists(address));
        let Handed { method, path, query } = Handed::of(&http.method, &http.path);
        let asked = Asked { method, path, query, headers: &headers, address };
        let answer = self.ext_authz.ask(&turn.caller.worker.engine, &api, &asked, request_id).await;
        turn.note(|observed| observed.answered_at("ext_authz", &api.name, &asked, &answer));
        match answer {
            Answer::Granted(granted) => Ok(ok(&granted, &asked, request_id)),
            Answer::Denied(refused) => Ok(denied(refused)),
        }
    }

    /// The API that Envoy names, or the only one there is.
    fn api_of(&self, turn: &Turn, named: Option<&str>) -> Result<Arc<ApiInForce>, Status> {
        let api = match named {
            Some(name) => self.api(turn, name),
            None => {
                let apis = turn.caller.worker.engine.apis();
                if apis.len() == 1 { apis.values().next().cloned() } else { None }
            }
        };
        api.ok_or_else(|| Status::not_found("there is no such API: name one in context_extensions, as `api`"))
    }
}

/// The headers of a request; none where one of them is none.
fn headers(http: &HttpRequest) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    let raw = http.header_map.iter().flat_map(|map| &map.headers);
    let raw = raw.map(|Header { key, value, raw_value }| {
        (key.as_str(), if raw_value.is_empty() { value.as_bytes() } else { raw_value })
    });
    let joined = http.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    for (name, value) in raw.chain(joined).filter(|(name, _)| !name.starts_with(':')) {
        headers.append(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?);
    }
    Some(headers)
}

fn ok(granted: &Granted, asked: &Asked<'_>, request_id: &HeaderValue) -> CheckResponse {
    let (mut upstream, mut caller) = (HeaderMap::new(), HeaderMap::new());
    granted.tell_upstream(&mut upstream, request_id);
    granted.tell_caller(&mut caller);
    caller.insert(X_REQUEST_ID, request_id.clone());
    // Envoy takes out after it puts in: what is put in replaces what was there.
    let doomed = granted.headers_to_remove(asked.headers).filter(|name| !upstream.contains_key(*name));
    let response = OkResponse {
        headers_to_remove: doomed.map(|name| name.as_str().to_owned()).collect(),
        headers: options(&upstream),
        response_headers_to_add: options(&caller),
        query_parameters_to_remove: asked
            .query
            .map(|query| granted.parameters_to_remove(query).into_iter().map(str::to_owned).collect())
            .unwrap_or_default(),
    };
    CheckResponse { status: Some(status(Code::Ok, "")), outcome: Some(Outcome::Ok(response)) }
}

fn denied(denied: Denied) -> CheckResponse {
    let Denied { refusal, response } = denied;
    let response = super::fresh(response);
    let code = match (refusal, refusal.kind()) {
        (_, Kind::Credential) => Code::Unauthenticated,
        (Refusal::RateLimited | Refusal::QuotaExceeded, _) => Code::ResourceExhausted,
        (Refusal::Unavailable, _) => Code::Unavailable,
        _ => Code::PermissionDenied,
    };
    let shown = DeniedResponse {
        status: Some(HttpStatus { code: response.status().as_u16().into() }),
        headers: options(response.headers()),
        body: String::from_utf8_lossy(response.body()).into_owned(),
    };
    CheckResponse { status: Some(status(code, refusal.code())), outcome: Some(Outcome::Denied(shown)) }
}

fn status(code: Code, message: &str) -> RpcStatus {
    RpcStatus { code: code as i32, message: message.to_owned() }
}

/// Headers that replace what is there under their names.
fn options(headers: &HeaderMap) -> Vec<HeaderOption> {
    let option = |(name, value): (&HeaderName, &HeaderValue)| HeaderOption {
        header: Some(Header {
            key: name.as_str().to_owned(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
            raw_value: Vec::new(),
        }),
        append: Some(false),
        append_action: AppendAction::OverwriteIfExistsOrAdd as i32,
    };
    headers.iter().map(option).collect()
}
