//! Connections to the database: how each is set up, and the pools that keep the kinds of work apart, so that none
//! starves another.

use std::str::FromStr;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Executor, Row as _};

use super::error::{Cause, PostgresError};
use super::{Connection, Db};

/// A connection that idled longer is asked whether it is still there before it is used.
pub(super) const ASK_AFTER: Duration = Duration::from_secs(1);
/// How long opening a connection may take.
pub(super) const CONNECT: Duration = Duration::from_secs(2);
/// The parameters of a URL that the driver knows.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// How long a kind of work may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For a lock, in milliseconds.
    pub(super) lock: u32,
    /// For one statement, in milliseconds.
    pub(super) statement: u32,
    /// For the next statement of a transaction, in milliseconds: past it the transaction is ended, so that a client that
    /// stops holds no lock for long.
    pub(super) idle: u32,
}

/// Changes: longer than a node that stops while it holds the head's lock is let hold it.
pub(super) const CHANGES: Patience = Patience { lock: 2_500, statement: 5_000, idle: 1_500 };
/// What is read, and what is written beside the changes.
pub(super) const ORDINARY: Patience = Patience { lock: 2_500, statement: 5_000, idle: 1_500 };
/// What nodes live by.
pub(super) const NODES: Patience = Patience { lock: 1_000, statement: 1_500, idle: 1_500 };
/// Verifying, copying: as long as it takes.
pub(super) const ENDLESS: Patience = Patience { lock: 2_500, statement: 0, idle: 1_500 };
/// Making again what was lost, which may be much: another node may be at it too, and is waited for.
pub(super) const REPLAYING: Patience = Patience { lock: 60_000, statement: 60_000, idle: 10_000 };

/// A database, and how to get to it.
#[derive(Clone)]
pub(crate) struct Target {
    options: PgConnectOptions,
    /// Host, port and database, as people are told.
    pub(crate) at: String,
}

impl Target {
    pub(super) fn new(url: &str, password: Option<&str>) -> Result<Self, PostgresError> {
        let bad = |what: String| PostgresError::Url { what };
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(bad("it does not begin with postgres://".into()));
        }
        // The driver would write what it does not know into the log, values too.
        let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let name = parameter.split('=').next().unwrap_or_default();
            if !PARAMETERS.contains(&name) && !name.starts_with("options") {
                // What is no name may be of a password with a question mark in it.
                let is_name = !name.is_empty()
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
                let is_password = parameters.contains('@');
                return Err(bad(match is_name && !is_password {
                    true => format!("it has an unknown parameter {name:?}"),
                    false => "it has an unknown parameter; write a ? in a password as %3F".into(),
                }));
            }
        }
        let mut options = PgConnectOptions::from_str(url).map_err(|error| bad(error.to_string()))?;
        if let Some(password) = password {
            options = options.password(password);
        }
        let name = options.get_application_name().unwrap_or("keyward").to_owned();
        let host =
            options.get_socket().map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string());
        let database = options.get_database().unwrap_or(options.get_username()).to_owned();
        let at = format!("{database} at {host}:{}", options.get_port());
        let options = options.application_name(&name).statement_cache_capacity(256).disable_statement_logging();
        Ok(Target { options, at })
    }

    /// One connection, to be kept.
    pub(super) async fn connect(&self, patience: Patience) -> sqlx::Result<Connection> {
        let connecting = async {
            let mut connection = self.options.connect().await?;
            set_up(&mut connection, patience).await?;
            Ok(connection)
        };
        tokio::time::timeout(CONNECT, connecting).await.unwrap_or_else(|_| Err(too_slow("connecting")))
    }

    /// A pool of connections, opened when they are needed.
    pub(super) fn pool(&self, most: u32, wait: Duration, patience: Patience) -> PgPool {
        PgPoolOptions::new()
            .max_connections(most)
            .acquire_timeout(wait)
            .idle_timeout(Duration::from_secs(300))
            .max_lifetime(None)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for < ASK_AFTER {
                        return Ok(true);
                    }
                    let asked = tokio::time::timeout(ASK_AFTER, connection.execute("SELECT 1"));
                    Ok(matches!(asked.await, Ok(Ok(_))))
                })
            })
            .after_connect(move |connection, _| Box::pin(set_up(connection, patience)))
            .connect_lazy_with(self.options.clone())
    }

    /// A pool for whoever listens, with one connection that nothing is set on.
    pub(super) fn listening(&self) -> PgPool {
        PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT).connect_lazy_with(self.options.clone())
    }
}

/// An answer that did not come in time. What was asked may have been done.
pub(super) fn too_slow(doing: &str) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(
        std::io::ErrorKind::TimedOut,
        format!("{doing}: the database did not answer in time"),
    ))
}

/// Sets a connection up.
async fn set_up(connection: &mut PgConnection, patience: Patience) -> sqlx::Result<()> {
    let Patience { lock, statement, idle } = patience;
    let settings = format!(
        "SET synchronous_commit = on; SET default_transaction_isolation = 'read committed';
         SET client_min_messages = warning; SET idle_in_transaction_session_timeout = {idle};
         SET lock_timeout = {lock}; SET statement_timeout = {statement};
         SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
    );
    if connection.execute(sqlx::AssertSqlSafe(settings.clone())).await.is_err() {
        // Databases that only speak the protocol lack some of them: each by itself then.
        for setting in settings.split(';') {
            if let Err(error) = connection.execute(sqlx::AssertSqlSafe(setting.to_owned())).await
                && Cause::of(&error) == Cause::Gone
            {
                return Err(error);
            }
        }
    }
    if is_standby(connection).await? {
        return Err(sqlx::Error::Configuration(STANDBY.into()));
    }
    Ok(())
}

const STANDBY: &str = "it is a standby, which only reads: give the primary's address";

/// Whether an error says that the database is a standby.
pub(super) fn says_standby(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Configuration(text) if text.to_string() == STANDBY)
}

/// A standby lags, and may be another timeline's: it is never read.
async fn is_standby(connection: &mut PgConnection) -> sqlx::Result<bool> {
    match connection.fetch_one("SELECT pg_is_in_recovery() AS standby").await {
        Ok(row) => row.try_get("standby"),
        Err(error) if Cause::of(&error) == Cause::NoSuchThing => Ok(false),
        Err(error) => Err(error),
    }
}

/// A connection that is lent; closed, and not given back, where its work was cut off.
pub(crate) struct Lent {
    connection: PoolConnection<Db>,
    is_whole: bool,
}

impl Lent {
    pub(super) async fn from(pool: &PgPool) -> sqlx::Result<Self> {
        Ok(Lent { connection: pool.acquire().await?, is_whole: false })
    }

    /// Its work came to an end: others may have it.
    pub(super) fn give_back(mut self) {
        self.is_whole = true;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.is_whole {
            self.connection.close_on_drop();
        }
    }
}

impl std::ops::Deref for Lent {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl std::ops::DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}
