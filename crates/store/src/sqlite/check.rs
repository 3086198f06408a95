//! What is looked at before a store is opened: whether there is one, whether the file is whole and of a
//! known schema, and whether its log is the one that the files beside it remember. Nothing here writes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use keyward_core::change::Revision;
use keyward_core::id::StoreId;
use keyward_core::log::LogKeys;
use keyward_core::store::StoreError;
use sqlx::Connection as _;

use super::error::OpenError;
use super::open::known_schema;
use super::sql::verify;
use super::{Connection, connect};
use crate::files::place::Place;
use crate::files::{heads, journal};
use crate::head::HeadOfLog;

/// "KYWD", as the first migration sets it.
const APPLICATION: i64 = 0x4b59_5744;
/// What every SQLite file begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Links of the log's chain that are checked at every start.
const LINKS_AT_START: i64 = 256;

/// Whether there is a database; an error where there was one. A new one gets its name only once it is whole,
/// so one that is empty was emptied.
pub(super) fn is_there(place: &Place) -> Result<bool, OpenError> {
    let database = place.database();
    match std::fs::metadata(&database) {
        Ok(found) if found.len() > 0 => return Ok(true),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(OpenError::io("look at", &database)(error)),
    }
    let witnesses = [place.journal(), place.heads(), place.write_ahead_log(), database.clone()];
    match witnesses.into_iter().find(|witness| witness.exists()) {
        Some(witness) => Err(OpenError::Lost { path: database, witness }),
        None => Ok(false),
    }
}

/// Checks a database file without writing to it.
pub(super) async fn file(database: &Path) -> Result<(), OpenError> {
    header(database)?;
    let failed = |error| OpenError::database("read", database)(error);
    let mut connection = connect::reader(database).await.map_err(failed)?;
    schema(&mut connection, database).await?;
    let complaints = quick_check(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    match complaints.is_empty() {
        true => Ok(()),
        false => Err(OpenError::damaged(database, complaints.join("; "))),
    }
}

/// What SQLite has to say against the file; nothing where it is whole.
pub(super) async fn quick_check(connection: &mut Connection) -> sqlx::Result<Vec<String>> {
    let mut lines: Vec<String> = sqlx::query_scalar("PRAGMA quick_check(5)").fetch_all(connection).await?;
    lines.retain(|line| line != "ok");
    Ok(lines)
}

pub(super) fn header(database: &Path) -> Result<(), OpenError> {
    let mut header = [0; 100];
    let read = File::open(database).and_then(|mut file| file.read_exact(&mut header));
    match read {
        Ok(()) if header.starts_with(MAGIC) => Ok(()),
        Ok(()) => Err(OpenError::damaged(database, "it does not begin like a SQLite file")),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(OpenError::damaged(database, "it is too short for a SQLite file"))
        }
        Err(error) => Err(OpenError::io("read", database)(error)),
    }
}

/// The version of the schema.
pub(super) async fn schema(connection: &mut Connection, database: &Path) -> Result<i64, OpenError> {
    let failed = |error| OpenError::database("read", database)(error);
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    if !tables.iter().any(|name| name == "_sqlx_migrations") {
        return Err(OpenError::damaged(database, "it is a SQLite file, but not one of Keyward's"));
    }
    let found: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    let (found, known) = (found.unwrap_or(0), known_schema());
    if found > known {
        return Err(OpenError::Newer { path: database.to_owned(), found, known });
    }
    let application: i64 =
        sqlx::query_scalar("PRAGMA application_id").fetch_one(connection).await.map_err(failed)?;
    if application != APPLICATION {
        return Err(OpenError::damaged(database, "it is a SQLite file, but not one of Keyward's"));
    }
    Ok(found)
}

/// Checks the end of the log.
pub(super) async fn log(
    connection: &mut Connection,
    log_keys: &LogKeys,
    database: &Path,
) -> Result<HeadOfLog, OpenError> {
    verify::verify_end(connection, log_keys, LINKS_AT_START).await.map_err(store_error(database))
}

/// An error of reading as one of opening.
pub(super) fn store_error(database: &Path) -> impl FnOnce(StoreError) -> OpenError {
    let path = database.to_owned();
    move |error| match error {
        StoreError::Damaged(what) => OpenError::Damaged { path, what },
        error => OpenError::Io { doing: "read", path, error: io::Error::other(error) },
    }
}

/// Compares the log with the newest head that was signed; returns how many heads the file has.
pub(super) async fn heads(
    connection: &mut Connection,
    log_keys: &LogKeys,
    place: &Place,
    id: StoreId,
    head: HeadOfLog,
) -> Result<usize, OpenError> {
    let witness = place.heads();
    let all = heads::read(&witness).map_err(OpenError::io("read", &witness))?;
    if all.is_empty() && head.revision > Revision::ZERO {
        tracing::warn!(
            path = %witness.display(),
            "there are no signed heads beside the store: whether its log was cut cannot be told"
        );
    }
    let Some(newest) = all.iter().rev().find(|signed| log_keys.has_signed(signed)) else {
        return match all.is_empty() {
            true => Ok(0),
            false => Err(OpenError::damaged(&witness, "none of its heads was signed with this store's key")),
        };
    };
    let newest = newest.head;
    if newest.store != id {
        return Err(OpenError::OtherStore { path: witness, found: newest.store, expected: id });
    }
    let database = place.database();
    let regressed = |what: String| OpenError::Regressed {
        path: database.clone(),
        what,
        witness: witness.clone(),
        known: newest.revision,
    };
    if newest.revision > head.revision {
        return Err(regressed(format!("ends at revision {}", head.revision)));
    }
    let found = verify::find_hash(connection, newest.revision).await.map_err(store_error(&database))?;
    match found == Some(newest.hash.0) {
        true => Ok(all.len()),
        false => Err(regressed(format!("has another entry at revision {}", newest.revision))),
    }
}

/// Compares the log with the last line of the journal: the transaction before it was durable. Where the log
/// stood before that line is the answer where its own transaction did not happen.
pub(super) async fn journal(
    connection: &mut Connection,
    log_keys: &LogKeys,
    place: &Place,
    id: StoreId,
    head: HeadOfLog,
) -> Result<Option<HeadOfLog>, OpenError> {
    let witness = place.journal();
    let line = match journal::last_line(&witness) {
        Ok(line) => line,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if head.revision > Revision::ZERO {
                tracing::warn!(
                    path = %witness.display(),
                    "there is no journal beside the store: a new one begins, and a restore knows only of what follows"
                );
            }
            return Ok(None);
        }
        Err(error) => return Err(OpenError::io("read", &witness)(error)),
    };
    let Some(line) = line.filter(|line| line.changes.iter().all(|change| change.body(log_keys).is_some())) else {
        return Ok(None);
    };
    if let Some(found) = line.store.filter(|found| *found != id) {
        return Err(OpenError::OtherStore { path: witness, found, expected: id });
    }
    let database = place.database();
    let found = verify::find_hash(connection, line.after).await.map_err(store_error(&database))?;
    if found != Some(line.head.0) {
        return Err(OpenError::Regressed {
            path: database,
            what: format!("ends at revision {}", head.revision),
            witness,
            known: line.after,
        });
    }
    let Some((revision, hash)) = line.end() else { return Ok(None) };
    let found = verify::find_hash(connection, revision).await.map_err(store_error(&database))?;
    Ok((found != Some(hash)).then_some(HeadOfLog { revision: line.after, hash: line.head.0 }))
}
