//! Which API a request is for: told by its listener, else its host, else its path's beginning; else the one set
//! for all else, or the only one there is. And each API made ready for serving, once for each contract put in force.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use keyward_core::contract::Contract;
use keyward_core::id::ApiName;
use keyward_verify::{ApiInForce, Engine};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::asking::entrance::{Entrance, Wall, begins_with};
use crate::serve::lifeline::Lifelines;
use crate::tls::UpstreamTls;
use crate::upstream::{Address, Group, Health, Upstream};

/// An API ready for serving.
#[derive(Debug)]
pub(crate) struct Served {
    pub entrance: Entrance,
    pub upstreams: Option<Group>,
}

impl Served {
    fn new(in_force: &Arc<ApiInForce>, upstreams: Option<Group>) -> Self {
        let has_base = upstreams.as_ref().is_some_and(Group::has_base_path);
        let wall = if has_base { Wall::BasePath } else { Wall::None };
        Served { entrance: Entrance::new(in_force, "gateway", wall), upstreams }
    }

    /// The contract in force.
    pub fn contract(&self) -> &Contract {
        &self.entrance.in_force.contract
    }
}

/// All APIs ready for serving.
#[derive(Debug)]
pub(crate) struct Table {
    apis: Arc<BTreeMap<ApiName, Arc<ApiInForce>>>,
    by_name: BTreeMap<ApiName, Arc<Served>>,
    by_host: HashMap<String, Arc<Served>>,
    /// Longest first.
    by_prefix: Vec<(String, Arc<Served>)>,
    /// The one that is named for all else, or the only one there is.
    otherwise: Option<Arc<Served>>,
}

/// An API for a request, and how much of the path only told which.
#[derive(Debug)]
pub(crate) struct Routed {
    pub served: Arc<Served>,
    pub prefix_length: usize,
}

impl Table {
    /// The API of a request.
    pub fn route(&self, listener: Option<&ApiName>, host: Option<&str>, path: &str) -> Option<Routed> {
        if let Some(name) = listener {
            return self.by_name.get(name).map(|served| self.routed(served, path));
        }
        // The common cases, one API or none by host, cost no look at the host.
        let by_host = if self.by_host.is_empty() { None } else { host.and_then(|host| self.host(host)) };
        if let Some(served) = by_host {
            return Some(self.routed(served, path));
        }
        let by_prefix = self.by_prefix.iter().find(|(prefix, _)| begins_with(path, prefix));
        if let Some((prefix, served)) = by_prefix {
            return Some(Routed { served: Arc::clone(served), prefix_length: prefix.len() });
        }
        self.otherwise.as_ref().map(|served| self.routed(served, path))
    }

    /// Found by other means than its prefix; where the path has that prefix all the same, it is taken off.
    fn routed(&self, served: &Arc<Served>, path: &str) -> Routed {
        Routed { served: Arc::clone(served), prefix_length: served.entrance.prefix_length(path) }
    }

