//! Data keys: made once, rotated, shredded for ever, wrapped anew, and gone from the store when they are shredded.

use keyward_core::change::{Change, DataKeyChange, Expect, ProjectChange, Revision};
use keyward_core::clock::Clock;
use keyward_core::data_key::DataKeyId;
use keyward_core::data_keyring::DataKeyState;
use keyward_core::key_encryption::{KekVersion, WhichDataKey, Wrapped};
use keyward_core::store::{LogVerdict, StoreError, WrappedDataKey};
use keyward_core::tenancy::Project;

use super::world::*;
use super::{Fixture, World};

const FIRST: KekVersion = KekVersion(1);
const SECOND: KekVersion = KekVersion(2);

async fn world(fixture: &dyn Fixture) -> World {
    World::new(fixture.open().await, fixture.clock().now())
}

fn wrapped(version: KekVersion, filling: u8) -> Wrapped {
    Wrapped { version, bytes: vec![filling; 61] }
}

fn created(id: DataKeyId, filling: u8) -> DataKeyChange {
    DataKeyChange::Created { id, wrapped: Some(wrapped(FIRST, filling)) }
}

fn rotated(id: DataKeyId, filling: u8) -> DataKeyChange {
    DataKeyChange::Rotated { id, wrapped: Some(wrapped(FIRST, filling)) }
}

fn of(project: &Project, what: DataKeyChange) -> Change {
    Change::DataKey { of: project_ref(project), what }
}

fn which(project: &Project, id: DataKeyId) -> WhichDataKey {
    WhichDataKey { project: project.id, id }
}

pub async fn a_data_key_is_made_rotated_and_shredded(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let (project, other) = (world.project("one").await, world.project("other").await);
    let store = &world.store;
    assert_eq!(store.data_keyring(project.id).await.unwrap(), None);
    let (first, second) = (new_data_key_id(), new_data_key_id());
    let made = world.make(of(&project, created(first, 1))).await;
    world.make(of(&project, rotated(second, 2))).await;
    let ring = store.data_keyring(project.id).await.unwrap().unwrap();
    assert_eq!((ring.created_revision, ring.revision), (made.revision, made.revision.next()));
    assert_eq!(ring.current().map(|key| key.id), Some(second));
    assert_eq!(ring.key(first).unwrap().state, DataKeyState::OpensOnly { since: world.now });
    assert_eq!(store.wrapped_data_key(which(&project, first)).await.unwrap(), Some(wrapped(FIRST, 1)));
    assert_eq!(store.wrapped_data_key(which(&other, first)).await.unwrap(), None, "another project's");
    world.make(of(&project, DataKeyChange::Shredded { keys: vec![first, second] })).await;
    for id in [first, second] {
        assert_eq!(store.wrapped_data_key(which(&project, id)).await.unwrap(), None);
    }
    let ring = store.data_keyring(project.id).await.unwrap().unwrap();
    assert!(ring.living().next().is_none() && ring.keys.len() == 2);
    // It begins anew; what was shredded stays so.
    let third = new_data_key_id();
    world.make(of(&project, created(third, 3))).await;
    let ring = store.data_keyring(project.id).await.unwrap().unwrap();
    assert_eq!(ring.current().map(|key| key.id), Some(third));
    let shredded_again = world.propose(vec![of(&project, DataKeyChange::Shredded { keys: vec![first] })]).await;
    assert_eq!(conflict(shredded_again), Expect::DataKeys(project.id, Revision::ZERO));
    assert_eq!(store.data_key_counts().await.unwrap(), [(FIRST, 1)]);
    let LogVerdict::Intact { .. } = store.verify_log(&[]).await.unwrap() else { panic!("the log is broken") };
}

