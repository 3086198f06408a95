//! What nodes tell one another through PostgreSQL, and several of them that write to one store.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use keyward_core::change::{Entry, Expect, KeyChange, Revision};
use keyward_core::clock::SystemEntropy;
use keyward_core::id::{NodeId, ProjectId};
use keyward_core::limits::block::BlockAsk;
use keyward_core::limits::{CountedOf, QuotaCounter};
use keyward_core::log::GENESIS;
use keyward_core::nodes::{Followed, NewNode, Renewal, Renewed};
use keyward_core::store::{LogVerdict, Store, StoreError};
use keyward_store::conformance::words::*;
use keyward_store::conformance::{Fixture, World};
use support::START;
use support::postgres::PostgresFixture;

fn new_node(name: &str) -> NewNode {
    NewNode {
        id: NodeId::random(&SystemEntropy),
        nonce: 1,
        lease: Duration::from_millis(1_500),
        name: name.into(),
        version: "0.1.0".into(),
        started_at: START,
    }
}

const AT_START: Followed = Followed { revision: Revision::ZERO, hash: GENESIS };

fn renewed(renewal: Renewal) -> Renewed {
    match renewal {
        Renewal::Renewed(renewed) => renewed,
        Renewal::Fenced => panic!("fenced"),
    }
}

