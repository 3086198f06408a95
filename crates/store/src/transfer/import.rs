//! From a file into an empty database, or an empty folder: every row, checked when all are there, or nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyward_core::change::Revision;
use keyward_core::id::StoreId;
use keyward_core::log::LogKeys;
use keyward_core::store::LogVerdict;
use sqlx::Executor;
use tokio::sync::mpsc;

use super::{Progress, TABLES, Table};
use crate::files::place::{Place, private_file, sync_folder};
use crate::postgres::sql::{copy as to, quotas, seals as to_seals, verify as to_verify};
use crate::postgres::{PostgresError, PostgresOptions, first_connection, schema};
use crate::sqlite::sql::{copy as from, seals, verify};
use crate::sqlite::{self, OpenError};

/// Parts of tables that wait to be written, at most.
const WAITING: usize = 4;

/// What was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// Which store it is.
    pub store: StoreId,
    /// The last revision in it.
    pub revision: Revision,
}

fn refused(file: &Path) -> impl Fn(String) -> PostgresError {
    let path = file.to_owned();
    move |what| PostgresError::NotAnExport { path: path.clone(), what }
}

/// Reads an export or a backup into an empty PostgreSQL database, in one transaction. The log's chain and every seal are
/// checked before it is committed. Units of quotas that nodes held when the file was made count as spent.
///
/// # Errors
/// Where the file is no whole export of a store of these keys, or the database is not empty or fails. The database is
/// as it was then.
pub async fn import(
    file: &Path,
    options: &PostgresOptions,
    progress: &dyn Progress,
) -> Result<Imported, PostgresError> {
    let not_an_export = refused(file);
    let text = |error: OpenError| not_an_export(error.to_string());
    let (mut source, id) = sqlite::open_file(file, &options.log_keys).await.map_err(text)?;
    let target = options.target()?;
    let failed = |error| PostgresError::database("import", &target.at)(error);
    let mut connection = first_connection(&target).await?;
    if schema::version(&mut connection).await.map_err(failed)?.is_some() {
        return Err(PostgresError::NotEmpty { at: target.at.clone() });
    }
    connection.execute("SET idle_in_transaction_session_timeout = 60000").await.map_err(failed)?;
    if schema::begin(&mut connection).await.map_err(failed)? != 0 {
        return Err(PostgresError::NotEmpty { at: target.at.clone() });
    }
    schema::run(&mut connection, 0).await.map_err(failed)?;

    let mut totals = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        let count = from::count(&mut source, table).await.map_err(|error| not_an_export(error.to_string()))?;
        totals.push((table.name, count));
    }
    let (parts, mut arriving) = mpsc::channel::<(&'static Table, from::Rows)>(WAITING);
    let reading = async {
        for table in TABLES {
            from::read(&mut source, table, &parts).await.map_err(|error| not_an_export(error.to_string()))?;
        }
        drop(parts);
        Ok::<_, PostgresError>(())
    };
    let writing = async {
        let mut done = 0;
        let mut current = "";
        while let Some((table, rows)) = arriving.recv().await {
            if table.name != current {
                (current, done) = (table.name, 0);
            }
            to::write(&mut connection, table, &rows).await.map_err(failed)?;
            done += rows.len() as u64;
            let total = totals.iter().find(|(name, _)| *name == table.name).map_or(done, |(_, total)| *total);
            progress(table.name, done, total);
        }
        drop(arriving);
        Ok::<_, PostgresError>(())
    };
    let (read, written) = tokio::join!(reading, writing);
    read.and(written)?;

    let new = options.new_store();
    let epoch = sqlx::query("UPDATE store SET epoch = $1").bind(&new.epoch).execute(&mut connection);
    epoch.await.map_err(failed)?;
    quotas::settle(&mut connection).await.map_err(failed)?;
    let checked = to_verify::verify(&mut connection, &options.log_keys, id, &[], |_, _| {}).await;
    let revision = match checked.map_err(PostgresError::store("check", &target.at))? {
        LogVerdict::Intact { revision, .. } => revision,
        LogVerdict::Broken { revision, reason } => {
            return Err(not_an_export(format!("entry {revision} of its log {reason}")));
        }
    };
    let seals = to_seals::check(&mut connection, &options.log_keys).await;
    seals.map_err(|error| not_an_export(error.to_string()))?;
    connection.execute("COMMIT").await.map_err(failed)?;
    Ok(Imported { store: id, revision })
}

/// Reads an export or a backup into an empty folder, for the embedded store. The log's chain and every seal are checked
/// first.
///
/// # Errors
/// Where the file is no whole export of a store of these keys, or there is a store in the folder already. The folder
/// is as it was then.
pub async fn import_into_folder(file: &Path, dir: &Path, log_keys: &Arc<LogKeys>) -> Result<Imported, OpenError> {
    let place = Place::new(dir);
    let not_an_export = |what: String| OpenError::NotABackup { path: file.to_owned(), what };
    let (mut source, store) =
        sqlite::open_file(file, log_keys).await.map_err(|error| not_an_export(error.to_string()))?;
    let verdict = verify::verify(&mut source, log_keys, store, &[], |_, _| {}).await;
    let revision = match verdict.map_err(|error| not_an_export(error.to_string()))? {
        LogVerdict::Intact { revision, .. } => revision,
        LogVerdict::Broken { revision, reason } => {
            return Err(not_an_export(format!("entry {revision} of its log {reason}")));
        }
    };
    seals::check(&mut source, log_keys).await.map_err(|error| not_an_export(error.to_string()))?;
    let _lock = sqlite::take_place(&place)?;
    let there = [place.database(), place.journal(), place.heads(), place.write_ahead_log()];
    if let Some(found) = there.into_iter().find(|path| path.exists()) {
        return Err(not_an_export(format!("{} is there already: give an empty folder", found.display())));
    }
    let draft = place.new_database();
    put(file, &draft, &place.database()).map_err(OpenError::io("write", &draft))?;
    sync_folder(place.dir()).map_err(OpenError::io("write", place.dir()))?;
    Ok(Imported { store, revision })
}

fn put(file: &Path, draft: &PathBuf, to: &Path) -> std::io::Result<()> {
    let mut copy = private_file().write(true).create(true).truncate(true).open(draft)?;
    std::io::copy(&mut std::fs::File::open(file)?, &mut copy)?;
    copy.sync_all()?;
    std::fs::rename(draft, to)
}
