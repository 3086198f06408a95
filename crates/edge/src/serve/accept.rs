//! The accept loop: takes connections of all listeners and hands each to the next worker.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;

use super::Workers;
use super::worker::{Arrival, Door, Stop};

/// How long nothing is taken when the system has no more descriptors or memory to give.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Accepts until told to stop.
pub(super) async fn run(listeners: Vec<(TcpListener, Arc<Door>)>, workers: Workers, cap: usize, stop: Stop) {
    let accepting = listeners.into_iter().map(|(listener, door)| accept(listener, door, &workers, cap));
    tokio::select! {
        () = stop.gently.cancelled() => {}
        _ = join_all(accepting) => {}
    }
}

async fn accept(listener: TcpListener, door: Arc<Door>, workers: &Workers, cap: usize) {
    let listener = match listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener)) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "a listener cannot be used");
            return;
        }
    };
    let mut next: usize = 0;
    let mut is_held_up = false;
    loop {
        let taken = listener.accept().await;
        // Out of this thread's runtime: it will live in a worker's.
        match taken.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
            Ok((stream, peer)) => {
                is_held_up = false;
                if door.open.load(Ordering::Relaxed) >= cap {
                    door.refused.increment(1);
                    continue;
                }
                if stream.set_nodelay(true).is_err() {
                    continue;
                }
                let arrival = Arrival { stream, peer, door: Arc::clone(&door) };
                if workers[next % workers.len()].send(arrival).is_err() {
                    return;
                }
                next = next.wrapping_add(1);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut is_held_up, true) {
                    tracing::warn!(%error, "connections cannot be accepted for the moment");
                }
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// Whether an error means no more than that a caller went away before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
