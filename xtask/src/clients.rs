//! Installs the vendors' published clients under `target/clients` and writes the launcher that tests call.
//!
//! Installs again only when a pin, the lock file or the Python changed; checks again only when a driver did.
//! What the clients are, and what they need, is in tests/clients; `target/clients/run NAME` starts one.

use crate::command::{command, show};
use crate::machine;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Makes the clients ready; does nothing when they are. Gives the launcher's path.
pub fn install(root: &Path) -> Result<PathBuf> {
    let place = Place { sources: root.join("tests/clients"), target: root.join("target/clients") };
    fs::create_dir_all(&place.target)?;
    let lock = fs::File::create(place.target.join("lock"))?;
    lock.lock().context("cannot lock target/clients")?;

    let python = machine::python()?;
    place.once("python", &["python/requirements.txt"], &python, || place.install_python(&python))?;
    place.once("schemathesis", &["schemathesis.txt"], &python, || place.install_schemathesis(&python))?;
    place.once("node", &["node/package.json", "node/package-lock.json"], Path::new(""), || place.install_node())?;
    let launcher = place.write_launcher()?;
    place.once("check", &place.drivers()?, &python, || place.check())?;
    Ok(launcher)
}

/// A fresh virtual environment.
fn make_environment(python: &Path, environment: &Path) -> Result<()> {
    if environment.exists() {
        fs::remove_dir_all(environment)?;
    }
    show(command(python).arg("-m").arg("venv").arg(environment))
}

struct Place {
    /// tests/clients: drivers, pins, samples.
    sources: PathBuf,
    /// target/clients: all that is installed.
    target: PathBuf,
}

impl Place {
    /// Runs `make` unless it succeeded before with the same files and the same tool.
    fn once(
        &self,
        what: &str,
        files: &[impl AsRef<Path>],
        tool: &Path,
        make: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let stamp = self.target.join(format!("{what}.stamp"));
        let mut state = tool.to_string_lossy().into_owned();
        for file in files {
            let path = self.sources.join(file);
            state += &format!("\n== {}\n", file.as_ref().display());
            state += &fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        }
        if fs::read_to_string(&stamp).is_ok_and(|before| before == state) {
            return Ok(());
        }
        // What was checked before says nothing about what is installed now.
        fs::remove_file(self.target.join("check.stamp")).ok();
        eprintln!("    clients: {what}");
        make()?;
        fs::write(&stamp, state).with_context(|| format!("cannot write {}", stamp.display()))
    }

    /// What checks the REST interface against its OpenAPI document, in an environment of its own: its pins and
    /// the clients' need not agree.
    fn install_schemathesis(&self, python: &Path) -> Result<()> {
        let environment = self.target.join("schemathesis");
        make_environment(python, &environment)?;
        let flags = ["install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"];
        let pins = ["--require-hashes", "--requirement"];
        let pip = environment.join("bin/pip");
        show(command(pip).args(flags).args(pins).arg(self.sources.join("schemathesis.txt")))
    }

    fn install_python(&self, python: &Path) -> Result<()> {
        let environment = self.target.join("venv");
        make_environment(python, &environment)?;
        // Every pin has its hashes, so nothing is resolved. One client asks for Python 3.12, which Debian 12
        // has not; tests/clients/python/type_parameters.py says why 3.11 serves as well.
        let flags = ["install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"];
        let pins = ["--require-hashes", "--only-binary=:all:", "--ignore-requires-python", "--requirement"];
        let pip = environment.join("bin/pip");
        show(command(pip).args(flags).args(pins).arg(self.sources.join("python/requirements.txt")))
    }

    fn install_node(&self) -> Result<()> {
        machine::need_programs(&[("node", "nodejs"), ("npm", "npm")])?;
        let folder = self.target.join("node");
        fs::create_dir_all(&folder)?;
        for file in ["package.json", "package-lock.json"] {
            fs::copy(self.sources.join("node").join(file), folder.join(file))?;
        }
        let flags = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        show(command("npm").args(flags).current_dir(&folder))?;
        // Drivers find node_modules beside the folder that they seem to be in.
        let drivers = folder.join("drivers");
        fs::remove_file(&drivers).ok();
        std::os::unix::fs::symlink(self.sources.join("node"), &drivers)?;
        Ok(())
    }

    fn python(&self) -> PathBuf {
        self.target.join("venv/bin/python")
    }

