//! The table of keys: the columns that the contract has, newest first, past keys quieter; what can be done with each; and
//! the form that narrows it.

use keyward_core::contract::Contract;
use keyward_core::id::ProjectId;
use keyward_core::key::{Key, KeyState, Standing};
use keyward_core::store::KeyOrder;
use maud::{Markup, html};

use super::filter::{Filter, SHOWN};
use super::offers::{Action, Columns, Replacing, actions};
use super::shown::ends_soon;
use crate::dashboard::look::Icon;
use crate::dashboard::look::moments;
use crate::dashboard::look::parts::{self, Choice, Field, Input, Tone, badge, number, select};
use crate::use_cases::SeenProject;
use crate::use_cases::keys::{FoundKeys, SeenKey, Traffic, TrafficByKey};

/// How long a list is that can be narrowed: a shorter one is seen at a glance.
const FILTERED_FROM: u64 = 3;

/// The table and what stands around it.
pub struct Table<'a> {
    /// Whose keys, and what rules them.
    pub seen: &'a SeenProject,
    /// The keys of this part of the list.
    pub found: &'a FoundKeys,
    /// How they are used today.
    pub today: &'a TrafficByKey,
    /// What is shown of the list.
    pub filter: &'a Filter,
    /// Whether whoever looks may do something with them and, if so, whether the project is served.
    pub actions: Option<bool>,
}

impl Table<'_> {
    fn contract(&self) -> &Contract {
        &self.seen.contract
    }

    fn project(&self) -> ProjectId {
        self.seen.project.id
    }

    /// Draws it; `count` tells how many keys are active.
    pub fn draw(&self, count: &str) -> Markup {
        let is_empty = self.found.keys.is_empty();
        html! {
            section.card aria-labelledby="keys" {
                header { h2 #keys { "All keys" } span.soft.small { (count) } }
                @if self.found.total >= FILTERED_FROM || self.filter.is_narrowing() { div.inner { (self.narrowing()) } }
                @if is_empty { (self.nothing()) } @else { div.scroll { (self.rows()) } }
                (self.pager())
            }
        }
    }

    fn pager(&self) -> Markup {
        let part = self.filter.part();
        let parts = self.found.total.div_ceil(u64::from(SHOWN)).max(1);
        let at = |part| self.filter.at_part(self.project(), part);
        html! {
            @if parts > 1 {
                footer { nav.pager aria-label="Parts of the list" {
                    span { @if part > 0 { a.button.small rel="prev" href=(at(part - 1)) { "Previous" } } }
                    span { "Part " (part + 1) " of " (parts) ", " (number(self.found.total)) " keys" }
                    span { @if u64::from(part) + 1 < parts { a.button.small rel="next" href=(at(part + 1)) { "Next" } } }
                } }
            }
        }
    }

    fn nothing(&self) -> Markup {
        let show_all = html! { a.button href=(Filter::default().href(self.project())) { "Show all keys" } };
        match self.filter.is_narrowing() {
            true => parts::empty(Icon::Key, "No such keys", "No key of this list is like that.", show_all),
            false => parts::empty(
                Icon::Key,
                "No keys yet",
                "Keys that are made stand here, also when they have ended.",
                "",
            ),
        }
    }

    fn narrowing(&self) -> Markup {
        let standings = Standing::ALL.map(|standing| Choice { value: standing.as_str(), label: word(standing) });
        let choices: Vec<_> = [Choice { value: "", label: "Any" }].into_iter().chain(standings).collect();
        let unused =
            [("", "Any time"), ("7", "Not for 7 days"), ("30", "Not for 30 days"), ("90", "Not for 90 days")];
        let unused = unused.map(|(value, label)| Choice { value, label });
        let Filter { state, named, unused: chosen, sort, reverse, .. } = self.filter;
        html! {
            form.filters method="get" action={ "/projects/" (self.project()) "/keys" } role="search" aria-label="Keys to show" {
                (select(Field::new("state", "Status"), &choices, state))
                (select(Field::new("unused", "Used"), &unused, chosen))
                @if self.contract().key.name.offered {
                    (Field::new("named", "Name holds").line("search", named, Input { autocomplete: Some("off"), ..Input::default() }))
                }
                @if !sort.is_empty() { input type="hidden" name="sort" value=(sort); }
                @if !reverse.is_empty() { input type="hidden" name="reverse" value=(reverse); }
                button.button type="submit" { "Filter" }
                @if self.filter.is_narrowing() {
                    a.button.quiet href=(Filter::default().href(self.project())) { "Show all" }
                }
            }
        }
    }

    fn rows(&self) -> Markup {
        let Columns { has_names, has_scopes, has_expiry } = Columns::of(self.contract());
        html! {
            table.folds.keys {
                thead { tr {
                    @if has_names { (self.sortable("Name and Key ID", KeyOrder::Name)) } @else { th scope="col" { "Key ID" } }
                    th scope="col" { "Status" }
                    @if has_scopes { th scope="col" { "Scopes" } }
                    (self.sortable("Created", KeyOrder::Created))
                    @if has_expiry { (self.sortable("Expires", KeyOrder::Expires)) }
                    (self.sortable("Last used", KeyOrder::LastUsed))
                    @if self.actions.is_some() { th scope="col" { span.hidden-visually { "Actions" } } }
                } }
                tbody { @for seen in &self.found.keys { (self.row(seen)) } }
            }
        }
    }

    /// The head of a column that the list can be sorted by.
    fn sortable(&self, label: &str, order: KeyOrder) -> Markup {
        let is_current = self.filter.order() == order;
        // Dates are read from the newest on, names and ends from the first on.
        let is_falling = matches!(order, KeyOrder::Created | KeyOrder::LastUsed) != self.filter.is_reversed();
        let sorted = if is_falling { "descending" } else { "ascending" };
        html! {
            th scope="col" aria-sort=[is_current.then_some(sorted)] {
                a href=(self.filter.sorted_by(self.project(), order)) {
                    (label)
                    @if is_current { @if is_falling { (Icon::Down) } @else { (Icon::Up) } }
                }
            }
        }
    }

    fn row(&self, seen: &SeenKey) -> Markup {
        let Columns { has_scopes, has_expiry, .. } = Columns::of(self.contract());
        let key = &seen.key;
        let standing = seen.standing();
        let is_past = matches!(standing, Standing::Expired | Standing::Revoked);
        let today = self.today.get(&key.id).copied().unwrap_or_default();
        let replacing = Replacing::here(self.seen);
        html! {
            tr.past[is_past] {
                td data-label="Key" { (identity(key)) }
                td data-label="Status" { (status(seen)) }
                @if has_scopes { td data-label="Scopes" { (scopes(key)) } }
                td data-label="Created" { (moments::on_day(key.created_at)) }
                @if has_expiry { td data-label="Expires" { (expiry(seen)) } }
                td data-label="Last used" { (last_used(seen)) span.under { (requests_today(today)) } }
                @if let Some(is_served) = self.actions {
                    td.acts {
                        div.actions.end { @for action in actions(self.contract(), replacing, standing, is_served) { (self.action(action, key)) } }
                    }
                }
            }
        }
    }

    /// A link to the page that does it, with the key for those who do not see the row.
    fn action(&self, action: Action, key: &Key) -> Markup {
        let words = &self.contract().dashboard;
        let id = key.id;
        let subject = html! { span.hidden-visually { " key " (id) } };
        match action {
            Action::Regenerate => html! {
                a.button.quiet.small href={ "/projects/" (self.project()) "/keys/regenerate" } { (words.rotate) (subject) }
            },
            Action::Rotate => {
                html! { a.button.quiet.small href={ "/keys/" (id) "/rotate" } { (words.rotate) (subject) } }
            }
            Action::Enable => {
                html! { a.button.quiet.small href={ "/keys/" (id) "/enable" } { "Enable" (subject) } }
            }
            Action::Edit => html! { a.button.quiet.small href={ "/keys/" (id) "/edit" } { "Edit" (subject) } },
            Action::Revoke => html! {
                a.button.quiet.small.risky href={ "/keys/" (id) "/revoke" } { (Icon::Trash) (words.revoke) (subject) }
            },
        }
    }
}

