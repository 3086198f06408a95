//! How often a project's keys were used: counts by hour or day, at most seconds late; and how long they are kept.

use std::time::Duration;

use keyward_core::clock::Timestamp;
use keyward_core::id::ProjectId;
use keyward_core::permission::Permission;
use keyward_core::usage::{Apart, Fold, UsageCount};

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

/// Which counts are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct UsageQuestion {
    /// From when on.
    pub from: Option<Timestamp>,
    /// Until when; now where none.
    pub to: Option<Timestamp>,
    /// By what step.
    pub step: Step,
    /// Told apart by what.
    pub by: Apart,
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

    fn length(self) -> Duration {
        match self {
            Step::Hour => HOUR,
            Step::Day => DAY,
        }
    }
}

impl Control {
    /// How often a project's keys were used, in whole hours: the one that `from` lies in is counted, and so is the
    /// one that `to` lies in.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches, or the time asked for is too long.
    pub async fn usage(
        &self,
        asked: &Asked,
        project: ProjectId,
        question: &UsageQuestion,
    ) -> Result<Vec<UsageCount>> {
        asked.require(Permission::ProjectsRead)?;
        let place = self.find_project(asked, project).await?;
        let (from, to) = span(question, self.now())?;
        let fold = Fold { step: question.step.length().as_millis() as i64, by: question.by };
        Ok(self.store.usage_counts(place.project.id, from, to, fold).await?)
    }
}

/// From which hour on to count, and before which.
fn span(question: &UsageQuestion, now: Timestamp) -> Result<(Timestamp, Timestamp)> {
    let to = question.to.unwrap_or(now);
    let step = question.step;
    // Whole steps: a first day that is only half counted would look like a quiet one.
    let default =
        || floor(Timestamp::from_millis(to.as_millis().saturating_sub(millis(step.span_default()))), step.length());
    let from = question.from.unwrap_or_else(default);
    if from > to {
        return Err(ControlError::invalid("from", "must be before to"));
    }
    // A step more, for who asks from the beginning of one.
    if to.since(from) > step.span_max() + step.length() {
        let days = step.span_max().as_secs() / DAY.as_secs();
        return Err(ControlError::invalid(
            "from",
            format!("must be at most {days} days before to, with this step"),
        ));
    }
    let last = Timestamp::from_millis(to.as_millis().saturating_add(millis(HOUR) - 1));
    Ok((floor(from, HOUR), floor(last, HOUR)))
}

fn floor(moment: Timestamp, to: Duration) -> Timestamp {
    Timestamp::from_millis(moment.as_millis().div_euclid(millis(to)).saturating_mul(millis(to)))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_hours_that_both_ends_lie_in_are_counted() {
        let now = at("2026-11-21T10:30:00Z");
        let asked = |from: Option<&str>, to: Option<&str>, step| {
            let question = UsageQuestion { from: from.map(at), to: to.map(at), step, by: Apart::Nothing };
            span(&question, now)
        };
        let told = |from: &str, to: &str| (at(from), at(to));
        assert_eq!(asked(None, None, Step::Hour).unwrap(), told("2026-11-20T10:00:00Z", "2026-11-21T11:00:00Z"));
        assert_eq!(asked(None, None, Step::Day).unwrap(), told("2026-10-22T00:00:00Z", "2026-11-21T11:00:00Z"));
        let (from, to) = ("2026-11-21T08:59:59.999Z", "2026-11-21T10:00:00Z");
        assert_eq!(asked(Some(from), Some(to), Step::Hour).unwrap(), told("2026-11-21T08:00:00Z", to));
        assert!(asked(Some(to), Some(from), Step::Hour).is_err());
        assert!(asked(Some("2026-10-01T00:00:00Z"), None, Step::Hour).is_err());
        assert!(asked(Some("2025-11-20T00:00:00Z"), None, Step::Day).is_ok());
        assert!(asked(Some("2025-11-19T00:00:00Z"), None, Step::Day).is_err());
    }
}
