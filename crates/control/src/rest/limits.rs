//! A project's limits over HTTP: those of its own as they are set, and all of them as they stand.

use axum::Json;
use axum::extract::State;
use keyward_core::clock::Timestamp;
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::key::Metadata;
use keyward_core::limits::{OwnLimit, Period};
use keyward_verify::limits::LimitKind;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::caller::{Asking, Id};
use super::doors::Rest;
use super::fields::Field;
use super::problem::Problem;
use super::query::{self, query};
use crate::use_cases::{Edit, Faults, OwnLimits, SeenLimit, SeenLimits};

/// A limit of a project's own.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OwnLimit)]
pub(super) struct OwnLimitAnswer {
    /// How much in a period, or in a rate's time; 0 for nothing.
    limit: u64,
    /// A rate's burst; in proportion to the plan's where none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    burst: Option<u64>,
}

impl From<OwnLimit> for OwnLimitAnswer {
    fn from(own: OwnLimit) -> Self {
        OwnLimitAnswer { limit: own.limit, burst: own.burst }
    }
}

/// What is to be different about a project's own limits. Each part that is wrong is told by its name, such as
/// `limits.credits.limit`.
#[derive(Debug)]
pub(super) struct LimitEdits(pub Edit<OwnLimits>);

impl Field for LimitEdits {
    fn read(value: Option<Value>) -> Result<Self, String> {
        match value {
            None => Ok(LimitEdits(Edit::Keep)),
            Some(Value::Null) => Ok(LimitEdits(Edit::Clear)),
            Some(_) => Err("must be an object of limits by name".into()),
        }
    }

    fn take(name: &str, value: Option<Value>, faults: &mut Faults) -> Option<Self> {
        let Some(Value::Object(named)) = value else { return faults.take(name, Self::read(value)) };
        let mut limits = OwnLimits::new();
        let mut is_whole = true;
        for (limit, value) in named {
            let shown: String = limit.chars().take(64).collect();
            match own_limit(&format!("{name}.{shown}"), value, faults) {
                Some(own) => drop(limits.insert(limit, own)),
                None => is_whole = false,
            }
        }
        is_whole.then_some(LimitEdits(Edit::Set(limits)))
    }
}

/// One limit, or null; none where something is wrong with it, which is noted.
fn own_limit(name: &str, value: Value, faults: &mut Faults) -> Option<Option<OwnLimit>> {
    let mut parts: Metadata = match value {
        Value::Null => return Some(None),
        Value::Object(parts) => parts,
        _ => {
            faults.add(name, "must be {\"limit\": …} or null");
            return None;
        }
    };
    let whole = |value: Value| value.as_u64().ok_or_else(|| "must be a whole number, 0 or more".to_owned());
    let limit = parts.remove("limit").map_or_else(|| Err("is required".into()), whole);
    let burst = parts.remove("burst").filter(|burst| !burst.is_null()).map(whole).transpose();
    let limit = faults.take(&format!("{name}.limit"), limit);
    let burst = faults.take(&format!("{name}.burst"), burst);
    for part in parts.keys() {
        let shown: String = part.chars().take(64).collect();
        faults.add(&format!("{name}.{shown}"), "is no field of a limit");
    }
    parts.is_empty().then_some(())?;
    Some(Some(OwnLimit { limit: limit?, burst: burst? }))
}

/// A project's plan, as people see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plan)]
pub(super) struct PlanAnswer {
    /// Its name in the contract.
    name: String,
    /// What people call it.
    title: String,
    /// What it gives, for people.
    features: Vec<String>,
}

/// One limit and how it stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Limit)]
pub(super) struct LimitAnswer {
    /// Its name.
    name: String,
    /// rate (how fast) or quota (how much in a period).
    #[schema(value_type = String)]
    kind: &'static str,
    /// Whose requests share it: key, project, organization or address.
    #[schema(value_type = String)]
    by: &'static str,
    /// How much there is, in a rate's time or a quota's period.
    limit: u64,
    /// What the plan gives, where the project has a limit of its own.
    plan_limit: Option<u64>,
    /// Whether the project has a limit of its own.
    own: bool,
    /// How much of a rate may come at once.
    burst: Option<u64>,
    /// A rate's time, in seconds.
    per_seconds: Option<u64>,
    /// A quota's period: day, month (of UTC) or lifetime.
    #[schema(value_type = Option<String>)]
    period: Option<&'static str>,
    /// How much is used; of a rate, how much of the burst has not come back yet. null where it counts by key and no
    /// key was named, or by address.
    used: Option<u64>,
    /// How much would pass now.
    remaining: Option<u64>,
    /// When all of it is there again; null where it is, or never will be of itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    renews_at: Option<Timestamp>,
}

impl From<SeenLimit> for LimitAnswer {
    fn from(SeenLimit { view, plan_limit }: SeenLimit) -> Self {
        LimitAnswer {
            name: view.name,
            kind: match view.kind {
                LimitKind::Rate => "rate",
                LimitKind::Quota => "quota",
            },
            by: view.by.as_str(),
            limit: view.limit,
            plan_limit,
            own: view.is_own,
            burst: view.burst,
            per_seconds: view.per.map(|per| per.as_secs()),
            period: view.period.map(Period::as_str),
            used: view.used,
            remaining: view.remaining,
            renews_at: view.renews_at,
        }
    }
}

/// A project's plan, whether it has access, and its limits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Limits)]
pub(super) struct LimitsAnswer {
    plan: PlanAnswer,
    /// Whether the operator gave the project access, which some plans ask for.
    access: bool,
    /// Whether plan and operator open the API to it now.
    has_access: bool,
    /// Its limits: rates, then quotas.
    limits: Vec<LimitAnswer>,
}

impl From<SeenLimits> for LimitsAnswer {
    fn from(seen: SeenLimits) -> Self {
        let SeenLimits { plan, is_granted, has_access, limits } = seen;
        LimitsAnswer {
            plan: PlanAnswer { name: plan.name, title: plan.title, features: plan.features },
            access: is_granted,
            has_access,
            limits: limits.into_iter().map(LimitAnswer::from).collect(),
        }
    }
}

query! {
    /// For whom to tell.
    ReadLimits {
        /// The key whose counters are told, where a limit counts by key: with those that it was rotated from and
        /// to.
        #[param(value_type = Option<String>)]
        key: KeyId,
    }
}

/// Read how a project's limits stand
///
/// The plan's limits with the project's own in their place, what of each is used and left, and when it renews.
#[utoipa::path(get, path = "/v1/projects/{project}/limits", tag = "projects",
    params(("project" = String, Path, description = "The project"), ReadLimits),
    responses((status = 200, description = "The limits", body = LimitsAnswer)))]
pub(super) async fn read_limits(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(project): Id<ProjectId>,
    query::Asking(query): query::Asking<ReadLimits>,
) -> Result<Json<LimitsAnswer>, Problem> {
    Ok(Json(control.project_limits(&asked, project, query.key).await?.into()))
}
