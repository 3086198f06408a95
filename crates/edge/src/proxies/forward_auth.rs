//! forward-auth: a proxy sends the head of a request here before it passes the request on. 200 means that it may, with
//! headers for the upstream and the caller; anything else is the contract's refusal, for the proxy to show.
//!
//! nginx can tell a refusal from a fault only by 401 and 403. With `?proxy=nginx` every refusal is one of these, names
//! itself in `X-Keyward-Refusal`, and `/v1/refusals/{api}/{code}` gives what nginx then shows the caller.

use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use keyward_core::denial::Refusal;

use super::handed::{Handed, Unclear};
use super::{Proxies, Unanswered, fresh, whole};
use crate::asking::{Answer, Asked, Denied, Granted, headers};
use crate::reply::{Content, Reply, X_REQUEST_ID};
use crate::serve::caller::Turn;

pub(super) const PATH: &str = "/v1/forward-auth/";
pub(super) const REFUSALS_PATH: &str = "/v1/refusals/";

const REFUSAL: HeaderName = HeaderName::from_static("x-keyward-refusal");
/// The target for the upstream: as it was handed over, without a credential in its query.
const TARGET: HeaderName = HeaderName::from_static("x-keyward-target");
/// Envoy takes these out of the request it passes on.
const TO_REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// What a proxy is told to take out of a request by its name alone.
const KNOWN: [&str; 11] = [
    "x-keyward-project",
    "x-keyward-organization",
    "x-keyward-key-id",
    "x-keyward-plan",
    "x-keyward-scopes",
    "x-keyward-request-id",
    "x-keyward-target",
    "x-keyward-refusal",
    "x-keyward-limits",
    "x-keyward-refused-by",
    "x-keyward-proxy-secret",
];

/// What the proxy that asks can do with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Shows any refusal as it comes, and can pass on another target than it got. Takes headers out by their whole names or
    /// their beginnings: another name like ours is refused.
    Able,
    /// The same, and knows 401 and 403 alone.
    Nginx,
    /// `keyward-middleware`, which takes out and keeps to itself whatever is not for others.
    Ours,
    /// Cannot take a credential out of the query: one that travels there is refused.
    KeepsQuery,
}

impl Kind {
    fn of(query: Option<&str>) -> Option<Self> {
        match query {
            None | Some("proxy=caddy") => Some(Kind::Able),
            Some("proxy=middleware") => Some(Kind::Ours),
            Some("proxy=nginx") => Some(Kind::Nginx),
            Some("proxy=traefik") => Some(Kind::KeepsQuery),
            Some(_) => None,
        }
    }
}

impl Proxies {
    /// Decides on the request that a proxy hands over.
    pub(super) async fn authorize(&self, turn: &Turn, parts: &Parts, request_id: &HeaderValue) -> Reply {
        if !self.admits(turn, &parts.headers) {
            return Unanswered::Untrusted.reply(request_id);
        }
        let below = &parts.uri.path()[PATH.len()..];
        let name = below.split('/').next().unwrap_or_default();
        let own_target = &below[name.len()..];
        let kind = match own_target {
            "" => Kind::of(parts.uri.query()),
            _ => Some(Kind::KeepsQuery),
        };
        let Some(kind) = kind else { return Unanswered::NotFound.reply(request_id) };
        let Some(api) = self.api(turn, name) else { return Unanswered::NoSuchApi.reply(request_id) };
        let handed = match own_target {
            "" => Handed::in_headers(&parts.headers),
            path => Ok(Handed { method: parts.method.as_str(), path, query: parts.uri.query() }),
        };
        let caps = turn.caller.worker.caps.head();
        let refusal = match (headers::check(parts, caps), handed) {
            (Err(refusal), _) => refusal,
            (Ok(()), Err(Unclear::Missing)) => return Unanswered::NothingHanded.reply(request_id),
            (Ok(()), Err(Unclear::Contradictory)) => Refusal::BadRequest,
            (Ok(()), Ok(handed)) => {
                let Handed { method, path, query } = handed;
                let address = self.caller_address(&parts.headers, turn.caller.peer);
                let asked = Asked { method, path, query, headers: &parts.headers, address };
                let would_leak = match kind {
                    Kind::Ours => false,
                    Kind::Able | Kind::Nginx => parts.headers.keys().any(|name| is_unknown(name.as_str())),
                    // Passed on, the credential would stand in the upstream's log.
                    Kind::KeepsQuery => self.forward_auth.finds_in_query(&api, query.unwrap_or_default()),
                };
                if would_leak {
                    return denied(self.forward_auth.refuse(&api, Refusal::BadRequest, request_id), kind);
                }
                let answer = self.forward_auth.ask(&turn.caller.worker.engine, &api, &asked, request_id).await;
                turn.note(|observed| observed.answered_at("forward_auth", &api.name, &asked, &answer));
                return match answer {
                    Answer::Granted(granted) => grant(&granted, &asked, kind, request_id),
                    Answer::Denied(refused) => denied(refused, kind),
                };
            }
        };
        denied(self.forward_auth.refuse(&api, refusal, request_id), kind)
    }

