//! Sending a proxied request on: to the project's destination, with its method and headers less what is ours. Who calls
//! is not told there: a destination is the customer's own, and knows.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Request, Uri};
use keyward_core::contract::EncryptionRules;
use keyward_core::denial::Refusal;

use super::named;
use crate::asking::{credential, headers};
use crate::gateway::Visit;
use crate::reply::Reply;
use crate::upstream::{Address, Failure, RequestBody, Unreached};

impl Visit<'_> {
    pub(super) async fn send_on(
        &self,
        rules: &EncryptionRules,
        to: &Address,
        rest_after: Option<usize>,
        (parts, body): (&mut Parts, RequestBody),
    ) -> Result<Reply, Refusal> {
        let upstream = self.gateway.destinations.reach(to).await.map_err(|unreached| match unreached {
            Unreached::Refused => Refusal::DestinationRefused,
            Unreached::Unknown => self.refusal_of(Failure::Unreachable),
            Unreached::Timeout => self.refusal_of(Failure::Timeout),
        })?;
        let target = self.target_at(&parts.uri, &to.base_path, rest_after)?;
        let caller = &self.turn.caller;
        let is_changed = !matches!(body, RequestBody::Empty);
        let headers = &mut parts.headers;
        credential::strip_headers(&self.served.entrance.places, headers);
        headers::clean_request(headers, parts.version, caller.worker.trusts(caller.peer));
        named::strip(rules, headers, is_changed);
        headers.insert(HOST, to.host_header.clone());
        if let RequestBody::Whole(bytes) = &body {
            headers.insert(CONTENT_LENGTH, bytes.len().into());
        }
        let mut request = Request::new(body);
        *request.method_mut() = std::mem::take(&mut parts.method);
        *request.uri_mut() = target;
        *request.headers_mut() = std::mem::take(&mut parts.headers);
        self.exchange(&upstream, request).await
    }

    /// The destination's path, what the route captured as the rest of the path as it was written, and the query.
    fn target_at(&self, uri: &Uri, base: &str, rest_after: Option<usize>) -> Result<Uri, Refusal> {
        let path = &uri.path()[self.prefix_length..];
        // A path that routes decide on has its slashes in the clear, so its parts are those of the canonical one.
        let rest = rest_after.and_then(|segments| path.splitn(segments + 2, '/').nth(segments + 1));
        let query = uri.query();
        let stripped = query.and_then(|query| credential::strip_query(&self.served.entrance.places, query));
        let query = stripped.as_deref().or(query).filter(|query| !query.is_empty());
        let mut target = base.to_owned();
        if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
            target.push('/');
            target.push_str(rest);
        }
        if target.is_empty() {
            target.push('/');
        }
        if let Some(query) = query {
            target.push('?');
            target.push_str(query);
        }
        let target = PathAndQuery::from_maybe_shared(Bytes::from(target)).map_err(|_| Refusal::BadRequest)?;
        Ok(Uri::from(target))
    }
}
