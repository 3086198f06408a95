//! As what somebody asks about a thing: the seat that they have in the organization whose thing it is. Who has none there,
//! and who asks about what does not exist, is told the same.

use keyward_core::change::Origin;
use keyward_core::id::{KeyId, OrganizationId, ProjectId};

use super::Current;
use crate::use_cases::error::{ControlError, Result};
use crate::use_cases::{Asked, Control, Seat};

impl Current {
    /// What they ask about an organization and what is its.
    pub fn asked_in(&self, organization: OrganizationId, origin: Origin) -> Asked {
        self.asked(Seat::of(&self.person, organization), origin)
    }

    /// What they ask about everything; only an operator is given an answer.
    pub fn asked_everywhere(&self, origin: Origin) -> Asked {
        self.asked(if self.person.is_operator { Seat::Operator } else { Seat::Nobody }, origin)
    }
}

impl Control {
    /// What somebody asks about a project.
    ///
    /// # Errors
    /// Where there is no project, or they have no seat at it.
    pub async fn asked_at_project(&self, current: &Current, origin: &Origin, id: ProjectId) -> Result<Asked> {
        let project = self.store.project(id).await?.ok_or(ControlError::NotFound)?;
        seated(current.asked_in(project.organization, origin.clone()))
    }

    /// What somebody asks about a key.
    ///
    /// # Errors
    /// Where there is no key, or they have no seat at its project.
    pub async fn asked_at_key(&self, current: &Current, origin: &Origin, id: KeyId) -> Result<Asked> {
        let key = self.store.key(id).await?.ok_or(ControlError::NotFound)?;
        self.asked_at_project(current, origin, key.project).await
    }
}

fn seated(asked: Asked) -> Result<Asked> {
    match asked.caller.is_seated() {
        true => Ok(asked),
        false => Err(ControlError::NotFound),
    }
}
