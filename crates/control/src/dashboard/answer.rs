//! What pages are answered with: the page itself, the way to another page once something was done, or a page that says
//! why it was not. The one place where the dashboard turns an error into words for people.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use maud::{Markup, html};

use super::look::parts::{Tone, notice};
use super::look::{Frame, Icon};
use crate::rest::hygiene::Drawn;
use crate::rest::problem::{Problem, seconds};
use crate::use_cases::{ControlError, Fault};

/// What a browser may do with our pages: load our own files, send forms to us, and nothing else (trust.md W02, W03).
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A page to send.
#[derive(Debug)]
pub struct Page {
    frame: Frame,
    content: Markup,
    status: StatusCode,
}

impl Page {
    /// A page within its frame.
    pub fn new(frame: Frame, content: Markup) -> Self {
        Page { frame, content, status: StatusCode::OK }
    }

    /// The same with another status, such as 422 for a form that was sent back.
    pub fn with_status(self, status: StatusCode) -> Self {
        Page { status, ..self }
    }

    /// What is sent.
    pub(super) fn text(&self) -> String {
        self.frame.around(&self.content).into_string()
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.text()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_POLICY));
        headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
        response
    }
}

/// The way to another page after something was done (303), so that reloading does not do it again.
pub fn go_to(path: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    // Our own paths hold ids and fixed words only.
    let target = HeaderValue::from_str(path).unwrap_or_else(|_| HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, target);
    response
}

/// Why a page is not shown.
#[derive(Debug)]
pub enum Failure {
    /// Nobody is signed in: they sign in first, and come back to this path.
    SignIn {
        /// Where they wanted to.
        path: String,
    },
    /// A use case did not do it.
    Control(ControlError),
    /// The request cannot be one of our own pages'.
    Foreign,
    /// The form cannot be read.
    Form(String),
    /// A link that works once or for a while does not work any more, or never did: nobody is told which.
    Spent(&'static str),
}

impl Failure {
    /// What opens nothing by its link is told in words for links.
    pub fn of_link(error: ControlError, words: &'static str) -> Self {
        match error {
            ControlError::NotFound => Failure::Spent(words),
            error => Failure::Control(error),
        }
    }
}

impl<E: Into<ControlError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Control(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, title, words) = match &self {
            Failure::SignIn { path } => return go_to(&format!("/sign-in{}", super::next::query(path))),
            Failure::Foreign => (
                StatusCode::FORBIDDEN,
                "This did not come from here",
                "The request was sent by another site, so nothing was done. Open the page here and try again."
                    .to_owned(),
            ),
            Failure::Form(what) => (StatusCode::BAD_REQUEST, "The form cannot be read", what.clone()),
            Failure::Spent(words) => (StatusCode::NOT_FOUND, "This link does not work", (*words).to_owned()),
            Failure::Control(error) => told(error),
        };
        let problem = match self {
            Failure::Control(error) => Some(Problem::from(error)),
            Failure::Spent(_) => Some(Problem::from(ControlError::NotFound)),
            _ => None,
        };
        let mut response = error_page(status, title, &words).into_response();
        if let Some(problem) = problem {
            response.extensions_mut().insert(problem);
        }
        response.extensions_mut().insert(Drawn);
        response
    }
}

/// A page that stands alone and says what went wrong.
pub fn error_page(status: StatusCode, title: &str, words: &str) -> Page {
    let content = html! {
        div.alone.stack {
            section.card { div.empty {
                (Icon::Warning)
                h1 { (title) }
                p { (words) }
                a.button href="/" { "To the start" }
            } }
        }
    };
    Page::new(Frame::titled(title), content).with_status(status)
}

/// What people are told of an error that ends a page: the status, a title, and what to do.
fn told(error: &ControlError) -> (StatusCode, &'static str, String) {
    let status = Problem::status_of(error);
    let title = match error {
        ControlError::NotFound => "There is nothing here",
        ControlError::Forbidden(_) | ControlError::OutOfReach(_) | ControlError::WiderThanCaller(_) => {
            "Your role does not allow this"
        }
        ControlError::PlanForbids { .. } => "Not part of the plan",
        ControlError::RateLimited { .. } => "Too many at once",
        ControlError::Internal(_) => "Something went wrong here",
        ControlError::Unavailable(_) | ControlError::Encryption(_) | ControlError::StorageFull(_) => {
            "Not possible just now"
        }
        ControlError::NotSettled(_) => "Done, but not known to hold everywhere",
        ControlError::OutcomeUnknown(_) => "It may or may not have been done",
        _ => "That did not work",
    };
    (status, title, words(error))
}

/// What is wrong and what to do, in a sentence or two for people.
pub fn words(error: &ControlError) -> String {
    match error {
        ControlError::Unauthenticated => "Your session has ended. Sign in again.".into(),
        ControlError::BadCredentials => "E-mail address or password is wrong.".into(),
        ControlError::NotFound => "It does not exist, or it is not yours to see.".into(),
        ControlError::Forbidden(permission) | ControlError::OutOfReach(permission) => {
            format!("To {} takes another role. Ask an owner of your organization.", permission.title())
        }
        ControlError::WiderThanCaller(what) => format!("Nobody can hand on more than they have: {what}."),
        ControlError::Invalid(faults) => sentence(faults),
        ControlError::Conflict(_) => {
            "Somebody else changed the same thing meanwhile. Look again, then repeat it.".into()
        }
        ControlError::AcknowledgementRequired(_) => "Read and confirm the statements first.".into(),
        ControlError::NotSettled(_) => {
            "It is written, but whether it holds everywhere is not known. Do it again: that waits again.".into()
        }
        ControlError::SeveralLiveKeys => "Several keys are active: rotate the one you mean.".into(),
        ControlError::RateLimited { retry_after } => {
            format!("Nothing was done. Try again in {} seconds.", seconds(*retry_after))
        }
        ControlError::Internal(_) => "It is not your fault. The log holds what support needs to find it.".into(),
        other => Problem::detail_of(other),
    }
}

/// What is wrong with fields that no form shows.
fn sentence(faults: &[Fault]) -> String {
    let told: Vec<String> = faults.iter().map(|fault| format!("{} {}", fault.field, fault.message)).collect();
    format!("{}.", told.join("; "))
}

/// What went wrong with a form, above it; field by field is told beside each.
pub fn form_notice(error: &ControlError) -> Markup {
    match error {
        ControlError::Invalid(_) => notice(Tone::Bad, html! { p { "Some of it is not right yet; see below." } }),
        error => notice(Tone::Bad, html! { p { (words(error)) } }),
    }
}

/// What is wrong with one field of a form that was sent back.
pub fn fault_of<'a>(error: Option<&'a ControlError>, field: &str) -> Option<&'a str> {
    match error? {
        ControlError::Invalid(faults) => {
            faults.iter().find(|fault| fault.field == field).map(|fault| fault.message.as_str())
        }
        _ => None,
    }
}

/// Whether a request asks for a page rather than for an answer that programs read.
pub fn is_asked_for_a_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.into_iter().any(|value| value.contains("text/html"))
}
