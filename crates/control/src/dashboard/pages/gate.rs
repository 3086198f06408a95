//! What is said on a project's pages while it is not served: suspended, or shut out by its plan.

use maud::{Markup, html};

use crate::dashboard::look::parts::{Tone, notice};
use crate::dashboard::place::support;
use crate::use_cases::SeenProject;

/// A notice where the project cannot use the API now, with whom to ask; nothing where it can.
pub fn gate(seen: &SeenProject) -> Markup {
    let plan = seen.contract.plans.get(&seen.project.plan);
    let is_on_request = plan.is_some_and(|plan| plan.access && plan.on_request);
    html! {
        @if !seen.organization.state.is_active() || !seen.project.state.is_active() {
            (notice(Tone::Bad, html! {
                p { strong { "Suspended. " } "All keys are refused until the operator resumes it." }
                (contact(seen))
            }))
        }
        @if !seen.has_access {
            (notice(Tone::Warn, html! {
                @if is_on_request {
                    p { strong { "Access on request. " } "The plan " (seen.plan.title) " has " (seen.contract.title) " in it, and access is given project by project." }
                } @else {
                    p { strong { "Not part of the plan. " } "The plan " (seen.plan.title) " does not include " (seen.contract.title) ", so no keys can be made or used." }
                }
                (contact(seen))
            }))
        }
    }
}

fn contact(seen: &SeenProject) -> Markup {
    let contacts = support(&seen.contract.support);
    html! {
        @if !contacts.is_empty() {
            p {
                "Contact support: "
                @for (number, (label, href)) in contacts.iter().enumerate() {
                    @if number > 0 { " or " }
                    a href=(href) { (label) }
                }
            }
        }
    }
}
