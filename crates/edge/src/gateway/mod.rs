//! The gateway: the proxy in front of APIs. [`Gateway::answer`] is the way of one request, from the API it is
//! for to the refusal it gets or the upstream's answer; each step has a module of its own.
//!
//! What is deliberately absent: logging of requests (the engine notes uses), retries, caching, changing of
//! bodies, CORS. A request is forwarded only with a grant in hand.

pub(crate) mod credential;
mod forward;
mod forwarded;
pub(crate) mod headers;
pub(crate) mod identity;
pub(crate) mod needs;
pub(crate) mod path;
mod refusal;
mod route_api;
mod upgrade;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderValue, StatusCode, Version};
use hyper::body::Incoming;
use keyward_core::decision::{RequestFacts, ResourceNamed};
use keyward_core::denial::Refusal;
use keyward_core::id::ApiName;
use keyward_verify::Ask;

pub(crate) use route_api::{Overrides, Served, Tables};

use self::headers::HeadCaps;
use self::identity::Identities;
use self::needs::Needed;
use self::path::Strictness;
use crate::reply::{Problem, Reply, problem};
use crate::serve::caller::Turn;
use crate::serve::lifeline::Party;
use crate::upstream::{Pace, RequestBody};

/// The longest body, in bytes, that is read and thrown away after a refusal to keep the connection.
const LEFT_UNREAD_MAX: u64 = 8 * 1024;

/// A worker's gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    tables: Tables,
    identities: Identities,
}

impl Gateway {
    pub fn new(tables: Tables) -> Self {
        Gateway { tables, identities: Identities::default() }
    }

    /// Closes connections to upstreams that rested too long.
    pub fn close_idle(&self, now: u32) {
        self.tables.upstreams().iter().for_each(|upstream| upstream.close_idle(now));
    }

    /// Answers one request.
    pub async fn answer(
        &self,
        turn: &Turn,
        (parts, body): (&mut Parts, Incoming),
        request_id: &HeaderValue,
        listener: Option<&ApiName>,
    ) -> Reply {
        let is_http1 = parts.version < Version::HTTP_2;
        let is_long = hyper::body::Body::size_hint(&body).upper().is_none_or(|bytes| bytes > LEFT_UNREAD_MAX);
        let table = self.tables.current(&turn.caller.worker.engine);
        let Some(routed) = table.route(listener, headers::host(parts), parts.uri.path()) else {
            return no_such_api(request_id);
        };
        let served = routed.served;
        let visit = Visit { gateway: self, served: &served, turn, request_id, prefix_length: routed.prefix_length };
        match visit.pass(parts, body).await {
            Ok(reply) => reply,
            Err(refusal) => {
                served.count_refused(refusal);
                turn.lifeline.begin();
                drop(turn.lifeline.release());
                let mut reply = served.refusals.answer(refusal, request_id);
                if is_http1 && (refusal == Refusal::BadRequest || is_long) {
                    // Who sends what can be read in two ways may see the next request begin elsewhere; and what
                    // is left of a long body is not read, so the connection ends and the caller must know.
                    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                reply
            }
        }
    }
}

/// One request on its way through.
pub(crate) struct Visit<'a> {
    gateway: &'a Gateway,
    served: &'a Arc<Served>,
    turn: &'a Turn,
    request_id: &'a HeaderValue,
    prefix_length: usize,
}

