//! `keyward config`: the effective configuration, each setting with where it comes from.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Context;
use crate::args::ServeArgs;
use crate::config::Config;
use crate::failure::Outcome;
use crate::secrets::Secrets;

/// Commands on the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Every setting, its value and its source; secrets only by name
    Show(ServeArgs),
}

/// Runs one.
pub fn run(command: ConfigCommand, context: &Context) -> Outcome {
    let ConfigCommand::Show(args) = command;
    let config = context.config(args.flags())?;
    let mut items = config.shown(&context.environment);
    items.push(secrets_row(&config, context));
    if context.output.is_json() {
        let file = config.file.as_ref().map(|file| file.display().to_string());
        context.output.json(&json!({"file": file, "items": items}));
        return Ok(());
    }
    let columns = &[("SETTING", "setting"), ("VALUE", "value"), ("SOURCE", "source"), ("VARIABLE", "variable")];
    context.output.table(columns, &items);
    Ok(())
}

/// What is known of the secrets without showing any.
fn secrets_row(config: &Config, context: &Context) -> Value {
    let (value, source) = match Secrets::load(config, &context.environment) {
        Ok(secrets) => {
            let versions: Vec<_> = secrets.versions().iter().map(u8::to_string).collect();
            (format!("(redacted) pepper versions {}", versions.join(", ")), secrets.origin().to_string())
        }
        Err(failure) => (format!("({})", failure.message), config.secrets_file().display().to_string()),
    };
    json!({"setting": "(secrets)", "value": value, "source": source, "variable": null, "flag": null, "help": null})
}
