//! The verify API: backends hand over what a caller presented and are told what it may do. One endpoint, and
//! nothing else lives on this listener.
//!
//! A key outside the asking management key's boundary is answered like one that does not exist.

mod answer;
mod limits;
mod question;

use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{Method, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use keyward_core::denial::{Denial, Refusal};
use keyward_core::permission::Permission;
use keyward_core::tenancy::{Boundary, ManagementKey};
use keyward_verify::{Ask, Decision, Engine, Identified};
use metrics::Counter;

use self::question::Wrong;
use crate::asking::credential::{self, Place};
use crate::asking::headers;
use crate::asking::identity::Identities;
use crate::asking::limits::tell_degraded;
use crate::reply::{Problem, Reply, X_REQUEST_ID, problem, whole};
use crate::serve::caller::Turn;
use crate::serve::lifeline::Party;

/// The largest question, in bytes.
const QUESTION_BYTES_MAX: usize = 16 * 1024;
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A worker's verify API.
#[derive(Debug)]
pub(crate) struct Check {
    places: Vec<Place>,
    identities: Identities,
    valid: OnceLock<Counter>,
}

impl Default for Check {
    fn default() -> Self {
        let scheme = Some("Bearer".into());
        let places = vec![Place::Header { name: http::header::AUTHORIZATION, scheme }];
        Check { places, identities: Identities::default(), valid: OnceLock::new() }
    }
}

/// Why a question gets no answer.
#[derive(Debug)]
pub(crate) enum Refused {
    NotFound,
    MethodNotAllowed,
    Unauthenticated,
    Forbidden,
    Unavailable,
    TooLarge,
    UnsupportedMediaType,
    Head(Refusal),
    TimedOut,
    Wrong(Wrong),
}

impl Check {
    /// Answers one request.
    pub async fn answer(&self, turn: &Turn, parts: &Parts, body: Incoming, request_id: &HeaderValue) -> Reply {
        match self.verify(turn, parts, body).await {
            Ok(decision) => {
                let mut reply = whole(StatusCode::OK, JSON, self.write(&decision));
                reply.headers_mut().insert(X_REQUEST_ID, request_id.clone());
                tell_degraded(reply.headers_mut(), &decision.charge);
                reply
            }
            Err(refused) => {
                turn.note(|observed| observed.outcome = Some(refused.describe().1));
                refused.reply(request_id)
            }
        }
    }

    async fn verify(&self, turn: &Turn, parts: &Parts, body: Incoming) -> Result<Decision, Refused> {
        headers::check(parts, turn.caller.worker.caps.head()).map_err(Refused::Head)?;
        check_request(parts)?;
        let engine = &turn.caller.worker.engine;
        let asking = self.authenticate(engine, &parts.headers).await?;
        turn.lifeline.expect(Party::Caller, turn.caller.worker.caps.body_grace);
        let body = read(body).await?;
        turn.lifeline.excuse(Party::Caller);
        turn.lifeline.set_received(body.len() as u64);
        let question = question::parse(&body).map_err(Refused::Wrong)?;
        let api = question.api_of(engine).map_err(Refused::Wrong)?;
        let path = question.canonical_path().map_err(Refused::Wrong)?;
        let needed = question.needed(api.as_deref(), path.as_deref());
        let resources = needed.resources();
        let ask = Ask { api: api.as_deref(), presented: &question.key, facts: needed.facts(&question, &resources) };
        turn.note_at(|observed, now| {
            observed.api = api.as_ref().map(|api| api.name.clone());
            observed.asking(now);
        });
        let decision = match self.is_within(engine, &asking, &ask).await {
            Ok(()) => engine.verify(&ask).await,
            // A key of others counts like one that does not exist.
            Err(denial) => engine.guard(&ask, Decision::denied(denial)),
        };
        turn.note_at(|observed, now| observed.decided(&decision, now));
        Ok(decision)
    }

    /// The management key that asks.
    async fn authenticate(
        &self,
        engine: &Engine,
        headers: &HeaderMap,
    ) -> Result<std::sync::Arc<ManagementKey>, Refused> {
        let presented = credential::find(&self.places, headers, None).map_err(|_| Refused::Unauthenticated)?;
        let key = engine.authenticate(&presented).await.map_err(|denial| match denial.refusal() {
            Refusal::Unavailable => Refused::Unavailable,
            _ => Refused::Unauthenticated,
        })?;
        if key.scopes.allow(Permission::Verify.scope()) { Ok(key) } else { Err(Refused::Forbidden) }
    }

    /// Whether the key asked about lies within the asking key's boundary.
    async fn is_within(&self, engine: &Engine, asking: &ManagementKey, ask: &Ask<'_>) -> Result<(), Denial> {
        if asking.boundary == Boundary::Everything {
            return Ok(());
        }
        let identified: Identified = engine.identify(ask.api, ask.presented, ask.facts.address).await?;
        let is_within = match asking.boundary {
            Boundary::Everything => true,
            Boundary::Organization(organization) => identified.organization() == organization,
            Boundary::Project(project) => identified.project() == project,
        };
        if is_within { Ok(()) } else { Err(Denial::new(Refusal::UnknownKey)) }
    }

    fn write(&self, decision: &Decision) -> Bytes {
        match &decision.outcome {
            Ok(grant) => {
                self.valid.get_or_init(|| counter("valid")).increment(1);
                let identity = self.identities.of(grant);
                answer::with_limits(identity.answer.get_or_init(|| answer::granted(grant)), &decision.charge)
            }
            Err(denial) => {
                counter(denial.code()).increment(1);
                answer::denied(*denial, decision)
            }
        }
    }
}

fn counter(outcome: &'static str) -> Counter {
    metrics::counter!("keyward_requests_total", "door" => "check", "api" => "", "outcome" => outcome)
}

fn check_request(parts: &Parts) -> Result<(), Refused> {
    if parts.uri.path() != "/v1/verify" {
        return Err(Refused::NotFound);
    }
    if parts.method != Method::POST {
        return Err(Refused::MethodNotAllowed);
    }
    let is_json = parts.headers.get(CONTENT_TYPE).is_none_or(|value| {
        if value == "application/json" {
            return true;
        }
        let essence = value.as_bytes().split(|&b| b == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
    });
    let mut encodings = parts.headers.get_all(CONTENT_ENCODING).iter();
    let is_plain = encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if is_json && is_plain { Ok(()) } else { Err(Refused::UnsupportedMediaType) }
}

/// Reads the question, as far as one may be long.
async fn read(mut body: Incoming) -> Result<Bytes, Refused> {
    if hyper::body::Body::size_hint(&body).lower() > QUESTION_BYTES_MAX as u64 {
        return Err(Refused::TooLarge);
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refused::TimedOut)?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > QUESTION_BYTES_MAX {
            return Err(Refused::TooLarge);
        }
        // Nearly every question comes in one piece, which is then not copied.
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::from(&first[..]);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}

impl Refused {
    fn reply(self, request_id: &HeaderValue) -> Reply {
        let errors = match &self {
            Refused::Wrong(Wrong::Fields(errors)) => errors.as_slice(),
            _ => &[],
        };
        let (status, code, detail) = self.describe();
        let mut reply = problem(&Problem { status, code, detail: &detail, errors }, request_id);
        let headers = reply.headers_mut();
        match self {
            Refused::Unauthenticated => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Refused::MethodNotAllowed | Refused::Head(Refusal::MethodNotAllowed) => {
                headers.insert(ALLOW, HeaderValue::from_static("POST"));
            }
            Refused::Unavailable => {
                headers.insert(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        *reply.version_mut() = Version::HTTP_11;
        counter(code).increment(1);
        reply
    }

    fn describe(&self) -> (StatusCode, &'static str, String) {
        let (status, code, detail) = match self {
            Refused::NotFound => {
                (StatusCode::NOT_FOUND, "not_found", "Only POST /v1/verify is served at this address.")
            }
            Refused::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Use POST."),
            Refused::Unauthenticated => {
                let detail = "A live management key is needed, as Authorization: Bearer.";
                (StatusCode::UNAUTHORIZED, "unauthenticated", detail)
            }
            Refused::Forbidden => {
                (StatusCode::FORBIDDEN, "forbidden", "The management key lacks the permission verify.")
            }
            Refused::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Keys cannot be checked right now.")
            }
            Refused::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", "The body has at most 16384 bytes.")
            }
            Refused::UnsupportedMediaType => {
                let detail = "The body is application/json, without a content encoding.";
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
            }
            Refused::Head(Refusal::UriTooLong) => {
                (StatusCode::URI_TOO_LONG, "uri_too_long", "The request's address is too long.")
            }
            Refused::Head(Refusal::HeadersTooLarge) => {
                let detail = "The request's headers are too many or too large.";
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", detail)
            }
            Refused::Head(Refusal::MethodNotAllowed) => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Use POST.")
            }
            Refused::Head(_) => {
                (StatusCode::BAD_REQUEST, "unparseable", "The request's head is malformed or ambiguous.")
            }
            Refused::TimedOut => (StatusCode::BAD_REQUEST, "unparseable", "The body broke off."),
            Refused::Wrong(Wrong::Unparseable(detail)) => {
                return (StatusCode::BAD_REQUEST, "unparseable", detail.clone());
            }
            Refused::Wrong(Wrong::Fields(_)) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Some fields are not as they should be.")
            }
        };
        (status, code, detail.to_owned())
    }
}
