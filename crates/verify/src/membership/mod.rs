//! This node among the others of its store: carries the messages of the protocol in [`nodes`](crate::nodes) between its
//! state machines, the engine and the store. Decides nothing of its own but how long one call may take.
//!
//! `talk` is the one conversation with the store that registers, follows and renews; `drain` acknowledges beside it;
//! `settle` waits for the others; `watch` looks at the clock: it ends what may not outlive the lease, and removes nodes
//! that are gone.

mod drain;
mod settle;
mod talk;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keyward_core::change::Entry;
use keyward_core::clock::{Clock, Timestamp};
use keyward_core::id::NodeId;
use keyward_core::nodes::Nodes;
use keyward_core::store::StoreError;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::settle::note_wait;
use self::watch::Moment;
use crate::clock::NodeClock;
use crate::engine::Engine;
use crate::exchange::Closing;
use crate::nodes::member::{Heard, Member};
use crate::nodes::nanos;
use crate::nodes::wait::{Outcome, Waiters};
use crate::options::{NodeOptions, StartError};

/// How often everything that waits for a moment looks at the clock: timers do not count the time that the machine slept.
const GLANCE: Duration = Duration::from_millis(100);

/// This node among others.
pub(crate) struct Membership {
    nodes: Arc<dyn Nodes>,
    options: NodeOptions,
    clock: Arc<NodeClock>,
    started_at: Timestamp,
    member: Mutex<Member>,
    /// There is something to do for the conversation before its time; a hint, where `is_hinted`.
    nudged: Notify,
    is_hinted: AtomicBool,
    waiters: Mutex<Waiters<oneshot::Sender<Outcome>>>,
    /// Somebody began to wait, or this node has acknowledged more.
    look: Notify,
    undrained: Mutex<Undrained>,
    drain: Notify,
    told: Mutex<Told>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// What is applied and not acknowledged yet.
#[derive(Default)]
struct Undrained {
    /// To be kept outside the database first.
    entries: Vec<Entry>,
    closing: Closing,
    /// Which run may acknowledge up to where then.
    up_to: Option<(NodeId, keyward_core::change::Revision)>,
    /// Exchanges that were closed because everything was dropped.
    dropped: Closing,
}

/// What is told of this node.
#[derive(Default)]
struct Told {
    /// When the renewal left that is on its way.
    renewing: Option<Moment>,
    /// When the renewal left whose lease holds.
    renewed: Option<Moment>,
    /// Whether the last thing said to the store had no good answer.
    is_failing: bool,
    has_gone_back: bool,
    is_off_time: bool,
    may_not_remember: bool,
}

impl Membership {
    pub fn new(nodes: Arc<dyn Nodes>, clock: Arc<NodeClock>, options: NodeOptions) -> Self {
        Membership {
            nodes,
            started_at: clock.now(),
            clock,
            member: Mutex::new(Member::new(options.lease)),
            nudged: Notify::new(),
            is_hinted: AtomicBool::new(false),
            waiters: Mutex::new(Waiters::new(options.lease.length)),
            look: Notify::new(),
            undrained: Mutex::default(),
            drain: Notify::new(),
            told: Mutex::default(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            options,
        }
    }

    /// Registers, loads, follows the log and gets the first lease; then goes on in the background.
    ///
    /// # Errors
    /// [`StartError`] where any of that fails.
    pub async fn join(self: &Arc<Self>, engine: &Arc<Engine>) -> Result<(), StartError> {
        let say = self.talk_until_held(engine).await?;
        let start = |work| self.tasks.spawn(work);
        start(boxed(Arc::clone(self).talk_on(Arc::clone(engine), say)));
        start(boxed(Arc::clone(self).drain_on(Arc::clone(engine))));
        start(boxed(Arc::clone(self).settle_on()));
        start(boxed(Arc::clone(self).watch_on(Arc::clone(engine))));
        start(boxed(Arc::clone(self).reap_on()));
        self.tasks.close();
        Ok(())
    }

    /// Ends the lease for good and everything under way.
    pub async fn end(&self, engine: &Engine) {
        self.stopping.cancel();
        self.tasks.wait().await;
        engine.lease.suspend();
        let closing = engine.exchanges.close(|_| true);
        engine.exchanges.drain(closing).await;
    }

    /// Tells the others that nobody need wait for this node any more. Only after [`Membership::end`].
    pub async fn leave(&self) {
        let Some(run) = self.member.lock().run() else { return };
        if let Err(error) = self.bounded(self.nodes.leave(run)).await {
            let wait = self.options.lease.longest_wait();
            tracing::warn!(%error, "this node could not take its leave; changes may wait {wait:?} for it once");
        }
    }

    /// Something may be written that this node has not read.
    pub fn hint(&self) {
        self.is_hinted.store(true, Ordering::SeqCst);
        self.nudged.notify_one();
    }

    fn heard(&self, heard: Heard) -> crate::nodes::member::Step {
        let now = self.clock.boottime_nanos();
        self.member.lock().step(now, self.fresh(), heard)
    }

    /// A random number that was never used before.
    fn fresh(&self) -> u128 {
        let mut bytes = [0; 16];
        self.options.entropy.fill(&mut bytes);
        u128::from_be_bytes(bytes)
    }

    /// The longest that one call to the store may take: a renewal that hangs must not use up the lease.
    fn patience(&self) -> Duration {
        (self.options.lease.length / 4).clamp(Duration::from_millis(50), Duration::from_secs(1))
    }

    async fn bounded<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let patience = self.patience();
        let late = || Err(StoreError::Unknown(format!("no answer within {patience:?}")));
        self.within(patience, call).await.unwrap_or_else(late)
    }

    /// What a call gives within a time on the node's clock, as leases are counted; none where it takes longer.
    async fn within<T>(&self, patience: Duration, call: impl Future<Output = T>) -> Option<T> {
        let until = self.after(patience);
        let mut call = std::pin::pin!(call);
        loop {
            tokio::select! {
                biased;
                answer = &mut call => return Some(answer),
                is_late = self.glance(until) => if is_late {
                    return None;
                }
            }
        }
    }

    /// Sleeps until a moment of the node's clock, or for a glance at most; whether it is reached.
    async fn glance(&self, until: i64) -> bool {
        let left = until.saturating_sub(self.clock.boottime_nanos());
        if left <= 0 {
            return true;
        }
        tokio::time::sleep(GLANCE.min(Duration::from_nanos(left.unsigned_abs()))).await;
        self.clock.boottime_nanos() >= until
    }

    fn after(&self, pause: Duration) -> i64 {
        self.clock.boottime_nanos().saturating_add(nanos(pause))
    }
}

fn boxed(work: impl Future<Output = ()> + Send + 'static) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(work)
}
