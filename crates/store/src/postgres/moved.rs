//! What this node has seen of the log's end: told to whoever signs heads, and as hints to whoever waits.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::Sender;

use keyward_core::change::Revision;
use tokio::sync::watch;

use crate::head::HeadOfLog;

pub(crate) struct Moved {
    to_sign: Mutex<Option<Sender<HeadOfLog>>>,
    /// The last revision that was told to be signed.
    newest: AtomicI64,
    hints: watch::Sender<u64>,
    full: AtomicBool,
    /// Whether the writer got nowhere when it last tried.
    is_stuck: AtomicBool,
}

impl Moved {
    pub(super) fn new(to_sign: Option<Sender<HeadOfLog>>) -> Self {
        Moved {
            to_sign: Mutex::new(to_sign),
            newest: AtomicI64::new(-1),
            hints: watch::channel(0).0,
            full: AtomicBool::new(false),
            is_stuck: AtomicBool::new(false),
        }
    }

    /// The log moved on by a transaction of this node.
    pub(super) fn committed(&self, head: HeadOfLog, changes: usize) {
        metrics::counter!("keyward_store_changes_total").increment(changes as u64);
        self.set_full(false);
        self.set_stuck(false);
        self.seen(head);
        self.hint();
    }

    /// The log was seen to reach so far.
    pub(super) fn seen(&self, head: HeadOfLog) {
        metrics::gauge!("keyward_store_revision").set(head.revision.0 as f64);
        self.newest.fetch_max(head.revision.0, Ordering::Relaxed);
        let to_sign = self.to_sign.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(to_sign) = &*to_sign {
            let _ = to_sign.send(head);
        }
    }

    /// The last revision that was seen, of whichever past of the log.
    pub(super) fn newest(&self) -> Revision {
        Revision(self.newest.load(Ordering::Relaxed))
    }

    /// There may be something to read.
    pub(super) fn hint(&self) {
        self.hints.send_modify(|hints| *hints += 1);
    }

    /// The count of hints, once it is beyond `seen`.
    pub(super) async fn hinted(&self, seen: u64) -> u64 {
        let mut hints = self.hints.subscribe();
        let beyond = hints.wait_for(|hints| *hints > seen).await;
        beyond.map_or(seen, |hints| *hints)
    }

    pub(super) fn set_full(&self, full: bool) {
        if self.full.swap(full, Ordering::Relaxed) != full {
            metrics::gauge!("keyward_store_full").set(if full { 1.0 } else { 0.0 });
        }
    }

    /// Whether the writer got nowhere when it last tried.
    pub(super) fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Relaxed)
    }

    pub(super) fn set_stuck(&self, is_stuck: bool) {
        self.is_stuck.store(is_stuck, Ordering::Relaxed);
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Nothing is signed after this.
    pub(super) fn end(&self) {
        self.to_sign.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
