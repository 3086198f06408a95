//! How often the keys of one project may be made, rotated and changed, where its contract says so. Ending a key,
//! and switching one off, is never slowed down.

use crate::use_cases::Control;
use crate::use_cases::error::{ControlError, Result};
use crate::use_cases::projects::Place;

impl Control {
    /// Does a work of key management unless there was too much of it in too short a time. What failed counts too:
    /// trying is what is limited.
    pub(super) async fn managed<T>(&self, place: &Place, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.engine
            .guard_key_management(place.project.id, &place.api.contract)
            .map_err(|retry_after| ControlError::RateLimited { retry_after })?;
        work.await
    }
}
