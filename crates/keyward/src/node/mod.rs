//! A running node: store, engine and control plane ([`Core`]), and the listeners around them ([`Node`]).
//! `serve` and `dev` start the same node; `init` needs only the core.

pub mod data_plane;
pub mod encryption;
mod forgetting;
pub mod offline;
pub mod peppers;
mod room;
mod sharing;
mod sign_in;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use keyward_control::use_cases::PeopleOptions;
use keyward_control::{Control, ControlParts};
use keyward_core::clock::SystemEntropy;
use keyward_core::limits::Rate;
use keyward_core::store::Store;
use keyward_verify::{Engine, EngineOptions, LeaseLength, NodeOptions, SystemClock};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::certificates::Certificates;
use crate::config::Config;
use crate::failure::{Doing, Outcome};
use crate::listener::{self, Bound, Limits};
use crate::ops::{self, Ops};
use crate::presets;
use crate::process;
use crate::secrets::Secrets;
use crate::watching::Watching;
use data_plane::DataPlane;
use forgetting::{Kept, forget_what_is_old};
use room::Room;

/// Connections to the operations' own address: monitors are few.
const OPS_CONNECTIONS_MAX: usize = 64;
/// How long the body of a management call may take: the largest is a contract.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Bounds of the buckets that times of barriers are counted in: from a healthy cluster to a lease that ran out.
const BARRIER_SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 12.6, 25.0];

fn limits(connections_max: usize) -> Limits {
    Limits { connections_max, body_timeout: BODY_TIMEOUT }
}

/// Store, engine and control plane, without any listener.
pub struct Core {
    /// Where state and log are kept.
    pub store: Arc<dyn Store>,
    /// What decides.
    pub engine: Arc<Engine>,
    /// What changes.
    pub control: Arc<Control>,
    metrics: PrometheusHandle,
}

impl Core {
    /// Checks the peppers and starts the engine on an open store, which is closed again where that fails.
    ///
    /// # Errors
    /// Where the peppers are not the store's, or what the store holds cannot be read.
    pub async fn start(config: &Config, secrets: &Secrets, store: Arc<dyn Store>) -> Outcome<Core> {
        match Self::assemble(config, secrets, Arc::clone(&store)).await {
            Ok(core) => Ok(core),
            Err(failure) => {
                store.close().await;
                Err(failure)
            }
        }
    }

    async fn assemble(config: &Config, secrets: &Secrets, store: Arc<dyn Store>) -> Outcome<Core> {
        // Before anything counts: what is counted before there is a recorder is lost for good.
        let metrics = recorder()?;
        let ring = Arc::new(secrets.peppers()?);
        peppers::check(&*store, secrets, &ring).await?;
        let (misses_per_second, misses_per_second_per_address) = config.misses_per_second();
        let options = EngineOptions {
            misses_per_second,
            misses_per_second_per_address,
            sharing: sharing::of(config)?,
            encryption: encryption::of(config, secrets)?,
            node: NodeOptions { name: config.node_name(), lease: lease(config), ..NodeOptions::default() },
        };
        let engine = Engine::start(store.clone(), Arc::clone(&ring), Arc::new(SystemClock), options)
            .await
            .doing("start the engine")?;
        let heads = Arc::clone(&store);
        let failures = config.failed_authentications_per_minute();
        let (log_keys, entropy) = (Arc::new(secrets.log_keys()), Arc::new(SystemEntropy));
        let control = Control::new(ControlParts {
            store: store.clone(),
            engine: Arc::clone(&engine),
            peppers: ring,
            presets: presets::load(),
            openid: sign_in::openid(config, &log_keys, entropy.clone())?,
            mailer: sign_in::mailer(config, entropy.clone())?,
            allowed_networks: config.destination_networks(),
            entropy,
            log_keys,
            heads: Arc::new(move || heads.signed_heads().map_err(std::io::Error::other)),
            backup_dir: config.dir().join("backups"),
            failures: Rate::new(failures, Duration::from_secs(60), failures)
                .doing("limit failed authentications")?,
            people: PeopleOptions { session_idle: config.session_idle(), session_max: config.session_max() },
        });
        Ok(Core { store, engine, control, metrics })
    }

    /// Writes what is noted of uses, signs the last head and closes the store.
    pub async fn stop(&self) {
        self.engine.stop().await;
        self.store.close().await;
    }
}

/// Sockets that listen and are not served yet: taken before anything is changed, so that an address that cannot
/// be had leaves nothing half done.
pub struct Sockets {
    control: Bound,
    ops: Option<Bound>,
    data_plane: data_plane::Sockets,
}

impl Sockets {
    /// Takes every address.
    ///
    /// # Errors
    /// Which address cannot be had, and which flag gives another.
    pub async fn bind(config: &Config) -> Outcome<Sockets> {
        let control = listener::bind(config.control(), "--listen").await?;
        let ops = match config.ops() {
            Some(address) => Some(listener::bind(address, "--ops-listen").await?),
            None => None,
        };
        Ok(Sockets { control, ops, data_plane: data_plane::Sockets::bind(config).await? })
    }
}

/// Where a node listens.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The control plane.
    pub control: SocketAddr,
    /// `/v1/verify`.
    pub check: SocketAddr,
    /// The gateway, where there is one.
    pub gateway: Option<SocketAddr>,
    /// Operations, where they are not the control plane's.
    pub ops: Option<SocketAddr>,
}

