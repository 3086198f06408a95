//! Writes that are no change and concern nobody's quota: each in a transaction of its own, made by the writer.

use std::time::Duration;

use keyward_core::clock::Timestamp;
use keyward_core::log::LogKeys;
use keyward_core::store::SavedRate;
use keyward_core::usage::UsageBatch;
use sqlx::Executor;

use super::data_keys::{self, DataKeyWrite};
use super::forget::{self, Old};
use super::peppers::{self, PepperWrite};
use super::records::Refusal;
use super::sessions::{self, SessionWrite};
use super::{Connection, rates, usage};

/// How long a request's `Idempotency-Key` and a batch of uses are known again.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// What can be written besides changes and exchanges.
pub(crate) enum Write {
    Usage(Box<UsageBatch>),
    Pepper(PepperWrite),
    Rates(Vec<SavedRate>),
    /// Forgets rates whose burst is all there again at this moment.
    FullRates(Timestamp),
    Forget(Old),
    Sessions(SessionWrite),
    DataKeys(DataKeyWrite),
    Housekeeping,
    /// Writes nothing, durably: whether there is room again.
    Probe,
}

impl Write {
    /// Writes it; says whether there is more to do of the kind, or whether what was to be used up was there.
    pub(crate) async fn make(
        &self,
        connection: &mut Connection,
        log_keys: &LogKeys,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        match self {
            Write::Forget(old) => return forget::forget(connection, *old).await,
            Write::Sessions(write) => return sessions::write(connection, log_keys, write).await,
            Write::DataKeys(write) => return data_keys::write(connection, log_keys, write).await,
            Write::Usage(batch) => usage::record(connection, batch, now).await?,
            Write::Pepper(write) => peppers::write(connection, log_keys, write).await?,
            Write::Rates(saved) => rates::save(connection, saved).await?,
            Write::FullRates(now) => rates::forget_full(connection, *now).await?,
            Write::Housekeeping => prune(connection, now).await?,
            Write::Probe => probe(connection).await?,
        }
        Ok(false)
    }
}

/// Removes what has done its work: records of requests and of batches of uses, and rates that went unused,
/// each a day after.
async fn prune(connection: &mut Connection, now: Timestamp) -> Result<(), Refusal> {
    let before = Timestamp::from_millis(now.as_millis().saturating_sub(KEPT.as_millis() as i64));
    for sql in ["DELETE FROM idempotency WHERE at < $1", "DELETE FROM usage_batches WHERE at < $1"] {
        sqlx::query(sql).bind(before.as_millis()).execute(&mut *connection).await?;
    }
    rates::forget_full(connection, before).await
}

async fn probe(connection: &mut Connection) -> Result<(), Refusal> {
    connection.execute("UPDATE store SET probe = probe + 1").await?;
    Ok(())
}
