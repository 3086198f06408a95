//! `keyward encryption-key`: versions of the key that data keys are wrapped under. Works on the secrets file, and on the
//! store through the server, which goes on meanwhile.

use std::time::Duration;

use clap::Subcommand;
use keyward_core::clock::SystemEntropy;
use serde_json::{Value, json};

use super::Context;
use super::client::Client;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::confirm;
use crate::secrets::Secrets;

/// How often the server is asked whether it has taken a new version into use, and how long between.
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Commands on key-encryption keys.
#[derive(Debug, Subcommand)]
pub enum EncryptionKeyCommand {
    /// Add a version to the secrets file; servers that read it take it into use within seconds
    Add,
    /// The versions, and how many data keys are wrapped under each
    List,
    /// Wrap all data keys anew under the newest version, while everything goes on; again to go on where it was cut off
    Rewrap,
    /// Destroy a version that no data key needs any more
    Retire {
        /// The version
        version: u32,
    },
}

/// Runs one.
pub async fn run(command: EncryptionKeyCommand, context: &Context) -> Outcome {
    match command {
        EncryptionKeyCommand::Add => add(context),
        EncryptionKeyCommand::List => list(context).await,
        EncryptionKeyCommand::Rewrap => rewrap(context).await,
        EncryptionKeyCommand::Retire { version } => retire(version, context).await,
    }
}

fn secrets(context: &Context) -> Outcome<Secrets> {
    Secrets::load(&context.config(Vec::new())?, &context.environment)
}

fn add(context: &Context) -> Outcome {
    let mut secrets = secrets(context)?;
    let version = secrets.add_encryption_key(&SystemEntropy)?;
    let output = context.output;
    if output.is_json() {
        output.json(&json!({"version": version, "file": secrets.origin().to_string()}));
        return Ok(());
    }
    output.line(format!("Key-encryption key {version} is in {}.", secrets.origin()));
    output.note(
        "Keep a copy of the file, and bring it to every server of this store before anything else: what is wrapped under \
         a version opens only where it is. Servers take it into use by themselves. Then: keyward encryption-key rewrap.",
    );
    Ok(())
}

async fn list(context: &Context) -> Outcome {
    let at_hand = secrets(context)?.encryption_versions();
    let client = context.client()?;
    let mut answer = client.get("/v1/encryption-keys", &Vec::new()).await?;
    let items = answer["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let mut rows: Vec<Value> = items.into_iter().map(|row| told(&row, &at_hand)).collect();
    for version in at_hand {
        if !rows.iter().any(|row| row["version"] == version) {
            rows.push(json!({"version": version, "state": "at hand", "data_keys": 0}));
        }
    }
    rows.sort_by_key(|row| row["version"].as_u64());
    let page = json!({"items": rows, "next_cursor": null});
    context.output.list(&page, &[("VERSION", "version"), ("STATE", "state"), ("DATA KEYS UNDER IT", "data_keys")]);
    Ok(())
}

/// A version as the server knows it, beside what the file here has.
fn told(row: &Value, at_hand: &[u32]) -> Value {
    let is_here =
        row["version"].as_u64().is_some_and(|version| at_hand.iter().any(|own| u64::from(*own) == version));
    let state = match (row["is_current"].as_bool(), is_here) {
        (_, false) => "missing",
        (Some(true), true) => "current",
        _ => "in use",
    };
    json!({"version": row["version"], "state": state, "data_keys": row["data_keys"]})
}

async fn rewrap(context: &Context) -> Outcome {
    let newest = secrets(context)?.encryption_versions().last().copied();
    let client = context.client()?;
    if let Some(newest) = newest {
        wait_until_current(&client, newest).await?;
    }
    let output = context.output;
    let bar = output.progress("Wrapping data keys anew");
    let mut done = 0;
    let last = loop {
        let answer = client.post("/v1/encryption-keys/rewrap", &json!({})).await?;
        let now = answer["rewrapped"].as_u64().unwrap_or(0);
        done += now;
        let left = answer["left"].as_u64().unwrap_or(0);
        bar.set_message(format!("Wrapping data keys anew: {done} of {}", done + left));
        if left == 0 || now == 0 {
            break answer;
        }
    };
    bar.finish_and_clear();
    let left = last["left"].as_u64().unwrap_or(0);
    if output.is_json() {
        output.json(
            &json!({"current": last["current"], "rewrapped": done, "left": left, "failure": last["failure"]}),
        );
    }
    if left > 0 {
        let reason = last["failure"].as_str().unwrap_or("they changed meanwhile: run it again");
        return Err(Failure::failed(format!(
            "{left} data key(s) are still wrapped under another version: {reason}"
        )));
    }
    output.line(format!("{done} data key(s) are wrapped anew, under version {}; none is left.", last["current"]));
    output.note(
        "Make a backup now (keyward backup create): older ones need the older version. Then an older version that nothing \
         needs can go: keyward encryption-key retire VERSION.",
    );
    Ok(())
}

/// Servers look at their file every few seconds.
async fn wait_until_current(client: &Client, newest: u32) -> Outcome {
    let mut current = None;
    for _ in 0..LOOKS {
        let answer = client.get("/v1/encryption-keys", &Vec::new()).await?;
        let rows = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        current = rows.iter().find(|row| row["is_current"] == true).and_then(|row| row["version"].as_u64());
        if current.is_some_and(|current| current >= u64::from(newest)) {
            return Ok(());
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    let current = current.map_or("none".into(), |current| current.to_string());
    Err(Failure::failed(format!(
        "the server does not use version {newest} of the secrets file here, but {current}"
    ))
    .advise("Bring the file to every server of this store first."))
}

async fn retire(version: u32, context: &Context) -> Outcome {
    let mut secrets = secrets(context)?;
    let versions = secrets.encryption_versions();
    if versions.last() == Some(&version) {
        return Err(Failure::failed(format!("version {version} is the one that data keys are wrapped under"))
            .advise("Add a newer one first: keyward encryption-key add, then rewrap."));
    }
    let client = context.client()?;
    let known = client.get("/v1/encryption-keys", &Vec::new()).await?;
    let is_known = known["items"].as_array().is_some_and(|rows| rows.iter().any(|row| row["version"] == version));
    if !versions.contains(&version) && !is_known {
        return Err(Failure::new(Exit::NotFound, format!("there is no key-encryption key {version}")));
    }
    confirm(
        context.common.yes,
        &format!(
            "Destroy key-encryption key {version} for ever? Data keys in older backups that are wrapped under it cannot be opened then."
        ),
    )?;
    // The store first: it refuses while anything needs the version, and lets nothing be wrapped under it after.
    client.post(&format!("/v1/encryption-keys/{version}/retire"), &json!({})).await?;
    if secrets.encryption_keys().any(|(own, _)| own == version) {
        secrets.remove_encryption_key(version)?;
    }
    match context.output.is_json() {
        true => context.output.json(&json!({"version": version, "retired": true})),
        false => context.output.line(format!("Key-encryption key {version} is destroyed.")),
    }
    context.output.note(
        "Remove it from every copy of the secrets file too: whoever has one can open what older backups hold.",
    );
    Ok(())
}
