//! What is seen of a request, for those who keep a log of accesses or traces. Doors note facts as they come to know them
//! ([`Turn::note`]); when the request has ended, an [`Observer`] is told of it once. Where nobody observes, a note costs a
//! look at a pointer.
//!
//! No credential, no query and no header's value is among the facts. A path is the caller's own words: it is cut to
//! [`PATH_MAX`] bytes, and not told at all where it holds a credential.

mod trace;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Method};
use keyward_core::clock::Timestamp;
use keyward_core::decision::Grant;
use keyward_core::denial::Refusal;
use keyward_core::id::{ApiName, KeyId, ProjectId};
use keyward_verify::Decision;
use parking_lot::Mutex;

pub use trace::{Trace, TraceContext};

use crate::asking::entrance::Refused;
use crate::asking::{Answer, Asked, path};
use crate::serve::caller::Turn;
use crate::serve::worker::DoorKind;

/// The most bytes of a path that are told, as it came.
pub const PATH_MAX: usize = 1024;
/// Letters and digits in a row, behind an underscore, that look like one of our own keys.
const KEY_BODY: usize = 43;
const WITHHELD: &str = "[a credential]";
const UNREADABLE: &str = "[unreadable]";

/// Who is told of requests that have ended. Called by the threads that serve: it must not block.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// A request has ended.
    fn observe(&self, observed: Observed);

    /// Which share of the requests that nobody traces yet are to be traced, from 0 to 1; none where traces are not kept at
    /// all, and headers of traces go through as they are.
    fn sampled(&self) -> Option<f64>;
}

/// A request that has ended.
#[derive(Debug, Clone)]
pub struct Observed {
    /// When it began.
    pub at: Timestamp,
    /// What callers and upstreams know it by.
    pub request_id: HeaderValue,
    /// The door it came by: `gateway`, `check`, `forward_auth`, `ext_authz`.
    pub door: &'static str,
    /// The API it was for, where that was found out.
    pub api: Option<ApiName>,
    /// The key that was presented, where it is known.
    pub key: Option<KeyId>,
    /// That key's project.
    pub project: Option<ProjectId>,
    /// Its method.
    pub method: Method,
    /// Its path without the query, percent-encoded as it came.
    pub path: Box<str>,
    /// The answer's status; 0 where there was none.
    pub status: u16,
    /// `valid`, or the refusal's code; none where nothing was decided.
    pub outcome: Option<&'static str>,
    /// Bytes of its body that were read.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// From its first to the answer's last byte.
    pub duration: Duration,
    /// Whoever is at the other end of the socket.
    pub peer: IpAddr,
    /// The caller, where a trusted proxy says who that is.
    pub caller: IpAddr,
    /// Its trace, where it has one.
    pub trace: Option<Trace>,
    /// When the decision was asked for and there, since the request began.
    pub decided: Option<Part>,
    /// When the upstream was asked, and its answer began.
    pub upstream: Option<Part>,
}

/// A part of a request's time, counted from when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// When it began.
    pub from: Duration,
    /// When it ended.
    pub to: Duration,
}

