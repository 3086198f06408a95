//! `keyward log`: the log of all changes and a project's event log.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use keyward_core::change::Revision;
use keyward_core::log::SignedHead;
use serde_json::Value;

use super::client::{Client, Query, segment};
use super::project::named;
use super::{Context, PageArgs};
use crate::failure::{Doing, Exit, Failure, Outcome};
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
        /// A head that was kept elsewhere, as `log head --json` printed it: the log must still hold it
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
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
    if let LogCommand::Verify { offline: true, head } = &command {
        let kept = head.as_deref().map(read_head).transpose()?;
        let bar = output.progress("Checking the log");
        let config = context.config(Vec::new())?;
        let verdict = node::offline::verify_log(&config, &context.environment, kept).await;
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
        LogCommand::Verify { head, .. } => {
            let kept = head.as_deref().map(read_head).transpose()?;
            let bar = output.progress("Checking the log");
            let verdict = client.get("/v1/changes/verify", &Vec::new()).await;
            bar.finish_and_clear();
            if let Some(kept) = kept {
                check_held(&kept, &client).await?;
            }
            judge(&verdict?, output)
        }
    }
}

/// A head that was kept: what `log head --json` prints, or its `signed_head` alone.
fn read_head(path: &Path) -> Outcome<SignedHead> {
    let text = std::fs::read_to_string(path).doing(format!("read {}", path.display()))?;
    let mut read: Value = serde_json::from_str(&text).doing(format!("read {}", path.display()))?;
    let head = match read.get_mut("signed_head") {
        Some(head) => head.take(),
        None => read,
    };
    serde_json::from_value(head).doing(format!("find a signed head in {}", path.display()))
}

/// Whether the server's log holds a head that was kept.
async fn check_held(kept: &SignedHead, client: &Client) -> Outcome {
    let Revision(revision) = kept.head.revision;
    let query = vec![("after", (revision - 1).to_string()), ("limit", "1".to_owned())];
    let found = client.get("/v1/changes", &query).await?;
    let entry = &found["items"][0];
    let hash = keyward_core::log::to_hex(&kept.head.hash.0);
    if revision == 0 || (entry["revision"] == revision && entry["hash"] == hash) {
        return Ok(());
    }
    let what = if entry.is_null() {
        "ends before it: its tail was cut, or an old copy was put in place"
    } else {
        "has another entry there: it was written anew"
    };
    Err(Failure::new(
        Exit::Failed,
        format!("the log does not hold the head kept of revision {revision}; it {what}"),
    ))
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
