//! Signing in by an OpenID provider. Who somebody is there is issuer and subject and nothing else: a mail address never
//! links an account (trust.md T09). The protocol is another's work; what comes here was verified.

use keyward_core::change::{Change, Expect, Origin, PersonChange};
use keyward_core::people::{Identity, Person};
use keyward_core::session::SignedInBy;

use super::super::commit::{Committed, Plan, Tries};
use super::super::error::{ControlError, Result};
use super::sessions::Proven;
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

    /// Lets a provider speak for the person who asks from now on.
    ///
    /// # Errors
    /// Where it speaks for another already.
    pub async fn link_identity(&self, current: &Current, identity: &Identity, origin: &Origin) -> Result<()> {
        let mut tries = Tries::default();
        loop {
            match self.store.person_by_identity(identity).await? {
                Some(person) if person.id == current.person.id => return Ok(()),
                Some(_) => return Err(ControlError::AlreadyExists("another person with this identity")),
                None => {}
            }
            let id = current.person.id;
            let linked = PersonChange::IdentityLinked { identity: identity.clone() };
            let changes = vec![Change::Person { id, what: linked }];
            let expect = vec![Expect::Person(id, current.person.revision)];
            let plan = Plan { expect, changes, made: None };
            match self.commit(&current.for_themselves(origin), self.now(), plan).await? {
                Committed::InForce(_) => return Ok(()),
                Committed::Stale(expect) => tries.again(self, expect).await?,
            }
        }
    }
}