/// A node with all its listeners.
pub struct Node {
    /// What it serves.
    pub core: Core,
    /// Where it listens.
    pub addresses: Addresses,
    data_plane: DataPlane,
    watching: Option<Watching>,
    /// Told first: readiness says so.
    stopping: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
    notice: Duration,
    drain: Duration,
}

impl Node {
    /// Serves a core. The gateway forwards to `upstream` where a contract names none.
    ///
    /// # Errors
    /// Which address cannot be had; the core is stopped then.
    pub async fn start(config: &Config, core: Core, sockets: Sockets, upstream: Option<String>) -> Outcome<Node> {
        let Sockets { control: control_socket, ops: ops_socket, data_plane } = sockets;
        let room = share_out(config, data_plane.count());
        let (stopping, stop, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
        let started = Certificates::load(config, core.engine.clock().now()).and_then(|certificates| {
            let watching = Watching::begin(config)?;
            let observer = watching.as_ref().map(Watching::observer);
            let with = (room, upstream, observer);
            let data_plane = DataPlane::start(config, &core.engine, data_plane, &certificates, with)?;
            let reopening =
                watching.as_ref().map(|watching| watching.reopen_on_hangup(stop.clone())).transpose()?;
            Ok((certificates, data_plane, watching, reopening))
        });
        let (certificates, data_plane, watching, reopening) = match started {
            Ok(started) => started,
            Err(failure) => {
                core.stop().await;
                return Err(failure);
            }
        };
        let addresses = Addresses {
            control: control_socket.address,
            check: data_plane.check,
            gateway: data_plane.gateway,
            ops: ops_socket.as_ref().map(|bound| bound.address),
        };
        if let Some(reopening) = reopening {
            tasks.spawn(reopening);
        }
        tasks.spawn(keep_up(core.metrics.clone(), stop.clone()));
        tasks.spawn(certificates.watch.run(Arc::clone(core.engine.clock()), stop.clone()));
        let clock = Arc::clone(core.engine.clock());
        let (minutes, hours) = config.usage_kept();
        let kept = Kept { minutes, hours, unused_sessions: config.session_idle() };
        tasks.spawn(forget_what_is_old(core.store.clone(), clock, kept, stop.clone()));
        let metrics = core.metrics.clone();
        let ops = Ops {
            engine: Arc::clone(&core.engine),
            store: core.store.clone(),
            metrics,
            stopping: stopping.clone(),
        };
        let mut site = config.site(addresses.control);
        if let Some(url) = config.gateway_url(addresses.gateway) {
            site = site.with_gateway(&url);
        }
        let mut control = keyward_control::router(Arc::clone(&core.control), site);
        match ops_socket {
            Some(bound) => {
                let router = ops::router(ops, true);
                listener::serve(bound, None, router, limits(OPS_CONNECTIONS_MAX), stop.clone(), &tasks)
            }
            None => control = control.merge(ops::router(ops, addresses.control.ip().is_loopback())),
        }
        let room = limits(room.control);
        listener::serve(control_socket, certificates.control, control, room, stop.clone(), &tasks);
        let (notice, drain) = (config.notice(), config.drain());
        Ok(Node { core, addresses, data_plane, watching, stopping, stop, tasks, notice, drain })
    }

    /// Stops: load balancers have notice, then there is no new work, open requests finish in the time they have, and the
    /// core is closed in order.
    pub async fn stop(self) {
        self.stopping.cancel();
        tokio::time::sleep(self.notice).await;
        self.stop.cancel();
        self.tasks.close();
        let control = tokio::time::timeout(self.drain, self.tasks.wait());
        let (_, finished) = tokio::join!(self.data_plane.stop(self.drain), control);
        if finished.is_err() {
            tracing::warn!("some requests to the control plane were cut off: they took longer than the drain");
        }
        if let Some(watching) = self.watching {
            watching.stop().await;
        }
        self.core.stop().await;
    }
}

/// The process's file descriptors, shared out.
fn share_out(config: &Config, listeners: usize) -> Room {
    let files = process::raise_open_files();
    let (control, listener) = (config.control_connections_max(), config.gateway_connections_max());
    let wanted = Room { control, listener, upstreams: usize::MAX };
    let room = Room::of(files, wanted, listeners);
    if room.listener < listener || room.control < control {
        tracing::info!(
            files,
            control = room.control,
            listener = room.listener,
            "the limit of open files allows fewer connections than are set: raise it (LimitNOFILE, ulimit -Hn)"
        );
    }
    room
}

/// How long this node's leases last, where it has any.
pub fn lease(config: &Config) -> LeaseLength {
    let (length, renew_every) = config.lease();
    LeaseLength { length, renew_every }
}

/// What counts. Times of barriers are counted in buckets: only those can be put together over nodes.
fn recorder() -> Outcome<PrometheusHandle> {
    let barrier = Matcher::Full("keyward_barrier_seconds".into());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(barrier, &BARRIER_SECONDS);
    builder.doing("count in buckets")?.install_recorder().doing("begin to count")
}

/// Keeps the counts' memory bounded until `stop`.
async fn keep_up(metrics: PrometheusHandle, stop: CancellationToken) {
    while tokio::time::timeout(Duration::from_secs(5), stop.cancelled()).await.is_err() {
        metrics.run_upkeep();
    }
}
