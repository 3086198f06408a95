//! Signing in by an OpenID provider. Who somebody is there is issuer and subject and nothing else: a mail address never
//! links an account (trust.md T09). The protocol is another's work; what comes here was verified.

use keyward_core::change::{Change, Expect, Origin, PersonChange};
use keyward_core::people::{Identity, Person};
use keyward_core::secret::Secret;
use keyward_core::session::SignedInBy;

use super::super::commit::{Committed, Plan, Tries};
use super::super::error::{ControlError, Result};
use super::account::FRESH;
use super::sessions::Proven;
use super::{Current, SignedIn, Visitor};
use crate::openid::ATTEMPT_LIFE;
use crate::use_cases::Control;

/// What is said to whom only signing in again shows to be who they are.
const SIGN_IN_AGAIN: &str = "can be linked shortly after signing in only: sign out, sign in again, then link it";

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

impl Claims {
    /// How a session began that these began.
    pub(super) fn signed_in_by(&self) -> SignedInBy {
        SignedInBy::OpenIdConnect { issuer: self.identity.issuer.clone() }
    }
}

impl Control {
    /// Signs in whom a provider speaks for.
    ///
    /// # Errors
    /// [`ControlError::BadCredentials`] where it is nobody who may sign in.
    pub async fn sign_in_with_identity(&self, claims: &Claims, visitor: &Visitor) -> Result<SignedIn> {
        let person = self.store.person_by_identity(&claims.identity).await?;
        let person = person.filter(Person::is_active).ok_or(ControlError::BadCredentials)?;
        let password = self.store.password(person.id).await?;
        self.begin_session(Proven { person, password, by: claims.signed_in_by() }, visitor).await
    }

    /// Whether whoever asks has to show once more who they are before a provider can be linked.
    pub fn needs_proof_to_link(&self, current: &Current) -> bool {
        !self.is_fresh(current)
    }

    /// Has whoever asks show once more who they are, before they set out to link a provider: whoever took a session that
    /// was left open must not make it theirs for good. Where they showed it just now nothing happens; else their password
    /// begins a new session in place of the one that asks.
    ///
    /// # Errors
    /// [`ControlError::BadCredentials`] where the password is another; [`ControlError::RateLimited`] where it was tried
    /// too often; [`ControlError::Invalid`] where there is none, so that only signing in again shows it.
    pub async fn prove_to_link(
        &self,
        current: &Current,
        password: Option<&Secret>,
        visitor: &Visitor,
    ) -> Result<Option<SignedIn>> {
        if self.is_fresh(current) {
            return Ok(None);
        }
        let Some(hash) = self.store.password(current.person.id).await? else {
            return Err(ControlError::invalid("provider", SIGN_IN_AGAIN));
        };
        self.check_own(current, password).await?;
        self.sign_out(current).await?;
        let person = Person::clone(&current.person);
        let proven = Proven { person, password: Some(hash), by: SignedInBy::Password };
        self.begin_session(proven, visitor).await.map(Some)
    }

    /// Lets a provider speak for the person who asks from now on.
    ///
    /// # Errors
    /// Where it speaks for another already, or they did not show who they are just before they set out.
    pub async fn link_identity(&self, current: &Current, identity: &Identity, origin: &Origin) -> Result<()> {
        let age = self.now().since(current.session.created_at);
        if age >= FRESH + ATTEMPT_LIFE {
            return Err(ControlError::invalid("provider", SIGN_IN_AGAIN));
        }
        let mut tries = Tries::default();
        loop {
            match self.store.person_by_identity(identity).await? {
                Some(person) if person.id == current.person.id => return Ok(()),
                Some(_) => return Err(ControlError::AlreadyExists("another person with this identity")),
                None => {}
            }
            let linked = PersonChange::IdentityLinked { identity: identity.clone() };
            match self.change_identities(current, vec![linked], origin).await? {
                Committed::InForce(_) => return Ok(()),
                Committed::Stale(expect) => tries.again(self, expect).await?,
            }
        }
    }

    /// Lets a provider speak for whoever asks no more. All their sessions end, and a new one begins.
    ///
    /// # Errors
    /// Where it does not speak for them, or they would have no way in left but by another's help.
    pub async fn unlink_identity(&self, current: &Current, issuer: &str, visitor: &Visitor) -> Result<SignedIn> {
        let own = current.person.identities.iter();
        let (theirs, others): (Vec<_>, Vec<_>) = own.cloned().partition(|identity| identity.issuer == issuer);
        if theirs.is_empty() {
            return Err(ControlError::NotFound);
        }
        if others.is_empty() && self.store.password(current.person.id).await?.is_none() {
            return Err(ControlError::invalid("provider", "is your only way in: choose a password first"));
        }
        let unlinked = theirs.into_iter().map(|identity| PersonChange::IdentityUnlinked { identity });
        match self.change_identities(current, unlinked.collect(), &visitor.origin).await? {
            Committed::InForce(_) => self.begin_anew(current, visitor).await,
            Committed::Stale(expect) => Err(ControlError::Conflict(Some(expect))),
        }
    }

    async fn change_identities(
        &self,
        current: &Current,
        changes: Vec<PersonChange>,
        origin: &Origin,
    ) -> Result<Committed> {
        let id = current.person.id;
        let changes = changes.into_iter().map(|what| Change::Person { id, what }).collect();
        let plan = Plan { expect: vec![Expect::Person(id, current.person.revision)], changes, made: None };
        self.commit(&current.for_themselves(origin), self.now(), plan).await
    }
}
