//! The one writer: takes the proposals that wait, makes them in one transaction, and answers everybody once
//! it is durable (group commit). It has a thread of its own, so that a slow disk stalls nobody else, and a
//! caller that goes away neither undoes nor halves a commit.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyward_core::change::{Entry, Proposal, Revision};
use keyward_core::clock::{Clock, Timestamp};
use keyward_core::id::StoreId;
use keyward_core::log::LogKeys;
use keyward_core::store::{Result, StoreError};
use keyward_core::usage::UsageBatch;
use sqlx::{Connection as _, Executor, Row as _};
use tokio::sync::{mpsc, oneshot, watch};

use super::batch::{Batch, HeadOfLog, roll_back};
use super::error::Cause;
use super::health::Health;
use super::journal::{Journal, is_full};
use super::peppers::PepperWrite;
use super::place::{FileIdentity, Lock};
use super::records::Refusal;
use super::{Connection, peppers, usage};

/// Pages (about) in the write-ahead log after which it is moved into the database.
const CHECKPOINT_PAGES: usize = 2_000;
/// How often old records of what is no change are removed.
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(60);
/// How long a request's `Idempotency-Key` and a batch of uses are known again.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

type Answer<T> = oneshot::Sender<Result<T>>;

/// What the writer can be asked for.
pub(super) enum Command {
    Commit(Box<Proposal>, Answer<Vec<Entry>>),
    Usage(Box<UsageBatch>, Answer<()>),
    Pepper(PepperWrite, Answer<()>),
    /// Writes nothing, durably: whether there is room again.
    Probe(Answer<()>),
    Close,
}

/// Where a transaction stood when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    BeforeCommit,
    AtCommit,
}

pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) database: PathBuf,
    pub(super) identity: FileIdentity,
    pub(super) store: StoreId,
    pub(super) log_keys: Arc<LogKeys>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) health: Arc<Health>,
    pub(super) journal: Journal,
    pub(super) batch_max: usize,
    pub(super) moved: watch::Sender<Revision>,
    pub(super) to_sign: std::sync::mpsc::Sender<HeadOfLog>,
    pub(super) pages: usize,
    pub(super) lock: Lock,
}

