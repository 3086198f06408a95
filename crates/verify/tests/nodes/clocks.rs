//! Whose time it is: the database's, carried on a clock that nobody sets.

use std::time::Duration;

use keyward_core::change::KeyChange;
use keyward_core::denial::Refusal;

use super::CONTRACT;
use crate::support::meeting::Peers;
use crate::support::of_key;

#[tokio::test]
async fn l08_a_wall_clock_that_is_set_moves_no_expiry() {
    let mut nodes = Peers::start(1, CONTRACT).await;
    nodes.add(300_000).await;
    nodes.add(-300_000).await;
    let key = nodes.known_key().await;
    let expires_at = nodes.now().saturating_add(Duration::from_secs(5));
    nodes.change(0, of_key(nodes.project(), key.id, KeyChange::ExpirySet { expires_at })).await;
    for hours in [0, 1, -1] {
        for (at, peer) in nodes.peers.iter().enumerate() {
            let renewals = peer.link.renewals();
            peer.clock.jump(hours * 3_600_000);
            // A machine that may have stood still for an hour trusts no lease that it had before.
            nodes.until(|| hours <= 0 || peer.link.renewals() > renewals).await;
            nodes.comes_back(at).await;
            assert_eq!(peer.refusal(&key.secret).await, None, "it has four seconds still");
            assert!(peer.engine.clock().now() < expires_at);
        }
    }
    nodes.pass(Duration::from_millis(4_900));
    for peer in &nodes.peers {
        assert_eq!(peer.refusal(&key.secret).await, None);
    }
    nodes.pass(Duration::from_millis(200));
    for hours in [0, -1, -1] {
        for (at, peer) in nodes.peers.iter().enumerate() {
            peer.clock.jump(hours * 3_600_000);
            nodes.comes_back(at).await;
            assert_eq!(peer.refusal(&key.secret).await, Some(Refusal::Expired), "and it stays so");
        }
    }
    nodes.stop().await;
}

#[tokio::test]
async fn s22_a_wall_clock_that_is_off_is_told_of() {
    let mut nodes = Peers::start(1, CONTRACT).await;
    nodes.add(86_400_000).await;
    let right = nodes.peers[0].engine.standing();
    assert_eq!((right.clock_skew_ms, right.reasons), (0, Vec::new()));
    let wrong = nodes.peers[1].engine.standing();
    assert!(wrong.is_ready, "what it decides by is the database's time");
    assert_eq!(wrong.clock_skew_ms, 86_400_000);
    assert_eq!(wrong.reasons, ["the machine's wall clock is 86400 s off the database's"]);
    assert_eq!(nodes.peers[1].engine.clock().now(), nodes.now());
    nodes.stop().await;
}
