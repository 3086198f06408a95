//! Opening a store in PostgreSQL: the node's folder, the schema, whether it is the store that the folder knows, and the
//! tasks and pools that serve it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keyward_core::change::Revision;
use keyward_core::clock::{Clock, Entropy, SystemEntropy};
use keyward_core::id::StoreId;
use keyward_core::log::{LogKeys, to_hex};
use sqlx::Row as _;
use sqlx::{Connection as _, Executor};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::beside::Beside;
use super::connect::{CONNECT, ENDLESS, NODES, ORDINARY, Target, says_standby};
use super::error::{Cause, PostgresError};
use super::moved::Moved;
use super::nodes::{Abilities, Meeting};
use super::reconcile::{Made, Reconciler};
use super::schema::{self, NewStore};
use super::sql::verify;
use super::warnings;
use super::witness::{Witness, is_there};
use super::writer::Writer;
use super::{Connection, PostgresStore, Writing, listener};
use crate::files::heads::{self, Signer};
use crate::files::journal::{self, Journal};
use crate::files::place::{Lock, LockError, Place};
use crate::head::HeadOfLog;

/// Links of the log's chain that are checked at every start.
const LINKS_AT_START: i64 = 256;
/// Connections for what is written beside the changes.
const BESIDE: u32 = 4;
/// Connections that nodes live by.
const FOR_NODES: u32 = 3;

/// How to open a store in PostgreSQL.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Where the database is: `postgres://user@host:port/database?sslmode=…`.
    pub url: String,
    /// The password, where it is not in the URL.
    pub password: Option<String>,
    /// This node's own folder, for its journal and its signed heads; made where it is missing.
    pub dir: PathBuf,
    /// The keys of the log, which are kept elsewhere. The same for every node.
    pub log_keys: Arc<LogKeys>,
    /// What signed heads and the age of old records go by.
    pub clock: Arc<dyn Clock>,
    /// Where a new store's id comes from.
    pub entropy: Arc<dyn Entropy>,
    /// Connections that read, at most.
    pub readers: u32,
    /// Proposals that share a transaction, at most.
    pub batch_max: usize,
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresOptions").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl PostgresOptions {
    /// The usual options, for the store at `url` and a node whose folder is `dir`.
    pub fn new(
        url: impl Into<String>,
        dir: impl Into<PathBuf>,
        log_keys: Arc<LogKeys>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        PostgresOptions {
            url: url.into(),
            password: None,
            dir: dir.into(),
            log_keys,
            clock,
            entropy: Arc::new(SystemEntropy),
            readers: 8,
            batch_max: 256,
        }
    }

    pub(crate) fn target(&self) -> Result<Target, PostgresError> {
        Target::new(&self.url, self.password.as_deref())
    }

    /// A store as it would be made anew.
    pub(crate) fn new_store(&self) -> NewStore<'_> {
        let mut epoch = [0; 16];
        self.entropy.fill(&mut epoch);
        NewStore {
            id: StoreId::random(&*self.entropy),
            epoch: to_hex(&epoch),
            log_keys: &self.log_keys,
            now: self.clock.now(),
        }
    }
}

/// A connection for what has to be looked at first.
pub(crate) async fn first_connection(target: &Target) -> Result<Connection, PostgresError> {
    let mut connection = target.connect(ENDLESS).await.map_err(|error| match says_standby(&error) {
        true => PostgresError::Standby { at: target.at.clone() },
        false => PostgresError::Unreachable { at: target.at.clone(), what: error.to_string() },
    })?;
    let failed = |error| PostgresError::database("read the encoding", &target.at)(error);
    let row = connection.fetch_one("SHOW server_encoding").await.map_err(failed)?;
    let found: String = row.try_get(0).map_err(failed)?;
    match found.as_str() {
        "UTF8" => Ok(connection),
        _ => Err(PostgresError::Encoding { at: target.at.clone(), found }),
    }
}

