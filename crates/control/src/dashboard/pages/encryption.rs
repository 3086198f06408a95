//! A project's encryption, where its contract has any: where encrypted requests go, and the keys its fields are encrypted
//! under. Destroying those is asked once more.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyward_core::clock::Timestamp;
use keyward_core::data_keyring::{DataKeyFacts, DataKeyState};
use keyward_core::id::ProjectId;
use keyward_core::permission::Permission;
use maud::{Markup, html};
use serde::Deserialize;

use super::confirm::{self, Confirmation, NOT_THE_NAME, is_named};
use super::gate::gate;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, fault_of, form_notice, go_to};
use crate::dashboard::form::{Asking, Form};
use crate::dashboard::look::Icon;
use crate::dashboard::look::moments::ago;
use crate::dashboard::look::parts::{self, Field, Input, Tone, badge};
use crate::dashboard::path::Path;
use crate::dashboard::place::{ProjectPlace, ProjectTab};
use crate::dashboard::visit::Visit;
use crate::use_cases::{ControlError, SeenProject};

/// The page's title.
const TITLE: &str = "Encryption";

/// What was done before.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Before {
    done: String,
}

/// What the form of the destination sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sending {
    url: String,
}

/// What is typed to confirm.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmed {
    name: String,
}

/// The page.
pub async fn page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<ProjectId>,
    Asking(before): Asking<Before>,
) -> Result<Response, Failure> {
    let place = find(&dashboard, &visit, id).await?;
    let keys = dashboard.control.data_keys(&place.asked, id).await?;
    let now = dashboard.control.now();
    let view = EncryptionView { done: &before.done, ..EncryptionView::of(&place, &keys, now) };
    Ok(Page::new(place.frame(&visit, ProjectTab::Encryption, TITLE), view.draw()).into_response())
}

