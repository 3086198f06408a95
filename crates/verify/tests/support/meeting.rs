//! Several nodes on one store, in one process: where they meet is kept in memory, and each reaches the store over a link
//! that can be cut, held up, or made to lose what is answered. Each node has a clock of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use keyward_core::change::{Change, Entry, KeyChange, Revision};
use keyward_core::clock::{Clock, Timestamp};
use keyward_core::decision::RequestFacts;
use keyward_core::denial::Refusal;
use keyward_core::id::{KeyId, NodeId};
use keyward_core::nodes::{Census, Epoch, Followed, NewNode, Nodes, Renewal, Renewed, Replayed, SeenNode};
use keyward_core::store::{Result, Store, StoreError};
use keyward_core::tenancy::Project;
use keyward_verify::{Ask, Engine, EngineOptions, InForce, LeaseLength, NodeOptions, Unsettled};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::site::{Opened, Site, TestClock};
use super::watched::{OnRead, Watched};
use super::{Minted, of_key, ring};

/// How long leases last here.
pub const LEASE: Duration = Duration::from_secs(10);
/// Longer than anybody waits for one.
pub const WAIT: Duration = Duration::from_millis(12_601);

/// Longer than a node waits before it says again what had no answer.
const RETRY: Duration = Duration::from_millis(300);

/// Where nodes meet.
pub struct Meeting {
    rows: Mutex<BTreeMap<NodeId, SeenNode>>,
    hints: watch::Sender<u64>,
    store: Arc<dyn Store>,
    /// The database's.
    pub clock: Arc<TestClock>,
}

impl Meeting {
    /// Who is registered.
    pub fn ids(&self) -> Vec<NodeId> {
        self.rows.lock().keys().copied().collect()
    }

    /// Tells all that something was written.
    pub fn hint(&self) {
        self.hints.send_modify(|count| *count += 1);
    }
}

/// One node's way to the store.
pub struct Link {
    meeting: Arc<Meeting>,
    held: watch::Sender<bool>,
    reads_held: watch::Sender<bool>,
    is_cut: AtomicBool,
    loses_answers: AtomicBool,
    has_gone_back: AtomicBool,
    /// Changes up to here cannot be kept outside the database.
    not_remembered: AtomicI64,
    looks: AtomicU64,
    reads: AtomicU64,
    renewals: AtomicU64,
    /// Calls that were cut off, lost their answer or were given up.
    failures: AtomicU64,
    replays: AtomicU64,
    remembered: Mutex<Vec<Revision>>,
}

impl Link {
    fn new(meeting: &Arc<Meeting>) -> Arc<Self> {
        Arc::new(Link {
            meeting: Arc::clone(meeting),
            held: watch::Sender::new(false),
            reads_held: watch::Sender::new(false),
            is_cut: AtomicBool::new(false),
            loses_answers: AtomicBool::new(false),
            has_gone_back: AtomicBool::new(false),
            not_remembered: AtomicI64::new(0),
            looks: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            renewals: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            replays: AtomicU64::new(0),
            remembered: Mutex::default(),
        })
    }

