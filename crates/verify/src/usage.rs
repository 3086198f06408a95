//! Uses and refusals noted on the way and written in batches: at most one write a second, a key's last use at
//! most two seconds late, and never a wait for a request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use keyward_core::clock::{Entropy, SystemEntropy, Timestamp};
use keyward_core::decision::ProjectFacts;
use keyward_core::denial::Denial;
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::store::Store;
use keyward_core::usage::{UsageBatch, UsageRow};
use parking_lot::Mutex;

use crate::cache::Entry;

/// The outcome of a grant, in rows.
const VALID: &str = "valid";
/// Rows kept while the store cannot take them; older ones are dropped and counted beyond that.
const ROWS_MAX: usize = 100_000;

/// What is noted and not yet written.
pub(crate) struct Usage {
    used: Mutex<Vec<(Arc<Entry>, Option<IpAddr>)>>,
    refused: Mutex<HashMap<(KeyId, &'static str), Refused>>,
    outbox: tokio::sync::Mutex<Outbox>,
}

struct Refused {
    project: ProjectId,
    count: u64,
    first: Timestamp,
    last: Timestamp,
    address: Option<IpAddr>,
}

struct Outbox {
    incarnation: u128,
    sequence: u64,
    /// A batch that the store did not confirm: sent again as it was, so that it counts once.
    unconfirmed: Option<UsageBatch>,
    waiting: Vec<UsageRow>,
}

impl Usage {
    pub fn new() -> Self {
        let mut incarnation = [0; 16];
        SystemEntropy.fill(&mut incarnation);
        let incarnation = u128::from_be_bytes(incarnation);
        Usage {
            used: Mutex::default(),
            refused: Mutex::default(),
            outbox: tokio::sync::Mutex::new(Outbox {
                incarnation,
                sequence: 0,
                unconfirmed: None,
                waiting: Vec::new(),
            }),
        }
    }

    /// Notes a grant. Costs a few atomic operations; only a key's first use since the last flush takes a lock.
    pub fn granted(&self, entry: &Arc<Entry>, now: Timestamp, address: Option<IpAddr>) {
        entry.last_granted.fetch_max(now.as_millis(), Ordering::Relaxed);
        if entry.granted.fetch_add(1, Ordering::AcqRel) == 0 {
            entry.first_granted.store(now.as_millis(), Ordering::Relaxed);
            self.used.lock().push((Arc::clone(entry), address));
        }
    }

    /// Notes a refusal of a known key.
    pub fn refused(
        &self,
        key: KeyId,
        project: &ProjectFacts,
        denial: Denial,
        now: Timestamp,
        address: Option<IpAddr>,
    ) {
        let mut refused = self.refused.lock();
        let row = refused.entry((key, denial.code())).or_insert(Refused {
            project: project.id,
            count: 0,
            first: now,
            last: now,
            address,
        });
        row.count += 1;
        row.last = row.last.max(now);
        row.address = address.or(row.address);
    }

    /// Writes what was noted. What the store does not take is kept and tried again with the next flush.
    pub async fn flush(&self, store: &dyn Store) {
        let mut outbox = self.outbox.lock().await;
        outbox.waiting.extend(self.collect());
        while let Some(batch) = outbox.next_batch() {
            if let Err(error) = store.record_usage(&batch).await {
                metrics::counter!("keyward_usage_write_failures_total").increment(1);
                tracing::warn!(%error, rows = batch.rows.len(), "uses could not be written and are kept for later");
                outbox.unconfirmed = Some(batch);
                outbox.drop_oldest();
                return;
            }
        }
    }

    fn collect(&self) -> Vec<UsageRow> {
        let used = std::mem::take(&mut *self.used.lock());
        let refused = std::mem::take(&mut *self.refused.lock());
        let used = used.into_iter().map(|(entry, address)| {
            // Reset before the times are read: a use in between is noted for the next flush as well as timed here.
            let count = u64::from(entry.granted.swap(0, Ordering::AcqRel));
            let first_at = Timestamp::from_millis(entry.first_granted.load(Ordering::Relaxed));
            UsageRow {
                key: entry.facts.id,
                project: entry.project.id,
                minute: first_at.minute(),
                outcome: VALID.into(),
                count,
                first_at,
                last_at: Timestamp::from_millis(entry.last_granted.load(Ordering::Relaxed)),
                last_address: address,
            }
        });
        let refused = refused.into_iter().map(|((key, code), row)| UsageRow {
            key,
            project: row.project,
            minute: row.first.minute(),
            outcome: code.into(),
            count: row.count,
            first_at: row.first,
            last_at: row.last,
            last_address: row.address,
        });
        used.chain(refused).collect()
    }
}

impl Outbox {
    fn next_batch(&mut self) -> Option<UsageBatch> {
        if let Some(batch) = self.unconfirmed.take() {
            return Some(batch);
        }
        if self.waiting.is_empty() {
            return None;
        }
        self.sequence += 1;
        Some(UsageBatch {
            incarnation: self.incarnation,
            sequence: self.sequence,
            rows: std::mem::take(&mut self.waiting),
        })
    }

    fn drop_oldest(&mut self) {
        if let Some(excess) = self.waiting.len().checked_sub(ROWS_MAX).filter(|excess| *excess > 0) {
            self.waiting.drain(..excess);
            metrics::counter!("keyward_usage_rows_dropped_total").increment(excess as u64);
        }
    }
}
