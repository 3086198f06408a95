//! Restoring: a backup takes the place of a stopped store, and what was taken away since is taken away
//! again, from the journal (trust.md L11). The old files are put aside, never deleted.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use keyward_core::change::{Actor, Change, Origin, Proposal, Revision, StoreChange};
use keyward_core::clock::Timestamp;
use keyward_core::id::StoreId;
use keyward_core::log::{LogKeys, SignedHead};
use keyward_core::store::{LogVerdict, StoreError};
use sqlx::{Connection as _, Executor};

use super::check::{self, store_error};
use super::error::OpenError;
use super::open::{identify, migrate, take_place};
use super::sql::batch::Batch;
use super::sql::records::Refusal;
use super::sql::sessions::SessionWrite;
use super::sql::timeline::Timeline;
use super::sql::{replay, sessions, verify};
use super::{Connection, connect, switch};
use crate::files::heads;
use crate::files::journal;
use crate::files::place::{Place, create_folder, private_file};
use crate::head::HeadOfLog;

/// What a restore is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreProgress {
    /// The backup is being copied beside the old store.
    Copying,
    /// The copy's log is being checked: so many entries, of so many.
    Checking {
        /// Entries checked.
        done: u64,
        /// Entries in all.
        total: u64,
    },
    /// So many changes of the journal were looked at.
    ReadingJournal {
        /// Changes looked at.
        done: u64,
    },
    /// The prepared store is being put in place.
    Switching,
}

/// What a restore found of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalFound {
    /// There was none: what was taken away since the backup is not known, and works again.
    Missing,
    /// It was read.
    Read {
        /// Changes in it that the backup does not have.
        since: u64,
        /// Of these, those that no longer make sense: about what the backup does not know, done already, not
        /// known to have happened, or given up by an earlier restore.
        passed_over: u64,
        /// Lines or changes that could not be read or are not this log's.
        unreadable: u64,
    },
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreReport {
    /// Which store it is.
    pub store: StoreId,
    /// The last revision that the backup held.
    pub backup_revision: Revision,
    /// The last revision now.
    pub revision: Revision,
    /// The last revision that was signed before: changes after the backup up to it are lost, but for those
    /// made again. None where there were no signed heads to tell.
    pub lost_head: Option<Revision>,
    /// How many changes were made again.
    pub replayed: u64,
    /// What was found of the journal.
    pub journal: JournalFound,
    /// Where the old files are, where there were any.
    pub aside: Option<PathBuf>,
}

/// Puts a backup in place of the stopped store in `dir` (or in an empty folder), and makes the restrictive
/// changes since the backup again, as changes of `at`. A crash leaves the old store or the restored one.
///
/// # Errors
/// Where the store is in use, the file is no whole backup of it, or the disk fails. The old store is then
/// as it was.
pub async fn restore(
    dir: &Path,
    backup: &Path,
    log_keys: &LogKeys,
    at: Timestamp,
    mut progress: impl FnMut(RestoreProgress) + Send,
) -> Result<RestoreReport, OpenError> {
    let place = Place::new(dir);
    let _lock = take_place(&place)?;
    let switching = OpenError::io("put a restored store in place in", place.dir());
    switch::finish(&place).map_err(switching)?;

    progress(RestoreProgress::Copying);
    let draft = Draft::copy(&place, backup)?;
    let not_a_backup = |error| match error {
        OpenError::Damaged { what, .. } => OpenError::NotABackup { path: backup.to_owned(), what },
        other => other,
    };
    check::file(&draft.database).await.map_err(not_a_backup)?;
    let failed = |error| OpenError::database("restore", backup)(error);
    let mut connection = connect::writer(&draft.database).await.map_err(failed)?;
    migrate(&mut connection, backup).await.map_err(not_a_backup)?;
    let store = identify(&mut connection, backup, log_keys).await.map_err(not_a_backup)?;
    check_chain(&mut connection, log_keys, store, backup, &mut progress).await?;

    let before = Before::read(&place, log_keys, store)?;
    let (made, journal) = remake(&mut connection, &place, log_keys, store, (at, &before), &mut progress).await?;
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await.map_err(failed)?;
    let kept = before.still_true(&mut connection).await.map_err(store_error(backup))?;
    connection.close().await.map_err(failed)?;

    let head = log_keys.sign(store, made.head.revision, made.head.hash, at);
    draft.complete(&place, &made, store, &kept, head).map_err(OpenError::io("prepare", &draft.dir))?;
    progress(RestoreProgress::Switching);
    let had_any = place.database().exists() || place.journal().exists() || place.heads().exists();
    let aside = name_aside(&place, at);
    std::fs::write(draft.dir.join(switch::ASIDE), &aside)
        .and_then(|()| File::open(draft.dir.join(switch::ASIDE))?.sync_all())
        .and_then(|()| switch::decide(&place))
        .and_then(|()| switch::finish(&place))
        .map_err(OpenError::io("put a restored store in place in", place.dir()))?;
    Ok(RestoreReport {
        store,
        backup_revision: made.backup.revision,
        revision: made.head.revision,
        lost_head: before.last(),
        replayed: made.replayed,
        journal,
        aside: had_any.then(|| place.dir().join(aside)),
    })
}

