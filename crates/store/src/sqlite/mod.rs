//! The embedded store: SQLite in one folder, one writer, a few readers.
//!
//! [`open`] opens what [`check`] has looked at; [`writer`] writes (group commit); [`backup`], [`mod@restore`] and [`switch`]
//! copy and put back; [`earlier_runs`] settles what they left. The SQL itself is in `sql`, which PostgreSQL shares: the
//! types named below and [`dialect`] are all that ties it to SQLite.

mod backup;
mod check;
pub(crate) mod connect;
pub(crate) mod dialect;
mod earlier_runs;
mod error;
mod health;
mod open;
mod restore;
#[path = "../sql/mod.rs"]
pub(crate) mod sql;
mod switch;
mod writer;

pub use error::OpenError;
pub use open::SqliteOptions;
pub(crate) use open::{migrate, open_file, take_place};
pub use restore::{JournalFound, RestoreProgress, RestoreReport, restore};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyward_core::change::{Entry, Proposal, Revision};
use keyward_core::clock::Clock;
use keyward_core::id::StoreId;
use keyward_core::limits::block::{BlockAnswer, BlockAsk};
use keyward_core::log::{LogKeys, SignedHead};
use keyward_core::nodes::Nodes;
use keyward_core::store::{LogVerdict, Result, StoreError};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqlitePool;
use tokio::sync::{mpsc, oneshot, watch};

use crate::files::heads;
use crate::files::place::{FileIdentity, Place};
use error::read_failure;
use health::Health;
use sql::verify;
use sql::writes::Write;
use writer::Command;

pub(crate) type Db = sqlx::Sqlite;
pub(crate) type Connection = sqlx::SqliteConnection;
pub(crate) type Row = sqlx::sqlite::SqliteRow;
type Own = SqliteStore;

/// State and log in a SQLite database, with the files that guard it beside it.
pub struct SqliteStore {
    id: StoreId,
    log_keys: Arc<LogKeys>,
    clock: Arc<dyn Clock>,
    place: Option<Place>,
    database: PathBuf,
    /// The file that was opened: another at its path is not the store.
    identity: FileIdentity,
    readers: SqlitePool,
    /// None where the store is open for reading only.
    writer: Option<WriterHandle>,
    health: Arc<Health>,
    followed: watch::Receiver<Revision>,
}

struct WriterHandle {
    commands: mpsc::Sender<Command>,
    ended: tokio::sync::Mutex<Option<oneshot::Receiver<()>>>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore")
            .field("id", &self.id)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the store in a folder, and makes one where there is none. A restore that was cut off after all
    /// was ready is finished first.
    ///
    /// # Errors
    /// Where the folder is in use, a file is missing, damaged or of a newer schema, the log's keys are
    /// others, or the log is shorter than it once was. Each says what to do.
    pub async fn open(options: SqliteOptions) -> std::result::Result<Self, OpenError> {
        open::open(options).await
    }

    /// Opens a store (its folder) or a backup (the file) for reading only, beside a running server too: for
    /// `log verify` and `doctor`. Nothing is checked but what the file is and whose.
    ///
    /// # Errors
    /// As [`SqliteStore::open`], where the file is missing, of another schema or of other keys.
    pub async fn read_only(
        path: &Path,
        log_keys: Arc<LogKeys>,
        clock: Arc<dyn Clock>,
    ) -> std::result::Result<Self, OpenError> {
        open::read_only(path, log_keys, clock).await
    }

    /// The last revision, as a value to wait on: a hint that there is more to read. Stays at zero where the
    /// store is open for reading only.
    pub fn follow(&self) -> watch::Receiver<Revision> {
        self.followed.clone()
    }

    /// What SQLite has to say against the file; nothing where it is whole. Reads all of it.
    ///
    /// # Errors
    /// As every reading.
    pub async fn check_file(&self) -> Result<Vec<String>> {
        let mut connection = self.lend().await?;
        check::quick_check(&mut connection).await.map_err(read_failure)
    }

    /// As [`Store::verify_log`](keyward_core::store::Store::verify_log), telling meanwhile how many entries were checked, of how many.
    ///
    /// # Errors
    /// As every reading.
    pub async fn verify_log_with(
        &self,
        heads: &[SignedHead],
        progress: impl FnMut(u64, u64) + Send,
    ) -> Result<LogVerdict> {
        let mut connection = self.lend().await?;
        verify::verify(&mut connection, &self.log_keys, self.id, heads, progress).await
    }

    /// A connection that reads.
    async fn lend(&self) -> Result<PoolConnection<Db>> {
        self.readers.acquire().await.map_err(read_failure)
    }

    /// Waits for what is read: a file always answers.
    async fn bounded<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        work.await
    }

    fn settle<T>(&self, _lent: PoolConnection<Db>, done: Result<T>) -> Result<T> {
        done
    }

    fn is_worth_another<T>(&self, _done: &Result<T>, _tried: u32) -> bool {
        false
    }

    async fn make(&self, proposal: Proposal) -> Result<Vec<Entry>> {
        self.ask(|answer| Command::Commit(Box::new(proposal), answer)).await
    }

    async fn exchange(&self, ask: &BlockAsk) -> Result<BlockAnswer> {
        self.ask(|answer| Command::Exchange(Box::new(ask.clone()), answer)).await
    }

    /// Asks the writer for something. The work is the writer's from then on: dropping the future that waits
    /// for the answer changes nothing of it.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command) -> Result<T> {
        let Some(writer) = &self.writer else {
            return Err(StoreError::Unavailable("the store is open for reading only".into()));
        };
        self.health.check()?;
        let (answer, answered) = oneshot::channel();
        let sent = writer.commands.send(command(answer)).await;
        sent.map_err(|_| StoreError::Unavailable("the store is closed".into()))?;
        answered.await.unwrap_or_else(|_| Err(StoreError::Unknown("the writer ended meanwhile".into())))
    }

    /// Has the writer write something that is no change; says whether there is more to do of the kind.
    async fn write(&self, write: Write) -> Result<bool> {
        self.ask(|answer| Command::Write(write, answer)).await
    }

    async fn copy_to(&self, to: &Path) -> Result<Revision> {
        backup::backup(&self.database, self.identity, to).await
    }

    async fn takes_writes(&self) -> bool {
        let Some(writer) = &self.writer else { return false };
        if self.health.check().is_err() || writer.commands.is_closed() {
            return false;
        }
        // Once there was no room, only a write tells that there is again.
        !self.health.is_full() || self.write(Write::Probe).await.is_ok()
    }

    /// None: the lock on its folder keeps every other process out.
    fn meeting_place(&self) -> Option<Arc<dyn Nodes>> {
        None
    }

    fn kept_heads(&self) -> Result<Vec<SignedHead>> {
        let Some(place) = &self.place else { return Ok(Vec::new()) };
        heads::read(&place.heads())
            .map_err(|error| StoreError::Unavailable(format!("reading {}: {error}", place.heads().display())))
    }

    /// The files are closed and the lock is let go, too. Without it the next start recovers.
    async fn end(&self) {
        self.readers.close().await;
        let Some(writer) = &self.writer else { return };
        // An error means that the writer has ended already.
        let _ = writer.commands.send(Command::Close).await;
        if let Some(ended) = writer.ended.lock().await.take() {
            let _ = ended.await;
        }
    }
}
