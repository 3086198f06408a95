//! Serving: listeners, workers and the life of a connection. What is asked and answered on one is the doors'
//! business (`gateway`, `check`).
//!
//! One accept loop hands connections to the workers in turn, so each gets its share whatever the kernel
//! thinks of shared ports. A worker never gives a connection away.

mod accept;
pub(crate) mod caller;
mod connection;
mod frames;
mod framing;
pub(crate) mod lifeline;
mod linger;
mod stream;
pub(crate) mod worker;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;
use std::time::Duration;

use ipnet::IpNet;
use keyward_core::clock::Entropy;
use keyward_core::id::ApiName;
use keyward_verify::{ApiInForce, Engine};
use tokio::sync::{Semaphore, mpsc};

use self::worker::{Arrival, Door, DoorKind, Stop, Worker};
use crate::check::Check;
use crate::gateway::{FieldRoom, Gateway, Overrides, Tables};
use crate::observe::Observer;
use crate::proxies::{Proxies, ProxyTrust};
use crate::request_id::RequestIds;
use crate::tls::{self, ServerTls, TlsError, UpstreamTls};
use crate::upstream::{Address, DestinationOptions, Destinations, Health, NotAnAddress, check_health};

/// How much a caller may ask of a connection. The defaults are for the open internet.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// Most headers of a request.
    pub headers_max: usize,
    /// Most bytes of a request's target and headers together.
    pub header_bytes_max: usize,
    /// Most bytes of a request's target.
    pub target_bytes_max: usize,
    /// How long a caller may take to send a request's head.
    pub header_timeout: Duration,
    /// How long a connection may rest between requests.
    pub idle_timeout: Duration,
    /// How long a caller may make us wait for a body in all, beside what `body_bytes_per_second` gives.
    pub body_grace: Duration,
    /// The slowest a body may come, in bytes a second.
    pub body_bytes_per_second: u32,
    /// Most connections open at a listener; more are closed as they come.
    pub connections_max: usize,
    /// Most connections to upstreams, of all APIs and workers together; a request that needs one more is told that the
    /// upstream cannot be reached.
    pub upstream_connections_max: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Caps {
            headers_max: 100,
            header_bytes_max: 16 * 1024,
            target_bytes_max: 8 * 1024,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_grace: Duration::from_secs(10),
            body_bytes_per_second: 1024,
            connections_max: 10_000,
            upstream_connections_max: 10_000,
        }
    }
}

/// A listener of the gateway.
#[derive(Debug)]
pub struct GatewayListener {
    /// The socket, bound.
    pub listener: TcpListener,
    /// The one API it serves; where none is named, host and path tell.
    pub api: Option<ApiName>,
}

/// How the edge is to be started.
pub struct EdgeOptions {
    /// The listener of the verify API, bound.
    pub check: TcpListener,
    /// The listeners of the gateway.
    pub gateways: Vec<GatewayListener>,
    /// Where an API's upstreams are, instead of where its contract says: http or https URLs, with one path.
    pub upstreams: BTreeMap<ApiName, Vec<String>>,
    /// Where the upstream is of APIs for which nothing else says.
    pub default_upstream: Option<String>,
    /// The API of requests that neither listener nor host nor path tells; the only one there is where none.
    pub default_api: Option<ApiName>,
    /// How many threads serve; 0 for as many as there are cores.
    pub workers: usize,
    /// How much a caller may ask.
    pub caps: Caps,
    /// Networks of proxies whose word on where a request comes from is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Which proxies may ask on behalf of callers, at the check listener.
    pub asking_proxies: ProxyTrust,
    /// Where request ids come from, and the nonces of what is encrypted.
    pub entropy: Arc<dyn Entropy>,
    /// What the verify API's listener speaks TLS with; plain HTTP without.
    pub check_tls: Option<ServerTls>,
    /// What the gateway's listeners speak TLS with; plain HTTP without.
    pub gateway_tls: Option<ServerTls>,
    /// What upstreams with https URLs are spoken to with; by the public roots without.
    pub upstream_tls: Option<UpstreamTls>,
    /// Which destinations that customers set may be reached, and how they are looked up.
    pub destinations: DestinationOptions,
    /// Who is told of every request that has ended.
    pub observer: Option<Arc<dyn Observer>>,
}