impl Writer {
    /// Works until it is told to close, or until nobody is left who could ask.
    ///
    /// Gives the lock back, to be let go once everything else is at rest too.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) -> Lock {
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING_EVERY);
        housekeeping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            let mut waiting = Vec::new();
            tokio::select! {
                taken = commands.recv_many(&mut waiting, self.batch_max) => if taken == 0 { break },
                _ = housekeeping.tick() => {
                    self.housekeep().await;
                    continue;
                }
            }
            if self.work_through(waiting).await {
                // Those that wait already are still served.
                commands.close();
            }
        }
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the database did not close cleanly; the next start repairs that");
        }
        self.lock
    }

    /// Does what was asked, in order; true where closing was asked for.
    async fn work_through(&mut self, waiting: Vec<Command>) -> bool {
        let (mut proposals, mut close) = (Vec::new(), false);
        for command in waiting {
            if let Command::Commit(proposal, answer) = command {
                proposals.push((proposal, answer));
                continue;
            }
            self.commit(std::mem::take(&mut proposals)).await;
            match command {
                Command::Usage(batch, answer) => {
                    let done = self.write(Write::Usage(&batch)).await;
                    let _ = answer.send(done);
                }
                Command::Pepper(write, answer) => {
                    let done = self.write(Write::Pepper(&write)).await;
                    let _ = answer.send(done);
                }
                Command::Probe(answer) => {
                    let done = self.write(Write::Probe).await;
                    let _ = answer.send(done);
                }
                Command::Close => close = true,
                Command::Commit(..) => {}
            }
        }
        self.commit(proposals).await;
        self.checkpoint().await;
        close
    }

    /// Whether writing may go on: nothing failed before, and the database is still the file that was opened.
    fn ready(&self) -> Result<()> {
        self.health.check()?;
        if !self.identity.is_at(&self.database) {
            let reason = format!("{} was deleted or replaced while in use", self.database.display());
            self.health.fail(&reason);
            return self.health.check();
        }
        Ok(())
    }

    /// Makes proposals in one transaction, and answers them.
    async fn commit(&mut self, proposals: Vec<(Box<Proposal>, Answer<Vec<Entry>>)>) {
        if proposals.is_empty() {
            return;
        }
        metrics::histogram!("keyward_store_batch_size").record(proposals.len() as f64);
        let began = Instant::now();
        let (proposals, answers): (Vec<Proposal>, Vec<_>) =
            proposals.into_iter().map(|(proposal, answer)| (*proposal, answer)).unzip();
        let outcomes = match self.ready() {
            Ok(()) => self.transact(proposals).await,
            Err(error) => Err(error),
        };
        metrics::histogram!("keyward_store_commit_seconds").record(began.elapsed().as_secs_f64());
        match outcomes {
            Ok(outcomes) => {
                for (answer, outcome) in answers.into_iter().zip(outcomes) {
                    count(&outcome);
                    let _ = answer.send(outcome);
                }
            }
            Err(error) => {
                for answer in answers {
                    let outcome = Err(repeat(&error));
                    count(&outcome);
                    let _ = answer.send(outcome);
                }
            }
        }
    }

    async fn transact(&mut self, proposals: Vec<Proposal>) -> Result<Vec<Result<Vec<Entry>>>> {
        let began = Batch::begin(&mut self.connection, &self.log_keys).await;
        let mut batch = match began {
            Ok(batch) => batch,
            Err(error) => return Err(self.failed(Stage::BeforeCommit, error).await),
        };
        let mut outcomes = Vec::with_capacity(proposals.len());
        match batch.foresee(&proposals).await {
            // A record that cannot be read concerns those who ask for it, one by one.
            Ok(()) | Err(Refusal::Proposal(_)) => {}
            Err(Refusal::Database(error)) => return Err(self.failed(Stage::BeforeCommit, error).await),
        }
        for proposal in proposals {
            match batch.propose(proposal).await {
                Ok(entries) => outcomes.push(Ok(entries)),
                Err(Refusal::Proposal(error)) => outcomes.push(Err(error)),
                Err(Refusal::Database(error)) => return Err(self.failed(Stage::BeforeCommit, error).await),
            }
        }
        if outcomes.iter().all(Result::is_err) {
            roll_back(&mut self.connection).await;
            return Ok(outcomes);
        }
        let (head, changes) = (batch.head(), batch.changes());
        match batch.finish().await {
            Ok(()) => {}
            Err(Refusal::Database(error)) => return Err(self.failed(Stage::BeforeCommit, error).await),
            Err(Refusal::Proposal(error)) => {
                roll_back(&mut self.connection).await;
                return Err(error);
            }
        }
        let journalled = batch.journal().len() > 0;
        if journalled && let Err(error) = self.journal.append(batch.journal(), self.store) {
            return Err(self.journal_failed(&error).await);
        }
        if let Err(error) = batch.commit().await {
            let error = self.failed(Stage::AtCommit, error).await;
            if journalled && !matches!(error, StoreError::Unknown(_)) {
                self.journal.withdraw();
            }
            return Err(error);
        }
        self.committed(head, changes);
        Ok(outcomes)
    }

    fn committed(&mut self, head: HeadOfLog, changes: usize) {
        self.health.set_full(false);
        metrics::counter!("keyward_store_changes_total").increment(changes as u64);
        metrics::gauge!("keyward_store_revision").set(head.revision.0 as f64);
        self.pages += 8 + 4 * changes;
        self.moved.send_replace(head.revision);
        // The signer lives as long as this sender.
        let _ = self.to_sign.send(head);
    }

    /// A write that is no change, in a transaction of its own.
    async fn write(&mut self, write: Write<'_>) -> Result<()> {
        self.ready()?;
        if let Err(error) = self.connection.execute("BEGIN IMMEDIATE").await {
            return Err(self.failed(Stage::BeforeCommit, error).await);
        }
        let now = self.clock.now();
        let done = match write {
            Write::Usage(batch) => usage::record(&mut self.connection, batch, now).await,
            Write::Pepper(write) => peppers::write(&mut self.connection, &self.log_keys, write).await,
            Write::Housekeeping => prune(&mut self.connection, now).await,
            Write::Probe => probe(&mut self.connection).await,
        };
        match done {
            Ok(()) => {}
            Err(Refusal::Proposal(error)) => {
                roll_back(&mut self.connection).await;
                return Err(error);
            }
            Err(Refusal::Database(error)) => return Err(self.failed(Stage::BeforeCommit, error).await),
        }
        if let Err(error) = self.connection.execute("COMMIT").await {
            return Err(self.failed(Stage::AtCommit, error).await);
        }
        self.health.set_full(false);
        self.pages += match write {
            Write::Usage(batch) => 8 + batch.rows.len(),
            _ => 8,
        };
        Ok(())
    }

    async fn housekeep(&mut self) {
        if let Err(error) = self.write(Write::Housekeeping).await {
            tracing::warn!(%error, "old records were not removed; it is tried again in a minute");
        }
    }

    /// Ends a transaction that SQLite failed, and says what that means for those who asked.
    async fn failed(&mut self, stage: Stage, error: sqlx::Error) -> StoreError {
        roll_back(&mut self.connection).await;
        match (Cause::of(&error), stage) {
            // The commit frame was not written whole, so SQLite itself takes the transaction for undone.
            (Cause::Full, _) => {
                self.health.set_full(true);
                StoreError::Full(format!("{error}; make room on the disk that holds {}", self.database.display()))
            }
            (Cause::Busy, _) => StoreError::Unavailable(format!(
                "another program holds {} ({error}): nothing but Keyward may write to it",
                self.database.display()
            )),
            (Cause::Damage, Stage::BeforeCommit) => {
                self.health.fail(&error.to_string());
                StoreError::Damaged(format!("{error}; stop Keyward and run `keyward doctor`"))
            }
            (_, Stage::BeforeCommit) => {
                self.health.fail(&error.to_string());
                StoreError::Unavailable(format!(
                    "{error}: nothing was written; look at the disk, then restart Keyward"
                ))
            }
            (_, Stage::AtCommit) => {
                self.health.fail(&error.to_string());
                StoreError::Unknown(format!("{error}: look at the disk, restart Keyward, and then ask what stands"))
            }
        }
    }

    async fn journal_failed(&mut self, error: &std::io::Error) -> StoreError {
        roll_back(&mut self.connection).await;
        metrics::counter!("keyward_store_journal_failed_total").increment(1);
        if is_full(error) {
            self.health.set_full(true);
            return StoreError::Full(format!("the journal beside the store: {error}; make room on its disk"));
        }
        self.health.fail(&format!("the journal of restrictive changes: {error}"));
        StoreError::Unavailable(format!(
            "the journal of restrictive changes could not be written ({error}): nothing was written; look at the \
             disk, then restart Keyward"
        ))
    }

    /// Moves the write-ahead log into the database when it has grown. Done here and not by SQLite, which
    /// would keep quiet about a failing disk.
    async fn checkpoint(&mut self) {
        if self.pages < CHECKPOINT_PAGES || self.health.check().is_err() {
            return;
        }
        self.pages = 0;
        match self.connection.fetch_one("PRAGMA wal_checkpoint(PASSIVE)").await {
            Ok(row) => {
                let pages: i64 = row.try_get(1).unwrap_or(0);
                metrics::gauge!("keyward_store_wal_pages").set(pages as f64);
            }
            Err(error) => match Cause::of(&error) {
                Cause::Full | Cause::Busy => {
                    tracing::warn!(%error, "the write-ahead log grows: it could not be moved into the database");
                }
                _ => self.health.fail(&error.to_string()),
            },
        }
    }
}

