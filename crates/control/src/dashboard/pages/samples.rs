//! What holds for every page, seen on samples of it that each page's own file gives (`samples()`): one first heading,
//! nothing that the content policy would refuse, ids once, every field labelled, what people wrote as text alone, and small.
//! Beside the rules stand the things that samples are made of: names that are evil, long, or written from right to left.
//!
//! The rules read what maud wrote, which quotes every attribute; a real browser and axe look at the pages in the
//! end-to-end tests.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use keyward_core::change::Revision;
use keyward_core::clock::Timestamp;
use keyward_core::id::{InvitationId, ManagementKeyId, OrganizationId, PersonId, ProjectId, SessionId};
use keyward_core::people::{Invitation, InvitationState, InvitedTo, Membership, Person, PersonState, Role};
use keyward_core::secret::Digest;
use keyward_core::session::{Session, SignedInBy};
use keyward_core::tenancy::{Boundary, Environment, ManagementKey, Organization, Project, TenantState};

use super::super::answer::Page;
use super::super::place::OrganizationPlace;
use super::super::visit::Visit;
use crate::use_cases::people::{Current, Visitor};
use crate::use_cases::{SeenPlan, SeenProject};

/// A name that would run as a script and end every attribute, if it were anything but text.
pub const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;";
/// A name without a place to break it.
pub const LONG: &str =
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft-and-no-space-at-all";
/// A name written from right to left, and pictures.
pub const RIGHT_TO_LEFT: &str = "שלום عليكم 🗝️👩🏽‍💻";
/// All of them.
pub const NAMES: [&str; 4] = ["Acme", EVIL, LONG, RIGHT_TO_LEFT];

/// The moment that samples are seen at.
pub const NOW: Timestamp = Timestamp::from_millis(1_795_218_680_000);

/// A moment before [`NOW`].
pub fn hours_ago(hours: i64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() - hours * 3_600_000)
}

/// A person with two memberships; `number` tells them apart.
pub fn person(number: u128, name: &str, is_operator: bool) -> Person {
    let member = |organization, role| Membership {
        organization: OrganizationId::from_u128(organization),
        role,
        joined_at: hours_ago(30 * 24),
    };
    Person {
        id: PersonId::from_u128(number),
        email: format!("person{number}@example.com"),
        name: name.to_owned(),
        is_operator,
        memberships: vec![member(1, Role::Owner), member(2, Role::Viewer)],
        identities: Vec::new(),
        state: PersonState::Active,
        created_at: hours_ago(30 * 24),
        created_revision: Revision::ZERO,
        revision: Revision::ZERO,
    }
}

/// A session of a person.
pub fn session(number: u128, browser: &str) -> Session {
    Session {
        id: SessionId::from_u128(number),
        person: PersonId::from_u128(1),
        digest: Digest::from_bytes([7; 32]),
        signed_in_by: SignedInBy::Password,
        created_at: hours_ago(5),
        seen_at: hours_ago(1),
        ends_at: Timestamp::from_millis(NOW.as_millis() + 3_600_000),
        address: Some(IpAddr::from([192, 0, 2, 7])),
        browser: browser.to_owned(),
    }
}

/// Somebody who is signed in.
pub fn visit(name: &str, is_operator: bool) -> Visit {
    let current = Current { person: Arc::new(person(1, name, is_operator)), session: session(1, "A browser") };
    Visit { current, visitor: Visitor::default() }
}

/// A management key of the first organization.
pub fn management_key(number: u128, name: &str) -> ManagementKey {
    ManagementKey {
        id: ManagementKeyId::from_u128(number),
        name: name.to_owned(),
        hint: "mgmt_…abcd".into(),
        digest: Digest::from_bytes([9; 32]),
        scopes: Role::Owner.scopes(),
        boundary: Boundary::Organization(OrganizationId::from_u128(1)),
        minted_by: Some(PersonId::from_u128(1)),
        created_at: hours_ago(50),
        expires_at: None,
        revoked_at: (number == 2).then_some(NOW),
        created_revision: Revision::ZERO,
        revision: Revision::ZERO,
    }
}

/// An open invitation.
pub fn invitation(number: u128, to: InvitedTo, email: &str) -> Invitation {
    Invitation {
        id: InvitationId::from_u128(number),
        invited_to: to,
        email: email.to_owned(),
        digest: Digest::from_bytes([8; 32]),
        invited_by: Some(PersonId::from_u128(1)),
        created_at: hours_ago(2),
        expires_at: Timestamp::from_millis(NOW.as_millis() + 6 * 86_400_000),
        state: InvitationState::Open,
        created_revision: Revision::ZERO,
        revision: Revision::ZERO,
    }
}

