//! What is written beside the changes: uses, sessions, rates, digests, and units of quotas. On connections of their own,
//! so that none of it waits for the lock on the log's head; what meets another's rows waits for those alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyward_core::clock::Clock;
use keyward_core::limits::block::{BlockAnswer, BlockAsk};
use keyward_core::log::LogKeys;
use keyward_core::store::{Result, StoreError};
use sqlx::Executor;
use sqlx::postgres::PgPool;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::connect::{Lent, too_slow};
use super::dialect;
use super::error::{Cause, write_failure};
use super::sql::blocks;
use super::sql::records::Refusal;
use super::sql::writes::Write;
use crate::answers::{Answer, answer_all};

/// How long one may take, its COMMIT included.
const PATIENCE: Duration = Duration::from_secs(6);
/// How often one is made again that met another's.
const TRIES: usize = 8;
/// Exchanges that share a transaction, at most.
const EXCHANGES: usize = 256;
/// How often old records of what is no change are removed.
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(60);

/// Writes beside the changes.
pub(super) struct Beside {
    pub(super) pool: PgPool,
    pub(super) log_keys: Arc<LogKeys>,
    pub(super) clock: Arc<dyn Clock>,
}

/// How a transaction failed.
enum Failed {
    Known(StoreError),
    Again(StoreError),
    /// It may have been written.
    Unknown(StoreError),
}

/// What a transaction does.
enum Work<'a> {
    Write(&'a Write),
    Exchange(&'a [BlockAsk]),
}

/// What it gives.
enum Done {
    Written(bool),
    Exchanged(Vec<Result<BlockAnswer>>),
}

impl Beside {
    /// A write that is no change, in a transaction of its own.
    pub(super) async fn write(&self, write: &Write) -> Result<bool> {
        match self.transact(Work::Write(write)).await? {
            Done::Written(more) => Ok(more),
            Done::Exchanged(_) => Ok(false),
        }
    }

    /// Exchanges units for those who wait, until nobody is left who could ask.
    pub(super) async fn exchange(self: Arc<Self>, mut asked: mpsc::Receiver<(BlockAsk, Answer<BlockAnswer>)>) {
        loop {
            let mut waiting = Vec::new();
            if asked.recv_many(&mut waiting, EXCHANGES).await == 0 {
                return;
            }
            let began = Instant::now();
            let (asks, answers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
            let outcomes = match self.transact(Work::Exchange(&asks)).await {
                Ok(Done::Exchanged(exchanged)) => Ok(exchanged),
                Ok(Done::Written(_)) => Ok(Vec::new()),
                Err(error) => Err(error),
            };
            metrics::histogram!("keyward_store_exchange_seconds").record(began.elapsed().as_secs_f64());
            answer_all(answers, outcomes, "keyward_store_exchanges_total");
        }
    }

    /// Removes old records of what is no change, again and again.
    pub(super) async fn housekeep(self: Arc<Self>) {
        let mut every = tokio::time::interval(HOUSEKEEPING_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            every.tick().await;
            if let Err(error) = self.write(&Write::Housekeeping).await {
                tracing::warn!(%error, "old records were not removed; it is tried again in a minute");
            }
        }
    }

    async fn transact(&self, work: Work<'_>) -> Result<Done> {
        for tried in 1.. {
            let mut lent = Lent::from(&self.pool).await.map_err(|error| write_failure(&error))?;
            let mut stage = Stage::BeforeCommit;
            let done = timeout(PATIENCE, self.in_transaction(&mut lent, &work, &mut stage)).await;
            let failed = match done {
                Ok(Ok(done)) => {
                    lent.give_back();
                    return Ok(done);
                }
                Ok(Err(Refusal::Proposal(error))) => {
                    if matches!(timeout(PATIENCE, lent.execute("ROLLBACK")).await, Ok(Ok(_))) {
                        lent.give_back();
                    }
                    Failed::Known(error)
                }
                Ok(Err(Refusal::Database(error))) => failed(stage, &error),
                Err(_) => failed(stage, &too_slow("writing")),
            };
            match failed {
                Failed::Again(_) if tried < TRIES => {}
                Failed::Again(error) | Failed::Known(error) | Failed::Unknown(error) => return Err(error),
            }
        }
        Err(StoreError::Unavailable("the store gave up".into()))
    }

    async fn in_transaction(
        &self,
        connection: &mut Lent,
        work: &Work<'_>,
        stage: &mut Stage,
    ) -> std::result::Result<Done, Refusal> {
        connection.execute(dialect::BEGIN).await?;
        let done = match work {
            Work::Write(write) => Done::Written(write.make(connection, &self.log_keys, self.clock.now()).await?),
            Work::Exchange(asks) => Done::Exchanged(blocks::exchange(connection, asks).await?.answers),
        };
        *stage = Stage::AtCommit;
        connection.execute("COMMIT").await?;
        Ok(done)
    }
}

/// Where a transaction stood when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    BeforeCommit,
    AtCommit,
}

fn failed(stage: Stage, error: &sqlx::Error) -> Failed {
    match (Cause::of(error), stage) {
        (Cause::Again, _) => Failed::Again(write_failure(error)),
        (Cause::Gone, Stage::BeforeCommit) if !is_timeout(error) => Failed::Again(write_failure(error)),
        (_, Stage::BeforeCommit) => Failed::Known(write_failure(error)),
        (_, Stage::AtCommit) => Failed::Unknown(StoreError::Unknown(format!(
            "{error}: it may have been written; ask again what stands"
        ))),
    }
}

fn is_timeout(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut)
}
