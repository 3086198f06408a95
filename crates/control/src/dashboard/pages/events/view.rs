//! How the event log looks: the filter, the lines, the ways to other parts and to the exports.

use keyward_core::clock::Timestamp;
use maud::{Markup, html};

use super::filter::Asked;
use super::told::{GRANTED, Line, OF_PROJECTS, meaning, outcome_words, words};
use crate::dashboard::answer::{fault_of, form_notice};
use crate::dashboard::look::parts::{self, Choice, Field, Input, badge, number, pager, select};
use crate::dashboard::look::{Icon, moments};
use crate::use_cases::ControlError;
use crate::use_cases::keys::SeenKey;

/// What the page shows.
pub struct EventsView<'a> {
    /// Where the page is.
    pub path: String,
    /// What is asked for.
    pub asking: &'a Asked,
    /// What of it means nothing.
    pub fault: Option<&'a ControlError>,
    /// The lines, newest first.
    pub lines: &'a [Line],
    /// Keys to choose from.
    pub keys: &'a [SeenKey],
    /// Where the next part begins.
    pub next: Option<&'a str>,
    /// At this moment.
    pub now: Timestamp,
}

impl EventsView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        let about = "Every change to the project and its keys: who, when and from where. Uses are folded by the minute and come seconds late.";
        let first = (!self.asking.cursor.is_empty()).then(|| self.asking.address(&self.path, None));
        let next = self.next.map(|next| self.asking.address(&self.path, Some(next)));
        html! {
            (parts::head("Event log", about, self.exports()))
            (self.filter())
            section.card aria-label="Events" {
                @if self.lines.is_empty() {
                    div.inner { (self.nothing()) }
                } @else {
                    div.scroll { (self.table()) }
                }
            }
            (pager(first.as_deref(), next.as_deref()))
        }
    }

    fn exports(&self) -> Markup {
        let csv = self.asking.address(&format!("{}.csv", self.path), None);
        let json = self.asking.address(&format!("{}.json", self.path), None);
        html! {
            a.button href=(csv) download { (Icon::Download) "Export CSV" }
            a.button href=(json) download { (Icon::Download) "Export JSON" }
        }
    }

    fn filter(&self) -> Markup {
        let mut names = vec![Choice { value: "", label: "All events" }];
        names.extend(OF_PROJECTS.iter().map(|(value, label)| Choice { value, label }));
        let labels: Vec<(String, String)> =
            self.keys.iter().map(|seen| (seen.key.id.to_string(), key_label(seen))).collect();
        let mut keys = vec![Choice { value: "", label: "All keys" }];
        keys.extend(labels.iter().map(|(value, label)| Choice { value, label }));
        if !keys.iter().any(|choice| choice.value == self.asking.key) {
            keys.push(Choice { value: &self.asking.key, label: &self.asking.key });
        }
        let fault = |field| fault_of(self.fault, field);
        html! {
            @if let Some(fault) = self.fault { (form_notice(fault)) }
            form.filters.hinted method="get" action=(self.path) {
                (select(Field::new("name", "Event").fault(fault("name")), &names, &self.asking.name))
                (select(Field::new("key", "Key").fault(fault("key")), &keys, &self.asking.key))
                (Field::new("from", "From").fault(fault("from")).line("date", &self.asking.from, Input::default()))
                (Field::new("to", "To").fault(fault("to")).line("date", &self.asking.to, Input::default()))
                button.button type="submit" { "Filter" }
                @if self.asking.is_narrow() { a.button.quiet href=(self.path) { "Show all" } }
            }
        }
    }

    fn nothing(&self) -> Markup {
        match self.asking.is_narrow() {
            true => parts::empty(
                Icon::List,
                "Nothing fits",
                "No event fits this filter.",
                html! { a.button href=(self.path) { "Show all" } },
            ),
            false => {
                parts::empty(Icon::List, "Nothing happened yet", "Once keys are made and used, it shows here.", "")
            }
        }
    }

    fn table(&self) -> Markup {
        html! {
            table.folds {
                caption.hidden-visually { "Events, newest first" }
                thead { tr {
                    th scope="col" { "Time" } th scope="col" { "What" } th scope="col" { "Who" } th scope="col" { "Key" }
                    th scope="col" { "From" } th scope="col" { "Details" }
                } }
                tbody { @for line in self.lines { (self.line(line)) } }
            }
        }
    }

    fn line(&self, line: &Line) -> Markup {
        html! {
            tr {
                td.nowrap data-label="Time" { div { (moments::ago(line.at, self.now)) span.under { (moments::long(line.at)) } } }
                td data-label="What" { (what(line)) }
                td data-label="Who" { @if let Some(who) = &line.actor { div { (who.name) @if !who.kind_words().is_empty() { span.under { (who.kind_words()) } } } } }
                td data-label="Key" { @if let Some(key) = line.key { (self.key(&key.to_string())) } }
                td.nowrap data-label="From" { @if let Some(address) = &line.address { code { (address) } } }
                td data-label="Details" { (line_details(line)) }
            }
        }
    }

    /// A key, by its name where it is at hand, as a link to what happened to it.
    fn key(&self, id: &str) -> Markup {
        let known = self.keys.iter().find(|seen| seen.key.id.to_string() == id);
        let href = Asked { key: id.to_owned(), ..Asked::default() }.address(&self.path, None);
        html! {
            div {
                @match known.map(|seen| &seen.key) {
                    Some(key) => {
                        a href=(href) title=(id) { (key.name.as_deref().unwrap_or(&key.hint)) }
                        @if key.name.is_some() { span.under.mono { (key.hint) } }
                    }
                    None => a href=(href) { code { (id) } },
                }
            }
        }
    }
}

