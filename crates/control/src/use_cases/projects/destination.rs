//! Where a project's encrypted requests go: read, set and cleared. Which addresses there can be is `destination_address`'s.

use keyward_core::change::ProjectChange;
use keyward_core::id::ProjectId;
use keyward_core::permission::Permission;

use crate::destination_address::checked;
use crate::use_cases::error::{ControlError, Result};
use crate::use_cases::force::Force;
use crate::use_cases::{Asked, Control};

impl Control {
    /// Where a project's encrypted requests go; none where nowhere.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches.
    pub async fn destination(&self, asked: &Asked, id: ProjectId) -> Result<Option<String>> {
        asked.require(Permission::ProjectsRead)?;
        Ok(self.find_project(asked, id).await?.project.destination)
    }

    /// Sets where a project's encrypted requests go, or with none that they go nowhere. When this returns, no node sends
    /// to the old address any more what it is asked for from then on.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches, or the address cannot be a destination.
    pub async fn set_destination(
        &self,
        asked: &Asked,
        id: ProjectId,
        url: Option<&str>,
    ) -> Result<(Option<String>, Force)> {
        asked.require(Permission::ProjectsWrite)?;
        self.find_project(asked, id).await?;
        let checked = url.map(|url| checked(url, &self.allowed_networks)).transpose();
        let destination = checked.map_err(|reason| ControlError::invalid("url", reason))?;
        let (seen, force) = self
            .change_project(asked, id, |place| {
                let set = ProjectChange::DestinationSet { destination: destination.clone() };
                Ok(if place.project.destination == destination { Vec::new() } else { vec![set] })
            })
            .await?;
        Ok((seen.project.destination, force))
    }
}
