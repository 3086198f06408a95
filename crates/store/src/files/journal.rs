//! The journal of restrictive changes beside the store: what `restore` makes again after a backup took the
//! store's place, so that what was revoked since stays revoked (trust.md L11).
//!
//! One line a transaction, durable before its COMMIT, never shortened but for a line whose COMMIT is known
//! to have failed. A crash in between leaves a line whose changes did not happen: the next start appends a
//! line without changes that begins where that one did, which makes it void. Each change carries its own links of
//! the log's chain, so a line that Keyward did not write is not believed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use keyward_core::change::{EntryBody, Revision};
use keyward_core::id::StoreId;
use keyward_core::log::{Hash, LogKeys};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::place::{FileIdentity, Place, private_file, sync_folder};
use crate::head::HeadOfLog;

/// A restrictive change as the journal keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JournalChange {
    pub(crate) revision: Revision,
    pub(crate) previous: Hash,
    pub(crate) hash: Hash,
    body: Box<RawValue>,
}

impl JournalChange {
    /// What was done, where the links are those of this log.
    pub(crate) fn body(&self, log_keys: &LogKeys) -> Option<EntryBody> {
        let text = self.body.get();
        let linked = log_keys.is_linked(&self.previous.0, self.revision, text.as_bytes(), &self.hash.0);
        linked.then(|| serde_json::from_str(text).ok()).flatten()
    }
}

/// The restrictive changes of one transaction, and where the log stood before it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JournalLine {
    #[serde(default)]
    pub(crate) store: Option<StoreId>,
    pub(crate) after: Revision,
    pub(crate) head: Hash,
    pub(crate) changes: Vec<JournalChange>,
}

impl JournalLine {
    pub(crate) fn after(head: HeadOfLog) -> Self {
        JournalLine { store: None, after: head.revision, head: Hash(head.hash), changes: Vec::new() }
    }

    /// The last entry that it holds; none where it holds none.
    pub(crate) fn end(&self) -> Option<(Revision, [u8; 32])> {
        self.changes.last().map(|change| (change.revision, change.hash.0))
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.changes.truncate(length);
    }

    pub(crate) fn push(&mut self, revision: Revision, previous: [u8; 32], hash: [u8; 32], body: &str) {
        // Written by serde_json just before, so it is JSON.
        if let Ok(body) = RawValue::from_string(body.to_owned()) {
            self.changes.push(JournalChange { revision, previous: Hash(previous), hash: Hash(hash), body });
        }
    }

    /// The line's bytes, its end included.
    pub(crate) fn to_bytes(&self, store: StoreId) -> io::Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Written<'a> {
            store: StoreId,
            after: Revision,
            head: Hash,
            changes: &'a [JournalChange],
        }
        let written = Written { store, after: self.after, head: self.head, changes: &self.changes };
        let mut bytes = serde_json::to_vec(&written)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// The journal, open for appending.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    identity: FileIdentity,
    length: u64,
    before_last: u64,
    /// Whether a line was cut off and could not be taken back: the next one starts on a line of its own.
    torn: bool,
    /// A line that must stand before the next one: it makes the last one void.
    owed: Option<JournalLine>,
}

impl Journal {
    /// Opens the journal, and makes an empty one where there is none.
    pub(crate) fn open(place: &Place) -> io::Result<Self> {
        let path = place.journal();
        let mut file = private_file().read(true).append(true).create(true).open(&path)?;
        sync_folder(place.dir())?;
        let length = file.metadata()?.len();
        let mut last = [b'\n'];
        if length > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        let identity = FileIdentity::of(&path)?;
        let torn = last != [b'\n'];
        Ok(Journal { file, path: path.clone(), identity, length, before_last: length, torn, owed: None })
    }

    /// Makes the last line, which came after `head`, void: its transaction did not happen. Where that cannot
    /// be written now it is before the next line.
    pub(crate) fn void(&mut self, head: HeadOfLog, store: StoreId) {
        self.owed = Some(JournalLine::after(head));
        if let Err(error) = self.settle(store) {
            tracing::warn!(%error, "a line of the journal whose changes did not happen is not marked yet");
        }
    }

    fn settle(&mut self, store: StoreId) -> io::Result<()> {
        let Some(owed) = self.owed.take() else { return Ok(()) };
        let written = self.write(std::slice::from_ref(&owed), store);
        if written.is_err() {
            self.owed = Some(owed);
        }
        written
    }

    /// Appends a line and makes it durable.
    ///
    /// # Errors
    /// Where it could not be written or synced, or another file took the journal's place. Nothing of the
    /// line is left then, as far as the disk lets it be taken back.
    pub(crate) fn append(&mut self, line: &JournalLine, store: StoreId) -> io::Result<()> {
        self.append_all(std::slice::from_ref(line), store)
    }

    /// As [`Journal::append`], with several lines that are made durable together.
    pub(crate) fn append_all(&mut self, lines: &[JournalLine], store: StoreId) -> io::Result<()> {
        self.settle(store)?;
        self.write(lines, store)
    }

    fn write(&mut self, lines: &[JournalLine], store: StoreId) -> io::Result<()> {
        if !self.identity.is_at(&self.path) {
            return Err(io::Error::other("it was deleted or replaced while in use"));
        }
        let mut bytes = if self.torn { vec![b'\n'] } else { Vec::new() };
        for line in lines {
            bytes.extend(line.to_bytes(store)?);
        }
        self.before_last = self.length;
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            self.torn = true;
            self.withdraw();
            return Err(error);
        }
        self.torn = false;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Takes the last line back: its transaction is known not to have happened.
    pub(crate) fn withdraw(&mut self) {
        match self.file.set_len(self.before_last) {
            Ok(()) => {
                self.length = self.before_last;
                // The line before ends where it did, but only if it ended.
                self.torn = self.torn && self.ends_torn();
            }
            Err(error) => {
                tracing::warn!(%error, "a line of the journal whose changes did not happen stays in it");
            }
        }
    }

    fn ends_torn(&mut self) -> bool {
        let mut last = [0];
        let read = self.file.seek(SeekFrom::End(-1)).and_then(|_| self.file.read_exact(&mut last));
        self.length > 0 && (read.is_err() || last != [b'\n'])
    }
}

/// Whether an error means that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The journal's lines, oldest first.
pub(crate) struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Lines { reader: BufReader::new(File::open(path)?), line: Vec::new() })
    }

    /// The next line; `Some(None)` where it cannot be read.
    pub(crate) fn next(&mut self) -> io::Result<Option<Option<JournalLine>>> {
        loop {
            self.line.clear();
            if self.reader.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some(serde_json::from_slice(&self.line).ok()));
            }
        }
    }
}

/// The last line that can be read, from the end, without reading the whole file.
pub(crate) fn last_line(path: &Path) -> io::Result<Option<JournalLine>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut window = 64 * 1024;
    loop {
        let start = length.saturating_sub(window);
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        (&file).take(length - start).read_to_end(&mut tail)?;
        let mut lines = tail.split(|byte| *byte == b'\n');
        if start > 0 {
            // What stands before the first line end in the window began outside it.
            lines.next();
        }
        let lines: Vec<&[u8]> = lines.collect();
        if let Some(line) = lines.iter().rev().find_map(|line| serde_json::from_slice(line).ok()) {
            return Ok(Some(line));
        }
        if start == 0 {
            return Ok(None);
        }
        window *= 4;
    }
}
