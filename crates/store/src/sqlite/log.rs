//! Reading the log. Every entry that leaves the store was checked against the one before it.

use keyward_core::change::{Entry, EntryBody, Revision};
use keyward_core::log::{GENESIS, LogKeys};
use keyward_core::store::{ChangeFilter, Page, Result, StoreError};
use sqlx::{QueryBuilder, Row as _};

use super::error::read_failure;
use super::{Connection, Db, Row};

/// Reads rows of the log, each with the hash of the one before. `l` is the entry's own row.
pub(super) const SELECT: &str = "SELECT l.revision, l.body, l.hash, b.hash AS previous
     FROM log AS l LEFT JOIN log AS b ON b.revision = l.revision - 1";

/// The changes after a revision, oldest first.
pub(super) async fn since(
    connection: &mut Connection,
    log_keys: &LogKeys,
    after: Revision,
    limit: u32,
) -> Result<Vec<Entry>> {
    let rows = sqlx::query(
        "SELECT l.revision, l.body, l.hash, b.hash AS previous
         FROM log AS l LEFT JOIN log AS b ON b.revision = l.revision - 1
         WHERE l.revision > $1 ORDER BY l.revision LIMIT $2",
    )
    .bind(after.0)
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await
    .map_err(read_failure)?;
    rows.iter().map(|row| entry_of(log_keys, row)).collect()
}

/// Changes that fit a filter, newest first.
pub(super) async fn matching(
    connection: &mut Connection,
    log_keys: &LogKeys,
    filter: &ChangeFilter,
    page: Page,
) -> Result<Vec<Entry>> {
    let mut select: QueryBuilder<Db> = QueryBuilder::new(SELECT);
    select.push(" WHERE l.revision < ").push_bind(page.before.map_or(i64::MAX, |before| before.0));
    // The narrowest of them is found by its index; the wider ones are only checked.
    let narrowest = [
        ("l.key_id", filter.key.map(|id| id.to_string())),
        ("l.project", filter.project.map(|id| id.to_string())),
        ("l.organization", filter.organization.map(|id| id.to_string())),
    ];
    let mut narrowed = false;
    for (column, value) in narrowest {
        let Some(value) = value else { continue };
        match narrowed {
            false => select.push(" AND ").push(column).push(" = "),
            true => select.push(" AND COALESCE(").push(column).push(", '') = "),
        };
        select.push_bind(value);
        narrowed = true;
    }
    select.push(" ORDER BY l.revision DESC LIMIT ").push_bind(i64::from(page.limit));
    let rows = select.build().fetch_all(connection).await.map_err(read_failure)?;
    rows.iter().map(|row| entry_of(log_keys, row)).collect()
}

/// Reads an entry, and checks that it follows the one before.
pub(super) fn entry_of(log_keys: &LogKeys, row: &Row) -> Result<Entry> {
    let revision = Revision(row.try_get("revision").map_err(read_failure)?);
    let body: &[u8] = row.try_get("body").map_err(read_failure)?;
    let hash: &[u8] = row.try_get("hash").map_err(read_failure)?;
    let previous: Option<&[u8]> = row.try_get("previous").map_err(read_failure)?;
    let broken = |what: &str| StoreError::Damaged(format!("entry {revision} of the log {what}"));
    let previous = match previous {
        Some(previous) => previous.try_into().map_err(|_| broken("follows one with a broken hash"))?,
        None if revision == Revision::ZERO.next() => GENESIS,
        None => return Err(broken("does not follow the one before")),
    };
    if !log_keys.is_linked(&previous, revision, body, hash) {
        return Err(broken("is not as it was written; stop Keyward and run `keyward log verify`"));
    }
    let body: EntryBody =
        serde_json::from_slice(body).map_err(|error| broken(&format!("cannot be read: {error}")))?;
    let hash = hash.try_into().map_err(|_| broken("has a broken hash"))?;
    Ok(Entry { revision, body, hash })
}
