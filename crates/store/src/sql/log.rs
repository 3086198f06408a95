//! Reading the log. Every entry that leaves the store was checked against the one before it.

use keyward_core::change::{Entry, EntryBody, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::{KeyId, OrganizationId, ProjectId};
use keyward_core::log::{GENESIS, LogKeys};
use keyward_core::store::{ChangeFilter, Page, Result, StoreError};
use sqlx::{QueryBuilder, Row as _};

use super::dialect::{read_failure, text_bytes};
use super::{Connection, Db, Row, dialect};

/// The changes after a revision, oldest first.
pub(crate) async fn since(
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

/// Which entries are looked for. The walls that are given all hold.
#[derive(Debug, Default)]
pub(crate) struct Sought<'a> {
    pub(crate) organization: Option<OrganizationId>,
    pub(crate) project: Option<ProjectId>,
    pub(crate) key: Option<KeyId>,
    pub(crate) name: Option<&'a str>,
    pub(crate) from: Option<Timestamp>,
    pub(crate) order: Order,
    pub(crate) limit: u32,
}

/// In which order, newest first, and from where on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// By (time, revision), those below.
    Time(i64, i64),
    /// By revision, those below.
    Revision(i64),
}

impl Default for Order {
    fn default() -> Self {
        Order::Revision(i64::MAX)
    }
}

impl Sought<'_> {
    /// The columns of the walls that are given, the narrowest first.
    fn walls(&self) -> Vec<(&'static str, String)> {
        let walls = [
            ("key_id", self.key.map(|id| id.to_string())),
            ("project", self.project.map(|id| id.to_string())),
            ("organization", self.organization.map(|id| id.to_string())),
        ];
        walls.into_iter().filter_map(|(column, id)| Some((column, id?))).collect()
    }

    /// Selects what fits of one table. `level` tells the rows of one kind of thing apart, where the table has several.
    fn push(&self, select: &mut QueryBuilder<Db>, table: &str, level: &str) {
        select.push("SELECT * FROM (SELECT at, revision FROM ").push(table).push(" WHERE ");
        match self.order {
            Order::Time(at, revision) => {
                select.push("(at, revision) < (").push_bind(at).push(", ").push_bind(revision).push(")");
            }
            Order::Revision(revision) => {
                select.push("revision < ").push_bind(revision);
            }
        }
        // The narrowest of them is found by its index; the wider ones are only checked.
        for (i, (column, id)) in self.walls().into_iter().enumerate() {
            match i {
                0 => select.push(" AND ").push(column).push(" = "),
                _ => select.push(" AND COALESCE(").push(column).push(", '') = "),
            };
            select.push_bind(id);
        }
        select.push(level);
        if let Some(name) = self.name {
            select.push(" AND name = ").push_bind(dialect::text(name));
        }
        if let Some(from) = self.from {
            select.push(" AND at >= ").push_bind(from.as_millis());
        }
        let order = match self.order {
            Order::Time(..) => " ORDER BY at DESC, revision DESC LIMIT ",
            Order::Revision(_) => " ORDER BY revision DESC LIMIT ",
        };
        select.push(order).push_bind(i64::from(self.limit)).push(") AS of_").push(table);
    }
}

/// The entries that are looked for: those whose own columns say it, and changes of many by their subjects. One statement,
/// so that nothing committed meanwhile is in the one and not in the other.
pub(crate) async fn find(
    connection: &mut Connection,
    log_keys: &LogKeys,
    sought: &Sought<'_>,
) -> Result<Vec<Entry>> {
    let mut select: QueryBuilder<Db> =
        QueryBuilder::new("SELECT l.revision, l.body, l.hash, b.hash AS previous FROM (");
    sought.push(&mut select, "log", "");
    // The literals name the partial index.
    let level = match (sought.key, sought.project, sought.organization) {
        (Some(_), ..) => Some(" AND key_id <> ''"),
        (None, Some(_), _) => Some(" AND key_id = ''"),
        (None, None, Some(_)) => Some(" AND project = ''"),
        (None, None, None) => None,
    };
    if let Some(level) = level {
        select.push(" UNION ALL ");
        sought.push(&mut select, "log_subjects", level);
    }
    // A cross join, because SQLite keeps to its order: what was found first, and each entry by its revision.
    select.push(
        ") AS found CROSS JOIN log AS l LEFT JOIN log AS b ON b.revision = l.revision - 1
         WHERE l.revision = found.revision",
    );
    select.push(match sought.order {
        Order::Time(..) => " ORDER BY found.at DESC, found.revision DESC LIMIT ",
        Order::Revision(_) => " ORDER BY found.revision DESC LIMIT ",
    });
    select.push_bind(i64::from(sought.limit));
    let rows = select.build().fetch_all(connection).await.map_err(read_failure)?;
    rows.iter().map(|row| entry_of(log_keys, row)).collect()
}

/// Changes that fit a filter, newest first.
pub(crate) async fn matching(
    connection: &mut Connection,
    log_keys: &LogKeys,
    filter: &ChangeFilter,
    page: Page,
) -> Result<Vec<Entry>> {
    let sought = Sought {
        organization: filter.organization,
        project: filter.project,
        key: filter.key,
        order: Order::Revision(page.before.map_or(i64::MAX, |before| before.0)),
        limit: page.limit,
        ..Sought::default()
    };
    find(connection, log_keys, &sought).await
}

/// Reads an entry, and checks that it follows the one before.
pub(crate) fn entry_of(log_keys: &LogKeys, row: &Row) -> Result<Entry> {
    let revision = Revision(row.try_get("revision").map_err(read_failure)?);
    let body = text_bytes(row, "body").map_err(read_failure)?;
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
