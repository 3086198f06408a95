//! Rate counters that several nodes share in a Valkey or Redis server. Each ask is one script on the server, by the
//! server's clock: all counters of a request or none, exactly as the core's rates. What a node does while the
//! server is away, and how many units it takes at a time, is its caller's.
//!
//! A request never waits longer than [`SharedOptions::timeout`], and not at all once the server has failed: then
//! the breaker is open until the keeper, which tries a few times a second, has found the server well again.
//!
//! One server, with replicas if you like, but no cluster: the counters of one request are asked for in one script.
//! It should evict nothing (`maxmemory-policy noeviction`): a counter that is evicted is a burst that is given twice.
//! What was asked and not answered in time may be counted all the same: errors are on the side of fewer.

mod breaker;
mod keeper;
mod link;
mod nodes;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use breaker::Breaker;
use link::Failure;
use nodes::Nodes;

/// Where the counters are, and how they are asked for.
#[derive(Clone)]
pub struct SharedOptions {
    /// `redis://[[user]:password@]host:port[/database]`, or `rediss://` for TLS, which trusts the machine's
    /// certificates. May hold a password, so it is shown nowhere.
    pub url: String,
    /// This node; each node that runs has another.
    pub node: u128,
    /// The longest that a request waits for the server.
    pub timeout: Duration,
    /// What all keys on the server begin with: nodes share counters where it is the same.
    pub prefix: String,
    /// How many nodes to share with until the server has told.
    pub nodes: u32,
}

impl fmt::Debug for SharedOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SharedOptions { url: _, node, timeout, prefix, nodes } = self;
        let mut shown = f.debug_struct("SharedOptions");
        shown.field("node", &format_args!("{node:032x}")).field("timeout", timeout).field("prefix", prefix);
        shown.field("nodes", nodes);
        shown.finish_non_exhaustive()
    }
}

/// The options cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the URL of the shared rate counters is wrong ({why}): write redis://host:6379/0, or rediss:// for TLS")]
pub struct SharedUrlError {
    why: String,
}

/// The server cannot be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shared rate counters cannot be reached")]
pub struct Down;

/// Units asked of one counter. The keys of one request's asks are all different, and hold no secrets.
#[derive(Debug, Clone, Copy)]
pub struct SharedAsk<'a> {
    /// The counter.
    pub key: &'a str,
    /// Nanoseconds that one unit takes.
    pub interval: i64,
    /// Nanoseconds that a whole burst takes.
    pub tolerance: i64,
    /// Units without which the request is refused. None at all only looks.
    pub need: u64,
    /// Units wanted in all: those above `need` are taken only as far as there is room.
    pub slice: u64,
}

/// Units that were taken in vain.
#[derive(Debug, Clone, Copy)]
pub struct SharedBack<'a> {
    /// The counter.
    pub key: &'a str,
    /// Nanoseconds that one unit takes, as when they were taken.
    pub interval: i64,
    /// How many.
    pub units: u64,
    /// When they were taken: [`Stand::at`].
    pub at: i64,
}

/// How one counter stands after an ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    /// Units taken; none where the request was refused.
    pub taken: u64,
    /// Nanoseconds by which the counter is ahead of the server's clock: until the whole burst is there again.
    pub ahead: i64,
    /// The server's clock, in microseconds since 1970.
    pub at: i64,
}

/// What became of the asks of one request, all together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// All were granted; a stand for each, in their order.
    Granted(Vec<Stand>),
    /// Nothing was taken.
    Refused {
        /// Nanoseconds until there is room in all of them, if nobody else comes first; none where there never is.
        wait: Option<i64>,
        /// Which ask makes it so long.
        by: usize,
        /// How each stands, in their order.
        stands: Vec<Stand>,
    },
}

