//! Opening a store: the lock, the schema, the threads. What [`super::check`] has to say comes first: nothing is
//! written before the file is known to be a whole store of a known schema.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use keyward_core::change::Revision;
use keyward_core::clock::{Clock, Entropy, SystemEntropy};
use keyward_core::id::StoreId;
use keyward_core::log::{GENESIS, LogKeys};
use sqlx::migrate::Migrator;
use sqlx::{Connection as _, Row as _};
use tokio::sync::{mpsc, oneshot, watch};

use super::error::OpenError;
use super::health::Health;
use super::writer::Writer;
use super::{Connection, SqliteStore, check, connect, earlier_runs, switch};
use crate::files::heads;
use crate::files::journal::Journal;
use crate::files::place::{FileIdentity, Lock, LockError, Place, private_file, sync_folder};
use crate::head::HeadOfLog;

/// The schema, version by version; each one moves a store on in a transaction of its own.
static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
/// How to open a store.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The store's folder; made where it is missing.
    pub dir: PathBuf,
    /// The keys of the log, which are kept elsewhere.
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

impl std::fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteOptions").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl SqliteOptions {
    /// The usual options, for the store in `dir`.
    pub fn new(dir: impl Into<PathBuf>, log_keys: Arc<LogKeys>, clock: Arc<dyn Clock>) -> Self {
        SqliteOptions {
            dir: dir.into(),
            log_keys,
            clock,
            entropy: Arc::new(SystemEntropy),
            readers: 4,
            batch_max: 256,
        }
    }
}

/// Opens the store in a folder, and makes one where there is none.
pub(super) async fn open(options: SqliteOptions) -> Result<SqliteStore, OpenError> {
    let place = Place::new(&options.dir);
    let lock = take_place(&place)?;
    switch::finish(&place).map_err(OpenError::io("put a restored store in place in", place.dir()))?;
    let database = place.database();
    if !check::is_there(&place)? {
        create(&options, &place).await?;
    }
    let Checked { mut connection, id, head, lines, undone } = check_all(&options, &place, &database).await?;
    earlier_runs::settle_earlier_runs(&mut connection).await.map_err(OpenError::database("write", &database))?;
    let path = place.journal();
    let mut journal = Journal::open(&place).map_err(OpenError::io("open the journal", &path))?;
    if let Some(before) = undone {
        journal.void(before, id);
    }
    let readers =
        connect::readers(&database, options.readers).await.map_err(OpenError::database("read", &database))?;
    let identity = FileIdentity::of(&database).map_err(OpenError::io("look at", &database))?;
    let health = Arc::new(Health::new());
    let (moved, followed) = watch::channel(head.revision);
    let (to_sign, heads_to_sign) = std::sync::mpsc::channel();
    let signer = heads::Signer {
        path: place.heads(),
        store: id,
        log_keys: options.log_keys.clone(),
        clock: options.clock.clone(),
        lines,
        signed: Arc::new(Mutex::new(Revision(-1))),
    };
    // The head as found may never have been signed: the last run may have ended just before.
    let _ = to_sign.send(head);
    let writer = Writer {
        connection,
        identity,
        database,
        store: id,
        log_keys: options.log_keys.clone(),
        clock: options.clock.clone(),
        health: health.clone(),
        journal,
        batch_max: options.batch_max,
        moved,
        to_sign,
        pages: 0,
        lock,
    };
    let (commands, asked) = mpsc::channel(options.batch_max * 4);
    let ended = start(writer, asked, signer, heads_to_sign)
        .map_err(OpenError::io("start the writer's thread for", place.dir()))?;
    Ok(SqliteStore {
        id,
        log_keys: options.log_keys,
        clock: options.clock,
        place: Some(place.clone()),
        database: place.database(),
        identity,
        readers,
        writer: Some(super::WriterHandle { commands, ended: tokio::sync::Mutex::new(Some(ended)) }),
        health,
        followed,
    })
}

