//! Key-encryption keys: data keys are kept wrapped under one of them, and never else.
//!
//! [`KeyEncryption`] is the seam: Keyward's own keys come from its secrets file or the environment, and wrap with
//! [`KeyEncryptionKey`]; a key management service would implement the trait with calls to it. Whoever implements it
//! keeps several versions: the current one wraps, every one at hand unwraps.

use std::fmt;

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::clock::Entropy;
use crate::data_key::{DATA_KEY_LENGTH, DataKeyBytes, DataKeyId};
use crate::id::ProjectId;

/// The first byte of what [`KeyEncryptionKey`] wraps.
const FORMAT: u8 = 1;

/// Which key-encryption key: 1, 2, 3 …
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KekVersion(pub u32);

impl fmt::Display for KekVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for KekVersion {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(KekVersion)
    }
}

/// A data key wrapped under a key-encryption key.
#[derive(Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// Under which.
    pub version: KekVersion,
    /// The bytes: only who wrapped them knows what is in them.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wrapped({} bytes under version {})", self.bytes.len(), self.version)
    }
}

/// Which data key it is: authenticated with its wrapping, so that none passes for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WhichDataKey {
    /// Whose it is.
    pub project: ProjectId,
    /// Its id.
    pub id: DataKeyId,
}

/// Why a data key was not wrapped or unwrapped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyEncryptionError {
    /// There is no key-encryption key at all: nobody set encryption up.
    #[error("there is no key-encryption key: make one with `keyward encryption-key add`")]
    None,
    /// The version that wrapped it is not at hand.
    #[error("key-encryption key {0} is not at hand")]
    Missing(KekVersion),
    /// Whoever keeps the keys cannot be reached.
    #[error("the key-encryption keys cannot be used now: {0}")]
    Unavailable(String),
    /// It does not open: it was altered, or the key of this version is another one.
    #[error("what is wrapped under key-encryption key {0} does not open with it")]
    Refused(KekVersion),
}

/// Wraps and unwraps data keys: the seam for a key management service.
///
/// An implementation must authenticate [`WhichDataKey`] (a service calls it the encryption context), must not keep or
/// log a data key, and should answer within seconds: encryption waits for it, deciding on keys never does.
#[async_trait]
pub trait KeyEncryption: Send + Sync + 'static {
    /// The version that wraps now.
    ///
    /// # Errors
    /// Where there is none, or it cannot be found out.
    async fn current(&self) -> Result<KekVersion, KeyEncryptionError>;

    /// Wraps a data key under the current version.
    ///
    /// # Errors
    /// Where that cannot be done now.
    async fn wrap(&self, which: WhichDataKey, key: &DataKeyBytes) -> Result<Wrapped, KeyEncryptionError>;

    /// Unwraps a data key, under whatever version it was wrapped.
    ///
    /// # Errors
    /// Where that cannot be done now, or it does not open.
    async fn unwrap(&self, which: WhichDataKey, wrapped: &Wrapped) -> Result<DataKeyBytes, KeyEncryptionError>;
}

/// A key-encryption key held in memory. Wiped when dropped.
pub struct KeyEncryptionKey {
    version: KekVersion,
    key: LessSafeKey,
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyEncryptionKey(version {})", self.version)
    }
}

