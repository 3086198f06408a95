//! Changes of many keys: one revision, and an entry in the log of each of them.

use keyward_core::change::{Change, Entry, Expect, KeyChange, KeysOf, Revision};
use keyward_core::clock::Clock;
use keyward_core::id::{KeyId, OrganizationId, ProjectId};
use keyward_core::key::{Key, KeyState};
use keyward_core::store::{ChangeFilter, EventFilter, EventPosition, LogVerdict, Page};
use keyward_core::tenancy::Project;
use keyward_core::usage::Event;

use super::world::*;
use super::{Fixture, World};

async fn world(fixture: &dyn Fixture) -> World {
    World::new(fixture.open().await, fixture.clock().now())
}

const ALL: Page = Page { before: None, limit: 1_000 };

fn is_revoked(key: &Key) -> bool {
    matches!(&key.state, KeyState::Revoked { reason: Some(reason), .. } if reason == "leak")
}

pub async fn l01_many_keys_end_with_one_revision(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let (one, two) = (world.project("one").await, world.project("two").await);
    let mut keys = Vec::new();
    for project in [&one, &one, &two, &two] {
        keys.push(world.key(project).await);
    }
    let before = world.revision().await;
    let change = revoked_keys(&[(&one, &[&keys[0], &keys[1]]), (&two, &[&keys[2]])]);
    let expect = keys.iter().map(|key| Expect::Key(key.id, key.revision)).collect();
    let made = world.expecting(expect, vec![change.clone()]).await.unwrap();
    assert_eq!(made.iter().map(|entry| entry.revision).collect::<Vec<_>>(), [before.next()]);
    assert_eq!((made[0].body.change.clone(), made[0].body.change.name()), (change, "keys.revoked"));
    assert!(made[0].body.change.is_restrictive());
    for key in &keys[..3] {
        let read = world.read_key(key.id).await;
        assert!(is_revoked(&read), "{read:?}");
        assert_eq!(read.revision, before.next());
        assert_eq!(world.store.live_keys(key.project, world.now).await.unwrap(), u64::from(key.project == two.id));
    }
    assert_eq!(world.read_key(keys[3].id).await, keys[3]);
    assert_eq!(world.store.changes_since(before, 10).await.unwrap(), made);
    let verdict = world.store.verify_log(&[]).await.unwrap();
    assert_eq!(verdict, LogVerdict::Intact { revision: before.next(), heads: 0 });
}

pub async fn a_refused_change_of_many_leaves_nothing(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let (key, other) = (world.key(&project).await, world.key(&project).await);
    let unknown = world.new_key(&project);
    let before = world.revision().await;
    let to_all = revoked_keys(&[(&project, &[&key, &unknown, &other])]);
    assert_eq!(conflict(world.propose(vec![to_all]).await), Expect::Key(unknown.id, Revision::ZERO));
    let stale = vec![Expect::Key(key.id, key.revision), Expect::Key(other.id, Revision::ZERO)];
    let to_both = revoked_keys(&[(&project, &[&key, &other])]);
    assert_eq!(conflict(world.expecting(stale.clone(), vec![to_both.clone()]).await), stale[1]);
    // One that goes through in the same moment is not touched by one that does not.
    let refused = revoked_keys(&[(&project, &[&other, &unknown])]);
    let (refused, made) = tokio::join!(world.propose(vec![refused]), world.propose(vec![to_both]));
    assert!(refused.is_err() && made.is_ok());
    assert_eq!(world.revision().await, before.next());
    assert!(is_revoked(&world.read_key(other.id).await));
    let verdict = world.store.verify_log(&[]).await.unwrap();
    assert_eq!(verdict, LogVerdict::Intact { revision: before.next(), heads: 0 });
}

/// A log with changes of one and of many, by one and by several projects and organizations.
async fn storied(world: &World) -> (Vec<Project>, Vec<Key>) {
    let (one, other) = (world.project("one").await, world.project("other").await);
    let sibling = world.project_of(one.organization, "sibling").await;
    let projects = vec![one, sibling, other];
    let mut keys = Vec::new();
    for project in &projects {
        for _ in 0..4 {
            keys.push(world.key(project).await);
        }
    }
    let (one, sibling, other) = (&projects[0], &projects[1], &projects[2]);
    for change in [
        revoked_keys(&[(one, &[&keys[0]])]),
        key_change(one, keys[1].id, KeyChange::Disabled),
        revoked_keys(&[(one, &[&keys[1]]), (sibling, &[&keys[4], &keys[5]])]),
        key_change(sibling, keys[6].id, KeyChange::Disabled),
        revoked_keys(&[(one, &[&keys[2]]), (other, &[&keys[8], &keys[9]]), (sibling, &[&keys[6]])]),
        revoked_keys(&[(other, &[&keys[10], &keys[11]])]),
        key_change(one, keys[3].id, KeyChange::Disabled),
    ] {
        world.make(change).await;
    }
    (projects, keys)
}

