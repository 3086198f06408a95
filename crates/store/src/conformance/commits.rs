//! Proposals: whole or not at all, what they expect, repeated ones, and many at once.

use std::collections::BTreeSet;

use keyward_core::change::{Change, Expect, Idempotency, KeyChange, ManagementKeyChange, Proposal, Revision};
use keyward_core::key::{KeyState, Standing};
use keyward_core::store::{ChangeFilter, KeyFilter, Page, StoreError};

use super::world::*;
use super::{Fixture, World};

async fn world(fixture: &dyn Fixture) -> World {
    use keyward_core::clock::Clock;
    World::new(fixture.open().await, fixture.clock().now())
}

const ALL: Page = Page { before: None, limit: 1_000 };

pub async fn a_proposal_is_made_whole_and_in_order(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let before = world.revision().await;
    let organization = world.new_organization("acme");
    let project = world.new_project(organization.id, "one");
    let key = world.new_key(&project);
    let changes = vec![
        created_organization(&organization),
        created_project(&project),
        created_key(&project, &key),
        revoked_key(&project, key.id),
    ];
    let entries = world.propose(changes).await.unwrap();
    let revisions: Vec<i64> = entries.iter().map(|entry| entry.revision.0).collect();
    assert_eq!(revisions, (before.0 + 1..=before.0 + 4).collect::<Vec<_>>());
    let names: Vec<&str> = entries.iter().map(|entry| entry.body.change.name()).collect();
    assert_eq!(names, ["organization.created", "project.created", "key.created", "key.revoked"]);
    assert_eq!(world.store.head().await.unwrap(), (entries[3].revision, entries[3].hash));
    let key = world.read_key(key.id).await;
    assert_eq!((key.created_revision, key.revision), (entries[2].revision, entries[3].revision));
    assert_eq!(key.standing(world.now), Standing::Revoked);
    assert!(world.store.is_writable().await);
}

pub async fn a_failed_expectation_writes_nothing(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    let (before, stale) = (world.store.head().await.unwrap(), Revision(key.revision.0 - 1));
    let other = world.new_key(&project);
    let outcome = world
        .expecting(
            vec![Expect::Project(project.id, project.revision), Expect::Key(key.id, stale)],
            vec![created_key(&project, &other), revoked_key(&project, key.id)],
        )
        .await;
    assert_eq!(conflict(outcome), Expect::Key(key.id, stale));
    assert_eq!(world.store.head().await.unwrap(), before);
    assert_eq!(world.store.key(other.id).await.unwrap(), None);
    assert_eq!(world.read_key(key.id).await, key);
}

pub async fn every_expectation_is_checked(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    let management_key = world.management_key("ops").await;
    let organization = world.store.organization(project.organization).await.unwrap().unwrap();
    world.make(Change::Api { api: Box::new(world.new_api("present", "v1")) }).await;
    let api = world.store.api(&api_name("present")).await.unwrap().unwrap();

    let met = vec![
        Expect::NoApi(api_name("absent")),
        Expect::Api(api.name.clone(), api.revision),
        Expect::Organization(organization.id, organization.revision),
        Expect::Project(project.id, project.revision),
        Expect::Key(key.id, key.revision),
        Expect::ManagementKey(management_key.id, management_key.revision),
        Expect::LiveKeysBelow { project: project.id, limit: 2 },
    ];
    let unmet = vec![
        Expect::NoApi(api.name.clone()),
        Expect::Api(api.name.clone(), api.revision.next()),
        Expect::Api(api_name("absent"), api.revision),
        Expect::Organization(organization.id, organization.revision.next()),
        Expect::Project(project.id, Revision::ZERO),
        Expect::Key(key.id, Revision(key.revision.0 - 1)),
        Expect::ManagementKey(management_key.id, Revision::ZERO),
        Expect::LiveKeysBelow { project: project.id, limit: 1 },
    ];
    for expect in unmet {
        let outcome = world.expecting(vec![expect.clone()], vec![revoked_key(&project, key.id)]).await;
        assert_eq!(conflict(outcome), expect);
    }
    let rename = KeyChange::Renamed { name: None };
    world.expecting(met, vec![key_change(&project, key.id, rename)]).await.unwrap();
}

pub async fn a_change_of_something_unknown_is_a_conflict(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let stranger = world.new_key(&project);
    let outcome = world.propose(vec![revoked_key(&project, stranger.id)]).await;
    assert_eq!(conflict(outcome), Expect::Key(stranger.id, Revision::ZERO));
    let absent = world.new_project(project.organization, "absent");
    let orphan = world.new_key(&absent);
    // A key of a project that is not there: refused, and with it what stands before it in the proposal.
    let sibling = world.new_key(&project);
    let outcome = world.propose(vec![created_key(&project, &sibling), created_key(&absent, &orphan)]).await;
    assert_eq!(conflict(outcome), Expect::Project(absent.id, Revision::ZERO));
    assert_eq!(world.store.key(sibling.id).await.unwrap(), None);
}

