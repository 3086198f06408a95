//! The nodes of a store that several share: what they tell one another through it, so that a change that takes
//! something away is in force on all of them when its call returns.
//!
//! Here stand the records and the trait of the store's side. The protocol itself, who waits for whom and when a node
//! may answer from memory, is `keyward-verify`'s; a store that only one process opens has no [`Nodes`].

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::change::{Entry, Revision};
use crate::clock::Timestamp;
use crate::id::NodeId;
use crate::store::Result;

/// A node as it makes itself known, before it reads anything that it will serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNode {
    /// This run of it: made anew at every start and after it was fenced, never used twice.
    pub id: NodeId,
    /// What tells one renewal from another.
    pub nonce: u128,
    /// How long each of its leases lasts.
    pub lease: Duration,
    /// What people call it: the machine's name, as a rule.
    pub name: String,
    /// Which version of Keyward it runs.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
}

/// A node as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenNode {
    /// This run of it.
    pub id: NodeId,
    /// What its last renewal wrote: one that stays the same was not renewed since.
    pub nonce: u128,
    /// Everything up to here is applied there and the exchanges of what it took away are closed.
    pub acknowledged: Revision,
    /// How long each of its leases lasts.
    pub lease: Duration,
    /// What people call it.
    pub name: String,
    /// Which version of Keyward it runs.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it renewed last, by the database's clock. For people; no rule hangs on it.
    pub renewed_at: Timestamp,
}

/// Which run of which database answered. Where it differs from the one before, what was observed until then (that a
/// node did not renew) proves nothing any more: a database that came back may have come back with older rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Epoch(pub String);

/// All nodes that are registered, read at the primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// They, oldest first.
    pub nodes: Vec<SeenNode>,
    /// Which run of the database answered.
    pub epoch: Epoch,
    /// The last revision.
    pub head: Revision,
    /// The database's clock.
    pub now: Timestamp,
}

/// How far a node has followed the log: the last entry it has applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// Its revision.
    pub revision: Revision,
    /// The chain's hash up to and including it.
    pub hash: [u8; 32],
}

/// What a renewal ended in.
#[derive(Debug, Clone, PartialEq)]
pub enum Renewal {
    /// There is no such node any more: others have stopped waiting for it.
    Fenced,
    /// It is written, durably, and what follows was read at the primary after that.
    Renewed(Renewed),
}

/// What a node reads with a renewal.
#[derive(Debug, Clone, PartialEq)]
pub struct Renewed {
    /// The last revision.
    pub head: Revision,
    /// The hash of the entry that the node followed last, as the store has it; none where it has no such entry. Where it
    /// is not the node's, the store went back behind what the node has seen.
    pub hash: Option<[u8; 32]>,
    /// The changes after that entry, oldest first, without a gap; at most as many as were asked for.
    pub entries: Vec<Entry>,
    /// Which run of the database answered.
    pub epoch: Epoch,
    /// The database's clock.
    pub now: Timestamp,
}

/// What making lost changes again ended in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// How many restrictive changes that the store had lost were made again.
    pub changes: u64,
    /// How many of the journal could not be read: whether they are in force is not known.
    pub unreadable: u64,
}

/// The side of a shared store that its nodes meet at. Everything is read and written at the primary, durably.
///
/// # Errors
/// All of them give the store's errors; one that may have been written is
/// [`StoreError::Unknown`](crate::store::StoreError::Unknown).
#[async_trait]
pub trait Nodes: Send + Sync + 'static {
    /// Makes a node known. Until it is removed every change that takes something away waits for it.
    async fn register(&self, node: &NewNode) -> Result<()>;

    /// Writes a renewal and how far the node has acknowledged, then reads where the log stands and at most `limit` of the
    /// changes after what it followed last.
    async fn renew(
        &self,
        id: NodeId,
        nonce: u128,
        acknowledged: Revision,
        followed: Followed,
        limit: u32,
    ) -> Result<Renewal>;

    /// Notes how far a node has come, and hints it to the others. Never moves back; a node that is gone stays gone.
    async fn acknowledge(&self, id: NodeId, acknowledged: Revision) -> Result<()>;

    /// Who is registered.
    async fn census(&self) -> Result<Census>;

    /// Removes a node whose nonce is still this one; whether it was there.
    async fn reap(&self, id: NodeId, nonce: u128) -> Result<bool>;

    /// Removes this node itself, at an orderly stop: it answers nothing any more.
    async fn leave(&self, id: NodeId) -> Result<()>;

    /// Keeps the restrictive ones of these changes outside the database, durably, so that they can be made again should
    /// it lose them. To be called before they are acknowledged.
    async fn remember(&self, entries: &[Entry]) -> Result<()>;

    /// Makes restrictive changes again that were remembered here and that the store has lost, because it was restored
    /// from a backup or a standby that lagged took over. Does nothing where there are none.
    async fn replay(&self) -> Result<Replayed>;

    /// Waits for a hint that there is something to read, and gives the count of hints so far. Answers at once where it
    /// is beyond `seen`. A hint may come for nothing, late or never: whoever waits looks now and then without one.
    async fn hint(&self, seen: u64) -> u64;
}
