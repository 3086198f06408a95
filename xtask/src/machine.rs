//! What the machine must have: programs, and on Debian the packages they come in. Installs what is missing
//! when it may (as root), and otherwise says which package to install. Never installs what is there.

use crate::command::{command, output, show, works};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};

/// Where `program` is, going by PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|folder| folder.join(program)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Makes sure of these programs, each given with its Debian package.
pub fn need_programs(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> =
        programs.iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| *package).collect();
    install_packages(&missing)?;
    match programs.iter().find(|(program, _)| find(program).is_none()) {
        Some((program, package)) => bail!("{package} is installed, and yet `{program}` is not on PATH"),
        None => Ok(()),
    }
}

/// Installs Debian packages; nothing happens when the list is empty.
pub fn install_packages(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(" ");
    if find("apt-get").is_none() {
        bail!(
            "missing: {names} (Debian's names). This machine has no apt-get: install them another way, then repeat"
        );
    }
    if output(command("id").arg("-u"))?.trim() != "0" {
        bail!("missing: {names}. Install with `sudo apt-get install --no-install-recommends {names}`, then repeat");
    }
    if !have_package_lists() {
        apt_get(&["update", "--quiet"])?;
    }
    eprintln!("    installing {names}");
    let install = [&["install", "--yes", "--quiet", "--no-install-recommends"], packages].concat();
    if apt_get(&install).is_err() {
        // Lists that are older than the newest packages make an install fail.
        apt_get(&["update", "--quiet"])?;
        apt_get(&install).with_context(|| format!("apt-get cannot install {names}"))?;
    }
    Ok(())
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    // RUNLEVEL=1 keeps a freshly installed server (nginx) from being started by its package.
    show(command("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1"))
}

fn have_package_lists() -> bool {
    let Ok(lists) = std::fs::read_dir("/var/lib/apt/lists") else { return false };
    lists.flatten().any(|list| list.file_name().to_string_lossy().contains("_Packages"))
}

/// The newest Python that can make a virtual environment: any of 3.12 and up that is found, else `python3`.
///
/// Looks on PATH and among pyenv's versions; installs Debian's when there is none.
pub fn python() -> Result<PathBuf> {
    if let Some(python) = candidates().into_iter().find(|python| makes_environments(python)) {
        return Ok(python);
    }
    let missing: &[&str] = if find("python3").is_some() { &["python3-venv"] } else { &["python3", "python3-venv"] };
    install_packages(missing)?;
    let python = candidates().into_iter().find(|python| makes_environments(python));
    python.context("no Python of 3.11 or newer with the modules venv and ensurepip was found")
}

fn candidates() -> Vec<PathBuf> {
    let minors = (12..=15).rev();
    let mut found: Vec<PathBuf> = minors.clone().filter_map(|minor| find(&format!("python3.{minor}"))).collect();
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")));
    let mut versions: Vec<PathBuf> = pyenv
        .and_then(|root| std::fs::read_dir(root.join("versions")).ok())
        .map(|folders| folders.flatten().map(|folder| folder.path()).collect())
        .unwrap_or_default();
    versions.sort();
    for minor in minors {
        let prefix = format!("3.{minor}.");
        let of_minor = versions
            .iter()
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)));
        found.extend(of_minor.map(|path| path.join("bin/python3")));
    }
    found.extend(find("python3"));
    // A shim earlier on PATH may hide Debian's own.
    found.push(PathBuf::from("/usr/bin/python3"));
    found
}

fn makes_environments(python: &Path) -> bool {
    let ask = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";
    works(command(python).args(["-c", ask]))
}
