//! Signing in with a password: how many guesses are looked at, and that the answer tells nobody whether there is such
//! a person (trust.md W06, W07).

use keyward_core::secret::Secret;

use super::super::error::Result;
use super::{SignedIn, Visitor};
use crate::use_cases::Control;

/// How many guesses were looked at, by whom and for whom.
#[derive(Default)]
pub(super) struct Guesses;

impl Control {
    /// Signs somebody in. `device` is what the cookie of a known device holds.
    ///
    /// # Errors
    /// [`ControlError::BadCredentials`](super::ControlError::BadCredentials), the same whatever is wrong;
    /// [`ControlError::RateLimited`](super::ControlError::RateLimited) where too many tried.
    pub async fn sign_in(
        &self,
        _email: &str,
        _password: &Secret,
        _device: Option<&str>,
        _visitor: &Visitor,
    ) -> Result<SignedIn> {
        Err(super::unfinished())
    }
}
