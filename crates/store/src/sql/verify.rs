//! Checking the log: every link of the chain, every column beside a body, the head, and signed heads that
//! were kept elsewhere (trust.md S17).

use std::collections::BTreeMap;

use keyward_core::change::{EntryBody, Revision};
use keyward_core::id::StoreId;
use keyward_core::log::{GENESIS, LogKeys, SignedHead};
use keyward_core::store::{LogVerdict, Result, StoreError};
use sqlx::Row as _;

use super::batch::read_head;
use super::dialect::{read_failure, text_bytes};
use super::{Connection, Row, subjects};
use crate::head::HeadOfLog;

/// Rows that are read at once.
const ROWS: i64 = 1_000;

/// A place where the log is not as it was written.
#[derive(Debug)]
struct Fault {
    revision: Revision,
    reason: String,
}

/// Checks the log as a whole. `progress` hears how many entries were checked and how many there are.
pub(crate) async fn verify(
    connection: &mut Connection,
    log_keys: &LogKeys,
    store: StoreId,
    heads: &[SignedHead],
    mut progress: impl FnMut(u64, u64) + Send,
) -> Result<LogVerdict> {
    let head = read_head(connection).await.map_err(read_failure)?;
    let mut chain = Chain { log_keys, at: HeadOfLog { revision: Revision::ZERO, hash: GENESIS } };
    let mut known = HeadsToFind::new(store, heads);
    let mut fault = known.check_signatures(log_keys);
    if let Some(found) = known.find(chain.at) {
        fault = earlier(fault, found);
    }
    'log: loop {
        let rows = sqlx::query(
            "SELECT revision, at, name, organization, project, key_id, body, hash FROM log
             WHERE revision > $1 AND revision <= $2 ORDER BY revision LIMIT $3",
        )
        .bind(chain.at.revision.0)
        .bind(head.revision.0)
        .bind(ROWS)
        .fetch_all(&mut *connection)
        .await
        .map_err(read_failure)?;
        if rows.is_empty() {
            break;
        }
        let counts = subjects::counts(connection, chain.at.revision, end_of(&rows)).await?;
        for row in &rows {
            let found = chain.follow(connection, row, &counts).await?;
            if let Some(found) = found.or_else(|| known.find(chain.at)) {
                fault = earlier(fault, found);
                break 'log;
            }
        }
        progress(chain.at.revision.0.unsigned_abs(), head.revision.0.unsigned_abs());
    }
    if fault.is_none() {
        fault = check_end(connection, chain.at, head).await?.or_else(|| known.missing(head.revision));
    }
    Ok(match fault {
        Some(Fault { revision, reason }) => LogVerdict::Broken { revision, reason },
        None => LogVerdict::Intact { revision: head.revision, heads: heads.len() as u64 },
    })
}

fn earlier(one: Option<Fault>, other: Fault) -> Option<Fault> {
    match one {
        Some(one) if one.revision <= other.revision => Some(one),
        _ => Some(other),
    }
}

/// The last revision among rows of the log; before the first where that cannot be read.
fn end_of(rows: &[Row]) -> Revision {
    rows.last().and_then(|row| row.try_get("revision").ok()).map_or(Revision::ZERO, Revision)
}

/// Checks the last `links` links before the head: enough to tell at every start that the keys are right and
/// the end of the log is whole.
pub(crate) async fn verify_end(connection: &mut Connection, log_keys: &LogKeys, links: i64) -> Result<HeadOfLog> {
    let head = read_head(connection).await.map_err(read_failure)?;
    let from = Revision((head.revision.0 - links).max(0));
    let mut chain = Chain { log_keys, at: HeadOfLog { revision: from, hash: hash_at(connection, from).await? } };
    let rows = sqlx::query(
        "SELECT revision, at, name, organization, project, key_id, body, hash FROM log
         WHERE revision > $1 AND revision <= $2 ORDER BY revision",
    )
    .bind(from.0)
    // Other nodes may have written since.
    .bind(head.revision.0)
    .fetch_all(&mut *connection)
    .await
    .map_err(read_failure)?;
    let counts = subjects::counts(connection, from, end_of(&rows)).await?;
    let mut fault = None;
    for row in &rows {
        fault = chain.follow(connection, row, &counts).await?;
        if fault.is_some() {
            break;
        }
    }
    match fault.or(check_end(connection, chain.at, head).await?) {
        None => Ok(head),
        Some(Fault { revision, reason }) => {
            Err(StoreError::Damaged(format!("entry {revision} of the log {reason}")))
        }
    }
}

