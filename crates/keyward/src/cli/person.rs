//! `keyward person`: people's accounts, for operators. An operator's own way back in is `keyward operator`.

use clap::Subcommand;
use keyward_core::id::PersonId;
use serde_json::{Value, json};

use super::client::{Client, segment};
use super::{Context, PageArgs, print_changed, print_link};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::{Column, confirm};

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("E-MAIL", "email"),
    ("NAME", "name"),
    ("OPERATOR", "operator"),
    ("STATE", "state"),
    ("CREATED", "created_at"),
];

/// Commands on people.
#[derive(Debug, Subcommand)]
pub enum PersonCommand {
    /// All of them, newest first
    List {
        /// Operators alone
        #[arg(long)]
        operators: bool,
        /// Which part.
        #[command(flatten)]
        page: PageArgs,
    },
    /// Make a link that signs one in once, within 15 minutes
    SignInLink {
        /// Their mail address or id
        person: String,
    },
    /// Keep one from signing in; sessions and management keys that they made end
    Disable {
        /// Their mail address or id
        person: String,
    },
    /// Let one sign in again
    Enable {
        /// Their mail address or id
        person: String,
    },
}

/// Runs one.
pub async fn run(command: PersonCommand, context: &Context) -> Outcome {
    let (client, output) = (context.client()?, context.output);
    match command {
        PersonCommand::List { operators, page } => {
            let query = if operators { vec![("operator", "true".to_owned())] } else { Vec::new() };
            output.list(&client.list("/v1/people", query, &page).await?, COLUMNS);
        }
        PersonCommand::SignInLink { person } => {
            let path = format!("{}/sign-in-link", at(&client, &person).await?);
            print_link(output, &client.post(&path, &json!({})).await?, None);
        }
        PersonCommand::Disable { person } => {
            confirm(context.common.yes, &format!("Sign {person} out and keep them out?"))?;
            let answer = client.patch(&at(&client, &person).await?, &json!({"disabled": true})).await?;
            print_changed(output, &answer, "person");
        }
        PersonCommand::Enable { person } => {
            let answer = client.patch(&at(&client, &person).await?, &json!({"disabled": false})).await?;
            print_changed(output, &answer, "person");
        }
    }
    Ok(())
}

/// The path of a person, by mail address or id.
async fn at(client: &Client, person: &str) -> Outcome<String> {
    Ok(format!("/v1/people/{}", segment(&id(client, person).await?)))
}

async fn id(client: &Client, person: &str) -> Outcome<String> {
    if person.parse::<PersonId>().is_ok() {
        return Ok(person.to_owned());
    }
    let found: Value = client.get("/v1/people", &vec![("email", person.to_owned())]).await?;
    let id = found["items"][0]["id"].as_str().map(str::to_owned);
    id.ok_or_else(|| Failure::new(Exit::NotFound, "nobody has this mail address"))
}
