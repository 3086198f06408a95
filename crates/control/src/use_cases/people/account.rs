//! What people do with their own account: their name, and their password. Identities stand in the [`Person`] itself.

use std::sync::Arc;
use std::time::Duration;

use keyward_core::change::{Change, Expect, PersonChange};
use keyward_core::people::Person;
use keyward_core::secret::Secret;
use keyward_core::session::SignedInBy;

use super::super::commit::{Committed, Plan};
use super::super::error::{ControlError, Result};
use super::passwords::Checked;
use super::sessions::Proven;
use super::{Current, SignedIn, Visitor, person_name, phrases};
use crate::use_cases::Control;

/// How long after signing in somebody may do what otherwise takes the old password.
pub(super) const FRESH: Duration = Duration::from_secs(15 * 60);

impl Control {
    /// Gives whoever asks another name.
    ///
    /// # Errors
    /// Where it is none.
    pub async fn rename_self(&self, current: &Current, name: &str, visitor: &Visitor) -> Result<Arc<Person>> {
        let name = person_name(name).map_err(|message| ControlError::invalid("name", message))?;
        if name == current.person.name {
            return Ok(Arc::clone(&current.person));
        }
        self.change_self(current, PersonChange::Renamed { name }, visitor).await
    }

    /// Whether a new password takes the one before: not where there is none, nor shortly after a link signed in.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn needs_old_password(&self, current: &Current) -> Result<bool> {
        let came_by_link = current.session.signed_in_by == SignedInBy::Link && self.is_fresh(current);
        Ok(!came_by_link && self.store.password(current.person.id).await?.is_some())
    }

    /// Gives whoever asks another password. All their sessions end, known devices are known no more, and a new session
    /// begins.
    ///
    /// # Errors
    /// [`ControlError::BadCredentials`] where the old one is needed and is another; [`ControlError::RateLimited`] where
    /// it was tried too often; or what is wrong with the new one.
    pub async fn change_password(
        &self,
        current: &Current,
        old: Option<&Secret>,
        new: &Secret,
        visitor: &Visitor,
    ) -> Result<SignedIn> {
        let Current { person, .. } = current;
        phrases::check(new.expose(), &person.email, &person.name)
            .map_err(|message| ControlError::invalid("password", message))?;
        if self.needs_old_password(current).await? {
            self.check_own(current, old).await?;
        } else if !self.is_fresh(current) {
            // Whoever took a session that was left open must not make it theirs for good.
            return Err(ControlError::invalid(
                "password",
                "can be set shortly after signing in only: sign in again",
            ));
        }
        let password = self.hash_new(new).await?;
        let set = PersonChange::PasswordSet { password: Some(password.clone()) };
        let person = self.change_self(current, set, visitor).await?;
        let proven = Proven { person: Person::clone(&person), password: Some(password), by: SignedInBy::Password };
        self.begin_session(proven, visitor).await
    }

    pub(super) async fn check_own(&self, current: &Current, old: Option<&Secret>) -> Result<()> {
        let old = old.filter(|old| !phrases::is_too_long(old.expose())).ok_or(ControlError::BadCredentials)?;
        let place = self.people.passwords.place()?;
        self.count_own_guess(current.session.id)?;
        let hash = self.store.password(current.person.id).await?;
        match self.people.passwords.check(place, old.clone(), hash).await? {
            Checked::Right { .. } => Ok(()),
            Checked::Wrong => Err(ControlError::BadCredentials),
        }
    }

    /// Hashes a new password.
    pub(super) async fn hash_new(&self, password: &Secret) -> Result<keyward_core::people::PasswordHash> {
        let place = self.people.passwords.place()?;
        self.people.passwords.hash(place, password.clone(), self.salt()).await
    }

    /// Whether they showed who they are a short while ago.
    pub(super) fn is_fresh(&self, current: &Current) -> bool {
        self.now().since(current.session.created_at) < FRESH
    }

    async fn change_self(&self, current: &Current, what: PersonChange, visitor: &Visitor) -> Result<Arc<Person>> {
        let id = current.person.id;
        let expect = vec![Expect::Person(id, current.person.revision)];
        let plan = Plan { expect, changes: vec![Change::Person { id, what }], made: None };
        match self.commit(&current.for_themselves(&visitor.origin), self.now(), plan).await? {
            Committed::Stale(expect) => Err(ControlError::Conflict(Some(expect))),
            Committed::InForce(_) => {
                let person =
                    self.store.person(id).await.map_err(|error| ControlError::from(error).after_commit())?;
                person.map(Arc::new).ok_or(ControlError::Unauthenticated)
            }
        }
    }
}
