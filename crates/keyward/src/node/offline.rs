//! Opening the store that a configuration names, for a node or for work without one: SQLite in the folder, or a
//! PostgreSQL that several nodes share.

use std::sync::Arc;

use keyward_core::log::{LogKeys, SignedHead};
use keyward_core::store::{LogVerdict, Store};
use keyward_store::{Place, PostgresError, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore};
use keyward_verify::SystemClock;
use serde_json::Value;

use crate::config::{Config, Database, Environment};
use crate::failure::{Doing, Failure, Outcome};
use crate::private_file;
use crate::secrets::Secrets;

/// What to do where a folder without a store is the one of a node on PostgreSQL.
const ELSEWHERE: &str = "If this is the folder of a node on PostgreSQL, say where the database is: --store, or store.url in \
                         its keyward.toml.";

/// Goes on only where a folder was made ready: a node of several that is not told where the database is would begin a
/// store of its own, and refuse every key.
///
/// # Errors
/// That there is no store in it.
pub fn require_store(config: &Config) -> Outcome {
    let place = Place::new(config.dir());
    // Whoever opened a store there has left a lock, also a restore that was cut off.
    match config.database().is_some() || place.database().exists() || place.lock().exists() {
        true => Ok(()),
        false => Err(Failure::failed(format!(
            "there is no store in {}: `keyward init` makes one",
            config.dir().display()
        ))
        .advise(ELSEWHERE)),
    }
}

/// Opens the store for writing. With SQLite nobody else may have it open; PostgreSQL is shared.
///
/// # Errors
/// As the store says, with what to do.
pub async fn open(config: &Config, secrets: &Secrets) -> Outcome<Arc<dyn Store>> {
    let keys = Arc::new(secrets.log_keys());
    let Some(database) = config.database() else {
        let is_there = Place::new(config.dir()).database().exists();
        let options = SqliteOptions::new(config.dir(), keys, Arc::new(SystemClock));
        return match SqliteStore::open(options).await {
            Ok(store) => Ok(Arc::new(store)),
            Err(error) if !is_there => Err(Failure::failed(error.to_string()).advise(ELSEWHERE)),
            Err(error) => Err(Failure::failed(error.to_string())),
        };
    };
    if config.shows_password() {
        tracing::warn!(
            "everybody on this machine can read the password in --store; name a file in store.password_file"
        );
    }
    let store = PostgresStore::open(postgres(config, &database, keys)?).await.map_err(|error| refused(&error))?;
    for warning in store.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(Arc::new(store))
}

/// How to open the database of a configuration.
///
/// # Errors
/// Where the password's file cannot be read, or others can read it.
pub fn postgres(config: &Config, database: &Database, keys: Arc<LogKeys>) -> Outcome<PostgresOptions> {
    let mut options = PostgresOptions::new(&*database.url, config.dir(), keys, Arc::new(SystemClock));
    options.readers = database.connections;
    options.password = match &database.password_file {
        Some(path) => Some(private_file::read(path)?.trim_end_matches(['\r', '\n']).to_owned()),
        None => None,
    };
    Ok(options)
}

/// Goes on only where a database can be reached and holds no store yet.
///
/// # Errors
/// That it holds one, or why that cannot be told.
pub async fn refuse_used(config: &Config, database: &Database) -> Outcome {
    // Whose keys these are does not matter: there is nothing that they could open.
    let keys = Arc::new(LogKeys::new(&[0; 32], &[0; 32]));
    match PostgresStore::read_only(postgres(config, database, keys)?).await {
        Err(PostgresError::NotFound { .. }) => Ok(()),
        Ok(_) | Err(PostgresError::WrongLogKeys { .. }) => {
            Err(Failure::failed(format!("there is a store in {} already", database.shown())).advise(
                "For a further node copy secrets.toml from the folder of another, and start it with `keyward serve`. If \
                 the last management key was lost: keyward init --new-management-key.",
            ))
        }
        Err(error) => Err(refused(&error)),
    }
}

/// A failure of a database, with what to do.
pub fn refused(error: &PostgresError) -> Failure {
    Failure::failed(error.to_string())
}

/// A store that is open for reading, beside running nodes too.
pub enum Readable {
    /// SQLite in a folder.
    Sqlite(SqliteStore),
    /// A PostgreSQL.
    Postgres(Box<PostgresStore>),
}

impl Readable {
    /// The store, whichever it is.
    pub fn store(&self) -> &dyn Store {
        match self {
            Readable::Sqlite(store) => store,
            Readable::Postgres(store) => &**store,
        }
    }

    /// Checks the log, telling meanwhile how many entries were checked, of how many.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub async fn verify_log(
        &self,
        heads: &[SignedHead],
        progress: impl FnMut(u64, u64) + Send,
    ) -> keyward_core::store::Result<LogVerdict> {
        match self {
            Readable::Sqlite(store) => store.verify_log_with(heads, progress).await,
            Readable::Postgres(store) => store.verify_log_with(heads, progress).await,
        }
    }
}

/// Opens the store for reading, beside running nodes too.
///
/// # Errors
/// As the store says, with what to do.
pub async fn read_only(config: &Config, secrets: &Secrets) -> Outcome<Readable> {
    let keys = Arc::new(secrets.log_keys());
    if let Some(database) = config.database() {
        let opened = PostgresStore::read_only(postgres(config, &database, keys)?).await;
        return opened.map(|store| Readable::Postgres(Box::new(store))).map_err(|error| refused(&error));
    }
    let opened = SqliteStore::read_only(&config.dir(), keys, Arc::new(SystemClock)).await;
    opened.map(Readable::Sqlite).map_err(|error| Failure::failed(error.to_string()))
}

/// Checks the log of a store against its chain, the signed heads in the folder, and one kept elsewhere.
///
/// # Errors
/// Where it cannot be read; what is wrong with the log is the verdict.
pub async fn verify_log(config: &Config, environment: &Environment, kept: Option<SignedHead>) -> Outcome<Value> {
    let secrets = Secrets::load(config, environment)?;
    let readable = read_only(config, &secrets).await?;
    let mut heads = readable.store().signed_heads().doing("read the signed heads")?;
    heads.extend(kept);
    let verdict = readable.verify_log(&heads, |_, _| ()).await.doing("check the log")?;
    serde_json::to_value(verdict).doing("write the verdict")
}
