//! Signing in with a password, and signing out.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use keyward_core::secret::Secret;
use maud::{Markup, html};
use serde::Deserialize;

use super::openid;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, form_notice, go_to};
use crate::dashboard::form::{Asking, Form};
use crate::dashboard::look::Frame;
use crate::dashboard::look::parts::{Field, Input};
use crate::dashboard::next::own_path;
use crate::dashboard::visit::{Guest, SESSION_COOKIE, Visit};
use crate::use_cases::ControlError;
use crate::use_cases::people::SignedIn;

/// The cookie by which a browser that somebody signed in with before is known.
const DEVICE_COOKIE: &str = "device";
/// How long a browser is known, in seconds: a year.
const DEVICE_SECONDS: i64 = 365 * 86_400;

/// Where to go afterwards.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Afterwards {
    next: String,
}

/// What the form sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInForm {
    email: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// The page.
pub async fn page(State(dashboard): State<Dashboard>, Asking(afterwards): Asking<Afterwards>) -> Response {
    view(&dashboard, "", own_path(&afterwards.next), None).page().into_response()
}

/// Signs in.
pub async fn submit(
    State(dashboard): State<Dashboard>,
    Guest(visitor): Guest,
    before: Option<Visit>,
    headers: HeaderMap,
    Form(form): Form<SignInForm>,
) -> Result<Response, Failure> {
    let device = dashboard.site.read_cookie(&headers, DEVICE_COOKIE);
    let password = Secret::new(form.password);
    match dashboard.control.sign_in(&form.email, &password, device, &visitor).await {
        Ok(signed_in) => let_in(&dashboard, &signed_in, before, own_path(&form.next)).await,
        Err(
            error @ (ControlError::BadCredentials | ControlError::RateLimited { .. } | ControlError::Invalid(_)),
        ) => {
            let status = match error {
                ControlError::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::UNAUTHORIZED,
            };
            let view = view(&dashboard, &form.email, own_path(&form.next), Some(&error));
            Ok(view.page().with_status(status).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Ends the session, on the server and in the browser.
pub async fn sign_out(State(dashboard): State<Dashboard>, visit: Visit) -> Result<Response, Failure> {
    dashboard.control.sign_out(&visit.current).await?;
    let mut response = go_to("/sign-in");
    set_cookie(&mut response, &dashboard.site.no_cookie(SESSION_COOKIE));
    response.headers_mut().insert("clear-site-data", HeaderValue::from_static("\"cache\""));
    Ok(response)
}

/// The way in for somebody who has just signed in, by whatever means. The session that the browser had before ends: its
/// cookie is replaced (trust.md W04).
pub async fn let_in(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    before: Option<Visit>,
    path: &str,
) -> Result<Response, Failure> {
    if let Some(visit) = before {
        dashboard.control.sign_out(&visit.current).await?;
    }
    let mut response = go_to(path);
    hand_over(dashboard, signed_in, &mut response);
    Ok(response)
}

/// Sends the cookies of somebody who has just signed in along.
pub fn hand_over(dashboard: &Dashboard, signed_in: &SignedIn, response: &mut Response) {
    set_cookie(response, &dashboard.site.cookie(SESSION_COOKIE, signed_in.secret.expose(), None));
    let device = dashboard.site.cookie(DEVICE_COOKIE, signed_in.device.expose(), Some(DEVICE_SECONDS));
    set_cookie(response, &device);
}

/// Sends a cookie along.
pub fn set_cookie(response: &mut Response, cookie: &str) {
    if let Ok(mut value) = HeaderValue::from_str(cookie) {
        value.set_sensitive(true);
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

fn view<'a>(
    dashboard: &'a Dashboard,
    email: &'a str,
    next: &'a str,
    error: Option<&'a ControlError>,
) -> SignInView<'a> {
    let provider = dashboard.control.openid().map(|provider| provider.title());
    SignInView { email, next, provider, has_mail: dashboard.control.mailer().is_some(), error }
}

/// What the page shows.
struct SignInView<'a> {
    /// What was filled in before.
    email: &'a str,
    /// Where to go afterwards.
    next: &'a str,
    /// What the OpenID provider is called, where there is one.
    provider: Option<&'a str>,
    /// Whether a link can be mailed to whoever has forgotten their password.
    has_mail: bool,
    /// What went wrong.
    error: Option<&'a ControlError>,
}

impl SignInView<'_> {
    fn page(&self) -> Page {
        Page::new(Frame::titled("Sign in"), self.draw())
    }

    fn draw(&self) -> Markup {
        let email = Input { autocomplete: Some("username"), ..Input::REQUIRED };
        let password = Input { autocomplete: Some("current-password"), ..Input::REQUIRED };
        html! {
            div.alone.stack {
                h1 { "Sign in" }
                @if let Some(error) = self.error { (form_notice(error)) }
                section.card { div.inner {
                    form.stack method="post" action="/sign-in" {
                        (Field::new("email", "E-mail address").line("email", self.email, email))
                        (Field::new("password", "Password").line("password", "", password))
                        input type="hidden" name="next" value=(self.next);
                        button.button.primary.whole type="submit" { "Sign in" }
                    }
                    (openid::button(self.provider, self.next, ""))
                } }
                details.soft.small {
                    summary { "Forgot your password, or no account yet?" }
                    @if self.has_mail {
                        p { a href="/sign-in/forgotten" { "Have a link mailed to you" } " that signs you in once; then you choose a new password." }
                    } @else {
                        p { "Whoever runs this site can give you a link that signs you in once; then you choose a new password." }
                    }
                    p { "Accounts come by invitation: an owner of your organization can send you one." }
                }
            }
        }
    }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use super::samples::EVIL;
    let view =
        |email, error| SignInView { email, next: "/account", provider: Some(EVIL), has_mail: true, error }.page();
    let limited = ControlError::RateLimited { retry_after: std::time::Duration::from_secs(90) };
    vec![
        ("fresh", view("", None)),
        ("refused", view(EVIL, Some(&ControlError::BadCredentials))),
        ("limited", view("a@example.com", Some(&limited))),
    ]
}