/// A write that is no change.
#[derive(Clone, Copy)]
enum Write<'a> {
    Usage(&'a UsageBatch),
    Pepper(&'a PepperWrite),
    Housekeeping,
    Probe,
}

/// Removes what has done its work: records of requests and of batches of uses, each a day after.
async fn prune(connection: &mut Connection, now: Timestamp) -> std::result::Result<(), Refusal> {
    let before = now.as_millis() - KEPT.as_millis() as i64;
    for sql in ["DELETE FROM idempotency WHERE at < $1", "DELETE FROM usage_batches WHERE at < $1"] {
        sqlx::query(sql).bind(before).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn probe(connection: &mut Connection) -> std::result::Result<(), Refusal> {
    connection.execute("UPDATE store SET probe = probe + 1").await?;
    Ok(())
}

fn count(outcome: &Result<Vec<Entry>>) {
    let word = match outcome {
        Ok(_) => "done",
        Err(StoreError::Conflict(_)) => "conflict",
        Err(StoreError::Replayed(_)) => "replayed",
        Err(StoreError::Full(_)) => "full",
        Err(StoreError::Unknown(_)) => "unknown",
        Err(StoreError::Unavailable(_)) => "unavailable",
        Err(StoreError::Damaged(_)) => "damaged",
    };
    metrics::counter!("keyward_store_commits_total", "outcome" => word).increment(1);
}

/// The same failure once more, for the next one in the batch.
fn repeat(error: &StoreError) -> StoreError {
    match error {
        StoreError::Conflict(expect) => StoreError::Conflict(expect.clone()),
        StoreError::Replayed(record) => StoreError::Replayed(record.clone()),
        StoreError::Full(text) => StoreError::Full(text.clone()),
        StoreError::Unknown(text) => StoreError::Unknown(text.clone()),
        StoreError::Unavailable(text) => StoreError::Unavailable(text.clone()),
        StoreError::Damaged(text) => StoreError::Damaged(text.clone()),
    }
}