/// What happened, with how often and how it ended.
pub fn what(line: &Line) -> Markup {
    let outcome = line.outcome.as_deref().filter(|outcome| *outcome != GRANTED);
    html! {
        div {
            (badge(line.tone(), words(line.name)))
            @if let Some(count) = line.count.filter(|count| *count > 1) { " " span.nowrap { (number(count)) " times" } }
            @if let Some(outcome) = outcome { span.under title=[meaning(outcome)] { (outcome_words(outcome)) } }
        }
    }
}

/// What a change set, pair by pair; of folded uses, until when.
pub fn line_details(line: &Line) -> Markup {
    let pairs = line.pairs();
    let lasted = line.last_at.filter(|last| *last != line.at);
    html! {
        @if !pairs.is_empty() {
            dl.pairs { @for (label, value) in &pairs { div { dt { (label) } dd { (value) } } } }
        }
        @if let Some(last) = lasted { span.small.soft { "last at " (moments::clock(last)) } }
    }
}

/// A key as people know it: its name, or its hint.
pub fn key_label(seen: &SeenKey) -> String {
    match &seen.key.name {
        Some(name) => format!("{name} ({})", seen.key.hint),
        None => seen.key.hint.clone(),
    }
}

/// A key to draw pages of in tests.
#[cfg(test)]
pub fn sample_key(number: u128, name: &str) -> SeenKey {
    use crate::dashboard::pages::samples::{NOW, hours_ago};
    use keyward_core::change::Revision;
    use keyward_core::id::{KeyId, ProjectId};
    use keyward_core::key::{Key, KeyState};
    use keyward_core::secret::Digest;
    let id = KeyId::from_u128(number);
    let key = Key {
        id,
        project: ProjectId::from_u128(1),
        lineage: id,
        name: Some(name.to_owned()),
        hint: "kw_live_…wxyz".into(),
        digest: Digest::from_bytes([7; 32]),
        pepper: 1,
        scopes: Default::default(),
        addresses: Vec::new(),
        metadata: Default::default(),
        created_at: hours_ago(48),
        expires_at: None,
        state: KeyState::Active,
        created_revision: Revision::ZERO,
        revision: Revision::ZERO,
    };
    let usage = keyward_core::usage::KeyUsage { last_used_at: Some(hours_ago(1)), granted: 5, refused: 1 };
    SeenKey { key, usage, at: NOW }
}
