//! Projects over HTTP.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use keyward_core::clock::Timestamp;
use keyward_core::id::{OrganizationId, ProjectId};
use keyward_core::tenancy::Environment;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Changed, ForcePart, Made, SecretPart, Tells, tells_force};
use super::body::{Body, Making};
use super::caller::{Asking, Id};
use super::doors::Rest;
use super::fields::{Nothing, body};
use super::key_answer::KeyAnswer;
use super::limits::{LimitEdits, OwnLimitAnswer};
use super::problem::Problem;
use super::query::{self, List, Page, limit};
use crate::use_cases::{Edit, Force, NewProject, ProjectEdit, ProjectMade, SeenProject};

/// A project: the wall around keys, data, usage and quotas.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Project)]
pub(super) struct ProjectAnswer {
    /// Its id.
    id: String,
    /// Whose it is.
    organization: String,
    /// The API its keys open.
    api: String,
    /// What it is called.
    name: String,
    /// Its plan: the name in the contract.
    plan: String,
    /// What people call the plan.
    plan_title: String,
    /// What the plan gives, for people.
    plan_features: Vec<String>,
    /// Whether the operator gave it access, which some plans ask for.
    access: bool,
    /// Whether plan and operator open the API to it now.
    has_access: bool,
    /// Limits of its own, by name, in place of the plan's.
    limits: BTreeMap<String, OwnLimitAnswer>,
    /// live or test.
    #[schema(value_type = String)]
    environment: Environment,
    /// active, suspended or deleted.
    #[schema(value_type = String)]
    state: &'static str,
    /// How many live keys it may have; null for any number.
    active_key_limit: Option<u32>,
    /// A limit of its own; null where the contract's holds.
    active_key_limit_override: Option<u32>,
    /// How many live keys it has.
    active_keys: u64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The API's word for a project.
    noun: String,
}

impl From<SeenProject> for ProjectAnswer {
    fn from(seen: SeenProject) -> Self {
        let project = seen.project;
        let limits = project.limits.into_iter().map(|(name, own)| (name, own.into())).collect();
        ProjectAnswer {
            id: project.id.to_string(),
            organization: project.organization.to_string(),
            api: project.api.to_string(),
            name: project.name,
            plan: seen.plan.name,
            plan_title: seen.plan.title,
            plan_features: seen.plan.features,
            access: project.is_granted,
            has_access: seen.has_access,
            limits,
            environment: project.environment,
            state: project.state.as_str(),
            active_key_limit: seen.active_key_limit,
            active_key_limit_override: project.active_key_limit,
            active_keys: seen.active_keys,
            created_at: project.created_at,
            noun: seen.noun,
        }
    }
}

/// One project.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OneProject {
    project: ProjectAnswer,
}

/// A project that was changed, and how that took force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangedProject {
    project: ProjectAnswer,
    #[serde(flatten)]
    force: ForcePart,
}

tells_force!(ChangedProject);

impl Tells for ProjectWithKey {}

impl From<(SeenProject, Force)> for ChangedProject {
    fn from((project, force): (SeenProject, Force)) -> Self {
        ChangedProject { project: project.into(), force: force.into() }
    }
}

body! {
    /// A project to be made.
    CreateProject {
        /// What to call it: 1 to 100 characters.
        name: String,
        /// The API its keys shall open.
        api: String,
        /// Its plan; the contract's default where none. Takes the scope plans:write.
        plan: Option<String>,
        /// live or test; live where none.
        #[schema(value_type = Option<String>)]
        environment: Option<Environment>,
        /// Whether it has access where its plan asks for the operator's word. True takes the scope plans:write on
        /// everything.
        access: Option<bool>,
    }
}

/// A project, with its first key where the contract issues one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProjectWithKey {
    project: ProjectAnswer,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    key: Option<KeyAnswer>,
    #[serde(flatten)]
    secret: SecretPart,
}

/// Make a project
///
/// Where the contract issues a first key with the project, its secret is in this one answer. A project without
/// access to the API is made without a key.
#[utoipa::path(post, path = "/v1/organizations/{organization}/projects", tag = "projects",
    request_body = CreateProject,
    params(("organization" = String, Path, description = "The organization")),
    responses((status = 201, description = "The project", body = ProjectWithKey)))]
pub(super) async fn create_project(
    State(control): State<Rest>,
    Id(organization): Id<OrganizationId>,
    Making { asked, wish }: Making<CreateProject>,
) -> Result<Made<ProjectWithKey>, Problem> {
    let environment = wish.environment.unwrap_or_default();
    let is_granted = wish.access.unwrap_or(false);
    let wish = NewProject { name: wish.name, api: wish.api, plan: wish.plan, environment, is_granted };
    let ProjectMade { project, key, secret, is_repeated } =
        control.create_project(&asked, organization, &wish).await?;
    let answer = ProjectWithKey { project: project.into(), key: key.map(KeyAnswer::from), secret: secret.into() };
    Ok(Made { answer, is_repeated })
}

