//! TLS: what a listener shows to callers, and what is shown to upstreams. Both can be replaced while running: the
//! next connection gets the new, those that are open go on with what they began with. Reading files and looking
//! whether they changed is the binary's.

mod pair;

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

pub use pair::{Pair, TlsError};
use pair::{authorities, provider};

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// The versions of HTTP that a listener offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2, and HTTP/1.1 for who does not speak it.
    Http2,
}

/// What a listener speaks TLS with.
#[derive(Debug, Clone)]
pub struct ServerTls(Arc<ArcSwap<ServerConfig>>);

impl ServerTls {
    /// From a made configuration.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        ServerTls(Arc::new(ArcSwap::new(config)))
    }

    /// The next connections get this one. Sessions of before are not resumed: whoever was let in by what was
    /// replaced is looked at again.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        self.0.store(config);
    }

    /// What a connection that begins now gets.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.0.load_full()
    }
}

/// What TLS to upstreams is spoken with.
#[derive(Debug, Clone)]
pub struct UpstreamTls(Arc<ArcSwap<ClientConfig>>);

impl UpstreamTls {
    /// From a made configuration.
    pub fn new(config: Arc<ClientConfig>) -> Self {
        UpstreamTls(Arc::new(ArcSwap::new(config)))
    }

    /// The next connections get this one.
    pub fn replace(&self, config: Arc<ClientConfig>) {
        self.0.store(config);
    }

    /// What a connection that begins now gets.
    pub(crate) fn current(&self) -> Arc<ClientConfig> {
        self.0.load_full()
    }
}

/// A listener's configuration: TLS 1.2 and 1.3. With `client_authorities`, a PEM of them, certificates of clients
/// are verified where they are presented; nobody has to present one.
///
/// # Errors
/// What is wrong with the authorities.
pub fn server_config(
    pair: &Pair,
    client_authorities: Option<&[u8]>,
    offer: Offer,
) -> Result<Arc<ServerConfig>, TlsError> {
    let unusable = |error: &dyn std::error::Error| TlsError::Unusable(error.to_string());
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    let builder = match client_authorities {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let roots = Arc::new(authorities(pem)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                .allow_unauthenticated()
                .build()
                .map_err(|error| unusable(&error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let resolver: Arc<dyn ResolvesServerCert> = Arc::new(SingleCertAndKey::from((*pair.certified).clone()));
    let mut config = builder.with_cert_resolver(resolver);
    config.alpn_protocols = match offer {
        Offer::Http1 => vec![HTTP1.to_vec()],
        Offer::Http2 => vec![HTTP2.to_vec(), HTTP1.to_vec()],
    };
    Ok(Arc::new(config))
}

/// What upstreams are spoken to with: by `authorities_pem` alone where there is one, else by the public roots; and
/// showing `pair` to those that ask for it.
///
/// # Errors
/// What is wrong with the authorities.
pub fn upstream_config(authorities_pem: Option<&[u8]>, pair: Option<&Pair>) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = match authorities_pem {
        Some(pem) => authorities(pem)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Unusable(error.to_string()))?
        .with_root_certificates(roots);
    let mut config = match pair {
        Some(pair) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from((*pair.certified).clone())))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![HTTP1.to_vec()];
    Ok(Arc::new(config))
}

/// Whether HTTP/2 was agreed on.
pub(crate) fn agreed_on_http2(alpn: Option<&[u8]>) -> bool {
    alpn == Some(HTTP2)
}
