//! A Keyward that trusts the proxies of this machine's 127.0.0.1, an API, and a proxy of each kind between a caller and it.

use crate::harness::raw::{Answer, exchange};
use crate::harness::{Keyward, Request, Scripted, Upstream, eventually};

use super::proxy::{Around, Kind, Proxy};

/// The proxies that are trusted in these stories. Loopback has many addresses.
pub const TRUSTED: (&str, &str) = ("KEYWARD_CHECK_ASKING_PROXIES", "127.0.0.1/32");

pub struct World {
    pub keyward: Keyward,
    pub upstream: Upstream,
    pub proxies: Vec<Proxy>,
}

/// A way in front of the API.
#[derive(Clone, Copy)]
pub enum Way<'a> {
    Gateway(&'a Keyward),
    Proxy(&'a Proxy),
}

impl World {
    /// With a preset, and all proxies ready to ask.
    pub fn new(preset: &str) -> Self {
        Self::amended(preset, "")
    }

    /// The same with lines laid over the contract.
    pub fn amended(preset: &str, lines: &str) -> Self {
        let upstream = Upstream::start(Scripted::json(200, r#"{"ok":true}"#));
        let keyward = Keyward::dev_with_env(preset, &["--upstream", &upstream.url], &[TRUSTED]);
        if !lines.is_empty() {
            keyward.amend(lines);
        }
        let mut world = World { keyward, upstream, proxies: Vec::new() };
        world.proxies = Kind::ALL.into_iter().map(|kind| Proxy::start(kind, world.around())).collect();
        for proxy in &world.proxies {
            let nobodys = Request::get("/");
            eventually("the proxy has Keyward's refusal", || {
                let answer = proxy.send(&nobodys);
                (answer.status == 401 || answer.status == 403).then_some(())
            });
        }
        world
    }

    /// What stands around a proxy.
    pub fn around(&self) -> Around<'_> {
        let check = self.keyward.started.check_url.trim_start_matches("http://").trim_end_matches('/');
        let upstream = self.upstream.url.trim_start_matches("http://");
        Around { check, upstream, api: &self.keyward.started.api }
    }

    /// The gateway and every proxy.
    pub fn ways(&self) -> impl Iterator<Item = Way<'_>> {
        std::iter::once(Way::Gateway(&self.keyward)).chain(self.proxies.iter().map(Way::Proxy))
    }
}

impl Way<'_> {
    pub fn name(&self) -> String {
        match self {
            Way::Gateway(_) => "the gateway".into(),
            Way::Proxy(proxy) => format!("{:?}", proxy.kind),
        }
    }

    pub fn strips_queries(&self) -> bool {
        match self {
            Way::Gateway(_) => true,
            Way::Proxy(proxy) => proxy.kind.strips_queries(),
        }
    }

    /// Sends a request on a connection of its own.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Answer {
        match self {
            Way::Gateway(keyward) => {
                let address = keyward.gateway_address();
                exchange(&address, request.bytes(&address)).expect("the gateway answers")
            }
            Way::Proxy(proxy) => proxy.send(request),
        }
    }
}
