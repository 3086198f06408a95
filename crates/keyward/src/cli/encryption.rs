//! `keyward project destination` and `keyward project data-keys`: what belongs to a project's encryption.

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Client, Waiting, segment};
use super::force::spinner;
use super::project::named;
use super::{Context, note_in_force, print_made};
use crate::failure::Outcome;
use crate::output::{Column, confirm};

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("STATE", "state"),
    ("CREATED", "created_at"),
    ("REPLACED", "replaced_at"),
    ("SHREDDED", "shredded_at"),
];

/// Commands on a project's destination.
#[derive(Debug, Subcommand)]
pub enum DestinationCommand {
    /// Where encrypted requests go
    Show {
        /// The project's id
        project: Option<String>,
    },
    /// Send encrypted requests there from now on
    Set {
        /// The project's id
        project: String,
        /// The address: an https URL, with a path where there is one
        address: String,
    },
    /// Send them nowhere: they are answered with what was made of them
    Clear {
        /// The project's id
        project: String,
    },
}

/// Commands on a project's data keys.
#[derive(Debug, Subcommand)]
pub enum DataKeysCommand {
    /// The data keys, newest first
    List {
        /// The project's id
        project: Option<String>,
    },
    /// Encrypt under a new one from now on; older ones go on opening what they encrypted
    Rotate {
        /// The project's id
        project: String,
    },
    /// Destroy them all: what they encrypted can never be decrypted again
    Shred {
        /// The project's id
        project: String,
        /// Do not wait until no node has them any more
        #[arg(long)]
        no_wait: bool,
    },
}

fn at(project: &str, what: &str) -> String {
    format!("/v1/projects/{}/{what}", segment(project))
}

/// Runs one on the destination.
pub async fn destination(command: DestinationCommand, context: &Context) -> Outcome {
    let (client, output) = (context.client()?, context.output);
    let answer = match command {
        DestinationCommand::Show { project } => {
            client.get(&at(&named(project, &client)?, "destination"), &Vec::new()).await?
        }
        DestinationCommand::Set { project, address } => {
            client.put(&at(&project, "destination"), &json!({ "url": address })).await?
        }
        DestinationCommand::Clear { project } => client.delete(&at(&project, "destination")).await?,
    };
    if output.is_json() {
        output.json(&answer);
        return Ok(());
    }
    match answer["url"].as_str() {
        Some(url) => output.line(url),
        None => output.line("Encrypted requests go nowhere: they are answered with what was made of them."),
    }
    note_in_force(output, &answer);
    Ok(())
}

/// Runs one on the data keys.
pub async fn data_keys(command: DataKeysCommand, context: &Context) -> Outcome {
    let (client, output) = (context.client()?, context.output);
    match command {
        DataKeysCommand::List { project } => {
            let path = at(&named(project, &client)?, "data-keys");
            output.list(&client.get(&path, &Vec::new()).await?, COLUMNS);
        }
        DataKeysCommand::Rotate { project } => {
            let answer = client.post(&at(&project, "data-keys/rotate"), &json!({})).await?;
            print_made(output, &answer, "data_key");
        }
        DataKeysCommand::Shred { project, no_wait } => {
            let answer = shred(&client, &project, Waiting::unless(no_wait), context).await?;
            let keys = answer["data_keys"].as_array().map_or(0, Vec::len);
            if output.is_json() {
                output.json(&answer);
                return Ok(());
            }
            output.line(format!("{keys} data key(s) of {project} are destroyed for ever."));
            note_in_force(output, &answer);
        }
    }
    Ok(())
}

async fn shred(client: &Client, project: &str, waiting: Waiting, context: &Context) -> Outcome<Value> {
    confirm(
        context.common.yes,
        &format!("Destroy all data keys of {project}? Everything it has encrypted can never be decrypted again."),
    )?;
    let bar = spinner(context.output, waiting, "Shredding");
    let answer = client.restrict(&at(project, "data-keys/shred"), &json!({ "acknowledge": true }), waiting).await;
    bar.finish_and_clear();
    answer
}
