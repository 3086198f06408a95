//! Where nodes meet: their rows, renewed and read on a few connections of their own with little patience, so that
//! neither a starved pool nor a locked table keeps a node from showing that it lives.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keyward_core::change::{Entry, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::NodeId;
use keyward_core::log::LogKeys;
use keyward_core::nodes::{Census, Epoch, Followed, NewNode, Nodes, Renewal, Renewed, Replayed, SeenNode};
use keyward_core::store::{Result, StoreError};
use sqlx::Row as _;
use sqlx::postgres::PgPool;
use tokio::time::timeout;

use super::connect::Lent;
use super::dialect::{self, read_failure};
use super::error::Cause;
use super::moved::Moved;
use super::reconcile::Reconciler;
use super::sql::log;
use super::witness::Witness;
use super::{Connection, Row};
use crate::head::HeadOfLog;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The database's clock, in milliseconds since the Unix epoch.
const NOW: &str = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

/// What the database can do, as it was found when it was opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Abilities {
    /// It tells when it was started.
    pub(super) tells_start: bool,
    /// It passes hints on.
    pub(super) notifies: bool,
}

/// Where the nodes of a store in PostgreSQL meet.
pub(super) struct Meeting {
    pub(super) pool: PgPool,
    pub(super) log_keys: Arc<LogKeys>,
    pub(super) abilities: Abilities,
    pub(super) moved: Arc<Moved>,
    pub(super) witness: Arc<Witness>,
    pub(super) reconciler: Arc<Reconciler>,
}

impl Meeting {
    async fn lend(&self) -> Result<Lent> {
        Lent::from(&self.pool).await.map_err(read_failure)
    }

    /// What is read beside the head: the epoch, and the time.
    fn beside_head(&self) -> String {
        let start = if self.abilities.tells_start { "CAST(pg_postmaster_start_time() AS TEXT)" } else { "''" };
        format!("s.head_revision, s.epoch, {start} AS started, {NOW} AS now")
    }
}

const SLOW: &str = "the database did not answer in time";

/// What somebody is told whose statement, which commits by itself, failed.
fn write_failure(error: sqlx::Error) -> StoreError {
    match Cause::of(&error) {
        Cause::Gone | Cause::Slow => StoreError::Unknown(format!("{error}: it may have been written")),
        _ => super::error::write_failure(&error),
    }
}

/// Waits for a statement that writes, and commits by itself.
async fn writing<T>(work: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    match timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(write_failure),
        Err(_) => Err(StoreError::Unknown(format!("{SLOW}: it may have been written"))),
    }
}

fn epoch_of(row: &Row) -> sqlx::Result<Epoch> {
    let (epoch, started): (&str, &str) = (row.try_get("epoch")?, row.try_get("started")?);
    Ok(Epoch(format!("{epoch} {started}")))
}

fn millis(lease: Duration) -> i64 {
    i64::try_from(lease.as_millis()).unwrap_or(i64::MAX)
}

#[async_trait]
impl Nodes for Meeting {
    async fn register(&self, node: &NewNode) -> Result<()> {
        let mut lent = self.lend().await?;
        let insert = format!(
            "INSERT INTO nodes (id, nonce, acked, lease_ms, name, version, started_at, renewed_at)
             VALUES ($1, $2, 0, $3, $4, $5, $6, {NOW})"
        );
        let written = sqlx::query(sqlx::AssertSqlSafe(insert))
            .bind(node.id.to_string())
            .bind(node.nonce.to_be_bytes().to_vec())
            .bind(millis(node.lease))
            .bind(dialect::text(&node.name))
            .bind(dialect::text(&node.version))
            .bind(node.started_at.as_millis())
            .execute(&mut *lent);
        writing(written).await?;
        lent.give_back();
        Ok(())
    }

    async fn renew(
        &self,
        id: NodeId,
        nonce: u128,
        acknowledged: Revision,
        followed: Followed,
        limit: u32,
    ) -> Result<Renewal> {
        let mut lent = self.lend().await?;
        let update =
            format!("UPDATE nodes SET nonce = $2, acked = GREATEST(acked, $3), renewed_at = {NOW} WHERE id = $1");
        let written = sqlx::query(sqlx::AssertSqlSafe(update))
            .bind(id.to_string())
            .bind(nonce.to_be_bytes().to_vec())
            .bind(acknowledged.0)
            .execute(&mut *lent);
        if writing(written).await?.rows_affected() == 0 {
            lent.give_back();
            return Ok(Renewal::Fenced);
        }
        let beside = self.beside_head();
        let connection: &mut Connection = &mut lent;
        let read = after_renewal(connection, &self.log_keys, beside, followed, limit);
        let read = timeout(PATIENCE, read).await.unwrap_or_else(|_| Err(StoreError::Unavailable(SLOW.into())))?;
        lent.give_back();
        if let Some(last) = read.entries.last() {
            self.moved.seen(HeadOfLog { revision: last.revision, hash: last.hash });
        }
        Ok(Renewal::Renewed(read))
    }