/// The counters that this node shares with others.
pub struct SharedRates {
    inner: Arc<Inner>,
    stop: DropGuard,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

struct Inner {
    options: SharedOptions,
    client: Client,
    /// The server, without a password: for logs.
    server: String,
    /// The node, as the server knows it.
    name: String,
    breaker: Breaker,
    nodes: Nodes,
}

impl SharedRates {
    /// Starts to connect, in a task of its own, and returns at once: until that is done the counters are down.
    ///
    /// # Errors
    /// [`SharedUrlError`] where the URL cannot be read. Whether there is a server is found out later.
    pub fn start(options: SharedOptions) -> Result<Arc<Self>, SharedUrlError> {
        let server = server(&options.url)?;
        let inner = Arc::new(Inner {
            server: server.addr().to_string(),
            client: Client::open(server).map_err(|error| SharedUrlError { why: error.to_string() })?,
            name: format!("{:032x}", options.node),
            nodes: Nodes::new(options.nodes),
            options,
            breaker: Breaker::new(),
        });
        let stop = CancellationToken::new();
        let keeper = tokio::spawn(keeper::run(Arc::clone(&inner), stop.clone()));
        Ok(Arc::new(SharedRates { inner, stop: stop.drop_guard(), keeper: Mutex::new(Some(keeper)) }))
    }

    /// Whether the server can be asked: it was well when last used.
    pub fn is_up(&self) -> bool {
        self.inner.breaker.is_closed()
    }

    /// How many nodes share the counters, as last known; at least this one.
    pub fn nodes(&self) -> u32 {
        self.inner.nodes.count()
    }

    /// How often this node found that the server had lost counters.
    pub fn lost(&self) -> u64 {
        self.inner.nodes.lost()
    }

    /// Takes units from all the counters, or from none.
    ///
    /// # Errors
    /// [`Down`] at once while the server is known to be away, or after the timeout.
    pub async fn take(&self, asks: &[SharedAsk<'_>]) -> Result<Taken, Down> {
        debug_assert!(are_different(asks.iter().map(|ask| ask.key)), "one counter is asked for twice");
        if asks.is_empty() {
            return Ok(Taken::Granted(Vec::new()));
        }
        let Inner { breaker, options, .. } = &*self.inner;
        let link = breaker.link().ok_or(Down)?;
        let taken = timeout(options.timeout, link.take(&options.prefix, asks)).await.unwrap_or(Err(Failure::Late));
        taken.map_err(|error| {
            breaker.open(&link, &error);
            Down
        })
    }

    /// Gives back what a request had taken that was refused elsewhere, as well as it can: nothing while the server
    /// is away, and not what has come back by itself since. Never gives back more than was taken.
    pub async fn undo(&self, backs: &[SharedBack<'_>]) {
        debug_assert!(are_different(backs.iter().map(|back| back.key)), "one counter is given back to twice");
        let Inner { breaker, options, .. } = &*self.inner;
        let Some(link) = breaker.link().filter(|_| !backs.is_empty()) else { return };
        let undone = timeout(options.timeout, link.undo(&options.prefix, backs)).await;
        if let Err(error) = undone.unwrap_or(Err(Failure::Late)) {
            breaker.open(&link, &error);
        }
    }

    /// Says good-bye to the server, so that the other nodes know at once, and lets go of it. Down from then on.
    pub async fn stop(&self) {
        let keeper = self.keeper.lock().take();
        let Some(keeper) = keeper else { return };
        self.stop.token().cancel();
        if let Err(error) = keeper.await {
            tracing::error!(%error, "the task that keeps the shared rate counters broke off");
        }
    }
}

/// Reads a URL. Answers are small and waited for, so packets are not held back to fill them.
fn server(url: &str) -> Result<ConnectionInfo, SharedUrlError> {
    let server = url.into_connection_info().map_err(|error| SharedUrlError { why: error.to_string() })?;
    if matches!(server.addr(), ConnectionAddr::TcpTls { .. }) {
        // Fails where one is chosen already, and then that one serves.
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    }
    Ok(server.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

fn are_different<'a>(keys: impl Iterator<Item = &'a str>) -> bool {
    let mut seen = std::collections::HashSet::new();
    keys.into_iter().all(|key| seen.insert(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_shown_nowhere() {
        let url = "redis://:hunter2@127.0.0.1:1/0".to_owned();
        let options =
            SharedOptions { url, node: 7, timeout: Duration::from_millis(20), prefix: "k".to_owned(), nodes: 1 };
        let server = server(&options.url).unwrap();
        assert_eq!(server.addr().to_string(), "127.0.0.1:1");
        assert!(!format!("{options:?}").contains("hunter2"));
        for wrong in ["http://:hunter2@host", "redis://:hunter2@", "redis://:hunter2@host/zero"] {
            let error = server_error(wrong);
            assert!(!error.contains("hunter2") && error.contains("redis://host"), "{error}");
        }
    }

    fn server_error(url: &str) -> String {
        server(url).unwrap_err().to_string()
    }
}
