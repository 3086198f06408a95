//! Making again what the database lost: it was restored from a backup, or a standby that lagged took over. This node's
//! journal tells what was taken away since, and its signed heads that something is missing (trust.md L11, L12).
//!
//! Several nodes may do it at once, each from a journal of its own: it is done under the lock on the log's head, and
//! what is narrow enough already is not made again.

use std::io;
use std::sync::Arc;

use keyward_core::change::{Actor, Change, Origin, Proposal, Revision, StoreChange};
use keyward_core::clock::{Clock, Timestamp};
use keyward_core::log::GENESIS;
use keyward_core::nodes::Replayed;
use keyward_core::store::{Result, StoreError};
use tokio::sync::{mpsc, oneshot};

use super::Connection;
use super::connect::{ORDINARY, Target};
use super::moved::Moved;
use super::sql::batch::Batch;
use super::sql::log;
use super::sql::records::Refusal;
use super::sql::replay;
use super::sql::sessions::{self, SessionWrite};
use super::sql::timeline::{Belief, Timeline};
use super::sql::verify::find_hash;
use super::witness::{Witness, in_time};
use super::writer::Command;
use crate::files::journal::{JournalLine, Lines};
use crate::head::HeadOfLog;

/// Entries that are read at once.
const ENTRIES: u32 = 500;

/// What is to be made again.
pub(super) struct Plan {
    /// The last entry that both the journal and the log hold.
    fork: HeadOfLog,
    /// The journal's lines since.
    lines: Vec<JournalLine>,
    /// The last revision that this node knew of.
    lost_head: Option<Revision>,
    /// Lines of the journal that could not be read.
    unreadable: u64,
}

/// What was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    pub(super) replayed: Replayed,
    /// Whether the log was found to have lost something.
    pub(super) was_lost: bool,
    /// Whether anything was written for it.
    pub(super) is_written: bool,
}

const NOTHING: Made = Made { replayed: Replayed { changes: 0, unreadable: 0 }, was_lost: false, is_written: false };

/// Compares a node's folder with the database, and puts right what differs.
pub(super) struct Reconciler {
    pub(super) target: Target,
    pub(super) witness: Arc<Witness>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) moved: Arc<Moved>,
    pub(super) commands: mpsc::Sender<Command>,
}

impl Reconciler {
    /// Makes again what was lost, where something was.
    pub(super) async fn reconcile(&self) -> Result<Made> {
        let unreachable =
            |error: sqlx::Error| StoreError::Unavailable(format!("the database cannot be reached: {error}"));
        let mut connection = self.target.connect(ORDINARY).await.map_err(unreachable)?;
        let Some(plan) = self.plan(&mut connection).await? else { return Ok(NOTHING) };
        let (fork, lost) = (plan.fork, plan.lines.len());
        metrics::counter!("keyward_store_replays_total").increment(1);
        tracing::error!(
            fork = fork.revision.0,
            lines = lost,
            "the database went back behind what this node has seen: what was taken away since is taken away again"
        );
        let (answer, answered) = oneshot::channel();
        let closed = || StoreError::Unavailable("the store is closed".into());
        let command = Command::Replay(Box::new(plan), self.clock.now(), answer);
        self.commands.send(command).await.map_err(|_| closed())?;
        let made = answered.await.unwrap_or_else(|_| Err(closed()))?;
        // What follows the fork in the log as it is now, so that the journal's end is the log's own past again.
        self.witness.go_back(fork.revision);
        let mut after = fork.revision;
        loop {
            let entries = in_time(log::since(&mut connection, &self.witness.log_keys, after, ENTRIES)).await?;
            let Some(last) = entries.last() else { break };
            after = last.revision;
            let unkept = self.witness.unknown(&entries);
            let lines = in_time(self.witness.lines(&mut connection, &unkept)).await?;
            self.witness.keep(&unkept, lines).await?;
        }
        let seen = self.moved.newest();
        self.witness.drop_untrue_heads(&mut connection, (seen, self.clock.now())).await?;
        Ok(made)
    }

