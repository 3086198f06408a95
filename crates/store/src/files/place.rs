//! The folder of a store: which files it holds, who may read them, and the lock that keeps a second process
//! out.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A folder that holds a store.
#[derive(Debug, Clone)]
pub struct Place {
    dir: PathBuf,
}

impl Place {
    /// The folder `dir`, which may not exist yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Place { dir: dir.into() }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// State and log.
    pub fn database(&self) -> PathBuf {
        self.dir.join("keyward.db")
    }

    /// A database that is being made; of no worth if that was cut off.
    pub(crate) fn new_database(&self) -> PathBuf {
        self.dir.join("keyward.db.new")
    }

    /// What SQLite has written and not yet moved into the database.
    pub fn write_ahead_log(&self) -> PathBuf {
        self.dir.join("keyward.db-wal")
    }

    /// SQLite's index of the write-ahead log; of no worth while nobody has the database open.
    pub fn shared_memory(&self) -> PathBuf {
        self.dir.join("keyward.db-shm")
    }

    /// Held while a process has the store open.
    pub fn lock(&self) -> PathBuf {
        self.dir.join("keyward.lock")
    }

    /// The restrictive changes, once more: what `restore` makes again.
    pub fn journal(&self) -> PathBuf {
        self.dir.join("restrictive.journal")
    }

    /// Signed heads of the log.
    pub fn heads(&self) -> PathBuf {
        self.dir.join("heads.jsonl")
    }

    /// Where `restore` prepares; of no worth if it was cut off.
    pub(crate) fn restore_draft(&self) -> PathBuf {
        self.dir.join("restore.draft")
    }

    /// What `restore` prepared whole, and is being put in place.
    pub(crate) fn restore_ready(&self) -> PathBuf {
        self.dir.join("restore.ready")
    }

    pub(crate) fn create(&self) -> io::Result<()> {
        create_folder(&self.dir)
    }
}

/// Creates a folder, and those above it, that only its owner may enter.
pub(crate) fn create_folder(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Options for a file that only its owner may read.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Makes names in a folder durable.
pub(crate) fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Replaces a file as a whole: after a crash it is the old one or the new one.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let mut file = private_file().write(true).create(true).truncate(true).open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Which file a path names, to notice when another takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let found = std::fs::metadata(path)?;
        Ok(FileIdentity { device: found.dev(), inode: found.ino() })
    }

    /// Whether `path` still names this file.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        FileIdentity::of(path).is_ok_and(|found| found == *self)
    }
}

/// The lock on a store's folder. Held by the process, and let go by the system when it ends in any way.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Why a folder's lock cannot be taken.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process holds it; its number, where the file tells.
    InUse { pid: Option<u32> },
    /// The system refused something.
    Io(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        LockError::Io(error)
    }
}

impl Lock {
    pub(crate) fn take(place: &Place) -> Result<Self, LockError> {
        let path = place.lock();
        let mut file = private_file().read(true).write(true).create(true).truncate(false).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(&mut file)),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Lock { _file: file })
    }
}

fn in_use(file: &mut File) -> LockError {
    let mut text = String::new();
    // The number is for people: without it the refusal stands all the same.
    let read = file.take(32).read_to_string(&mut text);
    LockError::InUse { pid: read.ok().and_then(|_| text.trim().parse().ok()) }
}