impl Visit<'_> {
    async fn pass(&self, parts: &mut Parts, body: Incoming) -> Result<Reply, Refusal> {
        let worker = &self.turn.caller.worker;
        let contract = &self.served.in_force.contract;
        headers::check(parts, worker.caps.head())?;
        let path = self.canonical(parts.uri.path())?;
        if self.served.strictness == Strictness::Strict && headers::overrides_method(&parts.headers) {
            return Err(Refusal::BadRequest);
        }
        let presented = credential::find(&self.served.places, &parts.headers, parts.uri.query())?;
        let peer = self.turn.caller.peer;
        let address = forwarded::caller_address(&parts.headers, peer, |address| worker.trusts(address));
        let mut needed = needs::of(contract, parts.method.as_str(), &path);
        let credential = (&*presented, address);
        let body = self.read(&mut needed, parts, credential, body).await?;
        let resources: Vec<_> =
            needed.resources.iter().map(|r| ResourceNamed { kind: r.kind, id: r.id.as_deref() }).collect();
        let facts = RequestFacts {
            api: None,
            project: needed.project,
            scopes: needed.scopes,
            resources: &resources,
            address: Some(address),
            is_closed: needed.is_closed,
        };
        let ask = Ask { api: Some(&self.served.in_force), presented: &presented, facts };
        let opened = worker.engine.open(&ask).await;
        // Only who holds a good key is told which routes there are.
        let grant = opened.decision.outcome.map_err(|denial| match denial.refusal() {
            Refusal::InsufficientScope if needed.is_closed => Refusal::NoSuchRoute,
            refusal => refusal,
        })?;
        self.turn.lifeline.hold(opened.exchange);
        drop(resources);
        drop(needed);
        drop((presented, path));
        self.served.count_forwarded();
        self.forward(&grant, parts, body).await
    }

    /// The path that is decided on, without the prefix that only told the API.
    fn canonical<'p>(&self, path: &'p str) -> Result<Cow<'p, str>, Refusal> {
        let path = match &path[self.prefix_length..] {
            "" => "/",
            rest => rest,
        };
        path::canonical(path, self.served.strictness).ok_or(Refusal::BadRequest)
    }

    /// The body for the upstream: read first where a limited key's request names its resource there.
    async fn read<'c>(
        &self,
        needed: &mut Needed<'c>,
        parts: &Parts,
        (presented, address): (&str, IpAddr),
        body: Incoming,
    ) -> Result<RequestBody, Refusal> {
        let worker = &self.turn.caller.worker;
        let gateway = &self.served.in_force.contract.gateway;
        let declared = hyper::body::Body::size_hint(&body).lower();
        if declared > gateway.body_max_bytes {
            return Err(Refusal::BodyTooLarge);
        }
        if let Some((kind, pointer)) = needed.in_body {
            let api = Some(&*self.served.in_force);
            let identified = Box::pin(worker.engine.identify(api, presented, Some(address))).await;
            if identified.is_ok_and(|identified| identified.key().scopes.limit_resource(kind)) {
                let bytes = Box::pin(self.read_whole(parts, body)).await?;
                let named = needs::resource_in(&bytes, pointer)?;
                if let Some(touched) = needed.resources.iter_mut().find(|touched| touched.kind == kind) {
                    touched.id = named.map(Cow::Owned);
                }
                return Ok(RequestBody::Whole(bytes));
            }
        }
        let pace = Pace {
            bytes_max: gateway.body_max_bytes,
            grace: worker.caps.body_grace,
            bytes_per_second: worker.caps.body_bytes_per_second,
            upstream_timeout: gateway.timeout,
        };
        Ok(RequestBody::streamed(body, pace, &self.turn.lifeline))
    }

    async fn read_whole(&self, parts: &Parts, body: Incoming) -> Result<Bytes, Refusal> {
        let lifeline = &self.turn.lifeline;
        lifeline.expect(Party::Caller, self.turn.caller.worker.caps.body_grace);
        let bytes_max = self.served.in_force.contract.gateway.inspect_max_bytes;
        let bytes = needs::read_body(body, &parts.headers, bytes_max).await?;
        lifeline.excuse(Party::Caller);
        Ok(bytes)
    }
}

fn no_such_api(request_id: &HeaderValue) -> Reply {
    let detail = "No API is served at this address.";
    problem(&Problem { status: StatusCode::NOT_FOUND, code: "not_found", detail, errors: &[] }, request_id)
}

impl crate::serve::Caps {
    pub(crate) fn head(&self) -> HeadCaps {
        HeadCaps {
            headers_max: self.headers_max,
            header_bytes_max: self.header_bytes_max,
            target_bytes_max: self.target_bytes_max,
        }
    }
}
