//! A project's keys as a page shows them: sorted, searched, counted; and its events by time.

use std::time::Duration;

use keyward_core::change::KeyChange;
use keyward_core::clock::{Clock, Timestamp};
use keyward_core::key::{Key, Standing};
use keyward_core::store::{EventFilter, KeyFilter, KeyOrder, KeyPart, Page};
use keyward_core::tenancy::Project;
use keyward_core::usage::{UsageBatch, UsageRow};

use super::world::*;
use super::{Fixture, World};

async fn world(fixture: &dyn Fixture) -> World {
    World::new(fixture.open().await, fixture.clock().now())
}

const ORDERS: [KeyOrder; 4] = [KeyOrder::Created, KeyOrder::Name, KeyOrder::Expires, KeyOrder::LastUsed];

fn later(world: &World, seconds: u64) -> Timestamp {
    world.now.saturating_add(Duration::from_secs(seconds))
}

async fn used(world: &World, key: &Key, at: Timestamp, outcome: &str) {
    let row = UsageRow {
        project: key.project,
        key: key.id,
        minute: at.minute(),
        outcome: outcome.into(),
        count: 1,
        first_at: at,
        last_at: at,
        last_address: None,
    };
    let batch = UsageBatch { incarnation: new_number(), sequence: 1, rows: vec![row] };
    world.store.record_usage(&batch).await.unwrap();
}

/// Keys that differ in everything that lists sort by, the oldest first.
async fn keys(world: &World, project: &Project) -> Vec<Key> {
    let made = [
        (Some("beta"), Some(50), Some(5)),
        (None, None, None),
        (Some("Alpha"), Some(30), Some(9)),
        (Some("100% _done_!"), None, Some(2)),
        (Some("alphabet"), Some(40), None),
    ];
    let mut keys = Vec::new();
    for (i, (name, expires, use_at)) in made.into_iter().enumerate() {
        let mut key = world.new_key(project);
        key.name = name.map(Into::into);
        key.expires_at = expires.map(|seconds| later(world, seconds));
        key.created_at = later(world, i as u64);
        world.make(created_key(project, &key)).await;
        if let Some(seconds) = use_at {
            used(world, &key, later(world, seconds), "valid").await;
        }
        keys.push(world.read_key(key.id).await);
    }
    // A refusal is no use.
    used(world, &keys[1], later(world, 60), "expired").await;
    keys
}

async fn names(world: &World, project: &Project, filter: &KeyFilter, order: KeyOrder) -> Vec<String> {
    let part = KeyPart { order, limit: 100, ..Default::default() };
    let list = world.store.sorted_keys(project.id, filter, part).await.unwrap();
    assert_eq!(list.total, list.keys.len() as u64);
    list.keys.into_iter().map(|key| key.name.unwrap_or_else(|| "–".into())).collect()
}

pub async fn keys_are_sorted_each_way_and_cut_into_parts(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    keys(&world, &project).await;
    world.key(&world.project("other").await).await;
    let all = KeyFilter::default();
    let expected = [
        ["alphabet", "100% _done_!", "Alpha", "–", "beta"],
        ["100% _done_!", "Alpha", "alphabet", "beta", "–"],
        ["Alpha", "alphabet", "beta", "100% _done_!", "–"],
        ["Alpha", "beta", "100% _done_!", "alphabet", "–"],
    ];
    for (order, expected) in ORDERS.into_iter().zip(expected) {
        assert_eq!(names(&world, &project, &all, order).await, expected, "{order:?}");
        let mut forth = Vec::new();
        for offset in [0, 2, 4, 6] {
            let part = KeyPart { order, is_reversed: false, offset, limit: 2 };
            let list = world.store.sorted_keys(project.id, &all, part).await.unwrap();
            assert_eq!(list.total, 5);
            forth.extend(list.keys);
        }
        let part = KeyPart { order, is_reversed: true, offset: 0, limit: 100 };
        let mut back = world.store.sorted_keys(project.id, &all, part).await.unwrap().keys;
        back.reverse();
        assert_eq!(forth, back, "{order:?}");
        assert_eq!(forth.len(), 5);
    }
}

