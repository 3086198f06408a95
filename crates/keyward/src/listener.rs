//! A listener for one of our own routers (control plane, operations, the echo upstream): HTTP/1.1 with caps on
//! headers, connections and time, and a stop that lets open requests finish. The data plane's listeners are
//! `keyward-edge`'s.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::failure::{Failure, Outcome};

/// Most bytes of a request's head (H04).
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most headers of a request (H04).
const HEADERS_MAX: usize = 100;
/// How long a caller may take to send a request's head, and a kept connection may lie idle (H06).
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

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

/// Serves a router until `stop`; the tracker's tasks are the connections, which finish what they are at.
pub fn serve(bound: Bound, router: Router, connections_max: usize, stop: CancellationToken, tasks: &TaskTracker) {
    let accepting = accept(bound.listener, router, connections_max, stop, tasks.clone());
    tasks.spawn(accepting);
}

async fn accept(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let room = Arc::new(Semaphore::new(connections_max));
    loop {
        // Where there is no room, callers wait in the system's queue instead of in our memory.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection(stream, peer, router.clone(), stop.clone());
                tasks.spawn(async move {
                    connection.await;
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

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        service.call(request)
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
