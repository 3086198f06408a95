//! Rates over a restart: where long bursts stand is kept every second and when the node stops, so that a restart
//! refills nothing but what a crash's last second let pass.

use std::sync::Arc;
use std::time::Duration;

use keyward_core::clock::Timestamp;
use keyward_core::store::{SavedRate, StoreError};

use super::Limiter;
use super::rate_cell::{RateCell, RateId, RateOf, RateState};

impl Limiter {
    /// Puts rates where they stood before the restart.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn restore_rates(&self) -> Result<(), StoreError> {
        let (now, boottime) = (self.clock.now(), self.clock.boottime_nanos());
        for saved in self.store.saved_rates(now).await? {
            let ahead = i64::try_from(saved.full_at.since(now).as_nanos()).unwrap_or(i64::MAX);
            let id = RateId { api: saved.api, name: saved.name, of: RateOf::Counted(saved.of) };
            self.counters.restore(id, RateState::restored(boottime.saturating_add(ahead), saved.interval));
        }
        Ok(())
    }

    /// Keeps where rates stand that moved since the last time.
    pub async fn save_rates(&self) {
        let moved = std::mem::take(&mut *self.moved.lock());
        if moved.is_empty() {
            return;
        }
        let (now, boottime) = (self.clock.now(), self.clock.boottime_nanos());
        let saved: Vec<SavedRate> = moved.iter().filter_map(|cell| saved(cell, now, boottime)).collect();
        if let Err(error) = self.store.save_rates(&saved).await {
            tracing::warn!(%error, rates = saved.len(), "where rates stand could not be kept; it will be tried again");
            moved.iter().for_each(|cell| cell.state.lock().is_dirty = true);
            self.moved.lock().extend(moved);
        }
    }
}

fn saved(cell: &Arc<RateCell>, now: Timestamp, boottime: i64) -> Option<SavedRate> {
    let RateOf::Counted(of) = cell.id.of else { return None };
    let mut state = cell.state.lock();
    state.is_dirty = false;
    // Rounded up: a restart must not give back what a whole millisecond would.
    let ahead = state.full_at().saturating_sub(boottime).max(0).saturating_add(999_999);
    Some(SavedRate {
        api: cell.id.api.clone(),
        name: cell.id.name.clone(),
        of,
        interval: state.interval(),
        full_at: now.saturating_add(Duration::from_nanos(ahead as u64)),
    })
}
