//! The doors that proxies ask: forward-auth (`/v1/forward-auth/{api}`, for nginx, Caddy, Traefik and Envoy over HTTP) and
//! Envoy's ext_authz over gRPC. A proxy hands over what it was asked, and is told whether it may pass that on, what to
//! tell the upstream, and what to tell the caller. They stand on the check listener.
//!
//! Whom to believe is `trust`'s matter, what was handed over `handed`'s; the question itself goes through `asking`, as at
//! every door. Nothing here may be kept by anybody: every answer forbids it.

mod ext_authz;
mod forward_auth;
mod handed;
mod messages;
mod trust;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, HeaderMap, HeaderValue, VARY};
use http::request::Parts;
use http::{Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use keyward_core::id::ApiName;
use keyward_verify::ApiInForce;

pub use self::trust::{NotAProxySecret, ProxySecret, ProxyTrust};

use crate::asking::{Asking, forwarded};
use crate::reply::{Content, Problem, Reply, problem};
use crate::serve::caller::Turn;

/// A worker's doors for proxies.
#[derive(Debug)]
pub(crate) struct Proxies {
    trust: ProxyTrust,
    forward_auth: Asking,
    ext_authz: Asking,
}

/// Which of the doors a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// `/v1/forward-auth/…`
    ForwardAuth,
    /// `/v1/refusals/…`
    Refusals,
    /// The gRPC method of ext_authz.
    ExtAuthz,
}

impl Door {
    /// The door of a path; none where it is none of these.
    pub fn of(path: &str) -> Option<Self> {
        match path {
            ext_authz::PATH => Some(Door::ExtAuthz),
            _ if path.starts_with(forward_auth::PATH) => Some(Door::ForwardAuth),
            _ if path.starts_with(forward_auth::REFUSALS_PATH) => Some(Door::Refusals),
            _ => None,
        }
    }
}

/// Why a proxy gets no decision. It is not the caller who did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unanswered {
    Untrusted,
    NoSuchApi,
    NoSuchRefusal,
    NothingHanded,
    NotFound,
}

impl Proxies {
    pub fn new(trust: ProxyTrust) -> Self {
        Proxies { trust, forward_auth: Asking::new("forward-auth"), ext_authz: Asking::new("ext_authz") }
    }

    /// Answers one request at one of the doors.
    pub async fn answer(
        &self,
        turn: &Turn,
        door: Door,
        (parts, body): (&mut Parts, Incoming),
        request_id: &HeaderValue,
    ) -> Reply {
        let is_unread = parts.version < Version::HTTP_2 && !body.is_end_stream();
        let mut reply = match door {
            Door::ExtAuthz => return self.check(turn, parts, body, request_id).await,
            Door::ForwardAuth => self.authorize(turn, parts, request_id).await,
            Door::Refusals => self.tell_refusal(turn, parts, request_id),
        };
        if is_unread {
            reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        reply
    }

    /// Whether whoever asks may ask on behalf of others.
    fn admits(&self, turn: &Turn, headers: &HeaderMap) -> bool {
        self.trust.admits(turn.caller.peer, headers, turn.caller.is_certified())
    }

    /// Where a request comes from that `nearest` passed on: the proxy that asks, or who the proxy says spoke to it.
    fn caller_address(&self, headers: &HeaderMap, nearest: IpAddr) -> IpAddr {
        // One that showed the secret is believed from wherever it asks.
        forwarded::caller_address(headers, nearest, |address| address == nearest || self.trust.lists(address))
    }

    fn api(&self, turn: &Turn, name: &str) -> Option<Arc<ApiInForce>> {
        let name: ApiName = name.parse().ok()?;
        turn.caller.worker.engine.api(&name)
    }
}

impl Unanswered {
    fn reply(self, request_id: &HeaderValue) -> Reply {
        let (status, code, detail) = match self {
            Unanswered::Untrusted => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "Only proxies that check.asking_proxies lists, or that show the secret, may ask here.",
            ),
            Unanswered::NoSuchApi => (StatusCode::NOT_FOUND, "not_found", "There is no such API."),
            Unanswered::NoSuchRefusal => (StatusCode::NOT_FOUND, "not_found", "There is no refusal of this code."),
            Unanswered::NothingHanded => (
                StatusCode::BAD_REQUEST,
                "unparseable",
                "The proxy does not hand over the request's method and target in X-Forwarded-Method and -Uri or \
                 X-Original-Method and -URI.",
            ),
            Unanswered::NotFound => (StatusCode::NOT_FOUND, "not_found", "Nothing is served at this address."),
        };
        metrics::counter!("keyward_requests_total", "door" => "forward-auth", "api" => "", "outcome" => code)
            .increment(1);
        fresh(problem(&Problem { status, code, detail, errors: &[] }, request_id))
    }
}

/// An answer that nobody may keep, whatever the contract says of the one it shows.
fn fresh<B>(mut reply: Response<B>) -> Response<B> {
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply.headers_mut().insert(VARY, HeaderValue::from_static("*"));
    reply
}

fn whole(reply: Response<Bytes>) -> Reply {
    fresh(reply).map(Content::Whole)
}
