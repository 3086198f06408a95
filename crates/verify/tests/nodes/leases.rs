//! Nodes that do not answer: others wait for their lease, and what they let in ends with it.

use std::time::Duration;

use keyward_core::decision::RequestFacts;
use keyward_core::denial::Refusal;
use keyward_verify::{Ask, By, Unsettled};

use super::CONTRACT;
use crate::support::meeting::{LEASE, Peers, WAIT, until};

#[tokio::test]
async fn l02_a_second_revoke_waits_too() {
    let nodes = Peers::start(3, CONTRACT).await;
    let key = nodes.known_key().await;
    nodes.peers[1].link.hold(true);
    let revision = nodes.write_revoke(key.id).await;
    let (first, second) = (nodes.settle(0, revision), nodes.settle(2, revision));
    nodes.confirmed(revision, &[0, 2]).await;
    nodes.peers[0].link.looks_again().await;
    nodes.peers[2].link.looks_again().await;
    nodes.pass(WAIT - Duration::from_millis(10));
    nodes.peers[0].link.looks_again().await;
    nodes.peers[2].link.looks_again().await;
    assert!(!first.is_finished() && !second.is_finished(), "returned before the other had confirmed");
    nodes.pass(Duration::from_millis(10));
    for waiting in [first, second] {
        let in_force = waiting.await.unwrap().unwrap();
        assert_eq!((in_force.by, in_force.nodes), (By::LeaseExpired, 2));
        assert!(in_force.waited_ms >= 12_600, "{in_force:?}");
    }
    assert_eq!(nodes.peers[1].refusal(&key.secret).await, Some(Refusal::Unavailable));
    nodes.peers[1].link.hold(false);
    nodes.comes_back(1).await;
    assert_eq!(nodes.peers[1].refusal(&key.secret).await, Some(Refusal::Revoked));
    nodes.stop().await;
}

#[tokio::test]
async fn l02_both_revokes_return_once_the_other_has_confirmed() {
    let nodes = Peers::start(3, CONTRACT).await;
    let key = nodes.known_key().await;
    nodes.peers[1].link.hold(true);
    let revision = nodes.write_revoke(key.id).await;
    let (first, second) = (nodes.settle(0, revision), nodes.settle(2, revision));
    nodes.peers[0].link.looks_again().await;
    nodes.peers[2].link.looks_again().await;
    assert!(!first.is_finished() && !second.is_finished());
    assert_eq!(nodes.peers[0].engine.in_force(revision).await.unwrap(), None);
    nodes.peers[1].link.hold(false);
    for waiting in [first, second] {
        assert_eq!(waiting.await.unwrap().unwrap().by, By::Acknowledged);
    }
    assert_eq!(nodes.peers[0].engine.in_force(revision).await.unwrap().unwrap().nodes, 3);
    nodes.stop().await;
}

#[tokio::test]
async fn l01_a_node_that_is_gone_is_waited_for_once() {
    let nodes = Peers::start(3, CONTRACT).await;
    let (first, second) = (nodes.known_key().await, nodes.known_key().await);
    nodes.peers[1].link.hold(true);
    let gone = nodes.peers[1].id().unwrap();
    let waiting = nodes.settle(0, nodes.write_revoke(first.id).await);
    nodes.peers[0].link.looks_again().await;
    nodes.pass(WAIT);
    assert_eq!(waiting.await.unwrap().unwrap().by, By::LeaseExpired);
    while nodes.meeting.ids().contains(&gone) {
        nodes.pass_and_renew(Duration::from_secs(2), &[0, 2]).await;
    }
    let in_force = nodes.revoke(0, second.id).await;
    assert_eq!((in_force.by, in_force.nodes), (By::Acknowledged, 2));
    // It comes back as another, with nothing in its memory.
    nodes.peers[1].link.hold(false);
    nodes.comes_back(1).await;
    assert_ne!(nodes.peers[1].id(), Some(gone));
    assert_eq!(nodes.peers[1].engine.cached_keys(), 0);
    assert_eq!(nodes.peers[1].refusal(&second.secret).await, Some(Refusal::Revoked));
    nodes.stop().await;
}

