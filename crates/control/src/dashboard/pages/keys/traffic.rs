//! Which of several live keys still gets traffic: what one looks at before the old one is revoked (M15), with the
//! contract's own steps for it (M13).

use keyward_core::contract::Contract;
use keyward_core::key::Standing;
use maud::{Markup, html};

use super::making::steps;
use super::table::last_used;
use crate::dashboard::look::parts::{Tone, badge, number};
use crate::use_cases::keys::{SeenKey, TrafficByKey};

/// What the panel shows.
pub struct TrafficPanel<'a> {
    /// What rules the keys.
    pub contract: &'a Contract,
    /// The newest of the keys that open now.
    pub live: &'a [SeenKey],
    /// How many open now.
    pub all: u64,
    /// How they were used in this hour and the one before.
    pub hour: &'a TrafficByKey,
    /// How they are used today.
    pub today: &'a TrafficByKey,
}

impl TrafficPanel<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        html! {
            section.card aria-labelledby="traffic" {
                header {
                    h2 #traffic { "Which key still gets traffic" }
                    span.soft.small { "Revoke a key when nothing uses it any more" }
                }
                div.scroll { table.folds {
                    thead { tr {
                        th scope="col" { "Key" }
                        th.number scope="col" { "Last two hours" }
                        th.number scope="col" { "Today" }
                        th scope="col" { "Last used" }
                        th scope="col" { "Traffic" }
                    } }
                    tbody { @for seen in self.live { (self.row(seen)) } }
                } }
                @if self.all > self.live.len() as u64 {
                    div.inner { p.soft.small {
                        "The newest " (number(self.live.len() as u64)) " of " (number(self.all)) " active keys; all of them stand in the list below."
                    } }
                }
                @if !self.contract.dashboard.rotation_steps.is_empty() { div.inner { (steps(self.contract)) } }
            }
        }
    }

    fn row(&self, seen: &SeenKey) -> Markup {
        let of = |traffic: &TrafficByKey| traffic.get(&seen.key.id).copied().unwrap_or_default().total();
        let (hour, today) = (of(self.hour), of(self.today));
        html! {
            tr {
                td data-label="Key" {
                    div.identity {
                        span.actions {
                            @if let Some(name) = &seen.key.name { bdi { (name) } }
                            code { (seen.key.hint) }
                            @if seen.standing() == Standing::Retiring { (badge(Tone::Warn, "Ending")) }
                        }
                        code.under { (seen.key.id) }
                    }
                }
                td.number data-label="Last two hours" { (number(hour)) }
                td.number data-label="Today" { (number(today)) }
                td data-label="Last used" { (last_used(seen)) }
                td data-label="Traffic" {
                    @if hour > 0 { (badge(Tone::Info, "in use")) }
                    @else if today > 0 { (badge(Tone::Plain, "quiet for an hour")) }
                    @else { (badge(Tone::Plain, "no traffic today")) }
                }
            }
        }
    }
}
