//! The store in PostgreSQL, or in what speaks its language, which several nodes share.
//!
//! [`open`] moves the [`schema`] on and starts [`writer`], [`beside`], [`listener`] and the pools of [`connect`];
//! [`nodes`] is where nodes meet, [`witness`] what each keeps in its own folder, [`reconcile`] puts right what the
//! database lost. The SQL itself is in `sql`, which SQLite shares: the types named below and [`dialect`] are all that
//! ties it to PostgreSQL.

mod beside;
mod connect;
pub(crate) mod dialect;
mod error;
mod listener;
mod moved;
mod nodes;
mod open;
mod reconcile;
pub(crate) mod schema;
#[allow(dead_code, reason = "some of it only the embedded store needs")]
#[path = "../sql/mod.rs"]
pub(crate) mod sql;
mod warnings;
mod witness;
mod writer;

pub use error::PostgresError;
pub use open::PostgresOptions;
pub(crate) use open::first_connection;

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keyward_core::change::{Entry, Proposal, Revision};
use keyward_core::clock::Clock;
use keyward_core::id::StoreId;
use keyward_core::limits::block::{BlockAnswer, BlockAsk};
use keyward_core::log::{LogKeys, SignedHead};
use keyward_core::nodes::Nodes;
use keyward_core::store::{LogVerdict, Result, StoreError};
use sqlx::Row as _;
use sqlx::postgres::PgPool;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::answers::Answer;
use crate::files::heads;
use crate::files::place::{Lock, Place};
use crate::transfer;
use beside::Beside;
use connect::{CHANGES, ENDLESS, Lent, Target};
use error::{LOST, read_failure};
use moved::Moved;
use nodes::Meeting;
use sql::verify;
use sql::writes::Write;
use writer::Command;

pub(crate) type Db = sqlx::Postgres;
pub(crate) type Connection = sqlx::PgConnection;
pub(crate) type Row = sqlx::postgres::PgRow;
type Own = PostgresStore;

/// How long something that is read may take.
const READ: Duration = Duration::from_secs(6);
/// How long an answer to whether it can be written to may take.
const PROBE: Duration = Duration::from_secs(2);

/// State and log in a PostgreSQL database, with a node's journal and signed heads in a folder of its own.
pub struct PostgresStore {
    id: StoreId,
    target: Target,
    log_keys: Arc<LogKeys>,
    clock: Arc<dyn Clock>,
    place: Place,
    readers: PgPool,
    /// None where the store is open for reading only.
    meeting: Option<Arc<Meeting>>,
    writing: Option<Writing>,
    moved: Arc<Moved>,
    warnings: Vec<String>,
}

/// What writes.
struct Writing {
    commands: mpsc::Sender<Command>,
    exchanges: mpsc::Sender<(BlockAsk, Answer<BlockAnswer>)>,
    beside: Arc<Beside>,
    tasks: Mutex<JoinSet<()>>,
    signing: Mutex<Option<std::thread::JoinHandle<()>>>,
    lock: Mutex<Option<Lock>>,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("id", &self.id).field("at", &self.target.at).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens the store, and makes one where the database is empty. Moves the schema on. What the database lost since this
    /// node saw it (a restore, a failover) is made again from the node's journal before this returns, and is told in
    /// [`PostgresStore::warnings`].
    ///
    /// # Errors
    /// Where the database cannot be reached, is a standby, of a newer schema or of other keys, or where the folder is
    /// in use or of another store. Each says what to do.
    pub async fn open(options: PostgresOptions) -> std::result::Result<Self, PostgresError> {
        open::open(options).await
    }

    /// Opens the store for reading only, beside running nodes too: for `log verify` and `doctor`. Nothing is written,
    /// and the folder's lock is not taken.
    ///
    /// # Errors
    /// As [`PostgresStore::open`], where there is no store, or it is of another schema or of other keys.
    pub async fn read_only(options: PostgresOptions) -> std::result::Result<Self, PostgresError> {
        open::read_only(options).await
    }

    /// What of the database's settings breaks a promise, and what was put right when it was opened, in plain words.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Where the store is, for people: database, host and port.
    pub fn at(&self) -> &str {
        &self.target.at
    }

    /// As [`Store::verify_log`](keyward_core::store::Store::verify_log), telling meanwhile how many entries were
    /// checked, of how many.
    ///
    /// # Errors
    /// As every reading.
    pub async fn verify_log_with(
        &self,
        heads: &[SignedHead],
        progress: impl FnMut(u64, u64) + Send,
    ) -> Result<LogVerdict> {
        let mut connection = self.target.connect(ENDLESS).await.map_err(read_failure)?;
        verify::verify(&mut connection, &self.log_keys, self.id, heads, progress).await
    }

