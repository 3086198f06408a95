//! The upstreams of an API: which of them a request goes to, and which is asked next when one gives no answer.
//!
//! Requests go round among those that are usable: healthy by the node's checks (`health`), and not one that this
//! worker has just failed to connect to. When none is usable, all are tried: a check that is wrong must not take an
//! API away that could answer.
//!
//! A request is sent to a second upstream at most once, and only where doing it twice is the same as doing it once
//! (RFC 9110, 9.2.2), no head of an answer came, and its body is empty or still whole. What took too long is not
//! asked again: it would only take twice as long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use http::header::HOST;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use keyward_core::id::ApiName;
use metrics::Counter;

use super::health::Standing;
use super::{Connection, Failure, RequestBody, Unsent, Upstream};
use crate::serve::lifeline::{BodyFault, Lifeline, TICK};

/// How long a worker goes around an upstream that it could not connect to.
const AVOIDED: Duration = Duration::from_secs(5);

/// The upstreams of an API as one worker sees them; at least one.
#[derive(Debug)]
pub(crate) struct Group {
    members: Vec<Member>,
    next: AtomicUsize,
    retries: Counter,
}

#[derive(Debug)]
struct Member {
    upstream: Arc<Upstream>,
    standing: Arc<Standing>,
    /// The tick until which this worker goes around it.
    avoided_until: AtomicU32,
}

/// One of a group's upstreams, chosen for a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chosen<'g> {
    group: &'g Group,
    at: usize,
}

/// The head of an answer, the connection that its body comes on, and whose it is.
pub(crate) type Sent<'g> = (Response<Incoming>, Box<Connection>, &'g Arc<Upstream>);

impl Group {
    /// Of an API's upstreams, with how each stands; none where there is none.
    pub fn new(api: &ApiName, members: Vec<(Arc<Upstream>, Arc<Standing>)>) -> Option<Self> {
        let member = |(upstream, standing)| Member { upstream, standing, avoided_until: AtomicU32::new(0) };
        let retries = metrics::counter!("keyward_upstream_retries_total", "api" => api.as_str().to_owned());
        let members: Vec<_> = members.into_iter().map(member).collect();
        (!members.is_empty()).then(|| Group { members, next: AtomicUsize::new(0), retries })
    }

    /// All of them.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.members.iter().map(|member| &member.upstream)
    }

    /// Whether their addresses have paths, which they have alike.
    pub fn has_base_path(&self) -> bool {
        self.upstreams().any(|upstream| !upstream.address.base_path.is_empty())
    }

    /// The upstream whose turn it is.
    pub fn choose(&self) -> Chosen<'_> {
        let at = if self.members.len() == 1 { 0 } else { self.turn(None).unwrap_or(0) };
        Chosen { group: self, at }
    }

    /// The next in turn among those that are usable, else among all; not this one.
    fn turn(&self, but: Option<usize>) -> Option<usize> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let others = (0..self.members.len()).filter(|at| Some(*at) != but);
        let mut usable = others.clone().filter(|at| self.members[*at].is_usable());
        match usable.clone().count() {
            0 => others.clone().nth(turn % others.count().max(1)),
            count => usable.nth(turn % count),
        }
    }
}

impl Member {
    fn is_usable(&self) -> bool {
        self.standing.is_healthy() && self.upstream.now() >= self.avoided_until.load(Ordering::Relaxed)
    }

    fn avoid(&self) {
        let ticks = (AVOIDED.as_millis() / TICK.as_millis()) as u32;
        self.avoided_until.store(self.upstream.now().saturating_add(ticks), Ordering::Relaxed);
    }
}

