//! `keyward contract`: presets and contract files, looked at without a server.

use std::path::PathBuf;

use clap::Subcommand;
use keyward_core::contract::{Contract, Presets};
use serde_json::{Value, json};

use super::Context;
use super::apply::invalid;
use crate::failure::{Doing, Exit, Failure, Outcome};
use crate::presets;

/// Commands on contracts.
#[derive(Debug, Subcommand)]
pub enum ContractCommand {
    /// The presets that ship with Keyward
    List,
    /// A preset's text, or with --resolved all that it extends merged in
    Show {
        /// A preset's name, or a file
        contract: String,
        /// With everything it extends merged in
        #[arg(long)]
        resolved: bool,
    },
    /// Check contract files; each mistake as FILE:LINE: field: reason
    Check {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Runs one.
pub fn run(command: ContractCommand, context: &Context) -> Outcome {
    let presets = presets::load();
    match command {
        ContractCommand::List => list(&presets, context),
        ContractCommand::Show { contract, resolved } => show(&contract, resolved, &presets, context),
        ContractCommand::Check { files } => check(&files, &presets, context),
    }
}

fn list(presets: &Presets, context: &Context) -> Outcome {
    let mut items = Vec::new();
    for name in presets.names() {
        let text = presets.get(name).unwrap_or_default();
        let contract = Contract::read(text, presets).doing(format!("read the preset {name}"))?;
        items.push(json!({"name": name, "title": contract.title, "description": contract.description}));
    }
    let page = json!({"items": items, "next_cursor": null});
    context.output.list(&page, &[("NAME", "name"), ("TITLE", "title"), ("DESCRIPTION", "description")]);
    Ok(())
}

fn show(name: &str, resolved: bool, presets: &Presets, context: &Context) -> Outcome {
    let (text, path) = match presets.get(name) {
        Some(text) => (text.to_owned(), PathBuf::from(format!("{name}.toml"))),
        None => (read_file(name, presets)?, PathBuf::from(name)),
    };
    let contract = Contract::read(&text, presets).map_err(|error| invalid(&path, &error))?;
    let shown = if resolved { contract.resolved } else { text };
    match context.output.is_json() {
        true => context.output.json(&json!({"name": name, "contract": shown})),
        false => context.output.verbatim(&shown),
    }
    Ok(())
}

fn read_file(name: &str, presets: &Presets) -> Outcome<String> {
    std::fs::read_to_string(name).map_err(|_| {
        let known = presets.names().collect::<Vec<_>>().join(", ");
        Failure::new(Exit::NotFound, format!("there is neither a preset nor a file {name}"))
            .advise(format!("There are the presets {known}."))
    })
}

fn check(files: &[PathBuf], presets: &Presets, context: &Context) -> Outcome {
    let mut wrong = Vec::new();
    let mut items: Vec<Value> = Vec::new();
    for file in files {
        let source = std::fs::read_to_string(file).doing(format!("read {}", file.display()))?;
        let verdict = Contract::read(&source, presets);
        if let Err(error) = &verdict {
            wrong.push(invalid(file, error).message);
        }
        let error = verdict.err();
        items.push(json!({
            "file": file.display().to_string(),
            "valid": error.is_none(),
            "line": error.as_ref().and_then(|error| error.line),
            "field": error.as_ref().map(|error| error.field.clone()),
            "reason": error.as_ref().map(|error| error.reason.clone()),
        }));
    }
    match context.output.is_json() {
        true => context.output.json(&json!({"items": items, "next_cursor": null})),
        false if wrong.is_empty() => context.output.line(format!("{} valid.", files.len())),
        false => {}
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::failed(wrong.join("\n"))) }
}
