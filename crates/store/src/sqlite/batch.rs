//! One transaction of the writer: proposals made one after the other, each whole or not at all, on one chain.

use keyward_core::change::{Entry, EntryBody, Idempotency, Proposal, Revision};
use keyward_core::log::LogKeys;
use keyward_core::store::StoreError;
use sqlx::{Executor, QueryBuilder, Row as _};

use super::journal::JournalLine;
use super::records::{Records, Refusal};
use super::{Connection, Db, apply, expect};

/// Where the log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeadOfLog {
    pub(super) revision: Revision,
    pub(super) hash: [u8; 32],
}

/// Rows of the log that one statement inserts at most.
const LOG_ROWS: usize = 32;

/// A row of the log that waits to be inserted.
struct LogRow {
    revision: Revision,
    at: i64,
    name: &'static str,
    organization: Option<String>,
    project: Option<String>,
    key: Option<String>,
    body: String,
    hash: [u8; 32],
}

/// An open transaction with the proposals made in it so far.
pub(super) struct Batch<'a> {
    records: Records<'a>,
    head: HeadOfLog,
    rows: Vec<LogRow>,
    journal: JournalLine,
}

impl<'a> Batch<'a> {
    /// Opens the transaction.
    pub(super) async fn begin(connection: &'a mut Connection, log_keys: &'a LogKeys) -> sqlx::Result<Self> {
        connection.execute("BEGIN IMMEDIATE").await?;
        let head = read_head(connection).await?;
        let journal = JournalLine::after(head);
        Ok(Batch { records: Records::new(connection, log_keys), head, rows: Vec::new(), journal })
    }

