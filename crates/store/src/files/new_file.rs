//! A file that is made as a whole: under another name (`….partial`) until it is complete and durable, and never in the
//! place of another.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use keyward_core::store::{Result, StoreError};

use super::place::{private_file, sync_folder};

/// A file that is being made. Gone if it is dropped before it is published.
pub(crate) struct NewFile {
    to: PathBuf,
    partial: PathBuf,
    is_published: bool,
}

impl NewFile {
    /// Makes the empty file.
    pub(crate) fn begin(to: &Path) -> Result<Self> {
        let refused = |error: io::Error| refused(to, "made", &error);
        if to.exists() {
            return Err(refused(io::Error::new(io::ErrorKind::AlreadyExists, "there is such a file already")));
        }
        // Absolute, because SQLite takes a relative path that begins with `file:` for a URI.
        let partial = std::path::absolute(partial_name(to)).map_err(refused)?;
        remove_if_there(&partial).map_err(refused)?;
        // SQLite copies into an empty file, which keeps its mode.
        private_file().write(true).create_new(true).open(&partial).map_err(refused)?;
        Ok(NewFile { to: to.to_owned(), partial, is_published: false })
    }

    /// Where it is being made.
    pub(crate) fn path(&self) -> &Path {
        &self.partial
    }

    /// Gives it its name, durably.
    pub(crate) fn publish(mut self) -> Result<()> {
        put_in_place(&self.partial, &self.to).map_err(|error| refused(&self.to, "put in place", &error))?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_published {
            let _ = remove_if_there(&self.partial);
        }
    }
}

fn refused(to: &Path, what: &str, error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!("the file {} cannot be {what}: {error}", to.display()))
}

fn put_in_place(partial: &Path, to: &Path) -> io::Result<()> {
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
