//! Uses counted by hour and day, and kept longer than their minutes.

use std::time::Duration;

use keyward_core::clock::{Clock, Timestamp};
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::key::Key;
use keyward_core::store::EventFilter;
use keyward_core::usage::{Apart, Fold, UsageBatch, UsageCount, UsageRow};

use super::world::*;
use super::{Fixture, World};

const HOUR: i64 = 3_600_000;
const HOURS: Fold = Fold { step: HOUR, by: Apart::Nothing };
const DAYS: Fold = Fold { step: 24 * HOUR, by: Apart::Nothing };

async fn world(fixture: &dyn Fixture) -> World {
    World::new(fixture.open().await, fixture.clock().now())
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn uses(key: &Key, outcome: &str, count: u64, at: Timestamp) -> UsageRow {
    UsageRow {
        key: key.id,
        project: key.project,
        minute: at.minute(),
        outcome: outcome.into(),
        count,
        first_at: at,
        last_at: at,
        last_address: None,
    }
}

async fn record(world: &World, rows: Vec<UsageRow>) {
    world.store.record_usage(&UsageBatch { incarnation: new_number(), sequence: 1, rows }).await.unwrap();
}

/// Counts between two moments as (start, key, outcome, count).
async fn counts(
    world: &World,
    project: ProjectId,
    (from, to): (&str, &str),
    fold: Fold,
) -> Vec<(String, Option<KeyId>, Option<String>, u64)> {
    let counts = world.store.usage_counts(project, at(from), at(to), fold).await.unwrap();
    let told = counts
        .into_iter()
        .map(|UsageCount { start, key, outcome, count }| (start.to_string()[..13].to_owned(), key, outcome, count));
    told.collect()
}

fn plain(counts: Vec<(String, Option<KeyId>, Option<String>, u64)>) -> Vec<(String, u64)> {
    counts
        .into_iter()
        .map(|(start, key, outcome, count)| {
            assert_eq!((key, outcome), (None, None));
            (start, count)
        })
        .collect()
}

fn wanted(counts: &[(&str, u64)]) -> Vec<(String, u64)> {
    counts.iter().map(|(start, count)| ((*start).to_owned(), *count)).collect()
}

pub async fn uses_are_counted_by_hour_and_day_and_told_apart(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let (project, other) = (world.project("one").await, world.project("two").await);
    let (one, two) = (world.key(&project).await, world.key(&project).await);
    let foreign = world.key(&other).await;
    record(
        &world,
        vec![
            uses(&one, "valid", 1, at("2026-11-20T22:59:59.999Z")),
            uses(&one, "valid", 2, at("2026-11-20T23:00:00Z")),
            uses(&two, "valid", 4, at("2026-11-20T23:59:00Z")),
            uses(&two, "revoked", 8, at("2026-11-20T23:30:00Z")),
            uses(&foreign, "valid", 1_000, at("2026-11-20T23:30:00Z")),
        ],
    )
    .await;
    record(&world, vec![uses(&one, "valid", 16, at("2026-11-20T23:00:30Z"))]).await;
    record(&world, vec![uses(&one, "revoked", 32, at("2026-11-21T00:00:00Z"))]).await;

    let all = ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
    let by_hour = wanted(&[("2026-11-20T22", 1), ("2026-11-20T23", 30), ("2026-11-21T00", 32)]);
    assert_eq!(plain(counts(&world, project.id, all, HOURS).await), by_hour);
    let by_day = wanted(&[("2026-11-20T00", 31), ("2026-11-21T00", 32)]);
    assert_eq!(plain(counts(&world, project.id, all, DAYS).await), by_day);
    // Both moments are rounded down to an hour; a day is cut where they are.
    let within = ("2026-11-20T23:59:59Z", "2026-11-21T00:59:59Z");
    assert_eq!(plain(counts(&world, project.id, within, HOURS).await), wanted(&[("2026-11-20T23", 30)]));
    assert_eq!(plain(counts(&world, project.id, within, DAYS).await), wanted(&[("2026-11-20T00", 30)]));
    assert!(counts(&world, project.id, (all.1, all.0), HOURS).await.is_empty());
    assert_eq!(plain(counts(&world, other.id, all, DAYS).await), wanted(&[("2026-11-20T00", 1_000)]));

    let (valid, revoked) = (Some("valid".to_owned()), Some("revoked".to_owned()));
    let (day, next) = ("2026-11-20T00".to_owned(), "2026-11-21T00".to_owned());
    let sorted = |mut counts: Vec<_>| {
        counts.sort();
        counts
    };
    let told = counts(&world, project.id, all, Fold { by: Apart::Key, ..DAYS }).await;
    let keys = vec![
        (day.clone(), Some(one.id), None, 19),
        (day.clone(), Some(two.id), None, 12),
        (next.clone(), Some(one.id), None, 32),
    ];
    assert_eq!(sorted(told), sorted(keys));
    let told = counts(&world, project.id, all, Fold { by: Apart::Outcome, ..DAYS }).await;
    let outcomes = vec![
        (day.clone(), None, revoked.clone(), 8),
        (day.clone(), None, valid.clone(), 23),
        (next.clone(), None, revoked.clone(), 32),
    ];
    assert_eq!(told, outcomes);
    let told = counts(&world, project.id, all, Fold { by: Apart::KeyAndOutcome, ..DAYS }).await;
    let both = vec![
        (day.clone(), Some(one.id), valid.clone(), 19),
        (day.clone(), Some(two.id), revoked.clone(), 8),
        (day, Some(two.id), valid, 4),
        (next, Some(one.id), revoked, 32),
    ];
    assert_eq!(sorted(told), sorted(both));
}

pub async fn q03_counts_stay_exact_although_minutes_are_forgotten(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    let start = at("2026-11-20T10:00:00Z");
    let rows: Vec<UsageRow> =
        (0..180).map(|i| uses(&key, "valid", i + 1, start.saturating_add(Duration::from_secs(60 * i)))).collect();
    let batches: Vec<UsageBatch> = rows
        .chunks(7)
        .zip(1..)
        .map(|(rows, sequence)| UsageBatch { incarnation: 5, sequence, rows: rows.to_vec() })
        .collect();
    for batch in &batches {
        world.store.record_usage(batch).await.unwrap();
    }
    let all = ("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z");
    let hours = wanted(&[("2026-11-20T10", 1_830), ("2026-11-20T11", 5_430), ("2026-11-20T12", 9_030)]);
    assert_eq!(plain(counts(&world, project.id, all, HOURS).await), hours);
    let known = world.store.key_usage(&[key.id]).await.unwrap();
    // In the middle of an hour, and then all of them.
    for minutes in [at("2026-11-20T11:30:00Z"), at(all.1)] {
        while world.store.forget_usage(minutes, start, 50).await.unwrap() {}
        // Sent again, batches are still known: neither hours nor minutes are added.
        for batch in &batches {
            world.store.record_usage(batch).await.unwrap();
        }
        assert_eq!(plain(counts(&world, project.id, all, HOURS).await), hours);
        assert_eq!(world.store.key_usage(&[key.id]).await.unwrap(), known);
        let filter = EventFilter { key: None, name: Some("key.used".into()), ..Default::default() };
        let left = world.store.events(project.id, &filter, None, 1_000).await.unwrap();
        assert_eq!(left.len(), rows.iter().filter(|row| row.minute >= minutes).count());
    }
    // Late uses of a minute that was forgotten count all the same.
    record(&world, vec![uses(&key, "valid", 70, at("2026-11-20T10:59:00Z"))]).await;
    assert_eq!(plain(counts(&world, project.id, all, HOURS).await)[0].1, 1_900);
}

pub async fn old_uses_are_forgotten_in_parts(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    let start = at("2026-11-20T10:00:00Z");
    let later = |minutes: u64| start.saturating_add(Duration::from_secs(60 * minutes));
    record(&world, (0..25).map(|i| uses(&key, "valid", 1, later(i))).collect()).await;
    let filter = EventFilter { key: Some(key.id), name: Some("key.used".into()), ..Default::default() };
    let left = async || world.store.events(project.id, &filter, None, 100).await.unwrap().len();
    let mut seen = vec![left().await];
    while world.store.forget_usage(later(23), start, 10).await.unwrap() {
        seen.push(left().await);
    }
    seen.push(left().await);
    assert_eq!(seen, [25, 15, 5, 2]);
    // At most none of each would never come to an end.
    while world.store.forget_usage(later(100), start, 0).await.unwrap() {}
    assert_eq!(left().await, 0);
}

pub async fn counts_of_hours_are_forgotten_later_than_minutes(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    let rows = ["2026-11-20T10:30:00Z", "2026-11-20T11:30:00Z", "2026-11-20T12:30:00Z"]
        .map(|moment| uses(&key, "valid", 1, at(moment)));
    record(&world, rows.to_vec()).await;
    let all = ("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z");
    while world.store.forget_usage(at(all.1), at("2026-11-20T11:59:00Z"), 1).await.unwrap() {}
    // The hour that began before is gone, and the one that the moment lies in as well.
    assert_eq!(plain(counts(&world, project.id, all, HOURS).await), wanted(&[("2026-11-20T12", 1)]));
}
