//! `keyward export` and `keyward import`: a whole store, its log and chain included, from SQLite or PostgreSQL into one
//! file, and from that into an empty folder or database. What is in the file, and the copying, are the store's business.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use keyward_core::store::LogVerdict;
use keyward_store::{SqliteStore, transfer};
use keyward_verify::SystemClock;
use serde_json::json;

use super::Context;
use crate::failure::{Doing, Failure, Outcome};
use crate::node::offline::{self, Readable};
use crate::output::Output;
use crate::secrets::Secrets;

/// Flags of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The file to write; there must be none yet
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
}

/// Flags of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// What `keyward export` or `keyward backup create` wrote
    #[arg(long, value_name = "FILE")]
    pub from: PathBuf,
}

/// Writes everything that a store holds into a file, and checks it. Nodes may go on meanwhile.
pub async fn export(args: ExportArgs, context: &Context) -> Outcome {
    let config = context.config(Vec::new())?;
    let secrets = Secrets::load(&config, &context.environment)?;
    if args.to.exists() {
        return Err(Failure::usage(format!("there is something at {} already", args.to.display())));
    }
    let readable = offline::read_only(&config, &secrets).await?;
    let bar = rows(context.output, "Exporting");
    let written = match &readable {
        Readable::Sqlite(store) => keyward_core::store::Store::backup(store, &args.to).await,
        Readable::Postgres(store) => transfer::export(store, &args.to, &told_by(&bar)).await,
    };
    readable.store().close().await;
    let checked = match written.doing("export") {
        Ok(_) => check(&args.to, &secrets, &bar).await,
        Err(failure) => Err(failure),
    };
    bar.finish_and_clear();
    let revision = checked.inspect_err(|_| {
        // A file that was not checked is no export: nobody should take it for one.
        let _ = std::fs::remove_file(&args.to);
    })?;
    let output = context.output;
    if output.is_json() {
        output.json(&json!({"file": args.to.display().to_string(), "revision": revision}));
        return Ok(());
    }
    output.line(format!("Exported everything up to revision {revision} to {}.", args.to.display()));
    output.note(
        "What is changed from now on is not in it. It opens nothing without the secrets file: keep that too.",
    );
    Ok(())
}

/// Whether the log in an export is whole; its last revision.
async fn check(file: &Path, secrets: &Secrets, bar: &ProgressBar) -> Outcome<i64> {
    let opened = SqliteStore::read_only(file, Arc::new(secrets.log_keys()), Arc::new(SystemClock)).await;
    let store = opened.map_err(|error| Failure::failed(error.to_string()))?;
    let verdict = store.verify_log_with(&[], |done, total| show(bar, "checking the log", done, total)).await;
    keyward_core::store::Store::close(&store).await;
    match verdict.doing("check the export")? {
        LogVerdict::Intact { revision, .. } => Ok(revision.0),
        LogVerdict::Broken { revision, reason } => Err(Failure::failed(format!(
            "the log is broken at revision {revision}: {reason}; nothing was exported"
        ))),
    }
}

/// Reads an export into an empty folder or database, and checks all of it before it counts.
pub async fn import(args: ImportArgs, context: &Context) -> Outcome {
    let config = context.config(Vec::new())?;
    if !args.from.is_file() {
        return Err(Failure::usage(format!("there is no file {}", args.from.display())));
    }
    let secrets = Secrets::load(&config, &context.environment).map_err(|failure| {
        failure.advise("An import needs the secrets of the store that was exported: copy them first.")
    })?;
    let keys = Arc::new(secrets.log_keys());
    let bar = rows(context.output, "Importing");
    let imported = match config.database() {
        Some(database) => {
            let options = offline::postgres(&config, &database, keys)?;
            transfer::import(&args.from, &options, &told_by(&bar)).await.map_err(|error| offline::refused(&error))
        }
        None => transfer::import_into_folder(&args.from, &config.dir(), &keys)
            .await
            .map_err(|error| Failure::failed(error.to_string())),
    };
    bar.finish_and_clear();
    let imported = imported?;
    let at = config.database().map_or_else(|| config.dir().display().to_string(), |database| database.shown());
    let output = context.output;
    if output.is_json() {
        output.json(&json!({"store": imported.store, "revision": imported.revision, "at": at}));
        return Ok(());
    }
    output.line(format!("Imported {} up to revision {} into {at}.", imported.store, imported.revision));
    output.line("Its log and every seal were checked. Keys work as they did.");
    output.note(
        "Start it with `keyward serve` and the same flags. The old store is as it was: serve only one of them.",
    );
    Ok(())
}

/// A bar that fills up; nothing where nobody looks.
fn rows(output: Output, what: &str) -> ProgressBar {
    let bar = output.progress(what);
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {prefix}: {msg} {wide_bar} {pos} of {len} ({elapsed})")
    {
        bar.set_style(style);
    }
    bar.set_prefix(what.to_owned());
    bar.set_message("");
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn told_by(bar: &ProgressBar) -> impl Fn(&'static str, u64, u64) + Send + Sync {
    let bar = bar.clone();
    move |table, done, total| show(&bar, &table.replace('_', " "), done, total)
}

fn show(bar: &ProgressBar, what: &str, done: u64, total: u64) {
    bar.set_length(total);
    bar.set_position(done);
    bar.set_message(what.to_owned());
}
