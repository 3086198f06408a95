//! Whether a store can still be written to, and if not, why: shared by the writer and everybody who asks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use keyward_core::store::StoreError;

/// The state of writing. Once failed, it stays so until the process starts again: after a failed fsync the
/// system may have dropped what was written, and trying again would only hide that.
#[derive(Debug, Default)]
pub(super) struct Health {
    failed: Mutex<Option<String>>,
    full: AtomicBool,
}

impl Health {
    /// Of a store that was just opened.
    pub(super) fn new() -> Self {
        metrics::gauge!("keyward_store_failed").set(0.0);
        metrics::gauge!("keyward_store_full").set(0.0);
        Health::default()
    }

    /// Ends writing for this process.
    pub(super) fn fail(&self, reason: &str) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.is_none() {
            tracing::error!(reason, "the store takes no more writes: look at the disk, then restart Keyward");
            metrics::gauge!("keyward_store_failed").set(1.0);
            *failed = Some(reason.to_owned());
        }
    }

    /// Refuses where writing has ended.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match &*failed {
            None => Ok(()),
            Some(reason) => Err(StoreError::Unavailable(format!(
                "writing has stopped ({reason}): look at the disk, then restart Keyward"
            ))),
        }
    }

    pub(super) fn set_full(&self, full: bool) {
        if self.full.swap(full, Ordering::Relaxed) != full {
            metrics::gauge!("keyward_store_full").set(if full { 1.0 } else { 0.0 });
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }
}
