//! Certificates and private keys from files: read at the start, and read again when the files change while
//! everything runs (`watch`). What TLS is made of them is `keyward-edge`'s.

mod read;
#[cfg(test)]
mod tests;
mod watch;

use keyward_core::clock::Timestamp;
use keyward_edge::tls::{ServerTls, UpstreamTls};

use crate::config::Config;
use crate::failure::Outcome;
use read::{Shown, Spoken};
pub use watch::Watch;
use watch::{Held, Watched};

/// What the node speaks TLS with, and what keeps that up to date.
pub struct Certificates {
    /// The control plane's; plain HTTP without.
    pub control: Option<ServerTls>,
    /// The check listener's.
    pub check: Option<ServerTls>,
    /// The gateway listeners'.
    pub gateway: Option<ServerTls>,
    /// For https upstreams.
    pub upstream: UpstreamTls,
    /// Looks at the files.
    pub watch: Watch,
}

impl Certificates {
    /// Reads what the configuration names. `now` tells whether a certificate is valid: of one that is not it is said
    /// so, and it is shown all the same, because callers judge and some do not look.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub fn load(config: &Config, now: Timestamp) -> Outcome<Certificates> {
        let mut watched = Vec::new();
        let (mut control, mut check, mut gateway) = (None, None, None);
        if let Some(files) = config.listener_files() {
            // Looked at before they are read: what changes in between is seen next time.
            let stamps = watch::stamps(&files.all());
            let shown = Shown::read(&files)?;
            let speaks = |listener, tls: &_| config.speaks_tls(listener).then(|| ServerTls::new(Clone::clone(tls)));
            control = speaks("control", &shown.control);
            check = speaks("check", &shown.check);
            gateway = speaks("gateway", &shown.gateway);
            let held =
                Held::Listeners { files, control: control.clone(), check: check.clone(), gateway: gateway.clone() };
            watched.push(Watched::new(held, stamps, Some(shown.pair), now));
        }
        let files = config.upstream_files();
        let stamps = watch::stamps(&files.all());
        let Spoken { pair, config } = Spoken::read(&files)?;
        let upstream = UpstreamTls::new(config);
        if !files.all().is_empty() {
            watched.push(Watched::new(Held::Upstreams { files, tls: upstream.clone() }, stamps, pair, now));
        }
        Ok(Certificates { control, check, gateway, upstream, watch: Watch(watched) })
    }
}
