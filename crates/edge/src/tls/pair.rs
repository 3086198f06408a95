//! A certificate and its private key, read from PEM and checked against one another. When it was read and from
//! where is others' business.

use std::sync::Arc;
use std::time::Duration;

use keyward_core::clock::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use x509_cert::der::Decode;

/// What is wrong with a certificate, a key or a list of authorities. Never a part of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file that should have certificates has none, or one of them is none.
    #[error("holds no certificate in PEM: {0}")]
    NoCertificate(String),
    /// The file that should have a private key has none.
    #[error("holds no private key in PEM (PKCS #8, PKCS #1 or SEC1, not encrypted)")]
    NoKey,
    /// A key of a kind that is not spoken here.
    #[error("holds a private key of a kind that cannot be used: {0}")]
    Key(String),
    /// The two files are not of one another.
    #[error("the private key does not belong to the certificate: were both files replaced?")]
    Mismatch,
    /// Something else that rustls does not take.
    #[error("cannot be used: {0}")]
    Unusable(String),
}

/// A certificate with its chain and its private key. Its `Debug` does not show the key.
#[derive(Clone)]
pub struct Pair {
    pub(super) certified: Arc<CertifiedKey>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

impl Pair {
    /// Reads a chain, the listener's own certificate first, and the private key to it.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn read(chain: &[u8], key: &[u8]) -> Result<Pair, TlsError> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
        let signing =
            provider().key_provider.load_private_key(key).map_err(|error| TlsError::Key(error.to_string()))?;
        let (not_before, not_after) = validity(&chain[0])?;
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => return Err(TlsError::Mismatch),
            Err(error) => return Err(TlsError::Unusable(error.to_string())),
        }
        Ok(Pair { certified: Arc::new(certified), not_before, not_after })
    }

    /// When the certificate ends.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether the certificate is valid at a time.
    pub fn is_valid_at(&self, at: Timestamp) -> bool {
        self.not_before <= at && at <= self.not_after
    }
}

/// The primitives that TLS is made of here.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The authorities of a file.
pub(super) fn authorities(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| TlsError::NoCertificate(error.to_string()))?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(found) if found.is_empty() => Err(TlsError::NoCertificate("there is none in it".into())),
        Ok(found) => Ok(found),
        Err(error) => Err(TlsError::NoCertificate(error.to_string())),
    }
}

/// From when to when a certificate is valid.
fn validity(certificate: &CertificateDer<'_>) -> Result<(Timestamp, Timestamp), TlsError> {
    let read = x509_cert::Certificate::from_der(certificate)
        .map_err(|error| TlsError::NoCertificate(error.to_string()))?;
    let validity = read.tbs_certificate().validity();
    let time = |since: Duration| Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    let (from, until) = (validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration());
    Ok((time(from), time(until)))
}
