//! Backups: a consistent copy as one file, made while work goes on.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use keyward_core::change::Revision;
use keyward_core::store::{Result, StoreError};
use sqlx::Connection as _;

use super::sql::batch::read_head;
use super::connect;
use super::error::read_failure;
use crate::files::place::{FileIdentity, private_file, sync_folder};

/// Copies the database to a new file; returns the last revision in it. A copy that was cut off is left under
/// another name (`….partial`), never under `to`.
pub(super) async fn backup(database: &Path, identity: FileIdentity, to: &Path) -> Result<Revision> {
    let refused = |what: &str, error: io::Error| {
        StoreError::Unavailable(format!("the backup {} cannot be {what}: {error}", to.display()))
    };
    if to.exists() {
        return Err(refused("made", io::Error::new(io::ErrorKind::AlreadyExists, "there is such a file already")));
    }
    // Absolute, because SQLite takes a relative path that begins with `file:` for a URI.
    let partial = std::path::absolute(partial_name(to)).map_err(|error| refused("made", error))?;
    remove_if_there(&partial).map_err(|error| refused("made", error))?;
    // SQLite copies into an empty file, which keeps its mode.
    private_file().write(true).create_new(true).open(&partial).map_err(|error| refused("made", error))?;
    let made = match copy(database, identity, &partial).await {
        Ok(revision) => publish(&partial, to).map(|()| revision).map_err(|error| refused("put in place", error)),
        Err(error) => Err(error),
    };
    if made.is_err() {
        let _ = remove_if_there(&partial);
    }
    made
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

fn publish(partial: &Path, to: &Path) -> io::Result<()> {
    File::open(partial)?.sync_all()?;
    // Unlike a rename, a link never takes the place of a file that appeared meanwhile.
    std::fs::hard_link(partial, to)?;
    std::fs::remove_file(partial)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync_folder(folder)
}

fn partial_name(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
