//! What can go wrong with a SQLite store, in words that say what, where and what to do; and what SQLite's
//! result codes mean for a caller.

use std::io;
use std::path::{Path, PathBuf};

use keyward_core::change::Revision;
use keyward_core::id::StoreId;
use keyward_core::store::StoreError;
use sqlx::error::ErrorKind;

/// Why a store cannot be opened, made or restored. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "the store in {} is in use by another process{}: stop that one, or do this through it over HTTP",
        dir.display(), pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The store's folder.
        dir: PathBuf,
        /// The other process, where its lock tells.
        pid: Option<u32>,
    },
    /// The operating system refused something.
    #[error("cannot {doing} {}: {error}. Check that it is there, that this user owns it and that the disk \
             works and has room", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// SQLite refused something.
    #[error("cannot {doing} {}: {error}. Check the disk; if the file is damaged, `keyward restore` puts a \
             backup in its place", path.display())]
    Database {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What SQLite said.
        error: sqlx::Error,
    },
    /// There is no store.
    #[error("there is no store at {}: `keyward init` makes one", path.display())]
    NotFound {
        /// Where one was looked for.
        path: PathBuf,
    },
    /// There was a store, and its database is gone or empty.
    #[error(
        "{} is missing or empty, but {} beside it shows that there was a store here: put the file back, or \
         run `keyward restore` with a backup. A new, empty store is not made in its place", path.display(),
        witness.display()
    )]
    Lost {
        /// Where the database should be.
        path: PathBuf,
        /// The file that shows that there was one.
        witness: PathBuf,
    },
    /// A newer Keyward has moved the store on.
    #[error(
        "{} has schema version {found}, and this Keyward knows versions up to {known}: run the newer Keyward \
         that wrote it, or restore a backup from before. Nothing was changed", path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema's version.
        found: i64,
        /// The last version known here.
        known: i64,
    },
    /// An older Keyward wrote the store, and it is opened for reading only.
    #[error(
        "{} has schema version {found}, and this Keyward reads version {known}: start this Keyward on it once, \
         or read it with the Keyward that wrote it", path.display()
    )]
    Older {
        /// The database.
        path: PathBuf,
        /// Its schema's version.
        found: i64,
        /// The version that is read here.
        known: i64,
    },
    /// What the file holds cannot be what Keyward wrote.
    #[error(
        "{} is damaged: {what}. Keep a copy of it, check the disk, and run `keyward restore` with a backup: \
         revocations since the backup are made again from the journal", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The keys of the log are not those that the store was made with.
    #[error(
        "the log's keys are not those that {} was made with: give the keys that `keyward init` made \
         beside this store", path.display()
    )]
    WrongLogKeys {
        /// The database.
        path: PathBuf,
    },
    /// The log is shorter than it was, or another than it was.
    #[error(
        "the log in {} {what}, but {} shows that it stood at revision {known}: its tail was cut, or an old copy \
         was put in its place. Keys revoked since would work again, so it is not opened. Put the right file \
         back, or run `keyward restore` with this one as the backup, which makes later revocations again",
        path.display(), witness.display()
    )]
    Regressed {
        /// The database.
        path: PathBuf,
        /// Where its log ends, or what disagrees.
        what: String,
        /// The file that knows better.
        witness: PathBuf,
        /// The revision that the log once had.
        known: Revision,
    },
    /// A file of one store lies beside another store.
    #[error("{} belongs to {found}, not to {expected}: give the files of one store, or an empty folder", path.display())]
    OtherStore {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: StoreId,
        /// Whose it should be.
        expected: StoreId,
    },
    /// A file given as a backup is none.
    #[error("{} cannot be restored: {what}. Give a file that `keyward backup` wrote; nothing was changed", path.display())]
    NotABackup {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl OpenError {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
        let path = path.to_owned();
        move |error| OpenError::Io { doing, path, error }
    }

    pub(super) fn database(doing: &'static str, path: &Path) -> impl FnOnce(sqlx::Error) -> OpenError {
        let path = path.to_owned();
        move |error| match Cause::of(&error) {
            Cause::Damage => OpenError::Damaged { path, what: error.to_string() },
            _ => OpenError::Database { doing, path, error },
        }
    }

    pub(super) fn damaged(path: &Path, what: impl Into<String>) -> OpenError {
        OpenError::Damaged { path: path.to_owned(), what: what.into() }
    }
}

/// What lies behind an error of SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// No room.
    Full,
    /// Another connection holds the lock.
    Busy,
    /// The file cannot be what SQLite or Keyward wrote.
    Damage,
    /// A row may not be written, by its table's rules.
    Rule,
    /// A row names another that is not there.
    MissingReference,
    /// The disk, the system or the driver.
    Other,
}

impl Cause {
    pub(super) fn of(error: &sqlx::Error) -> Self {
        let database = match error {
            sqlx::Error::Database(database) => database,
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => return Cause::Damage,
            _ => return Cause::Other,
        };
        match database.kind() {
            ErrorKind::ForeignKeyViolation => return Cause::MissingReference,
            ErrorKind::UniqueViolation | ErrorKind::NotNullViolation | ErrorKind::CheckViolation => {
                return Cause::Rule;
            }
            _ => {}
        }
        let code = database.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0);
        // The low byte is the primary code: https://www.sqlite.org/rescode.html
        match code & 0xff {
            5 | 6 => Cause::Busy,
            11 | 26 => Cause::Damage,
            13 => Cause::Full,
            _ => Cause::Other,
        }
    }
}

/// Whether a row was refused because it names another that is not there.
pub(crate) fn is_missing_reference(error: &sqlx::Error) -> bool {
    Cause::of(error) == Cause::MissingReference
}

/// What a reader is told when SQLite fails it.
pub(crate) fn read_failure(error: sqlx::Error) -> StoreError {
    match Cause::of(&error) {
        Cause::Damage => StoreError::Damaged(format!("{error}; stop Keyward and run `keyward doctor`")),
        _ => StoreError::Unavailable(format!("reading failed: {error}")),
    }
}
