//! `keyward project`: the walls around keys.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, segment};
use super::{Context, PageArgs, body, print_changed, print_made, text};
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
    /// Set how many keys may be active, or go back to the contract's limit
    Limit {
        /// Its id
        project: String,
        /// The limit, or `default`
        limit: String,
    },
    /// How often its keys were used
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
}

/// Flags of `project usage`.
#[derive(Debug, Args)]
pub struct UsageArgs {
    /// Its id
    pub project: Option<String>,
    /// From when on
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Until when
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// hour or day
    #[arg(long)]
    pub step: Option<String>,
    /// key or outcome
    #[arg(long)]
    pub by: Option<String>,
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
        ProjectCommand::Usage(args) => return usage(&client, args, context).await,
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
    print_changed(output, &answer, "project");
    Ok(())
}

async fn create(client: &Client, args: CreateArgs) -> Outcome<Value> {
    let body = body([
        ("name", Some(Value::String(args.name))),
        ("api", Some(Value::String(args.api))),
        ("plan", text(&args.plan)),
        ("environment", text(&args.environment)),
    ]);
    client.post(&format!("/v1/organizations/{}/projects", segment(&args.organization)), &body).await
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

async fn usage(client: &Client, args: UsageArgs, context: &Context) -> Outcome {
    let project = named(args.project, client)?;
    let asked = [("from", args.from), ("to", args.to), ("step", args.step), ("by", args.by)];
    let query = asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let found = client.get(&format!("/v1/projects/{}/usage", segment(&project)), &query).await?;
    context.output.list(&found, &[("START", "start"), ("KEY", "key"), ("OUTCOME", "outcome"), ("COUNT", "count")]);
    Ok(())
}