/// Sets where encrypted requests go; nowhere where nothing was filled in.
pub async fn send_to(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<ProjectId>,
    Form(form): Form<Sending>,
) -> Result<Response, Failure> {
    let place = find(&dashboard, &visit, id).await?;
    let url = Some(form.url.trim()).filter(|url| !url.is_empty());
    match dashboard.control.set_destination(&place.asked, id, url).await {
        Ok(_) => Ok(go_to(&format!("{}?done=destination", place.path(ProjectTab::Encryption)))),
        Err(error @ ControlError::Invalid(_)) => {
            let keys = dashboard.control.data_keys(&place.asked, id).await?;
            let now = dashboard.control.now();
            let view =
                EncryptionView { url: &form.url, error: Some(&error), ..EncryptionView::of(&place, &keys, now) };
            let frame = place.frame(&visit, ProjectTab::Encryption, TITLE);
            Ok(Page::new(frame, view.draw()).with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Has a new data key encrypt from now on.
pub async fn rotate(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<ProjectId>,
) -> Result<Response, Failure> {
    let place = find(&dashboard, &visit, id).await?;
    dashboard.control.rotate_data_key(&place.asked, id).await?;
    Ok(go_to(&format!("{}?done=rotated", place.path(ProjectTab::Encryption))))
}

/// Asks whether to destroy the data keys.
pub async fn ask_to_shred(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<ProjectId>,
) -> Result<Response, Failure> {
    let place = find(&dashboard, &visit, id).await?;
    require(&place)?;
    let frame = place.frame(&visit, ProjectTab::Encryption, "Destroy data keys");
    Ok(Page::new(frame, shredding(&place.seen, None)).into_response())
}

/// Destroys them, where the project's name was typed.
pub async fn shred(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(id): Path<ProjectId>,
    Form(form): Form<Confirmed>,
) -> Result<Response, Failure> {
    let place = find(&dashboard, &visit, id).await?;
    require(&place)?;
    if !is_named(&form.name, &place.seen.project.name) {
        let frame = place.frame(&visit, ProjectTab::Encryption, "Destroy data keys");
        let page = Page::new(frame, shredding(&place.seen, Some(NOT_THE_NAME)));
        return Ok(page.with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response());
    }
    dashboard.control.shred_data_keys(&place.asked, id, true).await?;
    Ok(go_to(&format!("{}?done=shredded", place.path(ProjectTab::Encryption))))
}

/// The project, where its contract has encryption.
async fn find(dashboard: &Dashboard, visit: &Visit, id: ProjectId) -> Result<ProjectPlace, Failure> {
    let place = ProjectPlace::find(dashboard, visit, id).await?;
    match place.contract().encryption.is_some() {
        true => Ok(place),
        false => Err(ControlError::NotFound.into()),
    }
}

fn require(place: &ProjectPlace) -> Result<(), Failure> {
    match place.may(Permission::ProjectsWrite) {
        true => Ok(()),
        false => Err(ControlError::Forbidden(Permission::ProjectsWrite).into()),
    }
}

/// What the page shows.
pub struct EncryptionView<'a> {
    /// The project.
    pub seen: &'a SeenProject,
    /// Its data keys, newest first.
    pub keys: &'a [DataKeyFacts],
    /// At this moment.
    pub now: Timestamp,
    /// The destination as it is filled in.
    pub url: &'a str,
    /// Whether whoever looks may change anything.
    pub may_write: bool,
    /// What went wrong.
    pub error: Option<&'a ControlError>,
    /// What was done before.
    pub done: &'a str,
}

impl<'a> EncryptionView<'a> {
    fn of(place: &'a ProjectPlace, keys: &'a [DataKeyFacts], now: Timestamp) -> Self {
        EncryptionView {
            seen: &place.seen,
            keys,
            now,
            url: place.seen.project.destination.as_deref().unwrap_or(""),
            may_write: place.may(Permission::ProjectsWrite),
            error: None,
            done: "",
        }
    }

    fn draw(&self) -> Markup {
        let about =
            format!("Where this {}'s encrypted requests go, and what they are encrypted under.", self.seen.noun);
        html! {
            (parts::head(TITLE, about, ""))
            (confirm::done(self.done, &[
                ("destination", "Saved. Encrypted requests go there from now on, on every node."),
                ("rotated", "A new data key encrypts from now on. What was encrypted before can still be decrypted."),
                ("shredded", "The data keys are destroyed, on every node. What they encrypted can never be decrypted again."),
            ]))
            (gate(self.seen))
            (self.destination())
            (self.data_keys())
            @if self.may_write && self.keys.iter().any(|key| !key.state.is_shredded()) { (self.danger()) }
        }
    }

    fn destination(&self) -> Markup {
        let project = &self.seen.project;
        let field = Field::new("url", "Address")
            .hint("Such as https://api.example.com/v1. Empty: requests go nowhere and are answered with what was encrypted.")
            .fault(fault_of(self.error, "url"));
        let input = Input { max_chars: Some(2048), autocomplete: Some("off"), ..Input::default() };
        parts::titled_card(
            "Destination",
            if project.destination.is_some() { badge(Tone::Good, "set") } else { badge(Tone::Plain, "none") },
            html! {
                p { "Requests to the proxy are forwarded here, once their fields are encrypted or decrypted." }
                @if let Some(error) = self.error { (form_notice(error)) }
                @if self.may_write {
                    form.row method="post" action={ "/projects/" (project.id) "/encryption/destination" } {
                        (field.line("url", self.url, input))
                        button.button.primary type="submit" { (Icon::Check) "Save destination" }
                    }
                } @else {
                    dl.facts { dt { "Address" } dd { @if self.url.is_empty() { "none" } @else { code { (self.url) } } } }
                    p.soft.small { "Owners of the organization can change it." }
                }
            },
        )
    }

    fn data_keys(&self) -> Markup {
        let rotate = html! {
            @if self.may_write {
                form method="post" action={ "/projects/" (self.seen.project.id) "/encryption/rotate" } {
                    button.button.small type="submit" { (Icon::Plus) @if self.keys.is_empty() { "Make a data key" } @else { "Rotate" } }
                }
            }
        };
        let list = html! {
            @if self.keys.is_empty() {
                (parts::empty(Icon::Lock, "No data key yet", "The first one is made when something is encrypted for the first time.", ""))
            } @else {
                table.folds {
                    thead { tr {
                        th scope="col" { "Data key" } th scope="col" { "Made" } th scope="col" { "Status" }
                    } }
                    tbody { @for key in self.keys { (self.row(key)) } }
                }
            }
        };
        parts::framed_card("Data keys", rotate, list)
    }

    fn row(&self, key: &DataKeyFacts) -> Markup {
        html! {
            tr.past[key.state.is_shredded()] {
                td data-label="Data key" { code { (key.id) } }
                td data-label="Made" { (ago(key.created_at, self.now)) }
                td data-label="Status" {
                    @match key.state {
                        DataKeyState::Current => { (badge(Tone::Good, "encrypts")) },
                        DataKeyState::OpensOnly { since } => {
                            (badge(Tone::Plain, "decrypts only")) span.under { "replaced " (ago(since, self.now)) }
                        },
                        DataKeyState::Shredded { at } => {
                            (badge(Tone::Bad, "destroyed")) span.under { (ago(at, self.now)) }
                        },
                    }
                }
            }
        }
    }

    fn danger(&self) -> Markup {
        parts::titled_card(
            "Danger",
            "",
            html! {
                div.head {
                    div { strong { "Destroy all data keys" } p.soft { "Everything that was encrypted can never be decrypted again, by anybody." } }
                    a.button.risky href={ "/projects/" (self.seen.project.id) "/encryption/shred" } { "Destroy data keys…" }
                }
            },
        )
    }
}

/// The question whether to destroy the data keys.
pub fn shredding(seen: &SeenProject, fault: Option<&str>) -> Markup {
    let id = seen.project.id;
    Confirmation {
        question: &format!("Destroy the data keys of {}?", seen.project.name),
        consequences: html! {
            p { "Everything that this " (seen.noun) " has encrypted can never be decrypted again, wherever it is kept. Its requests under way end." }
            p { strong { "This cannot be taken back." } " A new data key is made when something is encrypted again." }
        },
        action: &format!("/projects/{id}/encryption/shred"),
        button: "Destroy data keys",
        back: &format!("/projects/{id}/encryption"),
        name: Some(&seen.project.name),
        fault,
    }
    .draw()
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use super::samples::{EVIL, LONG, NOW, hours_ago, project, visit};
    use keyward_core::data_key::DataKeyId;
    let visit = visit(EVIL, true);
    let asked = visit.in_organization(project(1, EVIL).organization.id);
    let mut place = ProjectPlace { asked, seen: project(1, EVIL) };
    place.seen.project.destination = Some(format!("https://{LONG}.example.com"));
    let key = |number, hours, state| DataKeyFacts {
        id: DataKeyId::from_u128(number),
        created_at: hours_ago(hours),
        state,
    };
    let keys = [
        key(3, 1, DataKeyState::Current),
        key(2, 50, DataKeyState::OpensOnly { since: hours_ago(1) }),
        key(1, 900, DataKeyState::Shredded { at: hours_ago(50) }),
    ];
    let page =
        |place: &ProjectPlace, content| Page::new(place.frame(&visit, ProjectTab::Encryption, EVIL), content);
    let error = ControlError::invalid("url", EVIL);
    let all = EncryptionView { done: "rotated", ..EncryptionView::of(&place, &keys, NOW) }.draw();
    let refused =
        EncryptionView { url: EVIL, error: Some(&error), ..EncryptionView::of(&place, &keys, NOW) }.draw();
    let viewer = EncryptionView { may_write: false, ..EncryptionView::of(&place, &keys, NOW) }.draw();
    let none = EncryptionView { url: "", ..EncryptionView::of(&place, &[], NOW) }.draw();
    vec![
        ("all", page(&place, all)),
        ("refused", page(&place, refused)),
        ("viewer", page(&place, viewer)),
        ("none", page(&place, none)),
        ("shred", page(&place, shredding(&place.seen, Some(EVIL)))),
    ]
}
