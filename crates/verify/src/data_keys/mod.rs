//! Data keys as a node uses them: which one encrypts for a project, and those that open what was encrypted before.

use std::sync::Arc;

use keyward_core::data_key::{DataKey, DataKeyId};
use keyward_core::id::ProjectId;

use crate::engine::Engine;

/// Why there is no data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoDataKey {
    /// It cannot be had now: the store or the key-encryption key is away, or none was set up. Ask again later.
    #[error("the data key cannot be had now")]
    Unavailable,
    /// The project has no such data key.
    #[error("the project has no such data key")]
    Unknown,
    /// It was destroyed on purpose: what was encrypted under it cannot be opened any more.
    #[error("the data key was shredded")]
    Shredded,
}

impl Engine {
    /// The data key that encrypts for a project; its first is made here. To be called for a request whose exchange is
    /// registered, so that shredding ends it; keep the key for no longer than the request.
    ///
    /// # Errors
    /// [`NoDataKey::Unavailable`] where it cannot be had now.
    pub async fn current_data_key(&self, _project: ProjectId) -> Result<Arc<DataKey>, NoDataKey> {
        Err(NoDataKey::Unavailable)
    }

    /// The data key of a project with this id, for opening; otherwise as [`Engine::current_data_key`].
    ///
    /// # Errors
    /// [`NoDataKey`], whichever fits. A caller is told the same for every one but `Unavailable`.
    pub async fn data_key(&self, _project: ProjectId, _id: DataKeyId) -> Result<Arc<DataKey>, NoDataKey> {
        Err(NoDataKey::Unavailable)
    }
}
