//! Several engines over one store that share rates in a Valkey or Redis of the test's own, clients that load them and
//! keep count of what they were answered, and a wire to the server that can be cut.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use keyward_core::clock::Clock;
use keyward_core::denial::Refusal;
use keyward_core::limits::{CountedOf, Rate};
use keyward_core::store::Store;
use keyward_verify::limits::Sharing;
use keyward_verify::limits::shared::{SharedAsk, SharedRates, Taken};
use keyward_verify::{Engine, EngineOptions, SystemClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::counter_server::CounterServer;
use crate::support::site::{Opened, Site, spend};
use crate::support::{Minted, ring};

pub const HOUR: Duration = Duration::from_secs(3600);
/// As in production.
pub const SHORT: Duration = Duration::from_millis(20);
/// Where a test is about counting: a busy machine must not decide it.
pub const PATIENT: Duration = Duration::from_secs(20);
/// Within which a server that is back must be used again.
pub const BACK_WITHIN: Duration = Duration::from_secs(5);

/// Nodes that share rates.
pub struct Nodes {
    pub site: Site,
    pub opened: Opened,
    pub engines: Vec<Arc<Engine>>,
    pub key: Minted,
}

impl Nodes {
    /// So many nodes that know of each other.
    pub async fn start(contract: &str, url: &str, count: usize, timeout: Duration) -> Nodes {
        let nodes = Self::start_apart(contract, url, count, timeout).await;
        nodes.know_each_other(PATIENT).await;
        nodes
    }

    /// So many nodes, wherever the server may be.
    pub async fn start_apart(contract: &str, url: &str, count: usize, timeout: Duration) -> Nodes {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let site = Site::new(contract, Arc::clone(&clock)).await;
        let opened = site.open().await;
        let key = site.mint(&opened, &site.project, 1).await.remove(0);
        let mut engines = Vec::new();
        for _ in 0..count {
            let sharing = Sharing { url: url.to_owned(), timeout, prefix: "sharing".to_owned(), nodes: 1 };
            let options = EngineOptions { sharing: Some(sharing), ..EngineOptions::default() };
            let store = Arc::clone(&opened.store) as Arc<dyn Store>;
            engines.push(Engine::start(store, ring(&[1]), Arc::clone(&clock), options).await.unwrap());
        }
        Nodes { site, opened, engines, key }
    }

    /// Waits until all nodes are connected and count each other.
    pub async fn know_each_other(&self, patience: Duration) {
        let count = self.engines.len() as u32;
        until(patience, async || self.shared().all(|shared| shared.is_up() && shared.nodes() == count)).await;
    }

    pub fn shared(&self) -> impl Iterator<Item = &SharedRates> {
        self.engines.iter().map(|engine| engine.shared_rates().unwrap())
    }

    /// Clients that ask every node without a pause, so many of each, until they are told to stop.
    pub fn load(&self, clients: usize, slow: Duration) -> Load {
        let counts = Arc::new(Counts::new(self.engines.len(), slow));
        let mut tasks = JoinSet::new();
        for (node, engine) in (0..clients).flat_map(|_| self.engines.iter().enumerate()) {
            tasks.spawn(client(Arc::clone(engine), node, self.key.secret.clone(), Arc::clone(&counts)));
        }
        Load { counts, tasks }
    }

    /// Waits until every node answers by the shared counters again; how long that took.
    pub async fn back(&self) -> Duration {
        let began = Instant::now();
        for engine in &self.engines {
            until(BACK_WITHIN, async || !spend(engine, &self.key.secret, 1).await.charge.is_degraded()).await;
        }
        began.elapsed()
    }

    /// Units of a counter that are used, as the server has it.
    pub async fn used(&self, limit: &str, of: CountedOf, rate: &Rate) -> u64 {
        let key = format!("{}:{limit}:{of}", self.site.project.api);
        let ask =
            SharedAsk { key: &key, interval: rate.interval(), tolerance: rate.tolerance(), need: 0, slice: 0 };
        match self.shared().next().unwrap().take(&[ask]).await {
            Ok(Taken::Granted(stands)) => rate.burst() - rate.remaining(stands[0].ahead, 0),
            other => panic!("{key}: {other:?}"),
        }
    }

    pub async fn stop(self) {
        for engine in self.engines {
            engine.stop().await;
        }
        self.opened.store.close().await;
    }
}

/// What clients were answered.
pub struct Counts {
    pub granted: AtomicU64,
    pub refused: AtomicU64,
    /// Answered by a node's share, for each node.
    pub degraded: Vec<AtomicU64>,
    /// The longest that one answer took, in microseconds.
    pub longest: AtomicU64,
    /// What counts as slow, and how often it was.
    slow: Duration,
    pub slow_answers: AtomicUsize,
    stop: AtomicBool,
}

impl Counts {
    fn new(nodes: usize, slow: Duration) -> Self {
        Counts {
            granted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            degraded: (0..nodes).map(|_| AtomicU64::new(0)).collect(),
            longest: AtomicU64::new(0),
            slow,
            slow_answers: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        }
    }

    pub fn granted(&self) -> u64 {
        self.granted.load(Ordering::Relaxed)
    }

    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub fn longest(&self) -> Duration {
        Duration::from_micros(self.longest.load(Ordering::Relaxed))
    }

    /// The least that any node has answered by its share.
    pub fn degraded(&self) -> u64 {
        self.degraded.iter().map(|count| count.load(Ordering::Relaxed)).min().unwrap()
    }
}

/// Clients at work.
pub struct Load {
    pub counts: Arc<Counts>,
    tasks: JoinSet<()>,
}

impl Load {
    /// Lets every client finish what it is at.
    pub async fn stop(mut self) -> Arc<Counts> {
        self.counts.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.counts
    }
}

async fn client(engine: Arc<Engine>, node: usize, secret: String, counts: Arc<Counts>) {
    while !counts.stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let decision = spend(&engine, &secret, 1).await;
        let took = began.elapsed();
        match decision.outcome {
            Ok(_) => counts.granted.fetch_add(1, Ordering::Relaxed),
            Err(denial) => {
                assert_eq!(denial.refusal(), Refusal::RateLimited);
                assert!(decision.charge.retry_after().is_some());
                counts.refused.fetch_add(1, Ordering::Relaxed)
            }
        };
        counts.degraded[node].fetch_add(u64::from(decision.charge.is_degraded()), Ordering::Relaxed);
        counts.longest.fetch_max(took.as_micros() as u64, Ordering::Relaxed);
        counts.slow_answers.fetch_add(usize::from(took >= counts.slow), Ordering::Relaxed);
        // An answer from memory waits for nothing: without this, tasks that connect would never get a turn.
        tokio::task::yield_now().await;
    }
}

/// Waits for a condition, so long and no longer.
pub async fn until(patience: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < patience, "not within {patience:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A wire to a server, which can swallow all that is sent over it: connections stay, and nothing arrives.
pub struct Wire {
    address: SocketAddr,
    is_cut: watch::Sender<bool>,
    listener: JoinHandle<()>,
}

impl Wire {
    pub async fn to(server: &CounterServer) -> Wire {
        let far = server.url().trim_start_matches("redis://").trim_end_matches("/0").parse::<SocketAddr>().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let is_cut = watch::Sender::new(false);
        let cut = is_cut.subscribe();
        let listener = tokio::spawn(async move {
            let mut ends = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(far).await else { continue };
                let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
                ends.spawn(carry(from_near, to_far, cut.clone()));
                ends.spawn(carry(from_far, to_near, cut.clone()));
            }
        });
        Wire { address, is_cut, listener }
    }

    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    pub fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// Carries bytes; those that come while the wire is cut are gone, and a connection that lost some carries no more.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, cut: watch::Receiver<bool>) {
    let (mut bytes, mut is_broken) = (vec![0; 16_384], false);
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        is_broken |= *cut.borrow();
        if !is_broken && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
