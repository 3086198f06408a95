//! How the usage page looks: tiles, charts with their numbers as tables, limits, and keys with their last use.

use std::collections::HashMap;

use keyward_core::clock::Timestamp;
use keyward_core::id::KeyId;
use keyward_core::key::Standing;
use maud::{Markup, html};
use serde_json::json;

use super::Range;
use super::count::{Counted, Series, together};
use crate::dashboard::look::parts::{self, Choice, Field, Tone, badge, number, select};
use crate::dashboard::look::{Icon, moments};
use crate::dashboard::pages::events::told::{GRANTED, meaning, outcome_words};
use crate::dashboard::pages::events::view::key_label;
use crate::dashboard::pages::gate::gate;
use crate::dashboard::pages::limits::standing;
use crate::use_cases::keys::SeenKey;
use crate::use_cases::{SeenLimits, SeenProject};

/// The colours of refusals, the most frequent first.
const REFUSAL_TONES: [&str; 5] = ["warn", "bad", "text-soft", "line-strong", "good"];

/// How many lines a chart has at most: more cannot be told apart.
const LINES_MAX: usize = 6;

/// What the page shows.
pub struct UsageView<'a> {
    /// Where the page is.
    pub path: String,
    /// Where the event log is.
    pub events: String,
    /// For how long back.
    pub range: Range,
    /// Of which key; none for all.
    pub key: Option<KeyId>,
    /// The project.
    pub seen: &'a SeenProject,
    /// What was counted.
    pub counted: &'a Counted,
    /// The keys.
    pub keys: &'a [SeenKey],
    /// How the limits stand.
    pub limits: &'a SeenLimits,
    /// At this moment.
    pub now: Timestamp,
}

/// A chart's line.
struct Line<'a> {
    label: String,
    tone: Option<&'static str>,
    series: &'a Series,
}

