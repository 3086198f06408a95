//! The one writer: takes the proposals that wait, makes them in one transaction, and answers everybody once
//! it is durable (group commit). It has a thread of its own, so that a slow disk stalls nobody else, and a
//! caller that goes away neither undoes nor halves a commit.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyward_core::change::{Entry, Proposal, Revision};
use keyward_core::clock::Clock;
use keyward_core::id::StoreId;
use keyward_core::limits::block::{BlockAnswer, BlockAsk};
use keyward_core::log::LogKeys;
use keyward_core::store::{Result, StoreError};
use sqlx::{Connection as _, Executor, Row as _};
use tokio::sync::{mpsc, watch};

use super::Connection;
use super::error::Cause;
use super::health::Health;
use super::sql::batch::{Batch, roll_back};
use super::sql::blocks;
use super::sql::records::Refusal;
use super::sql::sessions::SessionWrite;
use super::sql::writes::Write;
use crate::answers::{Answer, answer_all};
use crate::files::journal::{Journal, is_full};
use crate::files::place::{FileIdentity, Lock};
use crate::head::HeadOfLog;

/// Pages (about) in the write-ahead log after which it is moved into the database.
const CHECKPOINT_PAGES: usize = 2_000;
/// How often old records of what is no change are removed.
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(60);

/// What the writer can be asked for.
pub(super) enum Command {
    Commit(Box<Proposal>, Answer<Vec<Entry>>),
    Exchange(Box<BlockAsk>, Answer<BlockAnswer>),
    /// Answered with whether there is more to do of the kind.
    Write(Write, Answer<bool>),
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
        let (mut proposals, mut asks, mut close) = (Vec::new(), Vec::new(), false);
        for command in waiting {
            match command {
                Command::Commit(proposal, answer) => proposals.push((*proposal, answer)),
                // Neither reads what the other writes: who waits for one before the other asks in that order.
                Command::Exchange(ask, answer) => asks.push((*ask, answer)),
                Command::Write(write, answer) => {
                    self.commit(std::mem::take(&mut proposals)).await;
                    self.exchange(std::mem::take(&mut asks)).await;
                    let _ = answer.send(self.write(&write).await);
                }
                Command::Close => close = true,
            }
        }
        self.commit(proposals).await;
        self.exchange(asks).await;
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
    async fn commit(&mut self, waiting: Vec<(Proposal, Answer<Vec<Entry>>)>) {
        if waiting.is_empty() {
            return;
        }
        metrics::histogram!("keyward_store_batch_size").record(waiting.len() as f64);
        let began = Instant::now();
        let (proposals, answers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let outcomes = match self.ready() {
            Ok(()) => self.transact(proposals).await,
            Err(error) => Err(error),
        };
        metrics::histogram!("keyward_store_commit_seconds").record(began.elapsed().as_secs_f64());
        answer_all(answers, outcomes, "keyward_store_commits_total");
    }

    /// Exchanges units of quotas in one transaction, and answers once it is durable.
    async fn exchange(&mut self, waiting: Vec<(BlockAsk, Answer<BlockAnswer>)>) {
        if waiting.is_empty() {
            return;
        }
        let began = Instant::now();
        let (asks, answers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let outcomes = self.transaction(async |connection| Ok(blocks::exchange(connection, &asks).await?)).await;
        metrics::histogram!("keyward_store_exchange_seconds").record(began.elapsed().as_secs_f64());
        let outcomes = outcomes.map(|exchanged| {
            // Where nothing was written nothing is known of the disk either.
            if exchanged.rows > 0 {
                self.wrote(8 + exchanged.rows);
            }
            exchanged.answers
        });
        answer_all(answers, outcomes, "keyward_store_exchanges_total");
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
        let (head, changes, subjects) = (batch.head(), batch.changes(), batch.subjects());
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
        self.committed(head, changes, subjects);
        Ok(outcomes)
    }

    fn committed(&mut self, head: HeadOfLog, changes: usize, subjects: usize) {
        metrics::counter!("keyward_store_changes_total").increment(changes as u64);
        metrics::gauge!("keyward_store_revision").set(head.revision.0 as f64);
        self.wrote(8 + 4 * changes + 2 * subjects);
        self.moved.send_replace(head.revision);
        // The signer lives as long as this sender.
        let _ = self.to_sign.send(head);
    }

    /// Something was written, of about so many pages: there is room.
    fn wrote(&mut self, pages: usize) {
        self.health.set_full(false);
        self.pages += pages;
    }

    /// A write that is no change, in a transaction of its own.
    async fn write(&mut self, write: &Write) -> Result<bool> {
        let (log_keys, now) = (self.log_keys.clone(), self.clock.now());
        let more = self.transaction(async |connection| write.make(connection, &log_keys, now).await).await?;
        // Most of these may find nothing to write, and then nothing is known of the disk.
        if matches!(write, Write::Probe) {
            self.health.set_full(false);
        }
        self.pages += pages(write);
        Ok(more)
    }

    /// Does something in one transaction; what it gives is durable.
    async fn transaction<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Connection) -> std::result::Result<T, Refusal>,
    ) -> Result<T> {
        self.ready()?;
        if let Err(error) = self.connection.execute("BEGIN IMMEDIATE").await {
            return Err(self.failed(Stage::BeforeCommit, error).await);
        }
        let done = match work(&mut self.connection).await {
            Ok(done) => done,
            Err(Refusal::Proposal(error)) => {
                roll_back(&mut self.connection).await;
                return Err(error);
            }
            Err(Refusal::Database(error)) => return Err(self.failed(Stage::BeforeCommit, error).await),
        };
        match self.connection.execute("COMMIT").await {
            Ok(_) => Ok(done),
            Err(error) => Err(self.failed(Stage::AtCommit, error).await),
        }
    }

    async fn housekeep(&mut self) {
        if let Err(error) = self.write(&Write::Housekeeping).await {
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

/// About how many pages a write adds to the write-ahead log.
fn pages(write: &Write) -> usize {
    8 + match write {
        Write::Usage(batch) => batch.rows.len(),
        Write::Rates(rates) => rates.len(),
        Write::Forget(old) => old.limit as usize,
        Write::Sessions(SessionWrite::Forget { limit, .. }) => *limit as usize,
        Write::Sessions(_) | Write::DataKeys(_) => 0,
        Write::Pepper(_) | Write::FullRates(_) | Write::Housekeeping | Write::Probe => 0,
    }
}
