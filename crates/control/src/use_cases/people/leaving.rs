//! What ends with somebody's place: the management keys that they made and the invitations that they sent.
//!
//! The list is made before the change that takes the place, and committed with it. Whatever they made in between is
//! found by a second look, after which they can make nothing more: every commit of theirs expects what they were.

use keyward_core::change::{Change, Expect, InvitationChange, ManagementKeyChange};
use keyward_core::clock::Timestamp;
use keyward_core::id::{OrganizationId, PersonId};
use keyward_core::people::Person;
use keyward_core::store::Page;
use keyward_core::tenancy::Boundary;

use super::super::commit::{Committed, Plan, Tries};
use super::super::error::{ControlError, Result};
use crate::use_cases::{Asked, Control};

/// How much of a list is read at a time.
const PAGE: u32 = 200;

/// Which of somebody's places ends.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// That of a member of an organization.
    Member(OrganizationId),
    /// All of them, with an operator's.
    All(Vec<OrganizationId>),
}

impl Place {
    /// All places that a person has.
    pub fn all_of(person: &Person) -> Self {
        Place::All(person.memberships.iter().map(|place| place.organization).collect())
    }
}

/// What ends with a place.
#[derive(Default)]
pub(super) struct Ending {
    pub expect: Vec<Expect>,
    pub changes: Vec<Change>,
}

impl Control {
    /// What somebody made by a place that they have.
    pub(super) async fn made_by(&self, person: PersonId, place: &Place) -> Result<Ending> {
        let now = self.now();
        let mut ending = Ending::default();
        self.keys_made_by(person, place, now, &mut ending).await?;
        match place {
            Place::Member(organization) => {
                self.invitations_sent_by(person, Some(*organization), now, &mut ending).await?;
            }
            Place::All(organizations) => {
                for &organization in organizations {
                    self.invitations_sent_by(person, Some(organization), now, &mut ending).await?;
                }
                // What an operator sent to other places cannot be accepted any more: acceptance looks at the inviter.
                self.invitations_sent_by(person, None, now, &mut ending).await?;
            }
        }
        Ok(ending)
    }

    /// Ends what somebody made while their place was being taken.
    pub(super) async fn end_leftovers(&self, asked: &Asked, person: PersonId, place: &Place) -> Result<()> {
        let mut tries = Tries::default();
        loop {
            let Ending { expect, changes } =
                self.made_by(person, place).await.map_err(ControlError::after_commit)?;
            if changes.is_empty() {
                return Ok(());
            }
            // In the name of whoever took the place, who may have lost their own meanwhile: it is done all the same.
            let plan = Plan { expect, changes, made: None };
            let done = self.commit_as(asked.caller.actor(), &asked.origin, self.now(), plan).await;
            match done.map_err(ControlError::after_commit)? {
                Committed::InForce(_) => {}
                Committed::Stale(expect) => tries.again(self, expect).await?,
            }
        }
    }

    async fn keys_made_by(
        &self,
        person: PersonId,
        place: &Place,
        now: Timestamp,
        ending: &mut Ending,
    ) -> Result<()> {
        let mut before = None;
        loop {
            let page = self.store.management_keys(Page { before, limit: PAGE }).await?;
            let Some(last) = page.last() else { return Ok(()) };
            before = Some(last.created_revision);
            for key in page.iter().filter(|key| key.minted_by == Some(person) && key.is_live(now)) {
                if self.is_in(place, key.boundary).await? {
                    ending.expect.push(Expect::ManagementKey(key.id, key.revision));
                    ending.changes.push(Change::ManagementKey { id: key.id, what: ManagementKeyChange::Revoked });
                }
            }
        }
    }

    async fn is_in(&self, place: &Place, boundary: Boundary) -> Result<bool> {
        let Place::Member(organization) = place else { return Ok(true) };
        Ok(match boundary {
            Boundary::Everything => false,
            Boundary::Organization(id) => id == *organization,
            Boundary::Project(id) => {
                self.store.project(id).await?.is_some_and(|project| project.organization == *organization)
            }
        })
    }

    async fn invitations_sent_by(
        &self,
        person: PersonId,
        organization: Option<OrganizationId>,
        now: Timestamp,
        ending: &mut Ending,
    ) -> Result<()> {
        let mut before = None;
        loop {
            let page = self.store.invitations(organization, Page { before, limit: PAGE }).await?;
            let Some(last) = page.last() else { return Ok(()) };
            before = Some(last.created_revision);
            for sent in page.iter().filter(|sent| sent.invited_by == Some(person) && sent.is_open(now)) {
                ending.expect.push(Expect::Invitation(sent.id, sent.revision));
                let what = InvitationChange::Withdrawn;
                ending.changes.push(Change::Invitation { id: sent.id, organization, what });
            }
        }
    }
}
