//! `cargo xtask tidy`: the project's own rules that neither rustfmt nor clippy knows. Each rule is a function from
//! a file to findings; this file collects the files and prints what is found.

mod layers;
mod sizes;
mod source;
mod words;

use crate::command::{command, output};
use anyhow::{Context as _, Result, bail};
use source::Source;
use std::fmt;
use std::path::Path;

/// Something that a rule does not allow: where, and what to do.
pub struct Finding {
    path: String,
    line: usize,
    what: String,
    is_warning: bool,
}

impl Finding {
    fn new(path: &str, line: usize, what: String) -> Self {
        Finding { path: path.to_owned(), line, what, is_warning: false }
    }

    fn warning(path: &str, line: usize, what: String) -> Self {
        Finding { is_warning: true, ..Finding::new(path, line, what) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_warning { "warning: " } else { "" };
        write!(out, "{}:{}: {kind}{}", self.path, self.line, self.what)
    }
}

/// Prints every finding; an error when one of them is not a warning.
pub fn run(root: &Path) -> Result<()> {
    let findings = findings(root)?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.iter().filter(|finding| !finding.is_warning).count() {
        0 => println!("tidy: {} warnings", findings.len()),
        errors => bail!("{errors} findings"),
    }
    Ok(())
}

/// What every rule finds in every file that git tracks or would track.
fn findings(root: &Path) -> Result<Vec<Finding>> {
    let vendors = vendors(root)?;
    let mut findings = Vec::new();
    let mut sources = Vec::new();
    for path in files(root)? {
        // A file that is deleted and not yet committed is still listed; one that is not text has no words.
        let Ok(text) = std::fs::read_to_string(root.join(&path)) else { continue };
        findings.extend(words::text_findings(&path, &text));
        findings.extend(layers::manifest_findings(&path, &text));
        if path.ends_with(".rs") {
            sources.push(Source::new(&path, &text));
        }
    }
    mark_test_modules(&mut sources);
    for source in &sources {
        findings.extend(words::rust_findings(source, &vendors));
        findings.extend(layers::use_case_findings(source));
        findings.extend(sizes::findings(source));
    }
    Ok(findings)
}

fn files(root: &Path) -> Result<Vec<String>> {
    let listed = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let mut files: Vec<String> =
        output(command("git").current_dir(root).args(listed))?.lines().map(str::to_owned).collect();
    files.sort();
    files.dedup();
    Ok(files)
}

/// The vendors are whoever has a contract of their own; `standard` is nobody's name.
fn vendors(root: &Path) -> Result<Vec<String>> {
    let mut vendors = Vec::new();
    for entry in std::fs::read_dir(root.join("contracts")).context("contracts/")? {
        let path = entry?.path();
        let name = path.file_stem().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == "toml") && name != "standard" {
            // Spoken of without the ending, too.
            vendors.push(name.strip_suffix("ai").unwrap_or(&name).to_owned());
        }
    }
    Ok(vendors)
}

/// A file is a test when a file above it declares it under `#[cfg(test)]`.
fn mark_test_modules(sources: &mut [Source]) {
    let mut places = Vec::new();
    for source in sources.iter() {
        let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
        let below = match file {
            "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
            _ => format!("{folder}/{}", file.trim_end_matches(".rs")),
        };
        places.extend(source.test_modules().into_iter().map(|module| format!("{below}/{module}")));
    }
    for source in sources {
        let is_below = |place: &String| {
            source.path.strip_prefix(place.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if places.iter().any(is_below) {
            source.mark_as_test();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn this_repository_is_tidy() {
        let findings = findings(&crate::root()).unwrap();
        let errors: Vec<String> =
            findings.iter().filter(|finding| !finding.is_warning).map(Finding::to_string).collect();
        assert!(errors.is_empty(), "`cargo xtask tidy` has findings:\n{}", errors.join("\n"));
    }

    #[test]
    fn a_repository_with_one_fault_of_each_kind_has_each_finding() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        output(command("git").current_dir(folder.path()).args(["init", "--quiet"])).unwrap();
        write("contracts/vendorlyai.toml", "");
        write("contracts/standard.toml", "");
        write("crates/core/Cargo.toml", "[dependencies]\nkeyward-store.workspace = true\n");
        write("crates/core/src/lib.rs", "//! Head.\n#[cfg(test)]\nmod story;\nmod key;\n");
        write("crates/core/src/story.rs", "//! A test that names Vendorly.\n");
        write("crates/core/src/key.rs", "//! Names Vendorly, which it must not.\n");
        write("crates/core/src/util.rs", "fn f() {}\n");
        let found: Vec<String> = findings(folder.path()).unwrap().iter().map(Finding::to_string).collect();
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(found[0].starts_with("crates/core/Cargo.toml:2: core may not depend on store"));
        assert!(found[1].starts_with("crates/core/src/key.rs:1: a vendor's name, `vendorly`"));
        assert!(found[2].starts_with("crates/core/src/util.rs:1: the first line must be `//!`"));
        assert!(found[3].starts_with("crates/core/src/util.rs:1: `util` says nothing"));
    }
}
