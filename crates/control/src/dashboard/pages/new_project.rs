//! A new project of an organization: which API it opens, for real traffic or for trying things out, and for operators on
//! which plan. Where the contract issues a first key with it, its secret is shown here, once.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyward_core::id::OrganizationId;
use keyward_core::secret::Secret;
use keyward_core::tenancy::Environment;
use maud::{Markup, html};
use serde::Deserialize;

use super::keys::{new_form, repeatable};
use super::shown_once::ShownOnce;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, fault_of, form_notice, go_to};
use crate::dashboard::form::Form;
use crate::dashboard::look::parts::{self, Choice, Field, Input, Tone, check, notice, select};
use crate::dashboard::path::Path;
use crate::dashboard::place::{OrganizationPlace, OrganizationTab};
use crate::dashboard::visit::Visit;
use crate::use_cases::{ControlError, Disclosure, NewProject, OpenApi, SeenProject};

/// What the form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewProjectForm {
    /// The form's own id: sent again, it makes nothing again.
    #[serde(default)]
    form: String,
    name: String,
    #[serde(default)]
    api: String,
    #[serde(default)]
    environment: String,
    /// Of the API's plans; only operators are asked.
    #[serde(default)]
    plan: String,
    #[serde(default)]
    access: String,
}

/// The page.
pub async fn page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<OrganizationId>,
) -> Result<Response, Failure> {
    let place = OrganizationPlace::find(&dashboard, &visit, id).await?;
    let apis = dashboard.control.open_apis(&place.asked)?;
    let form = NewProjectForm::default();
    let view = NewProjectView {
        organization: id,
        apis: &apis,
        form: &form,
        is_operator: visit.person().is_operator,
        form_id: new_form(&dashboard.control),
        error: None,
    };
    Ok(Page::new(place.frame(&visit, OrganizationTab::Projects, "New project"), view.draw()).into_response())
}