    /// The contract's answer to a refusal that a proxy was told the code of.
    pub(super) fn tell_refusal(&self, turn: &Turn, parts: &Parts, request_id: &HeaderValue) -> Reply {
        if !self.admits(turn, &parts.headers) {
            return Unanswered::Untrusted.reply(request_id);
        }
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return Unanswered::NotFound.reply(request_id);
        }
        let (name, code) = parts.uri.path()[REFUSALS_PATH.len()..].split_once('/').unwrap_or_default();
        let Some(api) = self.api(turn, name) else { return Unanswered::NoSuchApi.reply(request_id) };
        match Refusal::from_code(code) {
            Some(refusal) => whole(self.forward_auth.refusal(&api, refusal, request_id)),
            None => Unanswered::NoSuchRefusal.reply(request_id),
        }
    }
}

/// Whether a name is like ours and none that is taken out by name.
fn is_unknown(name: &str) -> bool {
    headers::is_ours(name) && !KNOWN.contains(&name)
}

fn grant(granted: &Granted, asked: &Asked<'_>, kind: Kind, request_id: &HeaderValue) -> Reply {
    let mut reply = Response::new(Content::Empty);
    let told = reply.headers_mut();
    granted.tell_caller(told);
    granted.tell_upstream(told, request_id);
    told.insert(X_REQUEST_ID, request_id.clone());
    if kind != Kind::KeepsQuery
        && let Ok(target) = HeaderValue::try_from(harmless(target(granted, asked)))
    {
        told.insert(TARGET, target);
    }
    // What is told above under the same name is put in after this list is taken out, or in its place.
    let mut doomed = String::new();
    for name in granted.headers_to_remove(asked.headers).filter(|name| !told.contains_key(*name)) {
        doomed.push_str(if doomed.is_empty() { "" } else { "," });
        doomed.push_str(name.as_str());
    }
    if let Some(doomed) = HeaderValue::try_from(doomed).ok().filter(|doomed| !doomed.is_empty()) {
        told.insert(TO_REMOVE, doomed);
    }
    fresh(reply)
}

/// The target without the credential. Where nothing is left of a query, its question mark stays: a proxy that rewrites to a
/// target without one keeps the query that came.
fn target(granted: &Granted, asked: &Asked<'_>) -> String {
    match asked.query {
        None => asked.path.to_owned(),
        Some(query) => match granted.stripped_query(query) {
            Some(stripped) => format!("{}?{stripped}", asked.path),
            None => format!("{}?{query}", asked.path),
        },
    }
}

/// With braces escaped: Caddy would read what stands between them as a placeholder of its own.
fn harmless(target: String) -> String {
    if target.contains(['{', '}']) { target.replace('{', "%7B").replace('}', "%7D") } else { target }
}

fn denied(denied: Denied, kind: Kind) -> Reply {
    let Denied { refusal, mut response } = denied;
    // Other proxies would show it, and what is wrong with a key is nobody's to know.
    if matches!(kind, Kind::Nginx | Kind::Ours) {
        response.headers_mut().insert(REFUSAL, HeaderValue::from_static(refusal.code()));
    }
    if kind == Kind::Nginx && response.status() != StatusCode::UNAUTHORIZED {
        *response.status_mut() = StatusCode::FORBIDDEN;
    }
    whole(response)
}
