//! A store that does not answer, loses answers, or comes back with another past.

use std::time::Duration;

use keyward_core::denial::Refusal;
use keyward_verify::{By, Unsettled};

use super::CONTRACT;
use crate::support::meeting::{LEASE, Peers, WAIT};

#[tokio::test]
async fn s09_keys_in_memory_are_verified_until_the_lease_ends_and_again_once_the_store_is_back() {
    let nodes = Peers::start(2, CONTRACT).await;
    let key = nodes.known_key().await;
    nodes.peers.iter().for_each(|peer| peer.link.cut(true));
    nodes.pass(LEASE - Duration::from_secs(3));
    for peer in &nodes.peers {
        assert_eq!(peer.refusal(&key.secret).await, None);
    }
    nodes.pass(Duration::from_secs(3));
    for peer in &nodes.peers {
        assert_eq!(peer.refusal(&key.secret).await, Some(Refusal::Unavailable));
        assert!(!peer.engine.is_ready());
    }
    nodes.pass(Duration::from_secs(60));
    nodes.peers.iter().for_each(|peer| peer.link.cut(false));
    for (at, peer) in nodes.peers.iter().enumerate() {
        nodes.comes_back(at).await;
        assert_eq!(peer.refusal(&key.secret).await, None);
    }
    nodes.stop().await;
}

#[tokio::test]
async fn l01_nothing_is_promised_where_the_nodes_cannot_be_asked() {
    let nodes = Peers::start(2, CONTRACT).await;
    let key = nodes.known_key().await;
    let revision = nodes.write_revoke(key.id).await;
    nodes.peers[0].link.cut(true);
    let waiting = nodes.settle(0, revision);
    nodes.peers[0].link.looks_again().await;
    nodes.pass(WAIT + Duration::from_secs(3));
    assert!(matches!(waiting.await.unwrap(), Err(Unsettled::Unknown)));
    assert!(nodes.peers[0].engine.in_force(revision).await.is_err());
    nodes.stop().await;
}

#[tokio::test]
async fn l01_answers_that_are_lost_prolong_no_lease() {
    let nodes = Peers::start(2, CONTRACT).await;
    let key = nodes.known_key().await;
    let there = &nodes.peers[1];
    there.link.lose_answers(true);
    for _ in 0..6 {
        nodes.pass_and_renew(Duration::from_secs(2), &[0, 1]).await;
    }
    assert_eq!(there.refusal(&key.secret).await, Some(Refusal::Unavailable));
    there.link.lose_answers(false);
    nodes.comes_back(1).await;
    nodes.stop().await;
}

#[tokio::test]
async fn s14_a_store_with_another_past_is_noticed_and_begun_with_afresh() {
    let nodes = Peers::start(2, CONTRACT).await;
    let key = nodes.known_key().await;
    let there = &nodes.peers[1];
    let (before, replays) = (there.id().unwrap(), there.link.replays());
    there.link.go_back();
    nodes.pass(Duration::from_secs(3));
    nodes.until(|| there.id().is_some_and(|id| id != before)).await;
    nodes.comes_back(1).await;
    assert_eq!(there.link.replays(), replays + 1);
    assert_eq!(there.engine.cached_keys(), 0, "what was read before is dropped");
    assert!(there.engine.standing().reasons.iter().any(|reason| reason.contains("went back")));
    assert_eq!(there.refusal(&key.secret).await, None);
    // Nobody answers for the run before; its lease has to end once.
    let waiting = nodes.settle(0, nodes.write_revoke(key.id).await);
    nodes.peers[0].link.looks_again().await;
    assert!(!waiting.is_finished());
    nodes.pass(WAIT);
    assert_eq!(waiting.await.unwrap().unwrap().by, By::LeaseExpired);
    nodes.stop().await;
}

#[tokio::test]
async fn l12_what_the_store_has_lost_keeps_no_node_from_confirming_what_comes_after() {
    let nodes = Peers::start(2, CONTRACT).await;
    let keys = nodes.mint(2).await;
    let there = &nodes.peers[1];
    // It has applied a change that is gone by the time it would keep it.
    there.link.forbid_remembering(true);
    let lost = nodes.write_revoke(keys[0].id).await;
    nodes.until(|| there.engine.standing().reasons.iter().any(|reason| reason.contains("kept"))).await;
    there.link.forget_up_to(lost);
    let before = there.id().unwrap();
    there.link.go_back();
    nodes.pass(Duration::from_secs(3));
    nodes.until(|| there.id().is_some_and(|id| id != before)).await;
    nodes.comes_back(1).await;
    // The run before is waited for once; what is written then is confirmed by both.
    let waiting = nodes.settle(0, nodes.write_revoke(keys[1].id).await);
    nodes.peers[0].link.looks_again().await;
    nodes.pass(WAIT);
    waiting.await.unwrap().unwrap();
    nodes.until(|| there.link.remembered().iter().any(|kept| *kept > lost)).await;
    nodes.stop().await;
}

#[tokio::test]
async fn s14_a_read_that_began_under_another_run_is_let_in_nowhere() {
    let nodes = Peers::start(2, CONTRACT).await;
    let key = nodes.mint(1).await.remove(0);
    let there = &nodes.peers[1];
    there.link.hold_reads(true);
    let verifying = {
        let (engine, secret) = (std::sync::Arc::clone(&there.engine), key.secret.clone());
        tokio::spawn(async move {
            let ask = keyward_verify::Ask { api: None, presented: &secret, facts: Default::default() };
            engine.verify(&ask).await.outcome.is_ok()
        })
    };
    there.link.read_arrives(1).await;
    let before = there.id();
    there.link.go_back();
    nodes.pass(Duration::from_secs(3));
    nodes.until(|| there.id().is_some() && there.id() != before).await;
    nodes.comes_back(1).await;
    there.link.hold_reads(false);
    verifying.await.unwrap();
    // It was read once more before it was let in.
    there.link.read_arrives(2).await;
    assert_eq!(there.refusal(&key.secret).await, None);
    nodes.stop().await;
}
