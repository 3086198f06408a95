//! Destinations: upstreams that customers set. A URL of theirs must not lead into the operator's network, so its name is
//! looked up once, every address that it has is checked, and for a stated time connections go to those addresses and to
//! no others, whatever the name leads to meanwhile. Redirects are not followed here or anywhere: they go to the caller.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use keyward_core::network;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::{Address, CONNECT_TIMEOUT, Upstream};
use crate::serve::lifeline::{Lifelines, TICK};
use crate::tls::UpstreamTls;

/// For how long a name's addresses are kept to.
const PIN_FOR: Duration = Duration::from_secs(60);
/// Most destinations that a worker keeps; the one that ends first makes room.
const PINS_MAX: usize = 1024;

/// Most names that a worker looks up at a time: the system's way holds a thread for each, for as long as it takes.
const LOOKUPS_MAX: usize = 16;
/// For how long it is remembered that a name leads nowhere.
const FAILED_FOR: Duration = Duration::from_secs(5);

/// Looking up a name's addresses.
pub trait Resolve: Send + Sync {
    /// All addresses of a name, or the one that the text already is.
    fn resolve<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;
}

/// The system's own way of looking up names.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()) })
    }
}

/// How destinations are looked up, and which of them may be reached.
#[derive(Clone)]
pub struct DestinationOptions {
    /// What looks up their names.
    pub resolver: Arc<dyn Resolve>,
    /// Networks that may be reached although they are not of the public internet, and without TLS.
    pub allowed_networks: Vec<IpNet>,
    /// What they are spoken to with; by the public roots without. Never the certificate that upstreams are shown.
    pub tls: Option<UpstreamTls>,
}

impl Default for DestinationOptions {
    /// The system's resolver, the public internet and nothing else.
    fn default() -> Self {
        DestinationOptions { resolver: Arc::new(SystemResolver), allowed_networks: Vec::new(), tls: None }
    }
}

/// Why a destination is not sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreached {
    /// It leads where nothing may be sent.
    Refused,
    /// Its name leads nowhere.
    Unknown,
    /// Its name could not be looked up in time.
    Timeout,
}

/// A worker's destinations.
pub(crate) struct Destinations {
    resolver: Arc<dyn Resolve>,
    allowed: Vec<IpNet>,
    tls: UpstreamTls,
    lifelines: Arc<Lifelines>,
    room: Arc<Semaphore>,
    pins: Mutex<HashMap<Place, Pinned>>,
    lookups: Arc<Semaphore>,
    /// Names that lead nowhere, each with the tick at which that is forgotten.
    failed: Mutex<HashMap<String, (Unreached, u32)>>,
}

/// What is pinned: a host and port, and whether TLS is spoken there.
type Place = (String, u16, bool);

struct Pinned {
    upstream: Arc<Upstream>,
    /// The tick at which it ends.
    until: u32,
}

impl Destinations {
    /// None so far.
    pub fn new(
        options: DestinationOptions,
        public: &UpstreamTls,
        lifelines: Arc<Lifelines>,
        room: Arc<Semaphore>,
    ) -> Self {
        let DestinationOptions { resolver, allowed_networks, tls } = options;
        let tls = tls.unwrap_or_else(|| public.clone());
        let lookups = Arc::new(Semaphore::new(LOOKUPS_MAX));
        Destinations {
            resolver,
            allowed: allowed_networks,
            tls,
            lifelines,
            room,
            pins: Mutex::default(),
            lookups,
            failed: Mutex::default(),
        }
    }

    /// The upstream that a destination is, at addresses that were checked.
    pub async fn reach(&self, address: &Address) -> Result<Arc<Upstream>, Unreached> {
        let place = (address.host.to_ascii_lowercase(), address.port, address.is_tls);
        let now = self.lifelines.now();
        let pinned =
            self.pins.lock().get(&place).filter(|pin| now < pin.until).map(|pin| Arc::clone(&pin.upstream));
        if let Some(upstream) = pinned {
            return Ok(upstream);
        }
        let mut found = self.look_up(&place.0).await?;
        found.sort_unstable();
        found.dedup();
        // One address that is wrong condemns them all: whoever sets such a name means no good.
        if !found.iter().all(|&ip| self.may_reach(ip, address.is_tls)) {
            metrics::counter!("keyward_destinations_refused_total").increment(1);
            tracing::info!(host = %address.host, addresses = ?found, "a destination leads into a network that is not allowed");
            return Err(Unreached::Refused);
        }
        let pinned = found.into_iter().map(|ip| SocketAddr::new(ip, address.port)).collect();
        Ok(self.pin(place, Address { base_path: String::new(), pinned, ..address.clone() }))
    }

    /// All addresses of a name.
    async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, Unreached> {
        let now = self.lifelines.now();
        let failed = self.failed.lock().get(host).copied();
        if let Some((unreached, _)) = failed.filter(|(_, until)| now < *until) {
            return Err(unreached);
        }
        let (resolver, lookups, name) = (Arc::clone(&self.resolver), Arc::clone(&self.lookups), host.to_owned());
        // By itself: a look-up that nobody waits for any more still holds its thread, and so its place among the few.
        let looking = tokio::spawn(async move {
            let _place = lookups.acquire_owned().await.map_err(io::Error::other)?;
            resolver.resolve(&name).await
        });
        let unreached = match tokio::time::timeout(CONNECT_TIMEOUT, looking).await {
            Ok(Ok(Ok(found))) if !found.is_empty() => return Ok(found),
            Ok(end) => {
                tracing::debug!(host, ?end, "a destination's name leads nowhere");
                Unreached::Unknown
            }
            Err(_) => Unreached::Timeout,
        };
        let until = now.saturating_add((FAILED_FOR.as_millis() / TICK.as_millis()) as u32);
        let mut failed = self.failed.lock();
        if failed.len() >= PINS_MAX {
            failed.clear();
        }
        failed.insert(host.to_owned(), (unreached, until));
        Err(unreached)
    }

