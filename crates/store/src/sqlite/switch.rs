//! Putting a restored store in place of the old one, so that a crash at any point leaves the one or the
//! other: everything is prepared in a folder of its own; giving that folder its final name decides; moving
//! its files out can be repeated from any point, by the next start too.

use std::io;
use std::path::Path;

use crate::files::place::{Place, create_folder, sync_folder};

/// The file in the prepared folder that names where the old files go.
pub(super) const ASIDE: &str = "aside";

/// Each file that is replaced, with the files that belong to the old one and go with it.
const REPLACED: [(&str, &[&str]); 3] = [
    ("keyward.db", &["keyward.db", "keyward.db-wal", "keyward.db-shm"]),
    ("restrictive.journal", &["restrictive.journal"]),
    ("heads.jsonl", &["heads.jsonl"]),
];

/// Decides: from here on, the prepared store is the store.
pub(super) fn decide(place: &Place) -> io::Result<()> {
    sync_folder(&place.restore_draft())?;
    std::fs::rename(place.restore_draft(), place.restore_ready())?;
    sync_folder(place.dir())
}

/// Moves a prepared store in place, where there is one.
pub(super) fn finish(place: &Place) -> io::Result<()> {
    let ready = place.restore_ready();
    if !ready.exists() {
        return Ok(());
    }
    let name = std::fs::read_to_string(ready.join(ASIDE))?;
    if name.is_empty() || Path::new(&name).file_name() != Some(name.as_ref()) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "restore.ready/aside names no folder"));
    }
    let aside = place.dir().join(name);
    create_folder(&aside)?;
    for (file, old_files) in REPLACED {
        let prepared = ready.join(file);
        // Moved by an earlier run that was cut off: what is in place now is the new one.
        if !prepared.exists() {
            continue;
        }
        for old in old_files {
            let from = place.dir().join(old);
            if from.exists() {
                std::fs::rename(&from, aside.join(old))?;
            }
        }
        sync_folder(&aside)?;
        std::fs::rename(&prepared, place.dir().join(file))?;
        sync_folder(place.dir())?;
    }
    std::fs::remove_dir_all(&ready)?;
    sync_folder(place.dir())
}
