//! Reads together what the proposals of a batch will ask for one by one: a few statements a batch instead of
//! several a proposal. Only speed hangs on it; whatever is not foreseen is read when it is asked for.

use keyward_core::change::{
    Change, Expect, InvitationChange, KeyChange, ManagementKeyChange, PersonChange, ProjectChange, Proposal,
};
use keyward_core::clock::Timestamp;
use keyward_core::data_keyring::DataKeyring;
use keyward_core::id::{ApiName, InvitationId, KeyId, ManagementKeyId, OrganizationId, PersonId, ProjectId};
use keyward_core::key::Key;
use keyward_core::people::{Invitation, Person};
use keyward_core::secret::Digest;
use keyward_core::tenancy::{Api, ManagementKey, Organization, Project};

use super::records::{DigestKind, Records, Refusal};

/// What a batch will ask for.
#[derive(Default)]
struct Asked {
    keys: Vec<KeyId>,
    projects: Vec<ProjectId>,
    keyrings: Vec<ProjectId>,
    organizations: Vec<OrganizationId>,
    management_keys: Vec<ManagementKeyId>,
    apis: Vec<ApiName>,
    people: Vec<PersonId>,
    invitations: Vec<InvitationId>,
    digests: Vec<Digest>,
    management_digests: Vec<Digest>,
    invitation_digests: Vec<Digest>,
    emails: Vec<String>,
    requests: Vec<(String, String)>,
    live_keys: Vec<(ProjectId, Timestamp)>,
}

/// Reads what these proposals need.
pub(crate) async fn read(records: &mut Records<'_>, proposals: &[Proposal]) -> Result<(), Refusal> {
    let mut asked = Asked::default();
    for proposal in proposals {
        asked.add(proposal);
    }
    asked.read(records).await
}

/// Reads what making these changes needs.
pub(crate) async fn read_for<'c>(
    records: &mut Records<'_>,
    changes: impl Iterator<Item = &'c Change>,
) -> Result<(), Refusal> {
    let mut asked = Asked::default();
    changes.for_each(|change| asked.add_change(change));
    asked.read(records).await
}

impl Asked {
    async fn read(mut self, records: &mut Records<'_>) -> Result<(), Refusal> {
        records.fetch_requests(&self.requests).await?;
        records.fetch::<Api>(&self.apis).await?;
        records.fetch::<Organization>(&self.organizations).await?;
        records.fetch::<Project>(&self.projects).await?;
        records.fetch::<DataKeyring>(&self.keyrings).await?;
        records.fetch::<Key>(&self.keys).await?;
        records.fetch::<ManagementKey>(&self.management_keys).await?;
        records.fetch::<Person>(&self.people).await?;
        records.fetch::<Invitation>(&self.invitations).await?;
        records.fetch_emails(&self.emails).await?;
        records.fetch_holders(DigestKind::Invitation, &self.invitation_digests).await?;
        records.fetch_holders(DigestKind::Key, &self.digests).await?;
        records.fetch_holders(DigestKind::ManagementKey, &self.management_digests).await?;
        self.live_keys.sort_unstable();
        self.live_keys.dedup();
        records.fetch_live_keys(&self.live_keys).await
    }

    fn add(&mut self, proposal: &Proposal) {
        if let Some(request) = &proposal.idempotency {
            self.requests.push((request.caller.clone(), request.key.clone()));
        }
        for expect in &proposal.expect {
            match expect {
                Expect::NoApi(name) | Expect::Api(name, _) => self.apis.push(name.clone()),
                Expect::Organization(id, _) => self.organizations.push(*id),
                Expect::Project(id, _) => self.projects.push(*id),
                Expect::DataKeys(project, _) => self.keyrings.push(*project),
                Expect::Key(id, _) => self.keys.push(*id),
                Expect::ManagementKey(id, _) => self.management_keys.push(*id),
                Expect::Person(id, _) => self.people.push(*id),
                Expect::NoPerson(email) => self.emails.push(email.clone()),
                Expect::Invitation(id, _) => self.invitations.push(*id),
                // Seldom, and asked for with what the proposals before moved left out.
                Expect::NoOperator | Expect::OperatorBeside(_) | Expect::OwnerBeside(..) => {}
                Expect::LiveKeysBelow { project, .. } => self.live_keys.push((*project, proposal.at)),
            }
        }
        for change in &proposal.changes {
            self.add_change(change);
        }
    }

    fn add_change(&mut self, change: &Change) {
        match change {
            Change::Api { api } => self.apis.push(api.name.clone()),
            Change::Organization { id, .. } => self.organizations.push(*id),
            Change::Project { of, what } => {
                self.projects.push(of.id);
                if let ProjectChange::Created { project } = what {
                    self.organizations.push(project.organization);
                }
            }
            Change::Key { of, what } => {
                self.keys.push(of.id);
                if let KeyChange::Created { key: new } | KeyChange::Rotated { new, .. } = what {
                    self.keys.push(new.id);
                    self.projects.push(new.project);
                    self.digests.push(new.digest);
                }
            }
            Change::DataKey { of, .. } => {
                self.projects.push(of.id);
                self.keyrings.push(of.id);
            }
            Change::Keys { .. } => self.keys.extend(change.keys()),
            Change::ManagementKey { id, what } => {
                self.management_keys.push(*id);
                if let ManagementKeyChange::Created { key: new } | ManagementKeyChange::Rotated { new } = what {
                    self.management_keys.push(new.id);
                    self.management_digests.push(new.digest);
                }
            }
            Change::Person { id, what } => {
                self.people.push(*id);
                self.organizations.extend(change.organization());
                if let PersonChange::Created { person, .. } = what {
                    self.emails.push(person.email.clone());
                }
            }
            Change::Invitation { id, organization, what } => {
                self.invitations.push(*id);
                self.organizations.extend(*organization);
                if let InvitationChange::Created { invitation } = what {
                    self.invitation_digests.push(invitation.digest);
                }
            }
            Change::Store { .. } => {}
        }
    }
}
