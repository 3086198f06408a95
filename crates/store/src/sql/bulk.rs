//! Statements over many rows at once, with few different texts: SQLite then finds them prepared.

use sqlx::QueryBuilder;

use super::Db;

/// Rows that one statement takes at most.
const MOST: usize = 64;

/// Splits rows into runs whose lengths are powers of two.
pub(crate) fn runs<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = rows.len().min(MOST);
        if length == 0 {
            return None;
        }
        let (run, rest) = rows.split_at(1 << length.ilog2());
        rows = rest;
        Some(run)
    })
}

/// Pushes a list to look for, with the last one repeated until the length is a power of two. Takes at most
/// as many as [`MOST`]; not for empty lists.
pub(crate) fn push_list<T>(
    query: &mut QueryBuilder<Db>,
    items: &[T],
    mut push: impl FnMut(&mut QueryBuilder<Db>, &T),
) {
    let wanted = items.len().next_power_of_two();
    for (i, item) in items.iter().chain(std::iter::repeat(&items[items.len() - 1])).take(wanted).enumerate() {
        if i > 0 {
            query.push(", ");
        }
        push(query, item);
    }
}

/// Splits a list to look for into parts for [`push_list`].
pub(crate) fn parts<T>(items: &[T]) -> impl Iterator<Item = &[T]> {
    items.chunks(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_everything_once_in_few_lengths() {
        for count in [0, 1, 2, 3, 63, 64, 65, 200] {
            let rows: Vec<usize> = (0..count).collect();
            let runs: Vec<&[usize]> = runs(&rows).collect();
            assert_eq!(runs.concat(), rows);
            assert!(runs.iter().all(|run| run.len().is_power_of_two() && run.len() <= MOST));
        }
    }
}
