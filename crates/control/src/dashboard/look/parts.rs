//! The parts that pages are made of. Each is one idea of the visual language; a page that needs another look needs
//! another part, not a style of its own.

use maud::{Markup, Render, html};

use super::Icon;

/// How something is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Neither good nor bad.
    Plain,
    /// Something to know.
    Info,
    /// As it should be.
    Good,
    /// To be careful about.
    Warn,
    /// Wrong, or dangerous.
    Bad,
}

impl Tone {
    /// Its class in the style sheet.
    pub const fn class(self) -> &'static str {
        match self {
            Tone::Plain => "",
            Tone::Info => "info",
            Tone::Good => "good",
            Tone::Warn => "warn",
            Tone::Bad => "bad",
        }
    }

    const fn icon(self) -> Icon {
        match self {
            Tone::Plain | Tone::Info => Icon::Info,
            Tone::Good => Icon::Check,
            Tone::Warn => Icon::Warning,
            Tone::Bad => Icon::Cross,
        }
    }
}

/// A page's first heading, what it is about in a sentence, and what can be done.
pub fn head(title: &str, about: impl Render, actions: impl Render) -> Markup {
    html! {
        div.head {
            div { h1 { (title) } p.soft { (about) } }
            div.actions { (actions) }
        }
    }
}

/// A message to read before going on. Screen readers are told of it at once where something went wrong.
pub fn notice(tone: Tone, content: impl Render) -> Markup {
    let role = if tone == Tone::Bad { "alert" } else { "status" };
    html! { div.notice.(tone.class()) role=(role) { (tone.icon()) div { (content) } } }
}

/// A word on how something stands.
pub fn badge(tone: Tone, word: &str) -> Markup {
    html! { span.badge.(tone.class()) { (word) } }
}

/// A card without a title.
pub fn card(content: impl Render) -> Markup {
    html! { section.card { div.inner { (content) } } }
}

/// A card with a title, and what can be done beside it.
pub fn titled_card(title: &str, actions: impl Render, content: impl Render) -> Markup {
    html! {
        section.card {
            header { h2 { (title) } div.actions { (actions) } }
            div.inner { (content) }
        }
    }
}

/// A card around something that reaches to its edges, such as a table.
pub fn framed_card(title: &str, actions: impl Render, content: impl Render) -> Markup {
    html! {
        section.card {
            header { h2 { (title) } div.actions { (actions) } }
            (content)
        }
    }
}

/// What stands where a list would be, while there is nothing in it: what it will hold, and how to begin.
pub fn empty(icon: Icon, title: &str, words: impl Render, action: impl Render) -> Markup {
    html! { div.empty { (icon) h2 { (title) } p { (words) } (action) } }
}

/// A field of a form with its label, a hint under it, and what is wrong with it.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// Its name in the form, and its id.
    pub name: &'a str,
    /// Its label.
    pub label: &'a str,
    /// What to know before filling it in; nothing where empty.
    pub hint: &'a str,
    /// What is wrong with what was filled in.
    pub fault: Option<&'a str>,
}

impl<'a> Field<'a> {
    /// A field with a label alone.
    pub const fn new(name: &'a str, label: &'a str) -> Self {
        Field { name, label, hint: "", fault: None }
    }

    /// With a hint.
    pub const fn hint(self, hint: &'a str) -> Self {
        Field { hint, ..self }
    }

    /// With what is wrong with it.
    pub const fn fault(self, fault: Option<&'a str>) -> Self {
        Field { fault, ..self }
    }

    /// What describes it, by id, for `aria-describedby`.
    pub fn described_by(&self) -> Option<String> {
        let hint = (!self.hint.is_empty()).then(|| format!("{}-hint", self.name));
        let fault = self.fault.map(|_| format!("{}-fault", self.name));
        let ids: Vec<String> = hint.into_iter().chain(fault).collect();
        (!ids.is_empty()).then(|| ids.join(" "))
    }

    /// The field around a control, which takes `name` for its id and [`Field::described_by`].
    pub fn around(&self, control: impl Render) -> Markup {
        html! {
            div.field {
                label for=(self.name) { (self.label) }
                (control)
                @if !self.hint.is_empty() { span.hint id={ (self.name) "-hint" } { (self.hint) } }
                @if let Some(fault) = self.fault { span.fault id={ (self.name) "-fault" } { (fault) } }
            }
        }
    }

