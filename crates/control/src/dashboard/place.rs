//! What a page is about, loaded as the person who looks may see it: an organization, or a project with its contract; and
//! the frame with the navigation of that place, as its contract names things.

use keyward_core::contract::{Contract, Support};
use keyward_core::id::{OrganizationId, ProjectId};
use keyward_core::people::Role;
use keyward_core::permission::Permission;
use keyward_core::tenancy::Organization;

use super::Dashboard;
use super::answer::Failure;
use super::look::{Crumb, Frame, Icon, NavGroup, NavItem};
use super::visit::Visit;
use crate::use_cases::{Asked, ControlError, SeenProject};

/// A page of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectTab {
    /// Its keys.
    Keys,
    /// How they are used.
    Usage,
    /// What happened.
    Events,
    /// Its plan, and how its limits stand.
    Limits,
    /// Where encrypted requests go, and under which keys.
    Encryption,
    /// What can be set.
    Settings,
}

/// A page of an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrganizationTab {
    /// Its projects.
    Projects,
    /// Its people.
    Members,
    /// What can be set.
    Settings,
}

/// A project as a page sees it.
pub struct ProjectPlace {
    /// What the person asks with here.
    pub asked: Asked,
    /// The project, with its organization and its contract.
    pub seen: SeenProject,
}

impl ProjectPlace {
    /// A project that the person may see.
    ///
    /// # Errors
    /// Where there is none, or none for them.
    pub async fn find(dashboard: &Dashboard, visit: &Visit, id: ProjectId) -> Result<Self, Failure> {
        let control = &dashboard.control;
        let asked = control.asked_at_project(&visit.current, &visit.visitor.origin, id).await?;
        let seen = control.project(&asked, id).await?;
        Ok(ProjectPlace { asked, seen })
    }

    /// The contract in force.
    pub fn contract(&self) -> &Contract {
        &self.seen.contract
    }

    /// Whether the person may do something here.
    pub fn may(&self, permission: Permission) -> bool {
        self.asked.caller.has(permission)
    }

    /// Where one of its pages is.
    pub fn path(&self, tab: ProjectTab) -> String {
        let page = match tab {
            ProjectTab::Keys => "keys",
            ProjectTab::Usage => "usage",
            ProjectTab::Events => "events",
            ProjectTab::Limits => "limits",
            ProjectTab::Encryption => "encryption",
            ProjectTab::Settings => "settings",
        };
        format!("/projects/{}/{page}", self.seen.project.id)
    }

    /// The frame of one of its pages.
    pub fn frame(&self, visit: &Visit, tab: ProjectTab, title: &str) -> Frame {
        let organization = &self.seen.organization;
        let its_page = format!("/organizations/{}", organization.id);
        let crumbs = vec![
            Crumb { label: organization.name.clone(), href: Some(its_page) },
            Crumb { label: self.seen.project.name.clone(), href: Some(self.path(ProjectTab::Keys)) },
            Crumb { label: title.to_owned(), href: None },
        ];
        Frame {
            title: title.to_owned(),
            brand: Some(self.contract().title.clone()),
            crumbs,
            nav: self.nav(tab),
            who: Some(visit.who()),
            support: support(&self.contract().support),
            has_charts: tab == ProjectTab::Usage,
        }
    }

    /// The navigation: the keys' entry stands where, and under the name that, the contract says.
    fn nav(&self, current: ProjectTab) -> Vec<NavGroup> {
        let item = |tab, label: &str, icon| NavItem {
            label: label.to_owned(),
            href: Some(self.path(tab)),
            icon,
            is_current: tab == current,
        };
        let keys = NavItem {
            href: self.seen.has_access.then(|| self.path(ProjectTab::Keys)),
            ..item(ProjectTab::Keys, self.contract().dashboard.keys_label(), Icon::Key)
        };
        let mut project = vec![
            item(ProjectTab::Usage, "Usage", Icon::Chart),
            item(ProjectTab::Events, "Event log", Icon::List),
            item(ProjectTab::Limits, "Plan and limits", Icon::Gauge),
        ];
        if self.contract().encryption.is_some() {
            project.push(item(ProjectTab::Encryption, "Encryption", Icon::Lock));
        }
        let mut settings = vec![item(ProjectTab::Settings, "General", Icon::Gear)];
        let group = self.contract().dashboard.keys_group();
        match group {
            Some(_) => settings.insert(0, keys),
            None => project.insert(0, keys),
        }
        let title = group.unwrap_or("Settings").to_owned();
        vec![NavGroup { title: None, items: project }, NavGroup { title: Some(title), items: settings }]
    }
}

