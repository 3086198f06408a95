//! One HTTP/1 connection to the upstream, driven by the task whose request it carries.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use tokio::sync::OwnedSemaphorePermit;

use super::address::Address;
use super::relay::Relay;
use super::socket::{Patience, Socket};
use super::{Failure, RequestBody, Upstream};
use crate::serve::lifeline::{Lifeline, Party};
use crate::tls::UpstreamTls;

/// Headers of the upstream beyond this are refused: an answer is not taken on trust.
const ANSWER_HEADER_BYTES_MAX: usize = 64 * 1024;
const BUFFER_MAX: usize = 128 * 1024;

/// A connection to the upstream.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<RequestBody>,
    driver: http1::Connection<Socket, RequestBody>,
    relay: Relay,
    patience: Patience,
    has_ended: bool,
    _room: OwnedSemaphorePermit,
}

/// Why a request got no answer, and the request itself where nothing of it was sent.
pub(crate) type Unsent = (Failure, Option<Box<Request<RequestBody>>>);

/// How connections to upstreams are begun.
pub(super) fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(BUFFER_MAX).max_header_size(ANSWER_HEADER_BYTES_MAX);
    builder
}

impl Connection {
    /// Connects; there is `room` for it.
    pub async fn open(
        address: &Address,
        tls: &UpstreamTls,
        room: OwnedSemaphorePermit,
    ) -> std::io::Result<Box<Self>> {
        let socket = Socket::connect(address, tls).await?;
        let patience = socket.patience();
        let (sender, driver) = builder().handshake(socket).await.map_err(std::io::Error::other)?;
        Ok(Box::new(Connection { sender, driver, relay: Relay::new(), patience, has_ended: false, _room: room }))
    }

    /// Connects, with a task of its own that lets the connection be upgraded.
    pub async fn open_for_upgrade(
        address: &Address,
        tls: &UpstreamTls,
        room: Arc<OwnedSemaphorePermit>,
    ) -> std::io::Result<SendRequest<RequestBody>> {
        let socket = Socket::connect(address, tls).await?;
        let (sender, driver) = builder().handshake(socket).await.map_err(std::io::Error::other)?;
        tokio::spawn(async move {
            let _ended = driver.with_upgrades().await;
            drop(room);
        });
        Ok(sender)
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn send(
        &mut self,
        request: Request<RequestBody>,
        lifeline: &Lifeline,
    ) -> Result<Response<Incoming>, Unsent> {
        let Connection { sender, driver, relay, patience, has_ended, .. } = self;
        patience.begin();
        let mut answer = pin!(sender.try_send_request(request));
        poll_fn(|cx| {
            let polled = relay.poll(cx, |cx| {
                drive(driver, has_ended, cx);
                answer.as_mut().poll(cx)
            });
            match polled {
                Poll::Ready(answer) => {
                    patience.end();
                    Poll::Ready(answer.map_err(unsent))
                }
                Poll::Pending if lifeline.is_revoked() => Poll::Ready(Err((Failure::Revoked, None))),
                Poll::Pending if lifeline.is_overdue(Party::Upstream) => Poll::Ready(Err((Failure::Timeout, None))),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Polls for what the answer's body has next.
    pub fn poll_body<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut next: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Connection { driver, relay, has_ended, .. } = self;
        relay.poll(cx, |cx| match next(cx) {
            Poll::Ready(item) => Poll::Ready(item),
            Poll::Pending => {
                drive(driver, has_ended, cx);
                next(cx)
            }
        })
    }

    /// Gives the connection back for the next request, where the last one left it clean.
    pub fn recycle(mut self: Box<Self>, upstream: &Arc<Upstream>) {
        // Most times it came to rest with the answer's last byte; else a last look may bring it there.
        let is_free = (self.sender.is_ready() && !self.has_ended) || self.is_free();
        self.relay.rest();
        if is_free {
            upstream.put(self);
        }
    }

    /// Whether the next request can be sent: the upstream has not closed, and nothing is left of the last.
    pub fn is_free(&mut self) -> bool {
        let Connection { sender, driver, relay, has_ended, .. } = self;
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let _ = relay.poll(&mut cx, |cx| {
            drive(driver, has_ended, cx);
            Poll::<()>::Pending
        });
        !*has_ended && sender.is_ready()
    }
}

fn drive(driver: &mut http1::Connection<Socket, RequestBody>, has_ended: &mut bool, cx: &mut Context<'_>) {
    if !*has_ended && let Poll::Ready(end) = Pin::new(driver).poll(cx) {
        *has_ended = true;
        if let Err(error) = end {
            tracing::debug!(%error, "a connection to the upstream ended");
        }
    }
}

fn unsent(mut error: TrySendError<Request<RequestBody>>) -> Unsent {
    let request = error.take_message().map(Box::new);
    tracing::debug!(error = %error.error(), "the upstream gave no answer");
    (Failure::Unreachable, request)
}
