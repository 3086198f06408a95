//! A project's keys: by age, sorted otherwise, and counted.

use keyward_core::clock::Timestamp;
use keyward_core::id::ProjectId;
use keyward_core::key::{Key, Standing};
use keyward_core::log::LogKeys;
use keyward_core::store::{KeyFilter, KeyList, KeyOrder, KeyPart, Page, Result};
use sqlx::{Connection as _, QueryBuilder, Row as _};

use super::dialect::read_failure;
use super::read::{before, within};
use super::{Connection, Db, Row, dialect, record};

/// A project's keys, newest first.
pub(crate) async fn by_age(
    connection: &mut Connection,
    log_keys: &LogKeys,
    project: ProjectId,
    filter: &KeyFilter,
    page: Page,
) -> Result<Vec<Key>> {
    let mut select: QueryBuilder<Db> = QueryBuilder::new("SELECT record, seal FROM keys WHERE project = ");
    select.push_bind(project.to_string());
    select.push(" AND created_revision < ").push_bind(before(page));
    push_filter(&mut select, filter);
    select.push(" ORDER BY created_revision DESC LIMIT ").push_bind(i64::from(page.limit));
    let rows = select.build().fetch_all(connection).await.map_err(read_failure)?;
    keys_of(log_keys, &rows, project, filter)
}

/// A part of a project's keys in some order, and how many there are in all.
pub(crate) async fn sorted(
    connection: &mut Connection,
    log_keys: &LogKeys,
    project: ProjectId,
    filter: &KeyFilter,
    part: KeyPart,
) -> Result<KeyList> {
    // One snapshot for both.
    let mut snapshot = connection.begin_with(dialect::SNAPSHOT).await.map_err(read_failure)?;
    let mut count: QueryBuilder<Db> = QueryBuilder::new("SELECT COUNT(*) AS total FROM keys WHERE project = ");
    count.push_bind(project.to_string());
    push_filter(&mut count, filter);
    let row = count.build().fetch_one(&mut *snapshot).await.map_err(read_failure)?;
    let total: i64 = row.try_get("total").map_err(read_failure)?;

    let from = match part.order {
        KeyOrder::LastUsed => "keys LEFT JOIN key_usage AS used ON used.key_id = keys.id",
        KeyOrder::Created | KeyOrder::Name | KeyOrder::Expires => "keys",
    };
    let mut select: QueryBuilder<Db> = QueryBuilder::new("SELECT record, seal FROM ");
    select.push(from).push(" WHERE project = ").push_bind(project.to_string());
    push_filter(&mut select, filter);
    select.push(" ORDER BY ").push(order(part));
    select.push(" LIMIT ").push_bind(i64::from(part.limit)).push(" OFFSET ").push_bind(i64::from(part.offset));
    let rows = select.build().fetch_all(&mut *snapshot).await.map_err(read_failure)?;
    snapshot.rollback().await.map_err(read_failure)?;
    Ok(KeyList { keys: keys_of(log_keys, &rows, project, filter)?, total: total.unsigned_abs() })
}

/// Each order, and its exact reverse.
fn order(part: KeyPart) -> &'static str {
    match (part.order, part.is_reversed) {
        (KeyOrder::Created, false) => "created_revision DESC",
        (KeyOrder::Created, true) => "created_revision",
        (KeyOrder::Name, false) => "LOWER(name) NULLS LAST, created_revision DESC",
        (KeyOrder::Name, true) => "LOWER(name) DESC NULLS FIRST, created_revision",
        (KeyOrder::Expires, false) => "expires_at NULLS LAST, created_revision DESC",
        (KeyOrder::Expires, true) => "expires_at DESC NULLS FIRST, created_revision",
        (KeyOrder::LastUsed, false) => "used.last_used_at DESC NULLS LAST, created_revision DESC",
        (KeyOrder::LastUsed, true) => "used.last_used_at NULLS FIRST, created_revision",
    }
}

/// How many keys of a project open at `at`.
pub(crate) async fn live(connection: &mut Connection, project: ProjectId, at: Timestamp) -> Result<u64> {
    let live: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM keys
         WHERE project = $1 AND state <> 'revoked' AND state <> 'disabled'
             AND (ends_at IS NULL OR ends_at > $2) AND (expires_at IS NULL OR expires_at > $2)",
    )
    .bind(project.to_string())
    .bind(at.as_millis())
    .fetch_one(connection)
    .await
    .map_err(read_failure)?;
    Ok(live.unsigned_abs())
}

fn push_filter(select: &mut QueryBuilder<Db>, filter: &KeyFilter) {
    if let Some(name) = &filter.name {
        select.push(" AND name = ").push_bind(dialect::text(name));
    }
    if let Some(part) = &filter.name_part {
        select.push(" AND LOWER(name) LIKE ").push_bind(dialect::text(&pattern(part))).push(" ESCAPE '!'");
    }
    if let Some(since) = filter.unused_since {
        let since = since.as_millis();
        select.push(" AND created_at < ").push_bind(since);
        select
            .push(" AND NOT EXISTS (SELECT 1 FROM key_usage AS u WHERE u.key_id = keys.id AND u.last_used_at >= ");
        select.push_bind(since).push(")");
    }
    let Some((standing, now)) = filter.standing else { return };
    let now = now.as_millis();
    match standing {
        Standing::Revoked => {
            select.push(" AND (state = 'revoked' OR ends_at <= ").push_bind(now).push(")");
        }
        Standing::Expired => {
            select.push(" AND state <> 'revoked' AND (ends_at IS NULL OR ends_at > ").push_bind(now);
            select.push(") AND expires_at <= ").push_bind(now);
        }
        Standing::Active | Standing::Retiring | Standing::Disabled => {
            // The first condition is what the index of keys not revoked asks for.
            select.push(" AND state <> 'revoked' AND state = ").push_bind(standing.as_str());
            select.push(" AND (ends_at IS NULL OR ends_at > ").push_bind(now);
            select.push(") AND (expires_at IS NULL OR expires_at > ").push_bind(now).push(")");
        }
    }
}

/// What `LIKE` takes for "holds this". Only ASCII letters are taken for the same in either case: so SQLite has it.
fn pattern(part: &str) -> String {
    let mut pattern = String::from("%");
    for c in part.chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c.to_ascii_lowercase());
    }
    pattern.push('%');
    pattern
}

fn keys_of(log_keys: &LogKeys, rows: &[Row], project: ProjectId, filter: &KeyFilter) -> Result<Vec<Key>> {
    let keys: Vec<Key> = rows.iter().map(|row| record::open(log_keys, row)).collect::<Result<_>>()?;
    within(keys, |key| {
        key.project == project
            && filter.standing.is_none_or(|(standing, now)| key.standing(now) == standing)
            && filter.unused_since.is_none_or(|since| key.created_at < since)
    })
}
