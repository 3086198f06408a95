//! Signing in by an OpenID provider: the way there, and the way back. The protocol is `crate::openid`'s; who somebody is
//! with us is the use cases'.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use keyward_core::secret::Secret;
use maud::{Markup, html};
use serde::Deserialize;

use super::account;
use super::sign_in::{hand_over, let_in, set_cookie};
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, go_to};
use crate::dashboard::form::Form;
use crate::dashboard::look::parts::{Tone, notice};
use crate::dashboard::look::{Frame, Icon};
use crate::dashboard::next::own_path;
use crate::dashboard::visit::{Guest, Visit};
use crate::openid::{ATTEMPT_LIFE, Finished, OpenId, OpenIdError, Purpose};
use crate::use_cases::{Claims, ControlError};

/// The cookie that says which sign-in this browser began.
const ATTEMPT_COOKIE: &str = "openid";

/// What the form sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginForm {
    #[serde(default)]
    next: String,
    /// The secret of an invitation that is accepted by it.
    #[serde(default)]
    invitation: String,
}

/// Sends the browser to the provider.
pub async fn begin(State(dashboard): State<Dashboard>, Form(form): Form<BeginForm>) -> Result<Response, Failure> {
    let purpose = match form.invitation {
        invitation if invitation.is_empty() => Purpose::SignIn,
        invitation => Purpose::Invitation(Secret::new(invitation)),
    };
    go_there(&dashboard, purpose, own_path(&form.next)).await
}

/// What the form that links the provider sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkForm {
    #[serde(default)]
    current_password: Option<String>,
}

/// Sends the browser to the provider to have it linked to whoever is signed in, once they have shown who they are.
pub async fn begin_link(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Form(form): Form<LinkForm>,
) -> Result<Response, Failure> {
    provider(&dashboard)?;
    let password = form.current_password.map(Secret::new);
    let proven = match dashboard.control.prove_to_link(&visit.current, password.as_ref(), &visit.visitor).await {
        Ok(proven) => proven,
        Err(error) => return account::provider_refused(&dashboard, &visit, error).await,
    };
    let mut response = go_there(&dashboard, Purpose::Link(visit.person().id), "/account").await?;
    if let Some(signed_in) = proven {
        hand_over(&dashboard, &signed_in, &mut response);
    }
    Ok(response)
}

/// Lets the provider speak for whoever is signed in no more: all sessions end, and a new one begins here.
pub async fn unlink(State(dashboard): State<Dashboard>, visit: Visit) -> Result<Response, Failure> {
    let issuer = provider(&dashboard)?.issuer();
    match dashboard.control.unlink_identity(&visit.current, issuer, &visit.visitor).await {
        Ok(signed_in) => let_in(&dashboard, &signed_in, Some(visit), "/account?done=unlinked").await,
        Err(error) => account::provider_refused(&dashboard, &visit, error).await,
    }
}

async fn go_there(dashboard: &Dashboard, purpose: Purpose, next: &str) -> Result<Response, Failure> {
    let provider = provider(dashboard)?;
    let redirect = dashboard.site.url(OpenId::CALLBACK);
    let begun = match provider.begin(dashboard.control.now(), &redirect, purpose, next).await {
        Ok(begun) => begun,
        Err(error) => return Ok(not_signed_in(error.told(), StatusCode::SERVICE_UNAVAILABLE)),
    };
    // Not a redirection: browsers hold those of forms against the content policy's `form-action`, and the provider may
    // send the browser on to places that nobody can name beforehand.
    let mut response = LeavingView { title: provider.title(), url: &begun.url }.page().into_response();
    if let Ok(refresh) = HeaderValue::from_str(&format!("0;url={}", begun.url)) {
        response.headers_mut().insert(header::REFRESH, refresh);
    }
    let seconds = i64::try_from(ATTEMPT_LIFE.as_secs()).unwrap_or(i64::MAX);
    set_cookie(&mut response, &dashboard.site.cookie(ATTEMPT_COOKIE, &begun.cookie, Some(seconds)));
    Ok(response)
}

