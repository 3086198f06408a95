//! How often a project's keys were used: counts by hour or day, at most seconds late.

use std::collections::BTreeMap;
use std::time::Duration;

use keyward_core::clock::Timestamp;
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::permission::Permission;

use super::error::{ControlError, Result};
use super::{Asked, Control};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// The length of the parts that uses are counted in; days are UTC's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Step {
    /// An hour.
    #[default]
    Hour,
    /// A day.
    Day,
}

/// What counts are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The key.
    Key,
    /// `valid`, or the code of the denial.
    Outcome,
}

/// Which counts are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct UsageQuestion {
    /// From when on.
    pub from: Option<Timestamp>,
    /// Until when; now where none.
    pub to: Option<Timestamp>,
    /// By what step.
    pub step: Step,
    /// Told apart by what; all together where none.
    pub by: Option<By>,
}

/// One count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsagePoint {
    /// When the step began.
    pub start: Timestamp,
    /// Of which key, where told apart by it.
    pub key: Option<KeyId>,
    /// With what outcome, where told apart by it.
    pub outcome: Option<String>,
    /// How many.
    pub count: u64,
}

impl Step {
    /// The longest time that is counted in such steps.
    fn span_max(self) -> Duration {
        match self {
            Step::Hour => 31 * DAY,
            Step::Day => 366 * DAY,
        }
    }

    /// What is counted where no beginning is asked for.
    fn span_default(self) -> Duration {
        match self {
            Step::Hour => DAY,
            Step::Day => 30 * DAY,
        }
    }

    fn start_of(self, moment: Timestamp) -> Timestamp {
        let length = match self {
            Step::Hour => HOUR,
            Step::Day => DAY,
        };
        let length = length.as_millis() as i64;
        Timestamp::from_millis(moment.as_millis().div_euclid(length) * length)
    }
}

impl Control {
    /// How often a project's keys were used.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches, or the time asked for is too long.
    pub async fn usage(
        &self,
        asked: &Asked,
        project: ProjectId,
        question: &UsageQuestion,
    ) -> Result<Vec<UsagePoint>> {
        asked.require(Permission::ProjectsRead)?;
        let place = self.find_project(asked, project).await?;
        let (from, to) = span(question, self.now())?;
        let mut counts = BTreeMap::new();
        for row in self.store.usage(place.project.id, from, to).await? {
            let start = question.step.start_of(row.minute);
            let key = (question.by == Some(By::Key)).then_some(row.key);
            let outcome = (question.by == Some(By::Outcome)).then_some(row.outcome);
            *counts.entry((start, key, outcome)).or_insert(0u64) += row.count;
        }
        let points =
            counts.into_iter().map(|((start, key, outcome), count)| UsagePoint { start, key, outcome, count });
        Ok(points.collect())
    }
}

fn span(question: &UsageQuestion, now: Timestamp) -> Result<(Timestamp, Timestamp)> {
    let to = question.to.unwrap_or(now);
    let step = question.step;
    let default = || Timestamp::from_millis(to.as_millis().saturating_sub(step.span_default().as_millis() as i64));
    let from = question.from.unwrap_or_else(default);
    if from > to {
        return Err(ControlError::invalid("from", "must be before to"));
    }
    if to.since(from) > step.span_max() {
        let days = step.span_max().as_secs() / DAY.as_secs();
        return Err(ControlError::invalid(
            "from",
            format!("must be at most {days} days before to, with this step"),
        ));
    }
    Ok((from, to))
}
