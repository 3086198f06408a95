//! Backups: a consistent copy as one file, made while work goes on.

use std::path::Path;

use keyward_core::change::Revision;
use keyward_core::store::{Result, StoreError};
use sqlx::Connection as _;

use super::connect;
use super::error::read_failure;
use super::sql::batch::read_head;
use crate::files::new_file::NewFile;
use crate::files::place::FileIdentity;

/// Copies the database to a new file; returns the last revision in it. A copy that was cut off is left under
/// another name (`….partial`), never under `to`.
pub(super) async fn backup(database: &Path, identity: FileIdentity, to: &Path) -> Result<Revision> {
    let file = NewFile::begin(to)?;
    let revision = copy(database, identity, file.path()).await?;
    file.publish()?;
    Ok(revision)
}

async fn copy(database: &Path, identity: FileIdentity, partial: &Path) -> Result<Revision> {
    let failed = |error: sqlx::Error| match super::error::Cause::of(&error) {
        super::error::Cause::Full => StoreError::Full(format!("no room for the backup: {error}")),
        _ => read_failure(error),
    };
    let mut connection = connect::reader(database).await.map_err(failed)?;
    if !identity.is_at(database) {
        return Err(StoreError::Unavailable("the database was deleted or replaced while in use".into()));
    }
    let target = partial
        .to_str()
        .ok_or_else(|| StoreError::Unavailable("the backup's path is not UTF-8: give another".into()))?;
    sqlx::query("VACUUM INTO $1").bind(target).execute(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    // The copy says itself where it stands: writes went on meanwhile.
    let mut copy = connect::reader(partial).await.map_err(failed)?;
    let head = read_head(&mut copy).await.map_err(failed)?;
    copy.close().await.map_err(failed)?;
    Ok(head.revision)
}
