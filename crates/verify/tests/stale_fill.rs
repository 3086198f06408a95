//! Reads that come back late: a key that was read before a change and delivered after it (L04), and keys that
//! go on under another pepper while they are read (K05).

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use keyward_core::change::{Change, KeyChange, KeysChange, KeysOf, OrganizationChange, ProjectRef};
use keyward_core::clock::Timestamp;
use keyward_core::denial::Refusal;
use keyward_core::scope::Scopes;
use keyward_core::secret::PepperVersion;
use support::watched::OnRead;
use support::{Minted, Node};
use tokio::sync::{Notify, Semaphore};

/// Holds what was read of a key until it is told to let go: a slow network between a node and its store.
struct Gate {
    is_shut: AtomicBool,
    held: AtomicUsize,
    arrived: Notify,
    let_go: Semaphore,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Gate {
            is_shut: AtomicBool::new(false),
            held: AtomicUsize::new(0),
            arrived: Notify::new(),
            let_go: Semaphore::new(0),
        })
    }

    fn shut(&self) {
        self.is_shut.store(true, Ordering::SeqCst);
    }

    /// Waits until `count` answers are on their way.
    async fn hold(&self, count: usize) {
        while self.held.load(Ordering::SeqCst) < count {
            self.arrived.notified().await;
        }
    }

    /// Delivers what is held; answers after it pass at once.
    fn open(&self) {
        self.is_shut.store(false, Ordering::SeqCst);
        self.let_go.add_permits(Semaphore::MAX_PERMITS / 2);
    }
}

#[async_trait]
impl OnRead for Gate {
    async fn read(&self) {
        if self.is_shut.load(Ordering::SeqCst) {
            self.held.fetch_add(1, Ordering::SeqCst);
            self.arrived.notify_one();
            self.let_go.acquire().await.unwrap().forget();
        }
    }
}

/// A node whose next read of a key is held.
async fn node_behind_a_gate() -> (Arc<Node>, Arc<Gate>, Minted) {
    let gate = Gate::new();
    let node = Node::start_watched("standard", gate.clone()).await;
    let key = node.mint(1).await.remove(0);
    gate.shut();
    (Arc::new(node), gate, key)
}

