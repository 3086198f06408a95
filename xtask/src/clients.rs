//! Installs the vendors' published clients under `target/clients` and writes the launcher that tests call.
//!
//! Installs again only when a pin, the lock file or the Python changed; checks again only when a driver did.
//! What the clients are, and what they need, is in tests/clients; `target/clients/run NAME` starts one.

use crate::command::{command, show};
use crate::installation::Installation;
use crate::machine;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Makes the clients ready; does nothing when they are. Gives the launcher's path.
pub fn install(root: &Path) -> Result<PathBuf> {
    let (installation, _lock) = Installation::open(root.join("tests/clients"), root.join("target/clients"))?;
    let place = Place(installation);

    let python = machine::python()?;
    place.once("python", &["python/requirements.txt"], &python, || place.install_python(&python))?;
    place.once("schemathesis", &["schemathesis.txt"], &python, || place.install_schemathesis(&python))?;
    place.once("node", &["node/package.json", "node/package-lock.json"], Path::new(""), || place.install_node())?;
    let launcher = place.write_launcher()?;
    place.0.once("check", &place.drivers()?, &python, || place.check())?;
    Ok(launcher)
}

struct Place(Installation);

impl Place {
    /// Installs unless the same is installed. What was checked before says nothing about what is installed now.
    fn once(&self, what: &str, files: &[&str], tool: &Path, make: impl FnOnce() -> Result<()>) -> Result<()> {
        let check = self.0.target.join("check.stamp");
        self.0.once(what, files, tool, || {
            fs::remove_file(check).ok();
            make()
        })?;
        Ok(())
    }

    /// What checks the REST interface against its OpenAPI document, in an environment of its own: its pins and
    /// the clients' need not agree.
    fn install_schemathesis(&self, python: &Path) -> Result<()> {
        self.0.pip(python, "schemathesis", "schemathesis.txt", &[])
    }

    /// Every pin has its hashes, so nothing is resolved. One client asks for Python 3.12, which Debian 12 has not;
    /// tests/clients/python/type_parameters.py says why 3.11 serves as well.
    fn install_python(&self, python: &Path) -> Result<()> {
        let flags = ["--only-binary=:all:", "--ignore-requires-python"];
        self.0.pip(python, "venv", "python/requirements.txt", &flags)
    }

    fn install_node(&self) -> Result<()> {
        self.0.npm()?;
        self.0.link_drivers()
    }

    fn python(&self) -> PathBuf {
        self.0.target.join("venv/bin/python")
    }

    /// Every file that decides what a check of the clients does.
    fn drivers(&self) -> Result<Vec<PathBuf>> {
        let mut files = vec![PathBuf::from("check.py"), PathBuf::from("clients.json")];
        for (folder, ending) in [("python", "py"), ("node", "mjs")] {
            for entry in fs::read_dir(self.0.sources.join(folder))? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == ending) {
                    files.push(path.strip_prefix(&self.0.sources)?.to_path_buf());
                }
            }
        }
        files.sort();
        Ok(files)
    }

    /// Writes `run`: a script that starts the driver of the client that its argument names.
    fn write_launcher(&self) -> Result<PathBuf> {
        let path = self.0.target.join("run");
        let clients = fs::read_to_string(self.0.sources.join("clients.json"))?;
        let script = self.launcher(&serde_json::from_str(&clients).context("tests/clients/clients.json")?)?;
        if fs::read_to_string(&path).is_ok_and(|before| before == script) {
            return Ok(path);
        }
        // Renamed into place: a test may be starting a client at this moment.
        let new = self.0.target.join("run.new");
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
                [quoted(&self.python()), quoted(&self.0.sources.join("python").join(driver))].join(" ")
            } else {
                let flags = "--preserve-symlinks --preserve-symlinks-main".to_owned();
                [quoted(&self.0.node()?), flags, quoted(&self.0.target.join("node/drivers").join(driver))].join(" ")
            };
            script += &format!("{name}) exec {command} ;;\n");
        }
        Ok(script + "*) echo \"no client named $1; tests/clients/clients.json lists them\" >&2; exit 2 ;;\nesac\n")
    }

    fn check(&self) -> Result<()> {
        let check = self.0.sources.join("check.py");
        show(
            command(self.python())
                .arg(check)
                .arg(self.python())
                .arg(self.0.node()?)
                .arg(self.0.target.join("node/drivers")),
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
        Place(Installation { sources: folder.join("sources"), target: folder.join("it's here") })
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
