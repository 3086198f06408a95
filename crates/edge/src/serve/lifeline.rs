//! Lifelines: what can end a connection, a stream or an upgraded connection from outside. One is its key
//! being taken away, the other is its time running out, because the caller or the upstream makes no progress.
//!
//! Timers cost: setting one of the runtime's for each request is dearer than the whole decision. So time is
//! counted in coarse ticks, a lifeline notes until which tick somebody must have made progress, and one task
//! a worker looks at all lifelines once a tick.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use keyward_verify::Exchange;
use parking_lot::Mutex;

/// How often time is looked at: timeouts are late by at most this, never early.
pub(crate) const TICK: Duration = Duration::from_millis(250);

const NEVER: u32 = u32::MAX;

/// Whose move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Party {
    /// The caller: to send a request, or the rest of its body.
    Caller,
    /// The upstream (or, once it answers, the caller's reading of that answer).
    Upstream,
}

/// Why a connection or stream was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Cut {
    /// The key was taken away.
    #[error("the key was taken away")]
    Revoked,
    /// Somebody made no progress for too long.
    #[error("no progress for too long")]
    Overdue,
    /// The request's body, of which the answer is made, is not what it has to be.
    #[error("the request's body cannot be transformed")]
    Unfit,
}

/// What is wrong with the request's body, found while it was being forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum BodyFault {
    None = 0,
    /// Larger than the API accepts.
    TooLarge = 1,
    /// It broke off or is not framed as it should be.
    Broken = 2,
}

/// One connection's, stream's or upgraded connection's.
#[derive(Debug)]
pub(crate) struct Lifeline {
    ticks: Arc<AtomicU32>,
    exchange: Mutex<Option<Exchange>>,
    caller_due: AtomicU32,
    upstream_due: AtomicU32,
    waker: AtomicWaker,
    answering: AtomicBool,
    body_fault: AtomicU8,
    received: AtomicU64,
    was_cut: AtomicBool,
}

impl Lifeline {
    /// Whether it was cut: nothing more may leave, not even what is already buffered.
    pub fn was_cut(&self) -> bool {
        self.was_cut.load(Ordering::Relaxed)
    }

    /// Keeps the exchange of the request under way; it ends with [`Lifeline::release`].
    pub fn hold(&self, exchange: Option<Exchange>) {
        *self.exchange.lock() = exchange;
    }

    /// Gives the exchange up: the request has ended, or goes on under another lifeline.
    pub fn release(&self) -> Option<Exchange> {
        self.exchange.lock().take()
    }

    /// Whether the key of the request under way was taken away.
    pub fn is_revoked(&self) -> bool {
        self.exchange.lock().as_ref().is_some_and(Exchange::is_closed)
    }

    /// From now on `party` has this long to make progress.
    pub fn expect(&self, party: Party, within: Duration) {
        let ticks = u32::try_from(within.as_millis() / TICK.as_millis()).unwrap_or(NEVER);
        // The current tick has partly passed: one more, so that nothing is early.
        let due = self.now().saturating_add(ticks).saturating_add(1).min(NEVER - 1);
        self.due(party).store(due, Ordering::Relaxed);
    }

    /// It is not `party`'s move.
    pub fn excuse(&self, party: Party) {
        self.due(party).store(NEVER, Ordering::Relaxed);
    }

    /// Whether `party` had its time.
    pub fn is_overdue(&self, party: Party) -> bool {
        self.now() >= self.due(party).load(Ordering::Relaxed)
    }

    /// Begins the next request on it.
    pub fn begin(&self) {
        self.excuse(Party::Caller);
        self.excuse(Party::Upstream);
        self.answering.store(false, Ordering::Relaxed);
        self.body_fault.store(BodyFault::None as u8, Ordering::Relaxed);
        self.received.store(0, Ordering::Relaxed);
    }

    /// The upstream's answer has begun.
    pub fn set_answering(&self) {
        self.answering.store(true, Ordering::Relaxed);
        self.excuse(Party::Caller);
    }

    /// Whether the upstream's answer has begun.
    pub fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed)
    }

    /// Notes what is wrong with the request's body.
    pub fn set_body_fault(&self, fault: BodyFault) {
        self.body_fault.store(fault as u8, Ordering::Relaxed);
    }

    /// Notes how much of the request's body was read so far, in bytes.
    pub fn set_received(&self, bytes: u64) {
        self.received.store(bytes, Ordering::Relaxed);
    }

    /// How much of the request's body was read, in bytes.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// What is wrong with the request's body.
    pub fn body_fault(&self) -> BodyFault {
        match self.body_fault.load(Ordering::Relaxed) {
            1 => BodyFault::TooLarge,
            2 => BodyFault::Broken,
            _ => BodyFault::None,
        }
    }

    /// The tick it is, for measuring how long something took.
    pub fn now(&self) -> u32 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Polls for a reason to end. One task waits on a lifeline.
    pub fn poll_cut(&self, cx: &mut Context<'_>) -> Poll<Cut> {
        self.waker.register(cx.waker());
        if let Some(exchange) = &*self.exchange.lock()
            && exchange.poll_closed(cx).is_ready()
        {
            return Poll::Ready(Cut::Revoked);
        }
        if self.is_overdue(Party::Caller) || self.is_overdue(Party::Upstream) {
            return Poll::Ready(Cut::Overdue);
        }
        Poll::Pending
    }

    fn due(&self, party: Party) -> &AtomicU32 {
        match party {
            Party::Caller => &self.caller_due,
            Party::Upstream => &self.upstream_due,
        }
    }
}