/// Opens the store, and makes one where there is none.
pub(super) async fn open(options: PostgresOptions) -> Result<PostgresStore, PostgresError> {
    let target = options.target()?;
    let place = Place::new(&options.dir);
    place.create().map_err(PostgresError::io("create the folder", place.dir()))?;
    let lock = Lock::take(&place).map_err(|error| match error {
        LockError::InUse { pid } => PostgresError::InUse { dir: place.dir().to_owned(), pid },
        LockError::Io(error) => PostgresError::io("take the lock file", &place.lock())(error),
    })?;
    let mut connection = first_connection(&target).await?;
    let failed = |error| PostgresError::database("read the schema", &target.at)(error);
    if schema::version(&mut connection).await.map_err(failed)?.is_none() {
        let witness = [place.journal(), place.heads()].into_iter().find(|path| is_there(path));
        if let Some(witness) = witness {
            return Err(PostgresError::Lost { at: target.at.clone(), witness });
        }
    }
    schema::migrate(&mut connection, &target, Some(&options.new_store())).await?;
    let (id, _) = schema::identify(&mut connection, &target, &options.log_keys).await?;
    let reading = |error| PostgresError::store("read the log", &target.at)(error);
    let head = verify::verify_end(&mut connection, &options.log_keys, LINKS_AT_START).await.map_err(reading)?;
    let folder = Folder::look(&place, id, &options.log_keys)?;
    let newest = match folder.journal_end {
        Some(end) => {
            let found = verify::find_hash(&mut connection, end.revision).await.map_err(reading)?;
            if found == Some(end.hash) { end.revision } else { Revision::ZERO }
        }
        None => Revision::ZERO,
    };
    let path = place.journal();
    let kept = Journal::open(&place).map_err(PostgresError::io("open the journal", &path))?;
    let witness = Arc::new(Witness::new(place, id, options.log_keys.clone(), kept, newest));
    let abilities = abilities(&mut connection).await.map_err(failed)?;
    let warnings = warnings::of(&mut connection).await;
    let _ = connection.close().await;
    let (store, reconciler) = start(options, target.clone(), witness, abilities, (lock, folder.heads))?;
    let mut store = PostgresStore { warnings, ..store };
    let made = reconciler.reconcile().await.map_err(PostgresError::store("make lost changes again", &target.at))?;
    if made.was_lost {
        store.warnings.push(told(&made));
    }
    // The head as found may never have been signed.
    match made.was_lost {
        true => {}
        false => store.moved.seen(head),
    }
    Ok(store)
}

fn told(made: &Made) -> String {
    let unreadable = match made.replayed.unreadable {
        0 => String::new(),
        lines => format!(
            " {lines} lines of the journal could not be read: whether those changes are in force is not known."
        ),
    };
    format!(
        "the database had lost changes that this node had seen (it was restored from a backup, or a standby that \
         lagged took over): {} restrictive changes were made again from this node's journal, and everybody was signed \
         out.{unreadable} Other changes since are lost.",
        made.replayed.changes
    )
}

/// What lies in a node's folder.
struct Folder {
    journal_end: Option<HeadOfLog>,
    /// How many heads the file has.
    heads: usize,
}

impl Folder {
    /// Looks whether the files are this store's.
    fn look(place: &Place, id: StoreId, log_keys: &LogKeys) -> Result<Self, PostgresError> {
        let path = place.heads();
        let signed = heads::read(&path).map_err(PostgresError::io("read", &path))?;
        let other = signed.iter().find(|signed| signed.head.store != id && log_keys.has_signed(signed));
        if let Some(other) = other {
            return Err(PostgresError::OtherStore { path, found: other.head.store, expected: id });
        }
        let path = place.journal();
        let line = match is_there(&path) {
            true => journal::last_line(&path).map_err(PostgresError::io("read", &path))?,
            false => None,
        };
        if let Some(found) = line.as_ref().and_then(|line| line.store).filter(|found| *found != id) {
            return Err(PostgresError::OtherStore { path, found, expected: id });
        }
        let journal_end = line.and_then(|line| line.end()).map(|(revision, hash)| HeadOfLog { revision, hash });
        Ok(Folder { journal_end, heads: signed.len() })
    }
}

