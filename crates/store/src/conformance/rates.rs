//! Where rates stood: kept, read back, forgotten.

use std::time::Duration;

use keyward_core::clock::{Clock, Timestamp};
use keyward_core::id::{KeyId, OrganizationId, ProjectId};
use keyward_core::limits::CountedOf;
use keyward_core::store::SavedRate;

use super::world::*;
use super::{Fixture, World};

async fn world(fixture: &dyn Fixture) -> World {
    World::new(fixture.open().await, fixture.clock().now())
}

fn after(at: Timestamp, seconds: u64) -> Timestamp {
    at.saturating_add(Duration::from_secs(seconds))
}

fn rate(name: &str, of: CountedOf, full_at: Timestamp) -> SavedRate {
    SavedRate { api: api_name("standard"), name: name.into(), of, interval: 1_500_000_000, full_at }
}

/// What is kept of these counters, by name.
async fn saved(world: &World, now: Timestamp, of: &[CountedOf]) -> Vec<SavedRate> {
    let mut saved = world.store.saved_rates(now).await.unwrap();
    saved.retain(|rate| of.contains(&rate.of));
    saved.sort_by(|one, two| (&one.name, one.of).cmp(&(&two.name, two.of)));
    saved
}

pub async fn rates_are_kept_and_read_back(fixture: &dyn Fixture) {
    let first = world(fixture).await;
    let number = new_number();
    let of = [
        CountedOf::Lineage(KeyId::from_u128(number)),
        CountedOf::Project(ProjectId::from_u128(number)),
        CountedOf::Organization(OrganizationId::from_u128(number)),
    ];
    let now = first.now;
    let mut rates: Vec<SavedRate> =
        of.iter().enumerate().map(|(i, of)| rate(&format!("a{i}"), *of, after(now, 60 + i as u64))).collect();
    first.store.save_rates(&rates).await.unwrap();
    assert_eq!(saved(&first, now, &of).await, rates);
    // Again, one of them twice: the last word counts. What is not named stays.
    rates[1].full_at = after(now, 600);
    rates[1].interval = 7;
    let earlier = SavedRate { full_at: after(now, 5), ..rates[1].clone() };
    first.store.save_rates(&[earlier, rates[1].clone()]).await.unwrap();
    first.store.save_rates(&[]).await.unwrap();
    // More than one statement takes.
    let many: Vec<SavedRate> = (0..200).map(|i| rate(&format!("b{i:03}"), of[0], after(now, 60))).collect();
    first.store.save_rates(&many).await.unwrap();
    rates.extend(many);
    assert_eq!(saved(&first, now, &of).await, rates);
    drop(first);
    fixture.close().await;
    assert_eq!(saved(&world(fixture).await, now, &of).await, rates, "a restart refills nothing");
}

pub async fn rates_that_are_full_again_are_forgotten(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let of = CountedOf::Project(ProjectId::from_u128(new_number()));
    let now = world.now;
    let rates = [10, 20, 30].map(|seconds| rate(&format!("in {seconds}"), of, after(now, seconds)));
    world.store.save_rates(&rates).await.unwrap();
    assert_eq!(saved(&world, after(now, 9), &[of]).await, rates);
    assert_eq!(saved(&world, after(now, 20), &[of]).await, rates[2..]);
    assert_eq!(saved(&world, now, &[of]).await, rates[2..], "gone for good");
}
