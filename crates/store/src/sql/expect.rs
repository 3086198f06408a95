//! Whether what a proposal expects is still so.

use keyward_core::change::{Expect, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::data_keyring::DataKeyring;
use keyward_core::key::Key;
use keyward_core::people::{Invitation, Person};
use keyward_core::tenancy::{Api, ManagementKey, Organization, Project};

use super::records::{Kept, Records, Refusal};

/// Whether one expectation holds in this transaction, for a proposal made at `at`.
pub(crate) async fn holds(records: &mut Records<'_>, expect: &Expect, at: Timestamp) -> Result<bool, Refusal> {
    match expect {
        Expect::NoApi(name) => Ok(records.load::<Api>(name).await?.is_none()),
        Expect::Api(name, revision) => stands_at::<Api>(records, name, *revision).await,
        Expect::Organization(id, revision) => stands_at::<Organization>(records, id, *revision).await,
        Expect::Project(id, revision) => stands_at::<Project>(records, id, *revision).await,
        Expect::DataKeys(project, Revision::ZERO) => Ok(records.load::<DataKeyring>(project).await?.is_none()),
        Expect::DataKeys(project, revision) => stands_at::<DataKeyring>(records, project, *revision).await,
        Expect::Key(id, revision) => stands_at::<Key>(records, id, *revision).await,
        Expect::ManagementKey(id, revision) => stands_at::<ManagementKey>(records, id, *revision).await,
        Expect::Person(id, revision) => stands_at::<Person>(records, id, *revision).await,
        Expect::NoPerson(email) => Ok(records.person_with_email(email).await?.is_none()),
        Expect::NoOperator => Ok(!records.has_operator().await?),
        Expect::OperatorBeside(person) => records.has_operator_beside(*person).await,
        Expect::OwnerBeside(organization, person) => records.has_owner_beside(*organization, *person).await,
        Expect::Invitation(id, revision) => stands_at::<Invitation>(records, id, *revision).await,
        Expect::LiveKeysBelow { project, limit } => Ok(records.live_keys(*project, at).await? < i64::from(*limit)),
    }
}

/// A record with the revision of the last change to it.
trait Revised: Kept {
    fn revision(&self) -> Revision;
}

macro_rules! revised {
    ($($record:ident)*) => {$(
        impl Revised for $record {
            fn revision(&self) -> Revision {
                self.revision
            }
        }
    )*};
}

revised!(Api Organization Project DataKeyring Key ManagementKey Person Invitation);

async fn stands_at<R: Revised>(records: &mut Records<'_>, id: &R::Id, revision: Revision) -> Result<bool, Refusal> {
    Ok(records.load::<R>(id).await?.is_some_and(|found| found.revision() == revision))
}
