//! The frame around every page: the top bar with where one is, the navigation of that place, the foot with where to get
//! help, and the head with nothing in it that a strict content policy would refuse.

use maud::{DOCTYPE, Markup, html};

use super::Icon;
use crate::dashboard::assets;

/// Who is signed in, as the top bar shows them.
#[derive(Debug, Clone)]
pub struct Who {
    /// What they are called.
    pub name: String,
    /// Their mail address.
    pub email: String,
    /// Whether they are an operator.
    pub is_operator: bool,
    /// Whether there are several places for them to go to.
    pub has_choice: bool,
}

/// One step of the way to a page.
#[derive(Debug, Clone)]
pub struct Crumb {
    /// What it is called.
    pub label: String,
    /// Where it is; none for the page itself.
    pub href: Option<String>,
}

/// Entries of the navigation that belong together.
#[derive(Debug, Clone, Default)]
pub struct NavGroup {
    /// What they are; nothing for the first.
    pub title: Option<String>,
    /// The entries.
    pub items: Vec<NavItem>,
}

/// An entry of the navigation.
#[derive(Debug, Clone)]
pub struct NavItem {
    /// What it is called.
    pub label: String,
    /// Where it leads; none where it is not open to whoever looks: the words say so.
    pub href: Option<String>,
    /// Its icon.
    pub icon: Icon,
    /// Whether it is the page itself.
    pub is_current: bool,
}

/// A page's frame.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// The page's title, which is also its first heading unless the page draws its own.
    pub title: String,
    /// What people call this dashboard: the API's title on its projects' pages.
    pub brand: Option<String>,
    /// The way to it.
    pub crumbs: Vec<Crumb>,
    /// The navigation of where it is; a page without any stands alone.
    pub nav: Vec<NavGroup>,
    /// Who is signed in.
    pub who: Option<Who>,
    /// Where people get help, as links: what is shown, and where it leads.
    pub support: Vec<(String, String)>,
    /// Whether the page draws charts.
    pub has_charts: bool,
}

impl Frame {
    /// A frame with a title and nothing else.
    pub fn titled(title: impl Into<String>) -> Self {
        Frame { title: title.into(), ..Frame::default() }
    }

    /// The whole page around its content.
    pub fn around(&self, content: &Markup) -> Markup {
        let brand = self.brand.as_deref().unwrap_or("Keyward");
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="robots" content="noindex";
                    title { (self.title) " · " (brand) }
                    link rel="icon" type="image/svg+xml" href=(assets::url("icon.svg"));
                    link rel="stylesheet" href=(assets::url("app.css"));
                    @if self.has_charts {
                        link rel="stylesheet" href=(assets::url("uplot/uPlot.min.css"));
                        script defer src=(assets::url("uplot/uPlot.iife.min.js")) {}
                        script defer src=(assets::url("charts.js")) {}
                    }
                    script defer src=(assets::url("app.js")) {}
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    (self.top(brand))
                    div.frame.bare[self.nav.is_empty()] {
                        @if !self.nav.is_empty() { (self.side()) }
                        main #main tabindex="-1" { (content) }
                    }
                    (self.foot())
                }
            }
        }
    }

    fn top(&self, brand: &str) -> Markup {
        html! {
            header.top {
                a.brand href="/" { (Icon::Brand) span { (brand) } }
                nav.crumbs aria-label="Where you are" {
                    ol {
                        @for crumb in &self.crumbs {
                            li {
                                @match &crumb.href {
                                    Some(href) => a href=(href) { (crumb.label) },
                                    None => span aria-current="page" { (crumb.label) },
                                }
                            }
                        }
                    }
                }
                @if let Some(who) = &self.who { (account_menu(who)) }
            }
        }
    }

    fn side(&self) -> Markup {
        html! {
            nav.side aria-label="Pages" {
                @for group in &self.nav {
                    div {
                        @if let Some(title) = &group.title { h2 { (title) } }
                        ul { @for item in &group.items { li { (nav_item(item)) } } }
                    }
                }
            }
        }
    }

    fn foot(&self) -> Markup {
        html! {
            footer.foot {
                @if !self.support.is_empty() {
                    span {
                        "Questions? Contact "
                        @for (number, (label, href)) in self.support.iter().enumerate() {
                            @if number > 0 { " or " }
                            a href=(href) { (label) }
                        }
                    }
                }
                span { "Keyward" }
            }
        }
    }
}

fn nav_item(item: &NavItem) -> Markup {
    html! {
        @match &item.href {
            Some(href) => a href=(href) aria-current=[item.is_current.then_some("page")] { (item.icon) (item.label) },
            None => span.locked title="Not part of the plan" {
                (item.icon) (item.label) (Icon::Lock) span.hidden-visually { "(not available)" }
            },
        }
    }
}

fn account_menu(who: &Who) -> Markup {
    let initial: String = who.name.chars().next().into_iter().flat_map(char::to_uppercase).collect();
    html! {
        details.menu {
            summary { span.avatar aria-hidden="true" { (initial) } span.who { (who.name) } span.hidden-visually { "Account menu" } }
            div.menu-sheet {
                p.soft.small { (who.email) @if who.is_operator { br; "Operator" } }
                @if who.has_choice { a href="/" { (Icon::Folder) "Switch organization" } }
                a href="/account" { (Icon::Gear) "Your account" }
                @if who.is_operator { a href="/operator/organizations" { (Icon::Building) "Operator's pages" } }
                form method="post" action="/sign-out" { button type="submit" { (Icon::Leave) "Sign out" } }
            }
        }
    }
}
