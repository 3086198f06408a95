//! `keyward org`: the operator's customers.

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::segment;
use super::{Context, PageArgs, print_changed};
use crate::failure::Outcome;
use crate::output::{Column, confirm};

const COLUMNS: &[Column] = &[("ID", "id"), ("NAME", "name"), ("STATE", "state"), ("CREATED", "created_at")];

/// Commands on organizations.
#[derive(Debug, Subcommand)]
pub enum OrganizationCommand {
    /// Make one
    Create {
        /// What it is called
        name: String,
    },
    /// All of them, newest first
    List {
        /// Which part.
        #[command(flatten)]
        page: PageArgs,
    },
    /// One of them
    Show {
        /// Its id
        organization: String,
    },
    /// Give it another name
    Rename {
        /// Its id
        organization: String,
        /// The new name
        name: String,
    },
    /// Refuse its keys until it is resumed
    Suspend {
        /// Its id
        organization: String,
    },
    /// Serve it again
    Resume {
        /// Its id
        organization: String,
    },
    /// Delete it with its projects and keys, for ever
    Delete {
        /// Its id
        organization: String,
    },
}

/// Runs one.
pub async fn run(command: OrganizationCommand, context: &Context) -> Outcome {
    let (client, output) = (context.client()?, context.output);
    let at = |id: &str| format!("/v1/organizations/{}", segment(id));
    let answer = match command {
        OrganizationCommand::List { page } => {
            output.list(&client.list("/v1/organizations", Vec::new(), &page).await?, COLUMNS);
            return Ok(());
        }
        OrganizationCommand::Create { name } => client.post("/v1/organizations", &json!({"name": name})).await?,
        OrganizationCommand::Show { organization } => client.get(&at(&organization), &Vec::new()).await?,
        OrganizationCommand::Rename { organization, name } => {
            client.patch(&at(&organization), &json!({"name": name})).await?
        }
        OrganizationCommand::Suspend { organization } => {
            let question = format!("Refuse every key of {organization} from now on?");
            confirm(context.common.yes, &question)?;
            client.post(&format!("{}/suspend", at(&organization)), &empty()).await?
        }
        OrganizationCommand::Resume { organization } => {
            client.post(&format!("{}/resume", at(&organization)), &empty()).await?
        }
        OrganizationCommand::Delete { organization } => {
            let question = format!("Delete {organization} with its projects and keys for ever?");
            confirm(context.common.yes, &question)?;
            client.delete(&at(&organization)).await?
        }
    };
    print_changed(output, &answer, "organization");
    Ok(())
}

fn empty() -> Value {
    json!({})
}
