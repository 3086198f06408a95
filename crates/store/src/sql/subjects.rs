//! What changes of many things are about, row by row beside the log: written with their entries, so that the log of each
//! key, project and organization finds them ([`super::log`]), and checked against them.

use std::collections::{BTreeMap, BTreeSet};

use keyward_core::change::{EntryBody, Revision, Subject};
use keyward_core::store::Result;
use sqlx::{QueryBuilder, Row as _};

use super::bulk::runs;
use super::dialect::read_failure;
use super::{Connection, Db};

/// A row that waits to be inserted.
pub(crate) struct SubjectRow {
    revision: Revision,
    at: i64,
    name: &'static str,
    columns: Columns,
}

/// Organization, project and key as their columns have them: empty where there is none.
type Columns = (String, String, String);

fn columns_of(subject: &Subject) -> Columns {
    let project = subject.project.map_or_else(String::new, |id| id.to_string());
    let key = subject.key.map_or_else(String::new, |id| id.to_string());
    (subject.organization.to_string(), project, key)
}

/// The rows of an entry.
pub(crate) fn of(revision: Revision, body: &EntryBody) -> Vec<SubjectRow> {
    let (at, name) = (body.at.as_millis(), body.change.name());
    let subjects = body.change.subjects();
    subjects.iter().map(|subject| SubjectRow { revision, at, name, columns: columns_of(subject) }).collect()
}

pub(crate) async fn write(connection: &mut Connection, rows: &[SubjectRow]) -> sqlx::Result<()> {
    for run in runs(rows) {
        let mut insert: QueryBuilder<Db> =
            QueryBuilder::new("INSERT INTO log_subjects (revision, organization, project, key_id, at, name) ");
        insert.push_values(run, |mut columns, row| {
            let (organization, project, key) = &row.columns;
            columns
                .push_bind(row.revision.0)
                .push_bind(organization.clone())
                .push_bind(project.clone())
                .push_bind(key.clone())
                .push_bind(row.at)
                .push_bind(row.name);
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// How many rows the entries after one revision up to another have, where they have any.
pub(crate) async fn counts(
    connection: &mut Connection,
    after: Revision,
    up_to: Revision,
) -> Result<BTreeMap<i64, u64>> {
    let rows = sqlx::query(
        "SELECT revision, COUNT(*) AS count FROM log_subjects
         WHERE revision > $1 AND revision <= $2 GROUP BY revision",
    )
    .bind(after.0)
    .bind(up_to.0)
    .fetch_all(connection)
    .await
    .map_err(read_failure)?;
    rows.iter()
        .map(|row| {
            let count: i64 = row.try_get("count").map_err(read_failure)?;
            Ok((row.try_get("revision").map_err(read_failure)?, count.unsigned_abs()))
        })
        .collect()
}

/// Whether the rows of an entry, of which there are so many, are those that its body asks for.
pub(crate) async fn agree(
    connection: &mut Connection,
    revision: Revision,
    body: &EntryBody,
    count: u64,
) -> Result<bool> {
    let wanted: BTreeSet<Columns> = body.change.subjects().iter().map(columns_of).collect();
    if wanted.is_empty() || wanted.len() as u64 != count {
        return Ok(wanted.len() as u64 == count);
    }
    let (at, name) = (body.at.as_millis(), body.change.name());
    let rows = sqlx::query("SELECT organization, project, key_id, at, name FROM log_subjects WHERE revision = $1")
        .bind(revision.0)
        .fetch_all(connection)
        .await
        .map_err(read_failure)?;
    for row in &rows {
        // What has another type than it was written with was not written by Keyward.
        let read = || -> sqlx::Result<(i64, String, Columns)> {
            let columns = (row.try_get("organization")?, row.try_get("project")?, row.try_get("key_id")?);
            Ok((row.try_get("at")?, row.try_get("name")?, columns))
        };
        let agrees = read().is_ok_and(|(found_at, found_name, columns)| {
            (found_at, found_name.as_str()) == (at, name) && wanted.contains(&columns)
        });
        if !agrees {
            return Ok(false);
        }
    }
    Ok(true)
}
