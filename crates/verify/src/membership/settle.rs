//! Waiting for the others: one task looks at the nodes for everybody who waits.

use std::sync::Arc;
use std::time::Duration;

use keyward_core::change::Revision;
use keyward_core::clock::Clock;
use tokio::sync::oneshot;

use super::Membership;
use crate::follow::{By, Unsettled};
use crate::nodes::wait::{Outcome, stands};

/// How long to wait for a hint before the nodes are looked at again: at first, and at most.
const PAUSE: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(50);

impl Membership {
    /// Waits until a change is in force on every node; gives by what that is known, and how many confirmed it. `began`
    /// is a moment after its commit was answered.
    pub async fn settle(&self, revision: Revision, began: i64) -> Result<(By, u32), Unsettled> {
        let (sender, outcome) = oneshot::channel();
        self.waiters.lock().join(began, revision, sender);
        self.hint();
        self.look.notify_one();
        let outcome = tokio::select! {
            outcome = outcome => outcome.map_err(|_| Unsettled::Stopped)?,
            () = self.stopping.cancelled() => return Err(Unsettled::Stopped),
        };
        match outcome {
            Outcome::Acknowledged { nodes } => Ok((By::Acknowledged, nodes)),
            Outcome::LeaseExpired { nodes, missing } => {
                tracing::warn!(%revision, nodes, missing, "a change is in force by the end of leases: nodes did not confirm it");
                Ok((By::LeaseExpired, nodes))
            }
            Outcome::Lost => Err(Unsettled::Lost),
            Outcome::Unknown => Err(Unsettled::Unknown),
        }
    }

    /// How many nodes confirmed a change, where all have.
    pub async fn stands(&self, revision: Revision) -> Result<Option<u32>, Unsettled> {
        let census = self.bounded(self.nodes.census()).await?;
        let own = self.member.lock().own();
        match stands(&census, revision, own) {
            None => Ok(None),
            Some(Outcome::Acknowledged { nodes } | Outcome::LeaseExpired { nodes, .. }) => Ok(Some(nodes)),
            Some(Outcome::Lost | Outcome::Unknown) => Err(Unsettled::Lost),
        }
    }

    /// Tells everybody who waits that the store is not what it was.
    pub(super) fn lose(&self) {
        answer(self.waiters.lock().give_up());
    }

    /// Looks at the nodes while anybody waits, until this node stops.
    pub(super) async fn settle_on(self: Arc<Self>) {
        let (mut hints, mut pause) = (0, PAUSE);
        loop {
            let is_idle = self.waiters.lock().is_empty();
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = self.look.notified() => pause = PAUSE,
                count = self.nodes.hint(hints), if !is_idle => hints = count,
                () = tokio::time::sleep(pause), if !is_idle => pause = (pause * 2).min(PAUSE_MAX),
            }
            if !self.waiters.lock().is_empty() {
                tokio::select! {
                    () = self.stopping.cancelled() => return,
                    () = self.look_once() => {}
                }
            }
        }
    }

    async fn look_once(&self) {
        let look = self.waiters.lock().look();
        let census = self.bounded(self.nodes.census()).await;
        let own = self.member.lock().own();
        let now = self.clock.boottime_nanos();
        let mut waiters = self.waiters.lock();
        answer(match census {
            Ok(census) => waiters.seen(now, look, &census, own),
            Err(error) => {
                tracing::debug!(%error, "the nodes could not be looked at");
                waiters.passed(now)
            }
        });
    }
}

fn answer(done: Vec<(oneshot::Sender<Outcome>, Outcome)>) {
    for (waiting, outcome) in done {
        // Who no longer waits need not be told.
        let _ = waiting.send(outcome);
    }
}

/// Counts how long a change took to be in force.
pub(crate) fn note_wait(by: By, nanos: i64) {
    let by = match by {
        By::Acknowledged => "acknowledged",
        By::LeaseExpired => "lease_expired",
    };
    metrics::histogram!("keyward_barrier_seconds", "by" => by).record(nanos as f64 / 1e9);
}
