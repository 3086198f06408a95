//! Signing in by an OpenID provider. Who somebody is there is issuer and subject and nothing else: a mail address never
//! links an account (trust.md T09). The protocol is another's work; what comes here was verified.

use keyward_core::change::Origin;
use keyward_core::people::Identity;

use super::super::error::Result;
use super::{Current, SignedIn, Visitor};
use crate::use_cases::Control;

/// What a provider says of somebody, verified.
#[derive(Debug, Clone)]
pub struct Claims {
    /// Who they are there.
    pub identity: Identity,
    /// Their mail address, where the provider says that it is theirs.
    pub verified_email: Option<String>,
    /// What they are called, where it says so.
    pub name: Option<String>,
}

impl Control {
    /// Signs in whom a provider speaks for.
    ///
    /// # Errors
    /// [`ControlError::BadCredentials`](super::ControlError::BadCredentials) where it is nobody who may sign in.
    pub async fn sign_in_with_identity(&self, _claims: &Claims, _visitor: &Visitor) -> Result<SignedIn> {
        Err(super::unfinished())
    }

    /// Accepts an invitation as whom a provider speaks for: a new person, or one whose identity is known.
    ///
    /// # Errors
    /// Where the invitation cannot be accepted, or is for another address than the provider verified.
    pub async fn accept_invitation_with_identity(
        &self,
        _secret: &str,
        _claims: &Claims,
        _visitor: &Visitor,
    ) -> Result<SignedIn> {
        Err(super::unfinished())
    }

    /// Lets a provider speak for the person who asks from now on.
    ///
    /// # Errors
    /// Where it speaks for another already.
    pub async fn link_identity(&self, _current: &Current, _identity: &Identity, _origin: &Origin) -> Result<()> {
        Err(super::unfinished())
    }
}
