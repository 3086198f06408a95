//! Identifiers: a prefix that names the kind, and 128 random bits in base62.
//!
//! Random rather than sortable: an id tells nothing of how many others there are or when they were made
//! (docs/decisions/0003-ids.md). An id is public; it opens nothing.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base62;
use crate::clock::Entropy;

/// A text that is not an id of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix}_ and 22 letters and digits")]
pub struct NotAnId {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// What every id of this kind begins with, before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id from 128 random bits.
            pub fn random(entropy: &dyn Entropy) -> Self {
                let mut bytes = [0; 16];
                entropy.fill(&mut bytes);
                $name(u128::from_be_bytes(bytes))
            }

            /// The number behind the id.
            pub const fn as_u128(self) -> u128 {
                self.0
            }

            /// The id with this number behind it.
            pub const fn from_u128(value: u128) -> Self {
                $name(value)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), base62::encode_u128(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(|body| base62::decode_u128(body.as_bytes()))
                    .map($name)
                    .ok_or(NotAnId { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A key of a project.
    KeyId = "key";
    /// A project: the wall around keys, data, usage and quotas.
    ProjectId = "proj";
    /// A customer of the operator.
    OrganizationId = "org";
    /// A key for Keyward's own control plane.
    ManagementKeyId = "mgmt";
    /// Somebody who signs in to the dashboard.
    PersonId = "person";
    /// An invitation to an organization, or to the operators.
    InvitationId = "inv";
    /// A session of the dashboard.
    SessionId = "session";
    /// One store, from its creation on; heads of the log name it.
    StoreId = "store";
    /// One run of a node.
    NodeId = "node";
    /// A data key of a project: fields are encrypted under it.
    DataKeyId = "dk";
}

/// The name of an API: 1 to 63 lower-case letters, digits and hyphens, beginning with a letter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ApiName(Arc<str>);

/// A text that cannot name an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an API's name is 1 to 63 lower-case letters, digits and hyphens and begins with a letter")]
pub struct NotAnApiName;

impl ApiName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ApiName {
    type Err = NotAnApiName;

    fn from_str(text: &str) -> Result<Self, NotAnApiName> {
        let fits = (1..=63).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        fits.then(|| ApiName(text.into())).ok_or(NotAnApiName)
    }
}

impl fmt::Display for ApiName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ApiName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ApiName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemEntropy;

    #[test]
    fn an_id_reads_back_and_refuses_another_kind() {
        let id = KeyId::random(&SystemEntropy);
        assert_eq!(id.to_string().parse::<KeyId>(), Ok(id));
        assert!(id.to_string().parse::<ProjectId>().is_err());
        assert_eq!(id.to_string().len(), "key_".len() + 22);
    }

    #[test]
    fn api_names_are_checked() {
        assert!("getprofile".parse::<ApiName>().is_ok());
        for bad in ["", "Get", "9a", "a_b", "a/b", &"a".repeat(64)] {
            assert!(bad.parse::<ApiName>().is_err(), "{bad}");
        }
    }
}
