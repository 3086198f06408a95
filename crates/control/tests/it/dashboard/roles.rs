//! T04 on pages: what each role may do on the dashboard, address by address. The table here says for every address that
//! changes something who may, and with which form; an address that it does not know fails the test.

use keyward_core::people::Role;

use super::{Address, addresses, target};
use crate::support::{Answer, World};

/// Who may, at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Least {
    Viewer,
    Developer,
    Owner,
    Operator,
}

/// The addresses that change something of others', who may at least, and the form that does it.
const CHANGES: &[(&str, Least, &str)] = &[
    ("/organizations/{organization}/new-project", Least::Owner, "name=New&api=standard"),
    ("/organizations/{organization}/members", Least::Owner, "email=new%40example.com&role=viewer"),
    ("/organizations/{organization}/members/{person}/role", Least::Owner, "role=viewer"),
    ("/organizations/{organization}/members/{person}/remove", Least::Owner, ""),
    ("/organizations/{organization}/invitations/{invitation}/withdraw", Least::Owner, ""),
    ("/organizations/{organization}/settings", Least::Owner, "name=Renamed"),
    ("/organizations/{organization}/management-keys", Least::Owner, "name=one&scopes=keys%3Aread"),
    ("/organizations/{organization}/management-keys/{key}/rotate", Least::Owner, ""),
    ("/organizations/{organization}/management-keys/{key}/revoke", Least::Owner, ""),
    ("/projects/{project}/keys", Least::Developer, "name=new"),
    ("/projects/{project}/keys/regenerate", Least::Developer, ""),
    ("/keys/{key}/rotate", Least::Developer, ""),
    ("/keys/{key}/revoke", Least::Developer, ""),
    ("/keys/{key}/edit", Least::Developer, "name=renamed"),
    ("/keys/{key}/disable", Least::Developer, ""),
    ("/keys/{key}/enable", Least::Developer, ""),
    ("/projects/{project}/limits", Least::Operator, "plan=standard&active_key_limit=7"),
    ("/projects/{project}/settings", Least::Owner, "name=Renamed"),
    ("/projects/{project}/suspend", Least::Operator, ""),
    ("/projects/{project}/resume", Least::Operator, ""),
    ("/projects/{project}/delete", Least::Owner, "name=App"),
    ("/projects/{project}/encryption/destination", Least::Owner, "url=https%3A%2F%2Fexample.com"),
    ("/projects/{project}/encryption/rotate", Least::Owner, ""),
    ("/projects/{project}/encryption/shred", Least::Owner, "name=App"),
    ("/operator/organizations", Least::Operator, "name=New"),
    ("/operator/organizations/{organization}/suspend", Least::Operator, ""),
    ("/operator/organizations/{organization}/resume", Least::Operator, ""),
    ("/operator/organizations/{organization}/delete", Least::Operator, "name=Customer"),
    ("/operator/apis/{api}", Least::Operator, "source=x&act=try"),
    ("/operator/log", Least::Operator, ""),
    ("/operator/people/invite", Least::Operator, "email=op2%40example.com"),
    ("/operator/people/{person}/sign-in-link", Least::Operator, ""),
    ("/operator/people/{person}/operator", Least::Operator, "operator=yes"),
    ("/operator/people/{person}/disable", Least::Operator, ""),
    ("/operator/people/{person}/enable", Least::Operator, ""),
    ("/operator/invitations/{invitation}/withdraw", Least::Operator, ""),
];

/// A contract with all that pages can be about.
const CONTRACT: &str = "schema = 1\nextends = \"standard\"\n[encryption]\nmarker = \"sealed\"\ndata = \"data\"\n\
                        [[routes]]\npath = \"/encrypt\"\nmethods = [\"POST\"]\nencryption = \"encrypt\"\n";

async fn world() -> World {
    World::with_contract("standard", CONTRACT).await
}

/// Addresses whose forms are about whoever sends them, or let somebody in: their own tests show them.
const OF_ONESELF: [&str; 5] = ["/sign-", "/setup/", "/invitations/", "/account", "/unknown"];

fn is_of_oneself(address: &Address) -> bool {
    OF_ONESELF.iter().any(|beginning| address.pattern.starts_with(beginning))
}

fn change_at(address: &Address) -> &'static (&'static str, Least, &'static str) {
    let found = CHANGES.iter().find(|(pattern, ..)| *pattern == address.pattern);
    found.unwrap_or_else(|| panic!("who may change something at {}? Say so in this table", address.pattern))
}

async fn session_of(world: &World, least: Least) -> String {
    let role = match least {
        Least::Operator => return world.first_operator().await.secret.expose().to_owned(),
        Least::Owner => Role::Owner,
        Least::Developer => Role::Developer,
        Least::Viewer => Role::Viewer,
    };
    let email = format!("{}@example.com", role.as_str());
    world.member(&email, role).await.secret.expose().to_owned()
}

