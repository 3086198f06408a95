//! What a node keeps of the log in its own folder: the restrictive changes, and signed heads. They outlive the database's
//! restore or failover, and show what it lost.

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keyward_core::change::{Entry, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::StoreId;
use keyward_core::log::{LogKeys, SignedHead};
use keyward_core::store::{Result, StoreError};
use tokio::time::timeout;

use super::Connection;
use super::error::read_failure;
use super::sql::batch::read_head;
use super::sql::verify::find_hash;
use crate::files::heads;
use crate::files::journal::{self, Journal, JournalLine};
use crate::files::place::Place;
use crate::head::HeadOfLog;

/// How long one step of a comparison with the database may take.
const STEP: Duration = Duration::from_secs(10);

/// The two files of a node.
pub(super) struct Witness {
    pub(super) place: Place,
    pub(super) store: StoreId,
    pub(super) log_keys: Arc<LogKeys>,
    kept: Arc<Mutex<Kept>>,
    /// The last revision whose head was signed; held while the file of heads is written.
    pub(super) signed: Arc<Mutex<Revision>>,
}

struct Kept {
    journal: Journal,
    /// Up to here it holds every restrictive change that was to be remembered.
    newest: Revision,
    /// Counts how often the log went back: what was found out before is of a past that is gone.
    past: u64,
}

/// Restrictive changes that the journal does not hold yet.
pub(super) struct Unkept {
    pub(super) wanted: Vec<Wanted>,
    /// Of which past of the log they are.
    past: u64,
}

/// A restrictive change that the journal does not hold yet.
pub(super) struct Wanted {
    revision: Revision,
    hash: [u8; 32],
    /// The hash of the entry before, where it was given too.
    previous: Option<[u8; 32]>,
    body: String,
}

impl Witness {
    pub(super) fn new(
        place: Place,
        store: StoreId,
        log_keys: Arc<LogKeys>,
        journal: Journal,
        newest: Revision,
    ) -> Self {
        let signed = Arc::new(Mutex::new(Revision(-1)));
        Witness { place, store, log_keys, kept: Arc::new(Mutex::new(Kept { journal, newest, past: 0 })), signed }
    }

    /// Which of these are restrictive and not in the journal yet.
    pub(super) fn unknown(&self, entries: &[Entry]) -> Unkept {
        let (newest, past) = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            (kept.newest, kept.past)
        };
        let mut wanted = Vec::new();
        let mut before: Option<&Entry> = None;
        for entry in entries {
            let previous =
                before.filter(|before| before.revision.next() == entry.revision).map(|before| before.hash);
            before = Some(entry);
            if entry.revision > newest && entry.body.change.is_restrictive() {
                // One that cannot be written again as it was is read from the log.
                let body = serde_json::to_string(&entry.body).unwrap_or_default();
                wanted.push(Wanted { revision: entry.revision, hash: entry.hash, previous, body });
            }
        }
        Unkept { wanted, past }
    }

    /// The journal's lines of these: each for itself, so that a restore to any entry keeps what came after it.
    pub(super) async fn lines(&self, connection: &mut Connection, unkept: &Unkept) -> Result<Vec<JournalLine>> {
        let mut lines = Vec::with_capacity(unkept.wanted.len());
        for Wanted { revision, hash, previous, body } in &unkept.wanted {
            let before = Revision(revision.0 - 1);
            let previous = match previous {
                Some(previous) => Some(*previous),
                None => find_hash(connection, before).await?,
            };
            let Some(previous) = previous else {
                return Err(StoreError::Unavailable(format!("entry {before} of the log is gone")));
            };
            let mut line = JournalLine::after(HeadOfLog { revision: before, hash: previous });
            if self.log_keys.is_linked(&previous, *revision, body.as_bytes(), hash) {
                line.push(*revision, previous, *hash, body);
            } else {
                // Another version of Keyward wrote it: its own words are what the hash covers.
                let body: Option<String> =
                    sqlx::query_scalar("SELECT body FROM log WHERE revision = $1 AND hash = $2")
                        .bind(revision.0)
                        .bind(hash.to_vec())
                        .fetch_optional(&mut *connection)
                        .await
                        .map_err(read_failure)?;
                let gone = || StoreError::Unavailable(format!("entry {revision} of the log is gone"));
                line.push(*revision, previous, *hash, &body.ok_or_else(gone)?);
            }
            lines.push(line);
        }
        Ok(lines)
    }

    /// Appends the lines of these to the journal, durably. Those that it holds by now are left out.
    ///
    /// # Errors
    /// `Full` where there is no room, `Unavailable` where it cannot be written otherwise, or where the log went back
    /// since. None of them counts as kept then: whoever asked is not to acknowledge them.
    pub(super) async fn keep(&self, unkept: &Unkept, mut lines: Vec<JournalLine>) -> Result<()> {
        let (kept, store, path) = (Arc::clone(&self.kept), self.store, self.place.journal());
        let past = unkept.past;
        let written = tokio::task::spawn_blocking(move || {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.past != past {
                return Ok(false);
            }
            lines.retain(|line| line.end().is_none_or(|(revision, _)| revision > kept.newest));
            let Some(last) = lines.last().and_then(JournalLine::end) else { return Ok(true) };
            kept.journal.append_all(&lines, store)?;
            kept.newest = last.0;
            Ok(true)
        })
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let error = match written {
            Ok(true) => return Ok(()),
            Ok(false) => return Err(StoreError::Unavailable("the log went back meanwhile".into())),
            Err(error) => error,
        };
        metrics::counter!("keyward_store_journal_failed_total").increment(1);
        tracing::error!(
            %error, path = %path.display(),
            "the journal of restrictive changes could not be written: this node does not acknowledge them, and others \
             wait for its lease; look at its disk"
        );
        let what = format!("the journal {} could not be written: {error}", path.display());
        Err(if journal::is_full(&error) { StoreError::Full(what) } else { StoreError::Unavailable(what) })
    }

    /// The log went back: what is remembered from here on is what follows this entry.
    pub(super) fn go_back(&self, to: Revision) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.newest = to;
        kept.past += 1;
    }

    /// The signed heads that this node keeps and that are its store's.
    pub(super) fn heads(&self) -> std::io::Result<Vec<SignedHead>> {
        let mut heads = heads::read(&self.place.heads())?;
        heads.retain(|signed| signed.head.store == self.store && self.log_keys.has_signed(signed));
        Ok(heads)
    }

    /// Keeps only those heads that the log holds, and signs where it stands now. Others that wait to be signed may be of
    /// the past that is gone: nothing up to `seen` is signed any more.
    pub(super) async fn drop_untrue_heads(
        &self,
        connection: &mut Connection,
        (seen, at): (Revision, Timestamp),
    ) -> Result<()> {
        let path = self.place.heads();
        let failed = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
        let head = in_time(async { read_head(connection).await.map_err(read_failure) }).await?;
        let mut kept = Vec::new();
        for signed in self.heads().map_err(failed)? {
            if in_time(find_hash(connection, signed.head.revision)).await? == Some(signed.head.hash.0) {
                kept.push(signed);
            }
        }
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(self.log_keys.sign(self.store, head.revision, head.hash, at));
        heads::write(&path, &kept).map_err(failed)?;
        *signed = seen.max(head.revision).max(*signed);
        Ok(())
    }
}

