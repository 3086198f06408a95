//! Uses counted by the hour: added with the minutes ([`super::usage`]), in the same transaction, and kept when
//! those are forgotten. Counts over longer steps are added up when they are asked for.

use std::collections::BTreeMap;

use keyward_core::clock::Timestamp;
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::store::{Result, StoreError};
use keyward_core::usage::{Apart, Fold, UsageCount, UsageRow};
use sqlx::{QueryBuilder, Row as _};

use super::bulk::runs;
use super::dialect::read_failure;
use super::records::Refusal;
use super::usage::{count, whole};
use super::{Connection, Db, Row};

/// An hour, in milliseconds.
const HOUR: i64 = 3_600_000;

/// Adds what a batch of uses counted.
pub(crate) async fn add(connection: &mut Connection, rows: &[UsageRow]) -> std::result::Result<(), Refusal> {
    // A statement must not meet a row twice.
    let mut hours: BTreeMap<(ProjectId, i64, KeyId, &str), u64> = BTreeMap::new();
    for row in rows {
        let sum = hours.entry((row.project, hour_of(row.minute), row.key, &row.outcome)).or_default();
        *sum = sum.saturating_add(row.count);
    }
    let hours: Vec<_> = hours.into_iter().collect();
    for some in runs(&hours) {
        let mut insert: QueryBuilder<Db> =
            QueryBuilder::new("INSERT INTO usage_hours (project, hour, key_id, outcome, count) ");
        insert.push_values(some, |mut columns, ((project, hour, key, outcome), count)| {
            columns
                .push_bind(project.to_string())
                .push_bind(*hour)
                .push_bind(key.to_string())
                .push_bind((*outcome).to_owned())
                .push_bind(whole(*count));
        });
        insert.push(
            " ON CONFLICT (project, hour, key_id, outcome) DO UPDATE SET
                  count = usage_hours.count + excluded.count",
        );
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// A project's counts of the hours from one moment to before another, both rounded down to an hour; oldest
/// first, then by key and outcome. A step shorter than an hour is an hour.
pub(crate) async fn of_project(
    connection: &mut Connection,
    project: ProjectId,
    (from, to): (Timestamp, Timestamp),
    fold: Fold,
) -> Result<Vec<UsageCount>> {
    let step = fold.step.max(HOUR);
    let apart = match fold.by {
        Apart::Nothing => "",
        Apart::Key => ", key_id",
        Apart::Outcome => ", outcome",
        Apart::KeyAndOutcome => ", key_id, outcome",
    };
    let mut select: QueryBuilder<Db> = QueryBuilder::new("SELECT hour / ");
    select.push_bind(step).push(" * ").push_bind(step).push(" AS step_start").push(apart);
    select.push(", CAST(SUM(count) AS BIGINT) AS total FROM usage_hours WHERE project = ");
    select.push_bind(project.to_string());
    select.push(" AND hour >= ").push_bind(hour_of(from)).push(" AND hour < ").push_bind(hour_of(to));
    select.push(" GROUP BY step_start").push(apart).push(" ORDER BY step_start").push(apart);
    let rows = select.build().fetch_all(connection).await.map_err(read_failure)?;
    rows.iter().map(|row| count_of(row, fold.by)).collect()
}

fn hour_of(moment: Timestamp) -> i64 {
    moment.as_millis().div_euclid(HOUR).saturating_mul(HOUR)
}

fn count_of(row: &Row, by: Apart) -> Result<UsageCount> {
    let text = |column: &str| row.try_get::<&str, _>(column).map_err(read_failure);
    let key = match by {
        Apart::Key | Apart::KeyAndOutcome => {
            let id = text("key_id")?.parse();
            Some(id.map_err(|_| StoreError::Damaged("a count of uses has an unreadable key".into()))?)
        }
        Apart::Nothing | Apart::Outcome => None,
    };
    let outcome = match by {
        Apart::Outcome | Apart::KeyAndOutcome => Some(text("outcome")?.to_owned()),
        Apart::Nothing | Apart::Key => None,
    };
    let start = Timestamp::from_millis(row.try_get("step_start").map_err(read_failure)?);
    Ok(UsageCount { start, key, outcome, count: count(row, "total")? })
}