fn is_refused(answer: &Answer) -> bool {
    matches!(answer.status.as_u16(), 403 | 404)
}

#[tokio::test]
async fn t04_nobody_changes_on_a_page_what_their_role_does_not_allow() {
    let world = world().await;
    let addresses = addresses(&world).await;
    let mut visitors = Vec::new();
    for least in [Least::Viewer, Least::Developer, Least::Owner] {
        visitors.push((least, session_of(&world, least).await));
    }
    let before = world.revision().await;
    let mut refused = 0;
    for address in addresses.iter().filter(|address| address.is_sent_to && !is_of_oneself(address)) {
        let (pattern, least, form) = change_at(address);
        for (who, session) in visitors.iter().filter(|(who, _)| who < least) {
            let answer = world.submit(session, &address.path, form).await;
            assert!(is_refused(&answer), "{who:?} at {pattern}: {} {}", answer.status, answer.body);
            refused += 1;
        }
        let answer = world.submit("session_made_up", &address.path, form).await;
        assert!(target(&answer).starts_with("/sign-in"), "{pattern}");
    }
    assert!(refused > 60, "{refused}");
    assert_eq!(world.revision().await, before, "something was changed");
}

#[tokio::test]
async fn t04_every_role_changes_on_pages_what_it_may() {
    let patterns: Vec<String> = {
        let world = world().await;
        let addresses = addresses(&world).await;
        let changing = addresses.iter().filter(|address| address.is_sent_to && !is_of_oneself(address));
        changing.map(|address| address.pattern.clone()).collect()
    };
    for pattern in patterns {
        // Each in a world of its own: many of them end what others are about.
        let world = world().await;
        let addresses = addresses(&world).await;
        let address = addresses.iter().find(|address| address.pattern == pattern).unwrap();
        let (_, least, form) = change_at(address);
        let session = session_of(&world, *least).await;
        let answer = world.submit(&session, &address.path, form).await;
        let status = answer.status.as_u16();
        assert!(matches!(status, 200 | 303 | 409 | 422), "{least:?} at {pattern}: {status} {}", answer.body);
    }
}

#[tokio::test]
async fn t04_whoever_has_no_place_finds_nothing() {
    let world = world().await;
    let addresses = addresses(&world).await;
    let (other, _) = world.another_customer("standard").await;
    let to = keyward_core::people::InvitedTo::Organization { id: other.parse().unwrap(), role: Role::Owner };
    let asked = keyward_control::Asked::by_operator("test");
    let link = world.control.invite(&asked, to, "stranger@example.com").await.unwrap().secret.secret().unwrap();
    let password = keyward_core::secret::Secret::new("tangerine boat seven".into());
    let visitor = keyward_control::use_cases::people::Visitor::default();
    let stranger = world.control.accept_invitation_as_new(link.expose(), "Stranger", &password, &visitor).await;
    let session = stranger.unwrap().secret.expose().to_owned();
    let before = world.revision().await;
    let mut asked_for = 0;
    for address in addresses.iter().filter(|address| !is_of_oneself(address) && address.pattern != "/") {
        if address.is_shown {
            let answer = world.open(&session, &address.path).await;
            assert_eq!(answer.status.as_u16(), 404, "{}: {}", address.pattern, answer.body);
            asked_for += 1;
        }
        if address.is_sent_to {
            let (pattern, _, form) = change_at(address);
            let answer = world.submit(&session, &address.path, form).await;
            assert_eq!(answer.status.as_u16(), 404, "{pattern}: {}", answer.body);
            asked_for += 1;
        }
    }
    assert!(asked_for > 50, "{asked_for}");
    assert_eq!(world.revision().await, before, "something was changed");
}

#[tokio::test]
async fn t04_a_viewer_sees_every_page_of_their_organization() {
    let world = world().await;
    let addresses = addresses(&world).await;
    let session = session_of(&world, Least::Viewer).await;
    let pages = ["keys", "usage", "events", "events.csv", "events.json", "limits", "settings"];
    let mut pages: Vec<String> = pages.iter().map(|page| format!("/projects/{{project}}/{page}")).collect();
    pages.extend(["", "/members", "/settings"].map(|page| format!("/organizations/{{organization}}{page}")));
    for pattern in pages {
        let address = addresses.iter().find(|address| address.pattern == pattern).expect("an address");
        let answer = world.open(&session, &address.path).await;
        assert_eq!(answer.status.as_u16(), 200, "{pattern}: {}", answer.body);
        assert!(!answer.body.contains("type=\"submit\">Revoke"), "{pattern}");
    }
}
