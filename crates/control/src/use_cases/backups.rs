//! Online backups, into one folder and nowhere else: whoever may ask for one must not choose where the
//! server writes.

use keyward_core::change::Revision;
use keyward_core::clock::Timestamp;
use keyward_core::permission::Permission;
use std::path::{Path, PathBuf};

use super::error::{ControlError, Result};
use super::{Asked, Control};

/// A backup that was written.
#[derive(Debug)]
pub struct Backup {
    /// Where.
    pub path: PathBuf,
    /// The last revision in it.
    pub revision: Revision,
    /// Its size.
    pub bytes: u64,
}

impl Control {
    /// Writes a consistent copy of the store while work goes on.
    ///
    /// # Errors
    /// Where the caller may not, the name is none, or there is a file of that name.
    pub async fn back_up(&self, asked: &Asked, name: Option<&str>) -> Result<Backup> {
        asked.require_everywhere(Permission::Operate)?;
        let name = match name {
            Some(name) => file_name(name)?,
            None => default_name(self.now()),
        };
        make_folder(&self.backup_dir).await?;
        let path = self.backup_dir.join(name);
        if tokio::fs::try_exists(&path).await.map_err(|error| cannot(&path, &error))? {
            return Err(ControlError::AlreadyExists("a backup of this name"));
        }
        let revision = self.store.backup(&path).await?;
        let bytes = tokio::fs::metadata(&path).await.map_err(|error| cannot(&path, &error))?.len();
        Ok(Backup { path, revision, bytes })
    }
}

async fn make_folder(path: &Path) -> Result<()> {
    let mut builder = tokio::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).await.map_err(|error| cannot(path, &error))
}

fn cannot(path: &Path, error: &std::io::Error) -> ControlError {
    match error.kind() {
        std::io::ErrorKind::StorageFull => ControlError::StorageFull(format!("{}: {error}", path.display())),
        _ => ControlError::Unavailable(format!("{}: {error}", path.display())),
    }
}

/// Takes a text as the name of a file in the one folder.
fn file_name(name: &str) -> Result<String> {
    let fits = (1..=100).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    match fits {
        true => Ok(name.to_owned()),
        false => {
            let message = "is 1 to 100 letters, digits and . _ - and begins with a letter or digit";
            Err(ControlError::invalid("name", message))
        }
    }
}

fn default_name(now: Timestamp) -> String {
    let moment: String = now.to_string().chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    format!("keyward-{moment}.db")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_stays_in_its_folder() {
        for bad in ["", ".", "..", "../x", "a/b", "/etc/passwd", ".hidden", "a\0b", "ä", &"x".repeat(101)] {
            assert!(file_name(bad).is_err(), "{bad:?}");
        }
        assert!(file_name("before-upgrade.db").is_ok());
        assert_eq!(default_name(Timestamp::from_millis(1_795_218_680_123)), "keyward-20261120T235120123Z.db");
    }
}
