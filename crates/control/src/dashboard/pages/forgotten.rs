//! A forgotten password: a link that signs in once is asked for here and comes by mail, where mail is configured. The page says
//! the same whoever asks.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;

use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, form_notice};
use crate::dashboard::form::Form;
use crate::dashboard::look::Frame;
use crate::dashboard::look::parts::{Field, Input, Tone, notice};
use crate::dashboard::visit::Guest;
use crate::use_cases::ControlError;

/// What the form sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgottenForm {
    email: String,
}

/// The page.
pub async fn page(State(dashboard): State<Dashboard>) -> Result<Response, Failure> {
    dashboard.control.mailer().ok_or(ControlError::NotFound)?;
    Ok(ForgottenView { email: "", is_asked: false, error: None }.page().into_response())
}

/// Asks for a link.
pub async fn submit(
    State(dashboard): State<Dashboard>,
    Guest(visitor): Guest,
    Form(form): Form<ForgottenForm>,
) -> Result<Response, Failure> {
    let links = dashboard.site.url("/sign-in/link/");
    match dashboard.control.request_sign_in_link(&form.email, &visitor.origin, &links) {
        Ok(()) => Ok(ForgottenView { email: &form.email, is_asked: true, error: None }.page().into_response()),
        Err(error @ ControlError::RateLimited { .. }) => {
            let view = ForgottenView { email: &form.email, is_asked: false, error: Some(&error) };
            Ok(view.page().with_status(StatusCode::TOO_MANY_REQUESTS).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// What the page shows.
struct ForgottenView<'a> {
    email: &'a str,
    is_asked: bool,
    error: Option<&'a ControlError>,
}

impl ForgottenView<'_> {
    fn page(&self) -> Page {
        Page::new(Frame::titled("Forgotten password"), self.draw())
    }

    fn draw(&self) -> Markup {
        let email = Input { autocomplete: Some("username"), ..Input::REQUIRED };
        html! {
            div.alone.stack {
                h1 { "Forgotten password" }
                @if self.is_asked {
                    (notice(Tone::Good, html! { p {
                        "If somebody here has this address, a link is on its way. It signs in once, within 15 minutes; \
                         then choose a new password on your account page."
                    } }))
                }
                @if let Some(error) = self.error { (form_notice(error)) }
                section.card { form.inner method="post" action="/sign-in/forgotten" {
                    (Field::new("email", "E-mail address").line("email", self.email, email))
                    button.button.primary.whole type="submit" { "Send me a link" }
                } }
                p.soft.small { a href="/sign-in" { "Back to sign in" } ". Operators get a link at the machine alone." }
            }
        }
    }
}

/// The page as tests see it.
#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use super::samples::EVIL;
    let view = |email, is_asked, error| ForgottenView { email, is_asked, error }.page();
    let limited = ControlError::RateLimited { retry_after: std::time::Duration::from_secs(90) };
    vec![
        ("fresh", view("", false, None)),
        ("asked", view(EVIL, true, None)),
        ("limited", view("a@example.com", false, Some(&limited))),
    ]
}
