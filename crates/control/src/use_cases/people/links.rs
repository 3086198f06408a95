//! Links that sign somebody in once: how `dev` opens the dashboard, and how an operator helps whoever has lost their
//! password. Nobody can have one sent to themselves.

use std::sync::Arc;

use keyward_core::clock::Timestamp;
use keyward_core::id::PersonId;
use keyward_core::people::Person;
use keyward_core::secret::Secret;

use super::super::error::Result;
use super::{SignedIn, Visitor};
use crate::use_cases::{Asked, Control};

/// A link that signs in, looked at.
#[derive(Debug, Clone)]
pub struct SeenLink {
    /// Whom it signs in.
    pub person: Arc<Person>,
    /// From when on it does not.
    pub expires_at: Timestamp,
}

impl Control {
    /// Makes a link that signs a person in once, within a quarter of an hour: the operators' alone. The secret stands at
    /// the end of `/sign-in/link/`.
    ///
    /// # Errors
    /// Where the caller may not, or the person is none that may sign in.
    pub async fn make_sign_in_link(&self, _asked: &Asked, _person: PersonId) -> Result<Secret> {
        Err(super::unfinished())
    }

    /// Looks at a link without using it up.
    ///
    /// # Errors
    /// [`ControlError::NotFound`](super::ControlError::NotFound) where it signs nobody in.
    pub async fn look_at_link(&self, _secret: &str) -> Result<SeenLink> {
        Err(super::unfinished())
    }

    /// Signs in with a link, which is used up by it.
    ///
    /// # Errors
    /// [`ControlError::NotFound`](super::ControlError::NotFound) where it signs nobody in.
    pub async fn sign_in_with_link(&self, _secret: &str, _visitor: &Visitor) -> Result<SignedIn> {
        Err(super::unfinished())
    }
}