pub async fn an_id_or_digest_that_is_taken_is_a_conflict(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    let outcome = world.propose(vec![created_key(&project, &key)]).await;
    assert_eq!(conflict(outcome), Expect::Key(key.id, Revision::ZERO));
    let mut twin = world.new_key(&project);
    twin.digest = key.digest;
    let outcome = world.propose(vec![created_key(&project, &twin)]).await;
    assert_eq!(conflict(outcome), Expect::Key(twin.id, Revision::ZERO));
    let management_key = world.management_key("ops").await;
    let mut twin = world.new_management_key("twin");
    twin.digest = management_key.digest;
    let outcome = world.propose(vec![created_management_key(&twin)]).await;
    assert_eq!(conflict(outcome), Expect::ManagementKey(twin.id, Revision::ZERO));
    assert_eq!(world.read_key(key.id).await, key);
}

fn request(caller: &str, key: &str, answer: &str) -> Idempotency {
    Idempotency { caller: caller.into(), key: key.into(), fingerprint: [7; 32], answer: answer.into() }
}

pub async fn a_repeated_request_is_answered_from_the_record(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let key = world.new_key(&project);
    let first = request("mgmt_a", "k-1", "{\"id\":1}");
    assert_eq!(world.store.idempotency("mgmt_a", "k-1").await.unwrap(), None);
    let propose = |record: &Idempotency, change: Change| Proposal {
        idempotency: Some(record.clone()),
        ..world.proposal(vec![change])
    };
    // A refused proposal leaves no record: it may be tried again.
    let refused = Proposal {
        expect: vec![Expect::LiveKeysBelow { project: project.id, limit: 0 }],
        ..propose(&first, created_key(&project, &key))
    };
    conflict(world.store.commit(refused).await);
    assert_eq!(world.store.idempotency("mgmt_a", "k-1").await.unwrap(), None);

    world.store.commit(propose(&first, created_key(&project, &key))).await.unwrap();
    let head = world.revision().await;
    let again = Idempotency { fingerprint: [8; 32], answer: "another".into(), ..first.clone() };
    let replay = world.store.commit(propose(&again, created_key(&project, &world.new_key(&project)))).await;
    match replay {
        Err(StoreError::Replayed(record)) => assert_eq!(*record, first),
        other => panic!("a replay was expected: {other:?}"),
    }
    assert_eq!(world.revision().await, head);
    assert_eq!(world.store.idempotency("mgmt_a", "k-1").await.unwrap(), Some(first));
}

pub async fn callers_never_meet_in_idempotency(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    for caller in ["mgmt_a", "mgmt_b"] {
        let record = Some(request(caller, "same", caller));
        let change = created_key(&project, &world.new_key(&project));
        world.store.commit(Proposal { idempotency: record, ..world.proposal(vec![change]) }).await.unwrap();
    }
    let answers = (
        world.store.idempotency("mgmt_a", "same").await.unwrap().unwrap().answer,
        world.store.idempotency("mgmt_b", "same").await.unwrap().unwrap().answer,
    );
    assert_eq!(answers, ("mgmt_a".into(), "mgmt_b".into()));
}

pub async fn one_repeated_request_of_many_at_once_is_done_once(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let (world, project) = (world.clone(), project.clone());
            tokio::spawn(async move {
                let change = created_key(&project, &world.new_key(&project));
                let record = Some(request("mgmt_a", "once", "done"));
                world.store.commit(Proposal { idempotency: record, ..world.proposal(vec![change]) }).await
            })
        })
        .collect();
    let (mut done, mut replayed) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => done += 1,
            Err(StoreError::Replayed(_)) => replayed += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((done, replayed), (1, 31));
    assert_eq!(world.store.keys(project.id, &KeyFilter::default(), ALL).await.unwrap().len(), 1);
}

pub async fn m2b_racing_creates_stop_exactly_at_the_limit(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (world, project) = (world.clone(), project.clone());
            tokio::spawn(async move {
                let change = created_key(&project, &world.new_key(&project));
                let limit = Expect::LiveKeysBelow { project: project.id, limit: 10 };
                world.expecting(vec![limit], vec![change]).await
            })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(StoreError::Conflict(Expect::LiveKeysBelow { .. })) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(made, 10);
    let active = KeyFilter { standing: Some((Standing::Active, world.now)), name: None, ..Default::default() };
    assert_eq!(world.store.keys(project.id, &active, ALL).await.unwrap().len(), 10);
}

pub async fn l07_fifty_rotations_at_once_have_one_winner(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (world, project, key) = (world.clone(), project.clone(), key.clone());
            tokio::spawn(async move {
                let new = world.new_key(&project);
                let what = KeyChange::Rotated { new: Box::new(new), ends_at: world.now };
                let expect = vec![Expect::Key(key.id, key.revision)];
                world.expecting(expect, vec![key_change(&project, key.id, what)]).await
            })
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => winners += 1,
            Err(StoreError::Conflict(Expect::Key(id, _))) => assert_eq!(id, key.id),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(winners, 1);
    let keys = world.store.keys(project.id, &KeyFilter::default(), ALL).await.unwrap();
    assert_eq!(keys.len(), 2);
    let KeyState::Revoked { replaced_by, .. } = world.read_key(key.id).await.state else { panic!("revoked") };
    assert_eq!(replaced_by, Some(keys[0].id));
}

