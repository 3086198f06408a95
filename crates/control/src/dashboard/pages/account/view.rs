//! How the account's page is drawn.

use keyward_core::clock::Timestamp;
use keyward_core::people::{Membership, Person};
use keyward_core::session::SignedInBy;
use maud::{Markup, html};

use super::browser;
use crate::dashboard::answer::{fault_of, form_notice};
use crate::dashboard::look::moments::{ago, on_day};
use crate::dashboard::look::parts::{self, Field, Input, Tone, badge};
use crate::dashboard::pages::confirm::done;
use crate::dashboard::pages::new_account::password_field;
use crate::dashboard::place::role_word;
use crate::use_cases::ControlError;
use crate::use_cases::people::SeenSession;

/// What is told once something was done.
const DONE: [(&str, &str); 6] = [
    ("renamed", "Your name is changed."),
    ("password", "Your password is changed. You are signed out everywhere else."),
    ("ended", "The session is ended."),
    ("ended-others", "You are signed out everywhere else."),
    ("linked", "You can sign in with the provider from now on."),
    ("unlinked", "The provider signs you in no more. You are signed out everywhere else."),
];

/// A form that was sent and refused.
pub enum Sent<'a> {
    /// None.
    Nothing,
    /// That for the name.
    Name {
        /// What was filled in.
        name: &'a str,
        /// What is wrong with it.
        error: &'a ControlError,
    },
    /// That for the password.
    Password {
        /// What is wrong with it.
        error: &'a ControlError,
    },
    /// Those for the provider.
    Provider {
        /// Why it was not linked or unlinked.
        error: &'a ControlError,
    },
}

/// An organization one is a member of.
pub struct Place<'a> {
    /// As what.
    pub membership: &'a Membership,
    /// What it is called.
    pub name: String,
}

/// What the page shows.
pub struct AccountView<'a> {
    /// Whose account.
    pub person: &'a Person,
    /// Where they are members.
    pub places: &'a [Place<'a>],
    /// Where they are signed in.
    pub sessions: &'a [SeenSession],
    /// Whether a new password takes the one before.
    pub needs_old_password: bool,
    /// Whether they have to show once more who they are before a provider is linked.
    pub needs_proof_to_link: bool,
    /// The OpenID provider, where there is one: what it is called, and its issuer.
    pub provider: Option<(&'a str, &'a str)>,
    /// When it is shown.
    pub now: Timestamp,
    /// What was done before.
    pub done: &'a str,
    /// What was refused before.
    pub sent: Sent<'a>,
}

