//! A worker: one thread with a runtime, an upstream pool and compiled contracts of its own. A connection
//! stays with the worker it was given to, so nothing on a request's way is shared between threads but the
//! engine.

use std::net::{IpAddr, SocketAddr, TcpStream as StdTcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use keyward_core::id::ApiName;
use keyward_verify::Engine;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::Caps;
use super::connection;
use super::lifeline::{Lifelines, TICK};
use crate::check::Check;
use crate::gateway::Gateway;
use crate::observe::Observer;
use crate::proxies::Proxies;
use crate::request_id::RequestIds;
use crate::tls::ServerTls;

/// A listener as workers see it.
#[derive(Debug)]
pub(crate) struct Door {
    /// What is behind it.
    pub kind: DoorKind,
    /// What it speaks TLS with, where it does.
    pub tls: Option<ServerTls>,
    /// How many connections are open.
    pub open: AtomicUsize,
    /// The same for those who watch.
    pub open_gauge: metrics::Gauge,
    /// Connections that were closed because too many are open.
    pub refused: metrics::Counter,
    /// TLS handshakes that came to nothing.
    pub handshakes_failed: metrics::Counter,
    /// HTTP/2 connections that were ended because too many of their frames carried nothing.
    pub floods: metrics::Counter,
}

/// What is behind a listener.
#[derive(Debug)]
pub(crate) enum DoorKind {
    /// The verify API, and what proxies ask.
    Check,
    /// The gateway; for this API alone, where one is named.
    Gateway(Option<ApiName>),
}

/// One thread's share of the edge.
pub(crate) struct Worker {
    pub engine: Arc<Engine>,
    pub caps: Caps,
    pub trusted_proxies: Arc<[IpNet]>,
    pub lifelines: Arc<Lifelines>,
    pub request_ids: RequestIds,
    pub observer: Option<Arc<dyn Observer>>,
    pub gateway: Gateway,
    pub check: Check,
    pub proxies: Proxies,
    pub stop: Stop,
    pub running: Running,
}

/// What runs at the moment.
#[derive(Debug, Default)]
pub(crate) struct Running {
    is_stopping: AtomicBool,
    connections: AtomicUsize,
    idle: Notify,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

/// A connection as the accept loop hands it over.
pub(crate) struct Arrival {
    pub stream: StdTcpStream,
    pub peer: SocketAddr,
    pub door: Arc<Door>,
}

/// Counts a connection for as long as it is open.
pub(crate) struct Counted {
    worker: Arc<Worker>,
    door: Arc<Door>,
}

impl Worker {
    /// Whether connections are to end with the request that is under way.
    pub fn is_stopping(&self) -> bool {
        self.running.is_stopping.load(Ordering::Relaxed)
    }

    /// Whether an address is a proxy's that may speak for others.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }

    /// Counts a connection that goes on after HTTP is done with it.
    pub fn count(self: &Arc<Self>, door: &Arc<Door>) -> Counted {
        self.running.connections.fetch_add(1, Ordering::Relaxed);
        door.open.fetch_add(1, Ordering::Relaxed);
        door.open_gauge.increment(1);
        Counted { worker: Arc::clone(self), door: Arc::clone(door) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.door.open.fetch_sub(1, Ordering::Relaxed);
        self.door.open_gauge.decrement(1);
        if self.worker.running.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.worker.running.idle.notify_waiters();
        }
    }
}

/// How a worker is told to stop: first to finish what runs, then at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    pub gently: CancellationToken,
    pub now: CancellationToken,
}

/// Serves what arrives until told to stop; returns when everything has ended, or at once when told so.
pub(crate) async fn run(worker: Arc<Worker>, mut arrivals: mpsc::UnboundedReceiver<Arrival>, stop: Stop) {
    let clockwork = tokio::spawn(clockwork(Arc::clone(&worker)));
    loop {
        tokio::select! {
            biased;
            () = stop.gently.cancelled() => break,
            arrival = arrivals.recv() => match arrival {
                Some(arrival) => take(&worker, arrival),
                None => break,
            },
        }
    }
    // What was accepted before the stop is still served.
    arrivals.close();
    while let Some(arrival) = arrivals.recv().await {
        take(&worker, arrival);
    }
    worker.running.is_stopping.store(true, Ordering::Relaxed);
    worker.lifelines.wake_all();
    tokio::select! {
        () = stop.now.cancelled() => {}
        () = all_ended(&worker) => {}
    }
    clockwork.abort();
}

fn take(worker: &Arc<Worker>, arrival: Arrival) {
    let counted = worker.count(&arrival.door);
    tokio::spawn(connection::serve(Arc::clone(worker), arrival, counted));
}

async fn all_ended(worker: &Worker) {
    loop {
        let mut ended = pin!(worker.running.idle.notified());
        ended.as_mut().enable();
        if worker.running.connections.load(Ordering::Relaxed) == 0 {
            return;
        }
        ended.await;
    }
}

/// Moves the worker's time on.
async fn clockwork(worker: Arc<Worker>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let every = (Duration::from_secs(5).as_millis() / TICK.as_millis()) as u32;
    loop {
        ticks.tick().await;
        worker.lifelines.tick();
        let now = worker.lifelines.now();
        if now.is_multiple_of(every) {
            worker.gateway.close_idle(now);
        }
    }
}
