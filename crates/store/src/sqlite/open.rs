//! Opening a store: the lock, what the folder holds, the schema, and the checks that come before anything is
//! served. Nothing is written before the file is known to be a whole store of a known schema.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyward_core::change::Revision;
use keyward_core::clock::{Clock, Entropy, SystemEntropy};
use keyward_core::id::StoreId;
use keyward_core::log::{GENESIS, LogKeys};
use keyward_core::store::StoreError;
use sqlx::migrate::Migrator;
use sqlx::{Connection as _, Row as _};
use tokio::sync::{mpsc, oneshot, watch};

use super::batch::HeadOfLog;
use super::error::OpenError;
use super::health::Health;
use super::journal::{self, Journal};
use super::place::{FileIdentity, Lock, Place, private_file, sync_folder};
use super::writer::Writer;
use super::{Connection, SqliteStore, connect, heads, switch, verify};

/// The schema, version by version; each one moves a store on in a transaction of its own.
static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
/// "KYWD", as the first migration sets it.
const APPLICATION: i64 = 0x4b59_5744;
/// What every SQLite file begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Links of the log's chain that are checked at every start.
const LINKS_AT_START: i64 = 256;

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
    place.create()?;
    let lock = Lock::take(&place)?;
    switch::finish(&place).map_err(OpenError::io("put a restored store in place in", place.dir()))?;
    let database = place.database();
    if !is_there(&place)? {
        create(&options, &place).await?;
    }
    check_file(&database).await?;
    let mut connection = connect::writer(&database).await.map_err(OpenError::database("open", &database))?;
    migrate(&mut connection, &database).await?;
    let id = identify(&mut connection, &database, &options.log_keys).await?;
    let head = check_log(&mut connection, &options.log_keys, &database).await?;
    let lines = check_heads(&mut connection, &options, &place, id, head).await?;
    check_journal(&mut connection, &options.log_keys, &place, id, head).await?;
    let journal = Journal::open(&place)?;
    let readers =
        connect::readers(&database, options.readers).await.map_err(OpenError::database("read", &database))?;

    let health = Arc::new(Health::default());
    let (moved, followed) = watch::channel(head.revision);
    let (to_sign, heads_to_sign) = std::sync::mpsc::channel();
    let signer = heads::Signer {
        path: place.heads(),
        store: id,
        log_keys: options.log_keys.clone(),
        clock: options.clock.clone(),
        lines,
    };
    // The head as found may never have been signed: the last run may have ended just before.
    let _ = to_sign.send(head);
    let writer = Writer {
        connection,
        identity: FileIdentity::of(&database).map_err(OpenError::io("look at", &database))?,
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
        readers,
        writer: Some(super::WriterHandle { commands, ended: tokio::sync::Mutex::new(Some(ended)) }),
        health,
        followed,
    })
}

/// Starts the two threads of a store: the writer, and whoever signs its heads.
fn start(
    writer: Writer,
    asked: mpsc::Receiver<super::writer::Command>,
    signer: heads::Signer,
    heads_to_sign: std::sync::mpsc::Receiver<HeadOfLog>,
) -> io::Result<oneshot::Receiver<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let signing = std::thread::Builder::new()
        .name("keyward-heads".into())
        .spawn(move || signer.run(&heads_to_sign))?;
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
    check_header(&database)?;
    let mut connection = connect::reader(&database).await.map_err(OpenError::database("read", &database))?;
    let (found, known) = (schema(&mut connection, &database).await?, known_schema());
    if found < known {
        return Err(OpenError::Older { path: database, found, known });
    }
    let id = identify(&mut connection, &database, &log_keys).await?;
    connection.close().await.map_err(OpenError::database("read", &database))?;
    let readers = connect::readers(&database, 2).await.map_err(OpenError::database("read", &database))?;
    let (_, followed) = watch::channel(Revision::ZERO);
    Ok(SqliteStore { id, log_keys, clock, place, database, readers, writer: None, health: Arc::default(), followed })
}