/// A part of a list of projects, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProjectList {
    items: Vec<ProjectAnswer>,
    /// Where the next page begins; null at the end.
    next_cursor: Option<String>,
}

/// List an organization's projects
#[utoipa::path(get, path = "/v1/organizations/{organization}/projects", tag = "projects",
    params(("organization" = String, Path, description = "The organization"), Page),
    responses((status = 200, description = "The projects, newest first", body = ProjectList)))]
pub(super) async fn list_projects(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(organization): Id<OrganizationId>,
    query::Asking(page): query::Asking<Page>,
) -> Result<Json<ProjectList>, Problem> {
    let list = List::new(&control, &asked, &format!("projects {organization}"));
    let before = list.before(page.cursor.as_deref())?;
    let found = control.projects(&asked, organization, before, limit(page.limit)).await?;
    let items = found.items.into_iter().map(ProjectAnswer::from).collect();
    Ok(Json(ProjectList { items, next_cursor: list.next(found.next) }))
}

/// Read a project
#[utoipa::path(get, path = "/v1/projects/{project}", tag = "projects",
    params(("project" = String, Path, description = "The project")),
    responses((status = 200, description = "The project", body = OneProject)))]
pub(super) async fn read_project(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(id): Id<ProjectId>,
) -> Result<Json<OneProject>, Problem> {
    let project = control.project(&asked, id).await?.into();
    Ok(Json(OneProject { project }))
}

body! {
    /// What is to be different about a project. What is left out stays.
    EditProject {
        /// Another name.
        name: Option<String>,
        /// Another plan. Takes the scope plans:write on everything.
        plan: Option<String>,
        /// A limit of active keys of its own; null for the contract's. Takes the scope plans:write on
        /// everything.
        #[schema(value_type = Option<u32>)]
        active_key_limit: Edit<u32>,
        /// Limits of its own in place of the plan's: {"NAME": {"limit": 5000, "burst": 100}}, the burst of rates
        /// only and in proportion where none. Those that are not named stay; {"NAME": null} is the plan's again, and
        /// null makes all the plan's. Takes the scope plans:write on everything.
        #[schema(value_type = Option<Object>)]
        limits: LimitEdits,
        /// Whether it has access where its plan asks for the operator's word. Takes the scope plans:write on
        /// everything.
        access: Option<bool>,
    }
}

/// Change a project
///
/// The name takes projects:write; plan, limits and access take plans:write. Lower limits and less access are in
/// force on every node when this returns; no key is issued anew for any of it.
#[utoipa::path(patch, path = "/v1/projects/{project}", tag = "projects", request_body = EditProject,
    params(("project" = String, Path, description = "The project")),
    responses((status = 200, description = "The project as it is now", body = ChangedProject)))]
pub(super) async fn edit_project(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(id): Id<ProjectId>,
    Body(edit): Body<EditProject>,
) -> Result<Changed<ChangedProject>, Problem> {
    let edit = ProjectEdit {
        name: edit.name,
        plan: edit.plan,
        active_key_limit: edit.active_key_limit,
        limits: edit.limits.0,
        is_granted: edit.access,
    };
    Ok(Changed(control.edit_project(&asked, id, &edit).await?.into()))
}

/// Suspend a project
///
/// Its keys are refused, on every node when this returns, until it is resumed.
#[utoipa::path(post, path = "/v1/projects/{project}/suspend", tag = "projects", request_body = Nothing,
    params(("project" = String, Path, description = "The project")),
    responses((status = 200, description = "The project as it is now", body = ChangedProject)))]
pub(super) async fn suspend_project(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(id): Id<ProjectId>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Changed<ChangedProject>, Problem> {
    Ok(Changed(control.suspend_project(&asked, id).await?.into()))
}

/// Resume a project
#[utoipa::path(post, path = "/v1/projects/{project}/resume", tag = "projects", request_body = Nothing,
    params(("project" = String, Path, description = "The project")),
    responses((status = 200, description = "The project as it is now", body = ChangedProject)))]
pub(super) async fn resume_project(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(id): Id<ProjectId>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Changed<ChangedProject>, Problem> {
    Ok(Changed(control.resume_project(&asked, id).await?.into()))
}

/// Delete a project
///
/// With its keys, for ever. When this returns, none of its keys opens anything on any node.
#[utoipa::path(delete, path = "/v1/projects/{project}", tag = "projects",
    params(("project" = String, Path, description = "The project")),
    responses((status = 200, description = "The project as it was", body = ChangedProject)))]
pub(super) async fn delete_project(
    State(control): State<Rest>,
    Asking(asked): Asking,
    Id(id): Id<ProjectId>,
) -> Result<Changed<ChangedProject>, Problem> {
    Ok(Changed(control.delete_project(&asked, id).await?.into()))
}
