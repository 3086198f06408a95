//! The whole log: every change, newest first; where it stands, signed; and a button that checks its chain.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keyward_core::change::{Entry, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::{KeyId, OrganizationId, ProjectId};
use keyward_core::log::to_hex;
use keyward_core::store::{ChangeFilter, LogVerdict};
use maud::{Markup, html};
use serde::Deserialize;

use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page};
use crate::dashboard::form::Asking;
use crate::dashboard::look::parts::{self, Field, Input, Tone, copy_button, notice, number, pager};
use crate::dashboard::look::{Icon, moments};
use crate::dashboard::pages::events::told::Line;
use crate::dashboard::pages::events::view::{line_details, what};
use crate::dashboard::place::OperatorTab;
use crate::dashboard::visit::Visit;
use crate::use_cases::{ControlError, Head, opened, sealed};

/// How many changes are shown at once.
const SHOWN: u32 = 50;

/// What the address asks for.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Wish {
    /// An organization's, a project's or a key's id.
    about: String,
    /// The place to go on from.
    cursor: String,
}

/// The page.
pub async fn page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Asking(wish): Asking<Wish>,
) -> Result<Response, Failure> {
    let page = draw(&dashboard, &visit, &wish, None).await?;
    Ok(page.into_response())
}

/// Checks the whole chain, and tells what was found above the page.
pub async fn check(State(dashboard): State<Dashboard>, visit: Visit) -> Result<Response, Failure> {
    let asked = visit.as_operator()?;
    let verdict = match dashboard.control.verify_log(&asked).await {
        Ok(verdict) => Checked::Told(verdict),
        Err(ControlError::RateLimited { .. }) => Checked::UnderWay,
        Err(error) => return Err(error.into()),
    };
    let page = draw(&dashboard, &visit, &Wish::default(), Some(&verdict)).await?;
    Ok(page.into_response())
}

async fn draw(
    dashboard: &Dashboard,
    visit: &Visit,
    wish: &Wish,
    checked: Option<&Checked>,
) -> Result<Page, Failure> {
    let asked = visit.as_operator()?;
    let control = &dashboard.control;
    let purpose = format!("dashboard log {:?}", wish.about);
    let before = match wish.cursor.as_str() {
        "" => None,
        cursor => {
            let place = opened(&control.log_keys, &purpose, cursor).and_then(|bytes| bytes.try_into().ok());
            let place =
                place.ok_or_else(|| Failure::Form("The address: the place in the list is none of ours.".into()));
            Some(Revision(i64::from_be_bytes(place?)))
        }
    };
    let filter = filter(wish.about.trim());
    let (changes, next) = match &filter {
        Some(filter) => {
            let found = control.newest_changes(&asked, filter, before, SHOWN).await?;
            (found.items, found.next.map(|next| sealed(&control.log_keys, &purpose, &next.0.to_be_bytes())))
        }
        None => (Vec::new(), None),
    };
    let head = control.head(&asked).await?;
    let view = LogView {
        wish,
        is_known: filter.is_some(),
        changes: &changes,
        next: next.as_deref(),
        head: &head,
        checked,
        now: control.now(),
    };
    Ok(Page::new(OperatorTab::Log.frame(visit, "Log"), view.draw()))
}

/// What a text asks for; none where it means nothing.
fn filter(about: &str) -> Option<ChangeFilter> {
    let all = ChangeFilter::default();
    if about.is_empty() {
        return Some(all);
    }
    if let Ok(id) = about.parse::<OrganizationId>() {
        return Some(ChangeFilter { organization: Some(id), ..all });
    }
    if let Ok(id) = about.parse::<ProjectId>() {
        return Some(ChangeFilter { project: Some(id), ..all });
    }
    about.parse::<KeyId>().ok().map(|id| ChangeFilter { key: Some(id), ..all })
}

/// What asking for a check came to.
#[derive(Debug)]
pub enum Checked {
    /// It was checked.
    Told(LogVerdict),
    /// Somebody else has it checked just now.
    UnderWay,
}

