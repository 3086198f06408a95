//! Accepting an invitation: as somebody new with a password, as whom a provider speaks for, or as whoever is signed in.
//! One address is one person: who has the address already signs in first, and nobody else can take their place.

use keyward_core::change::{Actor, Change, Expect, InvitationChange, PersonChange};
use keyward_core::clock::Timestamp;
use keyward_core::people::{Invitation, InvitedTo, Person};
use keyward_core::permission::Permission;
use keyward_core::secret::Secret;
use keyward_core::session::SignedInBy;
use keyward_core::tenancy::Organization;

use super::super::super::commit::{Committed, Plan, Tries};
use super::super::super::error::{ControlError, Faults, Result};
use super::super::sessions::Proven;
use super::super::{Claims, Current, SignedIn, Token, Visitor, person_name, phrases};
use super::{SeenInvitation, is_there, scopes_of};
use crate::use_cases::{Caller, Control, Seat};

/// An invitation that can be accepted, with what must still be so when it is.
struct Valid {
    invitation: Invitation,
    organization: Option<Organization>,
    inviter: Option<Person>,
}

impl Valid {
    fn expect(&self) -> Vec<Expect> {
        let own = Expect::Invitation(self.invitation.id, self.invitation.revision);
        let organization = self.organization.as_ref().map(|found| Expect::Organization(found.id, found.revision));
        let inviter = self.inviter.as_ref().map(|person| Expect::Person(person.id, person.revision));
        [Some(own), organization, inviter].into_iter().flatten().collect()
    }

    /// What accepting does to a person who is there already.
    fn changes(&self, person: &Person) -> Vec<Change> {
        let (id, invitation) = (person.id, &self.invitation);
        let place = match invitation.invited_to {
            _ if is_there(person, invitation.invited_to) => None,
            InvitedTo::Organization { id: organization, role } => Some(PersonChange::Joined { organization, role }),
            InvitedTo::Operators => Some(PersonChange::OperatorSet { is_operator: true }),
        };
        let accepted = Change::Invitation {
            id: invitation.id,
            organization: invitation.invited_to.organization(),
            what: InvitationChange::Accepted { by: id },
        };
        place.map(|what| Change::Person { id, what }).into_iter().chain([accepted]).collect()
    }
}

impl Control {
    /// Looks at an invitation by what its link holds.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] where it cannot be accepted.
    pub async fn look_at_invitation(&self, secret: &str) -> Result<SeenInvitation> {
        let Valid { invitation, organization, inviter } = self.valid_invitation(secret).await?;
        let is_known = self.store.person_by_email(&invitation.email).await?.is_some();
        Ok(SeenInvitation { invitation, organization, inviter: inviter.map(|person| person.name), is_known })
    }

    /// Accepts an invitation as somebody new, under the invitation's address.
    ///
    /// # Errors
    /// Where it cannot be accepted, the address is somebody's already, or name or password are none.
    pub async fn accept_invitation_as_new(
        &self,
        secret: &str,
        name: &str,
        password: &Secret,
        visitor: &Visitor,
    ) -> Result<SignedIn> {
        let valid = self.valid_invitation(secret).await?;
        self.require_unknown(&valid).await?;
        let mut faults = Faults::default();
        let name = faults.take("name", person_name(name));
        let own = name.as_deref().unwrap_or_default();
        faults.take("password", phrases::check(password.expose(), &valid.invitation.email, own));
        let name = faults.finish_with(name)?;
        let password = self.hash_new(password).await?;
        let person = self.new_person(valid.invitation.email, name, false, self.now());
        let proven = Proven { person, password: Some(password), by: SignedInBy::Invitation };
        self.accept_as_new(secret, proven, visitor).await
    }

    /// Accepts an invitation as whom a provider speaks for: a new person, or one whose identity is known.
    ///
    /// # Errors
    /// Where the invitation cannot be accepted, or is for another address than the provider verified.
    pub async fn accept_invitation_with_identity(
        &self,
        secret: &str,
        claims: &Claims,
        visitor: &Visitor,
    ) -> Result<SignedIn> {
        let valid = self.valid_invitation(secret).await?;
        let by = claims.signed_in_by();
        if let Some(person) = self.store.person_by_identity(&claims.identity).await? {
            if !person.is_active() {
                return Err(ControlError::BadCredentials);
            }
            let person = self.accept_as(secret, person, visitor).await?;
            let password = self.store.password(person.id).await?;
            return self.begin_session(Proven { person, password, by }, visitor).await;
        }
        self.require_unknown(&valid).await?;
        let verified = claims.verified_email.as_deref().and_then(|email| keyward_core::text::email(email).ok());
        if verified.is_some_and(|email| email != valid.invitation.email) {
            return Err(for_another());
        }
        // What a provider calls somebody may be no name of ours: the address's first part always is.
        let called = claims.name.as_deref().and_then(|name| person_name(name).ok());
        let mailbox = valid.invitation.email.split('@').next().unwrap_or_default();
        let called = called.unwrap_or_else(|| mailbox.chars().take(100).collect());
        let mut person = self.new_person(valid.invitation.email.clone(), called, false, self.now());
        person.identities.push(claims.identity.clone());
        self.accept_as_new(secret, Proven { person, password: None, by }, visitor).await
    }

