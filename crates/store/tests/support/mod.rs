//! Stores in folders of their own, for the tests.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod faults;
pub mod postgres;
pub mod proxy;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use keyward_core::clock::{ManualClock, Timestamp};
use keyward_core::log::LogKeys;
use keyward_core::store::Store;
use keyward_store::conformance::{Fixture, World};
use keyward_store::{OpenError, Place, SqliteOptions, SqliteStore};
use tempfile::TempDir;
use tokio::sync::Mutex;

/// When everything begins: 2026-11-20T23:51:20Z.
pub const START: Timestamp = Timestamp::from_millis(1_795_218_680_000);

pub fn log_keys() -> Arc<LogKeys> {
    Arc::new(LogKeys::new(&[1; 32], &[2; 32]))
}

/// A store's folder, which goes away with it.
pub struct SqliteFixture {
    /// None where the folder is somebody else's.
    owned: Option<TempDir>,
    folder: PathBuf,
    pub keys: Arc<LogKeys>,
    pub clock: Arc<ManualClock>,
    opened: Mutex<Option<Arc<SqliteStore>>>,
}

impl SqliteFixture {
    pub fn new() -> Self {
        let owned = tempfile::tempdir().unwrap();
        SqliteFixture { folder: owned.path().to_owned(), owned: Some(owned), ..Self::at(Path::new("")) }
    }

    /// The store below a folder that outlives it.
    pub fn at(folder: &Path) -> Self {
        SqliteFixture {
            owned: None,
            folder: folder.to_owned(),
            keys: log_keys(),
            clock: Arc::new(ManualClock::at(START)),
            opened: Mutex::new(None),
        }
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.join("store")
    }

    pub fn place(&self) -> Place {
        Place::new(self.dir())
    }

    pub fn options(&self) -> SqliteOptions {
        SqliteOptions::new(self.dir(), self.keys.clone(), self.clock.clone())
    }

    pub async fn try_open(&self) -> Result<Arc<SqliteStore>, OpenError> {
        let store = Arc::new(SqliteStore::open(self.options()).await?);
        *self.opened.lock().await = Some(store.clone());
        Ok(store)
    }

    pub async fn store(&self) -> Arc<SqliteStore> {
        self.try_open().await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub async fn world(&self) -> (Arc<SqliteStore>, World) {
        let store = self.store().await;
        (store.clone(), World::new(store, START))
    }

    /// The store as it is open.
    pub async fn opened(&self) -> Arc<SqliteStore> {
        self.opened.lock().await.clone().expect("it is open")
    }

    /// The refusal to open; a panic where it opens.
    pub async fn refusal(&self) -> OpenError {
        match self.try_open().await {
            Ok(_) => panic!("it opened"),
            Err(error) => error,
        }
    }
}

#[async_trait]
impl Fixture for SqliteFixture {
    async fn open(&self) -> Arc<dyn Store> {
        self.store().await
    }

    async fn close(&self) {
        if let Some(store) = self.opened.lock().await.take() {
            store.close().await;
        }
    }

    fn log_keys(&self) -> &LogKeys {
        &self.keys
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn folder(&self) -> PathBuf {
        self.folder.clone()
    }
}

/// Runs SQL on a database as another program would.
pub async fn sql(database: &Path, text: &str) {
    use sqlx::{ConnectOptions, Connection, Executor};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database).foreign_keys(false);
    let mut connection = options.connect().await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(text.to_owned())).await.unwrap();
    connection.close().await.unwrap();
}
