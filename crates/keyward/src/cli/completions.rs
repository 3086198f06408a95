//! `keyward completions`: a completion script for a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Context;
use crate::args::Arguments;
use crate::failure::{Doing, Outcome};

/// Flags of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell
    pub shell: Shell,
}

/// Prints the script.
pub fn run(args: CompletionsArgs, context: &Context) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "keyward", &mut script);
    context.output.verbatim(&String::from_utf8(script).doing("write the script")?);
    Ok(())
}
