//! `cargo xtask deps`: holds deny.toml over the dependency graph that Cargo.lock fixes, and finds dependencies
//! that nothing uses.
//!
//! Reads the parts of cargo-deny's file format that the project uses; a section that it does not know is an
//! error, so that nothing stands in deny.toml without being held. Advisories are left to cargo-deny itself:
//! they need a database from the network.

mod graph;
mod licence;
mod unused;

use crate::command::{cargo, output};
use anyhow::{Context as _, Result, bail};
use std::path::Path;

/// Prints every finding with what to do; an error when there is one.
pub fn run(root: &Path) -> Result<()> {
    let policy: toml::Table = std::fs::read_to_string(root.join("deny.toml"))?.parse().context("deny.toml")?;
    let target =
        policy.get("graph").and_then(|graph| graph["targets"][0].as_str()).context("deny.toml: graph.targets")?;
    // --locked: a stale Cargo.lock is a finding of its own, told by cargo.
    let graph = ["--locked", "--all-features"];
    let metadata = ["metadata", "--format-version=1", "--filter-platform", target];
    let metadata = output(cargo().current_dir(root).args(metadata).args(graph))?;
    // Metadata also lists what only a feature that is off would bring: the tree has what is built.
    let tree =
        ["tree", "--workspace", "--target", target, "--edges=normal,build,dev", "--prefix=depth", "--format={p}"];
    let tree = output(cargo().current_dir(root).args(tree).args(graph))?;
    let mut findings = graph::findings(&serde_json::from_str(&metadata)?, &tree, &policy)?;
    findings.extend(unused::findings(root)?);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings on dependencies", findings.len());
    }
    println!("dependencies: nothing to say");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s19_this_repository_is_locked_and_keeps_its_own_policy() {
        let root = crate::root();
        let tracked = output(crate::command::command("git").current_dir(&root).args([
            "ls-files",
            "--",
            "Cargo.lock",
            "deny.toml",
        ]));
        assert_eq!(tracked.unwrap().lines().collect::<Vec<_>>(), ["Cargo.lock", "deny.toml"], "both are committed");
        // Refuses a lock file that does not fit, a licence, source, duplicate or banned crate, and what is unused.
        run(&root).unwrap();
        let steps = std::fs::read_to_string(root.join("xtask/src/ci.rs")).unwrap();
        assert!(steps.contains("deps::run(root)"), "every run of the checks holds it");
    }
}