pub async fn revisions_have_no_gaps_under_concurrency(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let before = world.revision().await;
    let tasks: Vec<_> = (0..64)
        .map(|i| {
            let (world, project) = (world.clone(), project.clone());
            tokio::spawn(async move {
                let key = world.new_key(&project);
                // Every third is refused, and must take no revision.
                let expect = match i % 3 {
                    0 => vec![Expect::Key(key.id, Revision(1))],
                    _ => Vec::new(),
                };
                let changes = vec![created_key(&project, &key), revoked_key(&project, key.id)];
                world.expecting(expect, changes).await.map(|entries| (entries[0].revision, entries[1].revision))
            })
        })
        .collect();
    let mut taken = BTreeSet::new();
    for task in tasks {
        if let Ok((first, second)) = task.await.unwrap() {
            assert_eq!(first.next(), second);
            assert!(taken.insert(first) && taken.insert(second));
        }
    }
    let expected: BTreeSet<Revision> = (before.0 + 1..=before.0 + 84).map(Revision).collect();
    assert_eq!(taken, expected);
    let log = world.store.changes_since(before, 1_000).await.unwrap();
    assert!(log.iter().map(|entry| entry.revision).eq(expected));
}

pub async fn a_caller_who_goes_away_does_not_halve_a_commit(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let project = world.project("one").await;
    let mut keys = Vec::new();
    for _ in 0..50 {
        let key = world.new_key(&project);
        let changes = vec![created_key(&project, &key), revoked_key(&project, key.id)];
        let commit = world.propose(changes);
        // Polled once, so that it may have been handed over, and then dropped.
        tokio::select! {
            biased;
            _ = commit => {}
            () = std::future::ready(()) => {}
        }
        keys.push(key.id);
    }
    // Whoever comes later is answered later: all of those before have happened, or never will.
    world.key(&project).await;
    for id in keys {
        if let Some(key) = world.store.key(id).await.unwrap() {
            assert_eq!(key.standing(world.now), Standing::Revoked);
        }
    }
    let log = world.store.changes(&ChangeFilter { project: Some(project.id), ..Default::default() }, ALL).await;
    let names: Vec<&str> = log.unwrap().iter().map(|entry| entry.body.change.name()).collect();
    let count = |name| names.iter().filter(|one| **one == name).count();
    assert_eq!(count("key.created"), count("key.revoked") + 1);
}

pub async fn the_store_survives_a_restart(fixture: &dyn Fixture) {
    let world_before = world(fixture).await;
    let project = world_before.project("one").await;
    let key = world_before.key(&project).await;
    let id = world_before.store.id();
    let head = world_before.store.head().await.unwrap();
    let entries = world_before.store.changes_since(Revision::ZERO, 1_000).await.unwrap();
    drop(world_before);
    fixture.close().await;
    let world = world(fixture).await;
    assert_eq!(world.store.id(), id);
    assert_eq!(world.store.head().await.unwrap(), head);
    assert_eq!(world.store.changes_since(Revision::ZERO, 1_000).await.unwrap(), entries);
    assert_eq!(world.read_key(key.id).await, key);
    let management_key = world.management_key("after").await;
    assert_eq!(management_key.revision, head.0.next());
    let what = ManagementKeyChange::Revoked;
    world.make(Change::ManagementKey { id: management_key.id, what }).await;
}

pub async fn i04_texts_are_only_ever_texts(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let hostile = [
        "'; DROP TABLE keys; --",
        "\" OR 1=1 --",
        "$1",
        "?1; ROLLBACK",
        "%_\\",
        "\u{202e}rtl \u{0}nul",
        "a\nb\r\n",
        "👩‍👩‍👧",
        "",
    ];
    let project = world.project("one").await;
    for text in hostile {
        let mut key = world.new_key(&project);
        key.name = Some(text.into());
        key.metadata.insert(text.into(), text.into());
        let record = request(text, text, text);
        let change = created_key(&project, &key);
        let proposal = Proposal { idempotency: Some(record.clone()), ..world.proposal(vec![change]) };
        world.store.commit(proposal).await.unwrap();
        assert_eq!(world.store.idempotency(text, text).await.unwrap(), Some(record));
        let filter = KeyFilter { name: Some(text.into()), ..Default::default() };
        let found = world.store.keys(project.id, &filter, ALL).await.unwrap();
        assert_eq!(found.len(), 1, "{text:?}");
        assert_eq!((&found[0].name, &found[0].metadata), (&key.name, &key.metadata));
        let organization = world.organization(text).await;
        assert_eq!(organization.name, text);
    }
    assert_eq!(world.store.keys(project.id, &KeyFilter::default(), ALL).await.unwrap().len(), hostile.len());
}
