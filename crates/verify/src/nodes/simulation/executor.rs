//! Time, chance and what happens when: tasks that run one at a time, in the order of their moments.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Nanoseconds.
pub const MILLI: i64 = 1_000_000;

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// Whether and when a task may go on: it stops with its process.
pub trait Process {
    /// Whether it has ended.
    fn is_over(&self, run: u32) -> bool;

    /// Until when it is stopped.
    fn stopped_until(&self) -> i64;
}

struct Task {
    work: Work,
    process: Option<(Rc<dyn Process>, u32)>,
}

/// Runs tasks in simulated time.
pub struct Executor {
    now: Cell<i64>,
    current: Cell<usize>,
    order: Cell<u64>,
    queue: RefCell<BinaryHeap<Reverse<(i64, u64, usize)>>>,
    tasks: RefCell<Vec<Option<Task>>>,
    random: Cell<u64>,
}

impl Executor {
    pub fn new(seed: u64) -> Rc<Self> {
        Rc::new(Executor {
            now: Cell::new(0),
            current: Cell::new(0),
            order: Cell::new(0),
            queue: RefCell::default(),
            tasks: RefCell::default(),
            random: Cell::new(seed),
        })
    }

    /// The true time.
    pub fn now(&self) -> i64 {
        self.now.get()
    }

    /// SplitMix64.
    pub fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Between 0 and 1.
    pub fn chance(&self) -> f64 {
        (self.random() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something happens that does with this likelihood.
    pub fn happens(&self, likelihood: f64) -> bool {
        self.chance() < likelihood
    }

    pub fn between(&self, low: f64, high: f64) -> f64 {
        low + self.chance() * (high - low)
    }

    /// So many milliseconds, as nanoseconds.
    pub fn millis(&self, low: f64, high: f64) -> i64 {
        (self.between(low, high) * MILLI as f64) as i64
    }

    /// A time in which something happens once on average.
    pub fn waiting_time(&self, mean_millis: f64) -> i64 {
        (-(1.0 - self.chance()).ln() * mean_millis * MILLI as f64) as i64
    }

    pub fn below(&self, limit: usize) -> usize {
        (self.random() % limit as u64) as usize
    }

    /// Starts a task, of a run of a process if it belongs to one.
    pub fn spawn(&self, process: Option<(Rc<dyn Process>, u32)>, work: impl Future<Output = ()> + 'static) {
        let mut tasks = self.tasks.borrow_mut();
        tasks.push(Some(Task { work: Box::pin(work), process }));
        self.wake_at(tasks.len() - 1, self.now.get());
    }

    /// The task that runs now.
    pub fn current(&self) -> usize {
        self.current.get()
    }

    /// Lets a task go on at a moment.
    pub fn wake_at(&self, task: usize, at: i64) {
        let order = self.order.get() + 1;
        self.order.set(order);
        self.queue.borrow_mut().push(Reverse((at, order, task)));
    }

    /// Lets time pass.
    pub async fn sleep(&self, by: i64) {
        let until = self.now.get() + by;
        self.wake_at(self.current(), until);
        poll_fn(|_| if self.now.get() >= until { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Does everything that happens before the end.
    pub fn run_until(&self, end: i64) {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            let Some(Reverse((at, _, id))) = self.queue.borrow_mut().pop() else { return };
            if at > end {
                return;
            }
            self.now.set(at);
            let Some(mut task) = self.tasks.borrow_mut()[id].take() else { continue };
            if let Some((process, run)) = &task.process {
                if process.is_over(*run) {
                    continue;
                }
                let stopped = process.stopped_until();
                if at < stopped {
                    self.wake_at(id, stopped);
                    self.tasks.borrow_mut()[id] = Some(task);
                    continue;
                }
            }
            self.current.set(id);
            if task.work.as_mut().poll(&mut context).is_pending() {
                self.tasks.borrow_mut()[id] = Some(task);
            }
        }
    }

    /// Ends all tasks.
    pub fn clear(&self) {
        let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        drop(tasks);
    }
}
