//! How a change took force, or where to ask whether it has. Who waits is told once no node decides as before; who would
//! rather not is given a name to ask by, which carries what is to be known, sealed: it needs no record of its own.

use std::sync::Arc;

use keyward_core::change::Revision;
use keyward_core::id::{OrganizationId, ProjectId};
use keyward_core::tenancy::Boundary;
use keyward_verify::InForce;

use super::error::{ControlError, Result};
use super::{Asked, Control, opened, sealed};

const PREFIX: &str = "revocation_";
const PURPOSE: &str = "revocation";
/// Stands for the count of revoked keys where the change is another.
const NO_COUNT: u32 = u32::MAX;

/// The name under which it can be asked again whether a change is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationId(pub String);

/// How a change took force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Force {
    /// Up to where everything is in force, or will be.
    pub revision: Revision,
    /// How it took force; none where nobody waited for it and it has not yet.
    pub in_force: Option<InForce>,
    /// Under which name to ask again; none where it is in force.
    pub barrier: Option<RevocationId>,
}

/// What a name carries.
pub(super) struct Named {
    pub revision: Revision,
    /// How many keys the change ended, where it was of many.
    pub revoked: Option<u32>,
    pub boundary: Boundary,
}

impl Force {
    /// It is in force.
    pub(super) fn taken(revision: Revision, in_force: InForce) -> Self {
        Force { revision, in_force: Some(in_force), barrier: None }
    }
}

impl Control {
    /// What a caller is told who does not wait until everything up to `revision` is in force.
    pub(super) fn pending(&self, asked: &Asked, revision: Revision) -> Force {
        let boundary = asked.caller.boundary();
        let barrier = Some(self.named(&Named { revision, revoked: None, boundary }));
        Force { revision, in_force: None, barrier }
    }

    /// Waits until all that is written is in force, where the caller waits: the guarantee of a change that had been made
    /// before.
    pub(super) async fn settle_for(&self, asked: &Asked) -> Result<Force> {
        let (head, _) = self.store.head().await?;
        if asked.waits {
            return Ok(Force::taken(head, self.engine.settle(head).await?));
        }
        if let Some(in_force) = self.engine.in_force(head).await? {
            return Ok(Force::taken(head, in_force));
        }
        let engine = Arc::clone(&self.engine);
        // Whoever asks again learns how it went, and asks anew where it failed.
        tokio::spawn(async move { engine.settle(head).await });
        Ok(self.pending(asked, head))
    }

    /// Whether a change is in force, by its name: waited for or not, as the caller wants it.
    pub(super) async fn ask_again(&self, asked: &Asked, id: &RevocationId) -> Result<(Named, Option<InForce>)> {
        let named = self.open_name(id).ok_or(ControlError::NotFound)?;
        let own = asked.caller.boundary();
        if own != Boundary::Everything && own != named.boundary {
            return Err(ControlError::NotFound);
        }
        let in_force = match asked.waits {
            true => Some(self.engine.settle(named.revision).await?),
            false => self.engine.in_force(named.revision).await?,
        };
        Ok((named, in_force))
    }

    /// Seals a name.
    pub(super) fn named(&self, named: &Named) -> RevocationId {
        let (kind, wall) = match named.boundary {
            Boundary::Everything => (0u8, 0),
            Boundary::Organization(id) => (1, id.as_u128()),
            Boundary::Project(id) => (2, id.as_u128()),
        };
        let mut content = named.revision.0.to_be_bytes().to_vec();
        content.extend(named.revoked.unwrap_or(NO_COUNT).to_be_bytes());
        content.push(kind);
        content.extend(wall.to_be_bytes());
        RevocationId(format!("{PREFIX}{}", sealed(&self.log_keys, PURPOSE, &content)))
    }

    fn open_name(&self, id: &RevocationId) -> Option<Named> {
        let content = opened(&self.log_keys, PURPOSE, id.0.strip_prefix(PREFIX)?)?;
        let (revision, rest) = content.split_first_chunk::<8>()?;
        let (revoked, rest) = rest.split_first_chunk::<4>()?;
        let (&kind, rest) = rest.split_first()?;
        let wall = u128::from_be_bytes(rest.try_into().ok()?);
        let boundary = match kind {
            0 => Boundary::Everything,
            1 => Boundary::Organization(OrganizationId::from_u128(wall)),
            _ => Boundary::Project(ProjectId::from_u128(wall)),
        };
        let revoked = Some(u32::from_be_bytes(*revoked)).filter(|count| *count != NO_COUNT);
        Some(Named { revision: Revision(i64::from_be_bytes(*revision)), revoked, boundary })
    }
}
