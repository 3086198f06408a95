//! Exchanges of quotas' units: those that wait are worked out together, one after the other, and written at
//! once. The rule is core's [`block::exchange`]; here it is made durable.

use std::collections::{BTreeMap, BTreeSet};

use keyward_core::limits::block::{self, BlockAnswer, BlockAsk};
use keyward_core::store::{Result, StoreError};
use sqlx::QueryBuilder;

use super::bulk::runs;
use super::quotas::{Counted, Holding, Place, load};
use super::{Connection, Db, dialect};
use crate::answers::repeat;

/// What the rows of units can say: no limit is above it, so no sum of spent and held units is.
const UNITS_MAX: u64 = i64::MAX as u64;

/// A counter in a period while a batch is worked out.
struct Moving {
    ends_at: Option<i64>,
    found: Counted,
    now: Counted,
}

/// The exchanges of one batch.
pub(crate) struct Exchanged {
    /// What each asker is told, once it is durable.
    pub(crate) answers: Vec<Result<BlockAnswer>>,
    /// How many rows were written; where none was, nothing waits to be made durable.
    pub(crate) rows: usize,
}

/// Works out what was asked, in order, and writes what differs. To be called within a transaction.
pub(crate) async fn exchange(connection: &mut Connection, asks: &[BlockAsk]) -> sqlx::Result<Exchanged> {
    let asked: BTreeSet<Place> = asks.iter().map(|ask| Place::of(&ask.counter, &ask.period)).collect();
    let asked: Vec<Place> = asked.into_iter().collect();
    if dialect::LOCKS_ROWS {
        lock(connection, &asked, asks).await?;
    }
    let found = load(connection, &asked).await?;
    let mut moving: BTreeMap<Place, Result<Moving>> = asked
        .into_iter()
        .zip(found)
        .map(|(place, found)| (place, found.map(|found| Moving { ends_at: None, now: found.clone(), found })))
        .collect();
    let mut answers = Vec::with_capacity(asks.len());
    for ask in asks {
        answers.push(match moving.get_mut(&Place::of(&ask.counter, &ask.period)) {
            Some(Ok(counter)) => Ok(counter.exchange(ask)),
            Some(Err(error)) => Err(repeat(error)),
            None => Err(StoreError::Unavailable("the counter was not read".into())),
        });
    }
    let rows = write(connection, &moving).await?;
    Ok(Exchanged { answers, rows })
}

/// Makes the rows of tallies that are not there, and locks all of them in one order: nobody else exchanges units of
/// these until the transaction ends.
async fn lock(connection: &mut Connection, asked: &[Place], asks: &[BlockAsk]) -> sqlx::Result<()> {
    if lock_rows(connection, asked).await? == asked.len() {
        return Ok(());
    }
    let ends: BTreeMap<Place, Option<i64>> = asks
        .iter()
        .map(|ask| (Place::of(&ask.counter, &ask.period), ask.ends_at.map(|end| end.as_millis())))
        .collect();
    for some in runs(asked) {
        let mut insert: QueryBuilder<Db> =
            QueryBuilder::new("INSERT INTO quota_tallies (api, name, counted_of, period, ends_at, spent) ");
        insert.push_values(some, |mut columns, place| {
            columns
                .push_bind(place.api.clone())
                .push_bind(place.name.clone())
                .push_bind(place.counted_of.clone())
                .push_bind(place.period.clone())
                .push_bind(ends.get(place).copied().flatten())
                .push_bind(0_i64);
        });
        insert.push(" ON CONFLICT (api, name, counted_of, period) DO NOTHING");
        insert.build().execute(&mut *connection).await?;
    }
    lock_rows(connection, asked).await.map(|_| ())
}

/// Locks the rows of these tallies, in their order; how many there are.
async fn lock_rows(connection: &mut Connection, asked: &[Place]) -> sqlx::Result<usize> {
    let mut locked = 0;
    for some in runs(asked) {
        let mut select: QueryBuilder<Db> =
            QueryBuilder::new("SELECT spent FROM quota_tallies WHERE (api, name, counted_of, period) IN (");
        select.push_values(some, |mut columns, place| {
            columns
                .push_bind(place.api.clone())
                .push_bind(place.name.clone())
                .push_bind(place.counted_of.clone())
                .push_bind(place.period.clone());
        });
        select.push(") ORDER BY api, name, counted_of, period FOR UPDATE");
        locked += select.build().fetch_all(&mut *connection).await?.len();
    }
    Ok(locked)
}

