//! A waker that keeps wake-ups inside the task that causes them.
//!
//! A connection to the upstream is driven by the task whose request it carries, not by one of its own: that
//! saves two switches between tasks a request. But its parts tell one another of progress by waking, and as
//! all of them are polled by the same task, each such wake-up would run the whole task once more for nothing.
//! While the task polls them, a wake-up only makes them be polled again; at other times (the socket became
//! ready) it wakes the task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// How often parts that wake one another are polled before others get their turn.
const ROUNDS_MAX: usize = 16;

/// The waker and what it stands for.
#[derive(Debug)]
pub(crate) struct Relay {
    inner: Arc<Inner>,
    waker: Waker,
}

#[derive(Debug)]
struct Inner {
    task: Mutex<Waker>,
    is_polling: AtomicBool,
    was_woken: AtomicBool,
}

impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.was_woken.store(true, Ordering::SeqCst);
        if !self.is_polling.load(Ordering::SeqCst) {
            self.task.lock().wake_by_ref();
        }
    }
}

impl Relay {
    pub fn new() -> Self {
        let inner = Arc::new(Inner {
            task: Mutex::new(Waker::noop().clone()),
            is_polling: AtomicBool::new(false),
            was_woken: AtomicBool::new(false),
        });
        Relay { waker: Waker::from(Arc::clone(&inner)), inner }
    }

    /// Polls parts until they are done or wait for something outside.
    pub fn poll<T>(&self, cx: &mut Context<'_>, mut parts: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        {
            let mut task = self.inner.task.lock();
            if !task.will_wake(cx.waker()) {
                task.clone_from(cx.waker());
            }
        }
        let mut inner_cx = Context::from_waker(&self.waker);
        // Only its end has to be in order with wake-ups from other threads: before it, they wake in vain at worst.
        self.inner.is_polling.store(true, Ordering::Release);
        let mut outcome = Poll::Pending;
        for _ in 0..ROUNDS_MAX {
            self.inner.was_woken.store(false, Ordering::Release);
            outcome = parts(&mut inner_cx);
            if outcome.is_ready() || !self.inner.was_woken.load(Ordering::SeqCst) {
                break;
            }
        }
        self.inner.is_polling.store(false, Ordering::SeqCst);
        // Woken since the last look, by another thread or because the rounds are used up.
        if outcome.is_pending() && self.inner.was_woken.load(Ordering::SeqCst) {
            cx.waker().wake_by_ref();
        }
        outcome
    }

    /// Nobody waits any more: the connection is idle.
    pub fn rest(&self) {
        *self.inner.task.lock() = Waker::noop().clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn wake_ups_from_inside_poll_again_and_those_from_outside_wake_the_task() {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        let relay = Relay::new();
        let mut rounds = 0;
        let mut kept = None;
        let outcome = relay.poll(&mut cx, |cx| {
            rounds += 1;
            kept = Some(cx.waker().clone());
            if rounds < 3 {
                cx.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        assert_eq!((outcome, rounds, count.0.load(Ordering::SeqCst)), (Poll::Pending, 3, 0));
        kept.unwrap().wake();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn parts_that_never_rest_yield() {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let relay = Relay::new();
        let outcome = relay.poll(&mut Context::from_waker(&waker), |cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert_eq!((outcome, count.0.load(Ordering::SeqCst)), (Poll::Pending, 1));
    }
}
