//! The schema, version by version. Each moves the store on in one transaction with its number, so one that is cut off
//! anywhere did not happen; of several nodes that start at once one does it, and the others wait at its row.

use sqlx::{Executor, Row as _};

use keyward_core::clock::Timestamp;
use keyward_core::id::StoreId;
use keyward_core::log::{GENESIS, LogKeys};

use super::Connection;
use super::connect::Target;
use super::error::{Cause, PostgresError};

/// The statements of each version, the first one's first.
const VERSIONS: [&str; 2] = [
    include_str!("../../migrations/postgres/0001_the_whole_schema.sql"),
    include_str!("../../migrations/postgres/0002_data_keys.sql"),
];
/// How often the making of the first table is tried while others make it too.
const TRIES: usize = 20;

/// The last version that is known here.
pub(super) const KNOWN: i64 = VERSIONS.len() as i64;

/// The version of the schema; none where there is no store.
pub(crate) async fn version(connection: &mut Connection) -> sqlx::Result<Option<i64>> {
    match sqlx::query_scalar("SELECT version FROM keyward_schema")
        .persistent(false)
        .fetch_optional(connection)
        .await
    {
        Err(error) if Cause::of(&error) == Cause::NoSuchThing => Ok(None),
        // Its row comes with the first version.
        found => found.map(|found: Option<i64>| found.filter(|version| *version > 0)),
    }
}

/// What a new store is made with.
pub(crate) struct NewStore<'a> {
    pub(crate) id: StoreId,
    pub(crate) epoch: String,
    pub(crate) log_keys: &'a LogKeys,
    pub(crate) now: Timestamp,
}

/// Moves the schema on to the version known here; makes the store where there is none.
pub(super) async fn migrate(
    connection: &mut Connection,
    target: &Target,
    new: Option<&NewStore<'_>>,
) -> Result<(), PostgresError> {
    let failed = |error| PostgresError::database("move the schema on", &target.at)(error);
    match version(connection).await.map_err(failed)? {
        Some(found) if found > KNOWN => {
            return Err(PostgresError::Newer { at: target.at.clone(), found, known: KNOWN });
        }
        Some(found) if found == KNOWN => return Ok(()),
        _ => make_version_table(connection).await.map_err(failed)?,
    }
    match move_on(connection, new).await {
        Ok(found) if found > KNOWN => Err(PostgresError::Newer { at: target.at.clone(), found, known: KNOWN }),
        Ok(_) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Makes the table whose row every node that migrates locks.
async fn make_version_table(connection: &mut Connection) -> sqlx::Result<()> {
    let mut tries = 0;
    loop {
        let made = async {
            connection
                .execute(
                    "CREATE TABLE IF NOT EXISTS keyward_schema (
                         only_row BIGINT PRIMARY KEY CHECK (only_row = 1), version BIGINT NOT NULL)",
                )
                .await?;
            connection
                .execute("INSERT INTO keyward_schema (only_row, version) VALUES (1, 0) ON CONFLICT DO NOTHING")
                .await
        };
        match made.await {
            Ok(_) => return Ok(()),
            // Two that make it at the same moment may meet in the catalogue.
            Err(sqlx::Error::Database(error))
                if tries < TRIES
                    && matches!(error.code().as_deref(), Some("23505" | "42P07" | "40001" | "XX000")) =>
            {
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Runs what is missing, under the row's lock; gives the version found.
async fn move_on(connection: &mut Connection, new: Option<&NewStore<'_>>) -> sqlx::Result<i64> {
    let found = begin_locked(connection).await?;
    run(connection, found).await?;
    if found == 0
        && let Some(new) = new
    {
        insert_identity(connection, new).await?;
    }
    connection.execute("COMMIT").await?;
    Ok(found)
}

/// Begins the transaction that makes a store where there is none; gives the version found under the lock.
pub(crate) async fn begin(connection: &mut Connection) -> sqlx::Result<i64> {
    make_version_table(connection).await?;
    begin_locked(connection).await
}

async fn begin_locked(connection: &mut Connection) -> sqlx::Result<i64> {
    connection.execute("BEGIN").await?;
    // Another node may be at it for a while; what it does has no pause.
    for setting in ["SET LOCAL lock_timeout = 60000", "SET LOCAL statement_timeout = 0"] {
        connection.execute(setting).await?;
    }
    let row = connection.fetch_one("SELECT version FROM keyward_schema FOR UPDATE").await?;
    row.try_get("version")
}

/// Runs the versions after `found`, in the transaction that is open.
pub(crate) async fn run(connection: &mut Connection, found: i64) -> sqlx::Result<()> {
    for (version, text) in (1..).zip(VERSIONS).filter(|(version, _)| *version > found) {
        for statement in statements(text) {
            connection.execute(sqlx::AssertSqlSafe(statement.to_owned())).await?;
        }
        sqlx::query("UPDATE keyward_schema SET version = $1").bind(version).execute(&mut *connection).await?;
    }
    Ok(())
}

/// The statements of a file: each ends with a semicolon at the end of a line.
fn statements(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(";\n").map(str::trim).filter(|statement| statement.ends_with(';'))
}

/// What the seal over a store's row covers, as on SQLite.
pub(super) fn identity_bytes(id: &str, public_key: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b"\0", public_key].concat()
}

async fn insert_identity(connection: &mut Connection, new: &NewStore<'_>) -> sqlx::Result<()> {
    let (id, public_key) = (new.id.to_string(), new.log_keys.public_key());
    let seal = new.log_keys.seal("store", &identity_bytes(&id, &public_key));
    sqlx::query(
        "INSERT INTO store (only_row, id, created_at, public_key, seal, head_revision, head_hash, epoch)
         VALUES (1, $1, $2, $3, $4, 0, $5, $6)",
    )
    .bind(id)
    .bind(new.now.as_millis())
    .bind(public_key.to_vec())
    .bind(seal.to_vec())
    .bind(GENESIS.to_vec())
    .bind(&new.epoch)
    .execute(connection)
    .await?;
    Ok(())
}

/// Which store it is, and its epoch.
pub(super) async fn identify(
    connection: &mut Connection,
    target: &Target,
    log_keys: &LogKeys,
) -> Result<(StoreId, String), PostgresError> {
    let failed = |error| PostgresError::database("read which store it is", &target.at)(error);
    let row = sqlx::query("SELECT id, public_key, seal, epoch FROM store")
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    let damaged = |what: &str| PostgresError::Damaged { at: target.at.clone(), what: what.to_owned() };
    let Some(row) = row else { return Err(damaged("the row that says which store it is is missing")) };
    let id: &str = row.try_get("id").map_err(failed)?;
    let public_key: &[u8] = row.try_get("public_key").map_err(failed)?;
    let seal: &[u8] = row.try_get("seal").map_err(failed)?;
    let ours =
        public_key == log_keys.public_key() && log_keys.has_sealed("store", &identity_bytes(id, public_key), seal);
    if !ours {
        return Err(PostgresError::WrongLogKeys { at: target.at.clone() });
    }
    let epoch = row.try_get("epoch").map_err(failed)?;
    Ok((id.parse().map_err(|_| damaged("its id cannot be read"))?, epoch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_is_found() {
        let found: Vec<&str> = statements("-- a; comment\nCREATE TABLE a (\n b);\n\nCREATE INDEX c;\n").collect();
        assert_eq!(found.len(), 2);
        assert!(statements(VERSIONS[0]).count() > 40);
    }
}
