//! The breaker: whether there is a connection worth asking. The first failure opens it, and only the keeper, who
//! tried the server, closes it: while it is open nobody waits for the server.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use super::link::{Failure, Link};

/// Closed while it has a connection.
pub(super) struct Breaker {
    link: ArcSwapOption<Link>,
    opened: Notify,
}

impl Breaker {
    /// Open: nothing is connected yet.
    pub fn new() -> Self {
        show(false);
        Breaker { link: ArcSwapOption::empty(), opened: Notify::new() }
    }

    /// The connection; none while it is open.
    pub fn link(&self) -> Option<Arc<Link>> {
        self.link.load_full()
    }

    /// Whether the server may be asked.
    pub fn is_closed(&self) -> bool {
        self.link.load().is_some()
    }

    /// From now on this connection is asked.
    pub fn close(&self, link: Link) {
        self.link.store(Some(Arc::new(link)));
        show(true);
    }

    /// Opens because of what `failed` did, unless another connection has taken its place already.
    pub fn open(&self, failed: &Arc<Link>, why: &Failure) {
        count(why);
        let before = self.link.compare_and_swap(failed, None);
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, failed)) {
            show(false);
            tracing::warn!(
                %why,
                "the shared rate counters failed: this node holds its share of each limit by itself until they are back"
            );
            self.opened.notify_one();
        }
    }

    /// Opens for good; not a failure.
    pub fn retire(&self) -> Option<Arc<Link>> {
        show(false);
        self.link.swap(None)
    }

    /// Returns soon after it was opened.
    pub async fn opened(&self) {
        self.opened.notified().await;
    }
}

/// Counts a failure, whether or not it opens the breaker.
pub(super) fn count(why: &Failure) {
    metrics::counter!("keyward_shared_rates_failures_total", "reason" => why.reason()).increment(1);
}

fn show(is_up: bool) {
    metrics::gauge!("keyward_shared_rates_up").set(f64::from(u8::from(is_up)));
}
