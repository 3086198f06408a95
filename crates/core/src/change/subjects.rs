//! What a change of many things is about, one by one: by these the store finds it, for the log of each of them.

use std::collections::BTreeSet;

use super::{Change, KeyChange, KeysChange, KeysOf};
use crate::id::{KeyId, OrganizationId, ProjectId};

/// One of the things that a change of many is about, with the walls around it: a key, where it is one; else a project,
/// where it is one; else an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// The organization.
    pub organization: OrganizationId,
    /// The project; none for an organization as such.
    pub project: Option<ProjectId>,
    /// The key; none for a project as such.
    pub key: Option<KeyId>,
}

impl Change {
    /// What it is about beside [`Change::organization`], [`Change::project`] and [`Change::key`], in order: every key of a
    /// change of many, and its projects and organizations where it is not about one alone. Empty for every other change.
    pub fn subjects(&self) -> Vec<Subject> {
        let Change::Keys { of, .. } = self else { return Vec::new() };
        let (of_one_organization, of_one_project) = (self.organization().is_some(), self.project().is_some());
        let mut subjects = BTreeSet::new();
        for KeysOf { project, keys } in of {
            let organization = project.organization;
            if !of_one_organization {
                subjects.insert(Subject { organization, project: None, key: None });
            }
            if !of_one_project {
                subjects.insert(Subject { organization, project: Some(project.id), key: None });
            }
            let subject_of = |key: &KeyId| Subject { organization, project: Some(project.id), key: Some(*key) };
            subjects.extend(keys.iter().map(subject_of));
        }
        subjects.into_iter().collect()
    }

    /// The keys that a change of many is about. None for every other change.
    pub fn keys(&self) -> impl Iterator<Item = KeyId> {
        let of: &[KeysOf] = match self {
            Change::Keys { of, .. } => of,
            _ => &[],
        };
        of.iter().flat_map(|of| of.keys.iter().copied())
    }

    /// As somebody may be told it who sees one project only: nothing of other projects is in it.
    pub fn within(self, project: ProjectId) -> Self {
        match self {
            Change::Keys { mut of, what } => {
                of.retain(|of| of.project.id == project);
                Change::Keys { of, what }
            }
            change => change,
        }
    }
}

impl KeysChange {
    /// What happens to each of the keys.
    pub fn of_each(&self) -> KeyChange {
        match self {
            KeysChange::Revoked { reason } => KeyChange::Revoked { reason: reason.clone() },
        }
    }
}
