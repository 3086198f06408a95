//! The settings of TLS: what listeners show, and what upstreams are shown.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use keyward_control::Site;

use super::value::Value;
use super::{Complaint, Config};

/// The listeners that can speak TLS, by their settings' names.
pub const TLS_LISTENERS: &[&str] = &["control", "check", "gateway"];

/// The files that listeners speak TLS by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerFiles {
    /// The certificate and what vouches for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub private_key: PathBuf,
    /// Who vouches for clients of the check listener, where they are looked at.
    pub client_ca: Option<PathBuf>,
}

/// The files that upstreams are spoken to by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamFiles {
    /// Who vouches for upstreams, in the place of the public authorities.
    pub ca: Option<PathBuf>,
    /// The certificate that is shown to those that ask, and its private key.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl ListenerFiles {
    /// All of them.
    pub fn all(&self) -> Vec<&Path> {
        [Some(&self.certificate), Some(&self.private_key), self.client_ca.as_ref()]
            .into_iter()
            .flatten()
            .map(PathBuf::as_path)
            .collect()
    }
}

impl UpstreamFiles {
    /// All of them.
    pub fn all(&self) -> Vec<&Path> {
        let client = self.client.iter().flat_map(|(certificate, key)| [certificate, key]);
        self.ca.iter().chain(client).map(PathBuf::as_path).collect()
    }
}

impl Config {
    /// What listeners speak TLS by, where any does.
    pub fn listener_files(&self) -> Option<ListenerFiles> {
        Some(ListenerFiles {
            certificate: self.path("tls.certificate_file")?,
            private_key: self.path("tls.private_key_file")?,
            client_ca: self.path("tls.client_ca_file"),
        })
    }

    /// What upstreams are spoken to by.
    pub fn upstream_files(&self) -> UpstreamFiles {
        let client = self.path("upstream.client_certificate_file").zip(self.path("upstream.client_key_file"));
        UpstreamFiles { ca: self.path("upstream.ca_file"), client }
    }

    /// Whether a listener of [`TLS_LISTENERS`] speaks TLS.
    pub fn speaks_tls(&self, listener: &str) -> bool {
        let chosen = match self.value("tls.listeners") {
            Value::Words(words) => words.iter().any(|word| word == listener),
            _ => false,
        };
        chosen && self.path("tls.certificate_file").is_some()
    }

    /// The URL of a listener at an address.
    pub fn url_of(&self, listener: &str, address: SocketAddr) -> String {
        let scheme = if self.speaks_tls(listener) { "https" } else { "http" };
        format!("{scheme}://{address}")
    }

    /// The site of the control plane where nobody said another.
    pub(super) fn own_site(&self, listens: SocketAddr) -> Site {
        match self.speaks_tls("control") {
            true => Site::new(&self.url_of("control", listens)).unwrap_or_else(|_| Site::at(listens)),
            false => Site::at(listens),
        }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.text(name)).filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// What is set without what it needs.
    pub(super) fn incomplete_tls(&self) -> Vec<Complaint> {
        let needs = [
            ("tls.certificate_file", "tls.private_key_file"),
            ("tls.private_key_file", "tls.certificate_file"),
            ("tls.client_ca_file", "tls.certificate_file"),
            ("upstream.client_certificate_file", "upstream.client_key_file"),
            ("upstream.client_key_file", "upstream.client_certificate_file"),
        ];
        let lacking = needs.iter().filter(|(one, other)| self.path(one).is_some() && self.path(other).is_none());
        let mut found: Vec<_> =
            lacking.map(|(one, other)| self.complain(one, format!("needs {other} as well"))).collect();
        if found.is_empty() && self.path("tls.client_ca_file").is_some() && !self.speaks_tls("check") {
            let reason = "is for clients of the check listener, which tls.listeners leaves out";
            found.push(self.complain("tls.client_ca_file", reason.into()));
        }
        found
    }
}