pub async fn of_many_first_data_keys_at_once_one_is_made(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let making = (0..32).map(|number| {
        let (world, project) = (world.clone(), project.clone());
        tokio::spawn(async move {
            let expect = vec![Expect::DataKeys(project.id, Revision::ZERO)];
            world.expecting(expect, vec![of(&project, created(new_data_key_id(), number))]).await.is_ok()
        })
    });
    let mut made = 0;
    for making in making.collect::<Vec<_>>() {
        made += usize::from(making.await.unwrap());
    }
    assert_eq!(made, 1);
    let ring = world.store.data_keyring(project.id).await.unwrap().unwrap();
    assert_eq!(ring.keys.len(), 1);
    assert_eq!(world.store.data_key_counts().await.unwrap(), [(FIRST, 1)]);
    // Who saw another state is refused, whatever is to happen.
    for stale in [Revision::ZERO, Revision(ring.revision.0 - 1)] {
        let expect = vec![Expect::DataKeys(project.id, stale)];
        let rotation = world.expecting(expect, vec![of(&project, rotated(new_data_key_id(), 9))]).await;
        assert_eq!(conflict(rotation), Expect::DataKeys(project.id, stale));
    }
    let second_first = world.propose(vec![of(&project, created(new_data_key_id(), 9))]).await;
    assert_eq!(conflict(second_first), Expect::DataKeys(project.id, Revision::ZERO));
}

pub async fn c07_no_log_holds_a_data_key(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let id = new_data_key_id();
    let entry = world.make(of(&project, created(id, 0xa7))).await;
    world.make(of(&project, DataKeyChange::Shredded { keys: vec![id] })).await;
    let entries = world.store.changes_since(Revision(entry.revision.0 - 1), 10).await.unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].body.change, of(&project, DataKeyChange::Created { id, wrapped: None }));
    let text = serde_json::to_string(&entries[0].body).unwrap();
    assert!(!text.contains("167"), "{text}");
}

pub async fn c04_a_data_key_is_wrapped_anew_where_it_still_stands_so(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let store = &world.store;
    let ids = [new_data_key_id(), new_data_key_id(), new_data_key_id()];
    world.make(of(&project, created(ids[0], 0))).await;
    world.make(of(&project, rotated(ids[1], 1))).await;
    world.make(of(&project, rotated(ids[2], 2))).await;
    let head = store.head().await.unwrap();
    // In parts, in one order, whichever it is.
    let first = store.data_keys_under(FIRST, None, 2).await.unwrap();
    let rest = store.data_keys_under(FIRST, Some(first[1].which.id), 2).await.unwrap();
    assert_eq!((first.len(), rest.len()), (2, 1));
    assert!(!store.retire_encryption_key(FIRST).await.unwrap(), "three need it");
    for (number, WrappedDataKey { which, wrapped: old }) in first.into_iter().chain(rest).enumerate() {
        let new = wrapped(SECOND, 10 + number as u8);
        assert!(store.rewrap_data_key(which, &old, &new).await.unwrap());
        assert!(!store.rewrap_data_key(which, &old, &wrapped(SECOND, 99)).await.unwrap(), "it stands otherwise");
        assert_eq!(store.wrapped_data_key(which).await.unwrap(), Some(new));
    }
    assert_eq!(store.head().await.unwrap(), head, "wrapping anew is no change");
    assert_eq!(store.data_key_counts().await.unwrap(), [(SECOND, 3)]);
    assert!(store.retire_encryption_key(FIRST).await.unwrap());
    assert!(store.retire_encryption_key(FIRST).await.unwrap(), "again is no harm");
    // Nothing is wrapped under it any more: a node that is behind must not lose a key by it.
    let late = world.propose(vec![of(&project, rotated(new_data_key_id(), 5))]).await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
    let back = store.rewrap_data_key(which(&project, ids[0]), &wrapped(SECOND, 10), &wrapped(FIRST, 1)).await;
    assert!(matches!(back, Err(StoreError::Unavailable(_))), "{back:?}");
    let new = DataKeyChange::Rotated { id: new_data_key_id(), wrapped: Some(wrapped(SECOND, 6)) };
    world.make(of(&project, new)).await;
}

pub async fn a_destination_is_kept_with_its_project(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    for destination in [Some("https://api.example.com/v1".to_owned()), None] {
        world
            .make(project_change(&project, ProjectChange::DestinationSet { destination: destination.clone() }))
            .await;
        assert_eq!(world.store.project(project.id).await.unwrap().unwrap().destination, destination);
    }
}
