//! Key-encryption keys whose newest version a test sets; none where it is 0.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use keyward_core::clock::SystemEntropy;
use keyward_core::data_key::DataKeyBytes;
use keyward_core::key_encryption::{
    KekVersion, KeyEncryption, KeyEncryptionError, KeyEncryptionKey, WhichDataKey, Wrapped,
};

/// The keys, by the newest version.
pub struct Keepers(pub Arc<AtomicU32>);

impl Keepers {
    fn key(version: KekVersion) -> KeyEncryptionKey {
        KeyEncryptionKey::new(version, &[version.0 as u8; 32])
    }
}

#[async_trait]
impl KeyEncryption for Keepers {
    async fn current(&self) -> Result<KekVersion, KeyEncryptionError> {
        match self.0.load(Ordering::SeqCst) {
            0 => Err(KeyEncryptionError::None),
            newest => Ok(KekVersion(newest)),
        }
    }

    async fn wrap(&self, which: WhichDataKey, key: &DataKeyBytes) -> Result<Wrapped, KeyEncryptionError> {
        Ok(Self::key(self.current().await?).wrap(which, key, &SystemEntropy))
    }

    async fn unwrap(&self, which: WhichDataKey, wrapped: &Wrapped) -> Result<DataKeyBytes, KeyEncryptionError> {
        Self::key(wrapped.version).unwrap(which, wrapped)
    }
}
