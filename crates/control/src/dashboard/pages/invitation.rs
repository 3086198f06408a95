//! An invitation, as whoever holds its link sees it: somebody new chooses a name and a password, who has an account signs
//! in, who is signed in accepts, and anybody else is told whom it is for.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyward_core::people::{InvitedTo, Role};
use keyward_core::secret::Secret;
use maud::{Markup, html};
use serde::Deserialize;

use super::new_account::{fixed_email, name_field, password_field};
use super::openid;
use super::sign_in::let_in;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, form_notice};
use crate::dashboard::form::Form;
use crate::dashboard::look::parts::{Field, Input, Tone, notice};
use crate::dashboard::look::{Frame, moments};
use crate::dashboard::path::Path;
use crate::dashboard::visit::{Guest, Visit};
use crate::use_cases::ControlError;
use crate::use_cases::people::SeenInvitation;

/// What is said of a link that invites nobody.
pub const SPENT: &str = "The invitation was accepted or taken back, is older than a week, or whoever sent it may not \
    invite any more. Ask for a new one.";

/// What the form of somebody new sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewForm {
    /// Shown for password managers; the invitation's own counts.
    #[serde(default, rename = "email")]
    _email: String,
    name: String,
    password: String,
}

/// Who looks at the invitation.
enum Holder<'a> {
    /// Somebody who has no account, with what they filled in as their name.
    New { name: &'a str },
    /// Somebody who has one and is not signed in.
    Known,
    /// Whom it is for, signed in.
    Invited { name: &'a str },
    /// Somebody else, signed in.
    Another { email: &'a str },
}

/// The page.
pub async fn page(
    State(dashboard): State<Dashboard>,
    visit: Option<Visit>,
    Path(secret): Path<String>,
) -> Result<Response, Failure> {
    let seen = look(&dashboard, &secret).await?;
    let holder = match &visit {
        Some(visit) if visit.person().email == seen.invitation.email => {
            Holder::Invited { name: &visit.person().name }
        }
        Some(visit) => Holder::Another { email: &visit.person().email },
        None if seen.is_known => Holder::Known,
        None => Holder::New { name: "" },
    };
    Ok(view(&dashboard, &secret, &seen, holder, None).page().into_response())
}

/// Accepts as somebody new.
pub async fn accept_as_new(
    State(dashboard): State<Dashboard>,
    Guest(visitor): Guest,
    before: Option<Visit>,
    Path(secret): Path<String>,
    Form(form): Form<NewForm>,
) -> Result<Response, Failure> {
    let seen = look(&dashboard, &secret).await?;
    let password = Secret::new(form.password);
    match dashboard.control.accept_invitation_as_new(&secret, &form.name, &password, &visitor).await {
        Ok(signed_in) => let_in(&dashboard, &signed_in, before, &place_of(&seen)).await,
        Err(error @ ControlError::SignInFirst) => {
            let view = view(&dashboard, &secret, &seen, Holder::Known, Some(&error));
            Ok(view.page().with_status(StatusCode::CONFLICT).into_response())
        }
        Err(error @ (ControlError::Invalid(_) | ControlError::RateLimited { .. })) => {
            let view = view(&dashboard, &secret, &seen, Holder::New { name: &form.name }, Some(&error));
            Ok(view.page().with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response())
        }
        Err(error) => Err(Failure::of_link(error, SPENT)),
    }
}

/// Accepts as whoever is signed in.
pub async fn accept(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(secret): Path<String>,
) -> Result<Response, Failure> {
    let seen = look(&dashboard, &secret).await?;
    let accepted = dashboard.control.accept_invitation(&secret, &visit.current, &visit.visitor).await;
    match accepted {
        Ok(signed_in) => let_in(&dashboard, &signed_in, Some(visit), &place_of(&seen)).await,
        Err(ControlError::Invalid(_)) => {
            let holder = Holder::Another { email: &visit.person().email };
            let view = view(&dashboard, &secret, &seen, holder, None);
            Ok(view.page().with_status(StatusCode::FORBIDDEN).into_response())
        }
        Err(error) => Err(Failure::of_link(error, SPENT)),
    }
}

async fn look(dashboard: &Dashboard, secret: &str) -> Result<SeenInvitation, Failure> {
    dashboard.control.look_at_invitation(secret).await.map_err(|error| Failure::of_link(error, SPENT))
}

fn place_of(seen: &SeenInvitation) -> String {
    match seen.invitation.invited_to {
        InvitedTo::Organization { id, .. } => format!("/organizations/{id}"),
        InvitedTo::Operators => "/".into(),
    }
}

fn view<'a>(
    dashboard: &'a Dashboard,
    secret: &'a str,
    seen: &'a SeenInvitation,
    holder: Holder<'a>,
    error: Option<&'a ControlError>,
) -> InvitationView<'a> {
    let provider = dashboard.control.openid().map(|provider| provider.title());
    InvitationView { secret, seen, holder, provider, error }
}