impl KeyEncryptionKey {
    /// From 32 secret bytes.
    pub fn new(version: KekVersion, bytes: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM_SIV, bytes).expect("the key is as long as the cipher's");
        KeyEncryptionKey { version, key: LessSafeKey::new(key) }
    }

    /// Its version.
    pub fn version(&self) -> KekVersion {
        self.version
    }

    /// Wraps a data key.
    pub fn wrap(&self, which: WhichDataKey, key: &DataKeyBytes, entropy: &dyn Entropy) -> Wrapped {
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut body = Vec::with_capacity(DATA_KEY_LENGTH + 16);
        body.extend_from_slice(key.as_slice());
        let aad = Aad::from(self.authenticated(which));
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut body)
            .expect("a data key is short");
        Wrapped { version: self.version, bytes: [&[FORMAT][..], &nonce, &body].concat() }
    }

    /// Unwraps a data key that was wrapped under this key.
    ///
    /// # Errors
    /// [`KeyEncryptionError::Refused`] where it does not open.
    pub fn unwrap(&self, which: WhichDataKey, wrapped: &Wrapped) -> Result<DataKeyBytes, KeyEncryptionError> {
        let refused = KeyEncryptionError::Refused(wrapped.version);
        let opened = || -> Option<DataKeyBytes> {
            let rest = wrapped.bytes.strip_prefix(&[FORMAT]).filter(|_| wrapped.version == self.version)?;
            let (nonce, body) = rest.split_at_checked(NONCE_LEN)?;
            let mut body = Zeroizing::new(body.to_vec());
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let plain = self.key.open_in_place(nonce, Aad::from(self.authenticated(which)), &mut body).ok()?;
            let mut bytes = Zeroizing::new([0; DATA_KEY_LENGTH]);
            (plain.len() == bytes.len()).then(|| bytes.copy_from_slice(plain))?;
            Some(bytes)
        };
        opened().ok_or(refused)
    }

    fn authenticated(&self, which: WhichDataKey) -> Vec<u8> {
        let mut bytes = b"keyward/data-key\0".to_vec();
        bytes.extend(self.version.0.to_be_bytes());
        bytes.extend(which.project.as_u128().to_be_bytes());
        bytes.extend(which.id.as_u128().to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemEntropy;
    use crate::data_key::DataKey;

    fn which(project: u128, id: u128) -> WhichDataKey {
        WhichDataKey { project: ProjectId::from_u128(project), id: DataKeyId::from_u128(id) }
    }

    #[test]
    fn a_data_key_unwraps_as_itself_only() {
        let kek = KeyEncryptionKey::new(KekVersion(1), &[7; 32]);
        let key = DataKey::random_bytes(&SystemEntropy);
        let wrapped = kek.wrap(which(1, 2), &key, &SystemEntropy);
        assert_eq!(*kek.unwrap(which(1, 2), &wrapped).unwrap(), *key);
        let refused = Err(KeyEncryptionError::Refused(KekVersion(1)));
        assert_eq!(kek.unwrap(which(9, 2), &wrapped), refused);
        assert_eq!(kek.unwrap(which(1, 9), &wrapped), refused);
        let other = KeyEncryptionKey::new(KekVersion(1), &[8; 32]);
        assert_eq!(other.unwrap(which(1, 2), &wrapped), refused);
        let renamed = Wrapped { version: KekVersion(2), ..wrapped.clone() };
        let second = KeyEncryptionKey::new(KekVersion(2), &[7; 32]);
        assert_eq!(second.unwrap(which(1, 2), &renamed), Err(KeyEncryptionError::Refused(KekVersion(2))));
        assert_eq!(kek.unwrap(which(1, 2), &renamed), Err(KeyEncryptionError::Refused(KekVersion(2))));
    }

    #[test]
    fn c03_every_flipped_bit_of_a_wrapped_key_is_refused() {
        let kek = KeyEncryptionKey::new(KekVersion(1), &[7; 32]);
        let wrapped = kek.wrap(which(1, 2), &DataKey::random_bytes(&SystemEntropy), &SystemEntropy);
        for bit in 0..wrapped.bytes.len() * 8 {
            let mut flipped = wrapped.clone();
            flipped.bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(kek.unwrap(which(1, 2), &flipped), Err(KeyEncryptionError::Refused(KekVersion(1))));
        }
        for length in 0..wrapped.bytes.len() {
            let cut = Wrapped { bytes: wrapped.bytes[..length].to_vec(), ..wrapped.clone() };
            assert!(kek.unwrap(which(1, 2), &cut).is_err());
        }
    }
}
