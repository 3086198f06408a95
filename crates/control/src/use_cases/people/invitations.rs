//! Invitations: by a link that is good for a week, once, and for one mail address. What it gives is never more than the
//! inviter has, also on the day it is accepted.

use keyward_core::change::Revision;
use keyward_core::id::{InvitationId, OrganizationId};
use keyward_core::people::{Invitation, InvitedTo};
use keyward_core::secret::Secret;
use keyward_core::tenancy::Organization;
use keyward_verify::InForce;

use super::super::error::Result;
use super::{Current, SignedIn, Visitor};
use crate::use_cases::{Asked, Control, Disclosure, Listed};

/// An invitation that was made.
#[derive(Debug)]
pub struct InvitationMade {
    /// It.
    pub invitation: Invitation,
    /// What stands at the end of its link, `/invitations/`.
    pub secret: Disclosure,
    /// Whether it had been made by the same request before.
    pub is_repeated: bool,
}

/// An invitation as whoever holds its link sees it.
#[derive(Debug, Clone)]
pub struct SeenInvitation {
    /// It.
    pub invitation: Invitation,
    /// The organization it invites to; none where it is to the operators.
    pub organization: Option<Organization>,
    /// What the inviter is called, where a person invited.
    pub inviter: Option<String>,
    /// Whether somebody has this address already, who is to sign in before they accept.
    pub is_known: bool,
}

impl Control {
    /// Invites somebody. An open invitation of the same address to the same place is withdrawn for the new one.
    ///
    /// # Errors
    /// Where the caller may not, may not give so much, or the address is none or is a member's already.
    pub async fn invite(&self, _asked: &Asked, _to: InvitedTo, _email: &str) -> Result<InvitationMade> {
        Err(super::unfinished())
    }

    /// Invitations to an organization, or where none to the operators, whatever became of them, newest first.
    ///
    /// # Errors
    /// Where the caller may not see them.
    pub async fn invitations(
        &self,
        _asked: &Asked,
        _organization: Option<OrganizationId>,
        _before: Option<Revision>,
        _limit: u32,
    ) -> Result<Listed<Invitation>> {
        Err(super::unfinished())
    }

    /// Takes an invitation back.
    ///
    /// # Errors
    /// Where there is none within the caller's reach, or somebody accepted it.
    pub async fn withdraw_invitation(&self, _asked: &Asked, _id: InvitationId) -> Result<(Invitation, InForce)> {
        Err(super::unfinished())
    }

    /// Looks at an invitation by what its link holds.
    ///
    /// # Errors
    /// [`ControlError::NotFound`](super::ControlError::NotFound) where it cannot be accepted.
    pub async fn look_at_invitation(&self, _secret: &str) -> Result<SeenInvitation> {
        Err(super::unfinished())
    }

    /// Accepts an invitation as somebody new, under the invitation's address.
    ///
    /// # Errors
    /// Where it cannot be accepted, the address is somebody's already, or name or password are none.
    pub async fn accept_invitation_as_new(
        &self,
        _secret: &str,
        _name: &str,
        _password: &Secret,
        _visitor: &Visitor,
    ) -> Result<SignedIn> {
        Err(super::unfinished())
    }

    /// Accepts an invitation as whoever is signed in. Their session is replaced by a new one.
    ///
    /// # Errors
    /// Where it cannot be accepted, or is for another address.
    pub async fn accept_invitation(
        &self,
        _secret: &str,
        _current: &Current,
        _visitor: &Visitor,
    ) -> Result<SignedIn> {
        Err(super::unfinished())
    }
}