/// Makes the folder where it is missing, and takes its lock.
pub(crate) fn take_place(place: &Place) -> Result<Lock, OpenError> {
    place.create().map_err(OpenError::io("create the folder", place.dir()))?;
    Lock::take(place).map_err(|error| match error {
        LockError::InUse { pid } => OpenError::InUse { dir: place.dir().to_owned(), pid },
        LockError::Io(error) => OpenError::io("take the lock file", &place.lock())(error),
    })
}

/// A database that may be served.
struct Checked {
    connection: Connection,
    id: StoreId,
    head: HeadOfLog,
    /// How many signed heads lie beside it.
    lines: usize,
    /// Where the log stood before the journal's last line, where that line's transaction did not happen.
    undone: Option<HeadOfLog>,
}

/// Looks at everything there is, and moves the schema on.
async fn check_all(options: &SqliteOptions, place: &Place, database: &Path) -> Result<Checked, OpenError> {
    let log_keys = &options.log_keys;
    check::file(database).await?;
    let mut connection = connect::writer(database).await.map_err(OpenError::database("open", database))?;
    migrate(&mut connection, database).await?;
    let id = identify(&mut connection, database, log_keys).await?;
    let head = check::log(&mut connection, log_keys, database).await?;
    let lines = check::heads(&mut connection, log_keys, place, id, head).await?;
    let undone = check::journal(&mut connection, log_keys, place, id, head).await?;
    Ok(Checked { connection, id, head, lines, undone })
}

/// Starts the two threads of a store: the writer, and whoever signs its heads.
fn start(
    writer: Writer,
    asked: mpsc::Receiver<super::writer::Command>,
    signer: heads::Signer,
    heads_to_sign: std::sync::mpsc::Receiver<HeadOfLog>,
) -> io::Result<oneshot::Receiver<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let signing =
        std::thread::Builder::new().name("keyward-heads".into()).spawn(move || signer.run(&heads_to_sign))?;
    let (end, ended) = oneshot::channel();
    std::thread::Builder::new().name("keyward-writer".into()).spawn(move || {
        let lock = runtime.block_on(writer.run(asked));
        if signing.join().is_err() {
            tracing::error!("the thread that signs heads panicked");
        }
        drop(lock);
        let _ = end.send(());
    })?;
    Ok(ended)
}

/// Opens a store, or a backup, for reading only: the folder, or the file itself. Takes no lock, and can be
/// done beside a running server.
pub(super) async fn read_only(
    path: &Path,
    log_keys: Arc<LogKeys>,
    clock: Arc<dyn Clock>,
) -> Result<SqliteStore, OpenError> {
    let place = path.is_dir().then(|| Place::new(path));
    let database = place.as_ref().map_or_else(|| path.to_owned(), Place::database);
    match std::fs::metadata(&database) {
        Ok(found) if found.len() > 0 => {}
        Ok(_) => return Err(OpenError::NotFound { path: database }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::NotFound { path: database });
        }
        Err(error) => return Err(OpenError::io("look at", &database)(error)),
    }
    check::header(&database)?;
    let mut connection = connect::reader(&database).await.map_err(OpenError::database("read", &database))?;
    let (found, known) = (check::schema(&mut connection, &database).await?, known_schema());
    if found < known {
        return Err(OpenError::Older { path: database, found, known });
    }
    let id = identify(&mut connection, &database, &log_keys).await?;
    connection.close().await.map_err(OpenError::database("read", &database))?;
    let readers = connect::readers(&database, 2).await.map_err(OpenError::database("read", &database))?;
    let identity = FileIdentity::of(&database).map_err(OpenError::io("look at", &database))?;
    let (_, followed) = watch::channel(Revision::ZERO);
    let health = Arc::default();
    Ok(SqliteStore { id, log_keys, clock, place, database, identity, readers, writer: None, health, followed })
}

