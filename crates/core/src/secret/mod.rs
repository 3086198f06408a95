//! What callers send and what we keep of it: [`Secret`], [`Digest`], the peppers and the formats.
//!
//! A secret exists in clear only between minting (or a request's header) and its answer. It has a type of
//! its own that cannot be printed, serialised or compared; everything kept is a [`Digest`] under a pepper.

mod format;
mod pepper;

pub use format::{Format, Minted, Presented, Recognised, Unrecognised, imported_digest, imported_digests};
pub use pepper::{CANARY_LENGTH, PepperError, PepperVersion, Peppers};

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// A key in clear. Wiped from memory when dropped.
///
/// ```compile_fail
/// fn print(secret: keyward_core::secret::Secret) { println!("{secret}"); }
/// ```
/// ```compile_fail
/// fn compare(a: keyward_core::secret::Secret, b: keyward_core::secret::Secret) -> bool { a == b }
/// ```
/// ```compile_fail
/// fn leak(s: keyward_core::secret::Secret) -> String { serde_json::to_string(&s).unwrap() }
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text as a secret.
    pub fn new(text: String) -> Self {
        Secret(Zeroizing::new(text))
    }

    /// The secret in clear, for the one answer that may carry it and for hashing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What the store keeps of a secret: a keyed hash. Already uniform, so its bytes serve as a map's hash.
///
/// Digests of the `keyward` format are 25 bytes, padded here with zeros; all others are 32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// From the bytes that a store kept.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Digest(bytes)
    }

    /// The bytes a store keeps.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Eight of its bytes as a number: the hash for maps.
    pub fn as_u64(&self) -> u64 {
        u64::from_le_bytes(self.0[..8].try_into().expect("eight bytes"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use base64::Engine;
        serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use base64::Engine;
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(text.as_bytes()).map_err(serde::de::Error::custom)?;
        let bytes = bytes.try_into().map_err(|_| serde::de::Error::custom("a digest is 32 bytes"))?;
        Ok(Digest(bytes))
    }
}

/// The shape of management keys: the same for every installation, so that secret scanners know it.
pub fn management_key_format() -> Format {
    Format::Keyward { prefix: "kwm".into() }
}
