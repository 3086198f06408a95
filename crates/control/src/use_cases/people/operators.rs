//! What operators do with people's accounts: seeing all of them, naming operators, and keeping somebody out.

use keyward_core::change::Revision;
use keyward_core::id::PersonId;
use keyward_core::people::Person;
use keyward_core::store::PersonFilter;
use keyward_verify::InForce;

use super::super::error::Result;
use crate::use_cases::{Asked, Control, Listed};

impl Control {
    /// People, newest first.
    ///
    /// # Errors
    /// Where the caller may not manage people everywhere.
    pub async fn people(
        &self,
        _asked: &Asked,
        _filter: &PersonFilter,
        _before: Option<Revision>,
        _limit: u32,
    ) -> Result<Listed<Person>> {
        Err(super::unfinished())
    }

    /// A person.
    ///
    /// # Errors
    /// Where the caller may not manage people everywhere, or there is none.
    pub async fn person(&self, _asked: &Asked, _id: PersonId) -> Result<Person> {
        Err(super::unfinished())
    }

    /// The person with a mail address.
    ///
    /// # Errors
    /// Where the caller may not manage people everywhere, or there is none.
    pub async fn person_by_email(&self, _asked: &Asked, _email: &str) -> Result<Person> {
        Err(super::unfinished())
    }

    /// Adds an operator without a password, for whoever is at the machine itself: a link signs them in.
    ///
    /// # Errors
    /// Where the caller is not at the machine, or the address is somebody's.
    pub async fn add_operator(&self, _asked: &Asked, _email: &str, _name: &str) -> Result<Person> {
        Err(super::unfinished())
    }

    /// Makes a person an operator, or no longer one. Either ends their sessions.
    ///
    /// # Errors
    /// Where the caller may not, there is no such person, or nobody else would be an operator.
    pub async fn set_operator(
        &self,
        _asked: &Asked,
        _id: PersonId,
        _is_operator: bool,
    ) -> Result<(Person, InForce)> {
        Err(super::unfinished())
    }

    /// Keeps a person from signing in, ends their sessions, and the management keys and invitations they made.
    ///
    /// # Errors
    /// Where the caller may not, there is no such person, or nobody else would be an operator.
    pub async fn disable_person(&self, _asked: &Asked, _id: PersonId) -> Result<(Person, InForce)> {
        Err(super::unfinished())
    }

    /// Lets a person sign in again.
    ///
    /// # Errors
    /// Where the caller may not, or there is no such person.
    pub async fn enable_person(&self, _asked: &Asked, _id: PersonId) -> Result<(Person, InForce)> {
        Err(super::unfinished())
    }
}
