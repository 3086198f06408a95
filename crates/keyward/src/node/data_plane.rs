//! The data plane as configured: its sockets and options. `keyward-edge` does the work.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use keyward_core::clock::SystemEntropy;
use keyward_core::id::ApiName;
use keyward_edge::{Caps, Edge, EdgeOptions, GatewayListener, Observer, ProxySecret, ProxyTrust};
use keyward_verify::Engine;

use crate::certificates::Certificates;
use crate::config::Config;
use crate::failure::{Doing, Failure, Outcome};
use crate::listener::{self, Bound};
use crate::node::room::Room;
use crate::private_file;

/// The data plane's sockets, not served yet.
pub struct Sockets {
    check: Bound,
    gateway: Option<Bound>,
    further: Vec<(ApiName, Bound)>,
}

impl Sockets {
    /// Takes the addresses of check and gateway.
    ///
    /// # Errors
    /// Which address cannot be had, and which flag gives another.
    pub async fn bind(config: &Config) -> Outcome<Sockets> {
        let check = listener::bind(config.check(), "--check-listen").await?;
        let gateway = match config.gateway() {
            Some(address) => Some(listener::bind(address, "--gateway-listen").await?),
            None => None,
        };
        let mut further = Vec::new();
        for (api, address) in config.gateway_listeners() {
            further.push((api, listener::bind(address, "the setting gateway.listeners").await?));
        }
        Ok(Sockets { check, gateway, further })
    }

    /// How many listeners they are.
    pub fn count(&self) -> usize {
        1 + usize::from(self.gateway.is_some()) + self.further.len()
    }
}

/// The running check and gateway listeners.
pub struct DataPlane {
    /// Where `/v1/verify` is asked.
    pub check: SocketAddr,
    /// Where the gateway listens.
    pub gateway: Option<SocketAddr>,
    edge: Edge,
}

impl DataPlane {
    /// Serves the sockets, with as many connections as there is room for. The gateway forwards to `upstream` where
    /// nothing else names one.
    ///
    /// # Errors
    /// Where an upstream is none, or the system refuses.
    pub fn start(
        config: &Config,
        engine: &Arc<Engine>,
        sockets: Sockets,
        certificates: &Certificates,
        (room, upstream, observer): (Room, Option<String>, Option<Arc<dyn Observer>>),
    ) -> Outcome<DataPlane> {
        let (check, gateway) = (sockets.check.address, sockets.gateway.as_ref().map(|bound| bound.address));
        let into_std = |bound: Bound| bound.into_std().doing("hand a socket over");
        let mut options = EdgeOptions::new(into_std(sockets.check)?, Arc::new(SystemEntropy));
        if let Some(bound) = sockets.gateway {
            options.gateways.push(GatewayListener { listener: into_std(bound)?, api: None });
        }
        for (api, bound) in sockets.further {
            options.gateways.push(GatewayListener { listener: into_std(bound)?, api: Some(api) });
        }
        for (api, url) in config.gateway_upstreams() {
            options.upstreams.entry(api).or_default().push(url);
        }
        options.default_upstream = upstream;
        options.default_api = config.gateway_api();
        options.workers = config.gateway_workers();
        let (header_timeout, body_grace) = config.gateway_patience();
        let (connections_max, upstream_connections_max) = (room.listener, room.upstreams);
        options.caps =
            Caps { connections_max, upstream_connections_max, header_timeout, body_grace, ..Caps::default() };
        options.observer = observer;
        options.trusted_proxies = config.trusted_proxies();
        options.check_tls = certificates.check.clone();
        options.gateway_tls = certificates.gateway.clone();
        options.upstream_tls = Some(certificates.upstream.clone());
        options.destinations.allowed_networks = config.destination_networks();
        options.asking_proxies = asking_proxies(config)?;
        let edge = keyward_edge::start(options, Arc::clone(engine))
            .map_err(|error| Failure::usage(error.to_string()).advise("An upstream is an http or https URL."))?;
        Ok(DataPlane { check, gateway, edge })
    }

    /// Lets open requests finish, for at most `drain`.
    pub async fn stop(self, drain: Duration) {
        self.edge.shutdown(drain).await;
    }
}

/// Which proxies may ask on behalf of callers.
fn asking_proxies(config: &Config) -> Outcome<ProxyTrust> {
    let secret = match config.proxy_secret_file() {
        None => None,
        Some(path) => {
            let refusal = |error| Failure::usage(format!("check.proxy_secret_file: {} {error}", path.display()));
            Some(ProxySecret::new(&private_file::read(&path)?).map_err(refusal)?)
        }
    };
    Ok(ProxyTrust { networks: config.asking_proxies().into(), secret })
}
