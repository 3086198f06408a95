//! A node of several that is alone where they meet: it has a lease with an end and tells time by another's clock, and
//! nobody else is there to be waited for.

use async_trait::async_trait;
use keyward_core::change::{Entry, Revision};
use keyward_core::clock::Clock;
use keyward_core::id::NodeId;
use keyward_core::nodes::{Census, Epoch, Followed, NewNode, Nodes, Renewal, Renewed, Replayed};
use keyward_core::store::Result;
use keyward_verify::SystemClock;

/// Where it would meet others.
pub struct Alone;

#[async_trait]
impl Nodes for Alone {
    async fn register(&self, _: &NewNode) -> Result<()> {
        Ok(())
    }

    async fn renew(&self, _: NodeId, _: u128, _: Revision, followed: Followed, _: u32) -> Result<Renewal> {
        let Followed { revision: head, hash } = followed;
        let (entries, epoch, now) = (Vec::new(), Epoch("one".into()), SystemClock.now());
        Ok(Renewal::Renewed(Renewed { head, hash: Some(hash), entries, epoch, now }))
    }

    async fn acknowledge(&self, _: NodeId, _: Revision) -> Result<()> {
        Ok(())
    }

    async fn census(&self) -> Result<Census> {
        Ok(Census { nodes: Vec::new(), epoch: Epoch("one".into()), head: super::REVISION, now: SystemClock.now() })
    }

    async fn reap(&self, _: NodeId, _: u128) -> Result<bool> {
        Ok(false)
    }

    async fn leave(&self, _: NodeId) -> Result<()> {
        Ok(())
    }

    async fn remember(&self, _: &[Entry]) -> Result<()> {
        Ok(())
    }

    async fn replay(&self) -> Result<Replayed> {
        Ok(Replayed { changes: 0, unreadable: 0 })
    }

    async fn hint(&self, _: u64) -> u64 {
        std::future::pending().await
    }
}