    pub(super) fn records(&mut self) -> &mut Records<'a> {
        &mut self.records
    }

    pub(super) fn head(&self) -> HeadOfLog {
        self.head
    }

    /// How many changes were made.
    pub(super) fn changes(&self) -> usize {
        self.rows.len()
    }

    /// The restrictive changes made so far.
    pub(super) fn journal(&self) -> &JournalLine {
        &self.journal
    }

    /// Makes a proposal's changes, or none of them.
    pub(super) async fn propose(&mut self, proposal: Proposal) -> Result<Vec<Entry>, Refusal> {
        if let Some(used) = self.used_before(&proposal).await? {
            return Err(StoreError::Replayed(Box::new(used)).into());
        }
        for expected in &proposal.expect {
            if !expect::holds(&mut self.records, expected, proposal.at).await? {
                return Err(StoreError::Conflict(expected.clone()).into());
            }
        }
        let (head, rows, restrictive) = (self.head, self.rows.len(), self.journal.len());
        self.execute("SAVEPOINT proposal").await?;
        let made = self.make(proposal).await;
        match &made {
            Ok(_) => {}
            Err(Refusal::Proposal(_)) => {
                self.execute("ROLLBACK TO proposal").await?;
                self.records.forget();
                self.rows.truncate(rows);
                self.journal.truncate(restrictive);
                self.head = head;
            }
            Err(Refusal::Database(_)) => return made,
        }
        self.execute("RELEASE proposal").await?;
        made
    }

    async fn execute(&mut self, sql: &'static str) -> Result<(), Refusal> {
        self.records.connection.execute(sql).await?;
        Ok(())
    }

    async fn used_before(&mut self, proposal: &Proposal) -> Result<Option<Idempotency>, Refusal> {
        match &proposal.idempotency {
            None => Ok(None),
            Some(asked) => find_idempotency(self.records.connection, &asked.caller, &asked.key)
                .await
                .map_err(Refusal::Database),
        }
    }

    async fn make(&mut self, proposal: Proposal) -> Result<Vec<Entry>, Refusal> {
        let Proposal { actor, origin, at, changes, idempotency, .. } = proposal;
        if let Some(record) = idempotency {
            sqlx::query(
                "INSERT INTO idempotency (caller, request_key, fingerprint, answer, at)
                 VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(record.caller)
            .bind(record.key)
            .bind(record.fingerprint.to_vec())
            .bind(record.answer)
            .bind(at.as_millis())
            .execute(&mut *self.records.connection)
            .await?;
        }
        let mut entries = Vec::with_capacity(changes.len());
        for mut change in changes {
            let revision = self.head.revision.next();
            apply::apply(&mut self.records, &mut change, at, revision).await?;
            let body = EntryBody { at, actor: actor.clone(), origin: origin.clone(), change };
            entries.push(self.append(revision, body)?);
        }
        Ok(entries)
    }

    /// Takes the next revision for what was done, and puts it on the chain.
    fn append(&mut self, revision: Revision, body: EntryBody) -> Result<Entry, Refusal> {
        let text = serde_json::to_string(&body)
            .map_err(|error| StoreError::Damaged(format!("a change cannot be written as JSON: {error}")))?;
        let hash = self.records.log_keys.link(&self.head.hash, revision, text.as_bytes());
        let change = &body.change;
        if change.is_restrictive() {
            self.journal.push(revision, self.head.hash, hash, &text);
        }
        self.rows.push(LogRow {
            revision,
            at: body.at.as_millis(),
            name: change.name(),
            organization: change.organization().map(|id| id.to_string()),
            project: change.project().map(|id| id.to_string()),
            key: change.key().map(|id| id.to_string()),
            body: text,
            hash,
        });
        self.head = HeadOfLog { revision, hash };
        Ok(Entry { revision, body, hash })
    }

    /// Writes the log's new rows and its head: all that is left is the COMMIT.
    pub(super) async fn finish(&mut self) -> sqlx::Result<()> {
        let connection = &mut *self.records.connection;
        let mut rows = std::mem::take(&mut self.rows).into_iter().peekable();
        while rows.peek().is_some() {
            let some = rows.by_ref().take(LOG_ROWS);
            let mut insert: QueryBuilder<Db> = QueryBuilder::new(
                "INSERT INTO log (revision, at, name, organization, project, key_id, body, hash) ",
            );
            insert.push_values(some, |mut columns, row| {
                columns
                    .push_bind(row.revision.0)
                    .push_bind(row.at)
                    .push_bind(row.name)
                    .push_bind(row.organization)
                    .push_bind(row.project)
                    .push_bind(row.key)
                    .push_bind(row.body)
                    .push_bind(row.hash.to_vec());
            });
            insert.build().execute(&mut *connection).await?;
        }
        sqlx::query("UPDATE store SET head_revision = $1, head_hash = $2")
            .bind(self.head.revision.0)
            .bind(self.head.hash.to_vec())
            .execute(&mut *connection)
            .await?;
        Ok(())
    }

    pub(super) async fn commit(self) -> sqlx::Result<()> {
        self.records.connection.execute("COMMIT").await.map(|_| ())
    }
}

/// Ends whatever transaction is open. SQLite may have ended it already, after an error: that is no failure.
pub(super) async fn roll_back(connection: &mut Connection) {
    if let Err(error) = connection.execute("ROLLBACK").await {
        tracing::debug!(%error, "no transaction was left to roll back");
    }
}

/// Where the log stands, as the transaction sees it.
pub(super) async fn read_head(connection: &mut Connection) -> sqlx::Result<HeadOfLog> {
    let row = sqlx::query("SELECT head_revision, head_hash FROM store").fetch_one(connection).await?;
    let hash: &[u8] = row.try_get("head_hash")?;
    let hash = hash.try_into().map_err(|_| sqlx::Error::Decode("the head's hash is not 32 bytes".into()))?;
    Ok(HeadOfLog { revision: Revision(row.try_get("head_revision")?), hash })
}

/// The answer kept for a request with this key of this caller.
pub(super) async fn find_idempotency(
    connection: &mut Connection,
    caller: &str,
    key: &str,
) -> sqlx::Result<Option<Idempotency>> {
    let row = sqlx::query("SELECT fingerprint, answer FROM idempotency WHERE caller = $1 AND request_key = $2")
        .bind(caller)
        .bind(key)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let fingerprint: &[u8] = row.try_get("fingerprint")?;
    let fingerprint =
        fingerprint.try_into().map_err(|_| sqlx::Error::Decode("a fingerprint is not 32 bytes".into()))?;
    Ok(Some(Idempotency { caller: caller.into(), key: key.into(), fingerprint, answer: row.try_get("answer")? }))
}