    /// The Node that package.json pins, where there is one for this machine; otherwise the machine's own.
    fn node(&self) -> Result<PathBuf> {
        let platform = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
        let pinned = self.target.join(format!("node/node_modules/node-linux-{platform}/bin/node"));
        if pinned.is_file() {
            return Ok(pinned);
        }
        machine::find("node").context("no `node` on PATH")
    }

    /// Every file that decides what a check of the clients does.
    fn drivers(&self) -> Result<Vec<PathBuf>> {
        let mut files = vec![PathBuf::from("check.py"), PathBuf::from("clients.json")];
        for (folder, ending) in [("python", "py"), ("node", "mjs")] {
            for entry in fs::read_dir(self.sources.join(folder))? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == ending) {
                    files.push(path.strip_prefix(&self.sources)?.to_path_buf());
                }
            }
        }
        files.sort();
        Ok(files)
    }

    /// Writes `run`: a script that starts the driver of the client that its argument names.
    fn write_launcher(&self) -> Result<PathBuf> {
        let path = self.target.join("run");
        let clients = fs::read_to_string(self.sources.join("clients.json"))?;
        let script = self.launcher(&serde_json::from_str(&clients).context("tests/clients/clients.json")?)?;
        if fs::read_to_string(&path).is_ok_and(|before| before == script) {
            return Ok(path);
        }
        // Renamed into place: a test may be starting a client at this moment.
        let new = self.target.join("run.new");
        fs::write(&new, script)?;
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
        fs::rename(&new, &path)?;
        Ok(path)
    }

    fn launcher(&self, clients: &Value) -> Result<String> {
        let mut script = String::from(
            "#!/bin/sh\n# Written by `cargo xtask clients`: starts the driver of a vendor's client; tests/clients/README.md.\n\
             export PYTHONDONTWRITEBYTECODE=1 NO_PROXY=127.0.0.1 no_proxy=127.0.0.1\ncase \"$1\" in\n",
        );
        for (name, client) in clients.as_object().context("clients.json is not an object")? {
            let (language, driver) = (client["run"][0].as_str(), client["run"][1].as_str());
            let (Some(language), Some(driver)) = (language, driver) else {
                bail!("clients.json: `run` of {name} is not [\"python\" or \"node\", driver]");
            };
            let command = if language == "python" {
                [quoted(&self.python()), quoted(&self.sources.join("python").join(driver))].join(" ")
            } else {
                let flags = "--preserve-symlinks --preserve-symlinks-main".to_owned();
                [quoted(&self.node()?), flags, quoted(&self.target.join("node/drivers").join(driver))].join(" ")
            };
            script += &format!("{name}) exec {command} ;;\n");
        }
        Ok(script + "*) echo \"no client named $1; tests/clients/clients.json lists them\" >&2; exit 2 ;;\nesac\n")
    }

    fn check(&self) -> Result<()> {
        let check = self.sources.join("check.py");
        show(
            command(self.python())
                .arg(check)
                .arg(self.python())
                .arg(self.node()?)
                .arg(self.target.join("node/drivers")),
        )
        .context("the clients are installed but do not behave as tests/clients/clients.json says")
    }
}

/// A path as one word of a shell script.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &Path) -> Place {
        let place = Place { sources: folder.join("sources"), target: folder.join("it's here") };
        fs::create_dir_all(&place.sources).unwrap();
        fs::create_dir_all(&place.target).unwrap();
        place
    }

    #[test]
    fn nothing_is_done_twice_for_the_same_files() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        let mut done = 0;
        for pin in ["1.0", "1.0", "1.1"] {
            fs::write(place.sources.join("pins"), pin).unwrap();
            place
                .once("some", &["pins"], Path::new("tool"), || {
                    done += 1;
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!(done, 2);
        place
            .once("some", &["pins"], Path::new("another tool"), || {
                done += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(done, 3);
    }

    #[test]
    fn a_failed_installation_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        fs::write(place.sources.join("pins"), "1.0").unwrap();
        place.once("some", &["pins"], Path::new("tool"), || bail!("no network")).unwrap_err();
        let mut done = false;
        place
            .once("some", &["pins"], Path::new("tool"), || {
                done = true;
                Ok(())
            })
            .unwrap();
        assert!(done);
    }

    #[test]
    fn the_launcher_quotes_paths_and_refuses_unknown_names() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        let clients = serde_json::json!({"one": {"run": ["python", "drive_one.py"]}});
        let script = place.launcher(&clients).unwrap();
        assert!(script.contains(r"it'\''s here/venv/bin/python' '"), "{script}");
        assert!(script.contains("no client named"));
        assert!(place.launcher(&serde_json::json!({"one": {}})).is_err());
    }
}
