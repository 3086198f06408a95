//! Folded uses: added in batches, each once; read by project and by key.

use std::collections::BTreeMap;
use std::net::IpAddr;

use keyward_core::clock::Timestamp;
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::store::{Result, StoreError};
use keyward_core::usage::{KeyUsage, UsageBatch, UsageRow};
use sqlx::{QueryBuilder, Row as _};

use super::bulk::{parts, push_list, runs};
use super::dialect::read_failure;
use super::records::Refusal;
use super::{Connection, Db, Row, counts};

/// The outcome of requests that were granted; every other outcome is a denial's code.
const GRANTED: &str = "valid";

/// Adds a batch, unless it was added before.
pub(crate) async fn record(
    connection: &mut Connection,
    batch: &UsageBatch,
    now: Timestamp,
) -> std::result::Result<(), Refusal> {
    let added = sqlx::query(
        "INSERT INTO usage_batches (incarnation, sequence, at) VALUES ($1, $2, $3)
         ON CONFLICT (incarnation, sequence) DO NOTHING",
    )
    .bind(batch.incarnation.to_be_bytes().to_vec())
    .bind(whole(batch.sequence))
    .bind(now.as_millis())
    .execute(&mut *connection)
    .await?;
    if added.rows_affected() == 0 {
        return Ok(());
    }
    let rows = folded(&batch.rows);
    counts::add(connection, &rows).await?;
    add_rows(connection, rows).await?;
    add_totals(connection, &batch.rows).await
}

/// Rows with one key, minute and outcome as one: a statement must not meet a row twice.
fn folded(rows: &[UsageRow]) -> Vec<UsageRow> {
    let mut folded: BTreeMap<(KeyId, Timestamp, &str, ProjectId), UsageRow> = BTreeMap::new();
    for row in rows {
        let place = (row.key, row.minute, row.outcome.as_str(), row.project);
        folded
            .entry(place)
            .and_modify(|sum| {
                if row.last_at >= sum.last_at {
                    sum.last_address = row.last_address.or(sum.last_address);
                }
                sum.count = sum.count.saturating_add(row.count);
                sum.first_at = sum.first_at.min(row.first_at);
                sum.last_at = sum.last_at.max(row.last_at);
            })
            .or_insert_with(|| row.clone());
    }
    folded.into_values().collect()
}