pub async fn keys_are_searched_by_a_part_of_the_name_and_by_disuse(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let keys = keys(&world, &project).await;
    let part = |text: &str| KeyFilter { name_part: Some(text.into()), ..Default::default() };
    let cases = [
        ("ALPHA", &["alphabet", "Alpha"][..]),
        ("bet", &["alphabet", "beta"]),
        ("%", &["100% _done_!"]),
        ("_d", &["100% _done_!"]),
        ("!", &["100% _done_!"]),
        ("' OR 1=1 --", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(names(&world, &project, &part(text), KeyOrder::Created).await, expected, "{text}");
    }
    let unused = |seconds| KeyFilter { unused_since: Some(later(&world, seconds)), ..Default::default() };
    // Made before, and granted nothing since.
    assert_eq!(names(&world, &project, &unused(3), KeyOrder::Created).await, ["–"]);
    assert_eq!(
        names(&world, &project, &unused(6), KeyOrder::Created).await,
        ["alphabet", "100% _done_!", "–", "beta"]
    );
    assert_eq!(names(&world, &project, &unused(5), KeyOrder::Name).await, ["100% _done_!", "alphabet", "–"]);
    let page = Page { before: None, limit: 100 };
    let listed = world.store.keys(project.id, &unused(3), page).await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&keys[1]));
    let all_at_once = KeyFilter {
        standing: Some((Standing::Expired, later(&world, 40))),
        name_part: Some("a".into()),
        unused_since: Some(later(&world, 40)),
        ..Default::default()
    };
    assert_eq!(names(&world, &project, &all_at_once, KeyOrder::Expires).await, ["Alpha", "alphabet"]);
}

pub async fn live_keys_are_counted(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let keys = keys(&world, &project).await;
    world.key(&world.project("other").await).await;
    world.change_key(&project, &keys[0], KeyChange::Disabled).await;
    world.change_key(&project, &keys[1], KeyChange::Revoked { reason: None }).await;
    let rotated = KeyChange::Rotated { new: Box::new(world.new_key(&project)), ends_at: later(&world, 20) };
    world.change_key(&project, &keys[3], rotated).await;
    for seconds in [0, 20, 30, 40, 100] {
        let at = later(&world, seconds);
        let page = Page { before: None, limit: 100 };
        let all = world.store.keys(project.id, &KeyFilter::default(), page).await.unwrap();
        let expected = all.iter().filter(|key| key.standing(at).is_live()).count() as u64;
        assert_eq!(world.store.live_keys(project.id, at).await.unwrap(), expected, "after {seconds} s");
    }
    assert_eq!(world.store.live_keys(project.id, world.now).await.unwrap(), 4);
}

pub async fn events_are_cut_by_time(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    for (seconds, outcome) in [(60, "valid"), (120, "expired"), (180, "valid"), (240, "valid")] {
        used(&world, &key, later(&world, seconds), outcome).await;
    }
    let world = World { now: later(&world, 200), ..world };
    world.change_key(&project, &key, KeyChange::Disabled).await;
    let start = fixture.clock().now();
    let at = |seconds| start.saturating_add(Duration::from_secs(seconds));
    let cut = async |from: Option<u64>, to: Option<u64>, of: Option<&Key>| {
        let filter =
            EventFilter { from: from.map(at), to: to.map(at), key: of.map(|key| key.id), ..Default::default() };
        let found = world.store.events(project.id, &filter, None, 100).await.unwrap();
        found.iter().map(|(position, _)| position.at.since(start).as_secs()).collect::<Vec<_>>()
    };
    for of in [None, Some(&key)] {
        assert_eq!(cut(Some(60), None, of).await, [240, 200, 180, 120, 60]);
        assert_eq!(cut(Some(61), Some(200), of).await, [180, 120]);
        assert_eq!(cut(Some(200), Some(201), of).await, [200]);
        assert!(cut(Some(300), None, of).await.is_empty());
        assert!(cut(Some(200), Some(200), of).await.is_empty());
        assert!(cut(None, Some(60), of).await.iter().all(|seconds| *seconds == 0));
    }
}