/// Which organizations, projects and keys an entry is about.
fn subjects(entry: &Entry) -> Vec<(OrganizationId, Option<ProjectId>, Option<KeyId>)> {
    match &entry.body.change {
        Change::Keys { of, .. } => of
            .iter()
            .flat_map(|KeysOf { project, keys }| {
                keys.iter().map(|key| (project.organization, Some(project.id), Some(*key)))
            })
            .collect(),
        change => {
            let organization = change.organization().expect("no change of this story is of the store");
            vec![(organization, change.project(), change.key())]
        }
    }
}

pub async fn a_change_of_many_is_found_by_each_of_them(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let (projects, keys) = storied(&world).await;
    let mut all = world.store.changes_since(Revision::ZERO, 1_000).await.unwrap();
    all.reverse();
    let mut filters = vec![ChangeFilter::default()];
    for project in &projects {
        let (organization, project) = (Some(project.organization), Some(project.id));
        filters.push(ChangeFilter { organization, ..Default::default() });
        filters.push(ChangeFilter { project, ..Default::default() });
        filters.push(ChangeFilter { organization, project, key: None });
        for key in &keys {
            filters.push(ChangeFilter { organization, project, key: Some(key.id) });
            filters.push(ChangeFilter { organization: None, project: None, key: Some(key.id) });
        }
    }
    for filter in filters {
        let fits = |entry: &&Entry| {
            subjects(entry).iter().any(|(organization, project, key)| {
                filter.organization.is_none_or(|id| *organization == id)
                    && filter.project.is_none_or(|id| *project == Some(id))
                    && filter.key.is_none_or(|id| *key == Some(id))
            })
        };
        let expected: Vec<Entry> = all.iter().filter(fits).cloned().collect();
        assert_eq!(world.store.changes(&filter, ALL).await.unwrap(), expected, "{filter:?}");
        let (mut seen, mut before) = (Vec::new(), None);
        while let part = world.store.changes(&filter, Page { before, limit: 2 }).await.unwrap()
            && let Some(last) = part.last()
        {
            before = Some(last.revision);
            seen.extend(part);
        }
        assert_eq!(seen, expected, "{filter:?}");
    }
}

pub async fn a_change_of_many_is_an_event_of_each_project_and_key(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let (projects, keys) = storied(&world).await;
    let mut all = world.store.changes_since(Revision::ZERO, 1_000).await.unwrap();
    all.reverse();
    let entries = |found: Vec<(EventPosition, Event)>| -> Vec<Revision> {
        let revision = |(_, event)| match event {
            Event::Change(entry) => entry.revision,
            Event::Usage(row) => panic!("no use was recorded: {row:?}"),
        };
        found.into_iter().map(revision).collect()
    };
    for project in &projects {
        let of_keys = keys.iter().map(|key| Some(key.id)).chain([None]);
        for (key, name) in of_keys.flat_map(|key| [(key, None), (key, Some("keys.revoked"))]) {
            let filter = EventFilter { key, name: name.map(str::to_owned), ..Default::default() };
            let fits = |entry: &&Entry| {
                let mut all = subjects(entry).into_iter();
                all.any(|(_, of, id)| of == Some(project.id) && (key.is_none() || id == key))
                    && name.is_none_or(|name| entry.body.change.name() == name)
            };
            let expected: Vec<Revision> = all.iter().filter(fits).map(|entry| entry.revision).collect();
            let found = world.store.events(project.id, &filter, None, 1_000).await.unwrap();
            assert_eq!(entries(found), expected, "{filter:?}");
            let (mut seen, mut before) = (Vec::new(), None);
            while let part = world.store.events(project.id, &filter, before, 2).await.unwrap()
                && let Some((position, _)) = part.last()
            {
                before = Some(*position);
                seen.extend(entries(part));
            }
            assert_eq!(seen, expected, "{filter:?}");
        }
    }
}