async fn check_chain(
    connection: &mut Connection,
    log_keys: &LogKeys,
    store: StoreId,
    backup: &Path,
    progress: &mut (impl FnMut(RestoreProgress) + Send),
) -> Result<(), OpenError> {
    let tell = |done, total| progress(RestoreProgress::Checking { done, total });
    let verdict = verify::verify(connection, log_keys, store, &[], tell).await.map_err(store_error(backup))?;
    match verdict {
        LogVerdict::Intact { .. } => Ok(()),
        LogVerdict::Broken { revision, reason } => Err(OpenError::NotABackup {
            path: backup.to_owned(),
            what: format!("entry {revision} of its log {reason}"),
        }),
    }
}

/// What the folder knew of the log before.
struct Before {
    heads: Vec<SignedHead>,
}

impl Before {
    fn read(place: &Place, log_keys: &LogKeys, store: StoreId) -> Result<Self, OpenError> {
        let path = place.heads();
        let mut heads = heads::read(&path).map_err(OpenError::io("read", &path))?;
        heads.retain(|signed| log_keys.has_signed(signed));
        match heads.iter().find(|signed| signed.head.store != store) {
            Some(other) => Err(OpenError::OtherStore { path, found: other.head.store, expected: store }),
            None => Ok(Before { heads }),
        }
    }

    fn last(&self) -> Option<Revision> {
        self.heads.iter().map(|signed| signed.head.revision).max()
    }

    /// The heads that the restored log also holds.
    async fn still_true(&self, connection: &mut Connection) -> Result<Vec<SignedHead>, StoreError> {
        let mut kept = Vec::new();
        for signed in &self.heads {
            if verify::find_hash(connection, signed.head.revision).await? == Some(signed.head.hash.0) {
                kept.push(*signed);
            }
        }
        Ok(kept)
    }
}

/// What was made again.
struct Remade {
    backup: HeadOfLog,
    head: HeadOfLog,
    replayed: u64,
    /// The journal's line of it.
    line: Vec<u8>,
}

/// Notes the restore in the log, and makes again what still makes sense, in one transaction.
async fn remake(
    connection: &mut Connection,
    place: &Place,
    log_keys: &LogKeys,
    store: StoreId,
    (at, before): (Timestamp, &Before),
    progress: &mut (impl FnMut(RestoreProgress) + Send),
) -> Result<(Remade, JournalFound), OpenError> {
    let database = place.database();
    let failed = |error| OpenError::database("restore", &database)(error);
    let mut batch = Batch::begin(connection, log_keys).await.map_err(failed)?;
    let backup = batch.head();
    let (again, journal) = plan(&mut batch, place, store, (at, &before.heads), progress).await?;
    let replayed = again.len() as u64;
    let restored = StoreChange::Restored { revision: backup.revision, lost_head: before.last(), replayed };
    let mut changes = vec![Change::Store { what: restored }];
    changes.extend(again);
    let proposal = Proposal {
        actor: Actor::Operator { command: "restore".into() },
        origin: Origin::default(),
        at,
        expect: Vec::new(),
        changes,
        idempotency: None,
    };
    batch.propose(proposal).await.map_err(refused(&database))?;
    let head = batch.head();
    let line = batch.journal().to_bytes(store).map_err(OpenError::io("write", &place.journal()))?;
    batch.finish().await.map_err(refused(&database))?;
    // Whoever signed out since must not be signed in again.
    let records = batch.records();
    let end_all = sessions::write(records.connection, records.log_keys, &SessionWrite::EndAll).await;
    end_all.map_err(refused(&database))?;
    batch.commit().await.map_err(failed)?;
    Ok((Remade { backup, head, replayed, line }, journal))
}

