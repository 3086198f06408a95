//! `keyward api`: the APIs and their contracts in force.

use clap::Subcommand;

use super::client::segment;
use super::{Context, PageArgs};
use crate::failure::Outcome;

/// Commands on APIs.
#[derive(Debug, Subcommand)]
pub enum ApiCommand {
    /// All APIs
    List {
        /// Which part.
        #[command(flatten)]
        page: PageArgs,
    },
    /// One API; with --contract the contract as it was applied
    Show {
        /// Its name
        api: String,
        /// Print the contract as it was applied
        #[arg(long)]
        contract: bool,
        /// Print the contract with everything it extends merged in
        #[arg(long, conflicts_with = "contract")]
        resolved: bool,
    },
}

/// Runs one.
pub async fn run(command: ApiCommand, context: &Context) -> Outcome {
    let (client, output) = (context.client()?, context.output);
    match command {
        ApiCommand::List { page } => {
            let found = client.list("/v1/apis", Vec::new(), &page).await?;
            output.list(
                &found,
                &[
                    ("NAME", "name"),
                    ("TITLE", "title"),
                    ("REVISION", "revision"),
                    ("APPLIED", "applied_at"),
                    ("PLANS", "plans"),
                ],
            );
        }
        ApiCommand::Show { api, contract, resolved } => {
            let mut found = client.get(&format!("/v1/apis/{}", segment(&api)), &Vec::new()).await?;
            // Some answers wrap the record under its name.
            let wrapped = found["api"].is_object();
            let record = if wrapped && !output.is_json() { &mut found["api"] } else { &mut found };
            match (contract, resolved) {
                (true, _) => output.verbatim(record["contract"].as_str().unwrap_or_default()),
                (_, true) => output.verbatim(record["resolved"].as_str().unwrap_or_default()),
                _ if output.is_json() => output.json(record),
                _ => {
                    if let Some(fields) = record.as_object_mut() {
                        fields.retain(|name, _| name != "contract" && name != "resolved");
                    }
                    output.record(record);
                }
            }
        }
    }
    Ok(())
}
