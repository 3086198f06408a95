//! Several peppers: digests, canaries, retirement.

use std::time::Duration;

use keyward_core::change::{Expect, KeyChange, ProjectChange, Revision};
use keyward_core::clock::Clock;
use keyward_core::store::{Canary, StoreError};

use super::world::*;
use super::{Fixture, World};

async fn world(fixture: &dyn Fixture) -> World {
    World::new(fixture.open().await, fixture.clock().now())
}

pub async fn a_key_has_a_digest_for_each_pepper(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    let head = world.store.head().await.unwrap();
    let newer = new_digest();
    for _ in 0..2 {
        world.store.add_digest(key.id, &newer, 2).await.unwrap();
    }
    assert_eq!(world.store.head().await.unwrap(), head, "a digest is no change");
    for (digest, pepper) in [(key.digest, 1), (newer, 2)] {
        let found = world.store.key_by_digest(&digest).await.unwrap().value.unwrap().key;
        assert_eq!((found.id, found.digest, found.pepper), (key.id, digest, pepper));
    }
    // Neither another's digest nor a digest of nobody.
    let other = world.key(&project).await;
    let taken = world.store.add_digest(other.id, &newer, 2).await;
    assert_eq!(conflict(taken), Expect::Key(other.id, Revision::ZERO));
    let nobody = world.new_key(&project);
    let outcome = world.store.add_digest(nobody.id, &new_digest(), 2).await;
    assert_eq!(conflict(outcome), Expect::Key(nobody.id, Revision::ZERO));
}

fn counts(canaries: &[Canary]) -> Vec<(u8, u64)> {
    canaries.iter().map(|canary| (canary.version, canary.keys)).collect()
}

pub async fn k05_canaries_tell_which_peppers_keys_hang_on(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    assert!(world.store.canaries().await.unwrap().is_empty());
    world.store.add_canary(1, &[1; 32]).await.unwrap();
    world.store.add_canary(1, &[1; 32]).await.unwrap();
    world.store.add_canary(2, &[2; 32]).await.unwrap();
    let other = world.store.add_canary(1, &[9; 32]).await;
    assert!(matches!(other, Err(StoreError::Unavailable(_))), "{other:?}");
    let (project, gone) = (world.project("one").await, world.project("gone").await);
    let keys = [world.key(&project).await, world.key(&project).await, world.key(&project).await];
    world.key(&gone).await;
    assert_eq!(counts(&world.store.canaries().await.unwrap()), [(1, 4), (2, 0)]);
    world.store.add_digest(keys[0].id, &new_digest(), 2).await.unwrap();
    assert_eq!(counts(&world.store.canaries().await.unwrap()), [(1, 3), (2, 1)]);
    world.make(project_change(&gone, ProjectChange::Deleted)).await;
    world.change_key(&project, &keys[1], KeyChange::Revoked { reason: None }).await;
    assert_eq!(counts(&world.store.canaries().await.unwrap()), [(1, 1), (2, 1)]);
    let expires_at = world.now.saturating_add(Duration::from_secs(10));
    world.change_key(&project, &keys[2], KeyChange::ExpirySet { expires_at }).await;
    assert_eq!(counts(&world.store.canaries().await.unwrap()), [(1, 1), (2, 1)]);
    fixture.clock().advance(Duration::from_secs(10));
    let canaries = world.store.canaries().await.unwrap();
    assert_eq!(counts(&canaries), [(1, 0), (2, 1)]);
    assert_eq!(canaries[1].canary, [2; 32]);
}

pub async fn a_pepper_is_retired_with_what_has_a_newer_digest(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let (moved, behind) = (world.key(&project).await, world.key(&project).await);
    world.store.add_canary(1, &[1; 32]).await.unwrap();
    world.store.add_canary(2, &[2; 32]).await.unwrap();
    let newer = new_digest();
    world.store.add_digest(moved.id, &newer, 2).await.unwrap();
    world.store.retire_pepper(1).await.unwrap();
    assert_eq!(counts(&world.store.canaries().await.unwrap()), [(2, 1)]);
    assert!(world.store.key_by_digest(&moved.digest).await.unwrap().value.is_none());
    assert_eq!(world.store.key_by_digest(&newer).await.unwrap().value.unwrap().key.id, moved.id);
    // The only digest of a key stays: the key would be lost for good with it.
    assert_eq!(world.store.key_by_digest(&behind.digest).await.unwrap().value.unwrap().key.id, behind.id);
    world.store.retire_pepper(9).await.unwrap();
}
