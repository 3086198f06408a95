//! Which lines of the journal came after a backup, and how far each can be believed.
//!
//! The journal is never shortened, so it also holds what an earlier restore went back behind, and lines whose
//! commit never happened. Each line says after which entry of the log it came, and that tells them apart.
//! What a change means for a record is `replay`'s.

use keyward_core::change::{Change, StoreChange};
use keyward_core::log::{LogKeys, SignedHead};
use keyward_core::store::Result;

use super::Connection;
use super::verify;
use crate::files::journal::JournalLine;
use crate::head::HeadOfLog;

/// How far a line can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Belief {
    /// It happened after the backup, and nothing went back behind it.
    Happened,
    /// The journal's last line: its commit may not have happened.
    MayHaveHappened,
    /// A restore went back behind it, or it came after another backup than this one.
    Abandoned,
}

/// A line that the backup does not hold.
struct Since {
    last: HeadOfLog,
    changes: Vec<Change>,
    belief: Belief,
}

/// The journal as far as it was read.
pub(crate) struct Timeline {
    backup: HeadOfLog,
    lines: Vec<Since>,
    /// Whether what is read comes after the backup, and not after another one.
    follows: bool,
    /// Changes that the backup does not hold, void ones too.
    pub(crate) since: u64,
    /// Changes that are not this log's.
    pub(crate) unreadable: u64,
    /// Changes looked at.
    pub(crate) looked_at: u64,
}

impl Timeline {
    pub(crate) fn after(backup: HeadOfLog) -> Self {
        Timeline { backup, lines: Vec::new(), follows: true, since: 0, unreadable: 0, looked_at: 0 }
    }

    /// Takes the next line of the journal.
    pub(crate) async fn push(
        &mut self,
        connection: &mut Connection,
        log_keys: &LogKeys,
        line: JournalLine,
    ) -> Result<()> {
        let after = HeadOfLog { revision: line.after, hash: line.head.0 };
        let (written, mut last, mut changes) = (line.changes.len(), after, Vec::new());
        let mut held = false;
        for change in line.changes {
            self.looked_at += 1;
            let Some(body) = change.body(log_keys) else {
                self.unreadable += 1;
                continue;
            };
            last = HeadOfLog { revision: change.revision, hash: change.hash.0 };
            held |= change.revision <= self.backup.revision
                && verify::find_hash(connection, change.revision).await? == Some(change.hash.0);
            changes.push(body.change);
        }
        if held {
            // The backup's own past: whatever stands before is in it, or was given up before it.
            self.lines.clear();
            (self.since, self.follows) = (0, true);
            return Ok(());
        }
        self.since += changes.len() as u64;
        if changes.len() < written {
            // Somebody edited it: where it says that it stands proves nothing.
            self.lines.push(Since { last, changes, belief: Belief::Abandoned });
            return Ok(());
        }
        let restored =
            changes.iter().any(|change| matches!(change, Change::Store { what: StoreChange::Restored { .. } }));
        match restored {
            true => self.go_back(after),
            false => {
                self.lines.retain(|line| line.belief == Belief::Abandoned || !line.last.is_contradicted_by(after))
            }
        }
        // On the backup's own branch nothing can have come after an older entry than its last.
        let void = self.follows && after.contradicts_backup(self.backup);
        if !void && !changes.is_empty() {
            let belief = if self.follows { Belief::Happened } else { Belief::Abandoned };
            self.lines.push(Since { last, changes, belief });
        }
        Ok(())
    }

    /// A restore went back to an entry: what came after it is abandoned, and what did not is where nothing
    /// tells which of two branches the entry is on.
    fn go_back(&mut self, to: HeadOfLog) {
        let is_backup = to == self.backup;
        let known = is_backup || self.lines.iter().any(|line| line.last == to);
        let branched = self.lines.iter().any(|line| line.belief == Belief::Abandoned);
        for line in &mut self.lines {
            if (branched && !known) || line.last.is_contradicted_by(to) {
                line.belief = Belief::Abandoned;
            }
        }
        let is_later = to.revision > self.backup.revision && (self.follows || known);
        self.follows = is_backup || is_later;
        if !self.follows {
            self.lines.iter_mut().for_each(|line| line.belief = Belief::Abandoned);
        }
    }

    /// The changes in the order in which they are to be considered: what happened, then what else was to be
    /// taken away. `heads` are signed and of the timeline that was last.
    pub(crate) fn finish(mut self, heads: &[SignedHead]) -> impl Iterator<Item = (Change, Belief)> {
        if let Some(end) = self.lines.last_mut().filter(|line| line.belief == Belief::Happened) {
            let is_past = |head: &SignedHead| {
                let (revision, hash) = (head.head.revision, head.head.hash.0);
                revision > end.last.revision || (revision, hash) == (end.last.revision, end.last.hash)
            };
            if !heads.iter().any(is_past) {
                end.belief = Belief::MayHaveHappened;
            }
        }
        let (abandoned, happened): (Vec<_>, Vec<_>) =
            self.lines.into_iter().partition(|line| line.belief == Belief::Abandoned);
        happened.into_iter().chain(abandoned).flat_map(|line| {
            let belief = line.belief;
            line.changes.into_iter().map(move |change| (change, belief))
        })
    }
}
