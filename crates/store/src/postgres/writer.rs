//! The one writer of changes of this node: takes the proposals that wait, makes them in one transaction, and answers
//! everybody once it is committed (group commit). The row lock on the log's head keeps it and the other nodes' writers in
//! one order, which is that of the revisions.
//!
//! A commit whose reply was lost is looked up, under the same lock: only what is known to stand is told as done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyward_core::change::{Entry, Proposal};
use keyward_core::clock::Timestamp;
use keyward_core::log::LogKeys;
use keyward_core::store::{Result, StoreError};
use sqlx::Executor;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::connect::{ASK_AFTER, CHANGES, Patience, REPLAYING, Target, too_slow};
use super::error::{Cause, write_failure};
use super::moved::Moved;
use super::reconcile::{self, Made, Plan};
use super::sql::batch::Batch;
use super::sql::records::Refusal;
use super::sql::verify::find_hash;
use super::{Connection, dialect};
use crate::answers::{Answer, answer_all};
use crate::head::HeadOfLog;

/// How long everything before the COMMIT may take.
const BEFORE_COMMIT: Duration = Duration::from_secs(6);
/// The same, where what was lost is made again: until it is, nodes refuse, so it is not given up for being much.
const BEFORE_REPLAY: Duration = Duration::from_secs(300);
/// How long the reply to a COMMIT is waited for before it is looked up.
const AT_COMMIT: Duration = Duration::from_secs(5);
/// How long is tried to find out what became of a COMMIT.
const LOOK: Duration = Duration::from_secs(3);
/// How often a transaction is made again that met another, or whose connection was gone before it began to commit.
const TRIES: usize = 8;

/// What the writer can be asked for.
pub(super) enum Command {
    Commit(Box<Proposal>, Answer<Vec<Entry>>),
    /// Makes what the journal knows and the database lost.
    Replay(Box<Plan>, Timestamp, Answer<Made>),
    Close(oneshot::Sender<()>),
}

pub(super) struct Writer {
    target: Target,
    /// None where it is to be opened anew.
    connection: Option<Connection>,
    /// Since when it is not used.
    idle_since: Instant,
    log_keys: Arc<LogKeys>,
    batch_max: usize,
    /// Whether the database passes hints on.
    notifies: bool,
    moved: Arc<Moved>,
}

/// What a transaction does before its COMMIT.
trait Work {
    type Done;
    /// How long it may take.
    const TAKES: Duration;
    /// What its connection is set up with.
    const PATIENCE: Patience;

    /// Makes it on an open batch; none where nothing is to be committed.
    async fn make(&self, batch: &mut Batch<'_>) -> std::result::Result<(Self::Done, bool), Refusal>;
}

struct Proposals(Vec<Proposal>);

impl Work for Proposals {
    type Done = Vec<Result<Vec<Entry>>>;
    const TAKES: Duration = BEFORE_COMMIT;
    const PATIENCE: Patience = CHANGES;

    async fn make(&self, batch: &mut Batch<'_>) -> std::result::Result<(Self::Done, bool), Refusal> {
        match batch.foresee(&self.0).await {
            // A record that cannot be read concerns those who ask for it, one by one.
            Ok(()) | Err(Refusal::Proposal(_)) => {}
            Err(error) => return Err(error),
        }
        let mut outcomes = Vec::with_capacity(self.0.len());
        for proposal in &self.0 {
            match batch.propose(proposal.clone()).await {
                Ok(entries) => outcomes.push(Ok(entries)),
                Err(Refusal::Proposal(error)) => outcomes.push(Err(error)),
                Err(error) => return Err(error),
            }
        }
        let any = outcomes.iter().any(Result::is_ok);
        Ok((outcomes, any))
    }
}

struct Replaying<'a> {
    plan: &'a Plan,
    at: Timestamp,
}

impl Work for Replaying<'_> {
    type Done = Made;
    const TAKES: Duration = BEFORE_REPLAY;
    const PATIENCE: Patience = REPLAYING;

    async fn make(&self, batch: &mut Batch<'_>) -> std::result::Result<(Made, bool), Refusal> {
        let made = reconcile::remake(batch, self.plan, self.at).await?;
        let any = made.is_written;
        Ok((made, any))
    }
}