/// An organization.
pub fn organization(number: u128, name: &str) -> Organization {
    Organization {
        id: OrganizationId::from_u128(number),
        name: name.to_owned(),
        created_at: hours_ago(60 * 24),
        state: TenantState::Active,
        created_revision: Revision::ZERO,
        revision: Revision::ZERO,
    }
}

/// The place of an organization that `visit` is at.
pub fn organization_place(visit: &Visit, name: &str) -> OrganizationPlace {
    let organization = organization(1, name);
    OrganizationPlace { asked: visit.in_organization(organization.id), organization }
}

/// A project of the standard contract.
pub fn project(number: u128, name: &str) -> SeenProject {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/standard.toml");
    let source = std::fs::read_to_string(path).unwrap();
    let presets = keyward_core::contract::Presets::new([("standard".to_owned(), source.clone())]);
    let contract = Arc::new(keyward_core::contract::Contract::read(&source, &presets).unwrap());
    let project = Project {
        id: ProjectId::from_u128(number),
        organization: OrganizationId::from_u128(1),
        api: "standard".parse().unwrap(),
        name: name.to_owned(),
        environment: Environment::Live,
        plan: "standard".into(),
        active_key_limit: None,
        limits: Default::default(),
        is_granted: false,
        destination: None,
        state: TenantState::Active,
        created_at: hours_ago(24),
        created_revision: Revision::ZERO,
        revision: Revision::ZERO,
    };
    SeenProject {
        project,
        organization: organization(1, "Acme"),
        noun: "project".into(),
        contract,
        active_key_limit: Some(10),
        active_keys: 1_234,
        plan: SeenPlan { name: "standard".into(), title: name.to_owned(), features: vec![name.to_owned()] },
        has_access: true,
    }
}

/// Every page's samples, by the page's file: each page adds its line.
fn all() -> Vec<(&'static str, Vec<(&'static str, Page)>)> {
    vec![
        ("forgotten", super::forgotten::samples()),
        ("account", super::account::samples()),
        ("encryption", super::encryption::samples()),
        ("events", super::events::samples()),
        ("home", super::home::samples()),
        ("invitation", super::invitation::samples()),
        ("keys", super::keys::samples::samples()),
        ("limits", super::limits::samples()),
        ("members", super::members::samples()),
        ("new_project", super::new_project::samples()),
        ("openid", super::openid::samples()),
        ("operator/apis", super::operator::apis::samples()),
        ("operator/log", super::operator::log::samples()),
        ("operator/nodes", super::operator::nodes::samples()),
        ("operator/organizations", super::operator::organizations::samples()),
        ("operator/people", super::operator::people::samples()),
        ("operator/projects", super::operator::projects::samples()),
        ("organization_settings", super::organization_settings::samples()),
        ("settings", super::settings::samples()),
        ("setup", super::setup::samples()),
        ("shown_once", super::shown_once::samples()),
        ("sign_in", super::sign_in::samples()),
        ("sign_in_link", super::sign_in_link::samples()),
        ("usage", super::usage::samples()),
    ]
}

/// A tag that opens, as it stands in a page.
struct Tag<'a> {
    name: &'a str,
    attributes: Vec<(&'a str, &'a str)>,
}

impl Tag<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(found, _)| *found == name).map(|(_, value)| *value)
    }
}

/// The tags that open, in order.
fn tags(page: &str) -> Vec<Tag<'_>> {
    let starts = page.match_indices('<').map(|(at, _)| &page[at + 1..]);
    starts.filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic())).map(tag).collect()
}

fn tag(rest: &str) -> Tag<'_> {
    let ends_name = |c: char| c.is_whitespace() || c == '>' || c == '=';
    let (name, mut rest) = rest.split_at(rest.find(ends_name).unwrap_or(rest.len()));
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() || rest.starts_with('>') {
            return Tag { name, attributes };
        }
        let (attribute, after) = rest.split_at(rest.find(ends_name).unwrap_or(rest.len()));
        let value = after.strip_prefix("=\"").and_then(|quoted| quoted.split_once('"'));
        attributes.push((attribute, value.map_or("", |(value, _)| value)));
        rest = value.map_or(after, |(_, after)| after);
    }
}

