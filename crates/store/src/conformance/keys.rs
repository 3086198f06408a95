//! Keys: their states, their context, their lists.

use std::time::Duration;

use keyward_core::change::{Expect, KeyChange, ProjectChange};
use keyward_core::clock::Clock;
use keyward_core::key::{KeyState, Standing};
use keyward_core::scope::Scopes;
use keyward_core::store::{KeyFilter, Page, Read};

use super::world::*;
use super::{Fixture, World};

async fn world(fixture: &dyn Fixture) -> World {
    World::new(fixture.open().await, fixture.clock().now())
}

const ALL: Page = Page { before: None, limit: 1_000 };

pub async fn a_key_is_read_by_digest_with_its_context(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    let Read { value, revision } = world.store.key_by_digest(&key.digest).await.unwrap();
    let found = value.unwrap();
    assert_eq!((found.key, found.project.clone()), (key.clone(), project.clone()));
    assert_eq!(Some(found.organization), world.store.organization(project.organization).await.unwrap());
    assert_eq!(revision, world.revision().await);

    world.make(project_change(&project, ProjectChange::Suspended)).await;
    let Read { value, revision } = world.store.key_by_digest(&key.digest).await.unwrap();
    assert!(!value.unwrap().project.state.is_active());
    assert_eq!(revision, world.revision().await);

    // Nothing found stands at a revision too: a cache may keep even that.
    let Read { value, revision } = world.store.key_by_digest(&new_digest()).await.unwrap();
    assert!(value.is_none());
    assert_eq!(revision, world.revision().await);
    assert_eq!(world.store.key(world.new_key(&project).id).await.unwrap(), None);
}

pub async fn a_key_passes_through_its_states_as_core_says(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let mut expected = world.key(&project).await;
    let steps = [
        KeyChange::Renamed { name: Some("renamed".into()) },
        KeyChange::Rescoped { scopes: Scopes::none() },
        KeyChange::AddressesSet { addresses: vec!["::1/128".parse().unwrap()] },
        KeyChange::MetadataSet { metadata: serde_json::Map::new() },
        KeyChange::ExpirySet { expires_at: world.now.saturating_add(Duration::from_secs(60)) },
        KeyChange::Disabled,
        KeyChange::Enabled,
        KeyChange::Revoked { reason: Some("leaked".into()) },
    ];
    for what in steps {
        let entry = world.make(key_change(&project, expected.id, what.clone())).await;
        expected.apply(&what, world.now, entry.revision);
        assert_eq!(world.read_key(expected.id).await, expected);
    }
    assert_eq!(expected.standing(world.now), Standing::Revoked);
}

pub async fn a_rotation_makes_the_new_key_as_well(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let old = world.key(&project).await;
    let ends_at = world.now.saturating_add(Duration::from_secs(3_600));
    let mut new = world.new_key(&project);
    new.lineage = old.lineage;
    let what = KeyChange::Rotated { new: Box::new(new.clone()), ends_at };
    let entry = world.make(key_change(&project, old.id, what)).await;
    let old = world.read_key(old.id).await;
    assert_eq!(old.state, KeyState::Retiring { ends_at, replaced_by: new.id });
    let made = world.read_key(new.id).await;
    assert_eq!((made.created_revision, made.revision), (entry.revision, entry.revision));
    assert_eq!(made.lineage, old.id);
    // The log tells followers the same as the row.
    let KeyChange::Rotated { new: told, .. } = key_of(&entry.body.change) else { panic!("rotated") };
    assert_eq!(**told, made);
    let found = world.store.key_by_digest(&new.digest).await.unwrap().value.unwrap();
    assert_eq!(found.key, made);
}

fn key_of(change: &keyward_core::change::Change) -> &KeyChange {
    match change {
        keyward_core::change::Change::Key { what, .. } => what,
        other => panic!("a key's change was expected: {other:?}"),
    }
}

pub async fn a_deleted_project_keeps_its_rows(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    world.make(project_change(&project, ProjectChange::Deleted)).await;
    let found = world.store.key_by_digest(&key.digest).await.unwrap().value.unwrap();
    assert!(found.project.state.is_deleted());
    assert_eq!(found.key, key);
    assert!(world.store.project(project.id).await.unwrap().unwrap().state.is_deleted());
    assert!(world.store.projects(project.organization, ALL).await.unwrap().is_empty());
}

