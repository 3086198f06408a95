//! Work on a folder without a server: opening its store, checking its log.

use std::sync::Arc;

use keyward_core::log::SignedHead;
use keyward_core::store::Store;
use keyward_store::SqliteStore;
use keyward_verify::SystemClock;
use serde_json::Value;

use crate::config::{Config, Environment};
use crate::failure::{Doing, Failure, Outcome};
use crate::secrets::Secrets;

/// Opens a folder's store for writing; nobody else may have it open.
///
/// # Errors
/// As the store says, with what to do.
pub async fn open(config: &Config, secrets: &Secrets) -> Outcome<Arc<dyn Store>> {
    let options =
        keyward_store::SqliteOptions::new(config.dir(), Arc::new(secrets.log_keys()), Arc::new(SystemClock));
    match SqliteStore::open(options).await {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => Err(Failure::failed(error.to_string())),
    }
}

/// Opens a folder's store for reading, beside a running server too.
///
/// # Errors
/// As the store says, with what to do.
pub async fn read_only(config: &Config, secrets: &Secrets) -> Outcome<SqliteStore> {
    let keys = Arc::new(secrets.log_keys());
    let opened = SqliteStore::read_only(&config.dir(), keys, Arc::new(SystemClock)).await;
    opened.map_err(|error| Failure::failed(error.to_string()))
}

/// Checks the log of a folder's store against its chain, the signed heads beside it, and one kept elsewhere.
///
/// # Errors
/// Where it cannot be read; what is wrong with the log is the verdict.
pub async fn verify_log(config: &Config, environment: &Environment, kept: Option<SignedHead>) -> Outcome<Value> {
    let secrets = Secrets::load(config, environment)?;
    let store = read_only(config, &secrets).await?;
    let mut heads = store.signed_heads().doing("read the signed heads")?;
    heads.extend(kept);
    let verdict = store.verify_log(&heads).await.doing("check the log")?;
    serde_json::to_value(verdict).doing("write the verdict")
}
