//! `keyward init`: makes a folder ready. Secrets, an empty store, and the first management key, which is
//! written to the folder's `cli.toml` and shown once.

use std::path::Path;

use clap::Args;
use keyward_core::clock::SystemEntropy;
use keyward_core::secret::Secret;
use serde_json::json;

use super::Context;
use super::target::Profile;
use crate::config::Config;
use crate::failure::{Doing, Failure, Outcome};
use crate::node::{Core, offline};
use crate::private_file;
use crate::secrets::Secrets;

/// Flags of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder is ready, but its last management key was lost: make another. The server must be stopped
    #[arg(long)]
    pub new_management_key: bool,
}

/// Makes the folder ready.
pub async fn run(args: InitArgs, context: &Context) -> Outcome {
    let config = context.config(Vec::new())?;
    let dir = config.dir();
    let secrets = match args.new_management_key {
        true => Secrets::load(&config, &context.environment)?,
        false => prepare(&config, context).await?,
    };
    let key = first_management_key(&config, &secrets).await?;
    let mut profile = Profile::read(&dir)?;
    profile.url.get_or_insert_with(|| config.url_of("control", config.control()));
    profile.check_url.get_or_insert_with(|| config.url_of("check", config.check()));
    profile.management_key = Some(key.expose().to_owned());
    profile.write(&dir)?;
    remember_database(&config)?;
    tell(&dir, &config, &secrets, &key, context);
    Ok(())
}

/// Notes in the folder which database it belongs to, where nothing is configured there yet: without being told, the next
/// command would take it for one of SQLite.
fn remember_database(config: &Config) -> Outcome {
    let file = config.dir().join("keyward.toml");
    let Some(database) = config.database().filter(|database| database.url == database.shown() && !file.exists())
    else {
        return Ok(());
    };
    let mut store = toml::Table::new();
    store.insert("url".into(), database.url.into());
    if let Some(path) = &database.password_file {
        store.insert("password_file".into(), path.display().to_string().into());
    }
    let table = toml::Table::from_iter([("store".to_owned(), toml::Value::Table(store))]);
    private_file::create(&file, &toml::to_string(&table).doing("write the configuration")?)
}

/// Folder and secrets, where neither secrets nor a store are there yet.
async fn prepare(config: &Config, context: &Context) -> Outcome<Secrets> {
    let (dir, file) = (config.dir(), config.secrets_file());
    let place = keyward_store::Place::new(&dir);
    if place.database().exists() {
        return Err(Failure::failed(format!("there is a store in {} already", dir.display())).advise(
            "Start it with `keyward serve`. If its last management key was lost: keyward init --new-management-key.",
        ));
    }
    if let Some(database) = config.database() {
        // Before anything is made: secrets that open nothing in it are worse than none.
        offline::refuse_used(config, &database).await?;
    }
    private_file::create_folder(&dir)?;
    // Secrets that are there already (from the environment, or made before by hand) are taken.
    if file.exists() || context.environment.iter().any(|(name, _)| name.starts_with(crate::config::PEPPER_VARIABLE))
    {
        return Secrets::load(config, &context.environment);
    }
    Secrets::create(&file, &SystemEntropy)
}

async fn first_management_key(config: &Config, secrets: &Secrets) -> Outcome<Secret> {
    let core = Core::start(config, secrets, offline::open(config, secrets).await?).await?;
    let made = core.control.first_management_key("init", "init").await;
    let secret = match made {
        Ok((_, told)) => told.secret().doing("read the management key"),
        Err(error) => Err(Failure::failed(format!("cannot make the management key: {error}"))),
    };
    core.stop().await;
    secret
}

fn tell(dir: &Path, config: &Config, secrets: &Secrets, key: &Secret, context: &Context) {
    let output = context.output;
    let profile = Profile::path(dir);
    if output.is_json() {
        return output.json(&json!({
            "dir": dir.display().to_string(),
            "secrets": secrets.origin().to_string(),
            "cli": profile.display().to_string(),
            "control_url": config.url_of("control", config.control()),
            "management_key": key.expose(),
        }));
    }
    output.line(format!("Ready: {}", dir.display()));
    output.line(format!("  secrets         {}  (keep a copy where the backups are not)", secrets.origin()));
    output.line(format!("  management key  {}  (commands with --dir {} use it)", profile.display(), dir.display()));
    let store = match config.database() {
        Some(database) if database.url != database.shown() => format!(" --store {}", database.shown()),
        _ => String::new(),
    };
    output.line(format!("Next: keyward serve --dir {}{store}", dir.display()));
    output.note("The management key may do everything. This is the only time it is shown:");
    output.verbatim(&format!("{}\n", key.expose()));
}
