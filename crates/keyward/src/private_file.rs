//! Files that nobody else may read: written with mode 0600 and by replacement, refused where others could
//! have read them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::failure::{Doing, Failure, Outcome};

/// The largest private file: far above what any of them holds.
const BYTES_MAX: u64 = 1024 * 1024;

/// Reads a file that only its owner can read; what was read is wiped from memory when dropped.
///
/// # Errors
/// Where it cannot be read, or others of the machine can read it too.
pub fn read(path: &Path) -> Outcome<Zeroizing<String>> {
    let mut file = File::open(path).doing(format!("read {}", path.display()))?;
    // Of the open file, so that it is the one that is read.
    let found = file.metadata().doing(format!("look at {}", path.display()))?;
    if found.mode() & 0o077 != 0 {
        let message = format!("{} can be read by others (mode {:04o})", path.display(), found.mode() & 0o7777);
        return Err(Failure::failed(message).advise(format!(
            "If nobody else has read it: chmod 600 {}. Otherwise replace what it holds.",
            path.display()
        )));
    }
    if found.len() > BYTES_MAX {
        return Err(Failure::failed(format!("{} is too large to be what it should be", path.display())));
    }
    // Room for all of it at once: a growing buffer would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(found.len() as usize + 1));
    file.read_to_string(&mut text).doing(format!("read {}", path.display()))?;
    Ok(text)
}

/// Writes a new private file.
///
/// # Errors
/// Where there is one already, or it cannot be written durably.
pub fn create(path: &Path, text: &str) -> Outcome {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(path).and_then(|file| write_durably(file, text));
    written.doing(format!("create {}", path.display()))?;
    sync_folder(path)
}

/// Puts a private file in the place of another: wholly or not at all.
///
/// # Errors
/// Where it cannot be written durably.
pub fn replace(path: &Path, text: &str) -> Outcome {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("private");
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options
        .open(&beside)
        .and_then(|file| write_durably(file, text))
        .and_then(|()| std::fs::rename(&beside, path));
    written.doing(format!("write {}", path.display()))?;
    sync_folder(path)
}

/// Makes a folder that only its owner can enter, with everything above it.
///
/// # Errors
/// Where it cannot be made.
pub fn create_folder(path: &Path) -> Outcome {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .doing(format!("create the folder {}", path.display()))
}

fn write_durably(mut file: File, text: &str) -> std::io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> Outcome {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).doing(format!("sync {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn k04_a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.toml");
        create(&path, "x").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap().as_str(), "x");
        for mode in [0o640, 0o604, 0o660, 0o644] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let refusal = read(&path).unwrap_err();
            assert!(refusal.message.contains("can be read by others"), "{refusal}");
        }
    }

    #[test]
    fn replacing_keeps_the_mode_and_creating_never_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        replace(&path, "one").unwrap();
        replace(&path, "two").unwrap();
        assert!(create(&path, "three").is_err());
        assert_eq!(read(&path).unwrap().as_str(), "two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
