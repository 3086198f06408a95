//! Acknowledging: what was applied is kept outside the database, the exchanges that it closed end, then the others are
//! told. Beside the conversation, for an exchange may take a moment to end and a lease must not wait for it.

use std::sync::Arc;
use std::time::Duration;

use keyward_core::change::Revision;
use keyward_core::id::NodeId;

use super::{Membership, Undrained};
use crate::engine::Engine;

/// How long to wait before it is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// How often an acknowledgement is tried; after that the next renewal carries it.
const TRIES: usize = 4;

impl Membership {
    /// Acknowledges until the node stops.
    pub(super) async fn drain_on(self: Arc<Self>, engine: Arc<Engine>) {
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = self.drain.notified() => {}
            }
            let taken = {
                let mut undrained = self.undrained.lock();
                let dropped = std::mem::take(&mut undrained.dropped);
                std::mem::replace(&mut *undrained, Undrained { dropped, ..Undrained::default() })
            };
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = self.drain_one(&engine, taken) => {}
            }
        }
    }

    async fn drain_one(&self, engine: &Engine, taken: Undrained) {
        let Undrained { entries, closing, up_to, .. } = taken;
        while let Err(error) = self.nodes.remember(&entries).await {
            // Others wait for the lease of this node meanwhile: what it could not keep it does not acknowledge.
            if !std::mem::replace(&mut self.told.lock().may_not_remember, true) {
                tracing::error!(%error, "changes cannot be kept outside the database and are not acknowledged until they can");
            }
            if up_to.is_none_or(|(run, _)| self.member.lock().run() != Some(run)) {
                // The run that applied them is over, perhaps because the store lost them: the next one keeps what stands.
                engine.exchanges.drain(closing).await;
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
        self.told.lock().may_not_remember = false;
        engine.exchanges.drain(closing).await;
        let Some((run, revision)) = up_to else { return };
        let acknowledged = self.member.lock().drained(run, revision);
        self.look.notify_one();
        if let Some((run, revision)) = acknowledged {
            self.acknowledge(run, revision).await;
        }
    }

    async fn acknowledge(&self, run: NodeId, revision: Revision) {
        for _ in 0..TRIES {
            match self.bounded(self.nodes.acknowledge(run, revision)).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(%error, "an acknowledgement was not written yet"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}
