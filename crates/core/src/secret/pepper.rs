//! Peppers: the keys of the keyed hashes. They live outside the store (a file of mode 0600, or the
//! environment), so a stolen database can neither present nor test a key.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Which pepper a key was minted under: the first byte of its body.
pub type PepperVersion = u8;

/// Length of a canary in bytes.
pub const CANARY_LENGTH: usize = 32;

/// A ring of peppers that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PepperError {
    /// There is none at all.
    #[error("no pepper is given: at least one is needed to mint and check keys")]
    None,
    /// One is too short to resist guessing.
    #[error("pepper {version} has {length} bytes; at least 32 are needed")]
    Short {
        /// Its version.
        version: PepperVersion,
        /// Its length in bytes.
        length: usize,
    },
}

/// The peppers in use, each with its HMAC state prepared. The highest version mints; every version checks.
pub struct Peppers {
    prepared: Vec<Option<Hmac<Sha256>>>,
    current: PepperVersion,
}

impl std::fmt::Debug for Peppers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Peppers(current {})", self.current)
    }
}

impl Peppers {
    /// Prepares the given peppers.
    ///
    /// # Errors
    /// Where there is none or one has fewer than 32 bytes.
    pub fn new(peppers: &[(PepperVersion, &[u8])]) -> Result<Self, PepperError> {
        let current = peppers.iter().map(|(version, _)| *version).max().ok_or(PepperError::None)?;
        let mut prepared = vec![None; usize::from(current) + 1];
        for &(version, bytes) in peppers {
            if bytes.len() < 32 {
                return Err(PepperError::Short { version, length: bytes.len() });
            }
            let state = Hmac::<Sha256>::new_from_slice(bytes).expect("HMAC takes a key of any length");
            prepared[usize::from(version)] = Some(state);
        }
        Ok(Peppers { prepared, current })
    }

    /// The version that mints new keys.
    pub fn current(&self) -> PepperVersion {
        self.current
    }

    /// Every version at hand, ascending.
    pub fn versions(&self) -> impl Iterator<Item = PepperVersion> + '_ {
        (0..=self.current).filter(|&version| self.has(version))
    }

    /// Whether this version is at hand.
    pub fn has(&self, version: PepperVersion) -> bool {
        matches!(self.prepared.get(usize::from(version)), Some(Some(_)))
    }

    /// A value that shows which pepper a store was used with, and tells nothing of it.
    pub fn canary(&self, version: PepperVersion) -> Option<[u8; CANARY_LENGTH]> {
        self.hash(version, &[b"keyward/canary/v1"])
    }

    /// Whether `canary` was made with the pepper of this version.
    pub fn matches_canary(&self, version: PepperVersion, canary: &[u8]) -> bool {
        self.canary(version).is_some_and(|own| bool::from(own.as_slice().ct_eq(canary)))
    }

    /// The key that passwords are hashed with under the pepper of this version.
    pub fn password_key(&self, version: PepperVersion) -> Option<zeroize::Zeroizing<[u8; 32]>> {
        self.hash(version, &[b"keyward/password/v1"]).map(zeroize::Zeroizing::new)
    }

    /// HMAC-SHA-256 of the parts, one after the other, under the pepper of this version.
    pub(super) fn hash(&self, version: PepperVersion, parts: &[&[u8]]) -> Option<[u8; 32]> {
        let mut mac = self.prepared.get(usize::from(version))?.as_ref()?.clone();
        for part in parts {
            mac.update(part);
        }
        Some(mac.finalize().into_bytes().into())
    }
}
