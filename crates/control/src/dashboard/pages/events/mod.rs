//! A project's event log: what happened to it and its keys, and how its keys were used, newest first. Filtered by the
//! address, which the exports ([`export`]) share; [`told`] has the words.

pub mod export;
mod filter;
pub mod told;
pub mod view;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keyward_core::id::ProjectId;
use keyward_core::permission::Permission;

use self::told::Line;
use self::view::EventsView;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page};
use crate::dashboard::form::Asking;
use crate::dashboard::path::Path;
use crate::dashboard::place::{ProjectPlace, ProjectTab};
use crate::dashboard::visit::Visit;
use crate::use_cases::keys::KeyQuestion;
use crate::use_cases::{opened, position_at, position_bytes, sealed};

/// How many lines are shown at once.
const SHOWN: u32 = 50;
/// How many keys the filter offers by name; any other can be asked for by its id.
const KEYS_OFFERED: u32 = 100;

/// The page.
pub async fn page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<ProjectId>,
    Asking(asking): Asking<filter::Asked>,
) -> Result<Response, Failure> {
    let place = ProjectPlace::find(&dashboard, &visit, id).await?;
    let control = &dashboard.control;
    let (filter, fault) = asking.filter();
    let purpose = asking.purpose(&id.to_string());
    let before = match asking.cursor.as_str() {
        "" => None,
        cursor => {
            let place = opened(&control.log_keys, &purpose, cursor).and_then(|bytes| position_at(&bytes));
            Some(place.ok_or_else(|| Failure::Form("The address: the place in the list is none of ours.".into()))?)
        }
    };
    // A filter that means nothing shows nothing, rather than what was not asked for.
    let (lines, next) = match &fault {
        Some(_) => (Vec::new(), None),
        None => {
            let found = control.events(&place.asked, id, &filter, before, SHOWN).await?;
            let next = found.next.map(|next| sealed(&control.log_keys, &purpose, &position_bytes(next)));
            (found.items.iter().map(Line::of).collect(), next)
        }
    };
    let keys = match place.may(Permission::KeysRead) {
        true => {
            let question = KeyQuestion { limit: KEYS_OFFERED, ..KeyQuestion::default() };
            control.keys(&place.asked, id, &question).await?.items
        }
        false => Vec::new(),
    };
    let view = EventsView {
        path: place.path(ProjectTab::Events),
        asking: &asking,
        fault: fault.as_ref(),
        lines: &lines,
        keys: &keys,
        next: next.as_deref(),
        now: control.now(),
    };
    Ok(Page::new(place.frame(&visit, ProjectTab::Events, "Event log"), view.draw()).into_response())
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use self::filter::Asked;
    use super::samples::{EVIL, LONG, NOW, hours_ago};
    use crate::dashboard::look::Frame;
    use keyward_core::id::KeyId;
    let keys = [view::sample_key(1, EVIL), view::sample_key(2, LONG)];
    let line = |name, count: Option<u64>, outcome: Option<&str>| Line {
        at: hours_ago(2),
        last_at: count.map(|_| NOW),
        name,
        actor: Some(told::Who { kind: "person", name: EVIL.into(), id: Some(EVIL.into()) }),
        key: Some(KeyId::from_u128(count.unwrap_or(9).into())),
        address: Some("2001:db8::1".into()),
        request_id: Some(EVIL.into()),
        count,
        outcome: outcome.map(str::to_owned),
        details: serde_json::json!({ "name": EVIL, EVIL: [EVIL, null], "long": LONG }),
    };
    let lines = [
        line("key.used", Some(1), Some("valid")),
        line("key.refused", Some(12_345), Some("rate_limited")),
        line("key.refused", Some(2), Some(EVIL)),
        line("project.renamed", None, None),
    ];
    let evil =
        Asked { name: EVIL.into(), key: EVIL.into(), from: EVIL.into(), to: EVIL.into(), cursor: EVIL.into() };
    let (_, fault) = evil.filter();
    let page = |asking: &Asked, lines: &[Line], next| {
        let view = EventsView {
            path: "/projects/proj_1/events".into(),
            asking,
            fault: fault.as_ref().filter(|_| asking.is_narrow()),
            lines,
            keys: &keys,
            next,
            now: NOW,
        };
        Page::new(Frame::titled(EVIL), view.draw())
    };
    vec![
        ("empty", page(&Asked::default(), &[], None)),
        ("many", page(&Asked::default(), &lines, Some("next"))),
        ("evil filter", page(&evil, &[], None)),
    ]
}
