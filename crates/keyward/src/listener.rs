//! A listener for one of our own routers (control plane, operations, the echo upstream): HTTP/1.1 with caps on
//! headers, connections and time, under TLS where that is set, and a stop that lets open requests finish. The data
//! plane's listeners are `keyward-edge`'s.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ConnectInfo;
use axum::{BoxError, Router};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use keyward_edge::tls::ServerTls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::failure::{Failure, Outcome};

/// Most bytes of a request's head (H04).
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most headers of a request (H04).
const HEADERS_MAX: usize = 100;
/// How long a caller may take for a TLS handshake, to send a request's head, and a kept connection may lie idle (H06).
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How much callers may ask of a listener, beside the caps on heads that all have.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most connections.
    pub connections_max: usize,
    /// How long a request's body may take to come as a whole.
    pub body_timeout: Duration,
}

/// A socket that listens, not yet served.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    /// Where it listens, with the port that was found where 0 was asked for.
    pub address: SocketAddr,
}

impl Bound {
    /// The socket, for a server of another crate. It does not block.
    ///
    /// # Errors
    /// Where the system does not let it go.
    pub fn into_std(self) -> std::io::Result<std::net::TcpListener> {
        self.listener.into_std()
    }
}

/// Listens at an address.
///
/// # Errors
/// Where the address cannot be had; the message names the flag that gives another.
pub async fn bind(address: SocketAddr, flag: &str) -> Outcome<Bound> {
    let failed = |error: std::io::Error| cannot_listen(address, flag, &error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Bound { listener, address })
}

/// Why an address cannot be listened at, and which flag gives another.
pub fn cannot_listen(address: SocketAddr, flag: &str, error: &std::io::Error) -> Failure {
    let advice = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!("Another process has it. Give another with {flag}; port 0 takes any free one.")
        }
        std::io::ErrorKind::AddrNotAvailable => format!("This machine does not have it. Give another with {flag}."),
        _ => format!("Give another with {flag}."),
    };
    Failure::failed(format!("cannot listen on {address}: {error}")).advise(advice)
}

/// Serves a router until `stop`, under TLS where there is any; the tracker's tasks are the connections, which finish
/// what they are at.
pub fn serve(
    bound: Bound,
    tls: Option<ServerTls>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
    tasks: &TaskTracker,
) {
    let accepting = accept(bound.listener, Served { tls, router, limits, stop }, tasks.clone());
    tasks.spawn(accepting);
}

/// What every connection of a listener gets.
#[derive(Clone)]
struct Served {
    tls: Option<ServerTls>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
}

async fn accept(listener: TcpListener, served: Served, tasks: TaskTracker) {
    let Served { limits, stop, .. } = &served;
    let room = Arc::new(Semaphore::new(limits.connections_max));
    loop {
        // Where there is no room, callers wait in the system's queue instead of in our memory.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let served = served.clone();
                tasks.spawn(async move {
                    begin(stream, peer, served).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                // Most often no file descriptor is free: asking again at once would only burn the processor.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Takes a connection over: to the end of its handshake, where there is one.
async fn begin(stream: TcpStream, peer: SocketAddr, served: Served) {
    let _ = stream.set_nodelay(true);
    let Some(tls) = &served.tls else { return connection(stream, peer, served).await };
    let handshake = TlsAcceptor::from(tls.current()).accept(stream);
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(HEAD_TIMEOUT, handshake) => shaken,
        // Nothing was asked yet, so nothing is cut off.
        () = served.stop.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) => connection(stream, peer, served).await,
        Ok(Err(error)) => {
            metrics::counter!("keyward_tls_handshakes_failed_total", "door" => "control").increment(1);
            tracing::debug!(%peer, %error, "a TLS handshake failed");
        }
        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: SocketAddr,
    served: Served,
) {
    let Served { router, limits: Limits { body_timeout, .. }, stop, .. } = served;
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        service.call(request.map(|body| Timed { body, timeout: body_timeout, deadline: None }))
    });
    let connection = http1::Builder::new()
        // Without a timer hyper ignores its header timeout.
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection broke");
    }
}

/// A body that must have come by a deadline: one sent a byte a minute would hold its connection for ever (H06).
struct Timed {
    body: Incoming,
    timeout: Duration,
    /// Set when the body is first waited for: most requests have none, and a timer costs.
    deadline: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Body for Timed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let timed = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut timed.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)));
        }
        let deadline = timed.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(timed.timeout)));
        deadline.as_mut().poll(cx).map(|()| Some(Err("the body took too long".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::post;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    struct Listening {
        address: SocketAddr,
        stop: CancellationToken,
        tasks: TaskTracker,
    }

    async fn served(limits: Limits) -> Listening {
        let bound = bind(([127, 0, 0, 1], 0).into(), "--listen").await.unwrap();
        let (address, stop, tasks) = (bound.address, CancellationToken::new(), TaskTracker::new());
        let router = Router::new().route("/", post(|body: Bytes| async move { body.len().to_string() }));
        serve(bound, None, router, limits, stop.clone(), &tasks);
        Listening { address, stop, tasks }
    }

    fn limits(body_timeout: Duration) -> Limits {
        Limits { connections_max: 4, body_timeout }
    }

    async fn exchange(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn h04_too_many_or_too_large_headers_are_answered_with_431() {
        let served = served(limits(Duration::from_secs(60))).await;
        let many: String = (0..101).map(|i| format!("h{i}: 1\r\n")).collect();
        let large = format!("h: {}\r\n", "a".repeat(17 * 1024));
        for headers in [many, large] {
            let request = format!("POST / HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
            assert!(exchange(served.address, request.as_bytes()).await.starts_with("HTTP/1.1 431 "));
        }
    }

    #[tokio::test]
    async fn h06_a_body_that_does_not_come_is_given_up() {
        let served = served(limits(Duration::from_millis(1))).await;
        let request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc";
        assert!(exchange(served.address, request).await.starts_with("HTTP/1.1 400 "));
    }

    #[tokio::test]
    async fn a_stop_closes_idle_connections_and_ends() {
        let served = served(limits(Duration::from_secs(60))).await;
        let mut idle = TcpStream::connect(served.address).await.unwrap();
        idle.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc").await.unwrap();
        let mut head = [0; 12];
        idle.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        served.stop.cancel();
        served.tasks.close();
        served.tasks.wait().await;
        let mut rest = Vec::new();
        idle.read_to_end(&mut rest).await.unwrap();
        assert!(TcpStream::connect(served.address).await.is_err());
    }
}