/// What of the journal is to be made again, in its order.
async fn plan(
    batch: &mut Batch<'_>,
    place: &Place,
    store: StoreId,
    (at, heads): (Timestamp, &[SignedHead]),
    progress: &mut (impl FnMut(RestoreProgress) + Send),
) -> Result<(Vec<Change>, JournalFound), OpenError> {
    let path = place.journal();
    let failed = |error| OpenError::io("read", &path)(error);
    let mut lines = match journal::Lines::open(&path) {
        Ok(lines) => lines,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok((Vec::new(), JournalFound::Missing));
        }
        Err(error) => return Err(failed(error)),
    };
    let mut timeline = Timeline::after(batch.head());
    let mut unreadable = 0;
    while let Some(line) = lines.next().map_err(failed)? {
        let Some(line) = line else {
            unreadable += 1;
            continue;
        };
        if let Some(found) = line.store.filter(|of| *of != store) {
            return Err(OpenError::OtherStore { path, found, expected: store });
        }
        let records = batch.records();
        timeline.push(records.connection, records.log_keys, line).await.map_err(store_error(&path))?;
        progress(RestoreProgress::ReadingJournal { done: timeline.looked_at });
    }
    let since = timeline.since;
    unreadable += timeline.unreadable;
    let revision = batch.head().revision;
    let lost = timeline.finish(heads).collect();
    let again = replay::consider_all(batch.records(), lost, at, revision).await.map_err(refused(&path))?;
    let passed_over = since - again.len() as u64;
    Ok((again, JournalFound::Read { since, passed_over, unreadable }))
}

fn refused(path: &Path) -> impl FnOnce(Refusal) -> OpenError {
    let path = path.to_owned();
    move |refusal| match refusal {
        Refusal::Database(error) => OpenError::database("restore", &path)(error),
        Refusal::Proposal(error) => store_error(&path)(error),
    }
}

/// The folder in which the new store is prepared.
struct Draft {
    dir: PathBuf,
    database: PathBuf,
}

impl Draft {
    /// Starts over with a copy of the backup.
    fn copy(place: &Place, backup: &Path) -> Result<Self, OpenError> {
        let dir = place.restore_draft();
        let database = dir.join("keyward.db");
        let prepare = || -> io::Result<()> {
            match std::fs::remove_dir_all(&dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => create_folder(&dir)?,
            }
            let mut copy = private_file().write(true).create_new(true).open(&database)?;
            io::copy(&mut File::open(backup)?, &mut copy)?;
            copy.sync_all()
        };
        match std::fs::metadata(backup) {
            Ok(found) if found.len() > 0 => {}
            Ok(_) => return Err(OpenError::NotABackup { path: backup.to_owned(), what: "it is empty".into() }),
            Err(error) => return Err(OpenError::NotABackup { path: backup.to_owned(), what: error.to_string() }),
        }
        prepare().map_err(OpenError::io("copy the backup to", &database))?;
        Ok(Draft { dir, database })
    }

    /// Writes the files beside the database: the old journal with the new line, and the heads.
    fn complete(
        &self,
        place: &Place,
        made: &Remade,
        store: StoreId,
        kept: &[SignedHead],
        head: SignedHead,
    ) -> io::Result<()> {
        let leftover = self.dir.join("keyward.db-wal");
        if leftover.metadata().is_ok_and(|found| found.len() > 0) {
            return Err(io::Error::other("the database was not closed cleanly; run the restore again"));
        }
        File::open(&self.database)?.sync_all()?;
        let mut journal = private_file().write(true).create_new(true).open(self.dir.join("restrictive.journal"))?;
        match File::open(place.journal()) {
            Ok(mut old) => {
                io::copy(&mut old, &mut journal)?;
                // The old one may end within a line.
                journal.write_all(b"\n")?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        journal.write_all(&made.line)?;
        journal.sync_all()?;
        debug_assert_eq!(head.head.store, store);
        let heads: Vec<SignedHead> = kept.iter().copied().chain([head]).collect();
        heads::write(&self.dir.join("heads.jsonl"), &heads)
    }
}

/// A name for the folder of the old files that is not taken.
fn name_aside(place: &Place, at: Timestamp) -> String {
    let base = format!("before-restore-{}", at.to_string().replace(':', "-"));
    let mut name = base.clone();
    let mut number = 2;
    while place.dir().join(&name).exists() {
        name = format!("{base}-{number}");
        number += 1;
    }
    name
}
