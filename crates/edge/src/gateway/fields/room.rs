//! How much memory all documents under way may take on a node: values are held whole while they are encrypted, and a caller
//! who sends them slowly over many streams must not hold more than there is.

use std::sync::Arc;

use keyward_core::denial::Refusal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// For all requests of a node together, in KiB.
const ROOM_KIB: u32 = 512 * 1024;

/// A node's room; its clones share it.
#[derive(Debug, Clone)]
pub(crate) struct FieldRoom(Arc<Semaphore>);

impl Default for FieldRoom {
    fn default() -> Self {
        FieldRoom(Arc::new(Semaphore::new(ROOM_KIB as usize)))
    }
}

impl FieldRoom {
    /// Room for a document that is never larger in memory than `bytes`; given back by dropping it.
    ///
    /// # Errors
    /// `Unavailable` where too many are under way.
    pub fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).clamp(1, ROOM_KIB);
        Arc::clone(&self.0).try_acquire_many_owned(kib).map_err(|_| {
            metrics::counter!("keyward_field_requests_refused_total").increment(1);
            Refusal::Unavailable
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_shared_bounded_and_given_back() {
        let room = FieldRoom::default();
        let other = room.clone();
        let small = room.take(10).unwrap();
        assert_eq!(other.take(usize::MAX).unwrap_err(), Refusal::Unavailable);
        drop(small);
        let all = other.take(usize::MAX).unwrap();
        assert_eq!(room.take(1).unwrap_err(), Refusal::Unavailable);
        drop(all);
        assert!(room.take(1).is_ok());
    }
}
