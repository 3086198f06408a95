//! Invitations: by a link that is good for a week, once, and for one mail address. What it gives is never more than the
//! inviter has, also on the day it is accepted.
//!
//! Making and withdrawing are here, looking and accepting in `accept`.

mod accept;

use std::time::Duration;

use keyward_core::change::{Change, Expect, InvitationChange, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::{InvitationId, OrganizationId};
use keyward_core::people::{Invitation, InvitationState, InvitedTo, Person};
use keyward_core::permission::Permission;
use keyward_core::scope::Scopes;
use keyward_core::store::Page;
use keyward_core::tenancy::Organization;

use super::super::commit::{Committed, Made, Once, Plan, Tries, another_kind};
use super::super::error::{ControlError, Result};
use super::Token;
use crate::use_cases::Force;
use crate::use_cases::{Asked, Control, Disclosure, Listed};

/// How long an invitation is good.
const LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Most invitations to one place that are open at once.
const OPEN_MAX: usize = 500;
/// How much of a list is read at a time.
const PAGE: u32 = 200;

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

/// What somebody who accepts may do then.
fn scopes_of(to: InvitedTo) -> Scopes {
    match to {
        InvitedTo::Organization { role, .. } => role.scopes(),
        InvitedTo::Operators => Scopes::all(),
    }
}

/// Whether somebody is already what an invitation would make them, or more.
fn is_there(person: &Person, to: InvitedTo) -> bool {
    match to {
        InvitedTo::Organization { id, .. } => person.membership(id).is_some(),
        InvitedTo::Operators => person.is_operator,
    }
}

impl Control {
    /// Invites somebody. An open invitation of the same address to the same place is withdrawn for the new one.
    ///
    /// # Errors
    /// Where the caller may not, may not give so much, or the address is none or is a member's already.
    pub async fn invite(&self, asked: &Asked, to: InvitedTo, email: &str) -> Result<InvitationMade> {
        self.require_invites(asked, to.organization(), Permission::MembersWrite).await?;
        asked.require_scopes(&scopes_of(to))?;
        let email = keyward_core::text::email(email).map_err(|message| ControlError::invalid("email", message))?;
        match self.once(asked, self.make_invitation(asked, to, &email)).await? {
            Once::Now((invitation, secret)) => {
                Ok(InvitationMade { invitation, secret: Disclosure::Now(secret), is_repeated: false })
            }
            Once::Before(Made::Invitation { id }) => {
                let invitation = self.find_invitation(asked, id, Permission::MembersWrite).await?;
                Ok(InvitationMade { invitation, secret: Disclosure::Before, is_repeated: true })
            }
            Once::Before(other) => another_kind(&other),
        }
    }

    async fn make_invitation(
        &self,
        asked: &Asked,
        to: InvitedTo,
        email: &str,
    ) -> Result<(Invitation, keyward_core::secret::Secret)> {
        let organization = to.organization();
        let mut tries = Tries::default();
        loop {
            let known = self.store.person_by_email(email).await?;
            if known.is_some_and(|person| is_there(&person, to)) {
                return Err(ControlError::AlreadyExists("a member with this mail address"));
            }
            let now = self.now();
            let (mut expect, mut changes) = (Vec::new(), Vec::new());
            for old in self.open_invitations(organization, now).await?.iter().filter(|old| old.email == email) {
                expect.push(Expect::Invitation(old.id, old.revision));
                changes.push(Change::Invitation { id: old.id, organization, what: InvitationChange::Withdrawn });
            }
            let (secret, digest) = self.mint_token(Token::Invitation);
            let invitation = Invitation {
                id: InvitationId::random(&*self.entropy),
                invited_to: to,
                email: email.to_owned(),
                digest,
                invited_by: asked.caller.minter(),
                created_at: now,
                expires_at: now.saturating_add(LIFE),
                state: InvitationState::Open,
                created_revision: Revision::ZERO,
                revision: Revision::ZERO,
            };
            let id = invitation.id;
            let created = InvitationChange::Created { invitation: Box::new(invitation.clone()) };
            changes.push(Change::Invitation { id, organization, what: created });
            let plan = Plan { expect, changes, made: Some(Made::Invitation { id }) };
            match self.commit(asked, now, plan).await? {
                Committed::InForce(_) => return Ok((invitation, secret)),
                Committed::Stale(expect) => tries.again(self, expect).await?,
            }
        }
    }

    async fn open_invitations(&self, to: Option<OrganizationId>, now: Timestamp) -> Result<Vec<Invitation>> {
        let (mut open, mut before) = (Vec::new(), None);
        loop {
            let page = self.store.invitations(to, Page { before, limit: PAGE }).await?;
            let Some(last) = page.last() else { return Ok(open) };
            before = Some(last.created_revision);
            open.extend(page.into_iter().filter(|invitation| invitation.is_open(now)));
            if open.len() >= OPEN_MAX {
                return Err(ControlError::invalid("email", "is one too many: withdraw open invitations first"));
            }
        }
    }

    /// Invitations to an organization, or where none to the operators, whatever became of them, newest first.
    ///
    /// # Errors
    /// Where the caller may not see them.
    pub async fn invitations(
        &self,
        asked: &Asked,
        organization: Option<OrganizationId>,
        before: Option<Revision>,
        limit: u32,
    ) -> Result<Listed<Invitation>> {
        self.require_invites(asked, organization, Permission::MembersRead).await?;
        let found = self.store.invitations(organization, Page { before, limit: limit + 1 }).await?;
        Ok(Listed::cut(found, limit, |invitation| invitation.created_revision))
    }

    /// Takes an invitation back.
    ///
    /// # Errors
    /// Where there is none within the caller's reach, or somebody accepted it.
    pub async fn withdraw_invitation(&self, asked: &Asked, id: InvitationId) -> Result<(Invitation, Force)> {
        asked.require(Permission::MembersWrite)?;
        let mut tries = Tries::default();
        loop {
            let mut found = self.find_invitation(asked, id, Permission::MembersWrite).await?;
            let what = match found.state {
                InvitationState::Open => InvitationChange::Withdrawn,
                InvitationState::Withdrawn { .. } => return Ok((found, self.settle_for(asked).await?)),
                InvitationState::Accepted { .. } => {
                    return Err(ControlError::AlreadyExists("somebody who accepted this invitation"));
                }
            };
            let organization = found.invited_to.organization();
            let changes = vec![Change::Invitation { id, organization, what: what.clone() }];
            let plan = Plan { expect: vec![Expect::Invitation(id, found.revision)], changes, made: None };
            let now = self.now();
            match self.commit(asked, now, plan).await? {
                Committed::Stale(expect) => tries.again(self, expect).await?,
                Committed::InForce(in_force) => {
                    found.apply(&what, now, found.revision.next());
                    return Ok((found, in_force));
                }
            }
        }
    }

    async fn find_invitation(&self, asked: &Asked, id: InvitationId, permission: Permission) -> Result<Invitation> {
        let found = self.store.invitation(id).await?.ok_or(ControlError::NotFound)?;
        match self.require_invites(asked, found.invited_to.organization(), permission).await {
            Ok(()) => Ok(found),
            // What a caller may not see is not there for them.
            Err(ControlError::OutOfReach(_) | ControlError::Forbidden(_)) => Err(ControlError::NotFound),
            Err(error) => Err(error),
        }
    }

    /// Goes on only for a caller with this permission in the organization; to the operators' side only for one who may
    /// manage people everywhere.
    async fn require_invites(
        &self,
        asked: &Asked,
        to: Option<OrganizationId>,
        permission: Permission,
    ) -> Result<()> {
        match to {
            Some(organization) => {
                asked.require(permission)?;
                self.find_organization(asked, organization).await.map(|_| ())
            }
            None => asked.require_everywhere(Permission::PeopleWrite),
        }
    }
}
