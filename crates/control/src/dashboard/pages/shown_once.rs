//! A page that shows a link or a secret the one time it can be shown, with a button that copies it.

use maud::{Markup, html};

use crate::dashboard::look::parts::{Tone, copy_button, notice};

/// What is shown.
pub struct ShownOnce<'a> {
    /// What it is, the page's heading.
    pub title: &'a str,
    /// What to do with it.
    pub words: Markup,
    /// What the thing is called: `Invitation link`.
    pub label: &'a str,
    /// The link or the secret itself.
    pub secret: &'a str,
    /// What to be careful about.
    pub warning: &'a str,
    /// Where one goes on.
    pub back: &'a str,
}

impl ShownOnce<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        html! {
            div.alone.wide {
                div.sheet role="region" aria-labelledby="shown-title" { div.inner {
                    h1 #shown-title { (self.title) }
                    div.stack { (self.words) }
                    div.field {
                        span.small.soft #shown-label { (self.label) }
                        div.secret {
                            output #shown aria-labelledby="shown-label" data-once { (self.secret) }
                            (copy_button("shown", self.label))
                        }
                    }
                    (notice(Tone::Warn, html! { p { (self.warning) } }))
                    div.actions.end { a.button.primary href=(self.back) { "Done" } }
                } }
            }
        }
    }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, crate::dashboard::answer::Page)> {
    use super::samples::EVIL;
    let words = html! { p { (EVIL) } };
    let shown = ShownOnce { title: EVIL, words, label: EVIL, secret: EVIL, warning: EVIL, back: "/account" };
    vec![("evil", crate::dashboard::answer::Page::new(crate::dashboard::look::Frame::titled(EVIL), shown.draw()))]
}