/// An organization as a page sees it.
pub struct OrganizationPlace {
    /// What the person asks with here.
    pub asked: Asked,
    /// The organization.
    pub organization: Organization,
}

impl OrganizationPlace {
    /// An organization that the person may see.
    ///
    /// # Errors
    /// Where there is none, or none for them.
    pub async fn find(dashboard: &Dashboard, visit: &Visit, id: OrganizationId) -> Result<Self, Failure> {
        let asked = visit.in_organization(id);
        // As with what does not exist: who has no place there is not told that there is something.
        if !asked.caller.is_seated() {
            return Err(ControlError::NotFound.into());
        }
        let organization = dashboard.control.organization(&asked, id).await?;
        Ok(OrganizationPlace { asked, organization })
    }

    /// Whether the person may do something here.
    pub fn may(&self, permission: Permission) -> bool {
        self.asked.caller.has(permission)
    }

    /// Where one of its pages is.
    pub fn path(&self, tab: OrganizationTab) -> String {
        let id = self.organization.id;
        match tab {
            OrganizationTab::Projects => format!("/organizations/{id}"),
            OrganizationTab::Members => format!("/organizations/{id}/members"),
            OrganizationTab::Settings => format!("/organizations/{id}/settings"),
        }
    }

    /// The frame of one of its pages.
    pub fn frame(&self, visit: &Visit, tab: OrganizationTab, title: &str) -> Frame {
        let item = |entry, label: &str, icon| NavItem {
            label: label.to_owned(),
            href: Some(self.path(entry)),
            icon,
            is_current: entry == tab,
        };
        let items = vec![
            item(OrganizationTab::Projects, "Projects", Icon::Folder),
            item(OrganizationTab::Members, "Members", Icon::People),
            item(OrganizationTab::Settings, "Settings", Icon::Gear),
        ];
        let crumbs = vec![
            Crumb { label: self.organization.name.clone(), href: Some(self.path(OrganizationTab::Projects)) },
            Crumb { label: title.to_owned(), href: None },
        ];
        Frame {
            title: title.to_owned(),
            crumbs,
            nav: vec![NavGroup { title: None, items }],
            who: Some(visit.who()),
            ..Frame::default()
        }
    }
}

/// A page of the operator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorTab {
    /// All organizations.
    Organizations,
    /// All projects.
    Projects,
    /// Contracts in force.
    Apis,
    /// The whole log and its integrity.
    Log,
    /// People and operators.
    People,
    /// The nodes.
    Nodes,
}

impl OperatorTab {
    const ALL: [(OperatorTab, &'static str, &'static str, Icon); 6] = [
        (OperatorTab::Organizations, "organizations", "Organizations", Icon::Building),
        (OperatorTab::Projects, "projects", "Projects", Icon::Folder),
        (OperatorTab::Apis, "apis", "Contracts", Icon::Document),
        (OperatorTab::Log, "log", "Log", Icon::List),
        (OperatorTab::People, "people", "People", Icon::People),
        (OperatorTab::Nodes, "nodes", "Nodes", Icon::Server),
    ];

    /// The frame of the page. `title` may name something on it.
    pub fn frame(self, visit: &Visit, title: &str) -> Frame {
        let items = Self::ALL.map(|(tab, path, label, icon)| NavItem {
            label: label.to_owned(),
            href: Some(format!("/operator/{path}")),
            icon,
            is_current: tab == self,
        });
        Frame {
            title: title.to_owned(),
            crumbs: vec![
                Crumb { label: "Operator".into(), href: Some("/operator/organizations".into()) },
                Crumb { label: title.to_owned(), href: None },
            ],
            nav: vec![NavGroup { title: None, items: items.into() }],
            who: Some(visit.who()),
            ..Frame::default()
        }
    }
}

/// Where people get help, as links.
pub fn support(support: &Support) -> Vec<(String, String)> {
    let email = support.email.iter().map(|email| (email.clone(), format!("mailto:{email}")));
    email.chain(support.url.iter().map(|url| (url.clone(), url.clone()))).collect()
}

/// A role in a word.
pub const fn role_word(role: Role) -> &'static str {
    match role {
        Role::Owner => "Owner",
        Role::Developer => "Developer",
        Role::Viewer => "Viewer",
    }
}
