//! What operators do with people's accounts: seeing all of them, naming operators, and keeping somebody out.

use keyward_core::change::{Change, Expect, PersonChange, Revision};
use keyward_core::id::PersonId;
use keyward_core::people::{Person, PersonState};
use keyward_core::permission::Permission;
use keyward_core::scope::Scopes;
use keyward_core::store::{Page, PersonFilter};
use keyward_core::tenancy::Boundary;

use super::super::commit::{Committed, Plan, Tries};
use super::super::error::{ControlError, Faults, Result};
use super::leaving::{Ending, Place};
use super::person_name;
use crate::use_cases::Force;
use crate::use_cases::{Asked, Caller, Control, Listed};

impl Control {
    /// People, newest first.
    ///
    /// # Errors
    /// Where the caller may not manage people everywhere.
    pub async fn people(
        &self,
        asked: &Asked,
        filter: &PersonFilter,
        before: Option<Revision>,
        limit: u32,
    ) -> Result<Listed<Person>> {
        asked.require_everywhere(Permission::PeopleWrite)?;
        let found = self.store.people(filter, Page { before, limit: limit + 1 }).await?;
        Ok(Listed::cut(found, limit, |person| person.created_revision))
    }

    /// A person.
    ///
    /// # Errors
    /// Where the caller may not manage people everywhere, or there is none.
    pub async fn person(&self, asked: &Asked, id: PersonId) -> Result<Person> {
        require_reach(asked)?;
        self.store.person(id).await?.ok_or(ControlError::NotFound)
    }

    /// The person with a mail address.
    ///
    /// # Errors
    /// Where the caller may not manage people everywhere, or there is none.
    pub async fn person_by_email(&self, asked: &Asked, email: &str) -> Result<Person> {
        asked.require_everywhere(Permission::PeopleWrite)?;
        let email = keyward_core::text::email(email).map_err(|message| ControlError::invalid("email", message))?;
        self.store.person_by_email(&email).await?.ok_or(ControlError::NotFound)
    }

    /// Adds an operator without a password, or makes who has the address one, for whoever is at the machine itself: a
    /// link signs them in.
    ///
    /// # Errors
    /// Where the caller is not at the machine, or address or name are none.
    pub async fn add_operator(&self, asked: &Asked, email: &str, name: &str) -> Result<Person> {
        if !matches!(asked.caller, Caller::Operator { .. }) {
            return Err(ControlError::Forbidden(Permission::PeopleWrite));
        }
        let mut faults = Faults::default();
        let email = faults.take("email", keyward_core::text::email(email));
        let name = faults.take("name", person_name(name));
        let (email, name) = faults.finish_with(email.zip(name))?;
        if let Some(known) = self.store.person_by_email(&email).await? {
            return Ok(self.set_operator(asked, known.id, true).await?.0);
        }
        let now = self.now();
        let person = self.new_person(email.clone(), name, true, now);
        let created = PersonChange::Created { person: Box::new(person.clone()), password: None };
        let changes = vec![Change::Person { id: person.id, what: created }];
        match self.commit(asked, now, Plan { expect: vec![Expect::NoPerson(email)], changes, made: None }).await? {
            Committed::InForce(_) => {
                let written = self.store.person(person.id).await;
                let written = written.map_err(|error| ControlError::from(error).after_commit())?;
                written.ok_or(ControlError::NotFound)
            }
            Committed::Stale(expect) => Err(ControlError::Conflict(Some(expect))),
        }
    }

    /// Makes a person an operator, or no longer one. Either ends their sessions.
    ///
    /// # Errors
    /// Where the caller may not, there is no such person, or nobody else would be an operator.
    pub async fn set_operator(&self, asked: &Asked, id: PersonId, is_operator: bool) -> Result<(Person, Force)> {
        require_reach(asked)?;
        if is_operator {
            asked.require_scopes(&Scopes::all())?;
        }
        let decide = |person: &Person| {
            (person.is_operator != is_operator).then_some(PersonChange::OperatorSet { is_operator })
        };
        self.change_person(asked, id, decide).await
    }

    /// Keeps a person from signing in, ends their sessions, and the management keys and invitations they made.
    ///
    /// # Errors
    /// Where the caller may not, there is no such person, or nobody else would be an operator.
    pub async fn disable_person(&self, asked: &Asked, id: PersonId) -> Result<(Person, Force)> {
        require_reach(asked)?;
        self.change_person(asked, id, |person| person.is_active().then_some(PersonChange::Disabled)).await
    }

    /// Lets a person sign in again.
    ///
    /// # Errors
    /// Where the caller may not or has less than the person, or there is no such person.
    pub async fn enable_person(&self, asked: &Asked, id: PersonId) -> Result<(Person, Force)> {
        require_reach(asked)?;
        let person = self.store.person(id).await?.ok_or(ControlError::NotFound)?;
        if person.is_operator {
            asked.require_scopes(&Scopes::all())?;
        }
        self.change_person(asked, id, |person| (!person.is_active()).then_some(PersonChange::Enabled)).await
    }

    async fn change_person(
        &self,
        asked: &Asked,
        id: PersonId,
        decide: impl Fn(&Person) -> Option<PersonChange>,
    ) -> Result<(Person, Force)> {
        let mut tries = Tries::default();
        loop {
            let mut person = self.store.person(id).await?.ok_or(ControlError::NotFound)?;
            let Some(what) = decide(&person) else { return Ok((person, self.settle_for(asked).await?)) };
            let is_less = matches!(what, PersonChange::Disabled | PersonChange::OperatorSet { is_operator: false });
            let place = Place::all_of(&person);
            let Ending { mut expect, mut changes } =
                if is_less { self.made_by(id, &place).await? } else { Ending::default() };
            if is_less && person.is_operator {
                expect.push(Expect::OperatorBeside(id));
            }
            expect.push(Expect::Person(id, person.revision));
            changes.insert(0, Change::Person { id, what: what.clone() });
            let now = self.now();
            match self.commit(asked, now, Plan { expect, changes, made: None }).await? {
                Committed::Stale(Expect::OperatorBeside(_)) => return Err(ControlError::LastOne("operator")),
                Committed::Stale(expect) => tries.again(self, expect).await?,
                Committed::InForce(in_force) => {
                    if is_less {
                        self.end_leftovers(asked, id, &place).await?;
                    }
                    person.apply(&what, now, person.revision.next());
                    return Ok((person, in_force));
                }
            }
        }
    }

    /// Somebody who is to be added.
    pub(super) fn new_person(
        &self,
        email: String,
        name: String,
        is_operator: bool,
        now: keyward_core::clock::Timestamp,
    ) -> Person {
        Person {
            id: PersonId::random(&*self.entropy),
            email,
            name,
            is_operator,
            memberships: Vec::new(),
            identities: Vec::new(),
            state: PersonState::Active,
            created_at: now,
            created_revision: Revision::ZERO,
            revision: Revision::ZERO,
        }
    }
}

/// Goes on only for a caller who may manage people everywhere: for one whose reach is bounded, nobody is there.
pub(super) fn require_reach(asked: &Asked) -> Result<()> {
    asked.require(Permission::PeopleWrite)?;
    match asked.caller.boundary() {
        Boundary::Everything => Ok(()),
        Boundary::Organization(_) | Boundary::Project(_) => Err(ControlError::NotFound),
    }
}
