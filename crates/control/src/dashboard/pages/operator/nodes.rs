//! The nodes: this one's version, lease, and how far it has followed the log.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keyward_core::clock::Timestamp;
use maud::{Markup, html};

use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page};
use crate::dashboard::look::moments;
use crate::dashboard::look::parts::{self, Tone, badge, number};
use crate::dashboard::place::OperatorTab;
use crate::dashboard::visit::Visit;
use crate::use_cases::SeenNode;

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
            p.soft.small { "The embedded store serves one node." }
        }
    }

    fn node(&self, node: &SeenNode) -> Markup {
        let is_ready = if node.is_ready { badge(Tone::Good, "ready") } else { badge(Tone::Bad, "not ready") };
        let behind = node.head.0.saturating_sub(node.applied.0).max(0);
        parts::titled_card(
            "This node",
            is_ready,
            html! {
                dl.facts {
                    dt { "Version" } dd { "Keyward " (node.version) }
                    dt { "Up since" } dd { (moments::in_full(node.started_at)) " (" (moments::ago(node.started_at, self.now)) ")" }
                    dt { "Lease" }
                    dd { @if node.is_ready { (badge(Tone::Good, "held")) " decides requests" } @else { (badge(Tone::Bad, "not held")) " refuses all requests until it holds again" } }
                    dt { "Applied revision" }
                    dd {
                        (number(node.applied.0.unsigned_abs())) " of " (number(node.head.0.unsigned_abs()))
                        @if behind == 0 { " " (badge(Tone::Good, "up to date")) } @else { " " (badge(Tone::Warn, "behind")) }
                    }
                    dt { "Store" }
                    dd { @if node.is_writable { (badge(Tone::Good, "takes writes")) } @else { (badge(Tone::Bad, "takes no writes")) } }
                    dt { "Keys in memory" } dd { (number(node.cached_keys as u64)) }
                    dt { "Requests under way" } dd { (number(node.open_exchanges as u64)) }
                }
            },
        )
    }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use crate::dashboard::pages::samples::{EVIL, NOW, hours_ago, visit};
    use keyward_core::change::Revision;
    let node = |is_ready, applied| SeenNode {
        version: "0.1.0",
        started_at: hours_ago(5),
        applied: Revision(applied),
        head: Revision(12_345),
        is_ready,
        is_writable: is_ready,
        cached_keys: 7,
        open_exchanges: 0,
    };
    let page = |node: SeenNode| {
        let frame = OperatorTab::Nodes.frame(&visit(EVIL, true), "Nodes");
        Page::new(frame, NodesView { nodes: &[node], now: NOW }.draw())
    };
    vec![("ready", page(node(true, 12_345))), ("behind", page(node(false, 5)))]
}
