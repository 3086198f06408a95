//! `cargo xtask`: the project's own commands. Each subcommand is a module; this file only tells them apart.
//!
//! Nothing here is part of Keyward the product, and no crate of Keyward depends on it.

// Telling people on their terminal what happens is all that this program is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod browser;
mod ci;
mod clients;
mod command;
mod deps;
mod installation;
mod machine;
mod proxies;
mod steps;
mod tally;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask <command>

  test [--only FILTER]   install what the tests need, then run all of them, or those whose name holds FILTER
  ci                     every check, in the order of .ci/run, with a table of how long each took
  tidy                   the project's own rules on files, functions, layers and words
  deps                   licences, sources, duplicates and unused dependencies, by deny.toml
  clients                install the vendors' published clients and check them against a recorder
  proxies                install the proxies that the tests put before Keyward
  screenshots            every page's pictures into target/screenshots, three of them into docs/images
  storm [ROUNDS]         revocations on three nodes while everything fails, each fault ROUNDS times (100); prints counts
  bench                  cargo bench, then bench/run.sh";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = root();
    let done = match arguments.as_slice() {
        ["test"] => test::run(&root, None),
        ["test", "--only", filter] => test::run(&root, Some(filter)),
        ["ci"] => ci::run(&root),
        ["tidy"] => tidy::run(&root),
        ["deps"] => deps::run(&root),
        ["clients"] => clients::install(&root).map(drop),
        ["proxies"] => proxies::install(&root),
        ["screenshots"] => browser::screenshots(&root),
        ["storm"] => test::storm(&root, "100"),
        ["storm", rounds] => test::storm(&root, rounds),
        ["bench"] => bench::run(&root),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is::<test::Told>() {
                eprintln!("error: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The workspace's folder, wherever the command was typed.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}