    /// A connection for one long reading, which may also pause within a transaction.
    pub(crate) async fn patient_connection(&self) -> Result<Connection> {
        let mut connection = self.target.connect(ENDLESS).await.map_err(read_failure)?;
        let patience = "SET idle_in_transaction_session_timeout = 60000";
        sqlx::Executor::execute(&mut connection, patience).await.map_err(read_failure)?;
        Ok(connection)
    }

    /// A connection that reads.
    async fn lend(&self) -> Result<Lent> {
        Lent::from(&self.readers).await.map_err(read_failure)
    }

    /// Waits for what is read, but not for ever.
    async fn bounded<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let slow = || Err(StoreError::Unavailable("the database did not answer in time".into()));
        timeout(READ, work).await.unwrap_or_else(|_| slow())
    }

    fn settle<T>(&self, lent: Lent, done: Result<T>) -> Result<T> {
        // One that failed may be of no use any more.
        if !matches!(done, Err(StoreError::Unavailable(_))) {
            lent.give_back();
        }
        done
    }

    /// After a failover every connection that idles in the pool is dead: they are passed over, once each at most.
    fn is_worth_another<T>(&self, done: &Result<T>, tried: u32) -> bool {
        matches!(done, Err(StoreError::Unavailable(what)) if what.starts_with(LOST))
            && tried <= self.readers.options().get_max_connections()
    }

    fn writing(&self) -> Result<&Writing> {
        let read_only = || StoreError::Unavailable("the store is open for reading only".into());
        self.writing.as_ref().ok_or_else(read_only)
    }

    async fn make(&self, proposal: Proposal) -> Result<Vec<Entry>> {
        let (answer, answered) = oneshot::channel();
        let sent = self.writing()?.commands.send(Command::Commit(Box::new(proposal), answer)).await;
        sent.map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(StoreError::Unknown("the writer ended meanwhile".into())))
    }

    async fn exchange(&self, ask: &BlockAsk) -> Result<BlockAnswer> {
        let (answer, answered) = oneshot::channel();
        self.writing()?.exchanges.send((ask.clone(), answer)).await.map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(StoreError::Unknown("the store was closed meanwhile".into())))
    }

    async fn write(&self, write: Write) -> Result<bool> {
        self.writing()?.beside.write(&write).await
    }

    async fn copy_to(&self, to: &Path) -> Result<Revision> {
        transfer::export(self, to, &|_, _, _| {}).await
    }

    async fn takes_writes(&self) -> bool {
        let Some(meeting) = &self.meeting else { return false };
        let asked = async {
            let mut lent = Lent::from(&meeting.pool).await?;
            let row = sqlx::query("SHOW transaction_read_only").fetch_one(&mut *lent).await?;
            lent.give_back();
            row.try_get::<String, _>(0)
        };
        if !matches!(timeout(PROBE, asked).await, Ok(Ok(read_only)) if read_only == "off") {
            return false;
        }
        // Once the writer got nowhere, only another connection tells that it would get somewhere again.
        if self.moved.is_stuck() && self.target.connect(CHANGES).await.is_err() {
            return false;
        }
        // Once there was no room, only a write tells that there is again.
        if self.moved.is_full() && self.write(Write::Probe).await.is_ok() {
            self.moved.set_full(false);
        }
        !self.moved.is_full()
    }

    fn meeting_place(&self) -> Option<Arc<dyn Nodes>> {
        let meeting: Arc<dyn Nodes> = Arc::clone(self.meeting.as_ref()?) as _;
        Some(meeting)
    }

    fn kept_heads(&self) -> Result<Vec<SignedHead>> {
        heads::read(&self.place.heads())
            .map_err(|error| StoreError::Unavailable(format!("reading {}: {error}", self.place.heads().display())))
    }

    /// The database goes on; this node's writer, its pools and its folder's lock are let go.
    async fn end(&self) {
        if let Some(writing) = &self.writing {
            let (closed, ended) = oneshot::channel();
            // An error means that the writer has ended already.
            if writing.commands.send(Command::Close(closed)).await.is_ok() {
                let _ = ended.await;
            }
            let mut tasks = std::mem::take(&mut *writing.tasks.lock().unwrap_or_else(PoisonError::into_inner));
            tasks.shutdown().await;
            writing.beside.pool.close().await;
            self.moved.end();
            let signing = writing.signing.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(signing) = signing {
                // It signs the last head before it ends.
                let _ = tokio::task::spawn_blocking(move || signing.join()).await;
            }
        }
        if let Some(meeting) = &self.meeting {
            meeting.pool.close().await;
        }
        self.readers.close().await;
        if let Some(writing) = &self.writing {
            writing.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}
