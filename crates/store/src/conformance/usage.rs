//! Folded uses, and the event log that they share with changes.

use std::time::Duration;

use keyward_core::change::KeyChange;
use keyward_core::clock::{Clock, Timestamp};
use keyward_core::id::KeyId;
use keyward_core::key::Key;
use keyward_core::store::{EventFilter, EventPosition};
use keyward_core::usage::{Event, KeyUsage, UsageBatch, UsageRow};

use super::world::*;
use super::{Fixture, World};

async fn world(fixture: &dyn Fixture) -> World {
    World::new(fixture.open().await, fixture.clock().now())
}

fn after(at: Timestamp, seconds: u64) -> Timestamp {
    at.saturating_add(Duration::from_secs(seconds))
}

fn uses(key: &Key, outcome: &str, count: u64, (first_at, last_at): (Timestamp, Timestamp)) -> UsageRow {
    UsageRow {
        key: key.id,
        project: key.project,
        minute: first_at.minute(),
        outcome: outcome.into(),
        count,
        first_at,
        last_at,
        last_address: Some([192, 0, 2, count as u8].into()),
    }
}

async fn record(world: &World, incarnation: u128, sequence: u64, rows: Vec<UsageRow>) {
    world.store.record_usage(&UsageBatch { incarnation, sequence, rows }).await.unwrap();
}

pub async fn q03_a_batch_counts_once(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    let row = uses(&key, "valid", 3, (world.now, world.now));
    let run = new_number();
    for _ in 0..3 {
        record(&world, run, 2, vec![row.clone()]).await;
    }
    // Out of order, and by another run of the node: each is a batch of its own.
    record(&world, run, 1, vec![row.clone()]).await;
    record(&world, new_number(), 2, vec![row.clone()]).await;
    let rows = world.store.usage(project.id, world.now.minute(), after(world.now, 60)).await.unwrap();
    assert_eq!(rows, [UsageRow { count: 9, ..row }]);
}

pub async fn counts_add_up_and_last_use_never_goes_back(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let (key, unused) = (world.key(&project).await, world.key(&project).await);
    let start = world.now.minute();
    let run = new_number();
    record(&world, run, 1, vec![uses(&key, "valid", 5, (after(start, 10), after(start, 20)))]).await;
    let refused = uses(&key, "revoked", 2, (after(start, 40), after(start, 41)));
    // Late: its uses lie before those already counted, and one row twice in a batch.
    let late = uses(&key, "valid", 1, (after(start, 5), after(start, 6)));
    record(&world, run, 2, vec![late.clone(), refused.clone(), late]).await;
    let rows = world.store.usage(project.id, start, after(start, 60)).await.unwrap();
    let valid = rows.iter().find(|row| row.outcome == "valid").unwrap();
    assert_eq!((valid.count, valid.first_at, valid.last_at), (7, after(start, 5), after(start, 20)));
    assert_eq!(valid.last_address, Some([192, 0, 2, 5].into()));
    let stranger = KeyId::from_u128(new_number());
    let known = world.store.key_usage(&[unused.id, key.id, stranger, key.id]).await.unwrap();
    let used = KeyUsage { last_used_at: Some(after(start, 20)), granted: 7, refused: 2 };
    assert_eq!(known, [KeyUsage::default(), used, KeyUsage::default(), used]);
    assert!(world.store.key_usage(&[]).await.unwrap().is_empty());
}

pub async fn usage_is_read_by_whole_minutes(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let (project, other) = (world.project("one").await, world.project("two").await);
    let (key, foreign) = (world.key(&project).await, world.key(&other).await);
    let start = world.now.minute();
    let rows: Vec<UsageRow> = (0..5)
        .map(|i| {
            let at = after(start, 60 * i + 30);
            uses(&key, if i % 2 == 0 { "valid" } else { "expired" }, i + 1, (at, at))
        })
        .collect();
    let mut batch = rows.clone();
    batch.push(uses(&foreign, "valid", 1, (start, start)));
    record(&world, new_number(), 1, batch).await;
    let read = |from, to| world.store.usage(project.id, from, to);
    assert_eq!(read(start, after(start, 600)).await.unwrap(), rows);
    assert_eq!(read(after(start, 60), after(start, 180)).await.unwrap(), rows[1..3]);
    // A minute counts by its start.
    assert_eq!(read(after(start, 61), after(start, 181)).await.unwrap(), rows[2..4]);
    assert!(read(after(start, 600), after(start, 900)).await.unwrap().is_empty());
}

