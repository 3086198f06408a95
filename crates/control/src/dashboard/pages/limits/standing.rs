//! How one limit stands, drawn: how much of it is used, and when it is all there again. Usage page and limits page show
//! the same.

use keyward_core::clock::Timestamp;
use keyward_core::limits::{LimitBy, Period};
use keyward_verify::limits::{LimitKind, LimitView};
use maud::{Markup, html};

use crate::dashboard::look::moments;
use crate::dashboard::look::parts::{Tone, badge, gauge, number};
use crate::use_cases::SeenLimit;

/// A limit and how it stands.
pub fn standing(seen: &SeenLimit, now: Timestamp) -> Markup {
    let view = &seen.view;
    html! {
        div.stack.tight {
            @match view.used {
                Some(used) => (gauge(&title(view), figures(view, used), used, most(view))),
                None => div.gauge { div.label { strong { (title(view)) } span.soft { (amount(view)) } } },
            }
            p.small.soft {
                (counted(view)) " "
                @if seen.view.used.is_some() { (renewal(view, now)) }
            }
            @if view.is_own {
                p.small {
                    (badge(Tone::Info, "own limit")) " "
                    @if let Some(plan) = seen.plan_limit { span.soft { "The plan gives " (number(plan)) "." } }
                }
            }
        }
    }
}

/// What a limit is called: its name in the contract, with spaces.
pub fn title(view: &LimitView) -> String {
    let mut name = view.name.replace(['_', '-'], " ");
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    name
}

/// How much there is: `10 per minute`, `500 per month`.
pub fn amount(view: &LimitView) -> String {
    let limit = number(view.limit);
    match (view.period, view.per) {
        (Some(Period::Lifetime), _) => format!("{limit} in all"),
        (Some(period), _) => format!("{limit} per {}", period.as_str()),
        (None, Some(per)) => format!("{limit} {}", per_words(per.as_secs())),
        (None, None) => limit,
    }
}

fn per_words(seconds: u64) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (length, unit) =
        units.into_iter().find(|(length, _)| seconds.is_multiple_of(*length)).unwrap_or((1, "second"));
    match seconds / length {
        0 | 1 => format!("per {unit}"),
        count => format!("per {count} {unit}s"),
    }
}

/// What the gauge is full at: of a rate, what may come at once.
fn most(view: &LimitView) -> u64 {
    match view.kind {
        LimitKind::Rate => view.burst.unwrap_or(view.limit),
        LimitKind::Quota => view.limit,
    }
}

fn figures(view: &LimitView, used: u64) -> String {
    match view.kind {
        LimitKind::Quota => format!("{} of {} used", number(used), amount(view)),
        LimitKind::Rate => {
            let left = most(view).saturating_sub(used);
            format!("{}, {} left at this moment", amount(view), number(left))
        }
    }
}

fn counted(view: &LimitView) -> &'static str {
    match (view.by, view.used.is_some()) {
        (LimitBy::Key, true) => "Counts this key, with those it was rotated from and to.",
        (LimitBy::Key, false) => "Counts each key on its own: choose a key on the usage page to see how it stands.",
        (LimitBy::Project, _) => "Counts all keys of the project together.",
        (LimitBy::Organization, _) => "Counts all of the organization's projects together.",
        (LimitBy::Address, _) => "Counts each address that requests come from on its own.",
    }
}

fn renewal(view: &LimitView, now: Timestamp) -> Markup {
    html! {
        @match (view.kind, view.renews_at) {
            (LimitKind::Quota, Some(at)) => { "Renews " (moments::ago(at, now)) ", on " (moments::in_full(at)) "." },
            (LimitKind::Quota, None) => "Does not renew.",
            (LimitKind::Rate, Some(at)) => { "All of it is back " (moments::soon(at, now)) "." },
            (LimitKind::Rate, None) => "All of it is there.",
        }
    }
}
