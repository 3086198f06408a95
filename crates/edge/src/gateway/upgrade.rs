//! Upgrades: a connection that goes on as another protocol (WebSocket), spliced to the upstream's until
//! either end closes, nothing passes for too long, or the key is taken away.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use keyward_core::decision::Grant;
use keyward_core::denial::Refusal;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::Visit;
use crate::observe::Observed;
use crate::reply::{Content, Reply};
use crate::serve::caller::Turn;
use crate::serve::lifeline::{Guarded, Lifeline, Party};
use crate::upstream::{RequestBody, Upstream, UpstreamBody};

impl Visit<'_> {
    /// Forwards a request that asks to go on as `protocol`.
    pub(super) async fn forward_upgrade(
        &self,
        grant: &Grant,
        upstream: &Arc<Upstream>,
        parts: &mut Parts,
        protocol: HeaderValue,
    ) -> Result<Reply, Refusal> {
        let ours: Option<OnUpgrade> = parts.extensions.remove();
        let mut request = self.outbound(grant, upstream, parts, RequestBody::Empty)?;
        ask_to_upgrade(request.headers_mut(), protocol);
        let gateway = &self.served.contract().gateway;
        self.turn.note_at(Observed::sent);
        let answer = self.send_for_upgrade(upstream, request, gateway.timeout).await;
        self.turn.note_at(Observed::answered);
        let answer = answer?;
        let lifeline = &self.turn.lifeline;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let pass = |body: Incoming| UpstreamBody::new(body, None, upstream, lifeline, gateway.idle_timeout);
            return Ok(self.inbound(answer).map(|body| Content::Upstream(pass(body))));
        }
        let (Some(ours), Some(agreed)) = (ours, answer.headers().get(UPGRADE).cloned()) else {
            return Err(Refusal::UpstreamUnreachable);
        };
        let mut answer = answer.map(|_| Content::Empty);
        let room = answer.extensions_mut().remove::<Arc<OwnedSemaphorePermit>>();
        let theirs = hyper::upgrade::on(&mut answer);
        splice(self.turn, ours, (theirs, room), gateway.idle_timeout);
        let mut answer = self.inbound(answer);
        ask_to_upgrade(answer.headers_mut(), agreed);
        Ok(answer)
    }

    /// Sends, but not for longer than the key may.
    async fn send_for_upgrade(
        &self,
        upstream: &Upstream,
        request: Request<RequestBody>,
        timeout: Duration,
    ) -> Result<Response<Incoming>, Refusal> {
        let mut sending = std::pin::pin!(upstream.send_for_upgrade(request, timeout));
        poll_fn(|cx| match sending.as_mut().poll(cx) {
            Poll::Ready(sent) => Poll::Ready(sent.map_err(|failure| self.refusal_of(failure))),
            Poll::Pending if self.turn.lifeline.is_revoked() => Poll::Ready(Err(Refusal::Revoked)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

fn ask_to_upgrade(headers: &mut http::HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Passes bytes both ways from when both ends have switched. Takes the turn's exchange over.
fn splice(
    turn: &Turn,
    ours: OnUpgrade,
    (theirs, room): (OnUpgrade, Option<Arc<OwnedSemaphorePermit>>),
    idle_timeout: Duration,
) {
    let caller = Arc::clone(&turn.caller);
    caller.upgrade();
    let watched = caller.worker.lifelines.watch();
    let lifeline = Arc::clone(watched.lifeline());
    lifeline.hold(turn.lifeline.release());
    lifeline.expect(Party::Upstream, idle_timeout);
    let counted = caller.worker.count(&caller.door);
    let passing = async move {
        let (ours, theirs) = match tokio::try_join!(ours, theirs) {
            Ok(both) => both,
            Err(error) => {
                tracing::debug!(%error, "a connection was not upgraded");
                return;
            }
        };
        let mut ours = Watching { io: TokioIo::new(ours), lifeline: Arc::clone(&lifeline), idle_timeout };
        let mut theirs = Watching { io: TokioIo::new(theirs), lifeline, idle_timeout };
        if let Err(error) = tokio::io::copy_bidirectional(&mut ours, &mut theirs).await {
            tracing::debug!(%error, "an upgraded connection broke off");
        }
    };
    tokio::spawn(async move {
        let _ended = Guarded::new(passing, watched).await;
        drop((counted, room));
        drop(caller);
    });
}

/// One end of an upgraded connection: whatever it says shows that the connection is in use.
struct Watching {
    io: TokioIo<Upgraded>,
    lifeline: Arc<Lifeline>,
    idle_timeout: Duration,
}

impl AsyncRead for Watching {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_read(cx, into);
        if polled.is_ready() {
            self.lifeline.expect(Party::Upstream, self.idle_timeout);
        }
        polled
    }
}

impl AsyncWrite for Watching {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
