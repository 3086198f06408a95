//! `keyward management-key`: keys of the control plane.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::segment;
use super::{Context, ExpiryArgs, PageArgs, body, print_changed, print_made, text, texts};
use crate::failure::Outcome;
use crate::output::{Column, confirm};

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("NAME", "name"),
    ("HINT", "hint"),
    ("STATE", "state"),
    ("SCOPES", "scopes"),
    ("CREATED", "created_at"),
    ("EXPIRES", "expires_at"),
];

/// Commands on management keys.
#[derive(Debug, Subcommand)]
pub enum ManagementKeyCommand {
    /// Make one, no wider than the one it is made with
    Create(CreateArgs),
    /// All of them, newest first
    List {
        /// Which part.
        #[command(flatten)]
        page: PageArgs,
    },
    /// One of them
    Show {
        /// Its id
        key: String,
    },
    /// Put a new one in its place; the old one ends at once
    Rotate {
        /// Its id
        key: String,
    },
    /// End it for ever
    Revoke {
        /// Its id
        key: String,
    },
    /// The management key that is asked with
    Whoami,
}

/// Flags of `management-key create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// What it is called
    pub name: String,
    /// What it may do, such as keys:write or verify; again for more
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    pub scopes: Vec<String>,
    /// Only within this organization
    #[arg(long, value_name = "ID", conflicts_with = "project")]
    pub organization: Option<String>,
    /// Only within this project
    #[arg(long, value_name = "ID")]
    pub project: Option<String>,
    /// When it ends.
    #[command(flatten)]
    pub expiry: ExpiryArgs,
}

/// Runs one.
pub async fn run(command: ManagementKeyCommand, context: &Context) -> Outcome {
    let (client, output) = (context.client()?, context.output);
    let at = |id: &str| format!("/v1/management-keys/{}", segment(id));
    match command {
        ManagementKeyCommand::List { page } => {
            output.list(&client.list("/v1/management-keys", Vec::new(), &page).await?, COLUMNS);
        }
        ManagementKeyCommand::Create(args) => {
            let answer = client.post("/v1/management-keys", &creation(args)?).await?;
            print_made(output, &answer, "management_key");
        }
        ManagementKeyCommand::Show { key } => {
            print_changed(output, &client.get(&at(&key), &Vec::new()).await?, "management_key");
        }
        ManagementKeyCommand::Rotate { key } => {
            confirm(context.common.yes, &format!("Replace {key}? The old one ends at once."))?;
            let answer = client.post(&format!("{}/rotate", at(&key)), &json!({})).await?;
            print_made(output, &answer, "management_key");
        }
        ManagementKeyCommand::Revoke { key } => {
            confirm(context.common.yes, &format!("End {key} for ever?"))?;
            let answer = client.post(&format!("{}/revoke", at(&key)), &json!({})).await?;
            print_changed(output, &answer, "management_key");
        }
        ManagementKeyCommand::Whoami => {
            print_changed(output, &client.get("/v1/whoami", &Vec::new()).await?, "management_key");
        }
    }
    Ok(())
}

fn creation(args: CreateArgs) -> Outcome<Value> {
    let within = match (args.organization, args.project) {
        (Some(id), _) => Some(json!({"organization": id})),
        (None, Some(id)) => Some(json!({"project": id})),
        (None, None) => None,
    };
    Ok(body([
        ("name", Some(Value::String(args.name))),
        ("scopes", texts(&args.scopes)),
        ("within", within),
        ("expires_at", text(&args.expiry.time()?)),
    ]))
}
