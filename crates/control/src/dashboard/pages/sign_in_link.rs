//! A link that signs somebody in once: opening it says whom, and changes nothing, because programs that look at links in
//! mail open them too; its button signs in.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keyward_core::people::Person;
use maud::{Markup, html};

use super::sign_in::let_in;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page};
use crate::dashboard::look::{Frame, Icon};
use crate::dashboard::path::Path;
use crate::dashboard::visit::{Guest, Visit};

/// What is said of a link that signs nobody in.
const SPENT: &str = "It was used, or is older than a quarter of an hour, or something about the account changed since. \
    Ask for a new one.";

/// The page.
pub async fn page(State(dashboard): State<Dashboard>, Path(secret): Path<String>) -> Result<Response, Failure> {
    let seen = dashboard.control.look_at_link(&secret).await.map_err(|error| Failure::of_link(error, SPENT))?;
    Ok(LinkView { secret: &secret, person: &seen.person }.page().into_response())
}

/// Signs in.
pub async fn submit(
    State(dashboard): State<Dashboard>,
    Guest(visitor): Guest,
    before: Option<Visit>,
    Path(secret): Path<String>,
) -> Result<Response, Failure> {
    let signed_in = dashboard.control.sign_in_with_link(&secret, &visitor).await;
    let signed_in = signed_in.map_err(|error| Failure::of_link(error, SPENT))?;
    let_in(&dashboard, &signed_in, before, "/").await
}

/// What the page shows.
struct LinkView<'a> {
    secret: &'a str,
    person: &'a Person,
}

impl LinkView<'_> {
    fn page(&self) -> Page {
        Page::new(Frame::titled("Sign in"), self.draw())
    }

    fn draw(&self) -> Markup {
        html! {
            div.alone.stack {
                h1 { "Sign in" }
                section.card { form.inner method="post" action={ "/sign-in/link/" (self.secret) } {
                    p { "This link signs you in as " strong { (self.person.name) } ", " (self.person.email) "." }
                    button.button.primary.whole type="submit" { (Icon::Key) "Sign in" }
                } }
                p.soft.small { "It works once. If this is not you, close the page: nothing has happened." }
            }
        }
    }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use super::samples::{EVIL, LONG, person};
    let page = |name| LinkView { secret: "signin_x", person: &person(1, name, true) }.page();
    vec![("evil", page(EVIL)), ("long", page(LONG))]
}
