//! `keyward log`: the log of all changes and a project's event log.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::{Client, Query, segment};
use super::project::named;
use super::{Context, PageArgs};
use crate::failure::{Exit, Failure, Outcome};
use crate::node;
use crate::output::{Column, Output};

const CHANGES: &[Column] = &[
    ("REVISION", "revision"),
    ("AT", "at"),
    ("NAME", "name"),
    ("ACTOR", "actor.name"),
    ("KIND", "actor.kind"),
    ("FROM", "origin.address"),
    ("PROJECT", "project"),
    ("KEY", "key"),
];

const EVENTS: &[Column] = &[
    ("AT", "at"),
    ("NAME", "name"),
    ("KEY", "key"),
    ("COUNT", "count"),
    ("OUTCOME", "outcome"),
    ("ACTOR", "actor.name"),
    ("FROM", "origin.address"),
    ("REVISION", "revision"),
];

/// Commands on the log.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Changes, oldest first
    Show {
        /// Only those after this revision
        #[arg(long, value_name = "REVISION", default_value_t = 0)]
        after: i64,
        /// At most so many, 1 to 200
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
    },
    /// Changes as they happen, one JSON line each with --json; until Ctrl-C
    Follow {
        /// From this revision on [default: from now on]
        #[arg(long, value_name = "REVISION")]
        after: Option<i64>,
    },
    /// A project's changes, uses and refusals, newest first
    Events(EventsArgs),
    /// The last revision, signed: keep it elsewhere to notice a log cut short
    Head,
    /// Check that no change was edited, removed, reordered or cut off
    Verify {
        /// Check the store of --dir itself, without a server
        #[arg(long)]
        offline: bool,
    },
}

/// Flags of `log events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// The project's id
    pub project: Option<String>,
    /// Only of this name, such as key.revoked or key.refused
    #[arg(long)]
    pub name: Option<String>,
    /// Only about this key
    #[arg(long)]
    pub key: Option<String>,
    /// Which part.
    #[command(flatten)]
    pub page: PageArgs,
}

/// Runs one.
pub async fn run(command: LogCommand, context: &Context) -> Outcome {
    let output = context.output;
    if let LogCommand::Verify { offline: true } = command {
        let bar = output.progress("Checking the log");
        let verdict = node::offline::verify_log(&context.config(Vec::new())?, &context.environment).await;
        bar.finish_and_clear();
        return judge(&verdict?, output);
    }
    let client = context.client()?;
    match command {
        LogCommand::Show { after, limit } => {
            let mut query: Query<'_> = vec![("after", after.to_string())];
            query.extend(limit.map(|limit| ("limit", limit.to_string())));
            output.list(&client.get("/v1/changes", &query).await?, CHANGES);
            Ok(())
        }
        LogCommand::Follow { after } => follow(&client, after, output).await,
        LogCommand::Events(args) => events(args, &client, output).await,
        LogCommand::Head => {
            output.record(&client.get("/v1/changes/head", &Vec::new()).await?);
            Ok(())
        }
        LogCommand::Verify { .. } => {
            let bar = output.progress("Checking the log");
            let verdict = client.get("/v1/changes/verify", &Vec::new()).await;
            bar.finish_and_clear();
            judge(&verdict?, output)
        }
    }
}

async fn follow(client: &Client, after: Option<i64>, output: Output) -> Outcome {
    let mut after = match after {
        Some(revision) => revision,
        None => client.get("/v1/changes/head", &Vec::new()).await?["revision"].as_i64().unwrap_or(0),
    };
    loop {
        let query = vec![("after", after.to_string()), ("limit", "200".to_owned())];
        let part = client.get("/v1/changes", &query).await?;
        let items = part["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        for item in items {
            print_change(item, output);
            after = item["revision"].as_i64().unwrap_or(after);
        }
        if items.is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

fn print_change(item: &Value, output: Output) {
    if output.is_json() {
        return output.json(item);
    }
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let about = ["key", "project", "organization"].iter().find_map(|field| item[*field].as_str()).unwrap_or("-");
    let actor = item["actor"]["name"].as_str().or_else(|| item["actor"]["command"].as_str()).unwrap_or("-");
    output.line(format!(
        "{}  {}  {}  {about}  by {actor}",
        item["revision"],
        word(&item["at"]),
        word(&item["name"])
    ));
}

async fn events(args: EventsArgs, client: &Client, output: Output) -> Outcome {
    let project = named(args.project, client)?;
    let filters = [("name", args.name), ("key", args.key)];
    let query = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let found = client.list(&format!("/v1/projects/{}/events", segment(&project)), query, &args.page).await?;
    output.list(&found, EVENTS);
    Ok(())
}

/// Prints a verdict; a broken log is a failure.
fn judge(verdict: &Value, output: Output) -> Outcome {
    if output.is_json() {
        output.json(verdict);
    }
    match verdict["result"].as_str() {
        Some("intact") => {
            output.line(format!(
                "Intact up to revision {}; {} signed heads agree.",
                verdict["revision"], verdict["heads"]
            ));
            Ok(())
        }
        _ => {
            let reason = verdict["reason"].as_str().unwrap_or("no verdict was given");
            Err(Failure::new(
                Exit::Failed,
                format!("the log is broken at revision {}: {reason}", verdict["revision"]),
            )
            .advise("Keep the folder as it is, and compare it with backups and with heads kept elsewhere."))
        }
    }
}
