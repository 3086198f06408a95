//! `keyward project`: the walls around keys.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, segment};
use super::encryption::{self, DataKeysCommand, DestinationCommand};
use super::usage::{self, UsageArgs};
use super::{Context, PageArgs, body, limits, print_changed, print_made, text};
use crate::failure::{Failure, Outcome};
use crate::output::{Column, confirm};

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("NAME", "name"),
    ("API", "api"),
    ("PLAN", "plan"),
    ("ENVIRONMENT", "environment"),
    ("STATE", "state"),
    ("KEYS", "active_keys"),
    ("CREATED", "created_at"),
];

/// Commands on projects.
#[derive(Debug, Subcommand)]
pub enum ProjectCommand {
    /// Make one
    Create(CreateArgs),
    /// An organization's projects, newest first
    List {
        /// The organization's id
        organization: String,
        /// Which part.
        #[command(flatten)]
        page: PageArgs,
    },
    /// One of them
    Show {
        /// Its id
        project: Option<String>,
    },
    /// Give it another name
    Rename {
        /// Its id
        project: String,
        /// The new name
        name: String,
    },
    /// Put it on another plan
    Plan {
        /// Its id
        project: String,
        /// One of the contract's plans
        plan: String,
    },
    /// Where its encrypted requests go
    #[command(subcommand)]
    Destination(DestinationCommand),
    /// The keys under which its fields are encrypted
    #[command(subcommand)]
    DataKeys(DataKeysCommand),
    /// Set how many keys may be active, or go back to the contract's limit (others: `edit --limit`)
    Limit {
        /// Its id
        project: String,
        /// The limit, or `default`
        limit: String,
    },
    /// Change its name, plan, limits or access, all at once
    Edit(EditArgs),
    /// Its plan, and how its limits stand
    Limits {
        /// Its id
        project: Option<String>,
        /// A key, for limits that count each key alone
        #[arg(long)]
        key: Option<String>,
    },
    /// How often its keys were used, drawn over time
    Usage(UsageArgs),
    /// Refuse its keys until it is resumed
    Suspend {
        /// Its id
        project: String,
    },
    /// Serve it again
    Resume {
        /// Its id
        project: String,
    },
    /// Delete it with its keys, for ever
    Delete {
        /// Its id
        project: String,
    },
}

/// Flags of `project create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The organization's id
    pub organization: String,
    /// What it is called
    pub name: String,
    /// The API that its keys open
    #[arg(long)]
    pub api: String,
    /// Its plan [default: the contract's]
    #[arg(long)]
    pub plan: Option<String>,
    /// live or test [default: live]
    #[arg(long)]
    pub environment: Option<String>,
    /// It has access, where its plan asks for your word
    #[arg(long)]
    pub access: bool,
}

/// Flags of `project edit`.
#[derive(Debug, Args)]
pub struct EditArgs {
    /// Its id
    pub project: String,
    /// Another name
    #[arg(long)]
    pub name: Option<String>,
    /// Another of the contract's plans
    #[arg(long)]
    pub plan: Option<String>,
    /// A limit of its own, with a rate's burst where wanted, or the plan's again; again for more
    #[arg(long = "limit", value_name = "NAME=LIMIT[:BURST]|plan")]
    pub limits: Vec<String>,
    /// Whether it has access, where its plan asks for your word: on or off
    #[arg(long, value_name = "on|off", value_parser = ["on", "off"], hide_possible_values = true)]
    pub access: Option<String>,
}

/// The project that was named, or the one of the folder's profile.
///
/// # Errors
/// Where there is neither.
pub fn named(project: Option<String>, client: &Client) -> Outcome<String> {
    project
        .or_else(|| client.target().project.clone())
        .ok_or_else(|| Failure::usage("which project? Name its id: proj_…"))
}

/// Runs one.
pub async fn run(command: ProjectCommand, context: &Context) -> Outcome {
    let (client, output) = (context.client()?, context.output);
    let at = |id: &str| format!("/v1/projects/{}", segment(id));
    let answer = match command {
        ProjectCommand::List { organization, page } => {
            let path = format!("/v1/organizations/{}/projects", segment(&organization));
            output.list(&client.list(&path, Vec::new(), &page).await?, COLUMNS);
            return Ok(());
        }
        ProjectCommand::Create(args) => {
            let answer = create(&client, args).await?;
            print_made(output, &answer, "project");
            return Ok(());
        }
        ProjectCommand::Destination(command) => return encryption::destination(command, context).await,
        ProjectCommand::DataKeys(command) => return encryption::data_keys(command, context).await,
        ProjectCommand::Usage(args) => return usage::run(args, context).await,
        ProjectCommand::Limits { project, key } => {
            return limits::show(&client, &named(project, &client)?, key, context).await;
        }
        ProjectCommand::Edit(args) => client.patch(&at(&args.project), &edit(&args)?).await?,
        ProjectCommand::Show { project } => client.get(&at(&named(project, &client)?), &Vec::new()).await?,
        ProjectCommand::Rename { project, name } => client.patch(&at(&project), &json!({"name": name})).await?,
        ProjectCommand::Plan { project, plan } => client.patch(&at(&project), &json!({"plan": plan})).await?,
        ProjectCommand::Limit { project, limit } => {
            client.patch(&at(&project), &json!({"active_key_limit": limit_of(&limit)?})).await?
        }
        ProjectCommand::Suspend { project } => {
            confirm(context.common.yes, &format!("Refuse every key of {project} from now on?"))?;
            client.post(&format!("{}/suspend", at(&project)), &json!({})).await?
        }
        ProjectCommand::Resume { project } => client.post(&format!("{}/resume", at(&project)), &json!({})).await?,
        ProjectCommand::Delete { project } => {
            confirm(context.common.yes, &format!("Delete {project} with its keys for ever?"))?;
            client.delete(&at(&project)).await?
        }
    };
    match output.is_json() {
        true => output.json(&answer),
        false => print_changed(output, &for_people(answer), "project"),
    }
    Ok(())
}

/// Limits of its own as they are named on the command line.
fn for_people(mut answer: Value) -> Value {
    let named = limits::shown(&answer["project"]["limits"]);
    answer["project"]["limits"] = if named.is_empty() { Value::Null } else { named.into() };
    answer
}

async fn create(client: &Client, args: CreateArgs) -> Outcome<Value> {
    let body = body([
        ("name", Some(Value::String(args.name))),
        ("api", Some(Value::String(args.api))),
        ("plan", text(&args.plan)),
        ("environment", text(&args.environment)),
        ("access", args.access.then_some(Value::Bool(true))),
    ]);
    client.post(&format!("/v1/organizations/{}/projects", segment(&args.organization)), &body).await
}

fn edit(args: &EditArgs) -> Outcome<Value> {
    let body = body([
        ("name", text(&args.name)),
        ("plan", text(&args.plan)),
        ("limits", limits::named(&args.limits)?),
        ("access", args.access.as_deref().map(|access| Value::Bool(access == "on"))),
    ]);
    match body.as_object().is_some_and(|fields| fields.is_empty()) {
        true => Err(Failure::usage("what is to change? Give --name, --plan, --limit or --access.")),
        false => Ok(body),
    }
}

fn limit_of(text: &str) -> Outcome<Value> {
    match text {
        "default" => Ok(Value::Null),
        number => match number.parse::<u32>() {
            Ok(limit) => Ok(limit.into()),
            Err(_) => Err(Failure::usage(format!("{number} is neither a whole number nor `default`"))),
        },
    }
}
