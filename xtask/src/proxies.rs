//! Installs the proxies that the tests put before Keyward: Debian's nginx, and under `target/proxies` the pins of
//! tests/proxies, each a Python wheel with the program inside.

use crate::installation::Installation;
use crate::machine;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

const PINS: &str = "requirements.txt";

/// Makes all of it ready; does nothing when it is.
pub fn install(root: &Path) -> Result<()> {
    machine::need_programs(&[("nginx", "nginx")])?;
    let (installation, _lock) = Installation::open(root.join("tests/proxies"), root.join("target/proxies"))?;
    let python = machine::python()?;
    installation.once("python", &[PINS], &python, || {
        installation.pip(&python, "venv", PINS, &["--only-binary=:all:"])?;
        let scripts = installation.target.join("venv/bin");
        // The wheel of Envoy has a script there, which starts the program as its child: that could not be killed.
        let envoy = packages(&installation.target)?.join("envoy/_bin/envoy");
        for (name, program) in
            [("caddy", scripts.join("caddy")), ("traefik", scripts.join("traefik")), ("envoy", envoy)]
        {
            if !program.is_file() {
                bail!("{} is not where the wheel of {name} had it", program.display());
            }
            let link = installation.target.join(name);
            fs::remove_file(&link).ok();
            std::os::unix::fs::symlink(program, link)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Where pip put the packages, whatever Python's version is.
fn packages(target: &Path) -> Result<PathBuf> {
    let versions = fs::read_dir(target.join("venv/lib"))?;
    let found = versions.flatten().map(|version| version.path().join("site-packages")).find(|path| path.is_dir());
    found.context("the virtual environment has no site-packages")
}
