//! How a project's keys are used: how many requests were granted and refused over time, by outcome and by key, how the
//! limits stand, and each key's last use. [`count`] adds up, [`view`] draws.

mod count;
mod view;

use std::collections::BTreeSet;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keyward_core::clock::Timestamp;
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::permission::Permission;
use keyward_core::usage::Apart;
use serde::Deserialize;

use self::count::Counted;
use self::view::UsageView;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page};
use crate::dashboard::form::Asking;
use crate::dashboard::path::Path;
use crate::dashboard::place::{ProjectPlace, ProjectTab};
use crate::dashboard::visit::Visit;
use crate::use_cases::keys::{KeyQuestion, SeenKey};
use crate::use_cases::{ControlError, Step, UsageQuestion};

/// How many of the newest keys are looked at.
const KEYS_LISTED: u32 = 200;
/// How many keys are told apart, the most used first.
const KEYS_TOLD: usize = 50;

/// For how long back uses are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Range {
    /// A day, by the hour.
    #[default]
    #[serde(rename = "24h")]
    Day,
    /// A week, by six hours.
    #[serde(rename = "7d")]
    Week,
    /// 30 days, by the day.
    #[serde(rename = "30d")]
    Month,
}

impl Range {
    const ALL: [Range; 3] = [Range::Day, Range::Week, Range::Month];

    const fn word(self) -> &'static str {
        match self {
            Range::Day => "24h",
            Range::Week => "7d",
            Range::Month => "30d",
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Range::Day => "24 hours",
            Range::Week => "7 days",
            Range::Month => "30 days",
        }
    }

    /// The store's steps.
    const fn step(self) -> Step {
        match self {
            Range::Day | Range::Week => Step::Hour,
            Range::Month => Step::Day,
        }
    }

    /// How long a step of the page is: some of the store's together for a week, which would have too many.
    const fn step_length(self) -> Duration {
        match self {
            Range::Day => Duration::from_secs(3_600),
            Range::Week => Duration::from_secs(6 * 3_600),
            Range::Month => Duration::from_secs(86_400),
        }
    }

    /// How many steps it has, the one that lies open included.
    const fn steps(self) -> i64 {
        match self {
            Range::Day => 24,
            Range::Week => 28,
            Range::Month => 30,
        }
    }

    /// The beginning of its first step.
    fn begins(self, now: Timestamp) -> Timestamp {
        let step = self.step_length().as_millis() as i64;
        let current = now.as_millis().div_euclid(step) * step;
        Timestamp::from_millis(current - (self.steps() - 1) * step)
    }

    /// The beginnings of its steps.
    fn starts(self, now: Timestamp) -> Vec<Timestamp> {
        let (begins, step) = (self.begins(now).as_millis(), self.step_length().as_millis() as i64);
        (0..self.steps()).map(|number| Timestamp::from_millis(begins + number * step)).collect()
    }
}

/// What the address asks for.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Wish {
    range: Range,
    /// A key's id; nothing for all.
    key: String,
}

/// The page.
pub async fn page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<ProjectId>,
    Asking(asking): Asking<Wish>,
) -> Result<Response, Failure> {
    let place = ProjectPlace::find(&dashboard, &visit, id).await?;
    let control = &dashboard.control;
    let now = control.now();
    let key: Option<KeyId> = match asking.key.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| Failure::Control(ControlError::NotFound))?),
    };
    let range = asking.range;
    let question = UsageQuestion {
        from: Some(range.begins(now)),
        to: Some(now),
        step: range.step(),
        by: Apart::KeyAndOutcome,
    };
    let found = control.usage(&place.asked, id, &question).await?;
    let limits = control.project_limits(&place.asked, id, key).await?;
    let counted = Counted::of(&found, &range.starts(now), key, KEYS_TOLD);
    let keys = match place.may(Permission::KeysRead) {
        true => keys(&dashboard, &place, &counted, key).await?,
        false => Vec::new(),
    };
    let view = UsageView {
        path: place.path(ProjectTab::Usage),
        events: place.path(ProjectTab::Events),
        range,
        key,
        seen: &place.seen,
        counted: &counted,
        keys: &keys,
        limits: &limits,
        now,
    };
    Ok(Page::new(place.frame(&visit, ProjectTab::Usage, "Usage"), view.draw()).into_response())
}

/// The keys that the page tells of: the newest, and older ones that were used.
async fn keys(
    dashboard: &Dashboard,
    place: &ProjectPlace,
    counted: &Counted,
    chosen: Option<KeyId>,
) -> Result<Vec<SeenKey>, Failure> {
    let question = KeyQuestion { limit: KEYS_LISTED, ..KeyQuestion::default() };
    let mut keys = dashboard.control.keys(&place.asked, place.seen.project.id, &question).await?.items;
    let listed: BTreeSet<KeyId> = keys.iter().map(|seen| seen.key.id).collect();
    for id in counted.keys().chain(chosen).filter(|id| !listed.contains(id)).collect::<BTreeSet<_>>() {
        match dashboard.control.key(&place.asked, id).await {
            Ok(key) => keys.push(key),
            Err(ControlError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(keys)
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use super::events::view::sample_key;
    use super::samples::{EVIL, LONG, NAMES, NOW, project, visit};
    use keyward_core::usage::UsageCount;
    let visit = visit(EVIL, false);
    let seen = project(1, EVIL);
    let asked = visit.in_organization(seen.organization.id);
    let place = ProjectPlace { asked, seen };
    let limits = super::limits::sample_limits();
    let page = |range: Range, counts: &[UsageCount], keys: &[SeenKey], key| {
        let counted = Counted::of(counts, &range.starts(NOW), key, KEYS_TOLD);
        let path = place.path(ProjectTab::Usage);
        let events = place.path(ProjectTab::Events);
        let seen = &place.seen;
        let view = UsageView { path, events, range, key, seen, counted: &counted, keys, limits: &limits, now: NOW };
        Page::new(place.frame(&visit, ProjectTab::Usage, "Usage"), view.draw())
    };
    let keys: Vec<SeenKey> = NAMES.iter().zip(1..).map(|(name, number)| sample_key(number, name)).collect();
    let outcomes =
        ["valid", "rate_limited", "quota_exceeded", "revoked", "expired", "disabled", "wrong_project", EVIL, LONG];
    let starts = Range::Week.starts(NOW);
    let counts: Vec<UsageCount> = starts
        .iter()
        .flat_map(|start| {
            (1..12u128).zip(outcomes.iter().cycle()).map(move |(key, outcome)| UsageCount {
                start: *start,
                key: Some(KeyId::from_u128(key)),
                outcome: Some((*outcome).to_owned()),
                count: 1_000 * key as u64,
            })
        })
        .collect();
    vec![
        ("empty", page(Range::Day, &[], &[], None)),
        ("many", page(Range::Week, &counts, &keys, None)),
        ("one key", page(Range::Month, &counts, &keys, Some(KeyId::from_u128(2)))),
    ]
}
