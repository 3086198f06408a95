//! Installs what the browser tests need: Debian's Chromium with its driver, and under `target/browser` the pins of
//! tests/browser (axe-core, an OpenID provider, a mail server) with launchers that the tests start.

use crate::command::{cargo, show};
use crate::installation::Installation;
use crate::machine;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::Path;

/// Pages whose screenshots stand in the README and docs: the test's name of the picture, and the file's.
const SHOWN: [(&str, &str); 3] = [
    ("keys-standard-desktop-light.png", "keys.png"),
    ("usage-standard-desktop-dark.png", "usage.png"),
    ("keys-standard-phone-light.png", "keys-phone.png"),
];

/// Makes all of it ready; does nothing when it is.
pub fn install(root: &Path) -> Result<()> {
    // Pictures look alike on every machine, and odd names are drawn as more than boxes.
    if !Path::new("/usr/share/fonts/truetype/noto").exists() {
        machine::install_packages(&["fonts-noto-core"])?;
    }
    machine::need_programs(&[("chromium", "chromium"), ("chromedriver", "chromium-driver")])?;
    let (installation, _lock) = Installation::open(root.join("tests/browser"), root.join("target/browser"))?;
    let python = machine::python()?;
    let pins = "python/requirements.txt";
    installation
        .once("python", &[pins], &python, || installation.pip(&python, "venv", pins, &["--only-binary=:all:"]))?;
    let pins = ["node/package.json", "node/package-lock.json"];
    installation.once("node", &pins, Path::new(""), || installation.npm().map(drop))?;
    installation.link_drivers()?;
    let node = installation.target.join("node/node");
    fs::remove_file(&node).ok();
    Ok(std::os::unix::fs::symlink(installation.node()?, &node)?)
}

/// Makes all screenshots anew into `target/screenshots`, and copies those that the documentation shows to docs/images.
pub fn screenshots(root: &Path) -> Result<()> {
    install(root)?;
    show(cargo().current_dir(root).args([
        "nextest",
        "run",
        "--package",
        "keyward",
        "--test",
        "it",
        "screenshots_",
    ]))?;
    let images = root.join("docs/images");
    fs::create_dir_all(&images)?;
    for (picture, name) in SHOWN {
        let picture = root.join("target/screenshots").join(picture);
        if !picture.is_file() {
            bail!("{} was not made", picture.display());
        }
        fs::copy(&picture, images.join(name)).with_context(|| format!("cannot copy {}", picture.display()))?;
    }
    Ok(())
}
