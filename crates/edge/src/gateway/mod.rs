//! The gateway: the proxy in front of APIs. [`Gateway::answer`] is the way of one request, from the API it is
//! for to the refusal it gets or the upstream's answer; each step has a module of its own.
//!
//! What is deliberately absent: logging of requests (the engine notes uses), retries, caching, changing of
//! bodies but for the fields that a contract has encrypted (`fields`), CORS. A request is forwarded only with a grant
//! in hand.

pub(crate) mod fields;
mod forward;
mod route_api;
mod told;
mod upgrade;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderValue, StatusCode, Version};
use hyper::body::Incoming;
use keyward_core::clock::Entropy;
use keyward_core::decision::Grant;
use keyward_core::denial::Refusal;
use keyward_core::id::ApiName;
use keyward_verify::limits::Charge;

pub(crate) use fields::FieldRoom;
pub(crate) use route_api::{Overrides, Served, Tables};

use crate::asking::entrance::{Permit, Question, Refused};
use crate::asking::headers::HeadCaps;
use crate::asking::identity::Identities;
use crate::asking::{Asked, forwarded, headers, needs};
use crate::observe::Observed;
use crate::reply::{Content, Problem, Reply, problem};
use crate::serve::caller::Turn;
use crate::serve::lifeline::{BodyFault, Party};
use crate::upstream::{Destinations, Pace, RequestBody};

/// The longest body, in bytes, that is read and thrown away after a refusal to keep the connection.
const LEFT_UNREAD_MAX: u64 = 8 * 1024;

/// A worker's gateway.
pub(crate) struct Gateway {
    tables: Tables,
    identities: Identities,
    destinations: Destinations,
    entropy: Arc<dyn Entropy>,
    field_room: FieldRoom,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("tables", &self.tables).finish_non_exhaustive()
    }
}

impl Gateway {
    /// `entropy` gives the nonces of fields that are encrypted; `field_room` is the node's, for all workers.
    pub fn new(
        tables: Tables,
        destinations: Destinations,
        entropy: Arc<dyn Entropy>,
        field_room: FieldRoom,
    ) -> Self {
        Gateway { tables, identities: Identities::default(), destinations, entropy, field_room }
    }

    /// Closes connections to upstreams that rested too long.
    pub fn close_idle(&self, now: u32) {
        self.tables.upstreams().iter().for_each(|upstream| upstream.close_idle(now));
        self.destinations.close_idle(now);
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
            turn.note(|observed| observed.outcome = Some("not_found"));
            return no_such_api(request_id);
        };
        let served = routed.served;
        turn.note(|observed| observed.api = Some(served.entrance.in_force.name.clone()));
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

/// Whose doing it is when what is behind fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failures {
    /// The operator's: failures that cost nothing are given back.
    OfTheApi,
    /// The customer's own destination: it could fail on purpose once it has what it wanted.
    OfTheCaller,
}

/// A request that was granted, answered.
enum Passed {
    /// By the upstream.
    Forwarded(Reply),
    /// By the contract.
    Told(Reply),
}