impl<'g> Chosen<'g> {
    /// The upstream.
    pub fn upstream(self) -> &'g Arc<Upstream> {
        &self.group.members[self.at].upstream
    }

    /// Sends a request that was made for this upstream, and where that may be, to another when it gives no answer.
    pub async fn send(
        self,
        request: Request<RequestBody>,
        timeout: Duration,
        lifeline: &Lifeline,
    ) -> Result<Sent<'g>, Failure> {
        if self.group.members.len() > 1 {
            // In a box: what most APIs do not have must not make their requests' futures larger.
            return Box::pin(self.send_to_one_or_another(request, timeout, lifeline)).await;
        }
        self.try_send(request, timeout, lifeline).await.map_err(|(failure, _)| failure)
    }

    async fn send_to_one_or_another(
        self,
        request: Request<RequestBody>,
        timeout: Duration,
        lifeline: &Lifeline,
    ) -> Result<Sent<'g>, Failure> {
        let is_idempotent = is_idempotent(request.method());
        let spare = if is_idempotent { copy(&request) } else { None };
        let (failure, unsent) = match self.try_send(request, timeout, lifeline).await {
            Ok(sent) => return Ok(sent),
            Err(failed) => failed,
        };
        let again = match (failure, unsent) {
            (Failure::Revoked, _) => None,
            (_, Some(unsent)) => Some(*unsent),
            (Failure::Unreachable, None) => spare,
            (Failure::Timeout, None) => None,
        };
        let again = again.filter(|_| is_idempotent && lifeline.body_fault() == BodyFault::None);
        let other = self.group.turn(Some(self.at)).map(|at| Chosen { at, ..self });
        let (Some(mut request), Some(other)) = (again, other) else { return Err(failure) };
        let host = other.upstream().address.host_header.clone();
        request.headers_mut().insert(HOST, host);
        self.group.retries.increment(1);
        other.try_send(request, timeout, lifeline).await.map_err(|(failure, _)| failure)
    }

    async fn try_send(
        self,
        request: Request<RequestBody>,
        timeout: Duration,
        lifeline: &Lifeline,
    ) -> Result<Sent<'g>, Unsent> {
        let upstream = self.upstream();
        match upstream.send(request, timeout, lifeline).await {
            Ok((answer, connection)) => Ok((answer, connection, upstream)),
            Err((failure, unsent)) => {
                if unsent.is_some() {
                    self.group.members[self.at].avoid();
                }
                Err((failure, unsent))
            }
        }
    }
}

/// Whether doing a request twice is the same as doing it once.
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}

/// The same request once more, where its body is at hand.
fn copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let body = match request.body() {
        RequestBody::Empty => RequestBody::Empty,
        RequestBody::Whole(bytes) => RequestBody::Whole(bytes.clone()),
        RequestBody::Streamed(_) | RequestBody::Transformed(_) => return None,
    };
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::lifeline::Lifelines;
    use crate::tls::{UpstreamTls, upstream_config};

    fn group(count: u16, lifelines: &Arc<Lifelines>) -> (Group, Vec<Arc<Standing>>) {
        let tls = UpstreamTls::new(upstream_config(None, None).unwrap());
        let room = Arc::new(tokio::sync::Semaphore::new(1));
        let members: Vec<_> = (0..count)
            .map(|n| {
                let address = format!("http://127.0.0.1:{}", n + 1).parse().unwrap();
                (
                    Upstream::new(address, tls.clone(), Arc::clone(lifelines), Arc::clone(&room)),
                    Arc::new(Standing::default()),
                )
            })
            .collect();
        let standings = members.iter().map(|(_, standing)| Arc::clone(standing)).collect();
        (Group::new(&"standard".parse().unwrap(), members).unwrap(), standings)
    }

    fn ports(group: &Group, count: usize) -> Vec<u16> {
        (0..count).map(|_| group.choose().upstream().address.port).collect()
    }

    #[test]
    fn requests_go_round_among_those_that_are_well() {
        let lifelines = Arc::new(Lifelines::default());
        let (group, standings) = group(3, &lifelines);
        assert_eq!(ports(&group, 6), [1, 2, 3, 1, 2, 3]);
        standings[1].set(false);
        let mut taken = ports(&group, 6);
        taken.sort_unstable();
        assert_eq!(taken, [1, 1, 1, 3, 3, 3], "what is left is shared alike");
        standings[0].set(false);
        standings[2].set(false);
        let mut taken = ports(&group, 3);
        taken.sort_unstable();
        assert_eq!(taken, [1, 2, 3], "where none is well, all are tried");
    }

    #[test]
    fn one_that_cannot_be_connected_to_is_gone_around_for_a_while() {
        let lifelines = Arc::new(Lifelines::default());
        let (group, _) = group(2, &lifelines);
        group.members[0].avoid();
        assert_eq!(ports(&group, 3), [2, 2, 2]);
        (0..AVOIDED.as_millis() / TICK.as_millis()).for_each(|_| lifelines.tick());
        let mut taken = ports(&group, 2);
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        assert_eq!(group.turn(Some(1)), Some(0), "a second try is never the first's");
    }

    #[test]
    fn what_may_be_asked_twice_is_what_rfc_9110_says() {
        for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
            assert!(is_idempotent(&method.parse().unwrap()), "{method}");
        }
        for method in ["POST", "PATCH", "QUERY", "LOCK", "get"] {
            assert!(!is_idempotent(&method.parse().unwrap()), "{method}");
        }
    }
}