/// Where the provider sends the browser back to.
pub async fn callback(
    State(dashboard): State<Dashboard>,
    Guest(visitor): Guest,
    visit: Option<Visit>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let provider = provider(&dashboard)?;
    let redirect = dashboard.site.url(OpenId::CALLBACK);
    let cookie = dashboard.site.read_cookie(&headers, ATTEMPT_COOKIE);
    let query = query.unwrap_or_default();
    let mut response = match provider.finish(dashboard.control.now(), &redirect, cookie, &query).await {
        Err(error) => not_signed_in(error.told(), status_of(&error)),
        Ok(Finished { claims, purpose: Purpose::Link(person), .. }) => match visit {
            Some(visit) if visit.person().id == person => link(&dashboard, &visit, &claims).await?,
            _ => return Err(Failure::SignIn { path: "/account".into() }),
        },
        Ok(Finished { claims, purpose, next }) => {
            let signed_in = match purpose {
                Purpose::Invitation(secret) => {
                    dashboard.control.accept_invitation_with_identity(secret.expose(), &claims, &visitor).await
                }
                _ => dashboard.control.sign_in_with_identity(&claims, &visitor).await,
            };
            match signed_in {
                Ok(signed_in) => let_in(&dashboard, &signed_in, visit, own_path(&next)).await?,
                Err(error) => unknown(error, provider.title())?,
            }
        }
    };
    set_cookie(&mut response, &dashboard.site.no_cookie(ATTEMPT_COOKIE));
    Ok(response)
}

async fn link(dashboard: &Dashboard, visit: &Visit, claims: &Claims) -> Result<Response, Failure> {
    match dashboard.control.link_identity(&visit.current, &claims.identity, &visit.visitor.origin).await {
        Ok(()) => Ok(go_to("/account?done=linked")),
        Err(error) => account::provider_refused(dashboard, visit, error).await,
    }
}

fn provider(dashboard: &Dashboard) -> Result<&OpenId, Failure> {
    dashboard.control.openid().ok_or(Failure::Control(ControlError::NotFound))
}

fn status_of(error: &OpenIdError) -> StatusCode {
    match error {
        OpenIdError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        OpenIdError::NotBegun | OpenIdError::Declined(_) | OpenIdError::Refused(_) => StatusCode::UNAUTHORIZED,
    }
}

/// What is said to whom the provider knows and we do not.
fn unknown(error: ControlError, title: &str) -> Result<Response, Failure> {
    let words = match error {
        ControlError::BadCredentials => format!(
            "No account here is linked to your account at {title}. If you have one, sign in with your password and \
             link it under Your account; else ask for an invitation."
        ),
        ControlError::SignInFirst => format!(
            "There is an account with this mail address already. Sign in with its password, then accept; you can link \
             {title} under Your account afterwards."
        ),
        ControlError::Invalid(_) => {
            format!("The invitation is for another mail address than the one that {title} knows you by.")
        }
        error => return Err(Failure::of_link(error, super::invitation::SPENT)),
    };
    Ok(not_signed_in(&words, StatusCode::UNAUTHORIZED))
}

fn not_signed_in(words: &str, status: StatusCode) -> Response {
    NotSignedInView { words }.page().with_status(status).into_response()
}

/// The button that leads to the provider, where there is one.
pub fn button(title: Option<&str>, next: &str, invitation: &str) -> Markup {
    html! {
        @if let Some(title) = title {
            p.divider.soft.small { "or" }
            form method="post" action="/sign-in/openid" {
                input type="hidden" name="next" value=(next);
                @if !invitation.is_empty() { input type="hidden" name="invitation" value=(invitation); }
                button.button.whole type="submit" { "Continue with " (title) }
            }
        }
    }
}

/// The page on the way to the provider.
struct LeavingView<'a> {
    title: &'a str,
    url: &'a str,
}

impl LeavingView<'_> {
    fn page(&self) -> Page {
        let content = html! {
            div.alone.stack { section.card { div.empty {
                (Icon::Lock)
                h1 { "On to " (self.title) }
                p { "You sign in there, and come back here." }
                a.button.primary href=(self.url) { "Continue to " (self.title) }
            } } }
        };
        Page::new(Frame::titled("Sign in"), content)
    }
}

/// The page for whom nobody was signed in.
struct NotSignedInView<'a> {
    words: &'a str,
}

impl NotSignedInView<'_> {
    fn page(&self) -> Page {
        let content = html! {
            div.alone.stack {
                h1 { "You are not signed in" }
                (notice(Tone::Bad, html! { p { (self.words) } }))
                a.button.whole href="/sign-in" { "To the sign-in page" }
            }
        };
        Page::new(Frame::titled("Not signed in"), content)
    }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use super::samples::EVIL;
    vec![
        ("leaving", LeavingView { title: EVIL, url: "https://id.example.com/authorize?a=b&c=d" }.page()),
        ("not signed in", NotSignedInView { words: EVIL }.page()),
    ]
}
