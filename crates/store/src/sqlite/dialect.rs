//! How SQLite differs from PostgreSQL where both run the same SQL.

use sqlx::Row as _;

use super::Row;
pub(crate) use super::error::{is_missing_reference, read_failure};

/// Begins a transaction that writes: nobody else does until it ends.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";
/// Begins a transaction whose statements all read the same.
pub(crate) const SNAPSHOT: &str = "BEGIN";
/// Reads the log's head; the one writer needs no lock on it.
pub(crate) const LOCK_HEAD: &str = "SELECT head_revision, head_hash FROM store";
/// Gives a row where a person may sign in.
pub(crate) const MAY_SIGN_IN: &str = "SELECT created_revision FROM people WHERE id = $1 AND state = 'active'";
/// Whether rows are locked by those who mean to alter them.
pub(crate) const LOCKS_ROWS: bool = false;

/// A text as a column holds it: as it is.
pub(crate) fn text(text: &str) -> String {
    text.to_owned()
}

/// A text as it was before [`text`].
pub(crate) fn plain(text: String) -> String {
    text
}

/// Reads a text from a column that [`text`] filled.
pub(crate) fn text_of(row: &Row, column: &str) -> sqlx::Result<String> {
    row.try_get(column)
}

/// Reads the bytes of a text, whatever they are: a seal tells whether they are right.
pub(crate) fn text_bytes<'a>(row: &'a Row, column: &str) -> sqlx::Result<&'a [u8]> {
    row.try_get(column)
}
