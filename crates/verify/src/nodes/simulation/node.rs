//! One node of a simulated world: carries the messages of its state machines, verifies and revokes, each step of it at
//! the mercy of what happens to its machine.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use keyward_core::change::Revision;
use keyward_core::clock::{Clock, Timestamp};
use keyward_core::decision::Condition;
use keyward_core::nodes::Renewal;

use super::World;
use super::database::{Database, digest_of};
use super::executor::{Executor, MILLI, Process};
use crate::cache::Cache;
use crate::lease::Lease;
use crate::nodes::LeaseLength;
use crate::nodes::member::{Act, Heard, Member, Say};
use crate::nodes::mutants::Mutant;
use crate::nodes::reaper::Reaper;
use crate::nodes::wait::{Outcome, Waiters};

/// How long leases last here.
pub const LEASE: Duration = Duration::from_secs(1);
/// How long a call may take, by the node's clock.
const TIMEOUT: f64 = 400.0 * MILLI as f64;
/// How far a clock may run fast or slow.
const RATE_ERROR: f64 = 0.02;

/// A machine that runs a node.
pub struct Node {
    world: Rc<World>,
    pub index: u64,
    rate: f64,
    offset: i64,
    /// Until when it is cut off from the store.
    pub cut_until: Cell<i64>,
    pub stopped_until: Cell<i64>,
    /// How long it was suspended in all.
    pub suspended: Cell<i64>,
    /// By how much its wall clock was set.
    pub set_by: Cell<i64>,
    /// How often its process ended.
    run: Cell<u32>,
    pub is_down: Cell<bool>,
    /// Whether it never comes back.
    pub is_gone: Cell<bool>,
    /// How far a replica lags that it reads, wrongly.
    lag: i64,
    memory: RefCell<Rc<Memory>>,
}

/// What ends with the process.
struct Memory {
    member: RefCell<Member>,
    lease: Lease,
    cache: Cache,
    waiters: RefCell<Waiters<(usize, i64)>>,
    is_hinted: Cell<bool>,
    talk: Cell<usize>,
    settle: Cell<usize>,
}

impl Memory {
    #[cfg(feature = "mutants")]
    fn new(mutant: Option<Mutant>) -> Rc<Self> {
        let mut cache = Cache::with_room(Revision::ZERO, 1);
        cache.set_unfenced(mutant == Some(Mutant::FillUnfenced));
        Self::of(Member::with_mutant(LeaseLength::of(LEASE), mutant), Waiters::with_mutant(LEASE, mutant), cache)
    }

    #[cfg(not(feature = "mutants"))]
    fn new(_: Option<Mutant>) -> Rc<Self> {
        let cache = Cache::with_room(Revision::ZERO, 1);
        Self::of(Member::new(LeaseLength::of(LEASE)), Waiters::new(LEASE), cache)
    }

    fn of(member: Member, waiters: Waiters<(usize, i64)>, cache: Cache) -> Rc<Self> {
        Rc::new(Memory {
            member: RefCell::new(member),
            lease: Lease::over(),
            cache,
            waiters: RefCell::new(waiters),
            is_hinted: Cell::new(false),
            talk: Cell::new(usize::MAX),
            settle: Cell::new(usize::MAX),
        })
    }
}

/// What a clock shows at one moment.
struct Shown(i64);

impl Clock for Shown {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn boottime_nanos(&self) -> i64 {
        self.0
    }
}

impl Process for Node {
    fn is_over(&self, run: u32) -> bool {
        self.is_down.get() || self.run.get() != run
    }

    fn stopped_until(&self) -> i64 {
        self.stopped_until.get()
    }
}

impl Node {
    /// A machine, with its process started.
    pub fn start(world: &Rc<World>, index: u64) {
        let executor = &world.executor;
        let node = Rc::new(Node {
            world: Rc::clone(world),
            index,
            rate: 1.0 + executor.between(-RATE_ERROR, RATE_ERROR),
            offset: executor.millis(0.0, 1e6),
            cut_until: Cell::new(0),
            stopped_until: Cell::new(0),
            suspended: Cell::new(0),
            set_by: Cell::new(0),
            run: Cell::new(0),
            is_down: Cell::new(true),
            is_gone: Cell::new(false),
            lag: executor.millis(300.0, 1_800.0),
            memory: RefCell::new(Memory::new(world.mutant)),
        });
        world.nodes.borrow_mut().push(Rc::clone(&node));
        node.boot();
    }

