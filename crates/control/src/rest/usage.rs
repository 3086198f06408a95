//! Usage over HTTP.

use axum::Json;
use axum::extract::State;
use keyward_core::clock::Timestamp;
use keyward_core::id::ProjectId;
use keyward_core::usage::{Apart, UsageCount};
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::{Asking, Id};
use super::doors::Rest;
use super::problem::Problem;
use super::query::{self, query};
use crate::use_cases::{Step, UsageQuestion};

query! {
    /// Which uses to count.
    CountUsage {
        /// From when on; a day before `to` with steps of an hour, 30 days with steps of a day. Whole hours are
        /// counted, the ones that `from` and `to` lie in too.
        #[param(value_type = Option<String>, format = DateTime)]
        from: Timestamp,
        /// Until when; now where none.
        #[param(value_type = Option<String>, format = DateTime)]
        to: Timestamp,
        /// hour (at most 31 days) or day (at most 366 days); days are UTC's.
        #[param(value_type = Option<String>)]
        step: Step,
        /// Told apart by key, outcome or key_and_outcome; all together where none.
        #[param(value_type = Option<String>)]
        by: Apart,
    }
}

/// One count.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsagePoint)]
pub(super) struct UsageAnswer {
    /// When the step began.
    #[schema(value_type = String, format = DateTime)]
    start: Timestamp,
    /// The key, where told apart by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    key: Option<String>,
    /// valid or the denial's code, where told apart by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    outcome: Option<String>,
    /// How many requests.
    count: u64,
}

impl From<UsageCount> for UsageAnswer {
    fn from(point: UsageCount) -> Self {
        let key = point.key.map(|key| key.to_string());
        UsageAnswer { start: point.start, key, outcome: point.outcome, count: point.count }
    }
}

/// Counts, oldest first; steps without any are left out.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UsageList {
    items: Vec<UsageAnswer>,
}

/// Count a project's uses
///
/// From counts that are kept by the hour, for as long as the operator keeps them (400 days where nobody says
/// otherwise); at most seconds late.
#[utoipa::path(get, path = "/v1/projects/{project}/usage", tag = "projects",
    params(("project" = String, Path, description = "The project"), CountUsage),
    responses((status = 200, description = "The counts", body = UsageList)))]
pub(super) async fn count_usage(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(project): Id<ProjectId>,
    query::Asking(query): query::Asking<CountUsage>,
) -> Result<Json<UsageList>, Problem> {
    let (step, by) = (query.step.unwrap_or_default(), query.by.unwrap_or_default());
    let question = UsageQuestion { from: query.from, to: query.to, step, by };
    let found = control.usage(&asked, project, &question).await?;
    Ok(Json(UsageList { items: found.into_iter().map(UsageAnswer::from).collect() }))
}
