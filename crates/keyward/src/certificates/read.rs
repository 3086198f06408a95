//! Reading the files: each failure names the file and what would mend it, and shows nothing of a key.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use keyward_edge::tls::{Offer, Pair, TlsError, server_config, upstream_config};
use tokio_rustls::rustls::{ClientConfig, ServerConfig};

use crate::config::{ListenerFiles, UpstreamFiles};
use crate::failure::{Doing, Failure, Outcome};
use crate::private_file;

/// The largest file of certificates, in bytes: every public authority together has a quarter of it.
const BYTES_MAX: u64 = 1024 * 1024;

/// What listeners show.
pub(super) struct Shown {
    pub pair: Pair,
    pub control: Arc<ServerConfig>,
    pub check: Arc<ServerConfig>,
    pub gateway: Arc<ServerConfig>,
}

/// What upstreams are spoken to with.
pub(super) struct Spoken {
    pub pair: Option<Pair>,
    pub config: Arc<ClientConfig>,
}

impl Shown {
    /// Reads a listener's files.
    ///
    /// # Errors
    /// Which of them cannot be used, and why.
    pub fn read(files: &ListenerFiles) -> Outcome<Shown> {
        let pair = pair(&files.certificate, &files.private_key)?;
        let made = |authorities: Option<&[u8]>, offer| server_config(&pair, authorities, offer);
        let authorities = files.client_ca.as_deref().map(certificates).transpose()?;
        let of_clients = |error| cannot_use(files.client_ca.as_deref().unwrap_or(&files.certificate), &error);
        let check = made(authorities.as_deref(), Offer::Http2).map_err(of_clients)?;
        let own = |error| cannot_use(&files.certificate, &error);
        // The control plane's server speaks HTTP/1.1 alone.
        let control = made(None, Offer::Http1).map_err(own)?;
        let gateway = made(None, Offer::Http2).map_err(own)?;
        Ok(Shown { pair, control, check, gateway })
    }
}

impl Spoken {
    /// Reads what upstreams are spoken to by.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub fn read(files: &UpstreamFiles) -> Outcome<Spoken> {
        let pair = files.client.as_ref().map(|(certificate, key)| pair(certificate, key)).transpose()?;
        let authorities = files.ca.as_deref().map(certificates).transpose()?;
        let config = upstream_config(authorities.as_deref(), pair.as_ref());
        let config = config.map_err(|error| cannot_use(files.ca.as_deref().unwrap_or(Path::new("TLS")), &error))?;
        Ok(Spoken { pair, config })
    }
}

fn pair(certificate: &Path, key: &Path) -> Outcome<Pair> {
    let chain = certificates(certificate)?;
    let private = private_file::read(key)?;
    Pair::read(&chain, private.as_bytes()).map_err(|error| match error {
        TlsError::NoKey | TlsError::Key(_) => cannot_use(key, &error),
        TlsError::Mismatch => {
            let files = format!("{} and {}", certificate.display(), key.display());
            Failure::usage(format!("{files} cannot be used: {error}"))
        }
        _ => cannot_use(certificate, &error),
    })
}

fn cannot_use(file: &Path, error: &TlsError) -> Failure {
    Failure::usage(format!("{} {error}", file.display()))
}

fn certificates(path: &Path) -> Outcome<Vec<u8>> {
    let file = File::open(path).doing(format!("read {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).doing(format!("read {}", path.display()))?;
    match bytes.len() as u64 > BYTES_MAX {
        true => Err(Failure::usage(format!("{} is too large to be a file of certificates", path.display()))),
        false => Ok(bytes),
    }
}
