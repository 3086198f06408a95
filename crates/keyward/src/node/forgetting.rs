//! Forgetting uses that are older than they are kept (`usage.keep_minutes_days`, `usage.keep_hours_days`), and sessions
//! that ended by going unused (`sessions.idle_minutes`) or by themselves. What is forgotten, and that nobody waits long
//! for it, is the store's business.

use std::sync::Arc;
use std::time::Duration;

use keyward_core::clock::{Clock, Timestamp};
use keyward_core::store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

/// How often it is looked for what is old.
const EVERY: Duration = Duration::from_secs(3_600);
/// How many rows are forgotten at a time.
const PART: u32 = 5_000;
/// How long others have the store for themselves between two parts.
const PAUSE: Duration = Duration::from_millis(50);

/// How long what is kept that goes away by itself.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// Folded minutes of uses.
    pub minutes: Duration,
    /// Counts of uses by the hour.
    pub hours: Duration,
    /// Sessions that nobody uses.
    pub unused_sessions: Duration,
}

/// Forgets what is old, at once and every hour, until `stop`.
pub async fn forget_what_is_old(store: Arc<dyn Store>, clock: Arc<dyn Clock>, kept: Kept, stop: CancellationToken) {
    loop {
        let done = stop.run_until_cancelled(forget(&*store, clock.now(), kept)).await;
        if let Some(Err(error)) = done {
            tracing::warn!(%error, "what is old could not be forgotten; it is tried again in an hour");
        }
        if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

async fn forget(store: &dyn Store, now: Timestamp, kept: Kept) -> Result<(), StoreError> {
    let before = |kept: Duration| {
        let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(now.as_millis().saturating_sub(kept))
    };
    while store.forget_sessions(before(kept.unused_sessions), now, PART).await? {
        tokio::time::sleep(PAUSE).await;
    }
    while store.forget_usage(before(kept.minutes), before(kept.hours), PART).await? {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
