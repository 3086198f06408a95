//! The nodes: version, lease, and how far each has followed the log; of the one that answers also what only it knows.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keyward_core::clock::Timestamp;
use maud::{Markup, html};

use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page};
use crate::dashboard::look::moments;
use crate::dashboard::look::parts::{self, Tone, badge, notice, number};
use crate::dashboard::place::OperatorTab;
use crate::dashboard::visit::Visit;
use crate::use_cases::{LeaseState, OwnStanding, SeenLease, SeenNode};

/// The page.
pub async fn page(State(dashboard): State<Dashboard>, visit: Visit) -> Result<Response, Failure> {
    let asked = visit.as_operator()?;
    let nodes = dashboard.control.nodes(&asked).await?;
    let view = NodesView { nodes: &nodes, now: dashboard.control.now() };
    Ok(Page::new(OperatorTab::Nodes.frame(&visit, "Nodes"), view.draw()).into_response())
}

/// What the page shows.
pub struct NodesView<'a> {
    /// The nodes.
    pub nodes: &'a [SeenNode],
    /// At this moment.
    pub now: Timestamp,
}

impl NodesView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        html! {
            (parts::head("Nodes", "Where requests are decided. A change that takes something away is in force on all of them before its call returns.", ""))
            @for node in self.nodes { (self.node(node)) }
            @if let [SeenNode { lease: SeenLease { length: None, .. }, .. }] = self.nodes {
                p.soft.small { "The embedded store serves one node." }
            }
        }
    }

    fn node(&self, node: &SeenNode) -> Markup {
        let standing = match &node.own {
            Some(own) if own.is_ready => badge(Tone::Good, "ready"),
            Some(_) => badge(Tone::Bad, "not ready"),
            None => lease_badge(node.lease.state),
        };
        let title = match (&node.own, node.id) {
            (Some(_), None) => "This node".to_owned(),
            (Some(_), Some(_)) => format!("{} (this node)", node.name),
            (None, _) => node.name.clone(),
        };
        parts::titled_card(
            &title,
            standing,
            html! {
                @if let Some(own) = &node.own {
                    @for reason in &own.reasons { (notice(Tone::Bad, html! { p { (reason) } })) }
                }
                dl.facts {
                    @if let Some(id) = node.id { dt { "ID" } dd { code { (id) } } }
                    dt { "Version" } dd { "Keyward " (node.version) }
                    dt { "Up since" } dd { (moments::in_full(node.started_at)) " (" (moments::ago(node.started_at, self.now)) ")" }
                    dt { "Lease" } dd { (self.lease(&node.lease)) }
                    dt { @if node.own.is_some() { "Applied revision" } @else { "Confirmed revision" } }
                    dd {
                        (number(node.revision.0.unsigned_abs())) " of " (number(node.head.0.unsigned_abs()))
                        @match node.lag() {
                            0 => { " " (badge(Tone::Good, "up to date")) }
                            lag => { " " (badge(Tone::Warn, "behind")) " by " (number(lag)) }
                        }
                    }
                    @if let Some(own) = &node.own { (own_facts(own)) }
                }
            },
        )
    }

    fn lease(&self, lease: &SeenLease) -> Markup {
        html! {
            (lease_badge(lease.state))
            @match lease.state {
                LeaseState::Held | LeaseState::Endless => { " decides requests" }
                LeaseState::Ended => { " refuses all requests until it holds again" }
            }
            @if let Some(renewed_at) = lease.renewed_at { ", renewed " (moments::ago(renewed_at, self.now)) }
            @if let Some(length) = lease.length { ", lasts " (length.as_secs_f64()) " s" }
        }
    }
}

fn lease_badge(state: LeaseState) -> Markup {
    match state {
        LeaseState::Held | LeaseState::Endless => badge(Tone::Good, "held"),
        LeaseState::Ended => badge(Tone::Bad, "not held"),
    }
}

/// What only the node that answers knows of itself.
fn own_facts(own: &OwnStanding) -> Markup {
    html! {
        dt { "Store" }
        dd { @if own.is_writable { (badge(Tone::Good, "takes writes")) } @else { (badge(Tone::Bad, "takes no writes")) } }
        dt { "Keys in memory" } dd { (number(own.cached_keys as u64)) }
        dt { "Requests under way" } dd { (number(own.open_exchanges as u64)) }
    }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use std::time::Duration;

    use crate::dashboard::pages::samples::{EVIL, LONG, NOW, hours_ago, visit};
    use keyward_core::change::Revision;
    use keyward_core::id::NodeId;
    let node = |is_ready: bool, revision| SeenNode {
        id: None,
        name: "embedded".into(),
        version: "0.1.0".into(),
        started_at: hours_ago(5),
        revision: Revision(revision),
        head: Revision(12_345),
        lease: SeenLease {
            length: None,
            renewed_at: None,
            state: if is_ready { LeaseState::Endless } else { LeaseState::Ended },
        },
        own: Some(OwnStanding {
            is_ready,
            reasons: if is_ready { Vec::new() } else { vec!["the store does not answer this node".into()] },
            is_writable: is_ready,
            cached_keys: 7,
            open_exchanges: 0,
        }),
    };
    let of_many = |number: u128, name: &str, state| SeenNode {
        id: Some(NodeId::from_u128(number)),
        name: name.into(),
        lease: SeenLease { length: Some(Duration::from_secs(10)), renewed_at: Some(hours_ago(1)), state },
        own: None,
        ..node(true, 12_000)
    };
    let page = |nodes: &[SeenNode]| {
        let frame = OperatorTab::Nodes.frame(&visit(EVIL, true), "Nodes");
        Page::new(frame, NodesView { nodes, now: NOW }.draw())
    };
    let this = SeenNode { own: node(true, 1).own, ..of_many(1, EVIL, LeaseState::Held) };
    let several = [this, of_many(2, LONG, LeaseState::Held), of_many(3, EVIL, LeaseState::Ended)];
    vec![("ready", page(&[node(true, 12_345)])), ("behind", page(&[node(false, 5)])), ("several", page(&several))]
}