/// What the page shows.
pub struct LogView<'a> {
    /// What is asked for.
    pub wish: &'a Wish,
    /// Whether that means something.
    pub is_known: bool,
    /// The changes, newest first.
    pub changes: &'a [Entry],
    /// Where the next part begins.
    pub next: Option<&'a str>,
    /// Where the log stands.
    pub head: &'a Head,
    /// What a check found.
    pub checked: Option<&'a Checked>,
    /// At this moment.
    pub now: Timestamp,
}

impl LogView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        let check = html! {
            form method="post" action="/operator/log" { button.button type="submit" { (Icon::Check) "Check the whole chain" } }
        };
        let address = |cursor: Option<&str>| {
            let parts =
                [("about", Some(self.wish.about.as_str()).filter(|about| !about.is_empty())), ("cursor", cursor)];
            let parts: Vec<(&str, &str)> =
                parts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            format!("/operator/log?{}", serde_html_form::to_string(&parts).unwrap_or_default())
        };
        let first = (!self.wish.cursor.is_empty()).then(|| address(None));
        let next = self.next.map(|next| address(Some(next)));
        html! {
            (parts::head("Log", "Every change, in order, chained and never pruned.", check))
            @if let Some(checked) = self.checked { (told(checked)) }
            (self.standing())
            (self.filter())
            section.card aria-label="Changes" {
                @if self.changes.is_empty() {
                    (parts::empty(Icon::List, "Nothing fits", "There is no change about this.", html! { a.button href="/operator/log" { "Show all" } }))
                } @else {
                    div.scroll { (self.table()) }
                }
            }
            (pager(first.as_deref(), next.as_deref()))
        }
    }

    fn standing(&self) -> Markup {
        let head = &self.head.signed.head;
        let rows = [
            ("Hash", "head-hash", to_hex(&head.hash.0), "hash"),
            ("Signature", "head-signature", to_hex(&self.head.signed.signature.0), "signature"),
            ("Public key", "head-key", to_hex(&self.head.public_key), "public key"),
        ];
        parts::titled_card(
            "Where it stands",
            "",
            html! {
                dl.facts {
                    dt { "Head" } dd { "revision " (number(head.revision.0.unsigned_abs())) ", signed " (moments::in_full(head.at)) }
                    @for (label, id, value, what) in &rows {
                        dt { (label) } dd.actions.tied { code id=(id) { (value) } (copy_button(id, what)) }
                    }
                }
                p.small.soft { "Keep the head elsewhere: a later check against it shows whether the log's end was cut off." }
            },
        )
    }

    fn filter(&self) -> Markup {
        let field = Field::new("about", "Organization, project or key")
            .hint("An id: org_…, proj_… or key_…")
            .fault((!self.is_known).then_some("is no id of an organization, a project or a key"));
        html! {
            form.filters.hinted.search method="get" action="/operator/log" {
                (field.line("text", &self.wish.about, Input { autocomplete: Some("off"), ..Input::default() }))
                button.button type="submit" { "Filter" }
                @if !self.wish.about.is_empty() { a.button.quiet href="/operator/log" { "Show all" } }
            }
        }
    }

    fn table(&self) -> Markup {
        html! {
            table.folds {
                caption.hidden-visually { "Changes, newest first" }
                thead { tr {
                    th.number scope="col" { "Revision" } th scope="col" { "Time" } th scope="col" { "What" } th scope="col" { "Who" }
                    th scope="col" { "About" } th scope="col" { "Details" }
                } }
                tbody { @for entry in self.changes { (self.line(entry)) } }
            }
        }
    }

    fn line(&self, entry: &Entry) -> Markup {
        let line = Line::of_change(entry);
        let change = &entry.body.change;
        html! {
            tr {
                td.number data-label="Revision" { (entry.revision) }
                td.nowrap data-label="Time" { div { (moments::ago(line.at, self.now)) span.under { (moments::long(line.at)) } } }
                td data-label="What" { (what(&line)) }
                td data-label="Who" { div {
                    @if let Some(who) = &line.actor { (who.name) @if !who.kind_words().is_empty() { span.under { (who.kind_words()) } } }
                    @if let Some(address) = &line.address { span.under.mono { (address) } }
                } }
                td data-label="About" { div.ids {
                    @if let Some(id) = change.project() { a href={ "/projects/" (id) "/keys" } { code { (short(&id.to_string())) } } }
                    @else if let Some(id) = change.organization() { a href={ "/organizations/" (id) } { code { (short(&id.to_string())) } } }
                    @if let Some(id) = change.key() { a href={ "/operator/log?about=" (id) } { code { (short(&id.to_string())) } } }
                } }
                td data-label="Details" { (line_details(&line)) }
            }
        }
    }
}

