//! `keyward pepper`: versions of the secret under every digest. Works on the secrets file and, for counts and
//! retiring, on the folder's store; a server takes a new version into use when it starts again.

use clap::Subcommand;
use keyward_core::clock::SystemEntropy;
use keyward_core::secret::PepperVersion;
use serde_json::{Value, json};

use super::Context;
use crate::failure::{Doing, Exit, Failure, Outcome};
use crate::node::{offline, peppers};
use crate::output::confirm;
use crate::secrets::Secrets;

/// Management keys keep the pepper they were made under: unlike keys they do not move as they are used.
const MANAGEMENT_KEYS: &str = "Management keys made under it stop working too: rotate those first.";

/// Commands on peppers.
#[derive(Debug, Subcommand)]
pub enum PepperCommand {
    /// Add a version; new keys are made under it from the next start on
    Add,
    /// The versions, and how many keys still need each
    List,
    /// Forget a version that no key needs any more; the server must be stopped
    Retire {
        /// The version
        version: PepperVersion,
        /// Even though keys need it: they stop working
        #[arg(long)]
        force: bool,
    },
}

/// Runs one.
pub async fn run(command: PepperCommand, context: &Context) -> Outcome {
    match command {
        PepperCommand::Add => add(context),
        PepperCommand::List => list(context).await,
        PepperCommand::Retire { version, force } => retire(version, force, context).await,
    }
}

fn add(context: &Context) -> Outcome {
    let config = context.config(Vec::new())?;
    let mut secrets = Secrets::load(&config, &context.environment)?;
    let version = secrets.add_pepper(&SystemEntropy)?;
    let output = context.output;
    if output.is_json() {
        output.json(&json!({"version": version, "file": secrets.origin().to_string()}));
        return Ok(());
    }
    output.line(format!("Pepper {version} is in {}.", secrets.origin()));
    output.note(
        "Keep a copy of the file, then start every server of this store again. Keys move to the new pepper as they \
         are used; `keyward pepper list` shows how many still need an older one.",
    );
    Ok(())
}

async fn list(context: &Context) -> Outcome {
    let config = context.config(Vec::new())?;
    let secrets = Secrets::load(&config, &context.environment)?;
    let rows = peppers::known(offline::read_only(&config, &secrets).await?.store(), &secrets).await?;
    let items: Vec<Value> = rows.iter().map(|row| serde_json::to_value(row).unwrap_or_default()).collect();
    let page = json!({"items": items, "next_cursor": null});
    context.output.list(&page, &[("VERSION", "version"), ("STATE", "state"), ("KEYS THAT NEED IT", "keys")]);
    Ok(())
}

async fn retire(version: PepperVersion, force: bool, context: &Context) -> Outcome {
    let config = context.config(Vec::new())?;
    let mut secrets = Secrets::load(&config, &context.environment)?;
    if secrets.versions().last() == Some(&version) {
        return Err(Failure::failed(format!("pepper {version} is the one that new keys are made under"))
            .advise("Add a newer one first: keyward pepper add."));
    }
    let store = offline::open(&config, &secrets).await?;
    let found = store.canaries().await.doing("read the peppers in use")?;
    let keys = found.iter().find(|canary| canary.version == version).map(|canary| canary.keys);
    let outcome = match keys {
        None if !secrets.versions().contains(&version) => {
            Err(Failure::new(Exit::NotFound, format!("there is no pepper {version}")))
        }
        Some(keys) if keys > 0 && !force => Err(Failure::failed(format!(
            "{keys} key(s) still need pepper {version}"
        ))
        .advise("They move to the newest pepper when they are next used. --force ends those that were not.")),
        _ => {
            let lost =
                keys.filter(|&keys| keys > 0).map_or(String::new(), |keys| format!(" {keys} key(s) stop working."));
            confirm(context.common.yes, &format!("Forget pepper {version} for ever?{lost} {MANAGEMENT_KEYS}"))
        }
    };
    let outcome = match outcome {
        // The store first: a pepper at hand that the store has forgotten does no harm, the reverse is refused.
        Ok(()) if keys.is_some() => store.retire_pepper(version).await.doing("retire the pepper"),
        other => other,
    };
    store.close().await;
    outcome?;
    if secrets.versions().contains(&version) {
        secrets.remove_pepper(version)?;
    }
    match context.output.is_json() {
        true => context.output.json(&json!({"version": version, "retired": true})),
        false => context.output.line(format!("Pepper {version} is forgotten.")),
    }
    if context.common.yes {
        // Nobody was asked, so nobody has read it yet.
        context.output.note(MANAGEMENT_KEYS);
    }
    Ok(())
}