/// All lifelines of a worker.
#[derive(Debug, Default)]
pub(crate) struct Lifelines {
    ticks: Arc<AtomicU32>,
    next: AtomicU64,
    all: Mutex<HashMap<u64, Arc<Lifeline>>>,
}

/// A lifeline that is looked at once a tick for as long as this is held.
#[derive(Debug)]
pub(crate) struct Watched {
    number: u64,
    lifeline: Arc<Lifeline>,
    lifelines: Arc<Lifelines>,
}

impl Lifelines {
    /// A new lifeline, on which nobody is expected to do anything yet.
    pub fn watch(self: &Arc<Self>) -> Watched {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let lifeline = Arc::new(Lifeline {
            ticks: Arc::clone(&self.ticks),
            exchange: Mutex::new(None),
            caller_due: AtomicU32::new(NEVER),
            upstream_due: AtomicU32::new(NEVER),
            waker: AtomicWaker::new(),
            answering: AtomicBool::new(false),
            body_fault: AtomicU8::new(0),
            received: AtomicU64::new(0),
            was_cut: AtomicBool::new(false),
        });
        self.all.lock().insert(number, Arc::clone(&lifeline));
        Watched { number, lifeline, lifelines: Arc::clone(self) }
    }

    /// Moves time on by a tick and wakes whatever is overdue.
    pub fn tick(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
        for lifeline in self.all.lock().values() {
            if lifeline.is_overdue(Party::Caller) || lifeline.is_overdue(Party::Upstream) {
                lifeline.waker.wake();
            }
        }
    }

    /// The tick it is.
    pub fn now(&self) -> u32 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Wakes everything, so that it sees that the worker is stopping.
    pub fn wake_all(&self) {
        self.all.lock().values().for_each(|lifeline| lifeline.waker.wake());
    }
}

impl Watched {
    /// The lifeline.
    pub fn lifeline(&self) -> &Arc<Lifeline> {
        &self.lifeline
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.lifelines.all.lock().remove(&self.number);
        drop(self.lifeline.release());
    }
}

pin_project_lite::pin_project! {
    /// A future that is dropped as soon as its lifeline is cut.
    pub(crate) struct Guarded<F> {
        #[pin]
        inner: Option<F>,
        watched: Option<Watched>,
    }
}

impl<F> Guarded<F> {
    /// Guards `inner` by `watched`.
    pub fn new(inner: F, watched: Watched) -> Self {
        Guarded { inner: Some(inner), watched: Some(watched) }
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Result<F::Output, Cut>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let outcome = match this.inner.as_mut().as_pin_mut() {
            None => return Poll::Ready(Err(Cut::Overdue)),
            Some(inner) => match inner.poll(cx) {
                Poll::Ready(output) => Ok(output),
                Poll::Pending => match this.watched.as_ref().map(|watched| watched.lifeline.poll_cut(cx)) {
                    Some(Poll::Ready(cut)) => Err(cut),
                    _ => return Poll::Pending,
                },
            },
        };
        let watched = this.watched.take();
        // Taken out first and dropped last: whoever waits for the exchange to end must find everything gone.
        let exchange = watched.as_ref().and_then(|watched| watched.lifeline.release());
        if let (Some(watched), true) = (&watched, outcome.is_err()) {
            watched.lifeline.was_cut.store(true, Ordering::Relaxed);
        }
        this.inner.set(None);
        drop(watched);
        drop(exchange);
        Poll::Ready(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h06_a_lifeline_is_overdue_no_sooner_than_it_was_given() {
        let lifelines = Arc::new(Lifelines::default());
        let watched = lifelines.watch();
        let lifeline = watched.lifeline();
        lifeline.expect(Party::Caller, TICK * 2);
        for _ in 0..2 {
            lifelines.tick();
            assert!(!lifeline.is_overdue(Party::Caller));
        }
        lifelines.tick();
        assert!(lifeline.is_overdue(Party::Caller) && !lifeline.is_overdue(Party::Upstream));
        lifeline.excuse(Party::Caller);
        assert!(!lifeline.is_overdue(Party::Caller));
    }

    #[tokio::test]
    async fn an_overdue_future_is_dropped() {
        struct Dropped(Arc<AtomicBool>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let lifelines = Arc::new(Lifelines::default());
        let watched = lifelines.watch();
        watched.lifeline().expect(Party::Upstream, Duration::ZERO);
        let dropped = Arc::new(AtomicBool::new(false));
        let held = Dropped(Arc::clone(&dropped));
        let task = tokio::spawn(Guarded::new(
            async move {
                let _held = held;
                std::future::pending::<()>().await;
            },
            watched,
        ));
        tokio::task::yield_now().await;
        lifelines.tick();
        assert_eq!(task.await.unwrap(), Err(Cut::Overdue));
        assert!(dropped.load(Ordering::SeqCst));
        assert!(lifelines.all.lock().is_empty());
    }
}