    /// Starts its process, with nothing in memory.
    pub fn boot(self: &Rc<Self>) {
        if self.is_gone.get() {
            return;
        }
        self.is_down.set(false);
        *self.memory.borrow_mut() = Memory::new(self.world.mutant);
        let memory = self.memory();
        self.spawn(Rc::clone(self).talk(Rc::clone(&memory)));
        self.spawn(Rc::clone(self).settle(Rc::clone(&memory)));
        self.spawn(Rc::clone(self).reap(memory));
    }

    /// Ends its process, without a word.
    pub fn kill(&self) {
        self.run.set(self.run.get() + 1);
        self.is_down.set(true);
    }

    pub fn spawn(self: &Rc<Self>, work: impl Future<Output = ()> + 'static) {
        let process = Rc::clone(self) as Rc<dyn Process>;
        self.world.executor.spawn(Some((process, self.run.get())), work);
    }

    pub fn executor(&self) -> &Rc<Executor> {
        &self.world.executor
    }

    fn memory(&self) -> Rc<Memory> {
        Rc::clone(&self.memory.borrow())
    }

    fn boottime(&self) -> i64 {
        let mut passed = self.world.executor.now();
        if self.world.is(Mutant::ClockStopsInSuspend) {
            passed -= self.suspended.get();
        }
        let shown = self.offset + (passed as f64 * self.rate) as i64;
        if self.world.is(Mutant::WallClock) { shown + self.set_by.get() } else { shown }
    }

    fn fresh(&self) -> u128 {
        let random = || u128::from(self.world.executor.random());
        (random() << 64) | random()
    }

    /// Something was written, perhaps.
    pub fn hint(&self) {
        let memory = self.memory();
        memory.is_hinted.set(true);
        self.wake(&memory.talk);
    }

    fn wake(&self, task: &Cell<usize>) {
        if task.get() != usize::MAX {
            self.world.executor.wake_at(task.get(), self.world.executor.now());
        }
    }

    /// How long a message takes.
    fn latency(&self) -> i64 {
        let executor = &self.world.executor;
        match executor.chance() {
            x if x < 0.8 => executor.millis(0.2, 3.0),
            x if x < 0.95 => executor.millis(3.0, 60.0),
            _ => executor.millis(60.0, 900.0),
        }
    }

    /// A thread may be held up anywhere.
    async fn gap(&self) {
        let executor = &self.world.executor;
        let gap = match executor.chance() {
            x if x < 0.97 => return,
            _ => executor.millis(1.0, 1_500.0),
        };
        executor.sleep(gap).await;
    }

