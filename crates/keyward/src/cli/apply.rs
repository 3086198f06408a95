//! `keyward apply`: puts a contract file in force, or shows what would change. What is wrong with it is
//! reported as `FILE:LINE: field: reason`.

use std::path::{Path, PathBuf};

use clap::Args;
use http::Method;
use keyward_core::contract::Contract;
use serde_json::Value;

use super::client::{Client, Payload, segment};
use super::{Context, note_in_force};
use crate::failure::{Doing, Exit, Failure, Outcome};
use crate::output::Column;
use crate::presets;

/// Columns of a difference.
pub const DIFFERENCE: &[Column] = &[("FIELD", "field"), ("BEFORE", "before"), ("AFTER", "after")];

/// Flags of `apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The contract
    pub file: PathBuf,
    /// The API's name [default: the contract's `api`]
    #[arg(long, value_name = "NAME")]
    pub api: Option<String>,
    /// Only show what would change
    #[arg(long)]
    pub dry_run: bool,
}

/// Runs it.
pub async fn run(args: ApplyArgs, context: &Context) -> Outcome {
    let source = std::fs::read_to_string(&args.file).doing(format!("read {}", args.file.display()))?;
    let api = match &args.api {
        Some(name) => name.clone(),
        None => api_named_in(&source, &args.file)?,
    };
    let client = context.client()?;
    let answer = put(&client, &api, &source, args.dry_run).await.map_err(|f| at_lines(f, &args.file))?;
    let output = context.output;
    warn_without_encryption_key(&client, &source, context).await;
    if output.is_json() {
        output.json(&answer);
        return Ok(());
    }
    let differences = answer["differences"].as_array().map(Vec::as_slice).unwrap_or_default();
    match differences {
        [] => output.line("No difference."),
        found => output.table(DIFFERENCE, found),
    }
    if args.dry_run {
        output.note("Dry run: nothing was changed.");
    } else {
        output.line(format!("{api} is in force at revision {}.", answer["api"]["revision"]));
        note_in_force(output, &answer);
    }
    Ok(())
}

/// Says so where a contract encrypts and the server has no key to do it with. Who may not ask is not told.
async fn warn_without_encryption_key(client: &Client, source: &str, context: &Context) {
    let encrypts = Contract::read(source, &presets::load()).is_ok_and(|contract| contract.encryption.is_some());
    if !encrypts {
        return;
    }
    if let Err(failure) = client.get("/v1/encryption-keys", &Vec::new()).await
        && failure.problem.as_ref().is_some_and(|problem| problem["status"] == 503)
    {
        context.output.note(
            "This contract encrypts fields, and the server has no key-encryption key: encryption answers 503 until there is \
             one (keyward encryption-key add).",
        );
    }
}

/// Puts a contract in force, or asks for the difference.
///
/// # Errors
/// The server's refusal.
pub async fn put(client: &Client, api: &str, source: &str, dry_run: bool) -> Outcome<Value> {
    let query = if dry_run { vec![("dry_run", "true".to_owned())] } else { Vec::new() };
    let path = format!("/v1/apis/{}", segment(api));
    client.call(Method::PUT, &path, &query, Payload::Contract(source)).await
}

/// The name that the file itself gives; a file that cannot be read is reported here, before any call.
fn api_named_in(source: &str, file: &Path) -> Outcome<String> {
    let contract = Contract::read(source, &presets::load()).map_err(|error| invalid(file, &error))?;
    match contract.api {
        Some(name) => Ok(name.to_string()),
        None => {
            Err(Failure::usage(format!("{}: names no API", file.display()))
                .advise("Write api = \"…\" or give --api."))
        }
    }
}

/// A contract's mistake as `FILE:LINE: field: reason`.
pub fn invalid(file: &Path, error: &keyward_core::contract::ContractError) -> Failure {
    let line = error.line.map(|line| format!(":{line}")).unwrap_or_default();
    let field = if error.field.is_empty() { String::new() } else { format!("{}: ", error.field) };
    Failure::failed(format!("{}{line}: {field}{}", file.display(), error.reason))
}

/// Puts the file's name in front of the server's complaints.
fn at_lines(mut failure: Failure, file: &Path) -> Failure {
    let wrong =
        failure.problem.as_ref().and_then(|problem| problem["errors"].as_array()).cloned().unwrap_or_default();
    let lines: Vec<_> = wrong
        .iter()
        .filter(|wrong| failure.exit == Exit::Failed && wrong["message"].is_string())
        .map(|wrong| {
            let line = wrong["line"].as_u64().map(|line| format!(":{line}")).unwrap_or_default();
            let field = wrong["field"].as_str().filter(|field| !field.is_empty());
            let field = field.map(|field| format!("{field}: ")).unwrap_or_default();
            format!("{}{line}: {field}{}", file.display(), wrong["message"].as_str().unwrap_or_default())
        })
        .collect();
    if !lines.is_empty() {
        failure.message = lines.join("\n");
        failure.advice = Some("The contract in force was left as it is.".into());
    }
    failure
}
