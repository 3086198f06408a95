//! Forwarding: the request as the upstream gets it, and its answer as the caller gets it. Asks for a grant.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use keyward_core::decision::Grant;
use keyward_core::denial::Refusal;

use super::Visit;
use crate::asking::{credential, forwarded, headers};
use crate::observe::Observed;
use crate::reply::{Content, Reply, X_REQUEST_ID};
use crate::serve::lifeline::BodyFault;
use crate::upstream::{Failure, RequestBody, Sent, Upstream, UpstreamBody};

impl Visit<'_> {
    /// Forwards a request that was granted.
    pub(super) async fn forward(
        &self,
        grant: &Grant,
        parts: &mut Parts,
        body: RequestBody,
    ) -> Result<Reply, Refusal> {
        let chosen = self.served.upstreams.as_ref().ok_or(Refusal::UpstreamUnreachable)?.choose();
        let upstream = chosen.upstream();
        if let Some(protocol) = headers::upgrade(parts) {
            // In a box, like all that is rare: what a request does not need must not make its future larger.
            return Box::pin(self.forward_upgrade(grant, upstream, parts, protocol)).await;
        }
        let request = self.outbound(grant, upstream, parts, body)?;
        let timeout = self.served.contract().gateway.timeout;
        self.turn.note_at(Observed::sent);
        self.passed_on(chosen.send(request, timeout, &self.turn.lifeline).await)
    }

    /// Sends a request as it is to this upstream and no other, and gives its answer as the caller gets it.
    pub(super) async fn exchange(
        &self,
        upstream: &Arc<Upstream>,
        request: Request<RequestBody>,
    ) -> Result<Reply, Refusal> {
        let timeout = self.served.contract().gateway.timeout;
        self.turn.note_at(Observed::sent);
        let sent = upstream.send(request, timeout, &self.turn.lifeline).await;
        self.passed_on(match sent {
            Ok((answer, connection)) => Ok((answer, connection, upstream)),
            Err((failure, _)) => Err(failure),
        })
    }

    /// The answer as the caller gets it.
    fn passed_on(&self, sent: Result<Sent<'_>, Failure>) -> Result<Reply, Refusal> {
        self.turn.note_at(Observed::answered);
        let gateway = &self.served.contract().gateway;
        let (answer, connection, upstream) = sent.map_err(|failure| self.refusal_of(failure))?;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS || !headers::is_clear(answer.headers()) {
            return Err(self.refusal_of(Failure::Unreachable));
        }
        let mut connection = Some(connection);
        if hyper::body::Body::is_end_stream(answer.body())
            && let Some(connection) = connection.take()
        {
            connection.recycle(upstream);
        }
        let lifeline = &self.turn.lifeline;
        let pass = |body: Incoming| UpstreamBody::new(body, connection, upstream, lifeline, gateway.idle_timeout);
        Ok(self.inbound(answer).map(|body| Content::Upstream(pass(body))))
    }

    /// The request as the upstream gets it.
    pub(super) fn outbound(
        &self,
        grant: &Grant,
        upstream: &Upstream,
        parts: &mut Parts,
        body: RequestBody,
    ) -> Result<Request<RequestBody>, Refusal> {
        let caller = &self.turn.caller;
        let host = match parts.uri.authority() {
            Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
            None => parts.headers.get(HOST).cloned(),
        };
        let target = self.target(&parts.uri, &upstream.address.base_path)?;
        let headers = &mut parts.headers;
        credential::strip_headers(&self.served.entrance.places, headers);
        headers::clean_request(headers, parts.version, caller.worker.trusts(caller.peer));
        let scheme = if caller.is_tls() { "https" } else { "http" };
        forwarded::tell(headers, &caller.peer_header, host, scheme);
        headers.insert(HOST, upstream.address.host_header.clone());
        self.gateway.identities.of(grant).tell(headers, self.request_id);
        let mut request = Request::new(body);
        *request.method_mut() = std::mem::take(&mut parts.method);
        *request.uri_mut() = target.unwrap_or_else(|| std::mem::take(&mut parts.uri));
        *request.headers_mut() = std::mem::take(&mut parts.headers);
        Ok(request)
    }

    /// The target for the upstream; none where it stays as it came, which costs nothing.
    fn target(&self, uri: &Uri, base: &str) -> Result<Option<Uri>, Refusal> {
        let query = uri.query();
        let stripped = query.and_then(|query| credential::strip_query(&self.served.entrance.places, query));
        if stripped.is_none() && self.prefix_length == 0 && base.is_empty() {
            return match (uri.authority(), uri.path_and_query()) {
                (Some(_), Some(target)) => Ok(Some(Uri::from(target.clone()))),
                _ => Ok(None),
            };
        }
        let path = &uri.path()[self.prefix_length..];
        let query = stripped.as_deref().or(query).filter(|query| !(query.is_empty() && stripped.is_some()));
        let mut target = String::with_capacity(base.len() + uri.path().len() + query.map_or(0, str::len) + 2);
        target.push_str(base);
        target.push_str(if path.is_empty() && base.is_empty() { "/" } else { path });
        if let Some(query) = query {
            target.push('?');
            target.push_str(query);
        }
        let target = PathAndQuery::from_maybe_shared(Bytes::from(target)).map_err(|_| Refusal::BadRequest)?;
        Ok(Some(Uri::from(target)))
    }

    /// The answer as the caller gets it.
    pub(super) fn inbound<B>(&self, mut answer: Response<B>) -> Response<B> {
        *answer.version_mut() = Version::HTTP_11;
        headers::clean_answer(answer.headers_mut());
        answer.headers_mut().entry(X_REQUEST_ID).or_insert_with(|| self.request_id.clone());
        answer.extensions_mut().clear();
        answer
    }

    /// What a caller is told when the upstream gave no answer.
    pub(super) fn refusal_of(&self, failure: Failure) -> Refusal {
        let refusal = match (self.turn.lifeline.body_fault(), failure) {
            (BodyFault::TooLarge, _) => Refusal::BodyTooLarge,
            (BodyFault::Broken, _) => Refusal::BadRequest,
            (BodyFault::None, Failure::Revoked) => Refusal::Revoked,
            (BodyFault::None, Failure::Timeout) => Refusal::UpstreamTimeout,
            (BodyFault::None, Failure::Unreachable) => Refusal::UpstreamUnreachable,
        };
        if matches!(refusal, Refusal::UpstreamTimeout | Refusal::UpstreamUnreachable) {
            let api = self.served.entrance.in_force.name.as_str().to_owned();
            metrics::counter!("keyward_upstream_errors_total", "api" => api, "reason" => refusal.code())
                .increment(1);
        }
        refusal
    }
}
