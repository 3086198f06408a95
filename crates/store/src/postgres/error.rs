//! What can go wrong with a PostgreSQL store, in words that say what and what to do; and what the database's codes mean
//! for a caller. No text shows the password.

use std::io;
use std::path::{Path, PathBuf};

use keyward_core::id::StoreId;
use keyward_core::store::StoreError;

/// Why a store in PostgreSQL cannot be opened, read or made. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The address cannot be read.
    #[error(
        "the database's URL cannot be read ({what}): give one such as \
         postgres://user@host:5432/database?sslmode=verify-full"
    )]
    Url {
        /// What is wrong with it; never the URL itself, which may hold the password.
        what: String,
    },
    /// Nobody answers, or nobody lets us in.
    #[error(
        "the database {at} cannot be reached: {what}. Check that it runs, that its address, user and password are \
         right, and that the network lets this machine through"
    )]
    Unreachable {
        /// Host, port and database.
        at: String,
        /// What the driver said.
        what: String,
    },
    /// It is a replica.
    #[error(
        "the database {at} is a standby that only reads: give the address of the primary, or of what always leads to it"
    )]
    Standby {
        /// Host, port and database.
        at: String,
    },
    /// It keeps texts otherwise.
    #[error(
        "the database {at} has the encoding {found}: make one with `CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'`"
    )]
    Encoding {
        /// Host, port and database.
        at: String,
        /// Its encoding.
        found: String,
    },
    /// There is no store in it.
    #[error("there is no store in the database {at}: `keyward init` makes one")]
    NotFound {
        /// Host, port and database.
        at: String,
    },
    /// There was a store, and the database is empty.
    #[error(
        "the database {at} holds no store, but {} shows that there was one: give the database that held it, or restore \
         a backup of it. A new, empty store is not made in its place", witness.display()
    )]
    Lost {
        /// Host, port and database.
        at: String,
        /// The file that shows that there was one.
        witness: PathBuf,
    },
    /// There is a store in it already.
    #[error("the database {at} already holds a store: give an empty one. Nothing was changed")]
    NotEmpty {
        /// Host, port and database.
        at: String,
    },
    /// A newer Keyward has moved the store on.
    #[error(
        "the database {at} has schema version {found}, and this Keyward knows versions up to {known}: run the newer \
         Keyward that wrote it, or restore a backup from before. Nothing was changed"
    )]
    Newer {
        /// Host, port and database.
        at: String,
        /// Its schema's version.
        found: i64,
        /// The last version known here.
        known: i64,
    },
    /// An older Keyward wrote the store, and it is opened for reading only.
    #[error(
        "the database {at} has schema version {found}, and this Keyward reads version {known}: start this Keyward on \
         it once, or read it with the Keyward that wrote it"
    )]
    Older {
        /// Host, port and database.
        at: String,
        /// Its schema's version.
        found: i64,
        /// The version that is read here.
        known: i64,
    },
    /// The keys of the log are not those that the store was made with.
    #[error(
        "the log's keys are not those that the store in {at} was made with: give every node the keys that \
         `keyward init` made with this store"
    )]
    WrongLogKeys {
        /// Host, port and database.
        at: String,
    },
    /// What it holds cannot be what Keyward wrote.
    #[error(
        "the store in {at} is damaged: {what}. Restore the database from a backup; revocations since are made \
             again from this node's journal"
    )]
    Damaged {
        /// Host, port and database.
        at: String,
        /// What is wrong.
        what: String,
    },
    /// The database refused or failed something.
    #[error("cannot {doing} in the database {at}: {what}. Look at the database's own log")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// Host, port and database.
        at: String,
        /// What it said.
        what: String,
    },
    /// The node's folder is in use.
    #[error("the folder {} is in use by another process{}: stop that one, or give this node a folder of its own",
        dir.display(), pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    InUse {
        /// The folder.
        dir: PathBuf,
        /// The other process, where its lock tells.
        pid: Option<u32>,
    },
    /// The operating system refused something.
    #[error("cannot {doing} {}: {error}. Check that it is there, that this user owns it and that the disk works and \
             has room", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file of one store lies in the folder of a node of another.
    #[error("{} belongs to {found}, not to {expected}: give this node an empty folder, or the database of that store",
        path.display())]
    OtherStore {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: StoreId,
        /// Whose it should be.
        expected: StoreId,
    },
    /// A file to be read is not what it should be.
    #[error("{} cannot be imported: {what}. Give a file that `keyward export` or `keyward backup` wrote; nothing was \
             changed", path.display())]
    NotAnExport {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl PostgresError {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PostgresError {
        let path = path.to_owned();
        move |error| PostgresError::Io { doing, path, error }
    }

    pub(crate) fn database(doing: &'static str, at: &str) -> impl FnOnce(sqlx::Error) -> PostgresError {
        let at = at.to_owned();
        move |error| match Cause::of(&error) {
            Cause::Damage => PostgresError::Damaged { at, what: error.to_string() },
            Cause::Gone => PostgresError::Unreachable { at, what: error.to_string() },
            _ => PostgresError::Database { doing, at, what: error.to_string() },
        }
    }

    pub(crate) fn store(doing: &'static str, at: &str) -> impl FnOnce(StoreError) -> PostgresError {
        let at = at.to_owned();
        move |error| match error {
            StoreError::Damaged(what) => PostgresError::Damaged { at, what },
            error => PostgresError::Database { doing, at, what: error.to_string() },
        }
    }
}

/// What lies behind an error of the driver or the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The transaction met another and was undone: once more.
    Again,
    /// No room.
    Full,
    /// The connection is of no use any more.
    Gone,
    /// It took too long, or waited too long for a lock.
    Slow,
    /// What was read cannot be what was written.
    Damage,
    /// A row names another that is not there.
    MissingReference,
    /// There is no such table, column or function.
    NoSuchThing,
    /// Something else.
    Other,
}