    /// Accepts an invitation as whoever is signed in. Their session is replaced by a new one.
    ///
    /// # Errors
    /// Where it cannot be accepted, or is for another address.
    pub async fn accept_invitation(&self, secret: &str, current: &Current, visitor: &Visitor) -> Result<SignedIn> {
        self.accept_as(secret, Person::clone(&current.person), visitor).await?;
        self.begin_anew(current, visitor).await
    }

    async fn accept_as(&self, secret: &str, mut person: Person, visitor: &Visitor) -> Result<Person> {
        let mut tries = Tries::default();
        loop {
            let valid = self.valid_invitation(secret).await?;
            if valid.invitation.email != person.email {
                return Err(for_another());
            }
            let mut expect = valid.expect();
            expect.push(Expect::Person(person.id, person.revision));
            let plan = Plan { expect, changes: valid.changes(&person), made: None };
            let actor = Actor::Person { id: person.id, name: person.name.clone() };
            let done = self.commit_as(actor, &visitor.origin, self.now(), plan).await?;
            if let Committed::Stale(expect) = &done {
                tries.again(self, expect.clone()).await?;
            }
            let now = self.store.person(person.id).await?;
            person = now.filter(Person::is_active).ok_or(ControlError::Unauthenticated)?;
            if matches!(done, Committed::InForce(_)) {
                return Ok(person);
            }
        }
    }

    /// Adds a person and makes them what the invitation says, all at once.
    async fn accept_as_new(&self, secret: &str, proven: Proven, visitor: &Visitor) -> Result<SignedIn> {
        let Proven { person, password, by } = proven;
        let mut tries = Tries::default();
        loop {
            let valid = self.valid_invitation(secret).await?;
            let mut expect = valid.expect();
            expect.push(Expect::NoPerson(person.email.clone()));
            let created = PersonChange::Created { person: Box::new(person.clone()), password: password.clone() };
            let mut changes = vec![Change::Person { id: person.id, what: created }];
            changes.extend(valid.changes(&person));
            let actor = Actor::Person { id: person.id, name: person.name.clone() };
            let plan = Plan { expect, changes, made: None };
            match self.commit_as(actor, &visitor.origin, self.now(), plan).await? {
                Committed::InForce(_) => {
                    return self.begin_session(Proven { person, password, by }, visitor).await;
                }
                Committed::Stale(Expect::NoPerson(_)) => return Err(ControlError::SignInFirst),
                Committed::Stale(expect) => tries.again(self, expect).await?,
            }
        }
    }

    async fn require_unknown(&self, valid: &Valid) -> Result<()> {
        match self.store.person_by_email(&valid.invitation.email).await? {
            Some(_) => Err(ControlError::SignInFirst),
            None => Ok(()),
        }
    }

    /// An invitation that can be accepted now: open, to a place that is there, by somebody who still could invite.
    async fn valid_invitation(&self, secret: &str) -> Result<Valid> {
        let digest = self.token_digest(Token::Invitation, secret).ok_or(ControlError::NotFound)?;
        let found = self.store.invitation_by_digest(&digest).await?;
        let now: Timestamp = self.now();
        let invitation = found.filter(|found| found.is_open(now)).ok_or(ControlError::NotFound)?;
        let organization = match invitation.invited_to.organization() {
            Some(id) => {
                let found = self.store.organization(id).await?;
                Some(found.filter(|found| !found.state.is_deleted()).ok_or(ControlError::NotFound)?)
            }
            None => None,
        };
        let inviter = match invitation.invited_by {
            Some(id) => {
                let person =
                    self.store.person(id).await?.filter(|person| can_invite(person, invitation.invited_to));
                Some(person.ok_or(ControlError::NotFound)?)
            }
            None => None,
        };
        Ok(Valid { invitation, organization, inviter })
    }
}

/// Whether somebody could still make this invitation.
fn can_invite(person: &Person, to: InvitedTo) -> bool {
    let seat = match to {
        InvitedTo::Organization { id, .. } => Seat::of(person, id),
        InvitedTo::Operators if person.is_operator => Seat::Operator,
        InvitedTo::Operators => Seat::Nobody,
    };
    let caller = Caller::Person { person: std::sync::Arc::new(person.clone()), seat };
    person.is_active() && caller.has(Permission::MembersWrite) && scopes_of(to).is_within(&caller.scopes())
}

fn for_another() -> ControlError {
    ControlError::invalid("email", "is not the one that the invitation is for")
}
