//! Bodies on their way: the caller's to the upstream, and the upstream's answer back. Neither is held in
//! memory; both watch that the other side makes progress.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::Upstream;
use super::connection::Connection;
use crate::asking::headers;
use crate::gateway::fields::Transformed;
use crate::serve::lifeline::{BodyFault, Cut, Lifeline, Party, TICK};

/// How long and how slowly a body may come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Most bytes.
    pub bytes_max: u64,
    /// How long a caller may make us wait for its body in all, beside what `bytes_per_second` gives.
    pub grace: Duration,
    /// How fast a body has to come.
    pub bytes_per_second: u32,
    /// How long the upstream may take to accept a piece, and to begin its answer.
    pub upstream_timeout: Duration,
}

/// A request's body on its way to the upstream.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// There is none.
    Empty,
    /// It had to be read for the decision.
    Whole(Bytes),
    /// It goes through.
    Streamed(Box<Streamed>),
    /// It goes through with some of its fields replaced.
    Transformed(Box<Transformed>),
}

/// A request's body that goes through.
#[derive(Debug)]
pub(crate) struct Streamed {
    body: Incoming,
    pace: Pace,
    lifeline: Arc<Lifeline>,
    received: u64,
    /// Ticks that were spent waiting for the caller.
    waited: u32,
    waiting_since: Option<u32>,
}

/// A request's body broke off or was too large; which, stands in the lifeline.
#[derive(Debug, thiserror::Error)]
#[error("the request's body cannot be forwarded")]
pub(crate) struct Unforwardable;

impl RequestBody {
    /// A body that goes through.
    pub fn streamed(body: Incoming, pace: Pace, lifeline: &Arc<Lifeline>) -> Self {
        if body.is_end_stream() {
            return RequestBody::Empty;
        }
        let lifeline = Arc::clone(lifeline);
        RequestBody::Streamed(Box::new(Streamed {
            body,
            pace,
            lifeline,
            received: 0,
            waited: 0,
            waiting_since: None,
        }))
    }
}

impl Streamed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Unforwardable>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let now = self.lifeline.now();
        match polled {
            Poll::Pending => {
                if self.waiting_since.is_none() && !self.lifeline.is_answering() {
                    self.waiting_since = Some(now);
                    self.lifeline.excuse(Party::Upstream);
                    self.lifeline.expect(Party::Caller, self.time_left());
                }
                Poll::Pending
            }
            Poll::Ready(frame) => {
                if let Some(since) = self.waiting_since.take() {
                    self.waited = self.waited.saturating_add(now.saturating_sub(since));
                    self.lifeline.excuse(Party::Caller);
                }
                if !self.lifeline.is_answering() {
                    self.lifeline.expect(Party::Upstream, self.pace.upstream_timeout);
                }
                Poll::Ready(frame.map(|frame| self.pass(frame)))
            }
        }
    }

    fn pass(&mut self, frame: hyper::Result<Frame<Bytes>>) -> Result<Frame<Bytes>, Unforwardable> {
        let Ok(mut frame) = frame else {
            self.lifeline.set_body_fault(BodyFault::Broken);
            return Err(Unforwardable);
        };
        if let Some(data) = frame.data_ref() {
            self.received += data.len() as u64;
            self.lifeline.set_received(self.received);
            if self.received > self.pace.bytes_max {
                self.lifeline.set_body_fault(BodyFault::TooLarge);
                return Err(Unforwardable);
            }
        } else if let Some(trailers) = frame.trailers_mut() {
            headers::clean_trailers(trailers);
        }
        Ok(frame)
    }

    fn time_left(&self) -> Duration {
        let earned = self.received / u64::from(self.pace.bytes_per_second.max(1));
        (self.pace.grace + Duration::from_secs(earned)).saturating_sub(TICK * self.waited)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Unforwardable;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Unforwardable>>> {
        match &mut *self {
            RequestBody::Empty => Poll::Ready(None),
            RequestBody::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = RequestBody::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            RequestBody::Streamed(streamed) => streamed.poll(cx),
            RequestBody::Transformed(transformed) => transformed.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Whole(bytes) => bytes.is_empty(),
            RequestBody::Streamed(streamed) => streamed.body.is_end_stream(),
            RequestBody::Transformed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            RequestBody::Streamed(streamed) => streamed.body.size_hint(),
            RequestBody::Transformed(_) => SizeHint::default(),
        }
    }
}

/// An answer's body on its way from the upstream, together with the connection it comes on.
#[derive(Debug)]
pub(crate) struct UpstreamBody {
    body: Incoming,
    connection: Option<Box<Connection>>,
    upstream: Arc<Upstream>,
    lifeline: Arc<Lifeline>,
    idle_timeout: Duration,
}

impl UpstreamBody {
    /// The body that comes on `connection`; without one, it is driven by a task of its own.
    pub fn new(
        body: Incoming,
        connection: Option<Box<Connection>>,
        upstream: &Arc<Upstream>,
        lifeline: &Arc<Lifeline>,
        idle_timeout: Duration,
    ) -> Self {
        lifeline.set_answering();
        lifeline.expect(Party::Upstream, idle_timeout);
        UpstreamBody {
            body,
            connection,
            upstream: Arc::clone(upstream),
            lifeline: Arc::clone(lifeline),
            idle_timeout,
        }
    }

    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.lifeline.is_revoked() {
            self.connection = None;
            return Poll::Ready(Some(Err(Cut::Revoked)));
        }
        let body = &mut self.body;
        let polled = match &mut self.connection {
            Some(connection) => connection.poll_body(cx, |cx| Pin::new(&mut *body).poll_frame(cx)),
            None => Pin::new(body).poll_frame(cx),
        };
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => {
                self.lifeline.expect(Party::Upstream, self.idle_timeout);
                if self.body.is_end_stream() {
                    self.recycle();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.recycle();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(%error, "the upstream's answer broke off");
                self.connection = None;
                Poll::Ready(Some(Err(Cut::Overdue)))
            }
        }
    }

    pub fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn recycle(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.recycle(&self.upstream);
        }
    }
}
