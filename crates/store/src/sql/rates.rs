//! Where rates stood when a node last said so, so that a restart refills nothing.

use std::collections::BTreeMap;

use keyward_core::clock::Timestamp;
use keyward_core::id::ApiName;
use keyward_core::limits::CountedOf;
use keyward_core::store::{Result, SavedRate, StoreError};
use sqlx::{QueryBuilder, Row as _};

use super::bulk::runs;
use super::dialect::read_failure;
use super::quotas::counted_of;
use super::records::Refusal;
use super::{Connection, Db, Row};

/// Keeps rates, each in place of what was kept of it before.
pub(crate) async fn save(connection: &mut Connection, rates: &[SavedRate]) -> std::result::Result<(), Refusal> {
    // A statement must not meet a row twice; the last word on a rate counts.
    let mut last: BTreeMap<(&ApiName, &str, CountedOf), &SavedRate> = BTreeMap::new();
    for rate in rates {
        last.insert((&rate.api, &*rate.name, rate.of), rate);
    }
    let last: Vec<&SavedRate> = last.into_values().collect();
    for some in runs(&last) {
        let mut insert: QueryBuilder<Db> =
            QueryBuilder::new("INSERT INTO saved_rates (api, name, counted_of, unit_nanos, full_at) ");
        insert.push_values(some, |mut columns, rate| {
            columns
                .push_bind(rate.api.to_string())
                .push_bind(rate.name.to_string())
                .push_bind(rate.of.to_string())
                .push_bind(rate.interval)
                .push_bind(rate.full_at.as_millis());
        });
        insert.push(
            " ON CONFLICT (api, name, counted_of) DO UPDATE SET
                  unit_nanos = excluded.unit_nanos, full_at = excluded.full_at",
        );
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Forgets rates whose burst is all there again at `now`: they stand as those that nothing is kept of.
pub(crate) async fn forget_full(connection: &mut Connection, now: Timestamp) -> std::result::Result<(), Refusal> {
    sqlx::query("DELETE FROM saved_rates WHERE full_at <= $1").bind(now.as_millis()).execute(connection).await?;
    Ok(())
}

/// The rates whose burst is not all there again at `now`.
pub(crate) async fn saved(connection: &mut Connection, now: Timestamp) -> Result<Vec<SavedRate>> {
    let rows = sqlx::query(
        "SELECT api, name, counted_of, unit_nanos, full_at FROM saved_rates WHERE full_at > $1
         ORDER BY api, name, counted_of",
    )
    .bind(now.as_millis())
    .fetch_all(connection)
    .await
    .map_err(read_failure)?;
    rows.iter().map(rate_of).collect()
}

fn rate_of(row: &Row) -> Result<SavedRate> {
    let text = |column: &str| row.try_get::<&str, _>(column).map_err(read_failure);
    let api = text("api")?;
    Ok(SavedRate {
        api: api.parse().map_err(|_| StoreError::Damaged(format!("a rate is kept of {api:?}, which is no API")))?,
        name: text("name")?.into(),
        of: counted_of(text("counted_of")?)?,
        interval: row.try_get("unit_nanos").map_err(read_failure)?,
        full_at: Timestamp::from_millis(row.try_get("full_at").map_err(read_failure)?),
    })
}