impl Cause {
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        let database = match error {
            sqlx::Error::Database(database) => database,
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => return Cause::Damage,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => return Cause::Gone,
            _ => return Cause::Other,
        };
        // https://www.postgresql.org/docs/current/errcodes-appendix.html
        match database.code().as_deref().unwrap_or_default() {
            "40001" | "40P01" => Cause::Again,
            "53100" => Cause::Full,
            "57014" | "55P03" => Cause::Slow,
            "XX001" | "XX002" => Cause::Damage,
            "23503" => Cause::MissingReference,
            "42P01" | "42703" | "42883" | "0A000" | "42704" => Cause::NoSuchThing,
            // Shut down, starting, ended for idling, or a standby by now.
            "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25006" => Cause::Gone,
            code if code.starts_with("08") || code.starts_with("53") => Cause::Gone,
            _ => Cause::Other,
        }
    }
}

/// Whether a row was refused because it names another that is not there.
pub(crate) fn is_missing_reference(error: &sqlx::Error) -> bool {
    Cause::of(error) == Cause::MissingReference
}

/// How a reader's failure begins whose connection was of no use.
pub(crate) const LOST: &str = "the connection to the database was lost";

/// What a reader is told when the database fails it.
pub(crate) fn read_failure(error: sqlx::Error) -> StoreError {
    match Cause::of(&error) {
        Cause::Damage => StoreError::Damaged(format!("{error}; run `keyward doctor`")),
        Cause::Gone => StoreError::Unavailable(format!("{LOST}: {error}")),
        _ => StoreError::Unavailable(format!("reading failed: {error}")),
    }
}

/// What somebody is told whose write the database refused before it was committed.
pub(crate) fn write_failure(error: &sqlx::Error) -> StoreError {
    match Cause::of(error) {
        Cause::Full => StoreError::Full(format!("{error}; make room on the database's disk")),
        Cause::Damage => StoreError::Damaged(format!("{error}; run `keyward doctor`")),
        Cause::Slow => {
            StoreError::Unavailable(format!("the database took too long ({error}): nothing was written"))
        }
        _ => StoreError::Unavailable(format!("{error}: nothing was written")),
    }
}
