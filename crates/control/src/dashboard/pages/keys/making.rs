//! The part of the keys' page in which keys are made: a form for another key, or, where a project has one key, that key
//! and what can be done with it. Where no key can be made it says why.

use keyward_core::contract::Contract;
use keyward_core::key::Standing;
use maud::{Markup, html};

use super::form::{Fields, is_button_alone};
use super::list::ListView;
use super::offers::{self, Replacing};
use super::table::{last_used, requests_today};
use crate::dashboard::look::{Icon, moments};
use crate::dashboard::place::support;
use crate::use_cases::keys::SeenKey;

impl ListView<'_> {
    /// The part of the page in which keys are made: a project's one key, or a form for another.
    pub(super) fn making(&self) -> Markup {
        match self.replacing() {
            Replacing::Regenerate => self.one_key(),
            Replacing::Rotate | Replacing::SecondKey | Replacing::Nothing => self.creation(),
        }
    }

    fn creation(&self) -> Markup {
        let label = offers::create_label(self.seen);
        let is_full = self.seen.active_key_limit.is_some_and(|limit| self.seen.active_keys >= u64::from(limit));
        html! {
            section.card aria-labelledby="making" {
                header { h2 #making { (label) } span.soft.small { (self.count()) } }
                @if is_full { (self.full(label)) } @else { (self.form(label)) }
            }
        }
    }

    fn form(&self, label: &str) -> Markup {
        let contract = self.contract();
        let fields = Fields { contract, filled: self.form, error: self.error, now: self.now };
        let form_id = if self.form.form.is_empty() { &self.form_id } else { &self.form.form };
        html! {
            form.inner method="post" action={ "/projects/" (self.seen.project.id) "/keys" } autocomplete="off" {
                input type="hidden" name="form" value=(form_id);
                (fields.draw())
                @if is_button_alone(contract) { (steps(contract)) }
                div.actions { button.button.primary type="submit" { (Icon::Plus) (label) } }
            }
        }
    }

    /// In place of the form, while there is no room for another key.
    fn full(&self, label: &str) -> Markup {
        let contacts = support(&self.contract().support);
        html! {
            div.inner {
                p #full {
                    (full_words(self.seen.active_key_limit.unwrap_or_default(), &self.seen.noun)) " Revoke one to make another"
                    @if let Some((label, href)) = contacts.first() { ", or ask " a href=(href) { (label) } " for more" }
                    "."
                }
                div.actions { button.button.primary type="button" disabled aria-describedby="full" { (Icon::Plus) (label) } }
            }
        }
    }

    /// The card of a project that has one key.
    fn one_key(&self) -> Markup {
        let active = self.live.iter().find(|seen| seen.standing() == Standing::Active);
        let words = &self.contract().dashboard;
        html! {
            section.card aria-labelledby="making" {
                header { h2 #making { "Your API key" } }
                @match active {
                    Some(seen) => div.inner {
                        div.secret { code { (seen.key.hint) } }
                        (self.facts(seen))
                        div.actions {
                            a.button.primary href={ "/projects/" (self.seen.project.id) "/keys/regenerate" } { (Icon::Rotate) (words.rotate) }
                            @if offers::can_edit(self.contract()) { a.button.quiet href={ "/keys/" (seen.key.id) "/edit" } { "Edit" } }
                            a.button.quiet.risky href={ "/keys/" (seen.key.id) "/revoke" } { (Icon::Trash) (words.revoke) }
                        }
                    },
                    None if offers::has_fields(self.contract()) => (self.form(&words.create)),
                    None => (self.no_key()),
                }
            }
        }
    }

    /// Where no key is active: a first one is made, or, where there was one before, a new one in its place.
    fn no_key(&self) -> Markup {
        let project = self.seen.project.id;
        let words = &self.contract().dashboard;
        let (action, label, told) = match self.found.total == 0 && !self.filter.is_narrowing() {
            true => ("", &words.create, "There is no key yet."),
            false => {
                ("/regenerate", &words.rotate, "No key is active. Requests are refused until there is a new one.")
            }
        };
        html! {
            form.inner method="post" action={ "/projects/" (project) "/keys" (action) } {
                p { (told) }
                input type="hidden" name="form" value=(self.form_id);
                div.actions { button.button.primary type="submit" { (Icon::Key) (label) } }
            }
        }
    }

    fn facts(&self, seen: &SeenKey) -> Markup {
        let today = self.today.get(&seen.key.id).copied().unwrap_or_default();
        html! {
            dl.facts {
                dt { "Key ID" } dd { code { (seen.key.id) } }
                dt { "Created" } dd { (moments::on_day(seen.key.created_at)) }
                dt { "Last used" } dd { (last_used(seen)) }
                dt { "Requests" } dd { (requests_today(today)) }
            }
        }
    }
}

fn full_words(limit: u32, noun: &str) -> String {
    match limit {
        1 => format!("The one key that this {noun} may have is active."),
        2 => format!("Both keys that this {noun} may have are active."),
        _ => format!("All {limit} keys that this {noun} may have are active."),
    }
}

/// How to rotate, step by step, where the contract says so.
pub fn steps(contract: &Contract) -> Markup {
    let steps = &contract.dashboard.rotation_steps;
    html! {
        @if !steps.is_empty() {
            details.more {
                summary { "How to rotate your keys without downtime" }
                ol.advice { @for step in steps { li { (step) } } }
            }
        }
    }
}
