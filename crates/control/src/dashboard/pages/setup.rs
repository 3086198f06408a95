//! Setting Keyward up: whoever has the link from the console becomes the first operator. Afterwards there is no such page.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyward_core::secret::Secret;
use maud::{Markup, html};
use serde::Deserialize;

use super::new_account::{name_field, password_field};
use super::sign_in::let_in;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, fault_of, form_notice};
use crate::dashboard::form::Form;
use crate::dashboard::look::Frame;
use crate::dashboard::look::parts::{Field, Input};
use crate::dashboard::path::Path;
use crate::dashboard::visit::{Guest, Visit};
use crate::use_cases::ControlError;
use crate::use_cases::people::NewPerson;

/// What is said of a link that sets nothing up.
const SPENT: &str = "Keyward is set up already, or the link is older than a day or from before the last start. While \
    nobody is set up, every start prints a new one.";

/// What the form sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetupForm {
    email: String,
    name: String,
    password: String,
}

/// The page.
pub async fn page(State(dashboard): State<Dashboard>, Path(secret): Path<String>) -> Result<Response, Failure> {
    let looked = dashboard.control.look_at_setup(&secret).await;
    looked.map_err(|error| Failure::of_link(error, SPENT))?;
    Ok(SetupView { secret: &secret, email: "", name: "", error: None }.page().into_response())
}

/// Makes the first operator, and signs them in.
pub async fn submit(
    State(dashboard): State<Dashboard>,
    Guest(visitor): Guest,
    before: Option<Visit>,
    Path(secret): Path<String>,
    Form(form): Form<SetupForm>,
) -> Result<Response, Failure> {
    let SetupForm { email, name, password } = form;
    let wish = NewPerson { email, name, password: Secret::new(password) };
    match dashboard.control.set_up(&secret, &wish, &visitor).await {
        Ok(signed_in) => let_in(&dashboard, &signed_in, before, "/").await,
        Err(error @ (ControlError::Invalid(_) | ControlError::RateLimited { .. })) => {
            let view = SetupView { secret: &secret, email: &wish.email, name: &wish.name, error: Some(&error) };
            Ok(view.page().with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response())
        }
        Err(error) => Err(Failure::of_link(error, SPENT)),
    }
}

/// What the page shows.
struct SetupView<'a> {
    secret: &'a str,
    email: &'a str,
    name: &'a str,
    error: Option<&'a ControlError>,
}

impl SetupView<'_> {
    fn page(&self) -> Page {
        Page::new(Frame::titled("Set up Keyward"), self.draw())
    }

    fn draw(&self) -> Markup {
        let email = Input { autocomplete: Some("username"), ..Input::REQUIRED };
        html! {
            div.alone.stack {
                div {
                    h1 { "Set up Keyward" }
                    p.soft { "You become its first operator: you see and manage everything, and invite others." }
                }
                @if let Some(error) = self.error { (form_notice(error)) }
                section.card { form.inner method="post" action={ "/setup/" (self.secret) } {
                    (name_field(self.name, self.error))
                    (Field::new("email", "E-mail address").fault(fault_of(self.error, "email")).line("email", self.email, email))
                    (password_field("Password", self.error))
                    button.button.primary.whole type="submit" { "Create the account" }
                } }
                p.soft.small { "The link that led here works once." }
            }
        }
    }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use super::samples::EVIL;
    use crate::use_cases::Fault;
    let fault = |field: &str| Fault { field: field.into(), message: EVIL.into(), line: None };
    let faults = ControlError::Invalid(["name", "email", "password"].map(fault).into());
    vec![
        ("fresh", SetupView { secret: "setup_x", email: "", name: "", error: None }.page()),
        ("refused", SetupView { secret: "setup_x", email: EVIL, name: EVIL, error: Some(&faults) }.page()),
    ]
}
