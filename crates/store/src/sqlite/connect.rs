//! Connections to the database file, and what each kind may do.

use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use super::Connection;
use crate::files::place::FileIdentity;

/// Another program that holds the file (a copy tool, a shell) is waited for so long.
const BUSY: Duration = Duration::from_secs(5);

fn options(database: &Path) -> SqliteConnectOptions {
    // Absolute, because SQLite takes a relative path that begins with `file:` for a URI.
    let database = std::path::absolute(database).unwrap_or_else(|_| database.to_owned());
    SqliteConnectOptions::new()
        .filename(database)
        .busy_timeout(BUSY)
        .foreign_keys(true)
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        // What is deleted is overwritten where it stood: a shredded data key is not left behind on a free page.
        .pragma("secure_delete", "ON")
        // Statements are not logged: their time is in the metrics, and their values are nobody's business.
        .disable_statement_logging()
}

fn reading(database: &Path) -> SqliteConnectOptions {
    options(database).read_only(true).pragma("cache_size", "-8192")
}

/// The one connection that writes. Every COMMIT is synced, and no checkpoint happens by itself: the writer
/// makes them, and sees when they fail.
pub(super) async fn writer(database: &Path) -> sqlx::Result<Connection> {
    options(database)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "0")
        .pragma("journal_size_limit", "67108864")
        .pragma("cache_size", "-65536")
        .statement_cache_capacity(256)
        .connect()
        .await
}

/// A connection to a file that is being made: of no worth until it is whole, so nothing of it is kept on the way.
pub(crate) async fn maker(database: &Path) -> sqlx::Result<Connection> {
    options(database).journal_mode(SqliteJournalMode::Off).synchronous(SqliteSynchronous::Off).connect().await
}

/// A connection that only reads.
pub(super) async fn reader(database: &Path) -> sqlx::Result<Connection> {
    reading(database).connect().await
}

/// A few connections that only read, all opened now. One that has to be opened anew later is refused if the
/// file at this path is another by then: an old copy must not answer for the store.
pub(super) async fn readers(database: &Path, count: u32) -> sqlx::Result<SqlitePool> {
    let (path, identity) = (database.to_owned(), FileIdentity::of(database)?);
    SqlitePoolOptions::new()
        .max_connections(count)
        .min_connections(count)
        .acquire_timeout(BUSY)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_connect(move |_, _| {
            let same = identity.is_at(&path);
            Box::pin(async move {
                let replaced = || sqlx::Error::Configuration("the database was deleted or replaced".into());
                if same { Ok(()) } else { Err(replaced()) }
            })
        })
        .connect_with(reading(database))
        .await
}
