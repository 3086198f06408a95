//! `keyward backup` asks a running server for a copy; `keyward restore` puts one in the place of a stopped store.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use keyward_core::clock::Clock;
use keyward_store::{JournalFound, RestoreProgress, RestoreReport, restore as restore_store};
use keyward_verify::SystemClock;
use serde_json::{Value, json};

use super::{Context, body, text};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, confirm};
use crate::secrets::Secrets;

/// Commands on backups.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Write a backup beside the server's store, while it goes on working
    Create {
        /// The file's name [default: made from the time]
        #[arg(long)]
        name: Option<String>,
    },
}

/// Flags of `restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup
    pub file: PathBuf,
}

/// Runs one.
pub async fn run(command: BackupCommand, context: &Context) -> Outcome {
    let BackupCommand::Create { name } = command;
    let (client, output) = (context.client()?, context.output);
    let bar = output.progress("Writing the backup");
    let answer = client.post("/v1/backups", &body([("name", text(&name))])).await;
    bar.finish_and_clear();
    output.record(&answer?);
    output.note("A backup holds no secret that opens anything. Keep the secrets file elsewhere: both are needed.");
    Ok(())
}

/// Restores.
pub async fn restore(args: RestoreArgs, context: &Context) -> Outcome {
    let config = context.config(Vec::new())?;
    let dir = config.dir();
    if let Some(database) = config.database() {
        return Err(Failure::usage(format!("{} is restored by PostgreSQL's own means", database.shown())).advise(
            "Then start every node: each makes again what its journal says was taken away since. An export or a backup \
             of Keyward's goes into an empty database: keyward import.",
        ));
    }
    if !args.file.is_file() {
        return Err(Failure::usage(format!("there is no file {}", args.file.display())));
    }
    let secrets = Secrets::load(&config, &context.environment)?;
    let question = format!("Put {} in the place of the store in {}?", args.file.display(), dir.display());
    confirm(context.common.yes, &question)?;
    let bar = context.output.progress("Restoring");
    let progress = |at: RestoreProgress| bar.set_message(told(at));
    let keys = secrets.log_keys();
    let report = restore_store(&dir, &args.file, &keys, SystemClock.now(), progress).await;
    bar.finish_and_clear();
    let report = report.map_err(|error| Failure::failed(error.to_string()))?;
    tell(&report, context.output);
    Ok(())
}

fn told(progress: RestoreProgress) -> String {
    match progress {
        RestoreProgress::Copying => "Copying the backup".into(),
        RestoreProgress::Checking { done, total } => format!("Checking its log: {done} of {total}"),
        RestoreProgress::ReadingJournal { done } => format!("Making revocations since then again: {done} read"),
        RestoreProgress::Switching => "Putting it in place".into(),
    }
}

fn tell(report: &RestoreReport, output: Output) {
    let lost = report.lost_head.map_or(0, |head| (head.0 - report.backup_revision.0).max(0));
    if output.is_json() {
        return output.json(&as_json(report, lost));
    }
    output.line(format!("Restored {} as of revision {}.", report.store, report.backup_revision));
    output.line(format!("{} restrictive change(s) since then were made again.", report.replayed));
    match report.journal {
        JournalFound::Missing => output
            .note("WARNING: there was no journal. Keys revoked since the backup work again: revoke them anew."),
        JournalFound::Read { unreadable, .. } if unreadable > 0 => output.note(format!(
            "WARNING: {unreadable} line(s) of the journal could not be read. Keys revoked by them work again."
        )),
        JournalFound::Read { .. } => {}
    }
    if lost > 0 {
        output.note(format!(
            "{lost} revision(s) after the backup are gone; what they granted or renamed has to be done again."
        ));
    }
    if let Some(aside) = &report.aside {
        output.line(format!("The old files are in {}.", aside.display()));
    }
}

fn as_json(report: &RestoreReport, lost: i64) -> Value {
    let journal = match report.journal {
        JournalFound::Missing => json!({"found": false}),
        JournalFound::Read { since, passed_over, unreadable } => {
            json!({"found": true, "since": since, "passed_over": passed_over, "unreadable": unreadable})
        }
    };
    json!({
        "store": report.store,
        "backup_revision": report.backup_revision,
        "revision": report.revision,
        "lost_head": report.lost_head,
        "lost_revisions": lost,
        "replayed": report.replayed,
        "journal": journal,
        "aside": report.aside.as_ref().map(|aside| aside.display().to_string()),
    })
}
