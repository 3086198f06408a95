//! What an engine is started with, and why it may not start.

use std::sync::Arc;
use std::time::Duration;

use keyward_core::clock::{Entropy, SystemEntropy};
use keyward_core::contract::ContractError;
use keyward_core::id::ApiName;
use keyward_core::key_encryption::KeyEncryption;
use keyward_core::store::StoreError;

use crate::limits::Sharing;
use crate::limits::shared::SharedUrlError;
use crate::nodes::LeaseLength;

/// Settings of an engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Look-ups a second of credentials that anybody could have made up, over all callers.
    pub misses_per_second: u32,
    /// The same for one address (for IPv6, one /64).
    pub misses_per_second_per_address: u32,
    /// Where rates are shared with other nodes; each node counts alone where none.
    pub sharing: Option<Sharing>,
    /// How this node takes part where several share the store; unused where it is the only one.
    pub node: NodeOptions,
    /// How data keys are had.
    pub encryption: EncryptionOptions,
}

/// How data keys are had.
#[derive(Clone)]
pub struct EncryptionOptions {
    /// Who keeps the key-encryption keys; nothing can be encrypted where nobody does.
    pub keys: Option<Arc<dyn KeyEncryption>>,
    /// Where data keys come from.
    pub entropy: Arc<dyn Entropy>,
    /// How long an unwrapped data key may be held: for so long it goes on where its key-encryption key is away.
    pub key_life: Duration,
    /// How many are held, at most.
    pub keys_held: usize,
}

impl Default for EncryptionOptions {
    fn default() -> Self {
        EncryptionOptions {
            keys: None,
            entropy: Arc::new(SystemEntropy),
            key_life: Duration::from_secs(300),
            keys_held: 4096,
        }
    }
}

impl std::fmt::Debug for EncryptionOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let EncryptionOptions { keys, key_life, keys_held, .. } = self;
        let mut shown = f.debug_struct("EncryptionOptions");
        shown.field("is_set_up", &keys.is_some()).field("key_life", key_life).field("keys_held", keys_held).finish()
    }
}

/// How a node takes part among others.
#[derive(Clone)]
pub struct NodeOptions {
    /// What people call it: the machine's name, as a rule.
    pub name: String,
    /// Which version of Keyward it runs.
    pub version: String,
    /// How long it may answer from memory without hearing from the store.
    pub lease: LeaseLength,
    /// Where its ids and nonces come from.
    pub entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for NodeOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let NodeOptions { name, version, lease, .. } = self;
        f.debug_struct("NodeOptions").field("name", name).field("version", version).field("lease", lease).finish()
    }
}

impl Default for NodeOptions {
    fn default() -> Self {
        NodeOptions {
            name: "node".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            lease: LeaseLength::default(),
            entropy: Arc::new(SystemEntropy),
        }
    }
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            misses_per_second: 1000,
            misses_per_second_per_address: 50,
            sharing: None,
            node: NodeOptions::default(),
            encryption: EncryptionOptions::default(),
        }
    }
}

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store did not answer in time.
    #[error("the store did not answer within {0:?}")]
    Late(Duration),
    /// The server to share rates in cannot be used.
    #[error(transparent)]
    Sharing(#[from] SharedUrlError),
    /// The contract in force of an API cannot be read by this version.
    #[error("the contract in force of {api} cannot be read: {error}")]
    Contract {
        /// Which API's.
        api: ApiName,
        /// What is wrong with it.
        error: ContractError,
    },
}

impl StartError {
    /// Whether asking again may help.
    pub(crate) fn may_pass(&self) -> bool {
        use StoreError::{Unavailable, Unknown};
        matches!(self, StartError::Late(_) | StartError::Store(Unavailable(_) | Unknown(_)))
    }
}
