//! What people do with their own account: their name, and their password. Identities stand in the [`Person`] itself.

use std::sync::Arc;

use keyward_core::people::Person;
use keyward_core::secret::Secret;

use super::super::error::Result;
use super::{Current, SignedIn, Visitor};
use crate::use_cases::Control;

impl Control {
    /// Gives whoever asks another name.
    ///
    /// # Errors
    /// Where it is none.
    pub async fn rename_self(&self, _current: &Current, _name: &str, _visitor: &Visitor) -> Result<Arc<Person>> {
        Err(super::unfinished())
    }

    /// Whether a new password takes the one before: not where there is none, nor shortly after a link signed in.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn needs_old_password(&self, _current: &Current) -> Result<bool> {
        Err(super::unfinished())
    }

    /// Gives whoever asks another password. All their sessions end, known devices are known no more, and a new session
    /// begins.
    ///
    /// # Errors
    /// [`ControlError::BadCredentials`](super::ControlError::BadCredentials) where the old one is needed and is another;
    /// [`ControlError::RateLimited`](super::ControlError::RateLimited) where it was tried too often; or what is wrong
    /// with the new one.
    pub async fn change_password(
        &self,
        _current: &Current,
        _old: Option<&Secret>,
        _new: &Secret,
        _visitor: &Visitor,
    ) -> Result<SignedIn> {
        Err(super::unfinished())
    }
}
