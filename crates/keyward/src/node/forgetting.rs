//! Forgetting uses that are older than they are kept (`usage.keep_minutes_days`, `usage.keep_hours_days`). What is
//! forgotten, and that nobody waits long for it, is the store's business.

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

/// Forgets what is old, at once and every hour, until `stop`. `kept`: how long minutes and hours are kept.
pub async fn forget_old_usage(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    kept: (Duration, Duration),
    stop: CancellationToken,
) {
    loop {
        let done = stop.run_until_cancelled(forget(&*store, clock.now(), kept)).await;
        if let Some(Err(error)) = done {
            tracing::warn!(%error, "old uses could not be forgotten; it is tried again in an hour");
        }
        if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

async fn forget(store: &dyn Store, now: Timestamp, kept: (Duration, Duration)) -> Result<(), StoreError> {
    let before = |kept: Duration| {
        let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(now.as_millis().saturating_sub(kept))
    };
    while store.forget_usage(before(kept.0), before(kept.1), PART).await? {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