/// Verifies in the background.
fn verify(node: &Arc<Node>, key: &Minted) -> tokio::task::JoinHandle<Option<Refusal>> {
    let (node, secret) = (Arc::clone(node), key.secret.clone());
    tokio::spawn(async move { node.refusal(&secret).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l04_a_read_that_a_revoke_overtook_resurrects_nothing() {
    let (node, gate, key) = node_behind_a_gate().await;
    let early = verify(&node, &key);
    gate.hold(1).await;
    node.revoke(key.id).await;
    gate.open();
    // The request that began before may have either answer; nothing of what it read may stay.
    early.await.unwrap();
    for _ in 0..3 {
        assert_eq!(node.refusal(&key.secret).await, Some(Refusal::Revoked));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l04_a_request_that_waits_for_a_stale_read_of_another_is_refused() {
    let (node, gate, key) = node_behind_a_gate().await;
    let early = verify(&node, &key);
    gate.hold(1).await;
    node.revoke(key.id).await;
    // Begun after the revoke returned, and in line behind the read that knows nothing of it.
    let late = verify(&node, &key);
    tokio::task::yield_now().await;
    gate.open();
    assert_eq!(late.await.unwrap(), Some(Refusal::Revoked));
    early.await.unwrap();
    assert_eq!(node.refusal(&key.secret).await, Some(Refusal::Revoked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l04_every_restrictive_change_keeps_stale_reads_out() {
    let now = Timestamp::from_millis(1_000);
    let edits: [(KeyChange, Refusal); 3] = [
        (KeyChange::Disabled, Refusal::Disabled),
        (KeyChange::ExpirySet { expires_at: now }, Refusal::Expired),
        (KeyChange::AddressesSet { addresses: vec!["10.0.0.0/8".parse().unwrap()] }, Refusal::AddressForbidden),
    ];
    for (edit, refusal) in edits {
        let (node, gate, key) = node_behind_a_gate().await;
        let early = verify(&node, &key);
        gate.hold(1).await;
        node.change(key.id, edit).await;
        gate.open();
        early.await.unwrap();
        assert_eq!(node.refusal(&key.secret).await, Some(refusal));
    }
}

/// One change that revokes all of these.
async fn revoke_all(node: &Node, keys: &[Minted]) {
    let (id, organization, api) = (node.project.id, node.project.organization, node.project.api.clone());
    let keys = keys.iter().map(|key| key.id).collect();
    let of = vec![KeysOf { project: ProjectRef { id, organization, api }, keys }];
    let entry = node.world.make(Change::Keys { of, what: KeysChange::Revoked { reason: None } }).await;
    node.engine.settle(entry.revision).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l04_a_revocation_of_many_keeps_stale_reads_out() {
    // Few enough to be remembered one by one, and too many.
    for others in [3, 1_100] {
        let (node, gate, key) = node_behind_a_gate().await;
        let mut keys = node.mint(others).await;
        let early = verify(&node, &key);
        gate.hold(1).await;
        keys.push(key);
        revoke_all(&node, &keys).await;
        gate.open();
        early.await.unwrap();
        for key in keys.iter().rev().take(3) {
            assert_eq!(node.refusal(&key.secret).await, Some(Refusal::Revoked), "of {others} others");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l09_a_revocation_of_many_closes_the_exchanges_of_all_of_them_and_of_no_other() {
    let node = Node::start("standard").await;
    let keys = node.mint(4).await;
    let mut open = Vec::new();
    for key in &keys {
        open.push(node.engine.open(&node.ask(&key.secret)).await.exchange.unwrap());
    }
    let waiting: Vec<_> =
        open.drain(..3).map(|exchange| tokio::spawn(async move { exchange.closed().await })).collect();
    revoke_all(&node, &keys[..3]).await;
    for closed in waiting {
        closed.await.unwrap();
    }
    assert!(!open[0].is_closed());
    assert_eq!(node.engine.open_exchanges(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l04_a_suspension_of_the_organization_keeps_stale_reads_out() {
    let (node, gate, key) = node_behind_a_gate().await;
    let early = verify(&node, &key);
    gate.hold(1).await;
    let id = node.project.organization;
    let entry = node.world.make(Change::Organization { id, what: OrganizationChange::Suspended }).await;
    node.engine.settle(entry.revision).await.unwrap();
    gate.open();
    early.await.unwrap();
    assert_eq!(node.refusal(&key.secret).await, Some(Refusal::ProjectSuspended));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l04_a_read_that_only_others_overtook_is_kept() {
    let (node, gate, key) = node_behind_a_gate().await;
    let other = node.mint(1).await.remove(0);
    let early = verify(&node, &key);
    gate.hold(1).await;
    node.change(other.id, KeyChange::Rescoped { scopes: Scopes::none() }).await;
    gate.open();
    assert_eq!(early.await.unwrap(), None);
    assert_eq!(node.engine.cached_keys(), 1, "the read was current for its key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k05_keys_go_on_under_a_new_pepper_in_every_format() {
    for preset in ["standard", "scrapegraphai"] {
        let node = Node::start(preset).await;
        let keys = node.mint(20).await;
        let (used, idle) = keys.split_at(10);
        let node = node.restart_with(&[1, 2]).await;
        // Again and again: neither the first look-up, nor what it leaves in memory, may refuse.
        for round in 0..3 {
            for key in used {
                assert_eq!(node.refusal(&key.secret).await, None, "{preset}, round {round}");
            }
        }
        node.engine.forget_keys();
        for key in used {
            assert_eq!(node.refusal(&key.secret).await, None, "{preset}, read anew");
        }
        let minted = node.mint(1).await.remove(0);
        assert_eq!(node.refusal(&minted.secret).await, None);
        while needing(&node, 1).await > idle.len() as u64 {
            tokio::task::yield_now().await;
        }
        node.world.store.retire_pepper(1).await.unwrap();
        let node = node.restart_with(&[2]).await;
        for key in used.iter().chain([&minted]) {
            assert_eq!(node.refusal(&key.secret).await, None, "{preset}, after pepper 1 was retired");
        }
        for key in idle {
            assert_eq!(node.refusal(&key.secret).await, Some(Refusal::UnknownKey), "{preset}: never rehashed");
        }
    }
}

/// How many keys still need a pepper.
async fn needing(node: &Node, version: PepperVersion) -> u64 {
    let canaries = node.world.store.canaries().await.unwrap();
    canaries.iter().find(|canary| canary.version == version).unwrap().keys
}