impl EdgeOptions {
    /// The defaults, with a verify API and no gateway.
    pub fn new(check: TcpListener, entropy: Arc<dyn Entropy>) -> Self {
        EdgeOptions {
            check,
            gateways: Vec::new(),
            upstreams: BTreeMap::new(),
            default_upstream: None,
            default_api: None,
            workers: 0,
            caps: Caps::default(),
            trusted_proxies: Vec::new(),
            asking_proxies: ProxyTrust::default(),
            entropy,
            check_tls: None,
            gateway_tls: None,
            upstream_tls: None,
            destinations: DestinationOptions::default(),
            observer: None,
        }
    }
}

/// Why the edge did not start.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// A setting names an upstream that is none.
    #[error("the upstream \"{url}\"{} {error}", .api.as_ref().map(|api| format!(" of {api}")).unwrap_or_default())]
    Upstream {
        /// The API whose upstream it was to be; none for the default.
        api: Option<ApiName>,
        /// What was given.
        url: String,
        /// What is wrong with it.
        error: NotAnAddress,
    },
    /// A request is sent to another upstream as it stands.
    #[error("the upstreams of {api} have different paths: they are alike but for their host")]
    UpstreamPaths {
        /// The API whose upstreams they are.
        api: ApiName,
    },
    /// TLS to upstreams cannot be spoken.
    #[error("TLS to upstreams {0}")]
    Tls(#[from] TlsError),
    /// The system refuses a thread, a runtime or a listener.
    #[error("the edge cannot be started: {0}")]
    System(#[from] std::io::Error),
}

/// The edge, serving. Dropping it stops it at once; [`Edge::shutdown`] lets requests finish.
#[derive(Debug)]
pub struct Edge {
    check: SocketAddr,
    gateways: Vec<SocketAddr>,
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
    ended: Vec<tokio::sync::oneshot::Receiver<()>>,
}

/// Starts serving.
///
/// # Errors
/// [`EdgeError`] where a setting is wrong or the system refuses.
pub fn start(options: EdgeOptions, engine: Arc<Engine>) -> Result<Edge, EdgeError> {
    let overrides = Arc::new(overrides(&options)?);
    let upstream_tls = match &options.upstream_tls {
        Some(tls) => tls.clone(),
        None => UpstreamTls::new(tls::upstream_config(None, None)?),
    };
    let public_tls = UpstreamTls::new(tls::upstream_config(None, None)?);
    let check = options.check.local_addr()?;
    let gateways = options.gateways.iter().map(|g| g.listener.local_addr()).collect::<Result<_, _>>()?;
    let mut listeners = vec![(options.check, Arc::new(door(DoorKind::Check, options.check_tls)))];
    for GatewayListener { listener, api } in options.gateways {
        listeners.push((listener, Arc::new(door(DoorKind::Gateway(api), options.gateway_tls.clone()))));
    }
    let mut edge = Edge { check, gateways, stop: Stop::default(), threads: Vec::new(), ended: Vec::new() };
    let trusted_proxies: Arc<[IpNet]> = options.trusted_proxies.into();
    let health: Arc<Health> = Arc::default();
    let field_room = FieldRoom::default();
    // Where customers send to may take its time: that must not use up what the operators' upstreams need.
    let destinations_room = Arc::new(Semaphore::new((overrides.room.available_permits() / 4).max(1)));
    let mut workers = Vec::new();
    for number in 0..worker_count(options.workers) {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let worker = |lifelines: Arc<lifeline::Lifelines>| Worker {
            gateway: Gateway::new(
                Tables::new(
                    Arc::clone(&overrides),
                    upstream_tls.clone(),
                    Arc::clone(&health),
                    Arc::clone(&lifelines),
                ),
                Destinations::new(
                    options.destinations.clone(),
                    &public_tls,
                    Arc::clone(&lifelines),
                    Arc::clone(&destinations_room),
                ),
                Arc::clone(&options.entropy),
                field_room.clone(),
            ),
            check: Check::default(),
            proxies: Proxies::new(options.asking_proxies.clone()),
            engine: Arc::clone(&engine),
            caps: options.caps,
            trusted_proxies: Arc::clone(&trusted_proxies),
            request_ids: RequestIds::new(Arc::clone(&options.entropy)),
            observer: options.observer.clone(),
            stop: edge.stop.clone(),
            running: worker::Running::default(),
            lifelines,
        };
        let worker = Arc::new(worker(Arc::default()));
        let stop = edge.stop.clone();
        edge.spawn(format!("keyward-edge-{number}"), move || worker::run(worker, arrivals, stop))?;
        workers.push(sender);
    }
    let addresses = move |api: &ApiInForce| overrides.addresses(api);
    let stop = edge.stop.gently.clone();
    edge.spawn("keyward-health".into(), move || check_health(health, engine, addresses, upstream_tls, stop))?;
    let (stop, cap) = (edge.stop.clone(), options.caps.connections_max);
    edge.spawn("keyward-accept".into(), move || accept::run(listeners, workers, cap, stop))?;
    Ok(edge)
}

impl Edge {
    /// Where the verify API listens.
    pub fn check_address(&self) -> SocketAddr {
        self.check
    }

    /// Where the gateway listens, in the order of the options.
    pub fn gateway_addresses(&self) -> &[SocketAddr] {
        &self.gateways
    }

    /// Stops: takes no more connections, lets requests that run finish within `grace`, cuts the rest.
    pub async fn shutdown(mut self, grace: Duration) {
        self.stop.gently.cancel();
        let ended = std::mem::take(&mut self.ended);
        let all_ended = futures_util::future::join_all(ended);
        if tokio::time::timeout(grace, all_ended).await.is_err() {
            tracing::warn!("some requests had not finished after {grace:?} and are cut off");
        }
        // Dropping stops what is left and joins the threads.
        let stopped = tokio::task::spawn_blocking(move || drop(self)).await;
        if let Err(error) = stopped {
            tracing::error!(%error, "the edge did not stop as it should");
        }
    }

    fn spawn<F: Future<Output = ()>>(
        &mut self,
        name: String,
        run: impl FnOnce() -> F + Send + 'static,
    ) -> Result<(), EdgeError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, ended) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            runtime.block_on(run());
            // Before the end is told: the runtime's tasks hold connections and exchanges.
            runtime.shutdown_timeout(Duration::from_secs(1));
            let _ = sender.send(());
        })?;
        self.threads.push(thread);
        self.ended.push(ended);
        Ok(())
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.stop.gently.cancel();
        self.stop.now.cancel();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn door(kind: DoorKind, tls: Option<ServerTls>) -> Door {
    let label = match &kind {
        DoorKind::Check => "check",
        DoorKind::Gateway(_) => "gateway",
    };
    let open_gauge = metrics::gauge!("keyward_connections", "door" => label);
    let refused = metrics::counter!("keyward_connections_refused_total", "door" => label);
    let handshakes_failed = metrics::counter!("keyward_tls_handshakes_failed_total", "door" => label);
    let floods = metrics::counter!("keyward_connections_flooded_total", "door" => label);
    Door { kind, tls, handshakes_failed, open: AtomicUsize::new(0), open_gauge, refused, floods }
}

fn worker_count(asked: usize) -> usize {
    match asked {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}

fn overrides(options: &EdgeOptions) -> Result<Overrides, EdgeError> {
    let parse = |api: Option<&ApiName>, url: &str| {
        url.parse::<Address>().map_err(|error| EdgeError::Upstream {
            api: api.cloned(),
            url: url.to_owned(),
            error,
        })
    };
    let by_api = options.upstreams.iter().map(|(api, urls)| {
        let addresses: Vec<_> = urls.iter().map(|url| parse(Some(api), url)).collect::<Result<_, _>>()?;
        match addresses.iter().all(|address| address.base_path == addresses[0].base_path) {
            true => Ok((api.clone(), addresses)),
            false => Err(EdgeError::UpstreamPaths { api: api.clone() }),
        }
    });
    Ok(Overrides {
        by_api: by_api.collect::<Result<_, EdgeError>>()?,
        default: options.default_upstream.as_deref().map(|url| parse(None, url)).transpose()?,
        default_api: options.default_api.clone(),
        room: Arc::new(Semaphore::new(options.caps.upstream_connections_max.min(Semaphore::MAX_PERMITS))),
    })
}

/// What came in, for one of the workers.
type Workers = Vec<mpsc::UnboundedSender<Arrival>>;