    /// Everything that is asked fails, or is asked again.
    pub fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
    }

    /// Everything that is asked waits.
    pub fn hold(&self, is_held: bool) {
        self.held.send_replace(is_held);
    }

    /// Keys that are read arrive once they are no longer held up.
    pub fn hold_reads(&self, is_held: bool) {
        self.reads_held.send_replace(is_held);
    }

    /// What is asked is done, and its answer lost.
    pub fn lose_answers(&self, loses: bool) {
        self.loses_answers.store(loses, Ordering::SeqCst);
    }

    /// The next renewal finds another past.
    pub fn go_back(&self) {
        self.has_gone_back.store(true, Ordering::SeqCst);
    }

    /// Nothing can be kept outside the database.
    pub fn forbid_remembering(&self, is_forbidden: bool) {
        self.forget_up_to(Revision(if is_forbidden { i64::MAX } else { 0 }));
    }

    /// The same for changes up to here: the store has lost them.
    pub fn forget_up_to(&self, revision: Revision) {
        self.not_remembered.store(revision.0, Ordering::SeqCst);
    }

    /// How many renewals were written.
    pub fn renewals(&self) -> u64 {
        self.renewals.load(Ordering::SeqCst)
    }

    pub fn replays(&self) -> u64 {
        self.replays.load(Ordering::SeqCst)
    }

    pub fn remembered(&self) -> Vec<Revision> {
        self.remembered.lock().clone()
    }

    /// Waits until this node has looked at the others twice more: then whoever waits has been told what there is.
    pub async fn looks_again(&self) {
        let before = self.looks.load(Ordering::SeqCst);
        until(|| self.looks.load(Ordering::SeqCst) >= before + 3).await;
    }

    /// Waits until a read of a key is held up.
    pub async fn read_arrives(&self, count: u64) {
        until(|| self.reads.load(Ordering::SeqCst) >= count).await;
    }

    async fn pass(&self) -> Result<()> {
        let mut held = self.held.subscribe();
        held.wait_for(|held| !held).await.unwrap();
        match self.is_cut.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("cut off".into())),
            false => Ok(()),
        }
    }

    /// The same, for what a node says again later should it fail.
    async fn call(&self) -> Result<Call<'_>> {
        let call = Call { link: self, is_answered: false };
        self.pass().await?;
        Ok(call)
    }

    fn answer<T>(&self, value: T) -> Result<T> {
        match self.loses_answers.load(Ordering::SeqCst) {
            true => Err(StoreError::Unknown("the answer was lost".into())),
            false => Ok(value),
        }
    }
}

/// A call under way; dropped without an answer it has failed.
struct Call<'a> {
    link: &'a Link,
    is_answered: bool,
}

impl Call<'_> {
    fn answer<T>(mut self, value: T) -> Result<T> {
        let answer = self.link.answer(value);
        self.is_answered = answer.is_ok();
        answer
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.link.failures.fetch_add(u64::from(!self.is_answered), Ordering::SeqCst);
    }
}

/// One node's view of where nodes meet.
struct Door(Arc<Link>);

#[async_trait]
impl OnRead for LinkReads {
    async fn read(&self) {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        let mut held = self.0.reads_held.subscribe();
        held.wait_for(|held| !held).await.unwrap();
    }

    async fn reach(&self) -> Result<()> {
        self.0.call().await?.answer(())
    }

    fn nodes(&self) -> Option<Arc<dyn Nodes>> {
        Some(Arc::new(Door(Arc::clone(&self.0))))
    }
}

struct LinkReads(Arc<Link>);

#[async_trait]
impl Nodes for Door {
    async fn register(&self, new: &NewNode) -> Result<()> {
        let call = self.0.call().await?;
        let meeting = &self.0.meeting;
        let NewNode { id, nonce, lease, name, version, started_at } = new.clone();
        let (acknowledged, renewed_at) = (Revision::ZERO, meeting.clock.now());
        let seen = SeenNode { id, nonce, acknowledged, lease, name, version, started_at, renewed_at };
        assert!(meeting.rows.lock().insert(id, seen).is_none(), "an id is used twice");
        call.answer(())
    }

    async fn renew(
        &self,
        id: NodeId,
        nonce: u128,
        acknowledged: Revision,
        followed: Followed,
        limit: u32,
    ) -> Result<Renewal> {
        let call = self.0.call().await?;
        let meeting = &self.0.meeting;
        {
            let mut rows = meeting.rows.lock();
            let Some(row) = rows.get_mut(&id) else { return call.answer(Renewal::Fenced) };
            (row.nonce, row.renewed_at) = (nonce, meeting.clock.now());
            row.acknowledged = row.acknowledged.max(acknowledged);
        }
        let before = Revision((followed.revision.0 - 1).max(0));
        let mut entries = meeting.store.changes_since(before, limit + 1).await?;
        let head = meeting.store.head().await?.0;
        let is_known = entries.first().is_some_and(|first| first.revision == followed.revision);
        let hash = is_known.then(|| entries.remove(0).hash);
        let hash = hash.filter(|_| !self.0.has_gone_back.swap(false, Ordering::SeqCst));
        self.0.renewals.fetch_add(1, Ordering::SeqCst);
        let (epoch, now) = (Epoch("one".into()), meeting.clock.now());
        call.answer(Renewal::Renewed(Renewed { head, hash, entries, epoch, now }))
    }