/// Whether there is a database; an error where there was one. A new one gets its name only once it is whole,
/// so one that is empty was emptied.
fn is_there(place: &Place) -> Result<bool, OpenError> {
    let database = place.database();
    match std::fs::metadata(&database) {
        Ok(found) if found.len() > 0 => return Ok(true),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(OpenError::io("look at", &database)(error)),
    }
    let witnesses = [place.journal(), place.heads(), place.write_ahead_log(), database.clone()];
    match witnesses.into_iter().find(|witness| witness.exists()) {
        Some(witness) => Err(OpenError::Lost { path: database, witness }),
        None => Ok(false),
    }
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

/// Checks a database file without writing to it.
pub(super) async fn check_file(database: &Path) -> Result<(), OpenError> {
    check_header(database)?;
    let failed = |error| OpenError::database("read", database)(error);
    let mut connection = connect::reader(database).await.map_err(failed)?;
    schema(&mut connection, database).await?;
    let complaints = quick_check(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    match complaints.is_empty() {
        true => Ok(()),
        false => Err(OpenError::damaged(database, complaints.join("; "))),
    }
}

/// What SQLite has to say against the file; nothing where it is whole.
pub(super) async fn quick_check(connection: &mut Connection) -> sqlx::Result<Vec<String>> {
    let mut lines: Vec<String> = sqlx::query_scalar("PRAGMA quick_check(5)").fetch_all(connection).await?;
    lines.retain(|line| line != "ok");
    Ok(lines)
}

fn check_header(database: &Path) -> Result<(), OpenError> {
    let mut header = [0; 100];
    let read = File::open(database).and_then(|mut file| file.read_exact(&mut header));
    match read {
        Ok(()) if header.starts_with(MAGIC) => Ok(()),
        Ok(()) => Err(OpenError::damaged(database, "it does not begin like a SQLite file")),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(OpenError::damaged(database, "it is too short for a SQLite file"))
        }
        Err(error) => Err(OpenError::io("read", database)(error)),
    }
}

fn known_schema() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// The version of the schema.
async fn schema(connection: &mut Connection, database: &Path) -> Result<i64, OpenError> {
    let failed = |error| OpenError::database("read", database)(error);
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    if !tables.iter().any(|name| name == "_sqlx_migrations") {
        return Err(OpenError::damaged(database, "it is a SQLite file, but not one of Keyward's"));
    }
    let found: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    let (found, known) = (found.unwrap_or(0), known_schema());
    if found > known {
        return Err(OpenError::Newer { path: database.to_owned(), found, known });
    }
    let application: i64 =
        sqlx::query_scalar("PRAGMA application_id").fetch_one(connection).await.map_err(failed)?;
    if application != APPLICATION {
        return Err(OpenError::damaged(database, "it is a SQLite file, but not one of Keyward's"));
    }
    Ok(found)
}

/// Moves the schema on to the version known here.
pub(super) async fn migrate(connection: &mut Connection, database: &Path) -> Result<(), OpenError> {
    // Not `run`: its future is not seen to be Send (a limit of the compiler).
    MIGRATIONS.run_direct(None, connection, false).await.map_err(|error| match error {
        sqlx::migrate::MigrateError::Execute(error) => OpenError::database("migrate", database)(error),
        sqlx::migrate::MigrateError::ExecuteMigration(error, _) => {
            OpenError::database("migrate", database)(error)
        }
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
    let row = sqlx::query("SELECT id, public_key, seal FROM store").fetch_optional(connection).await.map_err(failed)?;
    let Some(row) = row else {
        return Err(OpenError::damaged(database, "the row that says which store it is is missing"));
    };
    let id: &str = row.try_get("id").map_err(failed)?;
    let public_key: &[u8] = row.try_get("public_key").map_err(failed)?;
    let seal: &[u8] = row.try_get("seal").map_err(failed)?;
    let ours = public_key == log_keys.public_key()
        && log_keys.has_sealed("store", &identity_bytes(id, public_key), seal);
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

async fn check_log(connection: &mut Connection, log_keys: &LogKeys, database: &Path) -> Result<HeadOfLog, OpenError> {
    verify::verify_end(connection, log_keys, LINKS_AT_START).await.map_err(store_error(database))
}

/// An error of reading as one of opening.
pub(super) fn store_error(database: &Path) -> impl FnOnce(StoreError) -> OpenError {
    let path = database.to_owned();
    move |error| match error {
        StoreError::Damaged(what) => OpenError::Damaged { path, what },
        error => OpenError::Io { doing: "read", path, error: io::Error::other(error) },
    }
}

/// Compares the log with the newest head that was signed; returns how many heads the file has.
async fn check_heads(
    connection: &mut Connection,
    options: &SqliteOptions,
    place: &Place,
    id: StoreId,
    head: HeadOfLog,
) -> Result<usize, OpenError> {
    let witness = place.heads();
    let all = heads::read(&witness).map_err(OpenError::io("read", &witness))?;
    if all.is_empty() && head.revision > Revision::ZERO {
        tracing::warn!(
            path = %witness.display(),
            "there are no signed heads beside the store: whether its log was cut cannot be told"
        );
    }
    let Some(newest) = all.iter().rev().find(|signed| options.log_keys.has_signed(signed)) else {
        return match all.is_empty() {
            true => Ok(0),
            false => Err(OpenError::damaged(&witness, "none of its heads was signed with this store's key")),
        };
    };
    let newest = newest.head;
    if newest.store != id {
        return Err(OpenError::OtherStore { path: witness, found: newest.store, expected: id });
    }
    let database = place.database();
    let regressed = |what: String| OpenError::Regressed {
        path: database.clone(),
        what,
        witness: witness.clone(),
        known: newest.revision,
    };
    if newest.revision > head.revision {
        return Err(regressed(format!("ends at revision {}", head.revision)));
    }
    let found = verify::find_hash(connection, newest.revision).await.map_err(store_error(&database))?;
    match found == Some(newest.hash.0) {
        true => Ok(all.len()),
        false => Err(regressed(format!("has another entry at revision {}", newest.revision))),
    }
}

/// Compares the log with the last line of the journal: the transaction before it was durable.
async fn check_journal(
    connection: &mut Connection,
    log_keys: &LogKeys,
    place: &Place,
    id: StoreId,
    head: HeadOfLog,
) -> Result<(), OpenError> {
    let witness = place.journal();
    let line = match journal::last_line(&witness) {
        Ok(line) => line,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if head.revision > Revision::ZERO {
                tracing::warn!(
                    path = %witness.display(),
                    "there is no journal beside the store: a new one begins, and a restore knows only of what follows"
                );
            }
            return Ok(());
        }
        Err(error) => return Err(OpenError::io("read", &witness)(error)),
    };
    let Some(line) = line.filter(|line| line.changes.iter().all(|change| change.body(log_keys).is_some())) else {
        return Ok(());
    };
    if let Some(found) = line.store.filter(|found| *found != id) {
        return Err(OpenError::OtherStore { path: witness, found, expected: id });
    }
    let database = place.database();
    let found = verify::find_hash(connection, line.after).await.map_err(store_error(&database))?;
    match found == Some(line.head.0) {
        true => Ok(()),
        false => Err(OpenError::Regressed {
            path: database,
            what: format!("ends at revision {}", head.revision),
            witness,
            known: line.after,
        }),
    }
}
