//! `cargo xtask test`: installs what the tests need, runs every test, and ends with one line of counts.

use crate::command::{cargo, ended, show, watch, works};
use crate::steps::Steps;
use crate::tally::Tally;
use crate::{browser, clients, machine, proxies};
use anyhow::{Context as _, Result, bail};
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::Command;

/// Runs all tests, or those whose name holds `only`; an error when one fails or none was found.
///
/// The last line on standard output is `N passed, N failed`. Whatever else is wrong counts as a failure, so that
/// nobody who reads only this line is misled.
pub fn run(root: &Path, only: Option<&str>) -> Result<()> {
    let mut steps = Steps::default();
    let mut all = Tally::default();
    let result = run_steps(root, only, &mut steps, &mut all);
    let all = with_breakdown(all, result.is_ok());
    eprint!("{}", steps.table(&[]));
    if let Err(error) = &result {
        eprintln!("error: {error:#}");
    }
    println!("{}", all.line());
    result.context(Told)
}

/// The context of an error that has been printed already.
#[derive(Debug)]
pub struct Told;

impl std::fmt::Display for Told {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("the tests did not pass")
    }
}

fn run_steps(root: &Path, only: Option<&str>, steps: &mut Steps, all: &mut Tally) -> Result<()> {
    steps.step("packages", packages)?;
    steps.step("clients", || clients::install(root))?;
    steps.step("browser", || browser::install(root))?;
    steps.step("proxies", || proxies::install(root))?;
    // Both run whatever becomes of the first: the counts are of all tests.
    let tests = steps.step("tests", || counted(&mut tests(root, only), all));
    let examples = steps.step("examples in the documentation", || counted(&mut examples(root, only), all));
    tests.and(examples)?;
    if let Some(only) = only.filter(|_| all.passed == 0) {
        bail!("no test's name holds `{only}`");
    }
    Ok(())
}

/// The test of revocations on several nodes while everything fails, for longer than in `run`.
pub fn storm(root: &Path, rounds: &str) -> Result<()> {
    if rounds.parse::<u32>().is_err() {
        bail!("`{rounds}` is no number of rounds");
    }
    packages()?;
    let arguments = ["test", "--release", "--package", "keyward", "--test", "it", "--", "storm::", "--nocapture"];
    show(cargo().current_dir(root).args(arguments).env("KEYWARD_STORM_ROUNDS", rounds))
}

/// What tests start or are started with.
fn packages() -> Result<()> {
    let mut programs = vec![
        ("node", "nodejs"),
        ("npm", "npm"),
        ("curl", "curl"),
        // A load balancer for several nodes, and wrong clocks for some of them.
        ("haproxy", "haproxy"),
        ("faketime", "faketime"),
    ];
    // Either will do; Debian 12 has only the one.
    if machine::find("valkey-server").is_none() {
        programs.push(("redis-server", "redis-server"));
    }
    machine::need_programs(&programs)?;
    if !has_postgresql() {
        // Tests start servers of their own: the cluster that the package would make and start is nobody's.
        machine::install_packages(&["postgresql"])?;
        if !has_postgresql() {
            bail!("postgresql is installed, and yet there is no /usr/lib/postgresql/*/bin/initdb");
        }
    }
    Ok(())
}

/// Whether Debian's PostgreSQL is there; its programs are not on PATH.
fn has_postgresql() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin/initdb")).any(|initdb| initdb.exists())
}

fn tests(root: &Path, only: Option<&str>) -> Command {
    let mut command = cargo();
    command.current_dir(root);
    if works(cargo().args(["nextest", "--version"])) {
        command.args(["nextest", "run", "--workspace", "--all-features", "--no-fail-fast", "--no-tests=pass"]);
        command.args(only);
    } else {
        command.args([
            "test",
            "--workspace",
            "--all-features",
            "--lib",
            "--bins",
            "--tests",
            "--no-fail-fast",
            "--",
        ]);
        command.args(only);
    }
    command
}

/// nextest knows nothing of the documentation's examples: cargo runs them.
fn examples(root: &Path, only: Option<&str>) -> Command {
    let mut command = cargo();
    command
        .current_dir(root)
        .args(["test", "--doc", "--workspace", "--all-features", "--no-fail-fast", "--"])
        .args(only);
    command
}

/// Runs a test runner and adds its counts.
fn counted(command: &mut Command, all: &mut Tally) -> Result<()> {
    if std::io::stderr().is_terminal() {
        // The output goes through a pipe on its way, which would turn colours off.
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut tally = Tally::default();
    let status = watch(command, |line| tally.see(line)).context("the tests did not run")?;
    all.add(&with_breakdown(tally, status.success()));
    ended(command, status)
}

/// A runner that fails without naming a failed test (it could not compile one) counts as one failure.
fn with_breakdown(tally: Tally, success: bool) -> Tally {
    let failed = if success { tally.failed } else { tally.failed.max(1) };
    Tally { failed, ..tally }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_that_breaks_off_counts_as_a_failure() {
        let tally = |passed, failed| Tally { passed, failed, ignored: 0 };
        assert_eq!(with_breakdown(tally(4, 0), false), tally(4, 1));
        assert_eq!(with_breakdown(tally(4, 2), false), tally(4, 2));
        assert_eq!(with_breakdown(tally(4, 0), true), tally(4, 0));
    }
}
