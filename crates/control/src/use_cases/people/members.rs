//! The members of an organization: who they are, what they may do, and that with their place goes all they made with
//! it (trust.md T07).

use keyward_core::change::Revision;
use keyward_core::clock::Timestamp;
use keyward_core::id::{OrganizationId, PersonId};
use keyward_core::people::Role;
use keyward_verify::InForce;

use super::super::error::Result;
use super::Current;
use crate::use_cases::{Asked, Control, Listed, Visitor};

/// A person as the members of one organization see them.
#[derive(Debug, Clone)]
pub struct SeenMember {
    /// Their id.
    pub id: PersonId,
    /// Their mail address.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// What they may do there.
    pub role: Role,
    /// Since when they are a member.
    pub joined_at: Timestamp,
    /// Whether they may sign in.
    pub is_active: bool,
}

impl Control {
    /// The members of an organization, newest first.
    ///
    /// # Errors
    /// Where there is no such organization within the caller's reach, or they may not see its members.
    pub async fn members(
        &self,
        _asked: &Asked,
        _organization: OrganizationId,
        _before: Option<Revision>,
        _limit: u32,
    ) -> Result<Listed<SeenMember>> {
        Err(super::unfinished())
    }

    /// Gives a member another role. A lower one ends the management keys that they made there.
    ///
    /// # Errors
    /// Where the caller may not, there is no such member, or nobody else would be an owner.
    pub async fn set_role(
        &self,
        _asked: &Asked,
        _organization: OrganizationId,
        _person: PersonId,
        _role: Role,
    ) -> Result<(SeenMember, InForce)> {
        Err(super::unfinished())
    }

    /// Takes a member's place, with the management keys that they made and the invitations that they sent there, and
    /// ends their sessions.
    ///
    /// # Errors
    /// Where the caller may not, there is no such member, or nobody else would be an owner.
    pub async fn remove_member(
        &self,
        _asked: &Asked,
        _organization: OrganizationId,
        _person: PersonId,
    ) -> Result<(SeenMember, InForce)> {
        Err(super::unfinished())
    }

    /// Gives up one's own place, as [`Control::remove_member`] takes another's. All one's sessions end.
    ///
    /// # Errors
    /// Where one has none, or nobody else would be an owner.
    pub async fn leave(
        &self,
        _current: &Current,
        _organization: OrganizationId,
        _visitor: &Visitor,
    ) -> Result<InForce> {
        Err(super::unfinished())
    }
}
