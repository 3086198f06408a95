//! Management keys in memory: all of them, for there are few. Altered only by following the log.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use keyward_core::change::{ManagementKeyChange, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::ManagementKeyId;
use keyward_core::secret::Digest;
use keyward_core::store::{Page, Store, StoreError};
use keyward_core::tenancy::ManagementKey;

/// All management keys, revoked ones included, by digest.
pub(crate) struct ManagementKeys(ArcSwap<HashMap<Digest, Arc<ManagementKey>>>);

impl ManagementKeys {
    /// None yet.
    pub fn new() -> Self {
        ManagementKeys(ArcSwap::default())
    }

    /// Reads all of them anew.
    pub async fn load(&self, store: &dyn Store) -> Result<(), StoreError> {
        let mut all = HashMap::new();
        let mut before = None;
        loop {
            let page = store.management_keys(Page { before, limit: 500 }).await?;
            before = page.last().map(|key| key.created_revision);
            all.extend(page.into_iter().map(|key| (key.digest, Arc::new(key))));
            if before.is_none() {
                self.0.store(Arc::new(all));
                return Ok(());
            }
        }
    }

    pub fn get(&self, digest: &Digest) -> Option<Arc<ManagementKey>> {
        self.0.load().get(digest).cloned()
    }

    /// Applies a change of the log; one at a time, by the follower.
    pub fn apply(&self, id: ManagementKeyId, change: &ManagementKeyChange, at: Timestamp, revision: Revision) {
        let mut all = HashMap::clone(&self.0.load());
        if let Some(known) = all.values_mut().find(|key| key.id == id) {
            Arc::make_mut(known).apply(change, at, revision);
        }
        if let ManagementKeyChange::Created { key } | ManagementKeyChange::Rotated { new: key } = change {
            let key = ManagementKey { created_revision: revision, revision, ..ManagementKey::clone(key) };
            all.entry(key.digest).or_insert_with(|| Arc::new(key));
        }
        self.0.store(Arc::new(all));
    }
}