    /// A field of one line: `kind` as in HTML (`text`, `email`, `password`, `date`), with what it holds already.
    pub fn line(&self, kind: &str, value: &str, input: Input<'_>) -> Markup {
        self.line_named(self.name, kind, value, input)
    }

    /// The same, sent under another name than its id: for a page whose forms have fields of one name.
    pub fn line_named(&self, sent_as: &str, kind: &str, value: &str, input: Input<'_>) -> Markup {
        self.around(html! {
            input id=(self.name) name=(sent_as) type=(kind) value=(value) required[input.is_required]
                autocomplete=[input.autocomplete] minlength=[input.min_chars] maxlength=[input.max_chars] min=[input.min]
                max=[input.max] aria-invalid=[self.fault.map(|_| "true")] aria-describedby=[self.described_by()];
        })
    }
}

/// What a browser checks and fills in of a field of one line; the server checks again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Input<'a> {
    /// Whether it must be filled in.
    pub is_required: bool,
    /// What browsers and password managers fill in.
    pub autocomplete: Option<&'a str>,
    /// Fewest characters.
    pub min_chars: Option<u32>,
    /// Most characters.
    pub max_chars: Option<u32>,
    /// The least value, of dates and numbers.
    pub min: Option<&'a str>,
    /// The greatest value.
    pub max: Option<&'a str>,
}

impl Input<'_> {
    /// That must be filled in.
    pub const REQUIRED: Self =
        Input { is_required: true, autocomplete: None, min_chars: None, max_chars: None, min: None, max: None };
}

/// One of a few to choose from.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// What the form sends.
    pub value: &'a str,
    /// What people read.
    pub label: &'a str,
}

/// A field to choose one of a few.
pub fn select(field: Field<'_>, choices: &[Choice<'_>], chosen: &str) -> Markup {
    field.around(html! {
        select id=(field.name) name=(field.name) aria-describedby=[field.described_by()] {
            @for choice in choices {
                option value=(choice.value) selected[choice.value == chosen] { (choice.label) }
            }
        }
    })
}

/// A statement to agree to, or a thing to switch on.
pub fn check(name: &str, value: &str, is_checked: bool, label: impl Render) -> Markup {
    let id = format!("{name}-{value}");
    html! {
        div.check {
            input id=(id) type="checkbox" name=(name) value=(value) checked[is_checked];
            label for=(id) { (label) }
        }
    }
}

/// A button that copies what the element with this id holds; shown only where scripts run.
pub fn copy_button(copies: &str, what: &str) -> Markup {
    html! {
        button.button.small.copy type="button" data-copies=(copies) {
            (Icon::Copy) span.label { "Copy" } span.hidden-visually { " " (what) }
        }
    }
}

/// How much of a limit is used, drawn. `used` may pass `limit`: the bar is full then.
pub fn gauge(title: &str, figures: impl Render, used: u64, limit: u64) -> Markup {
    let percent = used.saturating_mul(100).checked_div(limit).map_or(100, |percent| percent.min(100));
    let tone = match percent {
        ..80 => Tone::Plain,
        80..100 => Tone::Warn,
        _ => Tone::Bad,
    };
    html! {
        div.gauge.(tone.class()) {
            div.label { strong { (title) } span.soft { (figures) } }
            svg role="img" aria-label={ (percent) " percent used" } preserveAspectRatio="none" viewBox="0 0 100 4" {
                rect x="0" y="0" width=(percent) height="4" {}
            }
        }
    }
}

/// The way to the next part of a list, and back to its beginning.
pub fn pager(first: Option<&str>, next: Option<&str>) -> Markup {
    html! {
        @if first.is_some() || next.is_some() {
            nav.pager aria-label="Parts of the list" {
                span { @if let Some(href) = first { a.button.small href=(href) { "Back to the newest" } } }
                span { @if let Some(href) = next { a.button.small href=(href) { "Older" } } }
            }
        }
    }
}

/// A number with its thousands apart: `1,234,567`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut told = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            told.push(',');
        }
        told.push(digit);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart() {
        for (plain, told) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(plain), told);
        }
    }

    #[test]
    fn w02_what_people_wrote_is_text() {
        let evil = "<script>alert(1)</script>\"'";
        let drawn = notice(Tone::Bad, evil).into_string();
        assert!(!drawn.contains("<script>") && drawn.contains("&lt;script&gt;"));
        let field = Field::new("name", "Name").line("text", evil, Input::default()).into_string();
        assert!(!field.contains("<script>") && field.contains("&quot;"));
    }
}
