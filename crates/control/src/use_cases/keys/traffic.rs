//! How much each key of a project is used now: what tells people which of two keys still has traffic (M15), and what
//! ending one will stop. At most seconds late, as all counts of uses.

use std::collections::HashMap;
use std::time::Duration;

use keyward_core::clock::Timestamp;
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::permission::Permission;
use keyward_core::usage::{Apart, Fold};

use crate::use_cases::error::Result;
use crate::use_cases::{Asked, Control};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// The outcome of requests that were let in.
const VALID: &str = "valid";

/// How many requests came with a key in some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many were let in.
    pub granted: u64,
    /// How many were refused.
    pub refused: u64,
}

impl Traffic {
    /// All of them.
    pub const fn total(self) -> u64 {
        self.granted.saturating_add(self.refused)
    }

    fn add(&mut self, outcome: Option<&str>, count: u64) {
        let place = if outcome == Some(VALID) { &mut self.granted } else { &mut self.refused };
        *place = place.saturating_add(count);
    }
}

/// Traffic by key; keys without any are left out.
pub type TrafficByKey = HashMap<KeyId, Traffic>;

impl Control {
    /// The traffic of a project's keys since midnight of UTC.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches.
    pub async fn traffic_today(&self, asked: &Asked, project: ProjectId) -> Result<TrafficByKey> {
        let now = self.now().as_millis();
        self.traffic(asked, project, Timestamp::from_millis(now.div_euclid(DAY) * DAY)).await
    }

    /// The traffic of a project's keys in this hour and the one before: counts are kept by the hour, and rows of minutes
    /// are too many to add up for a page.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches.
    pub async fn traffic_lately(&self, asked: &Asked, project: ProjectId) -> Result<TrafficByKey> {
        self.traffic(asked, project, Timestamp::from_millis(self.now().as_millis().saturating_sub(HOUR))).await
    }

    /// How many requests with a key were let in during the last day, in whole hours.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches.
    pub async fn requests_of_a_day(&self, asked: &Asked, project: ProjectId, key: KeyId) -> Result<u64> {
        let from = Timestamp::from_millis(self.now().as_millis().saturating_sub(DAY));
        let traffic = self.traffic(asked, project, from).await?;
        Ok(traffic.get(&key).copied().unwrap_or_default().granted)
    }

    /// Traffic from the hour that `from` lies in until now.
    async fn traffic(&self, asked: &Asked, project: ProjectId, from: Timestamp) -> Result<TrafficByKey> {
        asked.require(Permission::KeysRead)?;
        let place = self.find_project(asked, project).await?;
        let from = Timestamp::from_millis(from.as_millis().div_euclid(HOUR) * HOUR);
        let to = self.now().saturating_add(Duration::from_millis(HOUR as u64));
        let fold = Fold { step: DAY, by: Apart::KeyAndOutcome };
        let mut traffic = TrafficByKey::new();
        for count in self.store.usage_counts(place.project.id, from, to, fold).await? {
            if let Some(key) = count.key {
                traffic.entry(key).or_default().add(count.outcome.as_deref(), count.count);
            }
        }
        Ok(traffic)
    }
}
