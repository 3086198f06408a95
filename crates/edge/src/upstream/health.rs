//! Whether upstreams are well: one checker an upstream and node, on a thread of its own, asks a path that the contract
//! names. Workers only read how an upstream stands. A check carries no credential and nothing of any caller.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::Empty;
use keyward_core::contract::HealthRules;
use keyward_core::id::ApiName;
use keyward_verify::{ApiInForce, Engine};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::connection::builder;
use super::socket::Socket;
use crate::tls::UpstreamTls;

/// How often it is looked whether other contracts are in force.
const LOOK: Duration = Duration::from_millis(250);
const CHECKER: HeaderValue = HeaderValue::from_static("keyward-health");

/// How an upstream stands. One that nobody checks is healthy, and so is one before its first checks.
#[derive(Debug)]
pub(crate) struct Standing(AtomicBool);

impl Default for Standing {
    fn default() -> Self {
        Standing(AtomicBool::new(true))
    }
}

impl Standing {
    /// Whether it is well.
    pub fn is_healthy(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Says how it is; whether that is news.
    pub fn set(&self, is_healthy: bool) -> bool {
        self.0.swap(is_healthy, Ordering::Relaxed) != is_healthy
    }
}

/// How all upstreams of a node stand.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<HashMap<(ApiName, Address), Weak<Standing>>>);

impl Health {
    /// How an API's upstream stands; the same for everybody who asks.
    pub fn standing(&self, api: &ApiName, address: &Address) -> Arc<Standing> {
        let mut all = self.0.lock();
        let key = (api.clone(), address.clone());
        if let Some(standing) = all.get(&key).and_then(Weak::upgrade) {
            return standing;
        }
        all.retain(|_, standing| standing.strong_count() > 0);
        let standing = Arc::new(Standing::default());
        all.insert(key, Arc::downgrade(&standing));
        standing
    }
}

/// What a checker looks at, and by what rules.
type Checked = (ApiName, Address, HealthRules);

/// A checker, which ends when this is dropped.
struct Checker {
    task: JoinHandle<()>,
    standing: Arc<Standing>,
}

impl Drop for Checker {
    fn drop(&mut self) {
        self.task.abort();
        // From now on nobody checks it.
        self.standing.set(true);
    }
}

/// Keeps the checkers that the contracts in force ask for, until `stop`. `addresses` tells an API's upstreams.
pub(crate) async fn run(
    health: Arc<Health>,
    engine: Arc<Engine>,
    addresses: impl Fn(&ApiInForce) -> Vec<Address>,
    tls: UpstreamTls,
    stop: CancellationToken,
) {
    let mut checkers: HashMap<Checked, Checker> = HashMap::new();
    let mut known: Option<Arc<BTreeMap<ApiName, Arc<ApiInForce>>>> = None;
    loop {
        let apis = engine.apis();
        if !known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &apis)) {
            let wanted: Vec<Checked> = apis.values().flat_map(|api| checked(api, addresses(api))).collect();
            // Before new ones begin: what is dropped says that its upstream is well.
            checkers.retain(|checked, _| wanted.contains(checked));
            for checked in wanted {
                let (api, address, _) = &checked;
                let standing = health.standing(api, address);
                checkers.entry(checked.clone()).or_insert_with(|| {
                    let task = tokio::spawn(check(checked, Arc::clone(&standing), tls.clone()));
                    Checker { task, standing }
                });
            }
            known = Some(apis);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn checked(api: &ApiInForce, addresses: Vec<Address>) -> impl Iterator<Item = Checked> {
    let rules = api.contract.gateway.health.clone();
    addresses.into_iter().filter_map(move |address| Some((api.name.clone(), address, rules.clone()?)))
}

/// Checks an upstream for as long as it lasts.
async fn check((api, address, rules): Checked, standing: Arc<Standing>, tls: UpstreamTls) {
    let upstream = format!("{}:{}", address.host, address.port);
    let gauge = metrics::gauge!(
        "keyward_upstream_healthy", "api" => api.as_str().to_owned(), "upstream" => upstream.clone()
    );
    let told = standing.is_healthy();
    gauge.set(if told { 1.0 } else { 0.0 });
    let mut ticks = tokio::time::interval(rules.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut good, mut bad) = (0, 0);
    loop {
        ticks.tick().await;
        let outcome = match tokio::time::timeout(rules.timeout, ask(&address, &rules.path, &tls)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Unwell::TooLate),
        };
        (good, bad) = match outcome {
            Ok(()) => (good + 1, 0),
            Err(_) => (0, bad + 1),
        };
        if good >= rules.healthy_after && standing.set(true) {
            tracing::info!(%api, upstream, "the upstream is healthy again");
        }
        if let Err(reason) = &outcome
            && bad >= rules.unhealthy_after
            && standing.set(false)
        {
            tracing::warn!(%api, upstream, %reason, "the upstream is unhealthy and gets no requests while another is well");
        }
        gauge.set(if standing.is_healthy() { 1.0 } else { 0.0 });
    }
}

/// Why a check came to nothing.
#[derive(Debug, thiserror::Error)]
enum Unwell {
    #[error("cannot be connected to: {0}")]
    Unreachable(#[from] std::io::Error),
    #[error("gave no answer: {0}")]
    NoAnswer(#[from] hyper::Error),
    #[error("answered {0}")]
    Status(StatusCode),
    #[error("took too long")]
    TooLate,
}

async fn ask(address: &Address, path: &str, tls: &UpstreamTls) -> Result<(), Unwell> {
    let socket = Socket::connect(address, tls).await?;
    let (mut sender, driver) = builder().handshake(socket).await?;
    let mut request = Request::new(Empty::<Bytes>::new());
    let target = format!("{}{path}", address.base_path);
    *request.uri_mut() = target.parse().map_err(std::io::Error::other)?;
    request.headers_mut().insert(HOST, address.host_header.clone());
    request.headers_mut().insert(USER_AGENT, CHECKER);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    let (mut answer, mut driver) = (pin!(sender.send_request(request)), pin!(driver));
    let mut has_ended = false;
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut answer => break answer?,
            // An upstream that closes has often answered: then the answer is there now.
            _ = &mut driver, if !has_ended => has_ended = true,
        }
    };
    let status = answer.status();
    if status.is_success() || status.is_redirection() { Ok(()) } else { Err(Unwell::Status(status)) }
}
