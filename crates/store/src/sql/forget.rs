//! Forgetting what is older than it is kept: folded minutes, counts of hours, tallies of quotas' periods. In
//! parts, so that nobody waits long for the writer.
//!
//! Batches of uses are not forgotten here but a day after they were added ([`super::writes`]): one that is
//! sent again must still be known, however short minutes are kept.

use std::time::Duration;

use keyward_core::clock::Timestamp;

use super::Connection;
use super::records::Refusal;

/// What is to be forgotten.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Old {
    /// Folded minutes before this moment.
    pub(crate) minutes: Timestamp,
    /// Counts of hours before it, and tallies of periods that ended [`TALLIES_KEPT`] before it.
    pub(crate) hours: Timestamp,
    /// At most so many rows of each.
    pub(crate) limit: u32,
}

/// How much longer than hours tallies are kept: however short charts reach back, a clock that jumps ahead and back
/// must find its quotas as they were.
const TALLIES_KEPT: Duration = Duration::from_secs(400 * 86_400);

const MINUTES: &str = "DELETE FROM usage WHERE id IN (
         SELECT id FROM usage WHERE minute < $1 ORDER BY minute LIMIT $2)";
const HOURS: &str = "DELETE FROM usage_hours WHERE (project, hour, key_id, outcome) IN (
         SELECT project, hour, key_id, outcome FROM usage_hours WHERE hour < $1 ORDER BY hour LIMIT $2)";
// What a node still holds of a period is its last word on it: the tally goes when that was given back.
const TALLIES: &str = "DELETE FROM quota_tallies WHERE (api, name, counted_of, period) IN (
         SELECT t.api, t.name, t.counted_of, t.period FROM quota_tallies AS t
         WHERE t.ends_at < $1 AND NOT EXISTS (
             SELECT 1 FROM quota_holdings AS h
             WHERE h.api = t.api AND h.name = t.name AND h.counted_of = t.counted_of AND h.period = t.period)
         ORDER BY t.ends_at LIMIT $2)";

/// Forgets a part of what is old; says whether there may be more.
pub(crate) async fn forget(connection: &mut Connection, old: Old) -> Result<bool, Refusal> {
    // Asked for nothing at a time, nobody would come to an end.
    let limit = old.limit.max(1);
    let mut more = false;
    let tallies = Timestamp::from_millis(old.hours.as_millis().saturating_sub(TALLIES_KEPT.as_millis() as i64));
    for (sql, before) in [(MINUTES, old.minutes), (HOURS, old.hours), (TALLIES, tallies)] {
        let forgotten = sqlx::query(sql)
            .bind(before.as_millis())
            .bind(i64::from(limit))
            .execute(&mut *connection)
            .await?
            .rows_affected();
        more |= forgotten >= u64::from(limit);
    }
    Ok(more)
}
