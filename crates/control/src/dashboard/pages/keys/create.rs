//! Making a key: the form is sent to the list's own address. Where the contract has statements to acknowledge, a page asks
//! once more and nothing is made before it is answered (Q3); a form that is refused comes back with its faults.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyward_core::id::ProjectId;
use maud::{Markup, html};

use super::form::CreateForm;
use super::list;
use super::shown::Made;
use super::{list_path, new_form, offers, repeatable, writable};
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page};
use crate::dashboard::form::Form;
use crate::dashboard::look::parts::{Tone, notice};
use crate::dashboard::path::Path;
use crate::dashboard::place::{ProjectPlace, ProjectTab};
use crate::dashboard::visit::Visit;
use crate::use_cases::ControlError;

/// Makes a key, or asks once more.
pub async fn submit(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(project): Path<ProjectId>,
    Form(form): Form<CreateForm>,
) -> Result<Response, Failure> {
    let place = writable(&dashboard, &visit, project).await?;
    let control = &dashboard.control;
    let id = project.to_string();
    let asked = repeatable(&place.asked, &form.form, &form.asks(&id));
    let outcome = match form.wish(place.contract(), control.now()) {
        Ok(wish) => control.create_key(&asked, project, &wish).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(made) => {
            let made = Made { key: &made.key, secret: &made.secret, replaced: None };
            Ok(made.answer(&dashboard, &visit, &place))
        }
        Err(ControlError::AcknowledgementRequired(statements)) => {
            Ok(prompt(&visit, &place, &form, &statements).into_response())
        }
        Err(error) if is_told_beside_the_form(&error) => {
            // What is sent next is another request: a form that was refused made nothing.
            let form = CreateForm { form: new_form(control), acknowledge: String::new(), ..form };
            list::again(&dashboard, &visit, place, form, error).await
        }
        Err(error) => Err(error.into()),
    }
}

fn is_told_beside_the_form(error: &ControlError) -> bool {
    matches!(
        error,
        ControlError::Invalid(_)
            | ControlError::ActiveKeyLimit { .. }
            | ControlError::Suspended(_)
            | ControlError::PlanForbids { .. }
            | ControlError::RateLimited { .. }
            | ControlError::IdempotencyKeyReused
            | ControlError::Conflict(_)
    )
}

/// The status of a form that comes back.
pub fn status_of(error: &ControlError) -> StatusCode {
    crate::rest::problem::Problem::status_of(error)
}

fn prompt(visit: &Visit, place: &ProjectPlace, form: &CreateForm, statements: &[String]) -> Page {
    let label = offers::create_label(&place.seen);
    let view = PromptView { form, statements, label, list: list_path(place) };
    Page::new(place.frame(visit, ProjectTab::Keys, label), view.draw())
}

/// The page that asks once more.
pub struct PromptView<'a> {
    /// What was filled in.
    pub form: &'a CreateForm,
    /// What is to be acknowledged.
    pub statements: &'a [String],
    /// What the button says.
    pub label: &'a str,
    /// Where the list is, and where the form is sent.
    pub list: String,
}

impl PromptView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        html! {
            div.alone.stack role="dialog" aria-labelledby="prompt" {
                h1 #prompt tabindex="-1" autofocus { (self.label) }
                section.card { form.inner method="post" action=(self.list) {
                    (notice(Tone::Warn, html! {
                        p { strong { "Before you go on" } }
                        ul { @for statement in self.statements { li { (statement) } } }
                    }))
                    (self.form.hidden())
                    input type="hidden" name="acknowledge" value="yes";
                    div.actions.end {
                        a.button href=(self.list) { "Cancel" }
                        button.button.primary type="submit" { (self.label) }
                    }
                } }
            }
        }
    }
}