#[tokio::test]
async fn l09_what_a_node_let_in_ends_with_its_lease() {
    let nodes = Peers::start(2, CONTRACT).await;
    let key = nodes.known_key().await;
    let there = &nodes.peers[1];
    let api = there.engine.api(&nodes.project().api).unwrap();
    let ask = Ask { api: Some(&api), presented: &key.secret, facts: RequestFacts::default() };
    let exchange = there.engine.open(&ask).await.exchange.unwrap();
    there.link.cut(true);
    assert!(!exchange.is_closed());
    nodes.pass(LEASE);
    exchange.closed().await;
    assert!(there.engine.open(&ask).await.exchange.is_none());
    nodes.stop().await;
}

#[tokio::test]
async fn s16_a_node_that_slept_grants_nothing_when_it_wakes() {
    let nodes = Peers::start(2, CONTRACT).await;
    let key = nodes.known_key().await;
    nodes.peers[1].link.hold(true);
    let waiting = nodes.settle(0, nodes.write_revoke(key.id).await);
    nodes.peers[0].link.looks_again().await;
    nodes.pass(3 * LEASE);
    assert_eq!(waiting.await.unwrap().unwrap().by, By::LeaseExpired);
    assert_eq!(nodes.peers[1].refusal(&key.secret).await, Some(Refusal::Unavailable));
    nodes.peers[1].link.hold(false);
    nodes.comes_back(1).await;
    assert_eq!(nodes.peers[1].refusal(&key.secret).await, Some(Refusal::Revoked));
    nodes.stop().await;
}

#[tokio::test]
async fn s16_a_machine_that_was_held_still_trusts_no_lease() {
    let nodes = Peers::start(2, CONTRACT).await;
    let key = nodes.known_key().await;
    let there = &nodes.peers[1];
    there.link.cut(true);
    // CLOCK_BOOTTIME has stood still; only the wall clock knows.
    there.clock.jump(11_000);
    until(|| !there.engine.is_ready()).await;
    assert_eq!(there.refusal(&key.secret).await, Some(Refusal::Unavailable));
    there.link.cut(false);
    nodes.comes_back(1).await;
    assert_eq!(there.refusal(&key.secret).await, None);
    nodes.stop().await;
}

#[tokio::test]
async fn l06_a_node_that_stops_is_not_waited_for() {
    let nodes = Peers::start(3, CONTRACT).await;
    let key = nodes.known_key().await;
    nodes.peers[2].engine.stop().await;
    assert_eq!(nodes.meeting.ids().len(), 2);
    assert_eq!(nodes.peers[2].refusal(&key.secret).await, Some(Refusal::Unavailable));
    assert!(matches!(
        nodes.peers[2].engine.settle(nodes.write_revoke(key.id).await).await,
        Err(Unsettled::Stopped)
    ));
    let head = nodes.opened.store_head().await;
    let in_force = nodes.settle(0, head).await.unwrap().unwrap();
    assert_eq!((in_force.by, in_force.nodes), (By::Acknowledged, 2));
    nodes.stop().await;
}

#[tokio::test]
async fn s06_what_cannot_be_remembered_is_not_confirmed() {
    let nodes = Peers::start(2, CONTRACT).await;
    let key = nodes.known_key().await;
    nodes.peers[1].link.forbid_remembering(true);
    let revision = nodes.write_revoke(key.id).await;
    let waiting = nodes.settle(0, revision);
    until(|| nodes.peers[1].engine.standing().reasons.iter().any(|reason| reason.contains("kept"))).await;
    nodes.peers[0].link.looks_again().await;
    assert!(!waiting.is_finished());
    assert_eq!(nodes.peers[1].refusal(&key.secret).await, Some(Refusal::Revoked), "it is applied all the same");
    nodes.peers[1].link.forbid_remembering(false);
    assert_eq!(waiting.await.unwrap().unwrap().by, By::Acknowledged);
    assert!(nodes.peers[1].link.remembered().contains(&revision));
    nodes.stop().await;
}
