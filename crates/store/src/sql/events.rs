//! A project's event log: its changes and its folded uses, merged, newest first.
//!
//! Three ordered reads, each along an index, are merged: changes, granted uses and refused uses. A line's
//! position is (time, kind, number); a row of uses keeps its number for good, and its time (the first use in
//! its minute) can only move back, so a reader who pages on misses nothing.

use keyward_core::change::Entry;
use keyward_core::clock::Timestamp;
use keyward_core::id::ProjectId;
use keyward_core::log::LogKeys;
use keyward_core::store::{EventFilter, EventPosition, Result};
use keyward_core::usage::Event;
use sqlx::{Connection as _, QueryBuilder, Row as _};

use super::dialect::read_failure;
use super::log::{Order, Sought};
use super::{Connection, Db, dialect, log, usage};

const CHANGE: u8 = 0;
const USES: u8 = 1;

pub(crate) async fn events(
    connection: &mut Connection,
    log_keys: &LogKeys,
    project: ProjectId,
    filter: &EventFilter,
    (before, limit): (Option<EventPosition>, u32),
) -> Result<Vec<(EventPosition, Event)>> {
    let wanted = filter.name.as_deref();
    // One snapshot for all three reads.
    let mut snapshot = connection.begin_with(dialect::SNAPSHOT).await.map_err(read_failure)?;
    let mut lines = Vec::new();
    if !matches!(wanted, Some("key.used" | "key.refused")) {
        lines.extend(
            changes(&mut snapshot, log_keys, project, filter, bound(before, filter.to, CHANGE), limit).await?,
        );
    }
    for (name, granted) in [("key.used", 1), ("key.refused", 0)] {
        if wanted.is_none_or(|wanted| wanted == name) {
            lines.extend(
                uses(&mut snapshot, project, filter, granted, bound(before, filter.to, USES), limit).await?,
            );
        }
    }
    snapshot.rollback().await.map_err(read_failure)?;
    lines.sort_unstable_by_key(|(position, _)| std::cmp::Reverse((position.at, position.kind, position.number)));
    lines.truncate(limit as usize);
    Ok(lines)
}

/// The (time, number) that lines of a kind must be below to come after a position.
///
/// The end of the time asked for is a part of it: SQLite looks from one bound only, and must not look through all that
/// is newer.
fn bound(before: Option<EventPosition>, to: Option<Timestamp>, kind: u8) -> (i64, i64) {
    let end = to.map_or((i64::MAX, i64::MAX), |to| (to.as_millis(), i64::MIN));
    let position = match before {
        None => (i64::MAX, i64::MAX),
        Some(position) if position.kind == kind => (position.at.as_millis(), position.number),
        // At the same time, lower kinds come later: all of them, or none.
        Some(position) if kind < position.kind => (position.at.as_millis(), i64::MAX),
        Some(position) => (position.at.as_millis(), i64::MIN),
    };
    position.min(end)
}

async fn changes(
    connection: &mut Connection,
    log_keys: &LogKeys,
    project: ProjectId,
    filter: &EventFilter,
    (at, number): (i64, i64),
    limit: u32,
) -> Result<Vec<(EventPosition, Event)>> {
    let sought = Sought {
        project: Some(project),
        key: filter.key,
        name: filter.name.as_deref(),
        from: filter.from,
        order: Order::Time(at, number),
        limit,
        ..Sought::default()
    };
    let entries = log::find(connection, log_keys, &sought).await?;
    let line = |entry: Entry| {
        let position = EventPosition { at: entry.body.at, kind: CHANGE, number: entry.revision.0 };
        (position, Event::Change(entry))
    };
    Ok(entries.into_iter().map(line).collect())
}

fn push_from(select: &mut QueryBuilder<Db>, column: &str, filter: &EventFilter) {
    if let Some(from) = filter.from {
        select.push(" AND ").push(column).push(" >= ").push_bind(from.as_millis());
    }
}

async fn uses(
    connection: &mut Connection,
    project: ProjectId,
    filter: &EventFilter,
    granted: i64,
    (at, number): (i64, i64),
    limit: u32,
) -> Result<Vec<(EventPosition, Event)>> {
    let mut select: QueryBuilder<Db> = QueryBuilder::new(
        "SELECT id, project, key_id, minute, outcome, count, first_at, last_at, last_address FROM usage",
    );
    match filter.key {
        Some(key) => {
            select.push(" WHERE key_id = ").push_bind(key.to_string());
            select.push(" AND COALESCE(project, '') = ").push_bind(project.to_string());
        }
        None => {
            select.push(" WHERE project = ").push_bind(project.to_string());
        }
    }
    select.push(" AND granted = ").push_bind(granted);
    select.push(" AND (first_at, id) < (").push_bind(at).push(", ").push_bind(number);
    select.push(")");
    push_from(&mut select, "first_at", filter);
    select.push(" ORDER BY first_at DESC, id DESC LIMIT ").push_bind(i64::from(limit));
    let rows = select.build().fetch_all(connection).await.map_err(read_failure)?;
    rows.iter()
        .map(|row| {
            let uses = usage::row_of(row)?;
            let number = row.try_get("id").map_err(read_failure)?;
            let position = EventPosition { at: uses.first_at, kind: USES, number };
            Ok((position, Event::Usage(uses)))
        })
        .collect()
}