async fn lines(world: &World, key: &Key, filter: &EventFilter, limit: u32) -> Vec<(EventPosition, Event)> {
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let part = world.store.events(key.project, filter, before, limit).await.unwrap();
        assert!(part.len() <= limit as usize);
        let Some((last, _)) = part.last() else { return seen };
        before = Some(*last);
        seen.extend(part);
    }
}

pub async fn events_merge_changes_and_uses_newest_first(fixture: &dyn Fixture) {
    let mut world = world(fixture).await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    let start = world.now.minute();
    for i in 1..=6 {
        world.now = after(start, 60 * i);
        world.change_key(&project, &key, KeyChange::Renamed { name: Some(format!("name {i}")) }).await;
        // At the very same moment, before it, and after it.
        let rows = vec![
            uses(&key, "valid", i, (world.now, after(world.now, 1))),
            uses(&key, "expired", i, (after(world.now, 2), after(world.now, 3))),
        ];
        record(&world, 77, i, rows).await;
    }
    let all = world.store.events(project.id, &EventFilter::default(), None, 1_000).await.unwrap();
    assert_eq!(all.len(), 2 + 6 * 3, "the project, the key, its names and its uses");
    assert!(all.is_sorted_by(|(_, one), (_, two)| one.at() >= two.at()));
    for limit in [1, 2, 7, 100] {
        assert_eq!(lines(&world, &key, &EventFilter::default(), limit).await, all, "pages of {limit}");
    }
    // Something newer does not disturb whoever is paging.
    let (from, _) = all[4];
    world.now = after(world.now, 600);
    world.change_key(&project, &key, KeyChange::Disabled).await;
    let rest = world.store.events(project.id, &EventFilter::default(), Some(from), 1_000).await.unwrap();
    assert_eq!(rest, all[5..]);
    let elsewhere = world.project("two").await;
    assert_eq!(world.store.events(elsewhere.id, &EventFilter::default(), None, 10).await.unwrap().len(), 1);
}

pub async fn events_are_filtered_by_name_and_key(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let (key, other) = (world.key(&project).await, world.key(&project).await);
    let rows = vec![
        uses(&key, "valid", 1, (world.now, world.now)),
        uses(&key, "revoked", 2, (world.now, world.now)),
        uses(&key, "expired", 3, (world.now, world.now)),
        uses(&other, "valid", 4, (world.now, world.now)),
    ];
    record(&world, new_number(), 1, rows).await;
    world.change_key(&project, &key, KeyChange::Revoked { reason: None }).await;
    let named = |name: &str, key: Option<KeyId>| EventFilter { key, name: Some(name.into()), ..Default::default() };
    let count = async |filter: EventFilter| lines(&world, &key, &filter, 2).await.len();
    assert_eq!(count(named("key.used", None)).await, 2);
    assert_eq!(count(named("key.used", Some(key.id))).await, 1);
    assert_eq!(count(named("key.refused", Some(key.id))).await, 2);
    assert_eq!(count(named("key.refused", Some(other.id))).await, 0);
    assert_eq!(count(named("key.created", None)).await, 2);
    assert_eq!(count(named("key.revoked", Some(key.id))).await, 1);
    assert_eq!(count(named("no.such.name", None)).await, 0);
    assert_eq!(count(EventFilter { key: Some(key.id), name: None, ..Default::default() }).await, 5);
    // A key of one project, asked for through another: nothing.
    let elsewhere = world.project("two").await;
    let filter = EventFilter { key: Some(key.id), name: None, ..Default::default() };
    assert!(world.store.events(elsewhere.id, &filter, None, 10).await.unwrap().is_empty());
}