/// Starts the tasks and pools of a store.
fn start(
    options: PostgresOptions,
    target: Target,
    witness: Arc<Witness>,
    abilities: Abilities,
    (lock, lines): (Lock, usize),
) -> Result<(PostgresStore, Arc<Reconciler>), PostgresError> {
    let (to_sign, heads_to_sign) = std::sync::mpsc::channel();
    let signer = Signer {
        path: witness.place.heads(),
        store: witness.store,
        log_keys: options.log_keys.clone(),
        clock: options.clock.clone(),
        lines,
        signed: Arc::clone(&witness.signed),
    };
    let signing = std::thread::Builder::new()
        .name("keyward-heads".into())
        .spawn(move || signer.run(&heads_to_sign))
        .map_err(PostgresError::io("start the thread that signs heads for", witness.place.dir()))?;
    let moved = Arc::new(Moved::new(Some(to_sign)));
    let log_keys = options.log_keys.clone();
    let writer = Writer::new(target.clone(), log_keys, options.batch_max, abilities.notifies, Arc::clone(&moved));
    let (commands, asked) = mpsc::channel(options.batch_max * 4);
    let (exchanges, exchanges_asked) = mpsc::channel(options.batch_max * 4);
    let beside = Arc::new(Beside {
        pool: target.pool(BESIDE, CONNECT, ORDINARY),
        log_keys: options.log_keys.clone(),
        clock: options.clock.clone(),
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&beside).exchange(exchanges_asked));
    tasks.spawn(Arc::clone(&beside).housekeep());
    if abilities.notifies {
        tasks.spawn(listener::listen(target.clone(), Arc::clone(&moved)));
    }
    // Not among them: what was handed over to it is done, whoever drops the store.
    tokio::spawn(writer.run(asked));
    let reconciler = Arc::new(Reconciler {
        target: target.clone(),
        witness: Arc::clone(&witness),
        clock: options.clock.clone(),
        moved: Arc::clone(&moved),
        commands: commands.clone(),
    });
    let meeting = Arc::new(Meeting {
        pool: target.pool(FOR_NODES, Duration::from_secs(2), NODES),
        log_keys: options.log_keys.clone(),
        abilities,
        moved: Arc::clone(&moved),
        witness: Arc::clone(&witness),
        reconciler: Arc::clone(&reconciler),
    });
    let store = PostgresStore {
        id: witness.store,
        readers: target.pool(options.readers, CONNECT, ORDINARY),
        target,
        log_keys: options.log_keys,
        clock: options.clock,
        place: witness.place.clone(),
        meeting: Some(meeting),
        writing: Some(Writing {
            commands,
            exchanges,
            beside,
            tasks: Mutex::new(tasks),
            signing: Mutex::new(Some(signing)),
            lock: Mutex::new(Some(lock)),
        }),
        moved,
        warnings: Vec::new(),
    };
    Ok((store, reconciler))
}

/// What the database can do beside keeping rows.
async fn abilities(connection: &mut Connection) -> sqlx::Result<Abilities> {
    let tells_start = can(connection, "SELECT CAST(pg_postmaster_start_time() AS TEXT)").await?;
    let notifies = can(connection, "SELECT CAST(pg_notify('keyward', '') AS TEXT)").await?;
    Ok(Abilities { tells_start, notifies })
}

async fn can(connection: &mut Connection, sql: &'static str) -> sqlx::Result<bool> {
    match connection.execute(sql).await {
        Ok(_) => Ok(true),
        Err(error) if Cause::of(&error) == Cause::Gone => Err(error),
        Err(_) => Ok(false),
    }
}

/// Opens the store for reading only: nothing is moved on, nothing is made.
pub(super) async fn read_only(options: PostgresOptions) -> Result<PostgresStore, PostgresError> {
    let target = options.target()?;
    let mut connection = first_connection(&target).await?;
    let at = target.at.clone();
    match schema::version(&mut connection).await.map_err(PostgresError::database("read the schema", &at))? {
        None => return Err(PostgresError::NotFound { at }),
        Some(found) if found > schema::KNOWN => {
            return Err(PostgresError::Newer { at, found, known: schema::KNOWN });
        }
        Some(found) if found < schema::KNOWN => {
            return Err(PostgresError::Older { at, found, known: schema::KNOWN });
        }
        Some(_) => {}
    }
    let (id, _) = schema::identify(&mut connection, &target, &options.log_keys).await?;
    let warnings = warnings::of(&mut connection).await;
    let _ = connection.close().await;
    Ok(PostgresStore {
        id,
        readers: target.pool(2, CONNECT, ORDINARY),
        target,
        log_keys: options.log_keys,
        clock: options.clock,
        place: Place::new(&options.dir),
        meeting: None,
        writing: None,
        moved: Arc::new(Moved::new(None)),
        warnings,
    })
}
