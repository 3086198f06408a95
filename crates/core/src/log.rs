//! The log's chain: each entry's hash covers the one before, under a key that is not in the store; heads are
//! signed with another. Somebody who can write the store can therefore neither edit, remove or reorder an
//! entry unnoticed, nor write the chain anew; a signed head kept elsewhere shows a tail that was cut.

use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::change::Revision;
use crate::clock::Timestamp;
use crate::id::StoreId;

/// The hash before the first entry.
pub const GENESIS: [u8; 32] = [0; 32];

/// The two keys of the log: one for the chain, one for its heads.
pub struct LogKeys {
    chain: Hmac<Sha256>,
    signing: SigningKey,
}

impl std::fmt::Debug for LogKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogKeys(…)")
    }
}

impl LogKeys {
    /// From 32 secret bytes each.
    pub fn new(chain: &[u8; 32], signing: &[u8; 32]) -> Self {
        LogKeys {
            chain: Hmac::new_from_slice(chain).expect("HMAC takes a key of any length"),
            signing: SigningKey::from_bytes(signing),
        }
    }

    /// The hash of an entry that follows `previous`.
    pub fn link(&self, previous: &[u8; 32], revision: Revision, body: &[u8]) -> [u8; 32] {
        let mut mac = self.chain.clone();
        mac.update(b"keyward/log/v1\0");
        mac.update(previous);
        mac.update(&revision.0.to_be_bytes());
        mac.update(body);
        mac.finalize().into_bytes().into()
    }

    /// Whether `hash` is the right one for an entry that follows `previous`.
    pub fn is_linked(&self, previous: &[u8; 32], revision: Revision, body: &[u8], hash: &[u8]) -> bool {
        bool::from(self.link(previous, revision, body).as_slice().ct_eq(hash))
    }

    /// A seal over a record of the state: whoever reads it back can tell that it is as Keyward wrote it, and
    /// not a bad page or another's hand. `kind` keeps records of one kind from passing for another.
    pub fn seal(&self, kind: &str, record: &[u8]) -> [u8; 16] {
        let mut mac = self.chain.clone();
        mac.update(b"keyward/record/v1\0");
        mac.update(kind.as_bytes());
        mac.update(b"\0");
        mac.update(record);
        let full: [u8; 32] = mac.finalize().into_bytes().into();
        std::array::from_fn(|i| full[i])
    }

    /// Whether `seal` is the right one for a record.
    pub fn has_sealed(&self, kind: &str, record: &[u8], seal: &[u8]) -> bool {
        bool::from(self.seal(kind, record).as_slice().ct_eq(seal))
    }

    /// Signs the head of the log.
    pub fn sign(&self, store: StoreId, revision: Revision, hash: [u8; 32], at: Timestamp) -> SignedHead {
        let head = Head { store, revision, hash: Hash(hash), at };
        let signature = self.signing.sign(&head.signed_bytes());
        SignedHead { head, signature: Signed(signature.to_bytes()) }
    }

    /// The public half of the signing key, for whoever keeps heads.
    pub fn public_key(&self) -> [u8; 32] {
        self.signing.verifying_key().to_bytes()
    }

    /// Whether a head was signed with these keys.
    pub fn has_signed(&self, head: &SignedHead) -> bool {
        head.is_signed_by(&self.public_key())
    }
}

/// 32 bytes, written as hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash(pub [u8; 32]);

/// An Ed25519 signature (RFC 8032), written as hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed(pub [u8; 64]);

/// Where the log stood at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Which store's log.
    pub store: StoreId,
    /// The last revision.
    pub revision: Revision,
    /// Its hash.
    pub hash: Hash,
    /// When it was signed.
    pub at: Timestamp,
}

/// A head with its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHead {
    /// What is signed.
    #[serde(flatten)]
    pub head: Head,
    /// The signature over it.
    pub signature: Signed,
}

impl Head {
    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = b"keyward/head/v1\0".to_vec();
        bytes.extend(self.store.as_u128().to_be_bytes());
        bytes.extend(self.revision.0.to_be_bytes());
        bytes.extend(self.hash.0);
        bytes.extend(self.at.as_millis().to_be_bytes());
        bytes
    }
}

impl SignedHead {
    /// Whether it was signed with the private half of `public_key`.
    pub fn is_signed_by(&self, public_key: &[u8; 32]) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(public_key) else { return false };
        key.verify(&self.head.signed_bytes(), &Signature::from_bytes(&self.signature.0)).is_ok()
    }
}

macro_rules! as_hex {
    ($($name:ident($length:literal)),*) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&to_hex(&self.0))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                let bytes = from_hex(&text).and_then(|bytes| bytes.try_into().ok());
                bytes.map($name).ok_or_else(|| {
                    serde::de::Error::custom(concat!("expected ", $length, " bytes in hexadecimal"))
                })
            }
        }
    )*};
}

as_hex!(Hash(32), Signed(64));

/// Bytes as lower-case hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads hexadecimal; none where it is not.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(seed: u8) -> LogKeys {
        LogKeys::new(&[seed; 32], &[seed + 1; 32])
    }

    #[test]
    fn s17_a_chain_needs_its_key() {
        let hash = keys(1).link(&GENESIS, Revision(1), b"body");
        assert!(keys(1).is_linked(&GENESIS, Revision(1), b"body", &hash));
        assert!(!keys(2).is_linked(&GENESIS, Revision(1), b"body", &hash));
        assert!(!keys(1).is_linked(&GENESIS, Revision(2), b"body", &hash));
        assert!(!keys(1).is_linked(&hash, Revision(1), b"body", &hash));
        assert!(!keys(1).is_linked(&GENESIS, Revision(1), b"bodY", &hash));
    }

    #[test]
    fn s17_a_head_reads_back_and_cannot_be_altered() {
        let signed = keys(1).sign(StoreId::from_u128(5), Revision(9), [3; 32], Timestamp::from_millis(1));
        let text = serde_json::to_string(&signed).unwrap();
        let read: SignedHead = serde_json::from_str(&text).unwrap();
        assert!(keys(1).has_signed(&read) && !keys(2).has_signed(&read));
        let mut altered = read;
        altered.head.revision = Revision(8);
        assert!(!keys(1).has_signed(&altered));
    }
}
