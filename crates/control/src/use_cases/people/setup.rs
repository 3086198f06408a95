//! The first operator: while nobody is one, the process that serves holds a token, told on its console and in a file
//! of its folder; whoever brings it becomes the first operator, once.

use keyward_core::secret::Secret;

use super::super::error::Result;
use super::{NewPerson, SignedIn, Visitor};
use crate::use_cases::Control;

/// The token, where there is one.
#[derive(Default)]
pub(super) struct SetupToken;

impl Control {
    /// Whether nobody is an operator yet.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn needs_setup(&self) -> Result<bool> {
        Err(super::unfinished())
    }

    /// Makes a new token to set Keyward up with, in place of any before; none where somebody is an operator. It is
    /// good for a day, in this process alone.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn begin_setup(&self) -> Result<Option<Secret>> {
        Err(super::unfinished())
    }

    /// Looks at a token without using it up.
    ///
    /// # Errors
    /// [`ControlError::NotFound`](super::ControlError::NotFound) where it opens nothing, or Keyward is set up.
    pub async fn look_at_setup(&self, _token: &str) -> Result<()> {
        Err(super::unfinished())
    }

    /// Makes the first operator. Of any number of calls, one succeeds.
    ///
    /// # Errors
    /// [`ControlError::NotFound`](super::ControlError::NotFound) where the token opens nothing, or Keyward is set up;
    /// or what is wrong with the person.
    pub async fn set_up(&self, _token: &str, _wish: &NewPerson, _visitor: &Visitor) -> Result<SignedIn> {
        Err(super::unfinished())
    }
}
