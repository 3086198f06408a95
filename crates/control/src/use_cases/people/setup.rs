//! The first operator: while nobody is one, the process that serves holds a token, told on its console and in a file
//! of its folder; whoever brings it becomes the first operator, once (trust.md W12).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use keyward_core::change::{Actor, Change, Expect, PersonChange};
use keyward_core::clock::Timestamp;
use keyward_core::secret::{Digest, Secret};
use keyward_core::session::SignedInBy;
use keyward_core::store::{Page, PersonFilter};

use super::super::commit::{Committed, Plan};
use super::super::error::{ControlError, Faults, Result};
use super::sessions::Proven;
use super::{NewPerson, SignedIn, Token, Visitor, person_name, phrases};
use crate::use_cases::Control;

/// How long a token is good.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// The token, where there is one.
#[derive(Default)]
pub(super) struct SetupToken {
    /// Its digest, and from when on it opens nothing.
    token: Mutex<Option<(Digest, Timestamp)>>,
    /// One at a time: who comes second finds it done, and no password is hashed in vain.
    turn: tokio::sync::Mutex<()>,
}

impl SetupToken {
    fn set(&self, token: Option<(Digest, Timestamp)>) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    fn opens(&self, digest: &Digest, now: Timestamp) -> bool {
        let token = *self.token.lock().unwrap_or_else(PoisonError::into_inner);
        token.is_some_and(|(own, end)| own == *digest && now < end)
    }
}

impl Control {
    /// Whether nobody is an operator yet.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn needs_setup(&self) -> Result<bool> {
        let operators = PersonFilter { organization: None, is_operator: true };
        Ok(self.store.people(&operators, Page { before: None, limit: 1 }).await?.is_empty())
    }

    /// Makes a new token to set Keyward up with, in place of any before; none where somebody is an operator. It is
    /// good for a day, in this process alone.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn begin_setup(&self) -> Result<Option<Secret>> {
        if !self.needs_setup().await? {
            self.people.setup.set(None);
            return Ok(None);
        }
        let (secret, digest) = self.mint_token(Token::Setup);
        self.people.setup.set(Some((digest, self.now().saturating_add(LIFE))));
        Ok(Some(secret))
    }

    /// Looks at a token without using it up.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] where it opens nothing, or Keyward is set up.
    pub async fn look_at_setup(&self, token: &str) -> Result<()> {
        let digest = self.token_digest(Token::Setup, token).ok_or(ControlError::NotFound)?;
        let opens = self.people.setup.opens(&digest, self.now());
        if opens && self.needs_setup().await? { Ok(()) } else { Err(ControlError::NotFound) }
    }

    /// Makes the first operator. Of any number of calls, one succeeds.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] where the token opens nothing, or Keyward is set up; or what is wrong with the person.
    pub async fn set_up(&self, token: &str, wish: &NewPerson, visitor: &Visitor) -> Result<SignedIn> {
        // A made-up token waits for nobody.
        self.look_at_setup(token).await?;
        let _turn = self.people.setup.turn.lock().await;
        self.look_at_setup(token).await?;
        let mut faults = Faults::default();
        let email = faults.take("email", keyward_core::text::email(&wish.email));
        let name = faults.take("name", person_name(&wish.name));
        let own = (email.as_deref().unwrap_or_default(), name.as_deref().unwrap_or_default());
        faults.take("password", phrases::check(wish.password.expose(), own.0, own.1));
        let (email, name) = faults.finish_with(email.zip(name))?;
        let password = self.hash_new(&wish.password).await?;
        let now = self.now();
        let person = self.new_person(email.clone(), name, true, now);
        let actor = Actor::Person { id: person.id, name: person.name.clone() };
        let created = PersonChange::Created { person: Box::new(person.clone()), password: Some(password.clone()) };
        let changes = vec![Change::Person { id: person.id, what: created }];
        let plan = Plan { expect: vec![Expect::NoOperator, Expect::NoPerson(email)], changes, made: None };
        match self.commit_as(actor, &visitor.origin, now, plan).await? {
            Committed::InForce(_) => {
                self.people.setup.set(None);
                let by = SignedInBy::Invitation;
                self.begin_session(Proven { person, password: Some(password), by }, visitor).await
            }
            Committed::Stale(Expect::NoOperator) => Err(ControlError::NotFound),
            Committed::Stale(_) => Err(ControlError::AlreadyExists("a person with this mail address")),
        }
    }
}