    fn host(&self, host: &str) -> Option<&Arc<Served>> {
        let host = without_port(host).trim_end_matches('.').to_ascii_lowercase();
        let exact = self.by_host.get(&host);
        exact.or_else(|| self.by_host.get(&format!("*.{}", host.split_once('.')?.1)))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// What the operator sets beside the contracts: where upstreams are, and the API of requests that nothing else tells.
#[derive(Debug, Clone)]
pub(crate) struct Overrides {
    pub by_api: BTreeMap<ApiName, Vec<Address>>,
    pub default: Option<Address>,
    pub default_api: Option<ApiName>,
    /// For connections to upstreams.
    pub room: Arc<Semaphore>,
}

impl Overrides {
    /// Where an API's upstreams are.
    pub fn addresses(&self, api: &ApiInForce) -> Vec<Address> {
        if let Some(set) = self.by_api.get(&api.name) {
            return set.clone();
        }
        let read = |url: &String| {
            let address = url.parse::<Address>();
            address.inspect_err(|error| tracing::warn!(api = %api.name, "the contract's upstream {error}")).ok()
        };
        let own: Vec<_> = api.contract.gateway.upstreams.iter().filter_map(read).collect();
        if own.is_empty() { self.default.iter().cloned().collect() } else { own }
    }
}

/// The table a worker serves by, made anew when a contract is put in force.
#[derive(Debug)]
pub(crate) struct Tables {
    overrides: Arc<Overrides>,
    upstream_tls: UpstreamTls,
    health: Arc<Health>,
    lifelines: Arc<Lifelines>,
    current: Mutex<Option<Arc<Table>>>,
}

impl Tables {
    pub fn new(
        overrides: Arc<Overrides>,
        upstream_tls: UpstreamTls,
        health: Arc<Health>,
        lifelines: Arc<Lifelines>,
    ) -> Self {
        Tables { overrides, upstream_tls, health, lifelines, current: Mutex::default() }
    }

    /// The table of the contracts in force.
    pub fn current(&self, engine: &Engine) -> Arc<Table> {
        let apis = engine.apis();
        let mut current = self.current.lock();
        if let Some(table) = &*current
            && Arc::ptr_eq(&table.apis, &apis)
        {
            return Arc::clone(table);
        }
        let table = Arc::new(self.make(apis, current.as_deref()));
        *current = Some(Arc::clone(&table));
        table
    }

    /// Every upstream with connections.
    pub fn upstreams(&self) -> Vec<Arc<Upstream>> {
        let current = self.current.lock();
        let served = current.iter().flat_map(|table| table.by_name.values());
        served.filter_map(|served| served.upstreams.as_ref()).flat_map(Group::upstreams).cloned().collect()
    }

    fn make(&self, apis: Arc<BTreeMap<ApiName, Arc<ApiInForce>>>, before: Option<&Table>) -> Table {
        let by_name: BTreeMap<_, _> = apis
            .iter()
            .map(|(name, api)| (name.clone(), self.ready(api, before.and_then(|t| t.by_name.get(name)))))
            .collect();
        let mut by_host = HashMap::new();
        let mut by_prefix = Vec::new();
        for served in by_name.values() {
            let gateway = &served.contract().gateway;
            by_host.extend(gateway.hosts.iter().map(|host| (host.clone(), Arc::clone(served))));
            by_prefix.extend(gateway.path_prefix.iter().map(|prefix| (prefix.clone(), Arc::clone(served))));
        }
        by_prefix.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        let otherwise = match &self.overrides.default_api {
            Some(name) => by_name.get(name).cloned(),
            None if by_name.len() == 1 => by_name.values().next().cloned(),
            None => None,
        };
        Table { apis, by_name, by_host, by_prefix, otherwise }
    }

    /// An API made ready, keeping what it had where nothing changed.
    fn ready(&self, api: &Arc<ApiInForce>, before: Option<&Arc<Served>>) -> Arc<Served> {
        if let Some(before) = before.filter(|before| Arc::ptr_eq(&before.entrance.in_force, api)) {
            return Arc::clone(before);
        }
        let upstream = |address: Address| {
            let kept = before.and_then(|before| before.upstreams.as_ref()).into_iter().flat_map(Group::upstreams);
            let standing = self.health.standing(&api.name, &address);
            let kept = kept.into_iter().find(|kept| kept.address == address).cloned();
            let new = || {
                let (lifelines, room) = (Arc::clone(&self.lifelines), Arc::clone(&self.overrides.room));
                Upstream::new(address, self.upstream_tls.clone(), lifelines, room)
            };
            (kept.unwrap_or_else(new), standing)
        };
        let upstreams = self.overrides.addresses(api).into_iter().map(upstream).collect();
        Arc::new(Served::new(api, Group::new(&api.name, upstreams)))
    }
}
