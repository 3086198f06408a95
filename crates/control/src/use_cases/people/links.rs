//! Links that sign somebody in once: how `dev` opens the dashboard, and how an operator helps whoever has lost their
//! password. Where mail is configured one can be asked for too (`letters`); an operator's is made at the machine alone
//! (trust.md W13).

use std::sync::Arc;
use std::time::Duration;

use keyward_core::change::{Change, Expect, PersonChange};
use keyward_core::clock::Timestamp;
use keyward_core::id::PersonId;
use keyward_core::people::Person;
use keyward_core::secret::Secret;
use keyward_core::session::{SignInLink, SignedInBy};

use super::super::commit::{Committed, Plan, Tries};
use super::super::error::{ControlError, Result};
use super::operators::require_reach;
use super::sessions::Proven;
use super::{SignedIn, Token, Visitor};
use crate::use_cases::{Asked, Caller, Control};

/// How long a link is good.
const LIFE: Duration = Duration::from_secs(15 * 60);

/// A link that signs in, looked at.
#[derive(Debug, Clone)]
pub struct SeenLink {
    /// Whom it signs in.
    pub person: Arc<Person>,
    /// From when on it does not.
    pub expires_at: Timestamp,
}

impl Control {
    /// Makes a link that signs a person in once, within a quarter of an hour: the operators' alone, and for operators
    /// only at the machine itself. The secret stands at the end of `/sign-in/link/`.
    ///
    /// # Errors
    /// Where the caller may not or has less than the person, or the person is none that may sign in.
    pub async fn make_sign_in_link(&self, asked: &Asked, person: PersonId) -> Result<Secret> {
        require_reach(asked)?;
        let (secret, _) = self.make_link(asked, person, |found| require_helpable(asked, found)).await?;
        Ok(secret)
    }

    /// Makes a link that signs a person in, where they `may` have one; and tells until when it does.
    pub(super) async fn make_link(
        &self,
        asked: &Asked,
        person: PersonId,
        may: impl Fn(&Person) -> Result<()>,
    ) -> Result<(Secret, Timestamp)> {
        let mut tries = Tries::default();
        let (before, password) = loop {
            let found = self.store.person(person).await?.ok_or(ControlError::NotFound)?;
            may(&found)?;
            let password = self.store.password(person).await?;
            let now = self.now();
            let changes = vec![Change::Person { id: person, what: PersonChange::SignInLinkMade }];
            let plan = Plan { expect: vec![Expect::Person(person, found.revision)], changes, made: None };
            match self.commit(asked, now, plan).await? {
                Committed::Stale(expect) => tries.again(self, expect).await?,
                Committed::InForce(_) => break (found, password),
            }
        };
        let now = self.now();
        let (secret, digest) = self.mint_token(Token::SignIn);
        let link = SignInLink { digest, person, created_at: now, expires_at: now.saturating_add(LIFE) };
        self.store.add_sign_in_link(&link).await?;
        // What changed in between ended the links that were there by then: this one came too late for it. What changes
        // from here on ends this one too.
        let now = self.store.person(person).await?;
        let is_same = now.is_some_and(|now| {
            let rights = |person: &Person| (person.is_operator, person.is_active(), person.identities.clone());
            rights(&now) == rights(&before) && now.memberships == before.memberships
        });
        if !is_same || self.store.password(person).await? != password {
            self.store.take_sign_in_link(&link.digest).await?;
            return Err(ControlError::Conflict(None));
        }
        Ok((secret, link.expires_at))
    }

    /// Looks at a link without using it up.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] where it signs nobody in.
    pub async fn look_at_link(&self, secret: &str) -> Result<SeenLink> {
        let digest = self.token_digest(Token::SignIn, secret).ok_or(ControlError::NotFound)?;
        let link = self.store.sign_in_link(&digest).await?.ok_or(ControlError::NotFound)?;
        let person = self.person_of(&link).await?;
        Ok(SeenLink { person: Arc::new(person), expires_at: link.expires_at })
    }

    /// Signs in with a link, which is used up by it.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] where it signs nobody in.
    pub async fn sign_in_with_link(&self, secret: &str, visitor: &Visitor) -> Result<SignedIn> {
        let digest = self.token_digest(Token::SignIn, secret).ok_or(ControlError::NotFound)?;
        let seen = self.store.sign_in_link(&digest).await?.ok_or(ControlError::NotFound)?;
        // Read before the link is taken: a change after this is noticed when the session begins.
        let person = self.person_of(&seen).await?;
        let password = self.store.password(person.id).await?;
        self.store.take_sign_in_link(&digest).await?.ok_or(ControlError::NotFound)?;
        self.begin_session(Proven { person, password, by: SignedInBy::Link }, visitor).await
    }

    async fn person_of(&self, link: &SignInLink) -> Result<Person> {
        if self.now() >= link.expires_at {
            return Err(ControlError::NotFound);
        }
        self.store.person(link.person).await?.filter(Person::is_active).ok_or(ControlError::NotFound)
    }
}

/// Goes on only for somebody who may do all that the person may: a link hands that on.
fn require_helpable(asked: &Asked, person: &Person) -> Result<()> {
    if !person.is_active() {
        return Err(ControlError::invalid("person", "is disabled: enable them first"));
    }
    match asked.caller {
        Caller::Operator { .. } => Ok(()),
        _ if person.is_operator => Err(ControlError::WiderThanCaller(
            "an operator's link is made at the machine itself, with keyward operator sign-in-link".into(),
        )),
        _ => person.memberships.iter().try_for_each(|place| asked.require_scopes(&place.role.scopes())),
    }
}
