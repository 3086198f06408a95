//! Key-encryption keys, as far as the store knows them: how many data keys each version wraps, wrapping those anew under
//! the current version while everything goes on, and retiring a version that nothing needs. For the operator alone.

use keyward_core::data_key::DataKeyId;
use keyward_core::key_encryption::{KekVersion, KeyEncryption};
use keyward_core::permission::Permission;
use keyward_core::store::WrappedDataKey;

use super::error::{ControlError, Result};
use super::{Asked, Control};

/// How many data keys are read at a time.
const PART: u32 = 100;
/// How many are wrapped anew by one call: it is to answer within seconds.
const PER_CALL: u64 = 200;

/// A version of the key-encryption key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenEncryptionKey {
    /// The version.
    pub version: KekVersion,
    /// Whether it wraps now.
    pub is_current: bool,
    /// How many data keys are wrapped under it.
    pub data_keys: u64,
}

/// How far wrapping anew has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrapped {
    /// The version that wraps now.
    pub current: KekVersion,
    /// How many this call wrapped anew.
    pub rewrapped: u64,
    /// How many are still wrapped under another version.
    pub left: u64,
    /// Why some of those could not be unwrapped; none where all could.
    pub failure: Option<String>,
}

impl Control {
    /// The versions that data keys are wrapped under, and the current one, ascending.
    ///
    /// # Errors
    /// Where the caller is not the operator, or there is no key-encryption key.
    pub async fn encryption_keys(&self, asked: &Asked) -> Result<Vec<SeenEncryptionKey>> {
        asked.require_everywhere(Permission::Operate)?;
        let current = self.engine.key_encryption()?.current().await?;
        let mut counts = self.store.data_key_counts().await?;
        if !counts.iter().any(|(version, _)| *version == current) {
            counts.push((current, 0));
        }
        counts.sort_unstable();
        let seen = |(version, data_keys)| SeenEncryptionKey { version, is_current: version == current, data_keys };
        Ok(counts.into_iter().map(seen).collect())
    }

    /// Wraps data keys anew under the current version: some of them, to be called until none is left. Whatever becomes of
    /// it in between, every data key is wrapped under one version or the other.
    ///
    /// # Errors
    /// Where the caller is not the operator, or nothing can be wrapped now.
    pub async fn rewrap_data_keys(&self, asked: &Asked) -> Result<Rewrapped> {
        asked.require_everywhere(Permission::Operate)?;
        let keepers = self.engine.key_encryption()?;
        let current = keepers.current().await?;
        let (mut rewrapped, mut failure) = (0, None);
        for (version, _) in self.store.data_key_counts().await? {
            let mut after: Option<DataKeyId> = None;
            while version != current && rewrapped < PER_CALL {
                let part = self.store.data_keys_under(version, after, PART).await?;
                let Some(last) = part.last() else { break };
                after = Some(last.which.id);
                for key in part {
                    match self.rewrap(&*keepers, key).await {
                        Ok(is_done) => rewrapped += u64::from(is_done),
                        Err(ControlError::Encryption(error)) => failure = Some(error.to_string()),
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        let counts = self.store.data_key_counts().await?;
        let left = counts.iter().filter(|(version, _)| *version != current).map(|(_, count)| count).sum();
        Ok(Rewrapped { current, rewrapped, left, failure })
    }

    /// Wraps one anew; false where it was shredded or wrapped anew meanwhile.
    async fn rewrap(&self, keepers: &dyn KeyEncryption, key: WrappedDataKey) -> Result<bool> {
        let WrappedDataKey { which, wrapped } = key;
        let bytes = keepers.unwrap(which, &wrapped).await?;
        let anew = self.engine.wrap_data_key(which, &bytes).await?;
        Ok(self.store.rewrap_data_key(which, &wrapped, &anew).await?)
    }

    /// Lets nothing be wrapped under a version any more. What is destroyed with its bytes after this, only backups need.
    ///
    /// # Errors
    /// Where the caller is not the operator, the version is the current one, or data keys need it.
    pub async fn retire_encryption_key(&self, asked: &Asked, version: KekVersion) -> Result<()> {
        asked.require_everywhere(Permission::Operate)?;
        let current = self.engine.key_encryption()?.current().await?;
        if version >= current {
            let reason = format!("is not before the current version, {current}: add a newer one first");
            return Err(ControlError::invalid("version", reason));
        }
        if self.store.retire_encryption_key(version).await? {
            return Ok(());
        }
        let counts = self.store.data_key_counts().await?;
        let needed = counts.iter().find(|(other, _)| *other == version).map_or(0, |(_, count)| *count);
        Err(ControlError::invalid("version", format!("is needed by {needed} data keys: wrap them anew first")))
    }
}
