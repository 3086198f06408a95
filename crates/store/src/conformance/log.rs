//! The log: what is read from it, what is checked of it, and the copy of it all.

use keyward_core::change::{Change, Entry, KeyChange, OrganizationChange, ProjectChange, Revision};
use keyward_core::clock::Clock;
use keyward_core::log::{GENESIS, SignedHead};
use keyward_core::store::{ChangeFilter, EventFilter, LogVerdict, Page, StoreError};
use keyward_core::usage::Event;

use super::world::*;
use super::{Fixture, World};

async fn world(fixture: &dyn Fixture) -> World {
    World::new(fixture.open().await, fixture.clock().now())
}

const ALL: Page = Page { before: None, limit: 1_000 };

pub async fn every_change_reads_back_as_it_was_answered(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let before = world.store.head().await.unwrap();
    let organization = world.new_organization("acme");
    let project = world.new_project(organization.id, "one");
    let (key, new) = (world.new_key(&project), world.new_key(&project));
    let rotated = KeyChange::Rotated { new: Box::new(new), ends_at: world.now };
    let changes = vec![
        Change::Api { api: Box::new(world.new_api("standard", "v1")) },
        created_organization(&organization),
        Change::Organization { id: organization.id, what: OrganizationChange::Suspended },
        created_project(&project),
        project_change(&project, ProjectChange::PlanSet { plan: "pro".into() }),
        created_key(&project, &key),
        key_change(&project, key.id, rotated),
        created_management_key(&world.new_management_key("ops")),
    ];
    let answered = world.propose(changes).await.unwrap();
    let read = world.store.changes_since(before.0, 1_000).await.unwrap();
    assert_eq!(read, answered);
    // The chain, as anybody with its key can follow it.
    let mut previous = before.1;
    for entry in &read {
        let body = serde_json::to_vec(&entry.body).unwrap();
        assert_eq!(entry.hash, fixture.log_keys().link(&previous, entry.revision, &body));
        previous = entry.hash;
    }
    assert_eq!(world.store.head().await.unwrap().1, previous);
    let part = world.store.changes_since(before.0.next(), 3).await.unwrap();
    assert_eq!(part, answered[1..4]);
    assert!(world.store.changes_since(world.revision().await, 10).await.unwrap().is_empty());
}

pub async fn changes_are_filtered_and_paged(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let (one, two) = (world.project("one").await, world.project("two").await);
    let (key, sibling) = (world.key(&one).await, world.key(&one).await);
    world.key(&two).await;
    world.change_key(&one, &key, KeyChange::Disabled).await;
    world.change_key(&one, &sibling, KeyChange::Disabled).await;
    let all: Vec<Entry> = {
        let mut all = world.store.changes_since(Revision::ZERO, 1_000).await.unwrap();
        all.reverse();
        all
    };
    let organization = Some(one.organization);
    let filters = [
        ChangeFilter::default(),
        ChangeFilter { organization, ..Default::default() },
        ChangeFilter { project: Some(one.id), ..Default::default() },
        ChangeFilter { key: Some(key.id), ..Default::default() },
        ChangeFilter { organization, project: Some(one.id), key: Some(key.id) },
        ChangeFilter { organization, project: Some(two.id), key: None },
        ChangeFilter { project: Some(two.id), key: Some(key.id), organization: None },
    ];
    for filter in filters {
        let fits = |entry: &&Entry| {
            let change = &entry.body.change;
            filter.organization.is_none_or(|id| change.organization() == Some(id))
                && filter.project.is_none_or(|id| change.project() == Some(id))
                && filter.key.is_none_or(|id| change.key() == Some(id))
        };
        let expected: Vec<Entry> = all.iter().filter(fits).cloned().collect();
        assert_eq!(world.store.changes(&filter, ALL).await.unwrap(), expected, "{filter:?}");
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let part = world.store.changes(&filter, Page { before, limit: 2 }).await.unwrap();
            let Some(last) = part.last() else { break };
            before = Some(last.revision);
            seen.extend(part);
        }
        assert_eq!(seen, expected, "{filter:?}");
    }
}

pub async fn l14_events_are_changes_without_gaps(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let tasks: Vec<_> = (0..200)
        .map(|i| {
            let (world, project) = (world.clone(), project.clone());
            tokio::spawn(async move {
                let key = world.new_key(&project);
                let mut changes = vec![created_key(&project, &key)];
                // Some fail half way through: neither their change nor its event may stay.
                changes.push(if i % 4 == 0 {
                    revoked_key(&project, world.new_key(&project).id)
                } else {
                    revoked_key(&project, key.id)
                });
                world.propose(changes).await.is_ok()
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += usize::from(task.await.unwrap());
    }
    assert_eq!(done, 150);
    let log = world.store.changes_since(Revision::ZERO, 10_000).await.unwrap();
    assert!(log.iter().enumerate().all(|(i, entry)| entry.revision.0 == i as i64 + 1));
    let events = world.store.events(project.id, &EventFilter::default(), None, 10_000).await.unwrap();
    let told: Vec<&Entry> = events
        .iter()
        .map(|(_, event)| match event {
            Event::Change(entry) => entry,
            Event::Usage(row) => panic!("no use was recorded: {row:?}"),
        })
        .collect();
    let made: Vec<&Entry> =
        log.iter().rev().filter(|entry| entry.body.change.project() == Some(project.id)).collect();
    assert_eq!(told, made);
    assert_eq!(made.len(), 1 + 2 * done);
}

pub async fn s17_the_chain_and_its_heads_are_checked(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let sign = |(revision, hash): (Revision, [u8; 32])| -> SignedHead {
        fixture.log_keys().sign(world.store.id(), revision, hash, world.now)
    };
    let mut heads = vec![sign((Revision::ZERO, GENESIS)), sign(world.store.head().await.unwrap())];
    for i in 0..5 {
        world.project(&format!("project {i}")).await;
        heads.push(sign(world.store.head().await.unwrap()));
    }
    let (last, hash) = world.store.head().await.unwrap();
    let intact = LogVerdict::Intact { revision: last, heads: heads.len() as u64 };
    assert_eq!(world.store.verify_log(&heads).await.unwrap(), intact);
    assert_eq!(world.store.verify_log(&[]).await.unwrap(), LogVerdict::Intact { revision: last, heads: 0 });

    let broken_at = |verdict: LogVerdict| match verdict {
        LogVerdict::Broken { revision, .. } => revision,
        other => panic!("{other:?}"),
    };
    let cut = sign((Revision(last.0 + 3), hash));
    assert_eq!(broken_at(world.store.verify_log(&[cut]).await.unwrap()), last.next());
    let anew = sign((Revision(4), [9; 32]));
    assert_eq!(broken_at(world.store.verify_log(&[heads[2], anew]).await.unwrap()), Revision(4));
    let mut forged = heads[3];
    forged.head.at = forged.head.at.saturating_add(std::time::Duration::from_millis(1));
    assert_eq!(broken_at(world.store.verify_log(&[forged]).await.unwrap()), forged.head.revision);
}

pub async fn s08_a_backup_is_a_new_whole_file(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    world.project("one").await;
    let to = fixture.folder().join("copy of it.backup");
    let revision = world.store.backup(&to).await.unwrap();
    assert_eq!(revision, world.revision().await);
    let length = std::fs::metadata(&to).unwrap().len();
    assert!(length > 0);
    // A file that is there already is never written over.
    let again = world.store.backup(&to).await;
    assert!(matches!(again, Err(StoreError::Unavailable(_))), "{again:?}");
    assert_eq!(std::fs::metadata(&to).unwrap().len(), length);
}