impl Moving {
    fn exchange(&mut self, ask: &BlockAsk) -> BlockAnswer {
        self.ends_at = ask.ends_at.map(|end| end.as_millis()).or(self.ends_at);
        let ask = BlockAsk { limit: ask.limit.min(UNITS_MAX), ..ask.clone() };
        let (after, answer) = block::exchange(self.now.tally(Some(ask.holder)), &ask);
        self.now.spent = after.spent;
        // It was heard from: a recall was followed by this, and if it is not enough another one follows.
        self.now.holdings.remove(&ask.holder);
        if after.held > 0 {
            self.now.holdings.insert(ask.holder, Holding { held: after.held, is_recalled: false });
        }
        if answer.held < ask.need {
            let others = self.now.holdings.iter_mut().filter(|(of, _)| **of != ask.holder);
            others.for_each(|(_, holding)| holding.is_recalled = true);
        }
        answer
    }
}

/// Writes what differs from what was found; how many rows that were.
async fn write(connection: &mut Connection, moving: &BTreeMap<Place, Result<Moving>>) -> sqlx::Result<usize> {
    let (mut tallies, mut held, mut given_back) = (Vec::new(), Vec::new(), Vec::new());
    for (place, counter) in moving {
        let Ok(Moving { ends_at, found, now }) = counter else { continue };
        // A holding needs its tally, even if nothing of it is spent yet.
        let is_new = found.spent == 0 && found.holdings.is_empty() && !now.holdings.is_empty();
        if now.spent != found.spent || is_new {
            tallies.push((place, *ends_at, now.spent));
        }
        for (holder, holding) in &now.holdings {
            if found.holdings.get(holder) != Some(holding) {
                held.push((place, *holder, *holding));
            }
        }
        let gone = found.holdings.keys().filter(|holder| !now.holdings.contains_key(holder));
        given_back.extend(gone.map(|holder| (place, *holder)));
    }
    write_tallies(connection, &tallies).await?;
    write_holdings(connection, &held).await?;
    remove_holdings(connection, &given_back).await?;
    Ok(tallies.len() + held.len() + given_back.len())
}

async fn write_tallies(connection: &mut Connection, tallies: &[(&Place, Option<i64>, u64)]) -> sqlx::Result<()> {
    for some in runs(tallies) {
        let mut insert: QueryBuilder<Db> =
            QueryBuilder::new("INSERT INTO quota_tallies (api, name, counted_of, period, ends_at, spent) ");
        insert.push_values(some, |mut columns, (place, ends_at, spent)| {
            columns
                .push_bind(place.api.clone())
                .push_bind(place.name.clone())
                .push_bind(place.counted_of.clone())
                .push_bind(place.period.clone())
                .push_bind(*ends_at)
                .push_bind(whole(*spent));
        });
        insert.push(" ON CONFLICT (api, name, counted_of, period) DO UPDATE SET spent = excluded.spent");
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn write_holdings(connection: &mut Connection, held: &[(&Place, u128, Holding)]) -> sqlx::Result<()> {
    for some in runs(held) {
        let mut insert: QueryBuilder<Db> = QueryBuilder::new(
            "INSERT INTO quota_holdings (api, name, counted_of, period, holder, held, recalled) ",
        );
        insert.push_values(some, |mut columns, (place, holder, holding)| {
            columns
                .push_bind(place.api.clone())
                .push_bind(place.name.clone())
                .push_bind(place.counted_of.clone())
                .push_bind(place.period.clone())
                .push_bind(holder.to_be_bytes().to_vec())
                .push_bind(whole(holding.held))
                .push_bind(i64::from(holding.is_recalled));
        });
        insert.push(
            " ON CONFLICT (api, name, counted_of, period, holder) DO UPDATE SET
                  held = excluded.held, recalled = excluded.recalled",
        );
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn remove_holdings(connection: &mut Connection, given_back: &[(&Place, u128)]) -> sqlx::Result<()> {
    for some in runs(given_back) {
        let mut delete: QueryBuilder<Db> =
            QueryBuilder::new("DELETE FROM quota_holdings WHERE (api, name, counted_of, period, holder) IN (");
        delete.push_values(some, |mut columns, (place, holder)| {
            columns
                .push_bind(place.api.clone())
                .push_bind(place.name.clone())
                .push_bind(place.counted_of.clone())
                .push_bind(place.period.clone())
                .push_bind(holder.to_be_bytes().to_vec());
        });
        delete.push(")");
        delete.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn whole(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}