fn followed(entry: &Entry) -> Followed {
    Followed { revision: entry.revision, hash: entry.hash }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_register_renew_acknowledge_and_leave() {
    let fixture = PostgresFixture::new();
    let (store, world) = fixture.world("a").await;
    let nodes = store.nodes().unwrap();
    assert!(nodes.census().await.unwrap().nodes.is_empty());
    let (a, b) =
        (new_node("a"), NewNode { started_at: START.saturating_add(Duration::from_secs(1)), ..new_node("b\0") });
    nodes.register(&b).await.unwrap();
    nodes.register(&a).await.unwrap();
    let census = nodes.census().await.unwrap();
    let seen: Vec<_> =
        census.nodes.iter().map(|node| (node.id, node.nonce, node.acknowledged, node.lease)).collect();
    let zero = Revision::ZERO;
    assert_eq!(seen, [(a.id, 1, zero, a.lease), (b.id, 1, zero, b.lease)], "oldest first");
    assert_eq!((census.nodes[1].name.as_str(), census.nodes[1].started_at), ("b\0", b.started_at));
    assert_eq!(census.head, zero);

    let made = world.organization("one").await;
    let first = renewed(nodes.renew(a.id, 2, zero, AT_START, 10).await.unwrap());
    assert_eq!((first.head, first.hash, first.entries.len()), (made.revision, Some(GENESIS), 1));
    assert_eq!(first.epoch, census.epoch);
    let now = first.now.as_millis() - census.now.as_millis();
    assert!((0..60_000).contains(&now), "the database's clock goes on: {now}");
    // An acknowledgement only ever goes on, by whichever way it comes.
    nodes.acknowledge(a.id, Revision(7)).await.unwrap();
    nodes.acknowledge(a.id, Revision(3)).await.unwrap();
    renewed(nodes.renew(a.id, 3, Revision(1), followed(&first.entries[0]), 10).await.unwrap());
    let census = nodes.census().await.unwrap();
    assert_eq!((census.nodes[0].acknowledged, census.nodes[0].nonce), (Revision(7), 3));
    assert_eq!(census.head, made.revision);

    // Reaped is only whom nobody heard of since.
    assert!(!nodes.reap(a.id, 2).await.unwrap());
    assert!(nodes.reap(a.id, 3).await.unwrap());
    assert!(!nodes.reap(a.id, 3).await.unwrap());
    assert_eq!(nodes.renew(a.id, 4, zero, AT_START, 10).await.unwrap(), Renewal::Fenced);
    nodes.acknowledge(a.id, Revision(9)).await.unwrap();
    nodes.leave(b.id).await.unwrap();
    nodes.leave(b.id).await.unwrap();
    assert!(nodes.census().await.unwrap().nodes.is_empty(), "a node that is gone stays gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_reads_what_follows_without_a_gap() {
    let fixture = PostgresFixture::new();
    let (store, world) = fixture.world("a").await;
    let nodes = store.nodes().unwrap();
    let node = new_node("a");
    nodes.register(&node).await.unwrap();
    for i in 0..25 {
        world.organization(&format!("{i}")).await;
    }
    let all = store.changes_since(Revision::ZERO, 100).await.unwrap();
    let (mut place, mut read) = (AT_START, Vec::new());
    loop {
        let renewed = renewed(nodes.renew(node.id, 2, place.revision, place, 10).await.unwrap());
        assert_eq!((renewed.head, renewed.hash), (Revision(25), Some(place.hash)));
        let Some(last) = renewed.entries.last() else { break };
        place = followed(last);
        read.extend(renewed.entries);
    }
    assert_eq!(read, all);
    // Whoever followed another past is told, and gets nothing that follows it.
    let other = Followed { revision: Revision(20), hash: [9; 32] };
    let told = renewed(nodes.renew(node.id, 3, Revision(20), other, 10).await.unwrap());
    assert_eq!((told.hash, told.entries.len()), (Some(all[19].hash), 0));
    let beyond = Followed { revision: Revision(26), hash: [9; 32] };
    let told = renewed(nodes.renew(node.id, 3, Revision(20), beyond, 10).await.unwrap());
    assert_eq!((told.hash, told.head), (None, Revision(25)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_and_acknowledgements_are_hinted_to_the_other_nodes() {
    let fixture = PostgresFixture::new();
    let ((a, world), b) = (fixture.world("a").await, fixture.node("b").await);
    let (of_a, of_b) = (a.nodes().unwrap(), b.nodes().unwrap());
    let node = new_node("a");
    of_a.register(&node).await.unwrap();
    // Listening begins with a hint.
    let mut seen = of_b.hint(0).await;
    for round in 1..=3 {
        let made = world.organization("one").await;
        loop {
            seen = tokio::time::timeout(Duration::from_secs(20), of_b.hint(seen)).await.expect("a hint");
            if b.head().await.unwrap().0 == made.revision {
                break;
            }
        }
        of_a.acknowledge(node.id, Revision(round)).await.unwrap();
        while of_b.census().await.unwrap().nodes[0].acknowledged < Revision(round) {
            seen = tokio::time::timeout(Duration::from_secs(20), of_b.hint(seen)).await.expect("a hint");
        }
    }
    // After the database was gone, too.
    fixture.server.restart();
    seen = tokio::time::timeout(Duration::from_secs(20), of_b.hint(seen)).await.expect("a hint");
    assert!(seen > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_ends_with_the_run_of_the_database() {
    let fixture = PostgresFixture::new();
    let (store, _) = fixture.world("a").await;
    let nodes = store.nodes().unwrap();
    let before = nodes.census().await.unwrap().epoch;
    assert_eq!(nodes.census().await.unwrap().epoch, before);
    fixture.server.restart();
    // The first may meet a connection that was cut.
    let mut after = nodes.census().await;
    for _ in 0..20 {
        if after.is_err() {
            after = nodes.census().await;
        }
    }
    assert_ne!(after.unwrap().epoch, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_rotations_by_two_nodes_one_wins_and_there_is_one_chain() {
    let fixture = PostgresFixture::new();
    let ((a, on_a), (_, on_b)) = (fixture.world("a").await, fixture.world("b").await);
    let project = on_a.project("one").await;
    let key = on_a.key(&project).await;
    let before = on_a.revision().await;
    let tasks: Vec<_> = (0..60)
        .map(|i| {
            let world = if i % 2 == 0 { on_a.clone() } else { on_b.clone() };
            let (project, key) = (project.clone(), key.clone());
            tokio::spawn(async move {
                let what = KeyChange::Rotated { new: Box::new(world.new_key(&project)), ends_at: world.now };
                let expect = vec![Expect::Key(key.id, key.revision)];
                let rotated = world.expecting(expect, vec![key_change(&project, key.id, what)]).await;
                let made = world.propose(vec![created_key(&project, &world.new_key(&project))]).await.unwrap();
                (rotated, made[0].revision)
            })
        })
        .collect();
    let (mut winners, mut taken) = (0, BTreeSet::new());
    for task in tasks {
        let (rotated, revision) = task.await.unwrap();
        match rotated {
            Ok(entries) => {
                winners += 1;
                taken.extend(entries.iter().map(|entry| entry.revision));
            }
            Err(StoreError::Conflict(Expect::Key(..))) => {}
            Err(other) => panic!("{other}"),
        }
        assert!(taken.insert(revision));
    }
    assert_eq!(winners, 1);
    assert!(taken.into_iter().eq((before.0 + 1..=before.0 + 61).map(Revision)));
    let verdict = a.verify_log(&[]).await.unwrap();
    assert_eq!(verdict, LogVerdict::Intact { revision: Revision(before.0 + 61), heads: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q01_units_are_exact_among_nodes_that_ask_at_once() {
    let fixture = PostgresFixture::new();
    let stores = [fixture.node("a").await, fixture.node("b").await, fixture.node("c").await];
    let of = CountedOf::Project(ProjectId::from_u128(7));
    let counters: Vec<QuotaCounter> = (0..3)
        .map(|i| QuotaCounter { api: "standard".parse().unwrap(), name: format!("q{i}").into(), of })
        .collect();
    let tasks: Vec<_> = (0..90_u128)
        .map(|i| {
            let (store, counters) = (stores[i as usize % 3].clone(), counters.clone());
            tokio::spawn(async move {
                let mut held = [0; 3];
                for step in 0..3 {
                    // Each in another order: locks are taken in one all the same.
                    let which = (i as usize + step) % 3;
                    let ask = BlockAsk {
                        counter: counters[which].clone(),
                        period: "2026-11".into(),
                        ends_at: None,
                        holder: i,
                        unspent: 0,
                        need: 7,
                        limit: 500,
                    };
                    held[which] = store.exchange_block(&ask).await.unwrap().held;
                }
                held
            })
        })
        .collect();
    let mut given = [0; 3];
    for task in tasks {
        for (sum, held) in given.iter_mut().zip(task.await.unwrap()) {
            *sum += held;
        }
    }
    let periods: Vec<_> = counters.iter().map(|counter| (counter.clone(), "2026-11".into())).collect();
    let tallies = stores[0].quota_tallies(&periods).await.unwrap();
    for (tally, given) in tallies.iter().zip(given) {
        assert_eq!(tally.spent + tally.with_others, given);
        assert!(given <= 500 && given > 490, "{given}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_keeps_a_session_that_began_while_they_were_disabled() {
    let fixture = PostgresFixture::new();
    let ((a, on_a), (b, _)) = (fixture.world("a").await, fixture.world("b").await);
    for _ in 0..20 {
        let person = on_a.person("ada").await;
        let session = keyward_core::session::Session {
            id: keyward_core::id::SessionId::random(&SystemEntropy),
            digest: new_digest(),
            person: person.id,
            created_at: START,
            seen_at: START,
            ends_at: START.saturating_add(Duration::from_secs(60)),
            address: None,
            browser: String::new(),
            signed_in_by: keyward_core::session::SignedInBy::Password,
        };
        let disabled = person_change(&person, keyward_core::change::PersonChange::Disabled);
        let (added, disabled) = tokio::join!(b.add_session(&session), on_a.propose(vec![disabled]));
        disabled.unwrap();
        assert!(matches!(added, Ok(()) | Err(StoreError::Conflict(_))), "{added:?}");
        assert!(a.sessions(person.id).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_remembered_is_written_once_and_what_the_journal_cannot_take_is_not() {
    let fixture = PostgresFixture::new();
    let (store, world) = fixture.world("a").await;
    let project = world.project("one").await;
    let key = world.key(&project).await;
    world.make(revoked_key(&project, key.id)).await;
    let nodes = store.nodes().unwrap();
    let entries = store.changes_since(Revision::ZERO, 100).await.unwrap();
    let journal = keyward_store::Place::new(fixture.dir("a")).journal();
    nodes.remember(&entries[3..]).await.unwrap();
    let written = std::fs::read_to_string(&journal).unwrap();
    assert_eq!(written.lines().count(), 1, "{written}");
    nodes.remember(&entries).await.unwrap();
    nodes.remember(&entries[3..]).await.unwrap();
    assert_eq!(std::fs::read_to_string(&journal).unwrap(), written);
    drop(nodes);
    store.close().await;

    let (store, world) = fixture.world("a").await;
    let nodes = store.nodes().unwrap();
    nodes.remember(&entries).await.unwrap();
    assert_eq!(std::fs::read_to_string(&journal).unwrap(), written, "nor after a restart");
    let gone = journal.with_extension("gone");
    std::fs::rename(&journal, &gone).unwrap();
    let key = world.key(&project).await;
    let entry = world.make(revoked_key(&project, key.id)).await;
    let refused = nodes.remember(std::slice::from_ref(&entry)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(!journal.exists());
    // Nothing was passed over: it is written once it can be.
    std::fs::rename(&gone, &journal).unwrap();
    nodes.remember(&[entry]).await.unwrap();
    assert_eq!(std::fs::read_to_string(&journal).unwrap().lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_are_signed_of_what_a_node_commits_or_follows() {
    let fixture = PostgresFixture::new();
    let ((a, on_a), b) = (fixture.world("a").await, fixture.node("b").await);
    on_a.organization("one").await;
    let nodes = b.nodes().unwrap();
    let node = new_node("b");
    nodes.register(&node).await.unwrap();
    renewed(nodes.renew(node.id, 2, Revision::ZERO, AT_START, 10).await.unwrap());
    for store in [&a, &b] {
        store.close().await;
        let heads = store.signed_heads().unwrap();
        assert_eq!(heads.last().unwrap().head.revision, Revision(1));
    }
    let options = fixture.options("a");
    let reading = keyward_store::PostgresStore::read_only(options).await.unwrap();
    let heads = reading.signed_heads().unwrap();
    let verdict = reading.verify_log(&heads).await.unwrap();
    assert_eq!(verdict, LogVerdict::Intact { revision: Revision(1), heads: heads.len() as u64 });
    let world = World::new(Arc::new(reading), START);
    let refused = world.propose(vec![created_organization(&world.new_organization("two"))]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(world.store.nodes().is_none() && !world.store.is_writable().await);
    let _ = fixture.folder();
}
