//! Exchanges: requests under way with a key, from before their grant until their last byte.
//!
//! An exchange is registered before the decision is taken. Whoever takes a key away changes the cache first
//! and closes the key's exchanges second; so a request either sees the change or is closed by it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use keyward_core::clock::Timestamp;
use keyward_core::id::{KeyId, OrganizationId, ProjectId};
use parking_lot::Mutex;
use tokio::sync::Notify;

const SHARDS: usize = 64;
/// How long a call that takes a key away waits for streams to end that were told to.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// A request under way with a key. Dropping it ends it.
#[derive(Debug)]
pub struct Exchange {
    number: u64,
    state: Arc<State>,
    registry: Arc<Exchanges>,
}

#[derive(Debug)]
struct State {
    owner: Owner,
    /// When the key stops of itself, in milliseconds.
    ends_at: AtomicI64,
    closed: AtomicBool,
    gone: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

/// Whose exchange it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub key: KeyId,
    pub project: ProjectId,
    pub organization: OrganizationId,
}

impl Exchange {
    /// Whether the key was taken away since: nothing more may pass.
    pub fn is_closed(&self) -> bool {
        self.state.closed.load(Ordering::SeqCst)
    }

    /// Completes when the key is taken away.
    pub async fn closed(&self) {
        poll_fn(|cx| self.poll_closed(cx)).await;
    }

    /// Polls for the key being taken away. Any number of tasks may wait.
    pub fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_closed() {
            return Poll::Ready(());
        }
        let mut waiting = self.state.waiting.lock();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        drop(waiting);
        // Closed between the look and the registration: the closer may have missed this waker.
        if self.is_closed() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.registry.shard(self.number).lock().remove(&self.number);
        self.state.gone.store(true, Ordering::SeqCst);
        if self.is_closed() {
            self.registry.drained.notify_waiters();
        }
    }
}

/// All exchanges of a node.
#[derive(Debug)]
pub(crate) struct Exchanges {
    shards: Vec<Mutex<HashMap<u64, Arc<State>>>>,
    next: AtomicU64,
    drained: Notify,
}

impl Exchanges {
    pub fn new() -> Arc<Self> {
        Arc::new(Exchanges {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            next: AtomicU64::new(0),
            drained: Notify::new(),
        })
    }

    fn shard(&self, number: u64) -> &Mutex<HashMap<u64, Arc<State>>> {
        &self.shards[number as usize % SHARDS]
    }

    /// Registers a request. To be called before its decision is taken.
    pub fn enter(self: &Arc<Self>, owner: Owner, ends_at: Option<Timestamp>) -> Exchange {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let state = Arc::new(State {
            owner,
            ends_at: AtomicI64::new(ends_at.map_or(i64::MAX, Timestamp::as_millis)),
            closed: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            waiting: Mutex::default(),
        });
        self.shard(number).lock().insert(number, Arc::clone(&state));
        Exchange { number, state, registry: Arc::clone(self) }
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Closes those whose owner fits; returns them, for [`Exchanges::drain`].
    pub fn close(&self, fits: impl Fn(&Owner) -> bool) -> Closing {
        self.close_where(|state| fits(&state.owner))
    }

    /// Closes those whose key has stopped of itself.
    pub fn close_ended(&self, now: Timestamp) -> Closing {
        self.close_where(|state| now.as_millis() >= state.ends_at.load(Ordering::SeqCst))
    }

    /// Lets those of a key end no later than `ends_at`.
    pub fn end_by(&self, key: KeyId, ends_at: Timestamp) {
        for shard in &self.shards {
            for state in shard.lock().values().filter(|state| state.owner.key == key) {
                state.ends_at.fetch_min(ends_at.as_millis(), Ordering::SeqCst);
            }
        }
    }

    fn close_where(&self, fits: impl Fn(&State) -> bool) -> Closing {
        let mut closing = Vec::new();
        for shard in &self.shards {
            closing.extend(shard.lock().values().filter(|state| fits(state)).cloned());
        }
        for state in &closing {
            state.closed.store(true, Ordering::SeqCst);
            state.waiting.lock().drain(..).for_each(Waker::wake);
        }
        Closing(closing)
    }

    /// Waits until closed exchanges have ended, or a second at most: nothing of them passes any more once
    /// they are closed, but a connection may take a moment to go.
    pub async fn drain(&self, closing: Closing) {
        let ended = async {
            loop {
                let mut signal = std::pin::pin!(self.drained.notified());
                signal.as_mut().enable();
                if closing.0.iter().all(|state| state.gone.load(Ordering::SeqCst)) {
                    return;
                }
                signal.await;
            }
        };
        if !closing.0.is_empty() && tokio::time::timeout(DRAIN_MAX, ended).await.is_err() {
            tracing::warn!("some exchanges of a key that was taken away had not ended after {DRAIN_MAX:?}");
        }
    }
}

/// Exchanges that were told to end.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Closing(Vec<Arc<State>>);

impl Closing {
    /// These and others.
    pub fn join(&mut self, others: Closing) {
        self.0.extend(others.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(key: u128) -> Owner {
        let (project, organization) = (ProjectId::from_u128(key / 10), OrganizationId::from_u128(key / 100));
        Owner { key: KeyId::from_u128(key), project, organization }
    }

    #[tokio::test]
    async fn l09_closing_wakes_those_who_wait_and_draining_waits_for_them() {
        let exchanges = Exchanges::new();
        let (mine, other) = (exchanges.enter(owner(1), None), exchanges.enter(owner(2), None));
        let task = tokio::spawn(async move { mine.closed().await });
        let closing = exchanges.close(|owner| owner.key == KeyId::from_u128(1));
        exchanges.drain(closing).await;
        task.await.unwrap();
        assert!(!other.is_closed());
        assert_eq!(exchanges.len(), 1);
    }

    #[test]
    fn exchanges_end_with_their_key() {
        let exchanges = Exchanges::new();
        let ending = exchanges.enter(owner(1), Some(Timestamp::from_millis(10)));
        let _ = exchanges.close_ended(Timestamp::from_millis(9));
        assert!(!ending.is_closed());
        let _ = exchanges.close_ended(Timestamp::from_millis(10));
        assert!(ending.is_closed());
    }
}