/// Waits for one step, but not for ever: the database's host may be gone.
pub(super) async fn in_time<T>(step: impl Future<Output = Result<T>>) -> Result<T> {
    let slow = || Err(StoreError::Unavailable("the database did not answer in time".into()));
    timeout(STEP, step).await.unwrap_or_else(|_| slow())
}

/// Whether a file is there.
pub(super) fn is_there(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.len() > 0)
}

#[cfg(test)]
mod tests {
    use keyward_core::clock::SystemEntropy;
    use keyward_core::log::GENESIS;

    use super::*;

    fn line(revision: i64) -> Vec<JournalLine> {
        let mut line = JournalLine::after(HeadOfLog { revision: Revision(revision - 1), hash: GENESIS });
        line.push(Revision(revision), GENESIS, GENESIS, "{}");
        vec![line]
    }

    #[tokio::test]
    async fn what_was_found_out_before_the_log_went_back_is_not_kept_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path());
        let journal = Journal::open(&place).unwrap();
        let keys = LogKeys::new(&[1; 32], &[2; 32]);
        let witness =
            Witness::new(place.clone(), StoreId::random(&SystemEntropy), Arc::new(keys), journal, Revision(3));
        let of_before = witness.unknown(&[]);
        witness.keep(&of_before, line(5)).await.unwrap();
        witness.go_back(Revision(2));
        assert!(witness.keep(&of_before, line(9)).await.is_err());
        let of_now = witness.unknown(&[]);
        witness.keep(&of_now, line(4)).await.unwrap();
        let kept = std::fs::read_to_string(place.journal()).unwrap();
        assert_eq!(kept.lines().count(), 2, "{kept}");
        // What cannot be written counts as not kept: it is written once it can be.
        let away = folder.path().join("away");
        std::fs::rename(place.journal(), &away).unwrap();
        assert!(matches!(witness.keep(&of_now, line(6)).await, Err(StoreError::Unavailable(_))));
        std::fs::rename(&away, place.journal()).unwrap();
        witness.keep(&of_now, line(6)).await.unwrap();
        let kept = std::fs::read_to_string(place.journal()).unwrap();
        assert_eq!(kept.lines().count(), 3, "{kept}");
    }
}