impl Part {
    /// How long it took.
    pub fn length(self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

/// A request under observation.
#[derive(Debug)]
pub(crate) struct Observing {
    observer: Arc<dyn Observer>,
    began: i64,
    noted: Mutex<Observed>,
}

impl Observed {
    /// A grant was given for a key.
    pub(crate) fn granted(&mut self, grant: &Grant) {
        self.outcome = Some("valid");
        self.key = Some(grant.key().id);
        self.project = Some(grant.project().id);
    }

    /// The decision is asked for now.
    pub(crate) fn asking(&mut self, now: Duration) {
        self.decided = Some(Part { from: now, to: now });
    }

    /// The grant is there now.
    pub(crate) fn granted_at(&mut self, grant: &Grant, now: Duration) {
        self.granted(grant);
        self.decided = self.decided.map(|part| Part { to: now, ..part });
    }

    /// The upstream is asked now; its answer begins whenever [`Observed::answered`] says so.
    pub(crate) fn sent(&mut self, now: Duration) {
        self.upstream = Some(Part { from: now, to: now });
    }

    /// The upstream's answer, or that there is none, is there now.
    pub(crate) fn answered(&mut self, now: Duration) {
        self.upstream = self.upstream.map(|part| Part { to: now, ..part });
    }

    /// It was refused, now.
    pub(crate) fn refused(&mut self, refused: &Refused, now: Duration) {
        if refused.grant.is_none() {
            self.decided = self.decided.map(|part| Part { to: now, ..part });
        }
        self.outcome = Some(refused.refusal.code());
        self.key = self.key.or(refused.key);
        self.project = self.project.or_else(|| refused.charge.project().map(|project| project.id));
    }

    /// It was refused by a door of its own.
    pub(crate) fn refused_as(&mut self, refusal: Refusal) {
        self.outcome = Some(refusal.code());
    }

    /// What was decided of a key that somebody asked about.
    pub(crate) fn decided(&mut self, decision: &Decision, now: Duration) {
        self.decided = self.decided.map(|part| Part { to: now, ..part });
        match &decision.outcome {
            Ok(grant) => self.granted(grant),
            Err(denial) => {
                self.refused_as(denial.refusal());
                self.key = decision.key;
                self.project = decision.charge.project().map(|project| project.id);
            }
        }
    }

    /// A proxy asked at `door` whether a request may pass, and was answered: it is that request that is told of.
    pub(crate) fn answered_at(&mut self, door: &'static str, api: &ApiName, asked: &Asked<'_>, answer: &Answer) {
        self.door = door;
        self.api = Some(api.clone());
        self.method = asked.method.parse().unwrap_or_default();
        self.path = told(asked.path);
        self.caller = asked.address;
        match answer {
            Answer::Granted(granted) => self.granted(&granted.grant),
            Answer::Denied(denied) => self.refused_as(denied.refusal),
        }
    }

    /// What was presented: a path that holds it is not told.
    pub(crate) fn presented(&mut self, credential: &str) {
        let holds = |text: &str| text.contains(credential);
        if holds(&self.path) || path::decode(&self.path).is_some_and(|path| holds(&path)) {
            self.path = WITHHELD.into();
        }
    }

    fn of(turn: &Turn, parts: &Parts, request_id: &HeaderValue) -> Self {
        let caller = &turn.caller;
        let door = match &caller.door.kind {
            DoorKind::Check => "check",
            DoorKind::Gateway(_) => "gateway",
        };
        Observed {
            at: caller.worker.engine.clock().now(),
            request_id: request_id.clone(),
            door,
            api: None,
            key: None,
            project: None,
            method: parts.method.clone(),
            path: told(parts.uri.path()),
            status: 0,
            outcome: None,
            bytes_in: 0,
            bytes_out: 0,
            duration: Duration::ZERO,
            peer: caller.peer,
            caller: caller.peer,
            trace: None,
            decided: None,
            upstream: None,
        }
    }
}

/// A path as it may be told.
fn told(path: &str) -> Box<str> {
    // What cannot be decoded cannot be searched either.
    let Some(decoded) = path::decode(path) else { return UNREADABLE.into() };
    if looks_like_a_key(&decoded) {
        return WITHHELD.into();
    }
    let mut told = String::with_capacity(path.len().min(PATH_MAX));
    for byte in path.bytes().take(PATH_MAX) {
        match byte {
            byte if byte.is_ascii_graphic() => told.push(char::from(byte)),
            // Whatever a terminal could take for more than a letter stays in its encoding.
            byte => told.push_str(&format!("%{byte:02X}")),
        }
    }
    told.into()
}

/// Whether anything in a text has the shape of our own keys.
fn looks_like_a_key(text: &str) -> bool {
    let bodies = text.split('_').skip(1);
    bodies.map(|body| body.bytes().take_while(u8::is_ascii_alphanumeric).count()).any(|length| length >= KEY_BODY)
}

impl Turn {
    /// Begins to observe the request, where anybody wants to know; once, before a door gets it.
    pub fn observe(&mut self, parts: &mut Parts, request_id: &HeaderValue) {
        let worker = &self.caller.worker;
        let Some(observer) = worker.observer.clone() else { return };
        let mut observed = Observed::of(self, parts, request_id);
        let is_trusted = worker.trusts(self.caller.peer);
        let ids = || worker.request_ids.next();
        observed.trace = Trace::begin(&mut parts.headers, is_trusted, observer.sampled(), (request_id, ids));
        let began = worker.engine.clock().boottime_nanos();
        self.observing = Some(Box::new(Observing { observer, began, noted: Mutex::new(observed) }));
    }

    /// Notes something about the request.
    pub fn note(&self, note: impl FnOnce(&mut Observed)) {
        if let Some(observing) = &self.observing {
            note(&mut observing.noted.lock());
        }
    }

    /// Notes something with how long the request runs by now.
    pub fn note_at(&self, note: impl FnOnce(&mut Observed, Duration)) {
        if let Some(observing) = &self.observing {
            let now = self.elapsed(observing);
            note(&mut observing.noted.lock(), now);
        }
    }

    /// The request has ended: its observer is told.
    pub fn end_observing(&mut self) {
        let Some(observing) = self.observing.take() else { return };
        let duration = self.elapsed(&observing);
        let Observing { observer, noted, .. } = *observing;
        let mut observed = noted.into_inner();
        observed.duration = duration;
        observed.bytes_in = self.lifeline.received();
        observer.observe(observed);
    }

    fn elapsed(&self, observing: &Observing) -> Duration {
        let now = self.caller.worker.engine.clock().boottime_nanos();
        Duration::from_nanos(u64::try_from(now - observing.began).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k09_a_path_with_a_key_in_it_is_not_told() {
        let key = format!("gp_live_{}", "a1B2".repeat(11).split_at(43).0);
        for path in [format!("/v1/keys/{key}"), format!("/{key}/x"), format!("/a/{}", key.replace('_', "%5F"))] {
            assert_eq!(&*told(&path), WITHHELD, "{path}");
        }
        for path in ["/", "/v1/profile/0123456789abcdef0123456789abcdef", "/a_b/c_d", "/x%20y"] {
            assert_eq!(&*told(path), path);
        }
        assert_eq!(&*told(&format!("/%zz/{}", key.replace('_', "%5F"))), UNREADABLE);
    }

    #[test]
    fn i02_a_path_is_cut_and_written_in_ascii() {
        assert_eq!(told(&format!("/{}", "a".repeat(5000))).len(), PATH_MAX);
        assert_eq!(&*told("/\u{202e}\u{1b}[31m"), "/%E2%80%AE%1B[31m");
    }
}