/// Opens a file that was made elsewhere, to be read only, and tells whose store it is.
pub(crate) async fn open_file(path: &Path, log_keys: &LogKeys) -> Result<(Connection, StoreId), OpenError> {
    if !path.is_file() {
        return Err(OpenError::NotFound { path: path.to_owned() });
    }
    check::file(path).await?;
    let mut connection = connect::reader(path).await.map_err(OpenError::database("read", path))?;
    let (found, known) = (check::schema(&mut connection, path).await?, known_schema());
    if found < known {
        return Err(OpenError::Older { path: path.to_owned(), found, known });
    }
    let id = identify(&mut connection, path, log_keys).await?;
    Ok((connection, id))
}

/// Makes a new, empty database: under another name first, so that one cut off at any point is made anew.
async fn create(options: &SqliteOptions, place: &Place) -> Result<(), OpenError> {
    let (database, draft) = (place.database(), place.new_database());
    let make_room = || -> io::Result<()> {
        for leftover in ["", "-wal", "-shm", "-journal"] {
            let mut path = draft.as_os_str().to_owned();
            path.push(leftover);
            match std::fs::remove_file(PathBuf::from(path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        private_file().write(true).create_new(true).open(&draft).map(|_| ())
    };
    make_room().map_err(OpenError::io("create", &draft))?;
    let failed = |error| OpenError::database("create", &draft)(error);
    let mut connection = connect::writer(&draft).await.map_err(failed)?;
    migrate(&mut connection, &draft).await?;
    create_identity(&mut connection, options).await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    File::open(&draft)
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::rename(&draft, &database))
        .and_then(|()| sync_folder(place.dir()))
        .map_err(OpenError::io("create", &database))
}

/// The last version of the schema that is known here.
pub(super) fn known_schema() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Moves the schema on to the version known here.
pub(crate) async fn migrate(connection: &mut Connection, database: &Path) -> Result<(), OpenError> {
    // Not `run`: its future is not seen to be Send (a limit of the compiler).
    MIGRATIONS.run_direct(None, connection, false).await.map_err(|error| match error {
        sqlx::migrate::MigrateError::Execute(error) => OpenError::database("migrate", database)(error),
        sqlx::migrate::MigrateError::ExecuteMigration(error, _) => OpenError::database("migrate", database)(error),
        error => OpenError::damaged(database, format!("its schema cannot be moved on: {error}")),
    })
}

fn identity_bytes(id: &str, public_key: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b"\0", public_key].concat()
}

/// Which store this is.
pub(super) async fn identify(
    connection: &mut Connection,
    database: &Path,
    log_keys: &LogKeys,
) -> Result<StoreId, OpenError> {
    let failed = |error| OpenError::database("read", database)(error);
    let row =
        sqlx::query("SELECT id, public_key, seal FROM store").fetch_optional(connection).await.map_err(failed)?;
    let Some(row) = row else {
        return Err(OpenError::damaged(database, "the row that says which store it is is missing"));
    };
    let id: &str = row.try_get("id").map_err(failed)?;
    let public_key: &[u8] = row.try_get("public_key").map_err(failed)?;
    let seal: &[u8] = row.try_get("seal").map_err(failed)?;
    let ours =
        public_key == log_keys.public_key() && log_keys.has_sealed("store", &identity_bytes(id, public_key), seal);
    if !ours {
        return Err(OpenError::WrongLogKeys { path: database.to_owned() });
    }
    id.parse().map_err(|_| OpenError::damaged(database, "its id cannot be read"))
}

async fn create_identity(connection: &mut Connection, options: &SqliteOptions) -> sqlx::Result<()> {
    let id = StoreId::random(&*options.entropy).to_string();
    let public_key = options.log_keys.public_key();
    let seal = options.log_keys.seal("store", &identity_bytes(&id, &public_key));
    sqlx::query(
        "INSERT INTO store (only_row, id, created_at, public_key, seal, head_revision, head_hash)
         VALUES (1, $1, $2, $3, $4, 0, $5)",
    )
    .bind(id)
    .bind(options.clock.now().as_millis())
    .bind(public_key.to_vec())
    .bind(seal.to_vec())
    .bind(GENESIS.to_vec())
    .execute(connection)
    .await?;
    Ok(())
}
