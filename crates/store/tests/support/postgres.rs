//! Stores in a PostgreSQL of this process, each case with a database and a folder of its own.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use keyward_core::clock::ManualClock;
use keyward_core::log::LogKeys;
use keyward_core::store::Store;
use keyward_store::conformance::server::{PostgresServer, ServerOptions};
use keyward_store::conformance::{Fixture, World};
use keyward_store::{PostgresError, PostgresOptions, PostgresStore};
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::{START, log_keys};

/// A server with one database, and the folder of a node.
pub struct PostgresFixture {
    pub server: PostgresServer,
    pub url: String,
    folder: TempDir,
    pub keys: Arc<LogKeys>,
    pub clock: Arc<ManualClock>,
    opened: Mutex<Option<Arc<PostgresStore>>>,
}

impl PostgresFixture {
    pub fn new() -> Self {
        Self::with(ServerOptions::default())
    }

    pub fn with(options: ServerOptions) -> Self {
        let server = PostgresServer::start_with(options);
        let url = server.create_database("keyward");
        PostgresFixture {
            server,
            url,
            folder: tempfile::tempdir().unwrap(),
            keys: log_keys(),
            clock: Arc::new(ManualClock::at(START)),
            opened: Mutex::new(None),
        }
    }

    pub fn dir(&self, node: &str) -> PathBuf {
        self.folder.path().join(node)
    }

    /// The options of a node of this name.
    pub fn options(&self, node: &str) -> PostgresOptions {
        PostgresOptions::new(&self.url, self.dir(node), self.keys.clone(), self.clock.clone())
    }

    pub async fn try_open(&self, node: &str) -> Result<Arc<PostgresStore>, PostgresError> {
        PostgresStore::open(self.options(node)).await.map(Arc::new)
    }

    pub async fn node(&self, node: &str) -> Arc<PostgresStore> {
        self.try_open(node).await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub async fn world(&self, node: &str) -> (Arc<PostgresStore>, World) {
        let store = self.node(node).await;
        (store.clone(), World::new(store, START))
    }

    /// Runs SQL in the store's database as another program would.
    pub fn psql(&self, sql: &str) -> String {
        self.server.psql("keyward", sql)
    }
}

#[async_trait]
impl Fixture for PostgresFixture {
    async fn open(&self) -> Arc<dyn Store> {
        let store = self.node("store").await;
        *self.opened.lock().await = Some(store.clone());
        store
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
        self.folder.path().to_owned()
    }
}