/// Makes it.
pub async fn create(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<OrganizationId>,
    Form(form): Form<NewProjectForm>,
) -> Result<Response, Failure> {
    let place = OrganizationPlace::find(&dashboard, &visit, id).await?;
    let apis = dashboard.control.open_apis(&place.asked)?;
    let frame = |title: &str| place.frame(&visit, OrganizationTab::Projects, title);
    let NewProjectForm { form: form_id, name, api, environment, plan, access } = &form;
    let asks = ["project", &id.to_string(), name, api, environment, plan, access];
    let asked = repeatable(&place.asked, form_id, &asks);
    match dashboard.control.create_project(&asked, id, &wish(&form, &apis)).await {
        Ok(made) => match made.secret {
            Disclosure::Now(secret) => {
                let page = Page::new(frame("New project"), first_key(&made.project, &secret));
                Ok(page.with_status(StatusCode::CREATED).into_response())
            }
            Disclosure::Before | Disclosure::None => {
                Ok(go_to(&format!("/projects/{}/keys", made.project.project.id)))
            }
        },
        Err(
            error @ (ControlError::Invalid(_) | ControlError::Suspended(_) | ControlError::IdempotencyKeyReused),
        ) => {
            let is_operator = visit.person().is_operator;
            // What is sent next is another request: a form that was refused made nothing.
            let (form_id, error) = (new_form(&dashboard.control), Some(&error));
            let view = NewProjectView { organization: id, apis: &apis, form: &form, is_operator, form_id, error };
            let page = Page::new(frame("New project"), view.draw());
            Ok(page.with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

fn wish(form: &NewProjectForm, apis: &[OpenApi]) -> NewProject {
    let api = match apis {
        [only] if form.api.is_empty() => only.name.to_string(),
        _ => form.api.clone(),
    };
    NewProject {
        name: form.name.clone(),
        api,
        plan: Some(form.plan.clone()).filter(|plan| !plan.is_empty()),
        environment: if form.environment == "test" { Environment::Test } else { Environment::Live },
        is_granted: !form.access.is_empty(),
    }
}

/// What the page shows.
pub struct NewProjectView<'a> {
    /// Whose it will be.
    pub organization: OrganizationId,
    /// The APIs to choose from.
    pub apis: &'a [OpenApi],
    /// What is filled in.
    pub form: &'a NewProjectForm,
    /// Whether an operator looks.
    pub is_operator: bool,
    /// The form's id.
    pub form_id: String,
    /// What went wrong.
    pub error: Option<&'a ControlError>,
}

impl NewProjectView<'_> {
    fn draw(&self) -> Markup {
        let action = format!("/organizations/{}/new-project", self.organization);
        let fault = |field| fault_of(self.error, field);
        let name = Input { max_chars: Some(100), autocomplete: Some("off"), ..Input::REQUIRED };
        html! {
            (parts::head("New project", "A project opens one API to your programs, with keys, usage and limits of its own.", ""))
            section.card { form.inner method="post" action=(action) {
                input type="hidden" name="form" value=(self.form_id);
                @if let Some(error) = self.error { (form_notice(error)) }
                (Field::new("name", "Name").fault(fault("name")).line("text", &self.form.name, name))
                (self.api())
                @if self.apis.iter().any(|api| api.has_test) {
                    (select(
                        Field::new("environment", "Environment").hint("Keys tell by how they begin what they are for."),
                        &[Choice { value: "live", label: "Live: real traffic" }, Choice { value: "test", label: "Test: for trying things out" }],
                        &self.form.environment,
                    ))
                }
                @if self.is_operator { (self.plan()) }
                div.actions.end {
                    a.button href={ "/organizations/" (self.organization) } { "Cancel" }
                    button.button.primary type="submit" { "Create project" }
                }
            } }
        }
    }

    fn api(&self) -> Markup {
        let choices: Vec<Choice<'_>> =
            self.apis.iter().map(|api| Choice { value: api.name.as_str(), label: &api.title }).collect();
        html! {
            @match self.apis {
                [] => (notice(Tone::Warn, html! { p { "No API has a contract yet; the operator puts one in force first." } })),
                [only] => {
                    input type="hidden" name="api" value=(only.name);
                    p { "It opens " strong { (only.title) } "." @if !only.description.is_empty() { " " span.soft { (only.description) } } }
                }
                _ => (select(Field::new("api", "API").fault(fault_of(self.error, "api")), &choices, &self.form.api)),
            }
        }
    }

    fn plan(&self) -> Markup {
        let title = |api: &OpenApi, plan: &str| match self.apis.len() {
            1 => plan.to_owned(),
            _ => format!("{}: {plan}", api.title),
        };
        let plans = self
            .apis
            .iter()
            .flat_map(|api| api.plans.iter().map(move |(name, plan)| (name.clone(), title(api, plan))));
        let plans: Vec<(String, String)> = plans.collect();
        let mut choices = vec![Choice { value: "", label: "The contract's default" }];
        choices.extend(plans.iter().map(|(value, label)| Choice { value, label }));
        html! {
            (select(Field::new("plan", "Plan").hint("Operators choose it.").fault(fault_of(self.error, "plan")), &choices, &self.form.plan))
            @if self.apis.iter().any(|api| api.is_on_request) {
            (check("access", "granted", !self.form.access.is_empty(), "Grant access at once, where the plan gives it on request"))
            }
        }
    }
}

/// The project is there, and this is its first key's secret: shown once.
fn first_key(seen: &SeenProject, secret: &Secret) -> Markup {
    ShownOnce {
        title: "Your project is ready",
        words: html! { p { strong { (seen.project.name) } " came with its first key." } },
        label: "Secret of the first key",
        secret: secret.expose(),
        warning: &seen.contract.dashboard.warning,
        back: &format!("/projects/{}/keys", seen.project.id),
    }
    .draw()
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use super::samples::{EVIL, LONG, organization_place, project, visit};
    let visit = visit(EVIL, true);
    let place = organization_place(&visit, LONG);
    let api = |name: &str, title: &str| OpenApi {
        name: name.parse().unwrap(),
        title: title.into(),
        description: EVIL.into(),
        plans: vec![(EVIL.into(), EVIL.into())],
        is_on_request: true,
        has_test: true,
    };
    let apis = [api("one", EVIL), api("two", LONG)];
    let form = NewProjectForm { name: EVIL.into(), plan: EVIL.into(), ..NewProjectForm::default() };
    let error = ControlError::invalid("name", EVIL);
    let page = |apis: &[OpenApi], error| {
        let (organization, form_id) = (place.organization.id, "4KdGxDRyoUTXfmZ4LG1bRz".to_owned());
        let view = NewProjectView { organization, apis, form: &form, is_operator: true, form_id, error };
        Page::new(place.frame(&visit, OrganizationTab::Projects, "New project"), view.draw())
    };
    let frame = place.frame(&visit, OrganizationTab::Projects, "New project");
    let shown = Page::new(frame, first_key(&project(1, EVIL), &Secret::new(EVIL.into())));
    vec![
        ("none", page(&[], None)),
        ("one", page(&apis[..1], None)),
        ("several, refused", page(&apis, Some(&error))),
        ("first key", shown),
    ]
}
