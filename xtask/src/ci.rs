//! `cargo xtask ci`: every check of the project in order, each timed. `.ci/run` starts it.

use crate::command::{cargo, command, output, show};
use crate::steps::Steps;
use crate::{deps, test, tidy};
use anyhow::{Result, bail};
use std::path::Path;

const STEPS: [&str; 7] = ["format", "clippy", "documentation", "tidy", "dependencies", "generated files", "test"];

/// Runs the steps until one fails, and prints how long each took.
pub fn run(root: &Path) -> Result<()> {
    let mut steps = Steps::default();
    let result = run_steps(root, &mut steps);
    println!("\n{}", steps.table(&STEPS));
    result
}

fn run_steps(root: &Path, steps: &mut Steps) -> Result<()> {
    let [format, clippy, documentation, tidiness, dependencies, generated, tests] = STEPS;
    let everything = ["--workspace", "--all-features"];
    steps.step(format, || show(cargo().current_dir(root).args(["fmt", "--all", "--check"])))?;
    steps.step(clippy, || {
        let command = &mut cargo();
        show(command.current_dir(root).arg("clippy").args(everything).args([
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    steps.step(documentation, || {
        let command = &mut cargo();
        show(
            command
                .current_dir(root)
                .args(["doc", "--no-deps"])
                .args(everything)
                .env("RUSTDOCFLAGS", "-D warnings"),
        )
    })?;
    steps.step(tidiness, || tidy::run(root))?;
    steps.step(dependencies, || deps::run(root))?;
    steps.step(generated, || generated_files(root))?;
    steps.step(tests, || test::run(root, None))
}

/// Makes the generated files anew and fails when that changed one of them.
///
/// `.ci/generate` is whatever writes files that are kept in the repository; a project without it has none.
fn generated_files(root: &Path) -> Result<()> {
    let generate = root.join(".ci/generate");
    if !generate.exists() {
        println!("no .ci/generate: this repository keeps no generated files");
        return Ok(());
    }
    let before = state(root)?;
    show(command(&generate).current_dir(root))?;
    let after = state(root)?;
    if before != after {
        show(command("git").current_dir(root).args(["--no-pager", "diff", "--stat"]))?;
        bail!("generated files are not up to date: run .ci/generate and commit what it changes");
    }
    Ok(())
}

/// All that differs from the last commit, so that work in progress does not count as a difference.
fn state(root: &Path) -> Result<String> {
    let changed = output(command("git").current_dir(root).args(["diff", "HEAD"]))?;
    let untracked = ["ls-files", "--others", "--exclude-standard"];
    Ok(changed + &output(command("git").current_dir(root).args(untracked))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn repository(generate: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| output(command("git").current_dir(folder.path()).args(arguments)).unwrap();
        git(&["init", "--quiet"]);
        fs::create_dir(folder.path().join(".ci")).unwrap();
        fs::write(folder.path().join("page"), "one\n").unwrap();
        let script = folder.path().join(".ci/generate");
        fs::write(&script, generate).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        git(&["add", "."]);
        git(&["-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "--quiet", "--message=x"]);
        folder
    }

    #[test]
    fn generated_files_that_are_up_to_date_pass_with_work_in_progress_beside_them() {
        let folder = repository("#!/bin/sh\necho one > page\n");
        fs::write(folder.path().join("draft"), "not committed").unwrap();
        generated_files(folder.path()).unwrap();
    }

    #[test]
    fn a_stale_generated_file_fails() {
        let folder = repository("#!/bin/sh\necho two > page\n");
        let error = generated_files(folder.path()).unwrap_err();
        assert!(error.to_string().contains("not up to date"));
    }
}
