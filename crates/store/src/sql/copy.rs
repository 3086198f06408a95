//! Rows of whole tables, read and written as they are (`crate::transfer`).

use futures_util::TryStreamExt as _;
use sqlx::{QueryBuilder, Row as _};
use tokio::sync::mpsc;

use super::bulk::runs;
use super::{Connection, Db, Row, dialect};
use crate::transfer::{Kind, Table, Value};

/// Rows that go over at once.
const ROWS: usize = 512;

/// Some rows of a table.
pub(crate) type Rows = Vec<Vec<Value>>;

/// How many rows a table has.
pub(crate) async fn count(connection: &mut Connection, table: &Table) -> sqlx::Result<u64> {
    let count = format!("SELECT COUNT(*) FROM {}", table.name);
    let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(connection).await?;
    Ok(count.unsigned_abs())
}

/// Reads a table's rows, and hands them over; ends early where nobody takes them.
pub(crate) async fn read(
    connection: &mut Connection,
    table: &'static Table,
    to: &mpsc::Sender<(&'static Table, Rows)>,
) -> sqlx::Result<()> {
    let select = format!("SELECT {} FROM {} ORDER BY {}", table.names(), table.name, table.order);
    let mut found = sqlx::query(sqlx::AssertSqlSafe(select)).fetch(connection);
    let mut rows = Vec::with_capacity(ROWS);
    while let Some(row) = found.try_next().await? {
        let values = table.columns.iter().map(|(column, kind)| value(&row, column, *kind));
        rows.push(values.collect::<sqlx::Result<Vec<Value>>>()?);
        if rows.len() == ROWS && to.send((table, std::mem::take(&mut rows))).await.is_err() {
            return Ok(());
        }
    }
    let _ = to.send((table, rows)).await;
    Ok(())
}

fn value(row: &Row, column: &str, kind: Kind) -> sqlx::Result<Value> {
    Ok(match kind {
        Kind::Int => Value::Int(row.try_get(column)?),
        Kind::Bytes => Value::Bytes(row.try_get(column)?),
        Kind::Word => Value::Text(row.try_get(column)?),
        Kind::Text => Value::Text(row.try_get::<Option<String>, _>(column)?.map(dialect::plain)),
    })
}

/// Writes rows into a table that holds none of them.
pub(crate) async fn write(connection: &mut Connection, table: &Table, rows: &Rows) -> sqlx::Result<()> {
    for some in runs(rows) {
        let mut insert: QueryBuilder<Db> =
            QueryBuilder::new(format!("INSERT INTO {} ({}) ", table.name, table.names()));
        insert.push_values(some, |mut columns, row| {
            for (value, (_, kind)) in row.iter().zip(table.columns) {
                match value {
                    Value::Int(number) => columns.push_bind(*number),
                    Value::Bytes(bytes) => columns.push_bind(bytes.clone()),
                    Value::Text(text) if *kind == Kind::Text => {
                        columns.push_bind(text.as_deref().map(dialect::text))
                    }
                    Value::Text(text) => columns.push_bind(text.clone()),
                };
            }
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}
