//! Organizations, projects, APIs and management keys.

use keyward_core::change::{Change, ManagementKeyChange, OrganizationChange, ProjectChange};
use keyward_core::clock::Clock;
use keyward_core::limits::OwnLimit;
use keyward_core::store::{Page, Read};
use keyward_core::tenancy::{Boundary, TenantState};

use super::world::*;
use super::{Fixture, World};

async fn world(fixture: &dyn Fixture) -> World {
    World::new(fixture.open().await, fixture.clock().now())
}

const ALL: Page = Page { before: None, limit: 1_000 };

pub async fn organizations_change_and_are_listed(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let mut expected = world.organization("first").await;
    let (second, gone) = (world.organization("second").await, world.organization("gone").await);
    let steps = [
        OrganizationChange::Renamed { name: "Acme".into() },
        OrganizationChange::Suspended,
        OrganizationChange::Resumed,
        OrganizationChange::Suspended,
    ];
    for what in steps {
        let entry = world.make(Change::Organization { id: expected.id, what: what.clone() }).await;
        expected.apply(&what, world.now, entry.revision);
        assert_eq!(world.store.organization(expected.id).await.unwrap(), Some(expected.clone()));
    }
    world.make(Change::Organization { id: gone.id, what: OrganizationChange::Deleted }).await;
    let listed = world.store.organizations(ALL).await.unwrap();
    assert_eq!(listed, [second.clone(), expected.clone()]);
    let gone = world.store.organization(gone.id).await.unwrap().unwrap();
    assert_eq!(gone.state, TenantState::Deleted { at: world.now });
    let page = Page { before: Some(second.created_revision), limit: 1 };
    assert_eq!(world.store.organizations(page).await.unwrap(), [expected]);
    let unknown = world.new_organization("unknown");
    assert_eq!(world.store.organization(unknown.id).await.unwrap(), None);
}

pub async fn projects_change_and_are_listed(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let organization = world.organization("acme").await;
    let mut expected = world.project_of(organization.id, "first").await;
    let second = world.project_of(organization.id, "second").await;
    world.project("of another").await;
    let limit_set = |name: &str, limit| ProjectChange::LimitSet { name: name.into(), limit };
    let steps = [
        ProjectChange::Renamed { name: "Reports".into() },
        ProjectChange::PlanSet { plan: "pro".into() },
        ProjectChange::ActiveKeyLimitSet { limit: Some(12) },
        limit_set("requests", Some(OwnLimit { limit: 600, burst: Some(60) })),
        limit_set("credits", Some(OwnLimit { limit: 0, burst: None })),
        limit_set("requests", Some(OwnLimit { limit: 6, burst: None })),
        ProjectChange::AccessSet { is_granted: true },
        ProjectChange::Suspended,
        ProjectChange::Resumed,
        ProjectChange::ActiveKeyLimitSet { limit: None },
        limit_set("requests", None),
        limit_set("never set", None),
        ProjectChange::AccessSet { is_granted: false },
    ];
    for what in steps {
        let entry = world.make(project_change(&expected, what.clone())).await;
        expected.apply(&what, world.now, entry.revision);
        assert_eq!(world.store.project(expected.id).await.unwrap(), Some(expected.clone()));
    }
    assert_eq!(world.store.projects(organization.id, ALL).await.unwrap(), [second.clone(), expected.clone()]);
    let all = |start: Option<&'static str>, page| world.store.all_projects(start, page);
    assert_eq!(all(None, ALL).await.unwrap()[1..], [second.clone(), expected.clone()]);
    let older = Page { before: Some(second.created_revision), limit: 10 };
    assert_eq!(all(None, older).await.unwrap(), std::slice::from_ref(&expected));
    for (start, found) in [("rEPO", 1), ("Reports", 1), ("eports", 0), ("", 3), ("%", 0), ("_", 0)] {
        assert_eq!(all(Some(start), ALL).await.unwrap().len(), found, "{start}");
    }
    let page = Page { before: None, limit: 1 };
    assert_eq!(world.store.projects(organization.id, page).await.unwrap(), std::slice::from_ref(&second));
    world.make(project_change(&second, ProjectChange::Deleted)).await;
    assert_eq!(world.store.projects(organization.id, ALL).await.unwrap(), [expected]);
    assert!(world.store.project(second.id).await.unwrap().unwrap().state.is_deleted());
}

pub async fn apis_keep_their_first_revision(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let before = world.store.apis().await.unwrap();
    let first = world.make(Change::Api { api: Box::new(world.new_api("beta", "v1")) }).await;
    let second = world.make(Change::Api { api: Box::new(world.new_api("beta", "v2")) }).await;
    let third = world.make(Change::Api { api: Box::new(world.new_api("alpha", "v1")) }).await;
    let beta = world.store.api(&api_name("beta")).await.unwrap().unwrap();
    assert_eq!((beta.created_revision, beta.revision), (first.revision, second.revision));
    assert_eq!((beta.source.as_str(), beta.resolved.as_str()), ("v2", "v2 resolved"));
    let Change::Api { api: told } = second.body.change else { panic!("an API") };
    assert_eq!(*told, beta);
    let Read { value, revision } = world.store.apis().await.unwrap();
    assert_eq!(value.len(), before.value.len() + 2);
    let names: Vec<&str> = value.iter().map(|api| api.name.as_str()).collect();
    assert!(names.is_sorted());
    assert_eq!(revision, third.revision);
    assert_eq!(world.store.api(&api_name("gamma")).await.unwrap(), None);
}

pub async fn management_keys_are_found_rotated_and_listed(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let mut narrow = world.new_management_key("narrow");
    narrow.boundary = Boundary::Project(project.id);
    world.make(created_management_key(&narrow)).await;
    let old = world.management_key("ops").await;
    let Read { value, revision } = world.store.management_key_by_digest(&old.digest).await.unwrap();
    assert_eq!((value, revision), (Some(old.clone()), world.revision().await));

    let new = world.new_management_key("ops");
    let what = ManagementKeyChange::Rotated { new: Box::new(new.clone()) };
    let entry = world.make(Change::ManagementKey { id: old.id, what }).await;
    let retired = world.store.management_key(old.id).await.unwrap().unwrap();
    assert!(!retired.is_live(world.now) && retired.revision == entry.revision);
    let made = world.store.management_key_by_digest(&new.digest).await.unwrap().value.unwrap();
    assert_eq!((made.created_revision, made.revision), (entry.revision, entry.revision));
    assert!(made.is_live(world.now));

    let listed = world.store.management_keys(ALL).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|key| key.id).collect();
    assert_eq!(ids, [new.id, old.id, narrow.id]);
    assert_eq!(listed[2].boundary, narrow.boundary);
    let page = Page { before: Some(made.created_revision), limit: 1 };
    assert_eq!(world.store.management_keys(page).await.unwrap()[0].id, old.id);
    world.make(Change::ManagementKey { id: new.id, what: ManagementKeyChange::Revoked }).await;
    assert!(!world.store.management_key(new.id).await.unwrap().unwrap().is_live(world.now));
    let nobody = world.store.management_key_by_digest(&new_digest()).await.unwrap();
    assert_eq!((nobody.value, nobody.revision), (None, world.revision().await));
}