impl Visit<'_> {
    async fn pass(&self, parts: &mut Parts, body: Incoming) -> Result<Passed, Refused> {
        let worker = &self.turn.caller.worker;
        headers::check(parts, worker.caps.head())?;
        let entrance = &self.served.entrance;
        let path = entrance.canonical(&parts.uri.path()[self.prefix_length..])?;
        let peer = self.turn.caller.peer;
        let asked = Asked {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &parts.headers,
            address: forwarded::caller_address(&parts.headers, peer, |address| worker.trusts(address)),
        };
        self.turn.note(|observed| observed.caller = asked.address);
        let mut question = entrance.question(&asked, &path)?;
        self.turn.note(|observed| observed.presented(&question.presented));
        let body = self.read(&mut question, parts, body).await?;
        self.turn.note_at(Observed::asking);
        let Permit { grant, charge, exchange } = entrance.decide(&worker.engine, &question).await?;
        self.turn.note_at(|observed, now| observed.granted_at(&grant, now));
        self.turn.lifeline.hold(exchange);
        entrance.count_granted();
        if let Some(told) = question.needed.answer {
            return Ok(Passed::Told(self.answer_told(told, &grant, &charge, &parts.method)));
        }
        if let Some(asked) = question.needed.encryption {
            drop(question);
            drop(path);
            return Box::pin(self.pass_fields(asked, grant, charge, (parts, body))).await;
        }
        drop(question);
        drop(path);
        let forwarded = self.forward(&grant, parts, body).await;
        self.settle(forwarded, grant, charge, Failures::OfTheApi).map(Passed::Forwarded)
    }

    /// Gives back what failures cost nothing of, and tells the caller how its limits stand then.
    fn settle(
        &self,
        forwarded: Result<Reply, Refusal>,
        grant: Grant,
        charge: Charge,
        failures: Failures,
    ) -> Result<Reply, Refused> {
        match forwarded {
            Ok(mut reply) => {
                let status = reply.status();
                let has_failed =
                    (status.is_client_error() || status.is_server_error()) && failures == Failures::OfTheApi;
                let charge = if has_failed { charge.refunded() } else { charge };
                let entrance = &self.served.entrance;
                entrance.limits.tell(reply.headers_mut(), self.served.contract(), &charge, Some(&grant));
                Ok(reply)
            }
            Err(refusal) => {
                // The upstream may have done all the work for a caller who then breaks off its body or has its key
                // revoked: ending one's own request must not make it free.
                let is_unanswered = matches!(refusal, Refusal::UpstreamUnreachable | Refusal::UpstreamTimeout);
                let is_callers_doing = refusal == Refusal::Revoked
                    || self.turn.lifeline.body_fault() == BodyFault::Broken
                    || (is_unanswered && failures == Failures::OfTheCaller);
                let charge = if is_callers_doing { charge } else { charge.refunded() };
                let key = Some(grant.key().id);
                Err(Refused { refusal, charge, grant: Some(grant), field: None, key })
            }
        }
    }

    /// The contract's answer to a refusal.
    fn refuse(&self, refused: &Refused) -> Reply {
        self.turn.note_at(|observed, now| observed.refused(refused, now));
        let received = self.turn.lifeline.received();
        self.turn.lifeline.begin();
        self.turn.lifeline.set_received(received);
        drop(self.turn.lifeline.release());
        self.served.entrance.refuse(refused, self.request_id).map(Content::Whole)
    }

    /// The body for the upstream: read first where a limited key's request names its resource there.
    async fn read<'c>(
        &self,
        question: &mut Question<'c>,
        parts: &Parts,
        body: Incoming,
    ) -> Result<RequestBody, Refusal> {
        let worker = &self.turn.caller.worker;
        let gateway = &self.served.contract().gateway;
        let declared = hyper::body::Body::size_hint(&body).lower();
        if declared > gateway.body_max_bytes {
            return Err(Refusal::BodyTooLarge);
        }
        if let Some((kind, pointer)) = question.needed.in_body {
            let api = Some(&*self.served.entrance.in_force);
            let identified = worker.engine.identify(api, &question.presented, Some(question.address));
            let identified = Box::pin(identified).await;
            if identified.is_ok_and(|identified| identified.key().scopes.limit_resource(kind)) {
                let bytes = Box::pin(self.read_whole(parts, body)).await?;
                let named = needs::resource_in(&bytes, pointer)?;
                if let Some(touched) = question.needed.resources.iter_mut().find(|touched| touched.kind == kind) {
                    touched.id = named.map(Cow::Owned);
                }
                return Ok(RequestBody::Whole(bytes));
            }
        }
        let pace = Pace {
            bytes_max: gateway.body_max_bytes,
            grace: worker.caps.body_grace,
            bytes_per_second: match question.needed.encryption.is_some() {
                // Much of it may be held at a time, so it may not take its time as well.
                true => worker.caps.body_bytes_per_second.max(fields::BYTES_PER_SECOND_MIN),
                false => worker.caps.body_bytes_per_second,
            },
            upstream_timeout: gateway.timeout,
        };
        Ok(RequestBody::streamed(body, pace, &self.turn.lifeline))
    }

    async fn read_whole(&self, parts: &Parts, body: Incoming) -> Result<Bytes, Refusal> {
        let lifeline = &self.turn.lifeline;
        lifeline.expect(Party::Caller, self.turn.caller.worker.caps.body_grace);
        let bytes_max = self.served.contract().gateway.inspect_max_bytes;
        let bytes = needs::read_body(body, &parts.headers, bytes_max).await?;
        lifeline.excuse(Party::Caller);
        lifeline.set_received(bytes.len() as u64);
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
