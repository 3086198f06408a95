//! The one page that shows a secret: the answer to the form that made the key (trust.md K06, K07). It says so, hands out
//! what is needed to use the key at once, and leads back to the list only when one says that the key is stored. Elements
//! that hold the secret carry `data-once`: the page's script empties them when one leaves.

use axum::response::{IntoResponse, Response};
use keyward_core::clock::Timestamp;
use keyward_core::contract::Contract;
use keyward_core::key::{KeyState, Standing};
use keyward_core::secret::Secret;
use maud::{Markup, Render, html};

use super::list_path;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::Page;
use crate::dashboard::look::moments;
use crate::dashboard::look::parts::{Tone, copy_button, notice};
use crate::dashboard::place::{ProjectPlace, ProjectTab};
use crate::dashboard::visit::Visit;
use crate::site::Site;
use crate::snippets::{Call, Credential, env_line};
use crate::use_cases::keys::SeenKey;
use crate::use_cases::{By, Disclosure, InForce};

/// Where callers reach an API.
pub struct Base {
    /// A scheme and a host, and a prefix of the path where there is one.
    pub url: String,
    /// Whether it is known, and not a stand-in.
    pub is_known: bool,
}

impl Base {
    /// As the contract or the settings say; a stand-in where neither does.
    pub fn of(site: &Site, contract: &Contract) -> Self {
        let gateway = &contract.gateway;
        let host = gateway.hosts.iter().find(|host| !host.contains('*')).map(|host| format!("https://{host}"));
        let known = host.or_else(|| site.gateway().map(str::to_owned));
        let prefix = gateway.path_prefix.as_deref().unwrap_or_default();
        let is_known = known.is_some();
        let start = known.unwrap_or_else(|| "https://your-api.example".to_owned());
        Base { url: format!("{start}{prefix}"), is_known }
    }
}

/// What became of the key that the new one replaces, and how that took force.
pub struct Replaced<'a> {
    /// The old key.
    pub old: &'a SeenKey,
    /// How the change took force.
    pub in_force: Option<InForce>,
}

/// What is answered to the form that made a key.
pub struct Made<'a> {
    /// The key.
    pub key: &'a SeenKey,
    /// What is told of its secret.
    pub secret: &'a Disclosure,
    /// What it replaces.
    pub replaced: Option<Replaced<'a>>,
}

impl Made<'_> {
    /// The page: with the secret where this is the one time, else that it was shown.
    pub fn answer(&self, dashboard: &Dashboard, visit: &Visit, place: &ProjectPlace) -> Response {
        let view = ShownView {
            contract: place.contract(),
            base: Base::of(&dashboard.site, place.contract()),
            project: place.seen.project.id.to_string(),
            list: list_path(place),
            made: self,
        };
        let frame = place.frame(visit, ProjectTab::Keys, "New key");
        Page::new(frame, view.draw()).into_response()
    }
}

/// What the page shows.
pub struct ShownView<'a> {
    /// What rules the key.
    pub contract: &'a Contract,
    /// Where it is used.
    pub base: Base,
    /// The project's id.
    pub project: String,
    /// Where the list is.
    pub list: String,
    /// What was made.
    pub made: &'a Made<'a>,
}

