//! A folder under `target/` that holds what is installed from pins in the repository: installed once for the
//! same pins, by npm and by pip, with nothing resolved on the way.

use crate::command::{command, show};
use crate::machine;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Where pins are, and where what they name is installed.
pub struct Installation {
    /// The folder in the repository: pins and what is run with them.
    pub sources: PathBuf,
    /// The folder under `target/`: all that is installed.
    pub target: PathBuf,
}

impl Installation {
    /// Makes the folder; it stays locked against a second installer for as long as the file is held.
    pub fn open(sources: PathBuf, target: PathBuf) -> Result<(Self, fs::File)> {
        fs::create_dir_all(&target)?;
        let lock = fs::File::create(target.join("lock"))?;
        lock.lock().with_context(|| format!("cannot lock {}", target.display()))?;
        Ok((Installation { sources, target }, lock))
    }

    /// Runs `make` unless it succeeded before with the same files and the same tool; whether it ran.
    pub fn once(
        &self,
        what: &str,
        files: &[impl AsRef<Path>],
        tool: &Path,
        make: impl FnOnce() -> Result<()>,
    ) -> Result<bool> {
        let stamp = self.target.join(format!("{what}.stamp"));
        let mut state = tool.to_string_lossy().into_owned();
        for file in files {
            let path = self.sources.join(file);
            state += &format!("\n== {}\n", file.as_ref().display());
            state += &fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        }
        if fs::read_to_string(&stamp).is_ok_and(|before| before == state) {
            return Ok(false);
        }
        eprintln!("    installing {what} into {}", self.target.display());
        make()?;
        fs::write(&stamp, state).with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(true)
    }

    /// Installs pins with their hashes into a fresh virtual environment of this name.
    pub fn pip(&self, python: &Path, environment: &str, pins: &str, flags: &[&str]) -> Result<()> {
        let environment = self.target.join(environment);
        if environment.exists() {
            fs::remove_dir_all(&environment)?;
        }
        show(command(python).arg("-m").arg("venv").arg(&environment))?;
        let quiet = ["install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"];
        let pip = environment.join("bin/pip");
        let require = ["--require-hashes", "--requirement"];
        show(command(pip).args(quiet).args(flags).args(require).arg(self.sources.join(pins)))
    }

    /// Installs the lock file of the folder `node` into `node/node_modules`; gives the folder `node`.
    pub fn npm(&self) -> Result<PathBuf> {
        machine::need_programs(&[("node", "nodejs"), ("npm", "npm")])?;
        let folder = self.target.join("node");
        fs::create_dir_all(&folder)?;
        for file in ["package.json", "package-lock.json"] {
            fs::copy(self.sources.join("node").join(file), folder.join(file))?;
        }
        let flags = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        show(command("npm").args(flags).current_dir(&folder))?;
        Ok(folder)
    }

    /// The Node that package.json pins, where there is one for this machine; otherwise the machine's own.
    pub fn node(&self) -> Result<PathBuf> {
        let platform = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
        let pinned = self.target.join(format!("node/node_modules/node-linux-{platform}/bin/node"));
        if pinned.is_file() {
            return Ok(pinned);
        }
        machine::find("node").context("no `node` on PATH")
    }

    /// Drivers find node_modules beside the folder that they seem to be in: `node/drivers` is the sources' folder.
    pub fn link_drivers(&self) -> Result<()> {
        let drivers = self.target.join("node/drivers");
        fs::remove_file(&drivers).ok();
        Ok(std::os::unix::fs::symlink(self.sources.join("node"), &drivers)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    fn installation(folder: &Path) -> Installation {
        let sources = folder.join("sources");
        fs::create_dir_all(&sources).unwrap();
        Installation::open(sources, folder.join("target")).unwrap().0
    }

    #[test]
    fn nothing_is_done_twice_for_the_same_files() {
        let folder = tempfile::tempdir().unwrap();
        let installation = installation(folder.path());
        let mut done = Vec::new();
        for (pin, tool) in [("1.0", "tool"), ("1.0", "tool"), ("1.1", "tool"), ("1.1", "another tool")] {
            fs::write(installation.sources.join("pins"), pin).unwrap();
            done.push(installation.once("some", &["pins"], Path::new(tool), || Ok(())).unwrap());
        }
        assert_eq!(done, [true, false, true, true]);
    }

    #[test]
    fn a_failed_installation_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let installation = installation(folder.path());
        fs::write(installation.sources.join("pins"), "1.0").unwrap();
        installation.once("some", &["pins"], Path::new("tool"), || bail!("no network")).unwrap_err();
        assert!(installation.once("some", &["pins"], Path::new("tool"), || Ok(())).unwrap());
    }
}
