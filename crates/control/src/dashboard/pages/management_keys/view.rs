//! How an organization's management keys are drawn: those there are, and the form for another.

use keyward_core::clock::Timestamp;
use keyward_core::id::OrganizationId;
use keyward_core::people::Role;
use keyward_core::tenancy::{Boundary, ManagementKey};
use maud::{Markup, html};

use crate::dashboard::answer::{fault_of, form_notice};
use crate::dashboard::look::Icon;
use crate::dashboard::look::moments::{ago, form_date, on_day};
use crate::dashboard::look::parts::{self, Field, Input, Tone, badge, check};
use crate::use_cases::ControlError;

/// A management key that was asked for and refused.
pub struct Wish<'a> {
    /// What it was to be called.
    pub name: &'a str,
    /// What it was to be allowed.
    pub scopes: &'a [String],
    /// When it was to end.
    pub expires: &'a str,
    /// What is wrong with it.
    pub error: &'a ControlError,
}

/// What is shown.
pub struct KeysCard<'a> {
    /// Whose they are.
    pub organization: OrganizationId,
    /// They, newest first.
    pub keys: &'a [ManagementKey],
    /// Whether others may be made, and these ended.
    pub may_write: bool,
    /// The id of the form for another.
    pub form: &'a str,
    /// When it is shown.
    pub now: Timestamp,
    /// What was refused before.
    pub wish: Option<&'a Wish<'a>>,
}

impl KeysCard<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        html! {
            @if self.may_write { (self.form()) }
            (parts::framed_card("Management keys", "", html! {
                @if self.keys.is_empty() {
                    (parts::empty(Icon::Key, "No management keys yet", "Scripts, the command line and your own services manage this organization's projects and keys with one.", ""))
                } @else { (self.table()) }
            }))
        }
    }

    fn form(&self) -> Markup {
        let error = self.wish.map(|wish| wish.error);
        let wish = |of: fn(&Wish<'_>) -> String| self.wish.map_or(String::new(), of);
        let is_chosen = |scope: &str| match self.wish {
            Some(wish) => wish.scopes.iter().any(|chosen| chosen == scope),
            None => matches!(scope, "projects:read" | "keys:read"),
        };
        let tomorrow = form_date(Timestamp::from_millis(self.now.as_millis().saturating_add(86_400_000)));
        let day = Input { min: Some(&tomorrow), ..Input::default() };
        let name =
            Field::new("key_name", "Name").hint("What uses it, such as Deployment.").fault(fault_of(error, "name"));
        let expires = Field::new("expires", "Ends on")
            .hint("Nothing for a key without an end.")
            .fault(fault_of(error, "expires_at"));
        let input = Input { max_chars: Some(100), ..Input::REQUIRED };
        html! {
            section.card {
                header { h2 { "New management key" } }
                form.inner method="post" action={ "/organizations/" (self.organization) "/management-keys" } {
                    @if let Some(error @ (ControlError::WiderThanCaller(_) | ControlError::IdempotencyKeyReused)) = error { (form_notice(error)) }
                    input type="hidden" name="form" value=(self.form);
                    div.columns {
                        (name.line_named("name", "text", &wish(|wish| wish.name.to_owned()), input))
                        (expires.line("date", &wish(|wish| wish.expires.to_owned()), day))
                    }
                    fieldset {
                        legend { "What it may do" }
                        div.columns.tight { @for permission in Role::Owner.permissions() {
                            (check("scopes", permission.scope(), is_chosen(permission.scope()), sentence(permission.title())))
                        } }
                        @if let Some(fault) = fault_of(error, "scopes") { span.fault { (fault) } }
                    }
                    div.actions { button.button.primary type="submit" { (Icon::Plus) "Create management key" } }
                }
            }
        }
    }

    fn table(&self) -> Markup {
        html! {
            table.folds {
                thead { tr {
                    th scope="col" { "Name" } th scope="col" { "May" } th scope="col" { "Made" } th scope="col" { "Ends" }
                    th scope="col" { "Status" }
                    @if self.may_write { th scope="col" { span.hidden-visually { "Actions" } } }
                } }
                tbody { @for key in self.keys { (self.row(key)) } }
            }
        }
    }

    fn row(&self, key: &ManagementKey) -> Markup {
        let is_live = key.is_live(self.now);
        let path = format!("/organizations/{}/management-keys/{}", self.organization, key.id);
        html! {
            tr.past[!is_live] {
                td data-label="Name" { span { (key.name) } span.under { code { (key.hint) } } }
                td data-label="May" {
                    div.tags { @for scope in key.scopes.iter() { span.tag { (scope) } } }
                    @if matches!(key.boundary, Boundary::Project(_)) { span.under { "within one project" } }
                }
                td data-label="Made" { (on_day(key.created_at)) }
                td data-label="Ends" { @if let Some(end) = key.expires_at { (ago(end, self.now)) } @else { "never" } }
                td data-label="Status" {
                    @if is_live { (badge(Tone::Good, "active")) }
                    @else if key.revoked_at.is_some() { (badge(Tone::Plain, "revoked")) }
                    @else { (badge(Tone::Plain, "expired")) }
                }
                @if self.may_write {
                    td.acts.right { @if is_live {
                        div.actions.end {
                            a.button.small href={ (path) "/rotate" } { "Rotate" span.hidden-visually { " " (key.name) } }
                            a.button.small.quiet.risky href={ (path) "/revoke" } { "Revoke" span.hidden-visually { " " (key.name) } }
                        }
                    } }
                }
            }
        }
    }
}

/// With a capital at the beginning.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}
