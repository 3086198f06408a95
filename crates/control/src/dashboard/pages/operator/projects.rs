//! All projects of all organizations: found by id, by how the name begins, or by leafing through.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keyward_core::change::Revision;
use keyward_core::clock::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page};
use crate::dashboard::form::Asking;
use crate::dashboard::look::parts::{self, Field, Input, Tone, badge, number, pager};
use crate::dashboard::look::{Icon, moments};
use crate::dashboard::place::OperatorTab;
use crate::dashboard::visit::Visit;
use crate::use_cases::{SeenProject, opened, sealed};

/// How many are shown at once.
const SHOWN: u32 = 50;

/// What the address asks for.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Wish {
    /// An id, or how the name begins.
    search: String,
    /// The place to go on from.
    cursor: String,
}

/// The page.
pub async fn page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Asking(wish): Asking<Wish>,
) -> Result<Response, Failure> {
    let asked = visit.as_operator()?;
    let control = &dashboard.control;
    let search = wish.search.trim();
    let purpose = format!("dashboard projects {search:?}");
    let before = match wish.cursor.as_str() {
        "" => None,
        cursor => {
            let place = opened(&control.log_keys, &purpose, cursor).and_then(|bytes| bytes.try_into().ok());
            let place =
                place.ok_or_else(|| Failure::Form("The address: the place in the list is none of ours.".into()));
            Some(Revision(i64::from_be_bytes(place?)))
        }
    };
    let found = control.all_projects(&asked, search, before, SHOWN).await?;
    let next = found.next.map(|next| sealed(&control.log_keys, &purpose, &next.0.to_be_bytes()));
    let view = ProjectsView { wish: &wish, projects: &found.items, next: next.as_deref(), now: control.now() };
    Ok(Page::new(OperatorTab::Projects.frame(&visit, "Projects"), view.draw()).into_response())
}

/// What the page shows.
pub struct ProjectsView<'a> {
    /// What is asked for.
    pub wish: &'a Wish,
    /// The projects, newest first.
    pub projects: &'a [SeenProject],
    /// Where the next part begins.
    pub next: Option<&'a str>,
    /// At this moment.
    pub now: Timestamp,
}

impl ProjectsView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        let address = |cursor: Option<&str>| {
            let parts =
                [("search", Some(self.wish.search.as_str()).filter(|text| !text.is_empty())), ("cursor", cursor)];
            let parts: Vec<(&str, &str)> =
                parts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            format!("/operator/projects?{}", serde_html_form::to_string(&parts).unwrap_or_default())
        };
        let first = (!self.wish.cursor.is_empty()).then(|| address(None));
        let next = self.next.map(|next| address(Some(next)));
        let field = Field::new("search", "Search")
            .hint("A project's or an organization's id, or how a project's name begins.");
        html! {
            (parts::head("Projects", "All projects, of all organizations.", ""))
            form.filters.hinted.search method="get" action="/operator/projects" role="search" {
                (field.line("search", &self.wish.search, Input { max_chars: Some(100), ..Input::default() }))
                button.button type="submit" { "Search" }
                @if !self.wish.search.is_empty() { a.button.quiet href="/operator/projects" { "Show all" } }
            }
            section.card aria-label="All projects" {
                @if self.projects.is_empty() {
                    @if self.wish.search.is_empty() {
                        (parts::empty(Icon::Folder, "No projects yet", "They are made on their organization's page.", html! { a.button href="/operator/organizations" { "Organizations" } }))
                    } @else {
                        (parts::empty(Icon::Folder, "Nothing found", "No project has this id, and no name begins like this.", html! { a.button href="/operator/projects" { "Show all" } }))
                    }
                } @else {
                    div.scroll { table.folds {
                        caption.hidden-visually { "Projects, newest first" }
                        thead { tr {
                            th scope="col" { "Project" } th scope="col" { "Organization" } th scope="col" { "API and plan" }
                            th.number scope="col" { "Active keys" } th scope="col" { "Status" } th scope="col" { "Created" }
                        } }
                        tbody { @for seen in self.projects { (self.row(seen)) } }
                    } }
                }
            }
            (pager(first.as_deref(), next.as_deref()))
        }
    }

    fn row(&self, seen: &SeenProject) -> Markup {
        let (project, organization) = (&seen.project, &seen.organization);
        let keys = match seen.active_key_limit {
            Some(limit) => format!("{} of {}", number(seen.active_keys), number(limit.into())),
            None => number(seen.active_keys),
        };
        html! {
            tr {
                td data-label="Project" { div { a href={ "/projects/" (project.id) "/limits" } { (project.name) } span.under.mono { (project.id) } } }
                td data-label="Organization" { a href={ "/organizations/" (organization.id) } { (organization.name) } }
                td data-label="API and plan" { div { (seen.contract.title) span.under { (seen.plan.title) } } }
                td.number data-label="Active keys" { (keys) }
                td data-label="Status" {
                    @if !organization.state.is_active() { (badge(Tone::Bad, "organization suspended")) }
                    @else if !project.state.is_active() { (badge(Tone::Bad, "suspended")) }
                    @else if !seen.has_access { (badge(Tone::Warn, "no access")) }
                    @else { (badge(Tone::Good, "active")) }
                }
                td data-label="Created" { (moments::ago(project.created_at, self.now)) }
            }
        }
    }
}

#[cfg(test)]
pub fn samples() -> Vec<(&'static str, Page)> {
    use crate::dashboard::pages::samples::{EVIL, NAMES, NOW, project, visit};
    let mut all: Vec<SeenProject> = NAMES.iter().zip(1..).map(|(name, number)| project(number, name)).collect();
    all[1].has_access = false;
    all[2].active_key_limit = None;
    let wish = Wish { search: EVIL.into(), cursor: EVIL.into() };
    let page = |wish: &Wish, projects: &[SeenProject]| {
        let view = ProjectsView { wish, projects, next: Some("next"), now: NOW };
        Page::new(OperatorTab::Projects.frame(&visit(EVIL, true), "Projects"), view.draw())
    };
    vec![("empty", page(&Wish::default(), &[])), ("nothing found", page(&wish, &[])), ("many", page(&wish, &all))]
}