/// How a transaction ended that gave no result.
enum Failed {
    /// Nothing was written.
    Nothing(StoreError),
    /// Nothing was written, and it is worth trying again at once.
    Again(StoreError),
    /// Nobody knows.
    Unknown(StoreError),
}

impl Writer {
    /// `notifies` is whether the database passes hints on.
    pub(super) fn new(
        target: Target,
        log_keys: Arc<LogKeys>,
        batch_max: usize,
        notifies: bool,
        moved: Arc<Moved>,
    ) -> Self {
        Writer { target, connection: None, idle_since: Instant::now(), log_keys, batch_max, notifies, moved }
    }

    /// Works until it is told to close, or until nobody is left who could ask.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut closing = None;
        loop {
            let mut waiting = Vec::new();
            if commands.recv_many(&mut waiting, self.batch_max).await == 0 {
                break;
            }
            let mut proposals = Vec::new();
            for command in waiting {
                match command {
                    Command::Commit(proposal, answer) => proposals.push((*proposal, answer)),
                    Command::Replay(plan, at, answer) => {
                        self.commit(std::mem::take(&mut proposals)).await;
                        // On a connection with a patience of its own, for this alone.
                        self.connection = None;
                        let done = self.transact(&Replaying { plan: &plan, at }).await;
                        self.connection = None;
                        let _ = answer.send(done);
                    }
                    Command::Close(closed) => {
                        // Those that wait already are still served.
                        commands.close();
                        closing = Some(closed);
                    }
                }
            }
            self.commit(proposals).await;
        }
        if let Some(connection) = self.connection.take() {
            let _ = timeout(LOOK, sqlx::Connection::close(connection)).await;
        }
        if let Some(closed) = closing {
            let _ = closed.send(());
        }
    }

    /// Makes proposals in one transaction, and answers them.
    async fn commit(&mut self, waiting: Vec<(Proposal, Answer<Vec<Entry>>)>) {
        if waiting.is_empty() {
            return;
        }
        metrics::histogram!("keyward_store_batch_size").record(waiting.len() as f64);
        let began = Instant::now();
        let (proposals, answers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let outcomes = self.transact(&Proposals(proposals)).await;
        metrics::histogram!("keyward_store_commit_seconds").record(began.elapsed().as_secs_f64());
        answer_all(answers, outcomes, "keyward_store_commits_total");
    }

    /// Does some work in one transaction, as often as it takes for it to be known how it ended.
    async fn transact<W: Work>(&mut self, work: &W) -> Result<W::Done> {
        let began = Instant::now();
        for tried in 1.. {
            match self.try_once(work).await {
                Ok(done) => return Ok(done),
                Err(Failed::Again(_)) if tried < TRIES && began.elapsed() < W::TAKES => {}
                Err(Failed::Nothing(error) | Failed::Again(error) | Failed::Unknown(error)) => {
                    self.moved.set_full(matches!(error, StoreError::Full(_)));
                    self.moved.set_stuck(matches!(error, StoreError::Unavailable(_) | StoreError::Unknown(_)));
                    return Err(error);
                }
            }
        }
        Err(StoreError::Unavailable("the writer gave up".into()))
    }

    async fn try_once<W: Work>(&mut self, work: &W) -> std::result::Result<W::Done, Failed> {
        let open = self.take().await;
        // It may have been closed by the other end: that is found out here, where it costs nothing.
        let was_open = open.is_some();
        let mut connection = match open {
            Some(connection) => connection,
            None => self.target.connect(W::PATIENCE).await.map_err(|error| {
                Failed::Nothing(StoreError::Unavailable(format!("the database cannot be reached: {error}")))
            })?,
        };
        let made = timeout(W::TAKES, before_commit(&mut connection, &self.log_keys, self.notifies, work)).await;
        let (done, head, changes) = match made {
            Ok(Ok(made)) => made,
            Ok(Err(Refusal::Proposal(error))) => {
                self.put_back(connection, true).await;
                return Err(Failed::Nothing(error));
            }
            Ok(Err(Refusal::Database(error))) => {
                let failure = write_failure(&error);
                let cause = Cause::of(&error);
                if cause != Cause::Gone {
                    self.put_back(connection, true).await;
                }
                return Err(match cause {
                    Cause::Again => Failed::Again(failure),
                    Cause::Gone if was_open => Failed::Again(failure),
                    _ => Failed::Nothing(failure),
                });
            }
            Err(_) => return Err(Failed::Nothing(write_failure(&too_slow("making changes")))),
        };
        let Some(head) = head else {
            // Nothing to commit.
            self.put_back(connection, true).await;
            return Ok(done);
        };
        match timeout(AT_COMMIT, connection.execute("COMMIT")).await {
            Ok(Ok(_)) => self.put_back(connection, false).await,
            Ok(Err(error)) if Cause::of(&error) == Cause::Again => {
                self.put_back(connection, false).await;
                return Err(Failed::Again(write_failure(&error)));
            }
            lost => {
                let error = lost.map_or_else(
                    |_| too_slow("the commit"),
                    |lost| match lost {
                        Err(error) => error,
                        Ok(_) => too_slow("the commit"),
                    },
                );
                drop(connection);
                self.look(head, &error).await?;
            }
        }
        self.moved.committed(head, changes);
        Ok(done)
    }

    /// The connection that is open; one that idled is asked first whether it is still there, as its host may be gone.
    async fn take(&mut self) -> Option<Connection> {
        let mut connection = self.connection.take()?;
        if self.idle_since.elapsed() < ASK_AFTER {
            return Some(connection);
        }
        matches!(timeout(ASK_AFTER, connection.execute("SELECT 1")).await, Ok(Ok(_))).then_some(connection)
    }

    /// Keeps a connection for the next transaction, once its own has ended; where that cannot be made sure it is dropped.
    async fn put_back(&mut self, mut connection: Connection, is_in_transaction: bool) {
        if is_in_transaction && !matches!(timeout(LOOK, connection.execute("ROLLBACK")).await, Ok(Ok(_))) {
            return;
        }
        self.connection = Some(connection);
        self.idle_since = Instant::now();
    }

    /// Finds out what became of a COMMIT: whether its last entry stands in the log.
    async fn look(&mut self, head: HeadOfLog, lost: &sqlx::Error) -> std::result::Result<(), Failed> {
        metrics::counter!("keyward_store_commits_looked_up_total").increment(1);
        let until = Instant::now() + LOOK;
        let mut last = lost.to_string();
        while Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            match timeout(left, self.stands(head)).await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) => {
                    let what = format!("the connection was lost at the commit ({lost}), which did not happen");
                    return Err(Failed::Again(StoreError::Unavailable(what)));
                }
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => break,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Failed::Unknown(StoreError::Unknown(format!(
            "the database's reply to the commit was lost ({lost}), and what became of it cannot be seen ({last}): ask \
             again what stands"
        ))))
    }

    /// Whether an entry stands in the log, where nobody who made it can still be at it: its head's row is locked.
    async fn stands(&mut self, head: HeadOfLog) -> sqlx::Result<bool> {
        let mut connection = self.target.connect(CHANGES).await?;
        connection.execute(dialect::BEGIN).await?;
        sqlx::query(dialect::LOCK_HEAD).fetch_one(&mut connection).await?;
        let found = find_hash(&mut connection, head.revision).await;
        connection.execute("ROLLBACK").await?;
        let found = found.map_err(|error| sqlx::Error::Protocol(error.to_string()))?;
        self.put_back(connection, false).await;
        Ok(found == Some(head.hash))
    }
}

/// Makes everything of a transaction but its COMMIT; without a head where nothing is to be committed.
async fn before_commit<W: Work>(
    connection: &mut Connection,
    log_keys: &LogKeys,
    notifies: bool,
    work: &W,
) -> std::result::Result<(W::Done, Option<HeadOfLog>, usize), Refusal> {
    let mut batch = Batch::begin(connection, log_keys).await?;
    let (done, any) = work.make(&mut batch).await?;
    if !any {
        return Ok((done, None, 0));
    }
    let (head, changes) = (batch.head(), batch.changes());
    batch.finish().await?;
    drop(batch);
    if notifies {
        connection.execute("SELECT pg_notify('keyward', '')").await?;
    }
    Ok((done, Some(head), changes))
}
