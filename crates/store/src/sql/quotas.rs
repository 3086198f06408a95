//! Units of quotas: what is spent of a counter in a period, and what nodes hold of it to spend from memory.
//! Read and shown here; exchanged in [`super::blocks`].

use std::collections::BTreeMap;

use keyward_core::id::{KeyId, OrganizationId, ProjectId};
use keyward_core::limits::block::Tally;
use keyward_core::limits::{CountedOf, QuotaCounter};
use keyward_core::store::{Result, StoreError};
use sqlx::{QueryBuilder, Row as _};

use super::bulk::{parts, push_list};
use super::dialect::read_failure;
use super::{Connection, Db, Row};

/// A counter in a period, as its rows name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) api: String,
    pub(crate) name: String,
    pub(crate) counted_of: String,
    pub(crate) period: String,
}

impl Place {
    pub(crate) fn of(counter: &QuotaCounter, period: &str) -> Self {
        Place {
            api: counter.api.to_string(),
            name: counter.name.to_string(),
            counted_of: counter.of.to_string(),
            period: period.to_owned(),
        }
    }
}

/// What one node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) held: u64,
    /// Whether the node was asked to give back what lies idle.
    pub(crate) is_recalled: bool,
}

/// How a counter stands in a period.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) spent: u64,
    pub(crate) holdings: BTreeMap<u128, Holding>,
}

impl Counted {
    /// As one holder sees it; as everybody else does where none is named.
    pub(crate) fn tally(&self, holder: Option<u128>) -> Tally {
        let mut tally = Tally { spent: self.spent, ..Tally::default() };
        for (of, holding) in &self.holdings {
            if Some(*of) == holder {
                tally.held = holding.held;
            } else {
                tally.with_others = tally.with_others.saturating_add(holding.held);
                tally.others += 1;
            }
        }
        tally
    }
}

/// Reads how counters stand, in their order. What cannot be read of one concerns only who asks for it.
pub(crate) async fn load(connection: &mut Connection, places: &[Place]) -> sqlx::Result<Vec<Result<Counted>>> {
    let mut found: Vec<Result<Counted>> = places.iter().map(|_| Ok(Counted::default())).collect();
    let numbered: Vec<(usize, &Place)> = places.iter().enumerate().collect();
    for some in parts(&numbered) {
        let mut select: QueryBuilder<Db> =
            QueryBuilder::new("WITH asked (number, api, name, counted_of, period) AS (VALUES ");
        push_list(&mut select, some, |query, (number, place)| {
            query.push("(").push_bind(*number as i64);
            for part in [&place.api, &place.name, &place.counted_of, &place.period] {
                query.push(", ").push_bind(part.clone());
            }
            query.push(")");
        });
        select.push(
            ") SELECT a.number, t.spent, h.holder, h.held, h.recalled FROM asked AS a
               JOIN quota_tallies AS t ON t.api = a.api AND t.name = a.name AND t.counted_of = a.counted_of
                   AND t.period = a.period
               LEFT JOIN quota_holdings AS h ON h.api = t.api AND h.name = t.name
                   AND h.counted_of = t.counted_of AND h.period = t.period",
        );
        for row in select.build().fetch_all(&mut *connection).await? {
            let number: i64 = row.try_get("number")?;
            let Some(counted) = usize::try_from(number).ok().and_then(|number| found.get_mut(number)) else {
                continue;
            };
            if let Ok(so_far) = counted
                && let Err(error) = add_row(so_far, &row)
            {
                *counted = Err(error);
            }
        }
    }
    Ok(found)
}

fn add_row(counted: &mut Counted, row: &Row) -> Result<()> {
    counted.spent = units(row, "spent")?;
    let Some(holder) = row.try_get::<Option<&[u8]>, _>("holder").map_err(read_failure)? else { return Ok(()) };
    let holder = holder
        .try_into()
        .map(u128::from_be_bytes)
        .map_err(|_| StoreError::Damaged("a holder of a quota's units is not 16 bytes".into()))?;
    let recalled: i64 = row.try_get("recalled").map_err(read_failure)?;
    counted.holdings.insert(holder, Holding { held: units(row, "held")?, is_recalled: recalled != 0 });
    Ok(())
}

fn units(row: &Row, column: &str) -> Result<u64> {
    let value: i64 = row.try_get(column).map_err(read_failure)?;
    u64::try_from(value).map_err(|_| StoreError::Damaged(format!("a quota's units {column} are {value}")))
}

/// How each of these counters stands, in their order.
pub(crate) async fn tallies(
    connection: &mut Connection,
    counters: &[(QuotaCounter, Box<str>)],
) -> Result<Vec<Tally>> {
    let places: Vec<Place> = counters.iter().map(|(counter, period)| Place::of(counter, period)).collect();
    let found = load(connection, &places).await.map_err(read_failure)?;
    found.into_iter().map(|counted| counted.map(|counted| counted.tally(None))).collect()
}

/// The counters of which a holder was asked to give back what lies idle.
pub(crate) async fn recalled(connection: &mut Connection, holder: u128) -> Result<Vec<(QuotaCounter, Box<str>)>> {
    let rows = sqlx::query(
        "SELECT api, name, counted_of, period FROM quota_holdings WHERE holder = $1 AND recalled = 1
         ORDER BY api, name, counted_of, period",
    )
    .bind(holder.to_be_bytes().to_vec())
    .fetch_all(connection)
    .await
    .map_err(read_failure)?;
    rows.iter().map(counter_of).collect()
}

fn counter_of(row: &Row) -> Result<(QuotaCounter, Box<str>)> {
    let text = |column: &str| row.try_get::<&str, _>(column).map_err(read_failure);
    let api = text("api")?;
    let api =
        api.parse().map_err(|_| StoreError::Damaged(format!("a quota is counted of {api:?}, which is no API")))?;
    let counter = QuotaCounter { api, name: text("name")?.into(), of: counted_of(text("counted_of")?)? };
    Ok((counter, text("period")?.into()))
}

/// Reads whose counter one is: ids tell their kind.
pub(crate) fn counted_of(text: &str) -> Result<CountedOf> {
    let lineage = || text.parse::<KeyId>().map(CountedOf::Lineage).ok();
    let project = || text.parse::<ProjectId>().map(CountedOf::Project).ok();
    let organization = || text.parse::<OrganizationId>().map(CountedOf::Organization).ok();
    lineage()
        .or_else(project)
        .or_else(organization)
        .ok_or_else(|| StoreError::Damaged(format!("a limit counts requests of {text:?}, which is no id")))
}

/// Counts as spent what anybody holds, who is not there any more; how many blocks that were.
pub(crate) async fn settle(connection: &mut Connection) -> sqlx::Result<u64> {
    sqlx::query(
        "UPDATE quota_tallies SET spent = spent + (
             SELECT CAST(SUM(h.held) AS BIGINT) FROM quota_holdings AS h
             WHERE h.api = quota_tallies.api AND h.name = quota_tallies.name
                 AND h.counted_of = quota_tallies.counted_of AND h.period = quota_tallies.period)
         WHERE (api, name, counted_of, period) IN (SELECT api, name, counted_of, period FROM quota_holdings)",
    )
    .execute(&mut *connection)
    .await?;
    Ok(sqlx::query("DELETE FROM quota_holdings").execute(connection).await?.rows_affected())
}
