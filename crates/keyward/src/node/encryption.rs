//! The key-encryption keys of a node: from the secrets file, or the environment. A version that is added to the file is
//! taken into use while the node runs; one that is taken out of it is forgotten.
//!
//! Another [`KeyEncryption`], that of a key management service say, would be put in its place in [`of`].

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use keyward_core::clock::SystemEntropy;
use keyward_core::data_key::DataKeyBytes;
use keyward_core::key_encryption::{
    KekVersion, KeyEncryption, KeyEncryptionError, KeyEncryptionKey, WhichDataKey, Wrapped,
};
use keyward_verify::EncryptionOptions;
use parking_lot::Mutex;

use crate::config::Config;
use crate::failure::Outcome;
use crate::private_file;
use crate::secrets::{Origin, Secrets};

/// How often the file is looked at while nobody asks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How a node encrypts.
///
/// # Errors
/// Where the secrets cannot be used.
pub fn of(config: &Config, secrets: &Secrets) -> Outcome<EncryptionOptions> {
    let (key_life, keys_held) = config.data_keys_held();
    let keys = KeyEncryptionKeys::new(secrets);
    tokio::spawn(keep_looking(Arc::downgrade(&keys)));
    Ok(EncryptionOptions { keys: Some(keys), entropy: Arc::new(SystemEntropy), key_life, keys_held })
}

async fn keep_looking(keys: Weak<KeyEncryptionKeys>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(keys) = keys.upgrade() else { return };
        keys.look();
    }
}

type Keys = BTreeMap<KekVersion, Arc<KeyEncryptionKey>>;

/// Key-encryption keys that Keyward keeps itself.
pub struct KeyEncryptionKeys {
    /// Where versions come and go; none where all are the environment's, which cannot change.
    file: Option<PathBuf>,
    /// Those of the environment.
    fixed: Keys,
    held: Mutex<Held>,
}

struct Held {
    keys: Keys,
    stamp: Option<Stamp>,
}

/// What shows that a file is another: which it is, how long, and when it was written.
type Stamp = (u64, u64, i64, i64);

impl KeyEncryptionKeys {
    /// Those at hand.
    pub fn new(secrets: &Secrets) -> Arc<Self> {
        let file = match secrets.origin() {
            Origin::File(path) => Some(path.clone()),
            Origin::Environment => None,
        };
        let fixed = ready(secrets.encryption_keys_of_environment());
        let mut keys = ready(secrets.encryption_keys());
        keys.extend(fixed.clone());
        // Without a stamp, the first look reads the file again: it may have changed since the secrets were loaded.
        Arc::new(KeyEncryptionKeys { file, fixed, held: Mutex::new(Held { keys, stamp: None }) })
    }

    /// Looks whether the file is another, and takes what it holds then. What cannot be read leaves everything as it was.
    fn look(&self) {
        let Some(path) = &self.file else { return };
        let stamp = match std::fs::metadata(path) {
            Ok(found) => Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec())),
            Err(_) => None,
        };
        let mut held = self.held.lock();
        if stamp.is_none() || held.stamp == stamp {
            return;
        }
        match private_file::read(path).and_then(|text| Secrets::parse(&text, path)) {
            Ok(secrets) => {
                let mut keys = ready(secrets.encryption_keys());
                keys.extend(self.fixed.clone());
                let versions = |keys: &Keys| keys.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                if held.stamp.is_some() && versions(&keys) != versions(&held.keys) {
                    tracing::info!(versions = versions(&keys), "the key-encryption keys are others now");
                }
                *held = Held { keys, stamp };
            }
            Err(failure) => {
                // Said once for each state of the file.
                held.stamp = stamp;
                tracing::warn!(%failure, "the secrets file cannot be read: the key-encryption keys stay as they were");
            }
        }
    }

    fn key(&self, version: KekVersion) -> Result<Arc<KeyEncryptionKey>, KeyEncryptionError> {
        self.look();
        let found = self.held.lock().keys.get(&version).cloned();
        found.ok_or(KeyEncryptionError::Missing(version))
    }

    fn newest(&self) -> Result<Arc<KeyEncryptionKey>, KeyEncryptionError> {
        self.look();
        let newest = self.held.lock().keys.last_key_value().map(|(_, key)| Arc::clone(key));
        newest.ok_or(KeyEncryptionError::None)
    }
}

fn ready<'a>(keys: impl Iterator<Item = (u32, &'a [u8; 32])>) -> Keys {
    let ready =
        |(version, bytes)| (KekVersion(version), Arc::new(KeyEncryptionKey::new(KekVersion(version), bytes)));
    keys.map(ready).collect()
}

#[async_trait]
impl KeyEncryption for KeyEncryptionKeys {
    async fn current(&self) -> Result<KekVersion, KeyEncryptionError> {
        Ok(self.newest()?.version())
    }

    async fn wrap(&self, which: WhichDataKey, key: &DataKeyBytes) -> Result<Wrapped, KeyEncryptionError> {
        Ok(self.newest()?.wrap(which, key, &SystemEntropy))
    }

    async fn unwrap(&self, which: WhichDataKey, wrapped: &Wrapped) -> Result<DataKeyBytes, KeyEncryptionError> {
        self.key(wrapped.version)?.unwrap(which, wrapped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_core::data_key::{DataKey, DataKeyId};
    use keyward_core::id::ProjectId;

    #[tokio::test]
    async fn a_version_that_is_added_or_removed_is_noticed_while_running() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.toml");
        let mut secrets = Secrets::create(&path, &SystemEntropy).unwrap();
        let keys = KeyEncryptionKeys::new(&secrets);
        let which = WhichDataKey { project: ProjectId::from_u128(1), id: DataKeyId::from_u128(2) };
        let key = DataKey::random_bytes(&SystemEntropy);
        assert_eq!(keys.current().await, Ok(KekVersion(1)));
        let first = keys.wrap(which, &key).await.unwrap();
        assert_eq!(secrets.add_encryption_key(&SystemEntropy).unwrap(), 2);
        assert_eq!(keys.current().await, Ok(KekVersion(2)));
        assert_eq!(*keys.unwrap(which, &first).await.unwrap(), *key);
        secrets.remove_encryption_key(1).unwrap();
        assert_eq!(keys.unwrap(which, &first).await, Err(KeyEncryptionError::Missing(KekVersion(1))));
        // A file that cannot be read takes nothing away.
        std::fs::write(&path, "broken").unwrap();
        assert_eq!(keys.current().await, Ok(KekVersion(2)));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(keys.current().await, Ok(KekVersion(2)));
    }
}