impl ShownView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        match &self.made.secret {
            Disclosure::Now(secret) => self.once(secret),
            Disclosure::Before | Disclosure::None => self.before(),
        }
    }

    fn once(&self, secret: &Secret) -> Markup {
        html! {
            div.sheet role="dialog" aria-labelledby="shown" aria-describedby="warning" {
                div.inner {
                    h1 #shown tabindex="-1" autofocus { "Your new API key" }
                    div #warning { (notice(Tone::Warn, html! { p { (self.contract.dashboard.warning) } })) }
                    div.secret {
                        output #secret aria-label="The API key" data-once { (secret.expose()) }
                        (copy_button("secret", "the API key"))
                    }
                    (self.replaced())
                    (facts(self.made.key))
                    h2 { "Use it" }
                    (self.snippets(secret))
                    div.actions.end { a.button.primary href=(self.list) { "I have stored the key" } }
                }
            }
        }
    }

    fn before(&self) -> Markup {
        html! {
            div.alone.wide.stack {
                h1 { "This key was made and shown already" }
                section.card { div.inner {
                    (notice(Tone::Info, html! {
                        p { "The same form was sent before, so no second key was made. Its secret was shown then and cannot be shown again." }
                        p { "If it was not stored, revoke this key and make another." }
                    }))
                    (facts(self.made.key))
                    div.actions.end { a.button.primary href=(self.list) { "Back to the keys" } }
                } }
            }
        }
    }

    fn replaced(&self) -> Markup {
        let Some(Replaced { old, in_force }) = &self.made.replaced else { return html! {} };
        let force = in_force_words(*in_force);
        html! {
            (notice(Tone::Info, html! {
                @match (&old.key.state, old.standing()) {
                    (KeyState::Retiring { ends_at, .. }, Standing::Retiring) => p {
                        "The old key " code { (old.key.hint) } " goes on until " (moments::in_full(*ends_at))
                        ". Both work until then; revoke it as soon as nothing uses it."
                    },
                    _ => p { "The old key " code { (old.key.hint) } " has stopped working: " (force) "." },
                }
            }))
        }
    }

    fn snippets(&self, secret: &Secret) -> Markup {
        let variable = &self.contract.environment_variable;
        let Base { url, is_known } = &self.base;
        let example = self.contract.examples.first();
        let call =
            example.map(|example| Call { base: url, contract: self.contract, example, project: &self.project });
        html! {
            div.snippets {
                (snippet("env", ".env", true, Holds::Secret(env_line(variable, secret.expose()))))
                @if let Some(call) = call {
                    (snippet("curl", "curl", false, Holds::Secret(call.curl(Credential::Key(secret.expose())))))
                    (snippet("python", "Python", false, Holds::Text(call.python())))
                    (snippet("javascript", "JavaScript", false, Holds::Text(call.javascript())))
                }
                (snippet("gitignore", ".gitignore", false, Holds::Text(".env".to_owned())))
            }
            p.soft.small {
                "Python and JavaScript read the key from " code { (variable) } ", so that it stays out of your code. Add "
                code { ".env" } " to " code { ".gitignore" } " before you commit."
                @if !is_known && example.is_some() { " Replace " code { (url) } " by the address of your API." }
            }
        }
    }
}

/// What a snippet holds.
enum Holds {
    Secret(String),
    Text(String),
}

fn snippet(id: &str, title: &str, is_open: bool, holds: Holds) -> Markup {
    let (text, has_secret) = match &holds {
        Holds::Secret(text) => (text, true),
        Holds::Text(text) => (text, false),
    };
    html! {
        details.snippet name="snippets" open[is_open] {
            summary { (title) }
            div.code {
                pre #{ "snippet-" (id) } tabindex="0" aria-label=(title) data-once[has_secret] { (text) }
                (copy_button(&format!("snippet-{id}"), title))
            }
        }
    }
}

/// What may be told of a key again and again.
pub fn facts(seen: &SeenKey) -> Markup {
    let key = &seen.key;
    html! {
        dl.facts {
            @if let Some(name) = &key.name { dt { "Name" } dd { (name) } }
            dt { "Key ID" } dd { code { (key.id) } }
            dt { "Shown as" } dd { code { (key.hint) } }
            @if let Some(end) = key.expires_at { dt { "Expires" } dd { (moments::in_full(end)) " (" (moments::words(end, seen.at)) ")" } }
        }
    }
}

/// How a change took force, as the end of a sentence.
pub fn in_force_words(in_force: Option<InForce>) -> impl Render {
    let Some(InForce { by, nodes, waited_ms }) = in_force else {
        return html! { "on its way to every node" };
    };
    html! {
        "in force on every node"
        @if by == By::LeaseExpired { " (" (nodes) " confirmed it, the lease of the others has run out)" }
        @else if nodes > 1 { " (" (nodes) " of them)" }
        ", " @if waited_ms == 0 { "in less than 1 ms" } @else { (waited_ms) " ms" }
    }
}

/// Whether a key ends soon: within a week, or the last tenth of its life.
pub fn ends_soon(end: Timestamp, made: Timestamp, now: Timestamp) -> bool {
    let left = end.since(now);
    let life = end.since(made);
    now < end && (left <= super::form::DAY * 7 && left < life || left <= (life / 10).min(super::form::DAY * 30))
}