impl UsageView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        html! {
            (parts::head("Usage", "Requests with this project's keys, and what is left of its limits. Counts come seconds late; times are UTC.", self.ranges()))
            (gate(self.seen))
            (self.filter())
            (self.tiles())
            @if self.counted.total() == 0 {
                (parts::card(parts::empty(Icon::Chart, "No requests in this time", "Once a program calls the API with one of the keys, it shows here within seconds.", "")))
            } @else {
                (self.by_outcome())
                @if self.key.is_none() { (self.by_key()) }
            }
            (self.limits())
            (self.key_table())
        }
    }

    fn address(&self, range: Range, key: Option<KeyId>) -> String {
        let key = key.map(|key| format!("&key={key}")).unwrap_or_default();
        format!("{}?range={}{key}", self.path, range.word())
    }

    fn ranges(&self) -> Markup {
        html! {
            nav.switch aria-label="Time range" {
                @for range in Range::ALL {
                    a href=(self.address(range, self.key)) aria-current=[(range == self.range).then_some("true")] { (range.label()) }
                }
            }
        }
    }

    fn filter(&self) -> Markup {
        let labels: Vec<(String, String)> =
            self.keys.iter().map(|seen| (seen.key.id.to_string(), key_label(seen))).collect();
        let mut choices = vec![Choice { value: "", label: "All keys" }];
        choices.extend(labels.iter().map(|(value, label)| Choice { value, label }));
        let chosen = self.key.map(|key| key.to_string()).unwrap_or_default();
        html! {
            @if !self.keys.is_empty() {
                form.filters method="get" action=(self.path) {
                    input type="hidden" name="range" value=(self.range.word());
                    (select(Field::new("key", "Key"), &choices, &chosen))
                    button.button type="submit" { "Show" }
                    @if self.key.is_some() { a.button.quiet href=(self.address(self.range, None)) { "Show all keys" } }
                }
            }
        }
    }

    fn tiles(&self) -> Markup {
        let counted = self.counted;
        let used = counted.by_key.len();
        let share = match counted.total() {
            0 => "none".to_owned(),
            total => format!("{:.1} %", 100.0 * counted.refused() as f64 / total as f64),
        };
        let last = self.keys.iter().filter(|seen| self.key.is_none_or(|key| key == seen.key.id));
        let last = last.filter_map(|seen| seen.usage.last_used_at).max();
        html! {
            div.cards.figures {
                (tile("Granted", html! { (number(counted.granted())) }, "requests let through"))
                (tile("Refused", html! { (number(counted.refused())) }, &format!("{share} of all requests")))
                (tile("Keys used", html! { (number(used as u64)) }, &format!("of {} active", number(self.seen.active_keys))))
                (tile("Last use", html! { @match last { Some(at) => (moments::ago(at, self.now)), None => "never" } }, "granted request"))
            }
        }
    }

    fn by_outcome(&self) -> Markup {
        let outcomes = &self.counted.outcomes;
        let rest = together(outcomes.iter().skip(LINES_MAX).map(|(_, series)| series));
        let tones = REFUSAL_TONES.into_iter().chain(std::iter::repeat("text-soft"));
        let tones =
            outcomes.first().filter(|(outcome, _)| outcome == GRANTED).map(|_| "accent").into_iter().chain(tones);
        let lines = outcomes.iter().take(LINES_MAX).zip(tones);
        let mut lines: Vec<Line<'_>> = lines
            .map(|((outcome, series), tone)| Line { label: outcome_words(outcome), tone: Some(tone), series })
            .collect();
        if rest.total > 0 {
            lines.push(Line { label: "Other refusals".into(), tone: None, series: &rest });
        }
        let notes: Vec<(String, &str)> =
            outcomes.iter().filter_map(|(outcome, _)| Some((outcome_words(outcome), meaning(outcome)?))).collect();
        parts::titled_card(
            "Requests by outcome",
            "",
            html! {
                (self.chart("Requests over time, by outcome", &lines))
                (self.table("Requests over time, by outcome", &lines))
                @if !notes.is_empty() {
                    dl.pairs { @for (outcome, meaning) in &notes { div { dt { (outcome) } dd { (meaning) } } } }
                }
            },
        )
    }

    fn by_key(&self) -> Markup {
        let told = &self.counted.by_key;
        let rest = told.iter().skip(LINES_MAX - 1).map(|of_key| &of_key.series).chain([&self.counted.other_keys]);
        let rest = together(rest);
        let names: HashMap<KeyId, String> = self.keys.iter().map(|seen| (seen.key.id, key_label(seen))).collect();
        let mut lines: Vec<Line<'_>> = told
            .iter()
            .take(LINES_MAX - 1)
            .map(|of_key| {
                let label = names.get(&of_key.key).cloned().unwrap_or_else(|| of_key.key.to_string());
                Line { label, tone: None, series: &of_key.series }
            })
            .collect();
        if rest.total > 0 {
            lines.push(Line { label: "Other keys".into(), tone: Some("text-soft"), series: &rest });
        }
        parts::titled_card(
            "Requests by key",
            "",
            html! {
                (self.chart("Requests over time, by key", &lines))
                (self.table("Requests over time, by key", &lines))
            },
        )
    }

    fn chart(&self, label: &str, lines: &[Line<'_>]) -> Markup {
        let times: Vec<i64> = self.counted.starts.iter().map(|start| start.as_millis() / 1_000).collect();
        let series: Vec<_> = lines
            .iter()
            .map(|line| {
                let values: Vec<u64> = (0..times.len()).map(|step| line.series.at(step)).collect();
                json!({ "label": line.label, "tone": line.tone, "values": values })
            })
            .collect();
        let data = json!({ "times": times, "series": series });
        html! { figure.chart data-chart=(data) role="img" aria-label={ (label) "; the same numbers follow as a table" } {} }
    }

    /// The numbers of a chart: the totals at once, each step on demand.
    fn table(&self, label: &str, lines: &[Line<'_>]) -> Markup {
        let busy = |step: &usize| lines.iter().any(|line| line.series.at(*step) > 0);
        let steps: Vec<usize> = (0..self.counted.starts.len()).filter(busy).collect();
        html! {
            details.numbers {
                summary { "Show the numbers" span.hidden-visually { ": " (label) } }
                div.scroll {
                    table {
                        caption.hidden-visually { (label) "; times without any request are left out" }
                        thead { tr { th scope="col" { "From" } @for line in lines { th.number scope="col" { (line.label) } } } }
                        tbody {
                            @for step in steps { @if let Some(start) = self.counted.starts.get(step) { tr {
                                th.plain scope="row" { (self.begin(*start)) }
                                @for line in lines { td.number { (number(line.series.at(step))) } }
                            } } }
                        }
                        tfoot { tr { th scope="row" { "In all" } @for line in lines { td.number { strong { (number(line.series.total)) } } } } }
                    }
                }
            }
        }
    }

    fn begin(&self, start: Timestamp) -> Markup {
        match self.range {
            Range::Month => moments::on_day(start),
            Range::Day | Range::Week => moments::in_full(start),
        }
    }

    fn limits(&self) -> Markup {
        let title = format!("Limits of the plan {}", self.limits.plan.title);
        let more = format!("/projects/{}/limits", self.seen.project.id);
        parts::titled_card(
            &title,
            html! { a href=(more) { "Plan and limits" } },
            html! {
                @if self.limits.limits.is_empty() {
                    p.soft { "The plan has no limits." }
                } @else {
                    div.columns { @for seen in &self.limits.limits { (standing(seen, self.now)) } }
                }
            },
        )
    }

    fn key_table(&self) -> Markup {
        let of_interest = |seen: &&SeenKey| {
            seen.standing().is_live() || self.counted.of_key(seen.key.id).is_some() || self.key == Some(seen.key.id)
        };
        let mut rows: Vec<&SeenKey> = self.keys.iter().filter(of_interest).collect();
        rows.retain(|seen| self.key.is_none_or(|key| key == seen.key.id));
        let uses = |seen: &SeenKey| self.counted.of_key(seen.key.id).map_or(0, |of_key| of_key.series.total);
        rows.sort_by_key(|seen| (std::cmp::Reverse(uses(seen)), std::cmp::Reverse(seen.key.created_revision)));
        rows.truncate(super::KEYS_TOLD);
        html! {
            section.card {
                header { h2 { "Keys" } span.soft.small { "in the last " (self.range.label()) } }
                @if rows.is_empty() {
                    (parts::empty(Icon::Key, "No keys to tell of", "Active keys, and keys that were used in this time, stand here.", ""))
                } @else {
                    div.scroll { table.folds {
                        caption.hidden-visually { "Requests by key, and when each was last used" }
                        thead { tr {
                            th scope="col" { "Key" } th scope="col" { "Status" } th.number scope="col" { "Granted" }
                            th.number scope="col" { "Refused" } th scope="col" { "Last used" } th scope="col" { span.hidden-visually { "More" } }
                        } }
                        tbody { @for seen in rows { (self.key_row(seen)) } }
                    } }
                }
            }
        }
    }

    fn key_row(&self, seen: &SeenKey) -> Markup {
        let of_key = self.counted.of_key(seen.key.id);
        let (tone, word) = standing_word(seen.standing());
        let id = seen.key.id;
        html! {
            tr {
                td data-label="Key" { div {
                    a href=(self.address(self.range, Some(id))) { (seen.key.name.as_deref().unwrap_or(&seen.key.hint)) }
                    @if seen.key.name.is_some() { span.under.mono { (seen.key.hint) } }
                } }
                td data-label="Status" { (badge(tone, word)) }
                td.number data-label="Granted" { (number(of_key.map_or(0, |of_key| of_key.granted))) }
                td.number data-label="Refused" { (number(of_key.map_or(0, |of_key| of_key.refused))) }
                td data-label="Last used" { @match seen.usage.last_used_at { Some(at) => (moments::ago(at, self.now)), None => span.soft { "never" } } }
                td.acts { a.button.quiet.small href={ (self.events) "?key=" (id) } { "Events" span.hidden-visually { " of " (key_label(seen)) } } }
            }
        }
    }
}

fn tile(title: &str, figure: Markup, about: &str) -> Markup {
    html! { section.card.tile { h2.small.soft { (title) } span.figure { (figure) } span.small.soft { (about) } } }
}

fn standing_word(standing: Standing) -> (Tone, &'static str) {
    let tone = match standing {
        Standing::Active => Tone::Good,
        Standing::Retiring | Standing::Disabled => Tone::Warn,
        Standing::Expired | Standing::Revoked => Tone::Bad,
    };
    (tone, standing.as_str())
}
