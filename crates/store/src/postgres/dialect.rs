//! How PostgreSQL differs from SQLite where both run the same SQL.

use sqlx::Row as _;

use super::Row;
pub(crate) use super::error::{is_missing_reference, read_failure};

/// Begins a transaction that writes.
pub(crate) const BEGIN: &str = "BEGIN";
/// Begins a transaction whose statements all read the same.
pub(crate) const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Reads the log's head and locks its row: nobody else makes changes until the transaction ends.
pub(crate) const LOCK_HEAD: &str = "SELECT head_revision, head_hash FROM store FOR UPDATE";
/// Gives a row where a person may sign in, and keeps it so until the transaction ends.
pub(crate) const MAY_SIGN_IN: &str =
    "SELECT created_revision FROM people WHERE id = $1 AND state = 'active' FOR SHARE";
/// Whether rows are locked by those who mean to alter them.
pub(crate) const LOCKS_ROWS: bool = true;

/// What stands for a NUL, which PostgreSQL keeps in no text; and, doubled, for itself.
const ESCAPE: char = '\u{fffd}';

/// A text as a column holds it.
pub(crate) fn text(text: &str) -> String {
    if !text.contains(['\0', ESCAPE]) {
        return text.to_owned();
    }
    text.replace(ESCAPE, "\u{fffd}\u{fffd}").replace('\0', "\u{fffd}0")
}

/// A text as it was before [`text`].
pub(crate) fn plain(text: String) -> String {
    if !text.contains(ESCAPE) {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match (c, c == ESCAPE) {
            (c, false) => c,
            (_, true) => match chars.next() {
                Some('0') => '\0',
                _ => ESCAPE,
            },
        });
    }
    plain
}

/// Reads a text from a column that [`text`] filled.
pub(crate) fn text_of(row: &Row, column: &str) -> sqlx::Result<String> {
    row.try_get(column).map(plain)
}

/// Reads the bytes of a text.
pub(crate) fn text_bytes<'a>(row: &'a Row, column: &str) -> sqlx::Result<&'a [u8]> {
    row.try_get::<&str, _>(column).map(str::as_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_and_none_holds_a_nul() {
        for original in ["", "plain", "\0", "a\0b", "\u{fffd}", "\u{fffd}0", "\0\u{fffd}\0", "\u{fffd}\0"] {
            let kept = text(original);
            assert!(!kept.contains('\0'));
            assert_eq!(plain(kept), original);
        }
        assert_ne!(text("\0"), text("\u{fffd}0"));
    }
}