/// The hash of the entry at `revision`.
///
/// # Errors
/// [`StoreError::Damaged`] where there is no such entry.
pub(crate) async fn hash_at(connection: &mut Connection, revision: Revision) -> Result<[u8; 32]> {
    let missing = || StoreError::Damaged(format!("entry {revision} of the log is missing"));
    find_hash(connection, revision).await?.ok_or_else(missing)
}

/// The hash of the entry at `revision`, where there is one.
pub(crate) async fn find_hash(connection: &mut Connection, revision: Revision) -> Result<Option<[u8; 32]>> {
    if revision == Revision::ZERO {
        return Ok(Some(GENESIS));
    }
    let hash: Option<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM log WHERE revision = $1")
        .bind(revision.0)
        .fetch_optional(connection)
        .await
        .map_err(read_failure)?;
    hash.map(|hash| {
        hash.try_into().map_err(|_| StoreError::Damaged(format!("entry {revision} of the log has a broken hash")))
    })
    .transpose()
}

/// Whether the log ends where its head says.
async fn check_end(connection: &mut Connection, end: HeadOfLog, head: HeadOfLog) -> Result<Option<Fault>> {
    let row = sqlx::query(
        "SELECT s.head_revision, (SELECT MAX(revision) FROM log) AS last,
             (SELECT MIN(revision) FROM log_subjects) AS first_subject,
             (SELECT MAX(revision) FROM log_subjects) AS last_subject
         FROM store AS s",
    )
    .fetch_one(connection)
    .await
    .map_err(read_failure)?;
    let now: i64 = row.try_get("head_revision").map_err(read_failure)?;
    let last: Option<i64> = row.try_get("last").map_err(read_failure)?;
    let last = Revision(last.unwrap_or(0));
    let first_subject: Option<i64> = row.try_get("first_subject").map_err(read_failure)?;
    let last_subject: Option<i64> = row.try_get("last_subject").map_err(read_failure)?;
    let fault = |revision: Revision, reason: &str| Some(Fault { revision, reason: reason.to_owned() });
    Ok(if end.revision < head.revision {
        fault(end.revision.next(), "is missing: the log's head is further on")
    } else if end.hash != head.hash {
        fault(end.revision, "is not the one that the log's head names")
    } else if last.0 > now {
        fault(Revision(now).next(), "lies beyond the log's head")
    } else if first_subject.is_some_and(|first| first < 1) || last_subject.is_some_and(|last| last > now) {
        fault(Revision(now).next(), "is none, but rows of what it is about are there")
    } else {
        None
    })
}

/// Follows the chain, row by row.
struct Chain<'a> {
    log_keys: &'a LogKeys,
    at: HeadOfLog,
}

