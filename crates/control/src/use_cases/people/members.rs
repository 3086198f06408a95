//! The members of an organization: who they are, what they may do, and that with their place goes all they made with
//! it (trust.md T07).

use keyward_core::change::{Change, Expect, PersonChange, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::{OrganizationId, PersonId};
use keyward_core::people::{Person, Role};
use keyward_core::permission::Permission;
use keyward_core::store::{Page, PersonFilter};

use super::super::commit::{Committed, Plan, Tries};
use super::super::error::{ControlError, Result};
use super::Current;
use super::leaving::{Ending, Place};
use crate::use_cases::Force;
use crate::use_cases::{Asked, Control, Listed, Seat, Visitor};

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

impl SeenMember {
    fn of(person: &Person, organization: OrganizationId) -> Option<Self> {
        let place = person.membership(organization)?;
        Some(SeenMember {
            id: person.id,
            email: person.email.clone(),
            name: person.name.clone(),
            role: place.role,
            joined_at: place.joined_at,
            is_active: person.is_active(),
        })
    }
}

impl Control {
    /// The members of an organization, newest first.
    ///
    /// # Errors
    /// Where there is no such organization within the caller's reach, or they may not see its members.
    pub async fn members(
        &self,
        asked: &Asked,
        organization: OrganizationId,
        before: Option<Revision>,
        limit: u32,
    ) -> Result<Listed<SeenMember>> {
        asked.require(Permission::MembersRead)?;
        self.find_organization(asked, organization).await?;
        let filter = PersonFilter { organization: Some(organization), is_operator: false };
        let people = self.store.people(&filter, Page { before, limit: limit + 1 }).await?;
        let Listed { items, next } = Listed::cut(people, limit, |person| person.created_revision);
        let items = items.iter().filter_map(|person| SeenMember::of(person, organization)).collect();
        Ok(Listed { items, next })
    }

    /// Gives a member another role. A lower one ends the management keys that they made there, and the invitations that
    /// they sent.
    ///
    /// # Errors
    /// Where the caller may not, there is no such member, or nobody else would be an owner.
    pub async fn set_role(
        &self,
        asked: &Asked,
        organization: OrganizationId,
        person: PersonId,
        role: Role,
    ) -> Result<(SeenMember, Force)> {
        asked.require(Permission::MembersWrite)?;
        self.find_organization(asked, organization).await?;
        asked.require_scopes(&role.scopes())?;
        let decide =
            |seen: &SeenMember| (seen.role != role).then_some(PersonChange::RoleSet { organization, role });
        self.change_member(asked, organization, person, decide).await
    }

    /// Takes a member's place, with the management keys that they made and the invitations that they sent there, and
    /// ends their sessions.
    ///
    /// # Errors
    /// Where the caller may not, there is no such member, or nobody else would be an owner.
    pub async fn remove_member(
        &self,
        asked: &Asked,
        organization: OrganizationId,
        person: PersonId,
    ) -> Result<(SeenMember, Force)> {
        asked.require(Permission::MembersWrite)?;
        self.find_organization(asked, organization).await?;
        self.change_member(asked, organization, person, |_| Some(PersonChange::Removed { organization })).await
    }

    /// Gives up one's own place, as [`Control::remove_member`] takes another's. All one's sessions end.
    ///
    /// # Errors
    /// Where one has none, or nobody else would be an owner.
    pub async fn leave(&self, current: &Current, organization: OrganizationId, visitor: &Visitor) -> Result<Force> {
        let person = &current.person;
        let asked = current.asked(Seat::of(person, organization), visitor.origin.clone());
        self.find_organization(&asked, organization).await?;
        let gone = |_: &SeenMember| Some(PersonChange::Removed { organization });
        Ok(self.change_member(&asked, organization, person.id, gone).await?.1)
    }

    async fn change_member(
        &self,
        asked: &Asked,
        organization: OrganizationId,
        id: PersonId,
        decide: impl Fn(&SeenMember) -> Option<PersonChange>,
    ) -> Result<(SeenMember, Force)> {
        let place = Place::Member(organization);
        let mut tries = Tries::default();
        loop {
            let person = self.store.person(id).await?.ok_or(ControlError::NotFound)?;
            let mut seen = SeenMember::of(&person, organization).ok_or(ControlError::NotFound)?;
            let Some(what) = decide(&seen) else { return Ok((seen, self.settle_for(asked).await?)) };
            let left = match &what {
                PersonChange::RoleSet { role, .. } => Some(*role),
                _ => None,
            };
            let is_lower = left.is_none_or(|left| left < seen.role);
            let Ending { mut expect, mut changes } =
                if is_lower { self.made_by(id, &place).await? } else { Ending::default() };
            if is_lower && seen.role == Role::Owner {
                expect.push(Expect::OwnerBeside(organization, id));
            }
            expect.push(Expect::Person(id, person.revision));
            changes.insert(0, Change::Person { id, what });
            match self.commit(asked, self.now(), Plan { expect, changes, made: None }).await? {
                Committed::Stale(Expect::OwnerBeside(..)) => return Err(ControlError::LastOne("owner")),
                Committed::Stale(expect) => tries.again(self, expect).await?,
                Committed::InForce(in_force) => {
                    if is_lower {
                        self.end_leftovers(asked, id, &place).await?;
                    }
                    seen.role = left.unwrap_or(seen.role);
                    return Ok((seen, in_force));
                }
            }
        }
    }
}
