//! From PostgreSQL to a file: every row of one snapshot, while the nodes work on.

use std::path::Path;

use keyward_core::change::Revision;
use keyward_core::store::{Result, StoreError};
use sqlx::{Connection as _, Executor};
use tokio::sync::mpsc;

use super::{Progress, TABLES, Table};
use crate::files::new_file::NewFile;
use crate::postgres::sql::{batch, copy as from};
use crate::postgres::{PostgresStore, dialect};
use crate::sqlite::sql::copy as to;
use crate::sqlite::{self, connect};

/// Parts of tables that wait to be written, at most.
const WAITING: usize = 4;

/// Writes a store in PostgreSQL to a new file, which is an SQLite database like a backup; returns the last revision in
/// it. `progress` hears of each table how many rows are written, of how many.
///
/// The embedded store's backup is such a file already.
///
/// # Errors
/// Where the file is there already or cannot be written, or the database fails. Nothing is left under its name then.
pub async fn export(store: &PostgresStore, file: &Path, progress: &dyn Progress) -> Result<Revision> {
    let made = NewFile::begin(file)?;
    let revision = copy(store, made.path(), progress).await?;
    made.publish()?;
    Ok(revision)
}

async fn copy(store: &PostgresStore, file: &Path, progress: &dyn Progress) -> Result<Revision> {
    let full = |error: sqlx::Error| StoreError::Unavailable(format!("the file cannot be written: {error}"));
    let mut target = connect::maker(file).await.map_err(full)?;
    sqlite::migrate(&mut target, file).await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let mut source = store.patient_connection().await?;
    let mut snapshot = source.begin_with(dialect::SNAPSHOT).await.map_err(dialect::read_failure)?;
    let head = batch::read_head(&mut snapshot).await.map_err(dialect::read_failure)?;
    let mut totals = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        totals.push((table.name, from::count(&mut snapshot, table).await.map_err(dialect::read_failure)?));
    }
    let (parts, mut arriving) = mpsc::channel::<(&'static Table, from::Rows)>(WAITING);
    let reading = async move {
        for table in TABLES {
            from::read(&mut snapshot, table, &parts).await.map_err(dialect::read_failure)?;
        }
        snapshot.rollback().await.map_err(dialect::read_failure)
    };
    let writing = async {
        target.execute("BEGIN").await.map_err(full)?;
        let mut done = 0;
        let mut current = "";
        while let Some((table, rows)) = arriving.recv().await {
            if table.name != current {
                (current, done) = (table.name, 0);
            }
            to::write(&mut target, table, &rows).await.map_err(full)?;
            done += rows.len() as u64;
            let total = totals.iter().find(|(name, _)| *name == table.name).map_or(done, |(_, total)| *total);
            progress(table.name, done, total);
        }
        drop(arriving);
        target.execute("COMMIT").await.map_err(full)?;
        target.close().await.map_err(full)
    };
    // Where writing fails, nobody takes what is read, and reading ends too.
    let (read, written) = tokio::join!(reading, writing);
    written.and(read)?;
    Ok(head.revision)
}