impl AccountView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        html! {
            div.alone.wide.stack {
                (parts::head("Your account", &self.person.email, html! {
                    @if self.person.is_operator { (badge(Tone::Info, "operator")) }
                }))
                (done(self.done, &DONE))
                (self.name())
                (self.password())
                (self.sessions())
                @if let Some((title, issuer)) = self.provider { (self.identity(title, issuer)) }
                (self.places())
            }
        }
    }

    fn name(&self) -> Markup {
        let (name, error) = match self.sent {
            Sent::Name { name, error } => (name, Some(error)),
            _ => (self.person.name.as_str(), None),
        };
        let input = Input { autocomplete: Some("name"), max_chars: Some(100), ..Input::REQUIRED };
        html! {
            section.card {
                header { h2 { "Name" } }
                form.row.inner method="post" action="/account/name" {
                    (Field::new("name", "Your name").fault(fault_of(error, "name")).line("text", name, input))
                    button.button type="submit" { "Save name" }
                }
            }
        }
    }

    fn password(&self) -> Markup {
        let error = match self.sent {
            Sent::Password { error } => Some(error),
            _ => None,
        };
        let is_wrong = matches!(error, Some(ControlError::BadCredentials));
        let old =
            Field::new("old_password", "Current password").fault(is_wrong.then_some("This is not your password."));
        let input = Input { autocomplete: Some("current-password"), ..Input::REQUIRED };
        let (title, button) = match self.needs_old_password {
            true => ("Password", "Change password"),
            false => ("Choose a password", "Set password"),
        };
        html! {
            section.card {
                header { h2 { (title) } }
                form.inner method="post" action="/account/password" {
                    @if let Some(error) = error.filter(|_| !is_wrong) { (form_notice(error)) }
                    input.hidden-visually type="email" name="email" value=(self.person.email) autocomplete="username"
                        readonly tabindex="-1" aria-hidden="true" aria-label="E-mail address";
                    @if self.needs_old_password { (old.line("password", "", input)) }
                    (password_field("New password", error))
                    p.soft.small { "You stay signed in here and are signed out everywhere else." }
                    div.actions { button.button type="submit" { (button) } }
                }
            }
        }
    }

    fn sessions(&self) -> Markup {
        let has_others = self.sessions.iter().any(|seen| !seen.is_current);
        let end_all = html! {
            @if has_others {
                form method="post" action="/account/sessions/end-others" {
                    button.button.small type="submit" { "Sign out everywhere else" }
                }
            }
        };
        parts::framed_card(
            "Where you are signed in",
            end_all,
            html! {
                table.folds {
                    thead { tr {
                        th scope="col" { "Browser" } th scope="col" { "Address" } th scope="col" { "Signed in" }
                        th scope="col" { "Last seen" } th scope="col" { span.hidden-visually { "End" } }
                    } }
                    tbody { @for seen in self.sessions { (self.session(seen)) } }
                }
            },
        )
    }

    fn session(&self, seen: &SeenSession) -> Markup {
        let session = &seen.session;
        let words = browser::in_words(&session.browser);
        let address = session.address.map_or("unknown".to_owned(), |address| address.to_string());
        html! {
            tr {
                td data-label="Browser" {
                    span title=(session.browser) { (words) }
                    span.under { (signed_in_by(&session.signed_in_by)) }
                }
                td data-label="Address" { code { (address) } }
                td data-label="Signed in" { (ago(session.created_at, self.now)) }
                td data-label="Last seen" {
                    @if seen.is_current { (badge(Tone::Good, "this session")) } @else { (ago(session.seen_at, self.now)) }
                }
                td.acts.right {
                    @if !seen.is_current {
                        form.inline method="post" action={ "/account/sessions/" (session.id) "/end" } {
                            button.button.small type="submit" {
                                "End" span.hidden-visually { " the session of " (words) " at " (address) }
                            }
                        }
                    }
                }
            }
        }
    }

    fn identity(&self, title: &str, issuer: &str) -> Markup {
        let linked = self.person.identities.iter().find(|identity| identity.issuer == issuer);
        let error = match self.sent {
            Sent::Provider { error } => Some(error),
            _ => None,
        };
        let is_wrong = matches!(error, Some(ControlError::BadCredentials));
        let password = Field::new("current_password", "Current password")
            .hint("You signed in a while ago. Where you have no password, sign out and in again instead.")
            .fault(is_wrong.then_some("This is not your password."));
        let input = Input { autocomplete: Some("current-password"), ..Input::REQUIRED };
        parts::titled_card(
            title,
            "",
            html! {
                @if let Some(fault) = fault_of(error, "provider") {
                    (parts::notice(Tone::Bad, html! { p { (title) " " (fault) } }))
                } @else if let Some(error) = error.filter(|_| !is_wrong) { (form_notice(error)) }
                @if let Some(identity) = linked {
                    p { (badge(Tone::Good, "linked")) " You can sign in with " (title) ", as " code { (identity.subject) } "." }
                    form method="post" action="/account/openid/unlink" {
                        p.soft.small { "Unlinking signs you out everywhere else." }
                        button.button.quiet.risky type="submit" { "Unlink " (title) }
                    }
                } @else {
                    p.soft { "Sign in with " (title) " instead of your password." }
                    form.stack method="post" action="/account/openid" {
                        @if self.needs_proof_to_link { (password.line("current_password", "", input)) }
                        button.button type="submit" { "Link " (title) }
                    }
                }
            },
        )
    }

    fn places(&self) -> Markup {
        parts::framed_card(
            "Your organizations",
            "",
            html! {
                @if self.places.is_empty() {
                    div.inner { p.soft { "You are a member of no organization. An owner can invite you." } }
                } @else {
                    table.folds {
                        thead { tr {
                            th scope="col" { "Organization" } th scope="col" { "Role" } th scope="col" { "Since" }
                            th scope="col" { span.hidden-visually { "Leave" } }
                        } }
                        tbody { @for place in self.places {
                            @let id = place.membership.organization;
                            tr {
                                td data-label="Organization" { a href={ "/organizations/" (id) } { (place.name) } }
                                td data-label="Role" { (role_word(place.membership.role)) }
                                td data-label="Since" { (on_day(place.membership.joined_at)) }
                                td.acts.right {
                                    a.button.small.quiet.risky href={ "/account/organizations/" (id) "/leave" } {
                                        "Leave" span.hidden-visually { " " (place.name) }
                                    }
                                }
                            }
                        } }
                    }
                }
            },
        )
    }
}

fn signed_in_by(by: &SignedInBy) -> &'static str {
    match by {
        SignedInBy::Password => "with the password",
        SignedInBy::OpenIdConnect { .. } => "by the OpenID provider",
        SignedInBy::Link => "with a one-time link",
        SignedInBy::Invitation => "by an invitation",
    }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, super::Page)> {
    use crate::dashboard::answer::Page;
    use crate::dashboard::pages::samples::{EVIL, LONG, NOW, session, visit};
    let visit = visit(EVIL, true);
    let person = visit.person();
    let seen =
        |number, browser| SeenSession { session: session(number, browser), is_current: number == 1, ends_at: NOW };
    let sessions = [seen(1, "Mozilla/5.0 (X11; Linux x86_64) Firefox/133.0"), seen(2, EVIL), seen(3, "")];
    let places: Vec<Place<'_>> = person
        .memberships
        .iter()
        .zip([EVIL, LONG])
        .map(|(membership, name)| Place { membership, name: name.into() })
        .collect();
    let draw = |places, sessions, provider, sent, done| {
        let view = AccountView {
            person,
            places,
            sessions,
            needs_old_password: !sessions.is_empty(),
            needs_proof_to_link: !sessions.is_empty(),
            provider,
            now: NOW,
            done,
            sent,
        };
        Page::new(super::frame(&visit, "Your account"), view.draw())
    };
    let invalid = ControlError::Invalid(
        ["name", "password"]
            .map(|field| crate::use_cases::Fault { field: field.into(), message: EVIL.into(), line: None })
            .into(),
    );
    let provider = Some((EVIL, "https://id.example.com"));
    let wrong = ControlError::BadCredentials;
    vec![
        ("provider refused", draw(&places, &sessions, provider, Sent::Provider { error: &wrong }, "")),
        ("empty", draw(&[], &[], None, Sent::Nothing, "")),
        ("many", draw(&places, &sessions, provider, Sent::Nothing, "renamed")),
        (
            "name refused",
            draw(&places, &sessions[..1], None, Sent::Name { name: EVIL, error: &invalid }, "<script>"),
        ),
        ("password refused", draw(&places, &sessions, None, Sent::Password { error: &invalid }, "")),
        (
            "password wrong",
            draw(&places, &sessions, None, Sent::Password { error: &ControlError::BadCredentials }, ""),
        ),
    ]
}