    async fn acknowledge(&self, id: NodeId, acknowledged: Revision) -> Result<()> {
        self.0.pass().await?;
        if let Some(row) = self.0.meeting.rows.lock().get_mut(&id) {
            row.acknowledged = row.acknowledged.max(acknowledged);
        }
        self.0.meeting.hint();
        self.0.answer(())
    }

    async fn census(&self) -> Result<Census> {
        self.0.looks.fetch_add(1, Ordering::SeqCst);
        self.0.pass().await?;
        let meeting = &self.0.meeting;
        let nodes = meeting.rows.lock().values().cloned().collect();
        let (head, _) = meeting.store.head().await?;
        self.0.answer(Census { nodes, epoch: Epoch("one".into()), head, now: meeting.clock.now() })
    }

    async fn reap(&self, id: NodeId, nonce: u128) -> Result<bool> {
        self.0.pass().await?;
        let mut rows = self.0.meeting.rows.lock();
        let is_there = rows.get(&id).is_some_and(|row| row.nonce == nonce);
        if is_there {
            rows.remove(&id);
        }
        self.0.answer(is_there)
    }

    async fn leave(&self, id: NodeId) -> Result<()> {
        self.0.pass().await?;
        self.0.meeting.rows.lock().remove(&id);
        self.0.meeting.hint();
        self.0.answer(())
    }

    async fn remember(&self, entries: &[Entry]) -> Result<()> {
        let lost = self.0.not_remembered.load(Ordering::SeqCst);
        if entries.iter().any(|entry| entry.revision.0 <= lost) {
            return Err(StoreError::Full("the journal".into()));
        }
        self.0.remembered.lock().extend(entries.iter().map(|entry| entry.revision));
        Ok(())
    }

    async fn replay(&self) -> Result<Replayed> {
        self.0.replays.fetch_add(1, Ordering::SeqCst);
        Ok(Replayed { changes: 0, unreadable: 0 })
    }

    async fn hint(&self, seen: u64) -> u64 {
        let mut hints = self.0.meeting.hints.subscribe();
        *hints.wait_for(|count| *count > seen).await.unwrap()
    }
}

/// A node of several.
pub struct Peer {
    pub engine: Arc<Engine>,
    pub link: Arc<Link>,
    pub clock: Arc<TestClock>,
}

impl Peer {
    /// What a credential is refused with here; nothing where it is granted.
    pub async fn refusal(&self, secret: &str) -> Option<Refusal> {
        let api = self.engine.api(&"limited".parse().unwrap());
        let ask = Ask { api: api.as_deref(), presented: secret, facts: RequestFacts::default() };
        self.engine.verify(&ask).await.outcome.err().map(|denial| denial.refusal())
    }

    pub fn id(&self) -> Option<NodeId> {
        self.engine.standing().id
    }
}

/// Nodes on one store.
pub struct Peers {
    pub site: Site,
    pub opened: Opened,
    pub meeting: Arc<Meeting>,
    pub peers: Vec<Peer>,
    /// How many failures have had the time since that they are tried again.
    retried: AtomicU64,
}

impl Peers {
    /// So many nodes, whose clocks all show the same.
    pub async fn start(count: usize, contract: &str) -> Peers {
        let clock = TestClock::at("2026-11-21T10:00:00Z");
        let site = Site::new(contract, clock.clone()).await;
        let opened = site.open().await;
        let store = Arc::clone(&opened.store) as Arc<dyn Store>;
        let (rows, hints) = (Mutex::default(), watch::Sender::new(0));
        let meeting = Arc::new(Meeting { rows, hints, store, clock });
        let mut peers = Peers { site, opened, meeting, peers: Vec::new(), retried: AtomicU64::new(0) };
        for _ in 0..count {
            peers.add(0).await;
        }
        peers
    }

    /// One more, whose wall clock is ahead of the database's.
    pub async fn add(&mut self, ahead_millis: i64) -> &Peer {
        let clock = TestClock::at("2026-11-21T10:00:00Z");
        clock.pass_to(self.meeting.clock.now());
        clock.jump(ahead_millis);
        let link = Link::new(&self.meeting);
        let reads = Arc::new(LinkReads(Arc::clone(&link)));
        let store = Arc::new(Watched { store: Arc::clone(&self.opened.store) as Arc<dyn Store>, on_read: reads });
        let node = NodeOptions { lease: LeaseLength::of(LEASE), ..NodeOptions::default() };
        let options = EngineOptions { node, ..EngineOptions::default() };
        let engine = Engine::start(store, ring(&[1]), clock.clone(), options).await.unwrap();
        self.peers.push(Peer { engine, link, clock });
        self.peers.last().unwrap()
    }

