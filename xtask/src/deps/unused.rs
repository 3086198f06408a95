//! Dependencies that a manifest names and no source file of its crate does.
//!
//! Looks for the name at the head of a path (`name::…`) or of a `use`, so a module of the same name hides one. A
//! dependency that is needed without being named (to turn a feature on) is listed under `[package.metadata.unused]
//! ignored = […]`, with a comment.

use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// One finding for each unused dependency, and for each of the workspace's that no member takes.
pub fn findings(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let mut taken = BTreeSet::new();
    for folder in members(root)? {
        let manifest = folder.join("Cargo.toml");
        let shown = manifest.strip_prefix(root)?.display().to_string();
        let manifest: Table = fs::read_to_string(&manifest)?.parse().with_context(|| shown.clone())?;
        let anywhere = named(&folder)?;
        let shipped = named(&folder.join("src"))?;
        for (kind, name) in dependencies(&manifest) {
            let word = name.replace('-', "_");
            let exempt = is_ignored(&manifest, &name) || is_itself(&manifest, &name);
            if !exempt && !anywhere.contains(&word) {
                findings.push(format!("{shown}: {name} is not used: take it out"));
            } else if !exempt && kind == "dependencies" && !shipped.contains(&word) {
                findings.push(format!("{shown}: {name} is used outside src alone: move it to dev-dependencies"));
            }
            taken.insert(name);
        }
    }
    let workspace: Table = fs::read_to_string(root.join("Cargo.toml"))?.parse().context("Cargo.toml")?;
    let offered = workspace["workspace"].get("dependencies").and_then(Value::as_table);
    let idle = offered.into_iter().flat_map(Table::keys).filter(|name| !taken.contains(*name));
    findings.extend(idle.map(|name| format!("Cargo.toml: no member takes {name} from the workspace: take it out")));
    Ok(findings)
}

/// The folders of crates/* and xtask.
fn members(root: &Path) -> Result<Vec<PathBuf>> {
    let mut members = vec![root.join("xtask")];
    for entry in fs::read_dir(root.join("crates"))? {
        members.push(entry?.path());
    }
    members.retain(|folder| folder.join("Cargo.toml").is_file());
    members.sort();
    Ok(members)
}

/// The kind and name of every dependency, those of a target included.
fn dependencies(manifest: &Table) -> BTreeSet<(&'static str, String)> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let places = std::iter::once(manifest).chain(targets.filter_map(Value::as_table));
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let tables =
        places.flat_map(|place| kinds.into_iter().filter_map(|kind| Some((kind, place.get(kind)?.as_table()?))));
    tables.flat_map(|(kind, table)| table.keys().map(move |name| (kind, name.clone()))).collect()
}

fn is_ignored(manifest: &Table, name: &str) -> bool {
    let unused = manifest.get("package").and_then(|package| package.get("metadata")?.get("unused")?.get("ignored"));
    unused.and_then(Value::as_array).is_some_and(|ignored| ignored.iter().any(|entry| entry.as_str() == Some(name)))
}

/// A crate may take itself as a development dependency, to turn on a feature for its tests.
fn is_itself(manifest: &Table, name: &str) -> bool {
    manifest.get("package").and_then(|package| package.get("name")?.as_str()) == Some(name)
}

/// Every name that may be a crate's, in every source file below the folder.
fn named(folder: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.append(&mut named(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            // Comments alone are left out: some attributes hold paths in strings.
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in lines {
                found.extend(heads(line));
                if let Some(borrowed) = elsewhere(folder, line) {
                    found.append(&mut named(&borrowed)?);
                }
            }
        }
    }
    Ok(found)
}

/// The folder of a module that a line borrows from another crate (`#[path = "../../other/tests/support/mod.rs"]`).
fn elsewhere(folder: &Path, line: &str) -> Option<PathBuf> {
    let path = line.trim_start().strip_prefix("#[path = \"")?.split('"').next()?;
    path.starts_with("../../").then(|| folder.join(path).parent().map(Path::to_owned)).flatten()
}

/// The words of a line that begin a path, or follow `use` or `extern crate`.
fn heads(line: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let mut rest = line;
    let mut before = "";
    while let Some(start) = rest.find(is_word) {
        let gap = &rest[..start];
        let length = rest[start..].find(|character| !is_word(character)).unwrap_or(rest.len() - start);
        let (word, after) = rest[start..].split_at(length);
        let begins_path = after.starts_with("::") && !gap.ends_with("::");
        if begins_path || (matches!(before, "use" | "crate") && gap == " ") {
            heads.push(word.to_owned());
        }
        (before, rest) = (word, after);
    }
    heads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_crate_counts() {
        assert_eq!(
            heads("use a::b; pub use c as d; crate::e::f(g::<h>(), i!()); extern crate j;"),
            ["a", "c", "crate", "g", "j"]
        );
        assert_eq!(heads("#[serde(with = \"k::l\")] mod metrics;"), ["k"]);
    }

    #[test]
    fn unused_dependencies_are_found_and_ignored_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("Cargo.toml", "[workspace.dependencies]\nanyhow = '1'\nidle = '1'");
        write(
            "crates/one/Cargo.toml",
            "[package]\nname = 'one'\nmetadata.unused.ignored = ['switch']\n[dependencies]\nanyhow = '1'\nhttp-body = '1'\nswitch = '1'\n\
             [dev-dependencies]\none = { path = '.' }\n[target.'cfg(unix)'.dependencies]\nrustix = '1'",
        );
        write("crates/one/src/deep/file.rs", "use anyhow::Result;");
        write("crates/one/tests/it.rs", "http_body::go()");
        // What a borrowed module names is used by whoever borrows it.
        write("crates/two/Cargo.toml", "[package]\nname = 'two'\n[dev-dependencies]\nanyhow = '1'\nbytes = '1'");
        write("crates/two/src/lib.rs", "");
        write("crates/two/tests/it.rs", "#[path = \"../../one/tests/support/mod.rs\"]\nmod support;");
        write("crates/one/tests/support/mod.rs", "use bytes::Bytes;");
        assert_eq!(
            findings(folder.path()).unwrap(),
            [
                "crates/one/Cargo.toml: http-body is used outside src alone: move it to dev-dependencies",
                "crates/one/Cargo.toml: rustix is not used: take it out",
                "crates/two/Cargo.toml: anyhow is not used: take it out",
                "Cargo.toml: no member takes idle from the workspace: take it out"
            ]
        );
    }
}