async fn add_rows(connection: &mut Connection, rows: Vec<UsageRow>) -> std::result::Result<(), Refusal> {
    for some in runs(&rows) {
        let mut insert: QueryBuilder<Db> = QueryBuilder::new(
            "INSERT INTO usage
                 (project, key_id, minute, outcome, granted, count, first_at, last_at, last_address) ",
        );
        insert.push_values(some, |mut columns, row| {
            columns
                .push_bind(row.project.to_string())
                .push_bind(row.key.to_string())
                .push_bind(row.minute.as_millis())
                .push_bind(row.outcome.clone())
                .push_bind(i64::from(row.outcome == GRANTED))
                .push_bind(whole(row.count))
                .push_bind(row.first_at.as_millis())
                .push_bind(row.last_at.as_millis())
                .push_bind(row.last_address.map(|address| address.to_string()));
        });
        insert.push(
            " ON CONFLICT (key_id, minute, outcome, project) DO UPDATE SET
                  count = usage.count + excluded.count,
                  first_at = CASE WHEN excluded.first_at < usage.first_at
                             THEN excluded.first_at ELSE usage.first_at END,
                  last_address = CASE WHEN excluded.last_at >= usage.last_at
                                 THEN COALESCE(excluded.last_address, usage.last_address)
                                 ELSE usage.last_address END,
                  last_at = CASE WHEN excluded.last_at > usage.last_at
                            THEN excluded.last_at ELSE usage.last_at END",
        );
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn add_totals(connection: &mut Connection, rows: &[UsageRow]) -> std::result::Result<(), Refusal> {
    let mut totals: BTreeMap<KeyId, KeyUsage> = BTreeMap::new();
    for row in rows {
        let total = totals.entry(row.key).or_default();
        if row.outcome == GRANTED {
            total.granted = total.granted.saturating_add(row.count);
            total.last_used_at = total.last_used_at.max(Some(row.last_at));
        } else {
            total.refused = total.refused.saturating_add(row.count);
        }
    }
    let totals: Vec<(KeyId, KeyUsage)> = totals.into_iter().collect();
    for some in runs(&totals) {
        let mut insert: QueryBuilder<Db> =
            QueryBuilder::new("INSERT INTO key_usage (key_id, last_used_at, granted, refused) ");
        insert.push_values(some, |mut columns, (key, total)| {
            columns
                .push_bind(key.to_string())
                .push_bind(total.last_used_at.map(|at| at.as_millis()))
                .push_bind(whole(total.granted))
                .push_bind(whole(total.refused));
        });
        insert.push(
            " ON CONFLICT (key_id) DO UPDATE SET
                  last_used_at = CASE WHEN key_usage.last_used_at IS NULL
                                           OR excluded.last_used_at > key_usage.last_used_at
                                 THEN excluded.last_used_at ELSE key_usage.last_used_at END,
                  granted = key_usage.granted + excluded.granted,
                  refused = key_usage.refused + excluded.refused",
        );
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// What is known of the use of each key, in the order asked for.
pub(crate) async fn of_keys(connection: &mut Connection, keys: &[KeyId]) -> Result<Vec<KeyUsage>> {
    let mut known: BTreeMap<String, KeyUsage> = BTreeMap::new();
    for some in parts(keys) {
        let mut select: QueryBuilder<Db> =
            QueryBuilder::new("SELECT key_id, last_used_at, granted, refused FROM key_usage WHERE key_id IN (");
        push_list(&mut select, some, |query, key| {
            query.push_bind(key.to_string());
        });
        select.push(")");
        let rows = select.build().fetch_all(&mut *connection).await.map_err(read_failure)?;
        for row in rows {
            let last_used_at: Option<i64> = row.try_get("last_used_at").map_err(read_failure)?;
            let usage = KeyUsage {
                last_used_at: last_used_at.map(Timestamp::from_millis),
                granted: count(&row, "granted")?,
                refused: count(&row, "refused")?,
            };
            known.insert(row.try_get("key_id").map_err(read_failure)?, usage);
        }
    }
    Ok(keys.iter().map(|key| known.get(&key.to_string()).copied().unwrap_or_default()).collect())
}

/// A project's rows whose minute is at or after `from` and before `to`, oldest first.
pub(crate) async fn of_project(
    connection: &mut Connection,
    project: ProjectId,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<UsageRow>> {
    // A row's first use lies within its minute, so whole minutes select by the indexed column.
    let rows = sqlx::query(
        "SELECT project, key_id, minute, outcome, count, first_at, last_at, last_address FROM usage
         WHERE project = $1 AND granted IN (0, 1) AND first_at >= $2 AND first_at < $3
         ORDER BY minute, id",
    )
    .bind(project.to_string())
    .bind(whole_minute(from))
    .bind(whole_minute(to))
    .fetch_all(connection)
    .await
    .map_err(read_failure)?;
    rows.iter().map(row_of).collect()
}

/// The start of the first minute that begins at or after `at`, in milliseconds.
fn whole_minute(at: Timestamp) -> i64 {
    let start = at.minute();
    if start == at { start.as_millis() } else { start.as_millis().saturating_add(60_000) }
}

/// Reads a row of uses.
pub(crate) fn row_of(row: &Row) -> Result<UsageRow> {
    let text = |column: &str| row.try_get::<&str, _>(column).map_err(read_failure);
    let moment = |column: &str| row.try_get(column).map(Timestamp::from_millis).map_err(read_failure);
    let damaged = |column: &str| StoreError::Damaged(format!("a row of uses has an unreadable {column}"));
    let address: Option<&str> = row.try_get("last_address").map_err(read_failure)?;
    Ok(UsageRow {
        key: text("key_id")?.parse().map_err(|_| damaged("key"))?,
        project: text("project")?.parse().map_err(|_| damaged("project"))?,
        minute: moment("minute")?,
        outcome: text("outcome")?.to_owned(),
        count: count(row, "count")?,
        first_at: moment("first_at")?,
        last_at: moment("last_at")?,
        last_address: address.map(str::parse::<IpAddr>).transpose().map_err(|_| damaged("address"))?,
    })
}

/// Reads a count.
pub(crate) fn count(row: &Row, column: &str) -> Result<u64> {
    let value: i64 = row.try_get(column).map_err(read_failure)?;
    u64::try_from(value).map_err(|_| StoreError::Damaged(format!("a count of uses is {value}")))
}

/// A count as a column holds it.
pub(crate) fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