/// What is wrong with a page.
fn faults(page: &str) -> Vec<String> {
    let tags = tags(page);
    let mut faults = Vec::new();
    if tags.iter().filter(|tag| tag.name == "h1").count() != 1 {
        faults.push("it has not exactly one first heading".to_owned());
    }
    if page.len() >= 100_000 {
        faults.push(format!("it is {} bytes long", page.len()));
    }
    refused_by_the_policy(&tags, &mut faults);
    unlabelled(&tags, &mut faults);
    faults
}

fn refused_by_the_policy(tags: &[Tag<'_>], faults: &mut Vec<String>) {
    for tag in tags {
        let runs = tag.attributes.iter().any(|(name, _)| name.starts_with("on") || *name == "style");
        let is_foreign = match tag.name {
            "script" => !tag.get("src").is_some_and(|src| src.starts_with("/assets/")),
            "style" | "img" | "iframe" | "object" | "base" => true,
            _ => false,
        };
        if runs || is_foreign {
            faults.push(format!("the content policy would refuse <{}>", tag.name));
        }
        let leads = [tag.get("href"), tag.get("action"), tag.get("formaction")].into_iter().flatten();
        for target in leads.filter(|target| {
            let is_own = target.starts_with(['/', '#', '?']) && !target.starts_with("//");
            !is_own && !target.starts_with("https://") && !target.starts_with("mailto:")
        }) {
            faults.push(format!("{target} leads to nothing good"));
        }
        if tag.name == "form" && !tag.get("action").is_some_and(|action| action.starts_with('/')) {
            faults.push("a form does not say where it is sent to".into());
        }
    }
}

fn unlabelled(tags: &[Tag<'_>], faults: &mut Vec<String>) {
    let mut ids = BTreeSet::new();
    for id in tags.iter().filter_map(|tag| tag.get("id")) {
        if !ids.insert(id) {
            faults.push(format!("the id {id} stands twice"));
        }
    }
    let labels: Vec<&str> = tags.iter().filter_map(|tag| tag.get("for")).collect();
    for tag in tags {
        let is_field = match tag.name {
            "select" | "textarea" => true,
            "input" => !matches!(tag.get("type"), Some("hidden" | "submit")),
            _ => false,
        };
        let is_named = tag.get("aria-label").is_some()
            || tag.get("aria-labelledby").is_some()
            || tag.get("id").is_some_and(|id| labels.contains(&id));
        if is_field && !is_named {
            faults.push(format!("nothing labels {:?}", tag.get("name")));
        }
        let refers = ["aria-describedby", "aria-labelledby", "for", "data-copies", "list"];
        for id in refers.iter().filter_map(|name| tag.get(name)).flat_map(str::split_whitespace) {
            if !ids.contains(id) {
                faults.push(format!("{id} is named and is not there"));
            }
        }
    }
}

#[test]
fn w02_every_page_keeps_to_the_rules_whatever_people_wrote() {
    let mut broken = Vec::new();
    for (page, samples) in all() {
        assert!(!samples.is_empty(), "{page} has no sample");
        for (sample, drawn) in samples {
            broken.extend(faults(&drawn.text()).into_iter().map(|fault| format!("{page}, {sample}: {fault}")));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_rules_find_what_breaks_them() {
    let page = |body: &str| format!("<!DOCTYPE html><html><body><h1>A</h1>{body}</body></html>");
    assert_eq!(faults(&page("<p>fine</p>")), Vec::<String>::new());
    for broken in [
        "<h1>B</h1>",
        "<p style=\"color:red\">x</p>",
        "<p onclick=\"x()\">x</p>",
        "<script>alert(1)</script>",
        "<script src=\"https://evil.example/x.js\"></script>",
        "<style>p{}</style>",
        "<img src=\"x\">",
        "<p id=\"a\"></p><p id=\"a\"></p>",
        "<input name=\"x\" id=\"x\">",
        "<label for=\"y\">y</label>",
        "<a href=\"javascript:alert(1)\">x</a>",
        "<a href=\"//evil.example\">x</a>",
        "<form method=\"post\"></form>",
        &"x".repeat(100_000),
    ] {
        assert_eq!(faults(&page(broken)).len(), 1, "{:.60} {:?}", broken, faults(&page(broken)));
    }
    let labelled =
        page("<label for=\"x\">X</label><input id=\"x\" aria-describedby=\"h\"><span id=\"h\">hint</span>");
    assert_eq!(faults(&labelled), Vec::<String>::new());
}
