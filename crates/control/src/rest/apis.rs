//! APIs and their contracts over HTTP.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyward_core::clock::Timestamp;
use keyward_core::contract::{CONTRACT_BYTES_MAX, Difference};
use keyward_core::id::ApiName;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{ForcePart, MaybeForcePart, settled};
use super::body;
use super::caller::{Asking, Id};
use super::doors::Rest;
use super::problem::Problem;
use super::query::{self, query};
use crate::use_cases::{Applied, SeenApi};

/// An API with a contract in force.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Api)]
pub(super) struct ApiAnswer {
    /// Its name.
    name: String,
    /// What people call it.
    title: String,
    /// One sentence on it.
    description: String,
    /// The revision of the contract in force.
    revision: i64,
    /// When that was put in force.
    #[schema(value_type = String, format = DateTime)]
    applied_at: Timestamp,
    /// The API's word for a project.
    project_noun: String,
    /// The names of its plans.
    plans: Vec<String>,
}

impl From<&SeenApi> for ApiAnswer {
    fn from(seen: &SeenApi) -> Self {
        ApiAnswer {
            name: seen.api.name.to_string(),
            title: seen.contract.title.clone(),
            description: seen.contract.description.clone(),
            revision: seen.api.revision.0,
            applied_at: seen.api.applied_at,
            project_noun: seen.contract.project.noun.clone(),
            plans: seen.contract.plans.keys().cloned().collect(),
        }
    }
}

/// All APIs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ApiList {
    items: Vec<ApiAnswer>,
    /// Always null: there are few.
    next_cursor: Option<String>,
}

/// List APIs
#[utoipa::path(get, path = "/v1/apis", tag = "apis",
    responses((status = 200, description = "The APIs, by name", body = ApiList)))]
pub(super) async fn list_apis(
    State(control): State<Rest>,
    Asking(asked): Asking,
) -> Result<Json<ApiList>, Problem> {
    let items = control.apis(&asked).await?.iter().map(ApiAnswer::from).collect();
    Ok(Json(ApiList { items, next_cursor: None }))
}

/// An API with its contract as handed in and as merged.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OneApi {
    api: ApiWithContract,
}

/// An API and its contract.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ApiWithContract {
    #[serde(flatten)]
    api: ApiAnswer,
    /// The contract as it was handed in, TOML.
    contract: String,
    /// The contract with everything it extends merged in, TOML.
    resolved: String,
}

/// Read an API
#[utoipa::path(get, path = "/v1/apis/{api}", tag = "apis",
    params(("api" = String, Path, description = "The API's name")),
    responses((status = 200, description = "The API and its contract", body = OneApi)))]
pub(super) async fn read_api(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(name): Id<ApiName>,
) -> Result<Json<OneApi>, Problem> {
    let seen = control.api(&asked, &name).await?;
    let api = ApiAnswer::from(&seen);
    Ok(Json(OneApi { api: ApiWithContract { api, contract: seen.api.source, resolved: seen.api.resolved } }))
}

query! {
    /// How to apply a contract.
    ApplyContract {
        /// Whether only to say what would change.
        dry_run: bool,
    }
}

/// What a contract changes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AppliedContract {
    api: ApiAnswer,
    /// The fields in which it differs from the contract before.
    differences: Vec<DifferenceAnswer>,
    /// How it took force; not there where it was only tried.
    #[serde(flatten)]
    #[schema(value_type = MaybeForcePart)]
    force: Option<ForcePart>,
}

/// One field that differs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Difference)]
pub(super) struct DifferenceAnswer {
    /// The field.
    field: String,
    /// What it was, as TOML; null where it is new.
    before: Option<String>,
    /// What it is, as TOML; null where it is gone.
    after: Option<String>,
}

impl From<Difference> for DifferenceAnswer {
    fn from(Difference { field, before, after }: Difference) -> Self {
        DifferenceAnswer { field, before, after }
    }
}

/// Put a contract in force
///
/// The body is the contract, TOML. An invalid one is refused with line and field, and the one in force stays.
#[utoipa::path(put, path = "/v1/apis/{api}", tag = "apis",
    request_body(content = String, content_type = "text/plain", description = "The contract"),
    params(("api" = String, Path, description = "The API's name"), ApplyContract),
    responses(
        (status = 200, description = "What differs from the contract before", body = AppliedContract),
        (status = 201, description = "The API's first contract", body = AppliedContract)))]
pub(super) async fn apply_contract(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(name): Id<ApiName>,
    query::Asking(query): query::Asking<ApplyContract>,
    request: Request,
) -> Result<Response, Problem> {
    let source = body::text(request, &["text/plain", "application/toml"], CONTRACT_BYTES_MAX).await?;
    let is_dry_run = query.dry_run.unwrap_or(false);
    let Applied { api, differences, in_force, is_new } =
        control.apply_contract(&asked, &name, &source, is_dry_run).await?;
    let status = if is_new && !is_dry_run { StatusCode::CREATED } else { StatusCode::OK };
    let differences = differences.into_iter().map(DifferenceAnswer::from).collect();
    let force = in_force.map(ForcePart::from);
    let answer = AppliedContract { api: ApiAnswer::from(&api), differences, force };
    let barrier = answer.force.as_ref().and_then(ForcePart::barrier);
    Ok(settled(barrier, (status, Json(&answer)).into_response()))
}