    /// What is not encrypted goes to networks that the operator named, not across the internet.
    fn may_reach(&self, ip: IpAddr, is_tls: bool) -> bool {
        match is_tls {
            true => network::is_allowed(ip, &self.allowed),
            false => network::is_in(ip, &self.allowed),
        }
    }

    fn pin(&self, place: Place, address: Address) -> Arc<Upstream> {
        let now = self.lifelines.now();
        let until = now.saturating_add((PIN_FOR.as_millis() / TICK.as_millis()) as u32);
        let mut pins = self.pins.lock();
        // Where its addresses are what they were, its connections are kept.
        let kept =
            pins.get(&place).filter(|pin| pin.upstream.address == address).map(|pin| Arc::clone(&pin.upstream));
        let make = || Upstream::new(address, self.tls.clone(), Arc::clone(&self.lifelines), Arc::clone(&self.room));
        let upstream = kept.unwrap_or_else(make);
        if pins.len() >= PINS_MAX && !pins.contains_key(&place) {
            let first = pins.iter().min_by_key(|(_, pin)| pin.until).map(|(place, _)| place.clone());
            first.and_then(|place| pins.remove(&place));
        }
        pins.insert(place, Pinned { upstream: Arc::clone(&upstream), until });
        upstream
    }

    /// Closes connections that rested too long, and forgets destinations that nobody asked for in a while.
    pub fn close_idle(&self, now: u32) {
        let mut pins = self.pins.lock();
        pins.retain(|_, pin| now < pin.until);
        self.failed.lock().retain(|_, (_, until)| now < *until);
        pins.values().for_each(|pin| pin.upstream.close_idle(now));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Gives one answer after the other, the last for ever.
    struct Scripted(Mutex<VecDeque<Vec<&'static str>>>);

    impl Resolve for Scripted {
        fn resolve<'a>(&'a self, _: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
            let mut answers = self.0.lock();
            let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
            let answer = answer.unwrap_or_default();
            Box::pin(async move { Ok(answer.iter().map(|ip| ip.parse().unwrap()).collect()) })
        }
    }

    fn destinations(answers: &[&[&'static str]], allowed: &[&str]) -> Destinations {
        let answers = answers.iter().map(|answer| answer.to_vec()).collect();
        let allowed_networks = allowed.iter().map(|net| net.parse().unwrap()).collect();
        let resolver = Arc::new(Scripted(Mutex::new(answers)));
        let public = UpstreamTls::new(crate::tls::upstream_config(None, None).unwrap());
        let options = DestinationOptions { resolver, allowed_networks, tls: None };
        Destinations::new(options, &public, Arc::default(), Arc::new(Semaphore::new(16)))
    }

    async fn reached(destinations: &Destinations, url: &str) -> Result<Vec<SocketAddr>, Unreached> {
        let address = url.parse().unwrap();
        destinations.reach(&address).await.map(|upstream| upstream.address.pinned.clone())
    }

    #[tokio::test]
    async fn h14_every_address_of_a_name_is_checked() {
        let one = |answer: &'static [&'static str]| destinations(&[answer], &["127.0.0.0/8"]);
        let public = reached(&one(&["8.8.8.8", "2606:4700::1111"]), "https://a.test:444/x").await.unwrap();
        assert_eq!(public, ["8.8.8.8:444".parse().unwrap(), "[2606:4700::1111]:444".parse().unwrap()]);
        let mixed: [&'static [&'static str]; 4] =
            [&["8.8.8.8", "10.0.0.1"], &["169.254.169.254"], &["::ffff:10.0.0.1"], &["2606:4700::1111", "::1"]];
        for answer in mixed {
            assert_eq!(reached(&one(answer), "https://a.test").await, Err(Unreached::Refused), "{answer:?}");
        }
        // Plain HTTP goes to networks that were named, and to none besides.
        assert_eq!(reached(&one(&["8.8.8.8"]), "http://a.test").await, Err(Unreached::Refused));
        assert!(reached(&one(&["127.0.0.1"]), "http://a.test").await.is_ok());
        assert_eq!(reached(&one(&[]), "https://a.test").await, Err(Unreached::Unknown));
    }

    #[tokio::test]
    async fn h14_a_name_that_leads_elsewhere_later_is_kept_to_where_it_led() {
        let rebinding = destinations(&[&["127.0.0.1"], &["10.0.0.1"], &["127.0.0.1"]], &["127.0.0.0/8"]);
        let pinned = Ok(vec!["127.0.0.1:80".parse().unwrap()]);
        assert_eq!(reached(&rebinding, "http://A.test").await, pinned);
        for _ in 0..239 {
            rebinding.lifelines.tick();
            assert_eq!(reached(&rebinding, "http://a.test/other").await, pinned);
        }
        rebinding.lifelines.tick();
        assert_eq!(reached(&rebinding, "http://a.test").await, Err(Unreached::Refused));
        // What is refused is not kept: the next request asks anew.
        assert_eq!(reached(&rebinding, "http://a.test").await, pinned);
    }

    #[tokio::test]
    async fn destinations_that_are_kept_are_bounded() {
        let many = destinations(&[&["127.0.0.1"]], &["127.0.0.0/8"]);
        for port in 1..2000 {
            reached(&many, &format!("http://a.test:{port}")).await.unwrap();
        }
        assert_eq!(many.pins.lock().len(), PINS_MAX);
        many.close_idle(240);
        assert_eq!(many.pins.lock().len(), 0);
    }
}
