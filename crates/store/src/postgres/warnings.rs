//! How a database is run, where that breaks a promise: told in plain words when the store is opened.

use sqlx::{Executor, Row as _};

use super::Connection;

/// What is to be said. What the database does not tell is passed over.
pub(super) async fn of(connection: &mut Connection) -> Vec<String> {
    let mut warnings = Vec::new();
    if show(connection, "SHOW fsync").await.as_deref() == Some("off") {
        warnings.push(
            "the database runs with fsync = off: a crash of its machine may lose or damage everything. Set fsync = on \
             in postgresql.conf"
                .to_owned(),
        );
    }
    if show(connection, "SHOW full_page_writes").await.as_deref() == Some("off") {
        warnings.push(
            "the database runs with full_page_writes = off: a crash of its machine may damage it. Set \
             full_page_writes = on in postgresql.conf"
                .to_owned(),
        );
    }
    let standbys = match connection.fetch_one("SELECT COUNT(*) AS standbys FROM pg_stat_replication").await {
        Ok(row) => row.try_get::<i64, _>("standbys").unwrap_or(0),
        Err(_) => 0,
    };
    let names = show(connection, "SHOW synchronous_standby_names").await;
    if standbys > 0 && names.is_some_and(|names| names.trim().is_empty()) {
        warnings.push(
            "the database's standbys follow it asynchronously: a failover may lose changes that were acknowledged, \
             revocations too, until a node that remembers them starts or notices. Set synchronous_standby_names in \
             postgresql.conf, to 'ANY 1 (*)' for example"
                .to_owned(),
        );
    }
    warnings
}

async fn show(connection: &mut Connection, sql: &'static str) -> Option<String> {
    let row = connection.fetch_one(sql).await.ok()?;
    row.try_get(0).ok()
}