impl Chain<'_> {
    /// Takes the next row; a fault where it is not as it was written.
    async fn follow(
        &mut self,
        connection: &mut Connection,
        row: &Row,
        counts: &BTreeMap<i64, u64>,
    ) -> Result<Option<Fault>> {
        let expected = self.at.revision.next();
        let (hash, body) = match self.check(row, expected) {
            Ok(found) => found,
            Err(reason) => return Ok(Some(Fault { revision: expected, reason })),
        };
        let count = counts.get(&expected.0).copied().unwrap_or(0);
        if !subjects::agree(connection, expected, &body, count).await? {
            let reason = "has rows of what it is about that disagree with its body".to_owned();
            return Ok(Some(Fault { revision: expected, reason }));
        }
        self.at = HeadOfLog { revision: expected, hash };
        Ok(None)
    }

    fn check(&self, row: &Row, expected: Revision) -> std::result::Result<([u8; 32], EntryBody), String> {
        let unreadable = |error: sqlx::Error| format!("cannot be read: {error}");
        let revision = Revision(row.try_get("revision").map_err(unreadable)?);
        if revision != expected {
            return Err(format!("is missing: the next one is {revision}"));
        }
        let body = text_bytes(row, "body").map_err(unreadable)?;
        let hash: &[u8] = row.try_get("hash").map_err(unreadable)?;
        if !self.log_keys.is_linked(&self.at.hash, revision, body, hash) {
            return Err("was edited, or does not follow the one before it".into());
        }
        let body: EntryBody = serde_json::from_slice(body).map_err(|error| format!("cannot be read: {error}"))?;
        let change = &body.change;
        let beside = (
            row.try_get::<i64, _>("at").map_err(unreadable)?,
            row.try_get::<String, _>("name").map_err(unreadable)?,
            row.try_get::<Option<String>, _>("organization").map_err(unreadable)?,
            row.try_get::<Option<String>, _>("project").map_err(unreadable)?,
            row.try_get::<Option<String>, _>("key_id").map_err(unreadable)?,
        );
        let within = (
            body.at.as_millis(),
            change.name().to_owned(),
            change.organization().map(|id| id.to_string()),
            change.project().map(|id| id.to_string()),
            change.key().map(|id| id.to_string()),
        );
        if beside != within {
            return Err("has columns that disagree with its body".into());
        }
        let hash = hash.try_into().map_err(|_| "has a broken hash")?;
        Ok((hash, body))
    }
}

/// Signed heads, in the order in which the chain meets them.
struct HeadsToFind<'a> {
    store: StoreId,
    waiting: std::iter::Peekable<std::vec::IntoIter<&'a SignedHead>>,
    all: &'a [SignedHead],
}

impl<'a> HeadsToFind<'a> {
    fn new(store: StoreId, all: &'a [SignedHead]) -> Self {
        let mut waiting: Vec<&SignedHead> = all.iter().collect();
        waiting.sort_by_key(|signed| signed.head.revision);
        HeadsToFind { store, waiting: waiting.into_iter().peekable(), all }
    }

    /// Whether one is not of this store, or not signed with its key.
    fn check_signatures(&self, log_keys: &LogKeys) -> Option<Fault> {
        let fault = |signed: &SignedHead| {
            let reason = if signed.head.store != self.store {
                format!("has a signed head of another store, {}", signed.head.store)
            } else if !log_keys.has_signed(signed) {
                "has a head that was not signed with this store's key".to_owned()
            } else {
                return None;
            };
            Some(Fault { revision: signed.head.revision, reason })
        };
        self.all.iter().filter_map(fault).min_by_key(|fault| fault.revision)
    }

    /// Compares the heads of this place in the chain.
    fn find(&mut self, at: HeadOfLog) -> Option<Fault> {
        let mut fault = None;
        while let Some(signed) = self.waiting.next_if(|signed| signed.head.revision <= at.revision) {
            if signed.head.hash.0 != at.hash {
                let reason = "is not the one whose head was signed: the chain was written anew".to_owned();
                fault = fault.or(Some(Fault { revision: at.revision, reason }));
            }
        }
        fault
    }

    /// A head beyond the end of the log.
    fn missing(&mut self, end: Revision) -> Option<Fault> {
        let signed = self.waiting.next()?;
        let reason = format!(
            "is missing: the log ends at {end}, but its head at {} was signed, so its tail was cut",
            signed.head.revision
        );
        Some(Fault { revision: end.next(), reason })
    }
}