pub async fn live_keys_are_those_that_open(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let (project, other) = (world.project("one").await, world.project("other").await);
    let later = world.now.saturating_add(Duration::from_secs(60));
    world.key(&other).await;
    // Live: an active one, and one whose overlap still runs, with its successor.
    world.key(&project).await;
    let retiring = world.key(&project).await;
    let new = Box::new(world.new_key(&project));
    world.change_key(&project, &retiring, KeyChange::Rotated { new, ends_at: later }).await;
    // Not live: disabled, expired, revoked.
    let disabled = world.key(&project).await;
    world.change_key(&project, &disabled, KeyChange::Disabled).await;
    let expired = world.key(&project).await;
    world.change_key(&project, &expired, KeyChange::ExpirySet { expires_at: world.now }).await;
    let revoked = world.key(&project).await;
    world.change_key(&project, &revoked, KeyChange::Revoked { reason: None }).await;

    let below = |limit| Expect::LiveKeysBelow { project: project.id, limit };
    let touch = || vec![key_change(&project, disabled.id, KeyChange::Renamed { name: None })];
    assert_eq!(conflict(world.expecting(vec![below(3)], touch()).await), below(3));
    world.expecting(vec![below(4)], touch()).await.unwrap();
    // The time is the proposal's: once the overlap has ended, one less is live.
    let world = World { now: later, ..world };
    world.expecting(vec![below(3)], touch()).await.unwrap();
    assert_eq!(conflict(world.expecting(vec![below(2)], touch()).await), below(2));
}

pub async fn lists_filter_by_standing_and_name(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let soon = world.now.saturating_add(Duration::from_secs(60));
    let mut named = world.new_key(&project);
    named.name = Some("only me".into());
    world.make(created_key(&project, &named)).await;
    let retiring = world.key(&project).await;
    let new = world.new_key(&project);
    let rotate = KeyChange::Rotated { new: Box::new(new.clone()), ends_at: soon };
    world.change_key(&project, &retiring, rotate).await;
    let disabled = world.key(&project).await;
    world.change_key(&project, &disabled, KeyChange::Disabled).await;
    let expiring = world.key(&project).await;
    world.change_key(&project, &expiring, KeyChange::ExpirySet { expires_at: soon }).await;
    let revoked = world.key(&project).await;
    world.change_key(&project, &revoked, KeyChange::Revoked { reason: None }).await;
    let off_and_expiring = world.key(&project).await;
    world.change_key(&project, &off_and_expiring, KeyChange::ExpirySet { expires_at: soon }).await;
    world.change_key(&project, &off_and_expiring, KeyChange::Disabled).await;

    let all = world.store.keys(project.id, &KeyFilter::default(), ALL).await.unwrap();
    assert_eq!(all.len(), 7);
    for now in [world.now, soon] {
        let mut seen = 0;
        for standing in Standing::ALL {
            let filter = KeyFilter { standing: Some((standing, now)), name: None, ..Default::default() };
            let found = world.store.keys(project.id, &filter, ALL).await.unwrap();
            let expected: Vec<_> = all.iter().filter(|key| key.standing(now) == standing).cloned().collect();
            assert_eq!(found, expected, "{standing} at {now}");
            seen += found.len();
        }
        assert_eq!(seen, all.len());
    }
    let filter =
        KeyFilter { standing: Some((Standing::Active, world.now)), name: named.name.clone(), ..Default::default() };
    let found = world.store.keys(project.id, &filter, ALL).await.unwrap();
    assert_eq!(found.iter().map(|key| key.id).collect::<Vec<_>>(), [named.id]);
    assert!(
        world.store.keys(world.project("other").await.id, &KeyFilter::default(), ALL).await.unwrap().is_empty()
    );
}

pub async fn lists_go_page_by_page_newest_first(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(world.key(&project).await.id);
    }
    made.reverse();
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = Page { before, limit: 3 };
        let part = world.store.keys(project.id, &KeyFilter::default(), page).await.unwrap();
        let Some(last) = part.last() else { break };
        assert!(part.len() <= 3);
        before = Some(last.created_revision);
        seen.extend(part.iter().map(|key| key.id));
        // One made meanwhile is newer: it does not disturb the pages.
        world.key(&project).await;
    }
    assert_eq!(seen, made);
}