    /// One call to the database; none where its answer did not come in time, though it may have been done.
    async fn call<T: 'static>(self: &Rc<Self>, work: impl FnOnce(&mut Database, i64) -> T + 'static) -> Option<T> {
        let executor = Rc::clone(&self.world.executor);
        let (task, answer) = (executor.current(), Rc::new(RefCell::new(None)));
        if !executor.happens(0.01) {
            let (node, answer) = (Rc::clone(self), Rc::clone(&answer));
            let carried = async move {
                let executor = &node.world.executor;
                executor.sleep(node.latency()).await;
                let is_cut = executor.now() < node.cut_until.get() && executor.happens(0.98);
                if is_cut || !node.world.database.borrow().is_up(executor.now()) {
                    return;
                }
                let value = work(&mut node.world.database.borrow_mut(), executor.now());
                executor.sleep(node.latency()).await;
                if executor.now() >= node.cut_until.get() {
                    *answer.borrow_mut() = Some(value);
                    executor.wake_at(task, executor.now());
                }
            };
            executor.spawn(None, carried);
        }
        let deadline = executor.now() + (TIMEOUT / self.rate) as i64;
        executor.wake_at(task, deadline);
        poll_fn(|_| match answer.borrow_mut().take() {
            Some(value) => Poll::Ready(Some(value)),
            None if executor.now() >= deadline => Poll::Ready(None),
            None => Poll::Pending,
        })
        .await
    }

    // What a member of the nodes does.

    async fn talk(self: Rc<Self>, memory: Rc<Memory>) {
        memory.talk.set(self.world.executor.current());
        let mut heard = Heard::Time;
        loop {
            let is_new = memory.member.borrow().run().is_none();
            let is_stable = is_new && self.world.is(Mutant::StableNodeId);
            let fresh = if is_stable { u128::from(self.index) + 1 } else { self.fresh() };
            let step = memory.member.borrow_mut().step(self.boottime(), fresh, heard);
            for act in step.acts {
                self.held_up_between_acts().await;
                self.act(&memory, act);
            }
            heard = self.say(&memory, step.say).await;
        }
    }

    async fn held_up_between_acts(&self) {
        let executor = &self.world.executor;
        let gap = match executor.chance() {
            x if x < 0.8 => return,
            x if x < 0.97 => executor.millis(0.0, 40.0),
            _ => executor.millis(40.0, 800.0),
        };
        executor.sleep(gap).await;
    }

    fn act(self: &Rc<Self>, memory: &Rc<Memory>, act: Act) {
        match act {
            Act::EndLease => memory.lease.suspend(),
            Act::DropEverything => {
                memory.cache.shut();
                self.world.report.borrow_mut().fenced += 1;
            }
            Act::Apply(entries) => entries.iter().for_each(|entry| memory.cache.apply(entry)),
            Act::Publish { until } => memory.lease.publish(until),
            Act::Drain { run, revision } => {
                let (node, memory) = (Rc::clone(self), Rc::clone(memory));
                self.spawn(async move {
                    node.gap().await;
                    let acknowledged = memory.member.borrow_mut().drained(run, revision);
                    node.wake(&memory.settle);
                    if let Some((run, revision)) = acknowledged {
                        node.call(move |database, _| database.acknowledge(run, revision)).await;
                    }
                });
            }
            Act::Alarm => {}
        }
    }

    async fn say(self: &Rc<Self>, memory: &Rc<Memory>, say: Say) -> Heard {
        let lag = if self.world.is(Mutant::ReplicaRead) { self.lag } else { 0 };
        let heard = match say {
            Say::Register { id, nonce } => {
                let done = self.call(move |database, now| database.register(now, id, nonce, LEASE)).await;
                done.map(|()| Heard::Registered)
            }
            Say::Load => {
                let loaded = self.call(|database, _| database.followed()).await;
                loaded.map(|followed| {
                    memory.cache.begin(followed.revision);
                    Heard::Loaded(followed)
                })
            }
            Say::Renew { id, nonce, acknowledged, followed } => {
                let renewal = self
                    .call(move |database, now| database.renew(now, now - lag, (id, nonce), acknowledged, followed));
                renewal.await.map(|renewal: Renewal| Heard::Renewed(renewal))
            }
            Say::Read { after } => {
                let read = self.call(move |database, now| {
                    let mut entries = database.changes_since(after, now);
                    // What was followed once is not unlearned by a replica; it only tells nothing new.
                    entries.truncate(if lag > 0 { 1 } else { usize::MAX });
                    entries
                });
                read.await.map(Heard::Read)
            }
            Say::Replay => Some(Heard::Replayed),
            Say::Wait { until } => Some(self.wait(memory, until).await),
        };
        heard.unwrap_or(Heard::Failed)
    }

    async fn wait(&self, memory: &Memory, until: i64) -> Heard {
        let executor = &self.world.executor;
        loop {
            if memory.is_hinted.take() {
                return Heard::Hint;
            }
            let left = until.saturating_sub(self.boottime());
            if left <= 0 {
                return Heard::Time;
            }
            let pause = ((left as f64 / self.rate) as i64 + 1).min(100 * MILLI);
            executor.wake_at(executor.current(), executor.now() + pause);
            let mut has_waited = false;
            poll_fn(|_| if std::mem::replace(&mut has_waited, true) { Poll::Ready(()) } else { Poll::Pending })
                .await;
        }
    }

    async fn reap(self: Rc<Self>, memory: Rc<Memory>) {
        let _ = &memory;
        #[cfg(feature = "mutants")]
        let mut reaper = Reaper::with_mutant(self.world.mutant);
        #[cfg(not(feature = "mutants"))]
        let mut reaper = Reaper::default();
        loop {
            let executor = &self.world.executor;
            executor.sleep(executor.millis(100.0, 700.0)).await;
            let Some(census) = self.call(|database, _| database.census()).await else { continue };
            #[cfg(feature = "mutants")]
            memory.waiters.borrow_mut().seen_before(&census);
            for (id, nonce) in reaper.observe(self.boottime(), &census) {
                self.call(move |database, now| database.reap(now, id, nonce)).await;
            }
        }
    }

    // What is asked of it.

    /// Verifies a key for a request that began at `began`.
    pub async fn verify(self: Rc<Self>, key: usize, began: i64) {
        let (memory, digest) = (self.memory(), digest_of(key));
        let holds = || self.world.is(Mutant::NoLease) || memory.lease.holds(&Shown(self.boottime()));
        let lookup = || memory.cache.get(&digest).filter(|entry| !entry.is_stale());
        let (holds, found) = if self.world.is(Mutant::LookupBeforeLease) {
            let found = lookup();
            self.gap().await;
            (holds(), found)
        } else {
            let holds = holds();
            self.gap().await;
            (holds, lookup())
        };
        if !holds {
            self.world.report.borrow_mut().unavailable += 1;
            return;
        }
        self.gap().await;
        if let Some(entry) = found {
            self.world.answered(key, began, entry.facts.condition == Condition::Active);
            return;
        }
        for _ in 0..4 {
            let generation = memory.cache.generation();
            let Some(read) = self.call(move |database, _| database.read_key(key)).await else { break };
            self.gap().await;
            if let Some(entry) = memory.cache.admit(&digest, read, generation) {
                self.world.answered(key, began, entry.facts.condition == Condition::Active);
                return;
            }
        }
        self.world.report.borrow_mut().unavailable += 1;
    }

    /// Revokes a key, and waits until that is in force.
    pub async fn revoke(self: Rc<Self>, key: usize) {
        let (memory, began) = (self.memory(), self.world.executor.now());
        let committed = if self.world.is(Mutant::RevisionFromSequence) {
            self.revoke_in_two(key).await
        } else {
            let committing = self.call(move |database, now| {
                let (revision, is_new) = database.begin_revoke(key);
                (database.commit_revoke(now, key, revision), is_new)
            });
            committing.await
        };
        self.world.hint_all();
        let Some((revision, is_new)) = committed else {
            if self.world.is(Mutant::AmbiguousIsSuccess) {
                self.world.has_returned(key, began);
            }
            self.world.report.borrow_mut().failed += 1;
            return;
        };
        if !is_new && self.world.is(Mutant::RevokedReturnsEarly) {
            self.world.has_returned(key, began);
            return;
        }
        memory.waiters.borrow_mut().join(self.boottime(), revision, (key, began));
        memory.is_hinted.set(true);
        self.wake(&memory.talk);
        self.wake(&memory.settle);
    }

    /// Takes a number first, and commits with it later.
    async fn revoke_in_two(self: &Rc<Self>, key: usize) -> Option<(Revision, bool)> {
        let (revision, is_new) = self.call(move |database, _| database.begin_revoke(key)).await?;
        let executor = &self.world.executor;
        executor.sleep(executor.millis(0.0, 80.0)).await;
        let revision = self.call(move |database, now| database.commit_revoke(now, key, revision)).await?;
        Some((revision, is_new))
    }

    /// Looks at the nodes while anybody waits.
    async fn settle(self: Rc<Self>, memory: Rc<Memory>) {
        let executor = &self.world.executor;
        memory.settle.set(executor.current());
        loop {
            if memory.waiters.borrow().is_empty() {
                poll_fn(|_| if memory.waiters.borrow().is_empty() { Poll::Pending } else { Poll::Ready(()) }).await;
            }
            let look = memory.waiters.borrow_mut().look();
            let census = self.call(|database, _| database.census()).await;
            let (own, now) = (memory.member.borrow().own(), self.boottime());
            let done = match census {
                Some(census) => memory.waiters.borrow_mut().seen(now, look, &census, own),
                None => memory.waiters.borrow_mut().passed(now),
            };
            for ((key, began), outcome) in done {
                match outcome {
                    Outcome::Acknowledged { .. } => self.world.report.borrow_mut().acknowledged += 1,
                    Outcome::LeaseExpired { .. } => self.world.report.borrow_mut().expired += 1,
                    Outcome::Lost | Outcome::Unknown => {
                        self.world.report.borrow_mut().failed += 1;
                        continue;
                    }
                }
                self.world.has_returned(key, began);
            }
            executor.sleep(executor.millis(5.0, 60.0)).await;
        }
    }
}

impl World {
    /// Tells nodes that something was written; some do not hear it.
    fn hint_all(&self) {
        for node in self.nodes.borrow().iter().filter(|node| !node.is_down.get()) {
            if self.executor.happens(0.7) {
                node.hint();
            }
        }
    }
}