/// What a standing is called.
pub const fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Active => "Active",
        Standing::Retiring => "Ending",
        Standing::Disabled => "Disabled",
        Standing::Expired => "Expired",
        Standing::Revoked => "Revoked",
    }
}

fn identity(key: &Key) -> Markup {
    html! {
        div.identity {
            @if let Some(name) = &key.name { strong { bdi { (name) } } }
            code { (key.hint) }
            code.under { (key.id) }
        }
    }
}

fn status(seen: &SeenKey) -> Markup {
    let standing = seen.standing();
    let tone = match standing {
        Standing::Active => Tone::Good,
        Standing::Retiring => Tone::Warn,
        Standing::Disabled | Standing::Expired | Standing::Revoked => Tone::Plain,
    };
    html! {
        (badge(tone, word(standing)))
        @match &seen.key.state {
            KeyState::Retiring { ends_at, .. } if standing == Standing::Retiring => {
                span.under { (moments::ago(*ends_at, seen.at)) }
            }
            KeyState::Revoked { at, .. } => span.under { (moments::on_day(*at)) },
            KeyState::Retiring { ends_at, .. } if standing == Standing::Revoked => {
                span.under { (moments::on_day(*ends_at)) }
            }
            _ => {}
        }
    }
}

fn scopes(key: &Key) -> Markup {
    let named: Vec<&str> = key.scopes.iter().filter(|scope| *scope != "*").collect();
    let networks = key.addresses.len();
    html! {
        div.tags {
            @if key.scopes.allow("*") { span.tag { "everything" } }
            @for scope in named.iter().take(4) { span.tag { (scope) } }
            @if named.len() > 4 { span.tag { (named.len() - 4) " more" } }
            @if named.is_empty() && !key.scopes.allow("*") { span.tag { "none" } }
        }
        @if networks > 0 { span.under { "from " (networks) @if networks == 1 { " network" } @else { " networks" } } }
    }
}

fn expiry(seen: &SeenKey) -> Markup {
    let Some(end) = seen.key.expires_at else { return html! { span.soft { "never" } } };
    let is_live = seen.standing().is_live();
    let words = moments::words(end, seen.at);
    html! {
        @if is_live && ends_soon(end, seen.key.created_at, seen.at) { (badge(Tone::Warn, &words)) }
        @else { (words) }
        span.under { (moments::on_day(end)) }
    }
}

/// How many requests came with a key today.
pub fn requests_today(today: Traffic) -> Markup {
    let Traffic { granted, refused } = today;
    html! {
        (number(granted)) span.hidden-visually { @if granted == 1 { " request" } @else { " requests" } } " today"
        @if refused > 0 { ", " (number(refused)) " refused" }
    }
}

/// When a key was used last.
pub fn last_used(seen: &SeenKey) -> Markup {
    match seen.usage.last_used_at {
        Some(at) => moments::ago(at, seen.at),
        None => html! { span.soft { "never" } },
    }
}