/// The beginning of an id: enough to tell it from others on a page.
fn short(id: &str) -> String {
    let shown: String = id.chars().take(11).collect();
    format!("{shown}…")
}

fn told(checked: &Checked) -> Markup {
    match checked {
        Checked::Told(LogVerdict::Intact { revision, heads }) => notice(
            Tone::Good,
            html! {
                p { strong { "Intact. " } "All " (number(revision.0.unsigned_abs())) " changes are as they were written, and the chain agrees with " (number(*heads)) " signed heads." }
            },
        ),
        Checked::Told(LogVerdict::Broken { revision, reason }) => notice(
            Tone::Bad,
            html! {
                p { strong { "Broken at revision " (revision) ". " } (reason) }
                p { "What stands before it is as it was written; what follows cannot be trusted. Do this now:" }
                ul {
                    li { "Keep a copy of the store's folder as it is, for finding out what happened." }
                    li { "Take the newest backup from before revision " (revision) " and compare, or restore it: " code { "keyward restore" } "." }
                    li { "Find out who could write to the store's files, and change the secrets that lie beside them." }
                }
            },
        ),
        Checked::UnderWay => notice(
            Tone::Info,
            html! { p { "Somebody has it checked just now. One check at a time; try again in a moment." } },
        ),
    }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use crate::dashboard::pages::samples::{EVIL, NOW, visit};
    use keyward_core::change::{Actor, Change, EntryBody, Origin, ProjectChange, ProjectRef};
    use keyward_core::id::{PersonId, StoreId};
    use keyward_core::log::LogKeys;
    let of = ProjectRef {
        id: ProjectId::from_u128(1),
        organization: OrganizationId::from_u128(1),
        api: "standard".parse().unwrap(),
    };
    let body = EntryBody {
        at: NOW,
        actor: Actor::Person { id: PersonId::from_u128(1), name: EVIL.into() },
        origin: Origin { address: Some([192, 0, 2, 1].into()), request_id: Some(EVIL.into()) },
        change: Change::Project { of, what: ProjectChange::Renamed { name: EVIL.into() } },
    };
    let changes = [Entry { revision: Revision(7), body, hash: [7; 32] }];
    let keys = LogKeys::new(&[1; 32], &[2; 32]);
    let signed = keys.sign(StoreId::from_u128(1), Revision(7), [7; 32], NOW);
    let head = Head { signed, public_key: keys.public_key() };
    let wish = Wish { about: EVIL.into(), cursor: EVIL.into() };
    let page = |changes: &[Entry], is_known, checked: Option<Checked>| {
        let (next, checked) = (Some("next"), checked.as_ref());
        let view = LogView { wish: &wish, is_known, changes, next, head: &head, checked, now: NOW };
        Page::new(OperatorTab::Log.frame(&visit(EVIL, true), "Log"), view.draw())
    };
    let intact = Checked::Told(LogVerdict::Intact { revision: Revision(7), heads: 2 });
    let broken = Checked::Told(LogVerdict::Broken { revision: Revision(3), reason: EVIL.into() });
    vec![
        ("nothing fits", page(&[], false, None)),
        ("intact", page(&changes, true, Some(intact))),
        ("broken", page(&changes, true, Some(broken))),
        ("under way", page(&changes, true, Some(Checked::UnderWay))),
    ]
}
