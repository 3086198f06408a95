//! Where the access log goes: a file that is appended to and can be opened anew, or standard output.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Readable for the group, which is how a log's collector gets at it.
const MODE: u32 = 0o640;

/// A log that is written to.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    /// None for standard output.
    file: Option<File>,
    has_failed: bool,
}

impl Output {
    /// Opens a file, which is made where there is none; `-` is standard output.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let file = if path == Path::new("-") { None } else { Some(append(&path)?) };
        Ok(Output { path, file, has_failed: false })
    }

    /// Writes lines; whether that went well. What is wrong is told once.
    pub fn write(&mut self, lines: &[u8]) -> bool {
        if lines.is_empty() {
            return true;
        }
        match self.try_write(lines) {
            Ok(()) => {
                self.has_failed = false;
                true
            }
            Err(error) => {
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::warn!(%error, path = %self.path.display(), "the access log cannot be written; its lines are dropped");
                }
                false
            }
        }
    }

    fn try_write(&mut self, lines: &[u8]) -> io::Result<()> {
        match &mut self.file {
            Some(file) => {
                if self.has_failed {
                    // Ends what may have been left half written.
                    file.write_all(b"\n")?;
                }
                file.write_all(lines)
            }
            None => {
                let mut out = io::stdout().lock();
                out.write_all(lines)?;
                out.flush()
            }
        }
    }

    /// Opens the file anew, which may have been moved away; where that fails it goes on with the one it has.
    pub fn reopen(&mut self) {
        if self.file.is_none() {
            return;
        }
        match append(&self.path) {
            Ok(file) => self.file = Some(file),
            Err(error) => {
                tracing::warn!(%error, path = %self.path.display(), "the access log cannot be opened anew; the old file is written on");
            }
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).mode(MODE).open(path)
}
