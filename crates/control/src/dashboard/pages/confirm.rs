//! A page that asks once more before something is done that people may regret: what will happen, in plain words, and where
//! it is for good, the name to type. Showing it changes nothing; its form does.

use maud::{Markup, html};

use crate::dashboard::look::parts::{self, Field, Input, Tone, notice};

/// What is asked.
pub struct Confirmation<'a> {
    /// The question, the page's heading.
    pub question: &'a str,
    /// What will happen.
    pub consequences: Markup,
    /// Where the form is sent.
    pub action: &'a str,
    /// What the button says.
    pub button: &'a str,
    /// Where one goes to who thinks better of it.
    pub back: &'a str,
    /// The name to type, for what cannot be taken back.
    pub name: Option<&'a str>,
    /// What is wrong with what was typed.
    pub fault: Option<&'a str>,
}

impl Confirmation<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        self.draw_sending(None)
    }

    /// Draws it so that its form says exactly what is to be: a field that is not seen, by name and value.
    pub fn draw_sending(&self, hidden: Option<(&str, &str)>) -> Markup {
        html! {
            div.alone.stack {
                h1 { (self.question) }
                section.card { form.inner method="post" action=(self.action) {
                    (notice(Tone::Warn, &self.consequences))
                    @if let Some((name, value)) = hidden { input type="hidden" name=(name) value=(value); }
                    @if let Some(name) = self.name {
                        p { "To confirm, type the name: " strong { (name) } }
                        (Field::new("name", "Name").fault(self.fault).line("text", "", Input {
                            autocomplete: Some("off"), ..Input::REQUIRED
                        }))
                    }
                    div.actions.end {
                        a.button href=(self.back) { "Cancel" }
                        button.button.danger type="submit" { (self.button) }
                    }
                } }
            }
        }
    }
}

/// Whether what was typed is the name; spaces around it are no matter.
pub fn is_named(typed: &str, name: &str) -> bool {
    typed.trim() == name.trim()
}

/// What is said where it is not.
pub const NOT_THE_NAME: &str = "This is not the name. Nothing was done.";

/// A notice of what was done, above a page; nothing where the address tells nothing that is known.
pub fn done(done: &str, known: &[(&str, &str)]) -> Markup {
    let found = known.iter().find(|(word, _)| *word == done);
    html! { @if let Some((_, told)) = found { (parts::notice(Tone::Good, html! { p { (told) } })) } }
}
