//! Signed heads of the log, kept outside the database: they show that the log's tail was cut, that an old
//! copy was put in the store's place, or that the chain was written anew (trust.md S17, L11).

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use keyward_core::change::Revision;
use keyward_core::clock::Clock;
use keyward_core::id::StoreId;
use keyward_core::log::{LogKeys, SignedHead};

use super::place::{private_file, replace_file, sync_folder};
use crate::head::HeadOfLog;

/// Heads are signed at most this often: what the log may lose unnoticed at its end.
const EVERY: Duration = Duration::from_secs(1);
/// Heads that a compaction keeps.
const KEPT: usize = 1_000;

/// Reads the heads in a file, oldest first, signed by whomever; lines that are none are passed over.
pub(crate) fn read(path: &Path) -> io::Result<Vec<SignedHead>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

/// Writes heads as a whole file.
pub(crate) fn write(path: &Path, heads: &[SignedHead]) -> io::Result<()> {
    let mut text = Vec::new();
    for head in heads {
        serde_json::to_writer(&mut text, head)?;
        text.push(b'\n');
    }
    replace_file(path, &text)
}

/// Signs heads as the log moves, and keeps the file short.
pub(crate) struct Signer {
    pub(crate) path: PathBuf,
    pub(crate) store: StoreId,
    pub(crate) log_keys: Arc<LogKeys>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How many heads the file has.
    pub(crate) lines: usize,
    /// The last revision that was signed. Held while the file is written: whoever writes it anew holds it too.
    pub(crate) signed: Arc<Mutex<Revision>>,
}

impl Signer {
    /// Signs until the writer ends, and then once more.
    pub(crate) fn run(mut self, moved: &Receiver<HeadOfLog>) {
        let mut waiting = moved.recv().ok();
        while let Some(mut head) = waiting {
            while let Ok(newer) = moved.try_recv() {
                head = newer;
            }
            let failed = !self.keep(head);
            waiting = match next(moved, failed.then_some(head)) {
                Next::Head(head) => Some(head),
                Next::Nothing => moved.recv().ok(),
                Next::Last(last) => {
                    if let Some(head) = last {
                        self.keep(head);
                    }
                    None
                }
            };
        }
    }

    /// Signs one head, unless one as new was; false where it could not be kept.
    fn keep(&mut self, head: HeadOfLog) -> bool {
        let shared = Arc::clone(&self.signed);
        let mut last = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if head.revision <= *last {
            return true;
        }
        let signed = self.log_keys.sign(self.store, head.revision, head.hash, self.clock.now());
        match self.append(&signed) {
            Ok(()) => {
                *last = head.revision;
                true
            }
            Err(error) => {
                metrics::counter!("keyward_store_heads_failed_total").increment(1);
                tracing::error!(%error, path = %self.path.display(), "the log's head could not be kept");
                false
            }
        }
    }

    fn append(&mut self, head: &SignedHead) -> io::Result<()> {
        if self.lines >= 2 * KEPT {
            let mut heads = read(&self.path)?;
            heads.drain(..heads.len().saturating_sub(KEPT - 1));
            heads.push(*head);
            write(&self.path, &heads)?;
            self.lines = heads.len();
            return Ok(());
        }
        // The line end goes first: a line that was cut off by a crash stays on its own.
        let mut line = vec![b'\n'];
        serde_json::to_writer(&mut line, head)?;
        line.push(b'\n');
        let is_new = !self.path.exists();
        let mut file = private_file().append(true).create(true).open(&self.path)?;
        file.write_all(&line)?;
        file.sync_data()?;
        if is_new {
            self.path.parent().map_or(Ok(()), sync_folder)?;
        }
        self.lines += 1;
        Ok(())
    }
}

enum Next {
    /// The time is over and the log has moved.
    Head(HeadOfLog),
    /// The time is over and it has not.
    Nothing,
    /// The writer has ended; this is the last head that it told.
    Last(Option<HeadOfLog>),
}

/// Waits until heads may be signed again.
fn next(moved: &Receiver<HeadOfLog>, mut latest: Option<HeadOfLog>) -> Next {
    let until = Instant::now() + EVERY;
    loop {
        match moved.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(head) => latest = Some(head),
            Err(RecvTimeoutError::Timeout) => return latest.map_or(Next::Nothing, Next::Head),
            Err(RecvTimeoutError::Disconnected) => return Next::Last(latest),
        }
    }
}
