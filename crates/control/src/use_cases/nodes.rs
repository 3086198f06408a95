//! The nodes: which are running, and how each stands. One for the embedded store; several come with PostgreSQL.

use keyward_core::change::Revision;
use keyward_core::clock::Timestamp;
use keyward_core::permission::Permission;

use super::error::Result;
use super::{Asked, Control};

/// A node and how it stands.
#[derive(Debug, Clone)]
pub struct SeenNode {
    /// Which version of Keyward it runs.
    pub version: &'static str,
    /// Since when its control plane runs.
    pub started_at: Timestamp,
    /// The last revision of the log that it has applied.
    pub applied: Revision,
    /// The last revision of the log.
    pub head: Revision,
    /// Whether it decides: its lease holds.
    pub is_ready: bool,
    /// Whether the store takes writes.
    pub is_writable: bool,
    /// How many keys it has at hand.
    pub cached_keys: usize,
    /// How many requests are on their way through it.
    pub open_exchanges: usize,
}

impl Control {
    /// The nodes.
    ///
    /// # Errors
    /// Where the caller is not the operator.
    pub async fn nodes(&self, asked: &Asked) -> Result<Vec<SeenNode>> {
        asked.require_everywhere(Permission::Operate)?;
        let (head, _) = self.store.head().await?;
        Ok(vec![SeenNode {
            version: env!("CARGO_PKG_VERSION"),
            started_at: self.started_at,
            applied: self.engine.applied(),
            head,
            is_ready: self.engine.is_ready(),
            is_writable: self.store.is_writable().await,
            cached_keys: self.engine.cached_keys(),
            open_exchanges: self.engine.open_exchanges(),
        }])
    }
}
