//! The API behind the gateway: its address, its connections, and bodies on their way to it and back.
//!
//! Each worker has its own connections to each upstream. A request takes the one that rested the shortest,
//! or opens another; none is shared while a request is under way. To one upstream nothing is sent twice: a request
//! goes out again only where nothing of it was written to a connection that turned out to be closed. Which of
//! several upstreams it goes to, and whether another is asked when it gives no answer, is `group`'s.

mod address;
mod body;
mod connection;
mod destination;
mod group;
mod health;
mod relay;
mod socket;

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use address::{Address, NotAnAddress};
pub(crate) use body::{Pace, RequestBody, Unforwardable, UpstreamBody};
pub(crate) use connection::Connection;
pub(crate) use connection::Unsent;
pub use destination::{DestinationOptions, Resolve, SystemResolver};
pub(crate) use destination::{Destinations, Unreached};
pub(crate) use group::{Group, Sent};
pub(crate) use health::{Health, run as check_health};

use crate::serve::lifeline::{Lifeline, Lifelines, Party, TICK};
use crate::tls::UpstreamTls;

/// Connections that rest, at most, a worker and upstream.
const RESTING_MAX: usize = 256;
/// How long one may rest. Many servers close theirs after a minute or more; those that do sooner are noticed.
const REST_MAX: Duration = Duration::from_secs(55);
/// How long connecting may take, where the contract does not allow less.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the upstream gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It could not be reached, or broke off before its answer began.
    Unreachable,
    /// It took too long.
    Timeout,
    /// The key was taken away meanwhile.
    Revoked,
}

/// An upstream as one worker sees it.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub address: Address,
    tls: UpstreamTls,
    lifelines: Arc<Lifelines>,
    room: Arc<Semaphore>,
    resting: Mutex<Vec<Resting>>,
}

#[derive(Debug)]
struct Resting {
    connection: Box<Connection>,
    since: u32,
}

impl Upstream {
    /// One at an address, spoken to with `tls` where that is https; a connection is opened only where there is `room`.
    pub fn new(address: Address, tls: UpstreamTls, lifelines: Arc<Lifelines>, room: Arc<Semaphore>) -> Arc<Self> {
        Arc::new(Upstream { address, tls, lifelines, room, resting: Mutex::default() })
    }

    /// The tick it is.
    pub fn now(&self) -> u32 {
        self.lifelines.now()
    }

    /// Sends a request and gives the head of its answer, with the connection that its body comes on.
    ///
    /// # Errors
    /// Why there is no answer, and the request where nothing of it was sent.
    pub async fn send(
        self: &Arc<Self>,
        mut request: Request<RequestBody>,
        timeout: Duration,
        lifeline: &Lifeline,
    ) -> Result<(Response<Incoming>, Box<Connection>), Unsent> {
        while let Some(mut connection) = self.take() {
            lifeline.expect(Party::Upstream, timeout);
            match connection.send(request, lifeline).await {
                Ok(answer) => return Ok((answer, connection)),
                Err((Failure::Unreachable, Some(unsent))) => request = *unsent,
                Err(failed) => return Err(failed),
            }
        }
        // That there is no room is nothing that the upstream did.
        let room = self.room().map_err(|failure| (failure, None))?;
        let mut connection =
            match Box::pin(limited(timeout, Connection::open(&self.address, &self.tls, room))).await {
                Ok(connection) => connection,
                Err(failure) => return Err((failure, Some(Box::new(request)))),
            };
        lifeline.expect(Party::Upstream, timeout);
        match connection.send(request, lifeline).await {
            Ok(answer) => Ok((answer, connection)),
            Err(failed) => Err(failed),
        }
    }

    /// Sends a request that asks to go on as another protocol, on a connection of its own.
    pub async fn send_for_upgrade(
        &self,
        request: Request<RequestBody>,
        timeout: Duration,
    ) -> Result<Response<Incoming>, Failure> {
        let room = Arc::new(self.room()?);
        let opening = Connection::open_for_upgrade(&self.address, &self.tls, Arc::clone(&room));
        let mut sender = limited(timeout, opening).await?;
        match tokio::time::timeout(timeout, sender.send_request(request)).await {
            Ok(Ok(mut answer)) => {
                // Whoever splices the connection keeps its room as long.
                answer.extensions_mut().insert(room);
                Ok(answer)
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "the upstream gave no answer");
                Err(Failure::Unreachable)
            }
            Err(_) => Err(Failure::Timeout),
        }
    }

    /// Room for one more connection.
    fn room(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.room).try_acquire_owned().map_err(|_| {
            metrics::counter!("keyward_upstream_connections_refused_total").increment(1);
            Failure::Unreachable
        })
    }

    /// Takes a connection that rests and is still open.
    fn take(&self) -> Option<Box<Connection>> {
        loop {
            let mut connection = self.resting.lock().pop()?.connection;
            if connection.is_free() {
                return Some(connection);
            }
        }
    }

    /// Lets a connection rest.
    fn put(&self, connection: Box<Connection>) {
        let mut resting = self.resting.lock();
        if resting.len() < RESTING_MAX {
            resting.push(Resting { connection, since: self.lifelines.now() });
        }
    }

    /// Closes connections that rested too long or that the upstream closed.
    pub fn close_idle(&self, now: u32) {
        let ticks = (REST_MAX.as_millis() / TICK.as_millis()) as u32;
        self.resting
            .lock()
            .retain_mut(|resting| now.saturating_sub(resting.since) < ticks && resting.connection.is_free());
    }
}

async fn limited<T>(timeout: Duration, connecting: impl Future<Output = std::io::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(timeout.min(CONNECT_TIMEOUT), connecting).await {
        Ok(Ok(connected)) => Ok(connected),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the upstream cannot be reached");
            Err(Failure::Unreachable)
        }
        Err(_) => Err(Failure::Timeout),
    }
}