/// What the page shows.
struct InvitationView<'a> {
    secret: &'a str,
    seen: &'a SeenInvitation,
    holder: Holder<'a>,
    /// What the OpenID provider is called, where there is one.
    provider: Option<&'a str>,
    error: Option<&'a ControlError>,
}

impl InvitationView<'_> {
    fn page(&self) -> Page {
        Page::new(Frame::titled("Invitation"), self.draw())
    }

    fn draw(&self) -> Markup {
        html! {
            div.alone.stack {
                (self.head())
                @if let Some(error) = self.error { (form_notice(error)) }
                section.card { div.inner {
                    @match self.holder {
                        Holder::New { name } => (self.of_new(name)),
                        Holder::Known => (self.of_known()),
                        Holder::Invited { name } => (self.of_invited(name)),
                        Holder::Another { email } => (self.of_another(email)),
                    }
                } }
                p.soft.small { "The invitation is good until " (moments::in_full(self.seen.invitation.expires_at)) "." }
            }
        }
    }

    /// What it invites to, and who invites.
    fn head(&self) -> Markup {
        let to = self.seen.organization.as_ref().map(|organization| organization.name.as_str());
        html! {
            div {
                h1 { "Join " @if let Some(name) = to { (name) } @else { "the operators" } }
                p.soft {
                    @if let Some(inviter) = &self.seen.inviter { (inviter) " invites you" } @else { "You are invited" }
                    @match self.seen.invitation.invited_to {
                        InvitedTo::Organization { role, .. } => { " as " (as_what(role)) ", who " (role.title()) "." },
                        InvitedTo::Operators => " to see and manage everything here.",
                    }
                }
            }
        }
    }

    fn of_new(&self, name: &str) -> Markup {
        html! {
            form.stack method="post" action={ "/invitations/" (self.secret) } {
                (fixed_email(&self.seen.invitation.email))
                (name_field(name, self.error))
                (password_field("Password", self.error))
                button.button.primary.whole type="submit" { "Create account and join" }
            }
            (openid::button(self.provider, &place_of(self.seen), self.secret))
        }
    }

    /// Signing in comes back here: the way is sent in the form, and stands in no address.
    fn of_known(&self) -> Markup {
        let password = Input { autocomplete: Some("current-password"), ..Input::REQUIRED };
        html! {
            p { "You have an account with this address. Sign in to accept." }
            form.stack method="post" action="/sign-in" {
                (fixed_email(&self.seen.invitation.email))
                (Field::new("password", "Password").line("password", "", password))
                input type="hidden" name="next" value={ "/invitations/" (self.secret) };
                button.button.primary.whole type="submit" { "Sign in" }
            }
            (openid::button(self.provider, &place_of(self.seen), self.secret))
        }
    }

    fn of_invited(&self, name: &str) -> Markup {
        html! {
            p { "You are signed in as " strong { (name) } ", " (self.seen.invitation.email) "." }
            form method="post" action={ "/invitations/" (self.secret) "/accept" } {
                button.button.primary.whole type="submit" { "Accept the invitation" }
            }
        }
    }

    fn of_another(&self, email: &str) -> Markup {
        html! {
            (notice(Tone::Warn, html! {
                p { "This invitation is for " strong { (self.seen.invitation.email) } "; you are signed in as " strong { (email) } "." }
            }))
            p.soft { "To accept it, sign out and open the link again. To accept it as " (email) ", ask for an invitation of that address." }
            form method="post" action="/sign-out" { button.button.whole type="submit" { "Sign out" } }
        }
    }
}

fn as_what(role: Role) -> &'static str {
    match role {
        Role::Owner => "an owner",
        Role::Developer => "a developer",
        Role::Viewer => "a viewer",
    }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use super::samples::{EVIL, RIGHT_TO_LEFT, invitation, organization};
    use keyward_core::id::OrganizationId;
    let id = OrganizationId::from_u128(1);
    let member = InvitedTo::Organization { id, role: Role::Developer };
    let seen = SeenInvitation {
        invitation: invitation(1, member, "ada@example.com"),
        organization: Some(organization(1, EVIL)),
        inviter: Some(RIGHT_TO_LEFT.into()),
        is_known: false,
    };
    let operators = SeenInvitation {
        invitation: invitation(1, InvitedTo::Operators, EVIL),
        organization: None,
        inviter: None,
        is_known: true,
    };
    let short = ControlError::invalid("password", EVIL);
    let page = |seen: &SeenInvitation, holder, provider, error| {
        InvitationView { secret: "invite_x", seen, holder, provider, error }.page()
    };
    vec![
        ("new", page(&seen, Holder::New { name: "" }, None, None)),
        ("new, refused", page(&seen, Holder::New { name: EVIL }, Some(EVIL), Some(&short))),
        ("known", page(&operators, Holder::Known, Some("Example"), Some(&ControlError::SignInFirst))),
        ("invited", page(&seen, Holder::Invited { name: EVIL }, None, None)),
        ("another", page(&seen, Holder::Another { email: EVIL }, None, None)),
    ]
}