    /// What is to be made again; none where the journal's end and the newest head are the log's own past.
    async fn plan(&self, connection: &mut Connection) -> Result<Option<Plan>> {
        let path = self.witness.place.journal();
        let failed = |error: io::Error| StoreError::Unavailable(format!("reading {}: {error}", path.display()));
        let (ends, unreadable) = self.ends().map_err(failed)?;
        let mut fork = HeadOfLog { revision: Revision::ZERO, hash: GENESIS };
        let mut held = 0;
        for (number, end) in ends.iter().enumerate().rev() {
            if in_time(find_hash(connection, end.revision)).await? == Some(end.hash) {
                (fork, held) = (*end, number + 1);
                break;
            }
        }
        let newest = self.witness.heads().map_err(failed)?.into_iter().max_by_key(|signed| signed.head.revision);
        let is_head_lost = match newest {
            Some(newest) => in_time(find_hash(connection, newest.head.revision)).await? != Some(newest.head.hash.0),
            None => false,
        };
        if held == ends.len() && !is_head_lost {
            return Ok(None);
        }
        let mut lines = Vec::new();
        let mut all = Lines::open(&path).map_err(failed)?;
        let mut number = 0;
        while let Some(line) = all.next().map_err(failed)? {
            let Some(line) = line else { continue };
            if number >= held {
                lines.push(line);
            }
            number += 1;
        }
        let known = ends.iter().skip(held).map(|end| end.revision);
        let lost_head = known.chain(newest.map(|newest| newest.head.revision)).max();
        Ok(Some(Plan { fork, lines, lost_head, unreadable }))
    }

    /// Where each readable line of the journal ends, and how many lines cannot be read.
    fn ends(&self) -> io::Result<(Vec<HeadOfLog>, u64)> {
        let (mut ends, mut unreadable) = (Vec::new(), 0);
        let mut lines = match Lines::open(&self.witness.place.journal()) {
            Ok(lines) => lines,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((ends, unreadable)),
            Err(error) => return Err(error),
        };
        while let Some(line) = lines.next()? {
            match line {
                Some(line) => {
                    let (revision, hash) = line.end().unwrap_or((line.after, line.head.0));
                    ends.push(HeadOfLog { revision, hash });
                }
                None => unreadable += 1,
            }
        }
        Ok((ends, unreadable))
    }
}

/// Notes in the log that it lost something, and makes again what still makes sense.
pub(super) async fn remake(
    batch: &mut Batch<'_>,
    plan: &Plan,
    at: Timestamp,
) -> std::result::Result<Made, Refusal> {
    let noted: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM log WHERE revision > $1 AND name = 'store.restored'")
        .bind(plan.fork.revision.0)
        .fetch_one(&mut *batch.records().connection)
        .await?;
    let mut timeline = Timeline::after(plan.fork);
    for line in &plan.lines {
        let records = batch.records();
        timeline.push(records.connection, records.log_keys, line.clone()).await?;
    }
    let unreadable = plan.unreadable + timeline.unreadable;
    // What is remembered was read from the log: it did happen.
    let lost = timeline.finish(&[]).map(|(change, belief)| match belief {
        Belief::MayHaveHappened => (change, Belief::Happened),
        belief => (change, belief),
    });
    let revision = batch.head().revision;
    let again = replay::consider_all(batch.records(), lost.collect(), at, revision).await?;
    let changes = again.len() as u64;
    let made = Made { replayed: Replayed { changes, unreadable }, was_lost: true, is_written: true };
    if again.is_empty() && noted > 0 {
        return Ok(Made { is_written: false, ..made });
    }
    let restored =
        StoreChange::Restored { revision: batch.head().revision, lost_head: plan.lost_head, replayed: changes };
    let mut all = vec![Change::Store { what: restored }];
    all.extend(again);
    batch
        .propose(Proposal {
            actor: Actor::Operator { command: "replay".into() },
            origin: Origin::default(),
            at,
            expect: Vec::new(),
            changes: all,
            idempotency: None,
        })
        .await?;
    if noted == 0 {
        // Whoever signed out since must not be signed in again.
        let records = batch.records();
        sessions::write(records.connection, records.log_keys, &SessionWrite::EndAll).await?;
    }
    Ok(made)
}