    /// Time passes, for the database and all nodes. Calls that are under way may be given up as late.
    pub fn pass(&self, by: Duration) {
        if by >= RETRY {
            self.retried.store(self.failures(), Ordering::SeqCst);
        }
        self.meeting.clock.pass(by);
        self.peers.iter().for_each(|peer| peer.clock.pass(by));
    }

    fn failures(&self) -> u64 {
        self.peers.iter().map(|peer| peer.link.failures.load(Ordering::SeqCst)).sum()
    }

    /// Lets others work until something is so. What fails meanwhile is tried again later on the nodes' own clocks, so a
    /// little time passes whenever something has.
    pub async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            until(|| is_so() || self.failures() > self.retried.load(Ordering::SeqCst)).await;
            if is_so() {
                return;
            }
            self.pass(RETRY);
        }
    }

    /// Waits until the lease of a node holds.
    pub async fn comes_back(&self, at: usize) {
        self.until(|| self.peers[at].engine.is_ready()).await;
    }

    /// Time passes; waits until some have renewed their leases, for which the time must have come.
    pub async fn pass_and_renew(&self, by: Duration, which: &[usize]) {
        let renewals = |at: &usize| self.peers[*at].link.renewals();
        let before: Vec<_> = which.iter().map(renewals).collect();
        self.pass(by);
        self.until(|| which.iter().zip(&before).all(|(at, before)| renewals(at) > *before)).await;
    }

    /// Waits until some nodes have confirmed a change.
    pub async fn confirmed(&self, revision: Revision, which: &[usize]) {
        let ids: Vec<_> = which.iter().map(|at| self.peers[*at].id().unwrap()).collect();
        until(|| {
            let rows = self.meeting.rows.lock();
            ids.iter().all(|id| rows.get(id).is_some_and(|row| row.acknowledged >= revision))
        })
        .await;
    }

    pub async fn mint(&self, count: usize) -> Vec<Minted> {
        let minted = self.site.mint(&self.opened, &self.site.project, count).await;
        self.meeting.hint();
        minted
    }

    /// A key that is in the memory of every node.
    pub async fn known_key(&self) -> Minted {
        let key = self.mint(1).await.remove(0);
        // Applied everywhere first: what is read before its creation is applied is read once more.
        self.peers[0].engine.settle(self.opened.store_head().await).await.unwrap();
        for peer in &self.peers {
            assert_eq!(peer.refusal(&key.secret).await, None);
        }
        key
    }

    /// Writes a change; nobody waits for it.
    pub async fn write(&self, change: Change) -> Revision {
        let entry = self.opened.world.make(change).await;
        self.meeting.hint();
        entry.revision
    }

    pub async fn write_revoke(&self, key: KeyId) -> Revision {
        self.write(of_key(&self.site.project, key, KeyChange::Revoked { reason: None })).await
    }

    /// Writes a change, and waits at a node until it is in force.
    pub async fn change(&self, at: usize, change: Change) -> InForce {
        let revision = self.write(change).await;
        self.peers[at].engine.settle(revision).await.unwrap()
    }

    pub async fn revoke(&self, at: usize, key: KeyId) -> InForce {
        let revision = self.write_revoke(key).await;
        self.peers[at].engine.settle(revision).await.unwrap()
    }

    /// Waits at a node in the background.
    pub fn settle(&self, at: usize, revision: Revision) -> JoinHandle<std::result::Result<InForce, Unsettled>> {
        let engine = Arc::clone(&self.peers[at].engine);
        tokio::spawn(async move { engine.settle(revision).await })
    }

    pub async fn stop(&self) {
        for peer in &self.peers {
            peer.engine.stop().await;
        }
        self.opened.store.close().await;
    }

    pub fn project(&self) -> &Project {
        &self.site.project
    }

    pub fn now(&self) -> Timestamp {
        self.meeting.clock.now()
    }
}

/// Lets others work until something is so.
pub async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}
