//! The gateway: the proxy in front of APIs. [`Gateway::answer`] is the way of one request, from the API it is
//! for to the refusal it gets or the upstream's answer; each step has a module of its own.
//!
//! What is deliberately absent: logging of requests (the engine notes uses), retries, caching, changing of
//! bodies, CORS. A request is forwarded only with a grant in hand.

pub(crate) mod credential;
mod facts;
mod forward;
mod forwarded;
pub(crate) mod headers;
pub(crate) mod identity;
pub(crate) mod limits;
pub(crate) mod needs;
pub(crate) mod path;
mod refusal;
mod route_api;
mod told;
mod upgrade;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderValue, StatusCode, Version};
use hyper::body::Incoming;
use keyward_core::decision::{Grant, RequestFacts, ResourceNamed};
use keyward_core::denial::{Kind, Refusal};
use keyward_core::id::ApiName;
use keyward_verify::limits::Charge;
use keyward_verify::{Ask, Decision};

pub(crate) use route_api::{Overrides, Served, Tables};

use self::headers::HeadCaps;
use self::identity::Identities;
use self::needs::Needed;
use self::path::Strictness;
use crate::reply::{Problem, Reply, problem};
use crate::serve::caller::Turn;
use crate::serve::lifeline::{BodyFault, Party};
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
        let (mut reply, is_unread) = match visit.pass(parts, body).await {
            Ok(Passed::Forwarded(reply)) => return reply,
            Ok(Passed::Told(reply)) => (reply, is_long),
            Err(refused) => (visit.refuse(&refused), is_long || refused.refusal == Refusal::BadRequest),
        };
        if is_http1 && is_unread {
            // Who sends what can be read in two ways may see the next request begin elsewhere; and what is left
            // of a long body is not read, so the connection ends and the caller must know.
            reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        reply
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

/// A request that was granted, answered.
enum Passed {
    /// By the upstream.
    Forwarded(Reply),
    /// By the contract.
    Told(Reply),
}

/// A request that gets no answer but the contract's to its refusal.
#[derive(Debug)]
struct Refused {
    refusal: Refusal,
    /// How limits stand, where the key is good.
    charge: Charge,
    /// Where it was granted and failed on its way.
    grant: Option<Grant>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Refused { refusal, charge: Charge::default(), grant: None }
    }
}

impl Visit<'_> {
    async fn pass(&self, parts: &mut Parts, body: Incoming) -> Result<Passed, Refused> {
        let worker = &self.turn.caller.worker;
        let contract = &self.served.in_force.contract;
        headers::check(parts, worker.caps.head())?;
        let path = self.canonical(parts.uri.path())?;
        if self.served.strictness == Strictness::Strict && headers::overrides_method(&parts.headers) {
            return Err(Refusal::BadRequest.into());
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
            cost: needed.cost,
        };
        let ask = Ask { api: Some(&self.served.in_force), presented: &presented, facts };
        let opened = worker.engine.open(&ask).await;
        let Decision { outcome, charge, .. } = opened.decision;
        let grant = match (outcome.map_err(Refusal::from), needed.is_closed) {
            (Ok(grant), _) => grant,
            // Only who holds a good key is told which routes there are.
            (Err(Refusal::InsufficientScope), true) => {
                return Err(Refused { refusal: Refusal::NoSuchRoute, charge, grant: None });
            }
            (Err(refusal), _) => return Err(Refused { refusal, charge, grant: None }),
        };
        self.turn.lifeline.hold(opened.exchange);
        self.served.count_granted();
        if let Some(told) = needed.answer {
            return Ok(Passed::Told(self.answer_told(told, &grant, &charge, &parts.method)));
        }
        drop(resources);
        drop(needed);
        drop((presented, path));
        let forwarded = self.forward(&grant, parts, body).await;
        self.settle(forwarded, grant, charge).map(Passed::Forwarded)
    }

    /// Gives back what failures cost nothing of, and tells the caller how its limits stand then.
    fn settle(&self, forwarded: Result<Reply, Refusal>, grant: Grant, charge: Charge) -> Result<Reply, Refused> {
        match forwarded {
            Ok(mut reply) => {
                let status = reply.status();
                let has_failed = status.is_client_error() || status.is_server_error();
                let charge = if has_failed { charge.refunded() } else { charge };
                let contract = &self.served.in_force.contract;
                self.served.limits.tell(reply.headers_mut(), contract, &charge, Some(&grant));
                Ok(reply)
            }
            Err(refusal) => {
                // The upstream may have done all the work for a caller who then breaks off its body or has its key
                // revoked: ending one's own request must not make it free.
                let is_callers_doing =
                    refusal == Refusal::Revoked || self.turn.lifeline.body_fault() == BodyFault::Broken;
                let charge = if is_callers_doing { charge } else { charge.refunded() };
                Err(Refused { refusal, charge, grant: Some(grant) })
            }
        }
    }

    /// The contract's answer to a refusal.
    fn refuse(&self, refused: &Refused) -> Reply {
        let Refused { refusal, charge, grant } = refused;
        self.served.count_refused(*refusal);
        self.turn.lifeline.begin();
        drop(self.turn.lifeline.release());
        let mut reply = self.served.refusals.answer(*refusal, self.request_id);
        // All refusals of a credential are the same bytes, whatever is known of the key.
        if refusal.kind() != Kind::Credential {
            let contract = &self.served.in_force.contract;
            self.served.limits.tell(reply.headers_mut(), contract, charge, grant.as_ref());
            limits::tell_wait(reply.headers_mut(), charge.retry_after());
            limits::tell_refuser(reply.headers_mut(), charge.denied_by());
        }
        reply
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