    async fn acknowledge(&self, id: NodeId, acknowledged: Revision) -> Result<()> {
        let mut lent = self.lend().await?;
        let update = "UPDATE nodes SET acked = GREATEST(acked, $2) WHERE id = $1";
        let sql = match self.abilities.notifies {
            true => format!(
                "WITH told AS ({update} RETURNING id) SELECT CAST(pg_notify('keyward', '') AS TEXT) FROM told"
            ),
            false => update.to_owned(),
        };
        let written =
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.to_string()).bind(acknowledged.0).execute(&mut *lent);
        writing(written).await?;
        lent.give_back();
        if !self.abilities.notifies {
            self.moved.hint();
        }
        Ok(())
    }

    async fn census(&self) -> Result<Census> {
        let mut lent = self.lend().await?;
        let select = format!(
            "SELECT {}, n.id, n.nonce, n.acked, n.lease_ms, n.name, n.version, n.started_at, n.renewed_at
             FROM store AS s LEFT JOIN nodes AS n ON 1 = 1 ORDER BY n.started_at, n.id",
            self.beside_head()
        );
        let rows = timeout(PATIENCE, sqlx::query(sqlx::AssertSqlSafe(select)).fetch_all(&mut *lent)).await;
        let rows = rows.map_err(|_| StoreError::Unavailable(SLOW.into()))?.map_err(read_failure)?;
        lent.give_back();
        let first = rows.first().ok_or_else(|| StoreError::Damaged("the store has no head".into()))?;
        Ok(Census {
            epoch: epoch_of(first).map_err(read_failure)?,
            head: Revision(first.try_get("head_revision").map_err(read_failure)?),
            now: Timestamp::from_millis(first.try_get("now").map_err(read_failure)?),
            nodes: rows.iter().filter_map(|row| node_of(row).transpose()).collect::<Result<_>>()?,
        })
    }

    async fn reap(&self, id: NodeId, nonce: u128) -> Result<bool> {
        let mut lent = self.lend().await?;
        let removed = sqlx::query("DELETE FROM nodes WHERE id = $1 AND nonce = $2")
            .bind(id.to_string())
            .bind(nonce.to_be_bytes().to_vec())
            .execute(&mut *lent);
        let removed = writing(removed).await?.rows_affected();
        lent.give_back();
        Ok(removed > 0)
    }

    async fn leave(&self, id: NodeId) -> Result<()> {
        let mut lent = self.lend().await?;
        let removed = sqlx::query("DELETE FROM nodes WHERE id = $1").bind(id.to_string()).execute(&mut *lent);
        writing(removed).await?;
        lent.give_back();
        Ok(())
    }

    async fn remember(&self, entries: &[Entry]) -> Result<()> {
        let unkept = self.witness.unknown(entries);
        if unkept.wanted.is_empty() {
            return Ok(());
        }
        let mut lent = self.lend().await?;
        let lines = self.witness.lines(&mut lent, &unkept);
        let lines = timeout(PATIENCE, lines).await.unwrap_or_else(|_| Err(StoreError::Unavailable(SLOW.into())))?;
        lent.give_back();
        self.witness.keep(&unkept, lines).await
    }

    async fn replay(&self) -> Result<Replayed> {
        self.reconciler.reconcile().await.map(|made| made.replayed)
    }

    async fn hint(&self, seen: u64) -> u64 {
        self.moved.hinted(seen).await
    }
}

/// What a renewal reads, after it was written.
async fn after_renewal(
    connection: &mut Connection,
    log_keys: &LogKeys,
    beside: String,
    followed: Followed,
    limit: u32,
) -> Result<Renewed> {
    let select = format!("SELECT {beside}, l.hash FROM store AS s LEFT JOIN log AS l ON l.revision = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(select))
        .bind(followed.revision.0)
        .fetch_one(&mut *connection)
        .await
        .map_err(read_failure)?;
    let head = Revision(row.try_get("head_revision").map_err(read_failure)?);
    let hash: Option<&[u8]> = row.try_get("hash").map_err(read_failure)?;
    let hash = match hash {
        _ if followed.revision == Revision::ZERO => Some(keyward_core::log::GENESIS),
        None => None,
        Some(hash) => {
            Some(hash.try_into().map_err(|_| StoreError::Damaged("an entry of the log has a broken hash".into()))?)
        }
    };
    let (epoch, now) = (epoch_of(&row).map_err(read_failure)?, row.try_get("now").map_err(read_failure)?);
    // Entries of another past than the node's are of no use to it.
    let entries = match head > followed.revision && hash == Some(followed.hash) {
        true => log::since(connection, log_keys, followed.revision, limit).await?,
        false => Vec::new(),
    };
    // It may have moved on between the two.
    let head = entries.last().map_or(head, |last| head.max(last.revision));
    Ok(Renewed { head, hash, entries, epoch, now: Timestamp::from_millis(now) })
}

fn node_of(row: &Row) -> Result<Option<SeenNode>> {
    let Some(id) = row.try_get::<Option<&str>, _>("id").map_err(read_failure)? else { return Ok(None) };
    let damaged = |what: &str| StoreError::Damaged(format!("the row of the node {id} has {what}"));
    let nonce: &[u8] = row.try_get("nonce").map_err(read_failure)?;
    let lease: i64 = row.try_get("lease_ms").map_err(read_failure)?;
    let moment = |column: &str| row.try_get(column).map(Timestamp::from_millis).map_err(read_failure);
    Ok(Some(SeenNode {
        id: id.parse().map_err(|_| damaged("another id"))?,
        nonce: nonce.try_into().map(u128::from_be_bytes).map_err(|_| damaged("a broken nonce"))?,
        acknowledged: Revision(row.try_get("acked").map_err(read_failure)?),
        lease: Duration::from_millis(lease.unsigned_abs()),
        name: dialect::text_of(row, "name").map_err(read_failure)?,
        version: dialect::text_of(row, "version").map_err(read_failure)?,
        started_at: moment("started_at")?,
        renewed_at: moment("renewed_at")?,
    }))
}
