//! The binary: reads the command line, hands over to the module of the command, and turns a failure into a
//! message and an exit code. Wires the other crates together; holds no rule of its own.

mod args;
mod certificates;
mod cli;
mod config;
mod dev;
mod echo;
mod failure;
mod listener;
mod logging;
mod node;
mod ops;
mod output;
mod presets;
mod private_file;
mod process;
mod secrets;
mod serve;
mod setting_up;
mod watching;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};
use cli::Context;
use config::Environment;
use failure::{Doing, Outcome};
use output::Output;

fn main() -> ExitCode {
    process::harden();
    let arguments = Arguments::parse();
    let output = Output::new(arguments.common.json);
    match run(arguments, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit as u8)
        }
    }
}

fn run(arguments: Arguments, output: Output) -> Outcome {
    let context = Context { output, common: arguments.common, environment: Environment::of_process() };
    let mut builder = match arguments.command {
        Command::Serve(_) | Command::Dev(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.enable_all().build().doing("start the runtime")?;
    runtime.block_on(dispatch(arguments.command, &context))
}

async fn dispatch(command: Command, context: &Context) -> Outcome {
    match command {
        Command::Dev(args) => dev::run(args, context).await,
        Command::Init(args) => cli::init::run(args, context).await,
        Command::Serve(args) => serve::run(args, context).await,
        Command::Apply(args) => cli::apply::run(args, context).await,
        Command::Contract(command) => cli::contract::run(command, context),
        Command::Api(command) => cli::api::run(command, context).await,
        Command::Org(command) => cli::organization::run(command, context).await,
        Command::Member(command) => cli::member::run(command, context).await,
        Command::Nodes => cli::nodes::run(context).await,
        Command::Person(command) => cli::person::run(command, context).await,
        Command::Operator(command) => cli::operator::run(command, context).await,
        Command::Project(command) => cli::project::run(command, context).await,
        Command::Usage(args) => cli::usage::run(args, context).await,
        Command::Key(command) => cli::key::run(command, context).await,
        Command::ManagementKey(command) => cli::management_key::run(command, context).await,
        Command::Log(command) => cli::log::run(command, context).await,
        Command::Backup(command) => cli::backup::run(command, context).await,
        Command::Restore(args) => cli::backup::restore(args, context).await,
        Command::Export(args) => cli::transfer::export(args, context).await,
        Command::Import(args) => cli::transfer::import(args, context).await,
        Command::EncryptionKey(command) => cli::encryption_key::run(command, context).await,
        Command::Pepper(command) => cli::pepper::run(command, context).await,
        Command::Doctor => cli::doctor::run(context).await,
        Command::Config(command) => cli::configuration::run(command, context),
        Command::Completions(args) => cli::completions::run(args, context),
    }
}
