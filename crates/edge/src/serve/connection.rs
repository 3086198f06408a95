//! A connection's life: hyper's part, and its end. Which protocol it speaks is told by how its `stream` begins.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;

use super::caller::{Caller, Socket, Turn};
use super::lifeline::{Guarded, Watched};
use super::stream::{self, Begun};
use super::worker::{Arrival, Counted, DoorKind, Worker};
use crate::proxies;
use crate::reply::{Problem, Reply, ReplyBody, problem};

/// hyper's own limits stand a little above ours, so that the contract's answer is given wherever possible.
const HTTP1_BUFFER_MAX: usize = 64 * 1024;
const HTTP1_HEADER_BYTES_MAX: usize = 32 * 1024;
const HTTP2_STREAMS_MAX: u32 = 200;
const HTTP2_RESETS_PENDING_MAX: usize = 20;
/// Streams of a connection that we reset because of what the caller did wrong; no sound client comes near.
const HTTP2_RESETS_OF_OURS_MAX: usize = 100;
const HTTP2_STREAM_WINDOW: u32 = 256 * 1024;
const HTTP2_CONNECTION_WINDOW: u32 = 1024 * 1024;
const HTTP2_SEND_BUFFER_MAX: usize = 64 * 1024;

/// Serves a connection until its end.
pub(crate) async fn serve(worker: Arc<Worker>, arrival: Arrival, counted: Counted) {
    let Arrival { stream, peer, door } = arrival;
    // In a box: a handshake needs room that the connection does not.
    let Ok(begun) = Box::pin(stream::begin(stream, &door, &worker)).await else { return };
    let watched = worker.lifelines.watch();
    let caller = Arc::new(Caller::new(worker, door, peer.ip(), &watched, &begun));
    let Begun { stream, is_http1, .. } = begun;
    let socket = Socket::new(stream, Arc::clone(&caller));
    if is_http1 {
        serve_http1(caller, socket, watched).await;
    } else {
        serve_http2(caller, socket, watched).await;
    }
    drop(counted);
}

async fn serve_http1(caller: Arc<Caller>, socket: Socket, watched: Watched) {
    let worker = Arc::clone(&caller.worker);
    let service = service_fn(move |request| answer(caller.begin(), request));
    let connection = http1::Builder::new()
        .max_buf_size(HTTP1_BUFFER_MAX)
        .max_header_size(HTTP1_HEADER_BYTES_MAX)
        .header_read_timeout(None)
        .serve_connection(socket, service)
        .with_upgrades();
    let connection = async move {
        let mut connection = pin!(connection);
        let mut is_told = false;
        poll_fn(|cx| {
            if worker.is_stopping() && !std::mem::replace(&mut is_told, true) {
                connection.as_mut().graceful_shutdown();
            }
            connection.as_mut().poll(cx)
        })
        .await
    };
    note_end(Guarded::new(connection, watched).await);
}

async fn serve_http2(caller: Arc<Caller>, socket: Socket, watched: Watched) {
    let worker = Arc::clone(&caller.worker);
    let streams = Streams(Arc::clone(&caller));
    let service = service_fn(move |request| answer(caller.begin(), request));
    let connection = http2::Builder::new(streams)
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_pending_accept_reset_streams(HTTP2_RESETS_PENDING_MAX)
        .max_local_error_reset_streams(HTTP2_RESETS_OF_OURS_MAX)
        .max_header_list_size(HTTP1_HEADER_BYTES_MAX as u32)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .max_send_buf_size(HTTP2_SEND_BUFFER_MAX)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20))
        .serve_connection(socket, service);
    let connection = async move {
        let mut connection = pin!(connection);
        let mut is_told = false;
        poll_fn(|cx| {
            if worker.is_stopping() && !std::mem::replace(&mut is_told, true) {
                connection.as_mut().graceful_shutdown();
            }
            connection.as_mut().poll(cx)
        })
        .await
    };
    note_end(Guarded::new(connection, watched).await);
}

fn note_end(end: Result<hyper::Result<()>, super::lifeline::Cut>) {
    match end {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection ended early"),
        Err(cut) => tracing::debug!(%cut, "a connection was cut"),
    }
}

/// Starts the tasks of HTTP/2 streams, each under its own lifeline.
#[derive(Debug, Clone)]
struct Streams(Arc<Caller>);

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        match self.0.take_stream() {
            Some(watched) => drop(tokio::spawn(Guarded::new(stream, watched))),
            None => drop(tokio::spawn(stream)),
        }
    }
}

/// Answers one request, whatever happens.
async fn answer(mut turn: Turn, request: Request<Incoming>) -> hyper::Result<Response<ReplyBody>> {
    let request_id = turn.caller.worker.request_ids.next();
    let (mut parts, body) = request.into_parts();
    turn.observe(&mut parts, &request_id);
    let reply = {
        // Pinned here and caught by hand: combinators would hold the handler's future twice.
        let mut handling = pin!(handle(&turn, &mut parts, body, &request_id));
        poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| handling.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        })
        .await
    };
    let reply = reply.unwrap_or_else(|_| {
        tracing::error!(request_id = ?request_id, "a request made its handler panic; this is a bug");
        turn.note(|observed| observed.outcome = Some("internal"));
        panicked(&request_id)
    });
    turn.note(|observed| observed.status = reply.status().as_u16());
    Ok(reply.map(|content| ReplyBody::new(content, Some(turn))))
}

async fn handle(turn: &Turn, parts: &mut Parts, body: Incoming, request_id: &HeaderValue) -> Reply {
    let worker = &turn.caller.worker;
    match &turn.caller.door.kind {
        DoorKind::Check => match proxies::Door::of(parts.uri.path()) {
            None => worker.check.answer(turn, parts, body, request_id).await,
            // In a box, so that the futures of the other doors are no larger for it.
            Some(door) => Box::pin(worker.proxies.answer(turn, door, (parts, body), request_id)).await,
        },
        DoorKind::Gateway(api) => worker.gateway.answer(turn, (parts, body), request_id, api.as_ref()).await,
    }
}

fn panicked(request_id: &HeaderValue) -> Reply {
    let detail = "Something went wrong here; the request was not forwarded.";
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    problem(&Problem { status, code: "internal", detail, errors: &[] }, request_id)
}
