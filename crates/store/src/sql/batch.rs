//! One transaction of the writer: proposals made one after the other, each whole or not at all, on one chain.
//!
//! A proposal is checked and made in memory; what the accepted ones leave is written at the end, so a
//! refused one needs no undoing in the database.

use keyward_core::change::{Entry, EntryBody, Proposal, Revision};
use keyward_core::log::LogKeys;
use keyward_core::store::StoreError;
use sqlx::{Executor, QueryBuilder, Row as _};

use super::bulk::runs;
use super::records::{Records, Refusal};
use super::subjects::{self, SubjectRow};
use super::{Connection, Db, apply, dialect, expect, foresee, rows};
use crate::files::journal::JournalLine;
use crate::head::HeadOfLog;

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
    subjects: Vec<SubjectRow>,
}

/// An open transaction with the proposals made in it so far.
pub(crate) struct Batch<'a> {
    records: Records<'a>,
    head: HeadOfLog,
    rows: Vec<LogRow>,
    journal: JournalLine,
}

impl<'a> Batch<'a> {
    /// Opens the transaction: from here on nobody else makes changes until it ends.
    pub(crate) async fn begin(connection: &'a mut Connection, log_keys: &'a LogKeys) -> sqlx::Result<Self> {
        connection.execute(dialect::BEGIN).await?;
        let head = read_head_with(connection, dialect::LOCK_HEAD).await?;
        let journal = JournalLine::after(head);
        Ok(Batch { records: Records::new(connection, log_keys), head, rows: Vec::new(), journal })
    }

    pub(crate) fn records(&mut self) -> &mut Records<'a> {
        &mut self.records
    }

    pub(crate) fn head(&self) -> HeadOfLog {
        self.head
    }

    /// How many changes were made.
    pub(crate) fn changes(&self) -> usize {
        self.rows.len()
    }

    /// How many things changes of many were made to.
    pub(crate) fn subjects(&self) -> usize {
        self.rows.iter().map(|row| row.subjects.len()).sum()
    }

    /// The restrictive changes made so far.
    pub(crate) fn journal(&self) -> &JournalLine {
        &self.journal
    }

    /// Reads together what these proposals will need.
    pub(crate) async fn foresee(&mut self, proposals: &[Proposal]) -> Result<(), Refusal> {
        foresee::read(&mut self.records, proposals).await
    }

    /// Makes a proposal's changes, or none of them.
    pub(crate) async fn propose(&mut self, proposal: Proposal) -> Result<Vec<Entry>, Refusal> {
        let (head, rows, restrictive) = (self.head, self.rows.len(), self.journal.len());
        let made = self.make(proposal).await;
        match &made {
            Ok(_) => self.records.accept(),
            Err(_) => {
                self.records.refuse();
                self.rows.truncate(rows);
                self.journal.truncate(restrictive);
                self.head = head;
            }
        }
        made
    }

    async fn make(&mut self, proposal: Proposal) -> Result<Vec<Entry>, Refusal> {
        let Proposal { actor, origin, at, expect, changes, idempotency } = proposal;
        if let Some(request) = idempotency {
            let used = self.records.request(&request.caller, &request.key).await?;
            if let Some(used) = used {
                return Err(StoreError::Replayed(Box::new(used)).into());
            }
            let place = (request.caller.clone(), request.key.clone());
            self.records.requests.put(place, (request, at));
        }
        for expected in expect {
            if !expect::holds(&mut self.records, &expected, at).await? {
                return Err(StoreError::Conflict(expected).into());
            }
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
            subjects: subjects::of(revision, &body),
            body: text,
            hash,
        });
        self.head = HeadOfLog { revision, hash };
        Ok(Entry { revision, body, hash })
    }

    /// Writes records, the log's new rows and its head: all that is left is the COMMIT.
    pub(crate) async fn finish(&mut self) -> Result<(), Refusal> {
        rows::write(&mut self.records).await?;
        let connection = &mut *self.records.connection;
        for run in runs(&self.rows) {
            let mut insert: QueryBuilder<Db> = QueryBuilder::new(
                "INSERT INTO log (revision, at, name, organization, project, key_id, body, hash) ",
            );
            insert.push_values(run, |mut columns, row| {
                columns
                    .push_bind(row.revision.0)
                    .push_bind(row.at)
                    .push_bind(row.name)
                    .push_bind(row.organization.clone())
                    .push_bind(row.project.clone())
                    .push_bind(row.key.clone())
                    .push_bind(row.body.clone())
                    .push_bind(row.hash.to_vec());
            });
            insert.build().execute(&mut *connection).await?;
        }
        for row in &self.rows {
            subjects::write(connection, &row.subjects).await?;
        }
        sqlx::query("UPDATE store SET head_revision = $1, head_hash = $2")
            .bind(self.head.revision.0)
            .bind(self.head.hash.to_vec())
            .execute(&mut *connection)
            .await?;
        Ok(())
    }

    pub(crate) async fn commit(self) -> sqlx::Result<()> {
        self.records.connection.execute("COMMIT").await.map(|_| ())
    }
}

/// Ends whatever transaction is open. The database may have ended it already, after an error: that is no failure.
pub(crate) async fn roll_back(connection: &mut Connection) {
    if let Err(error) = connection.execute("ROLLBACK").await {
        tracing::debug!(%error, "no transaction was left to roll back");
    }
}

/// Where the log stands, as the transaction sees it.
pub(crate) async fn read_head(connection: &mut Connection) -> sqlx::Result<HeadOfLog> {
    read_head_with(connection, "SELECT head_revision, head_hash FROM store").await
}

/// Keeps everybody else from making changes until the transaction ends.
pub(crate) async fn lock_head(connection: &mut Connection) -> sqlx::Result<()> {
    read_head_with(connection, dialect::LOCK_HEAD).await.map(|_| ())
}

async fn read_head_with(connection: &mut Connection, select: &'static str) -> sqlx::Result<HeadOfLog> {
    let row = sqlx::query(select).fetch_one(connection).await?;
    let hash: &[u8] = row.try_get("head_hash")?;
    let hash = hash.try_into().map_err(|_| sqlx::Error::Decode("the head's hash is not 32 bytes".into()))?;
    Ok(HeadOfLog { revision: Revision(row.try_get("head_revision")?), hash })
}
