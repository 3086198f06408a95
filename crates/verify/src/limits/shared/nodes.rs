//! Who shares the counters, and whether the server still knows what it was told: a server that has forgotten when
//! it began, or the last beat of this node, has forgotten counters as well.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::link::{Beat, FORGOTTEN};

/// What the beats have told.
#[derive(Debug)]
pub(super) struct Nodes {
    count: AtomicU32,
    last: Mutex<Option<Beat>>,
    lost: AtomicU64,
}

impl Nodes {
    /// So many until a beat tells.
    pub const fn new(count: u32) -> Self {
        Nodes { count: AtomicU32::new(count), last: Mutex::new(None), lost: AtomicU64::new(0) }
    }

    /// How many nodes there were at the last beat, at least this one.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed).max(1)
    }

    /// How often the server was found to have lost what it was told.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Takes note of a beat.
    pub fn note(&self, beat: Beat) {
        self.count.store(beat.nodes, Ordering::Relaxed);
        let last = self.last.lock().replace(beat);
        if last.is_some_and(|last| has_forgotten(&last, &beat)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("keyward_shared_rates_lost_total").increment(1);
            tracing::warn!(
                "the server of the shared rate counters lost its data (emptied, restarted, failed over, restored \
                 from a copy): each rate may have let one burst more pass"
            );
        }
    }
}

/// Whether the server lost data between two beats of this node.
fn has_forgotten(last: &Beat, beat: &Beat) -> bool {
    // What is older than this is forgotten on purpose.
    let is_due = beat.at.saturating_sub(last.at) < FORGOTTEN.as_micros() as i64;
    // A server that went back to a copy of before still knows when it began. A later beat than the last one that we
    // know of is ours as well: its answer came too late.
    is_due && (beat.epoch != last.epoch || beat.before.is_none_or(|before| before < last.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q05_a_server_that_forgot_a_beat_or_went_back_has_lost_data() {
        let nodes = Nodes::new(1);
        let beat = |at, before, epoch| nodes.note(Beat { at, before, epoch, nodes: 1 });
        let hour = FORGOTTEN.as_micros() as i64;
        beat(10, None, 10);
        beat(20, Some(10), 10);
        assert_eq!(nodes.lost(), 0);
        beat(30, None, 10);
        assert_eq!(nodes.lost(), 1);
        beat(40, Some(20), 10);
        assert_eq!(nodes.lost(), 2);
        // The first beat after the loss came through, and its answer did not.
        beat(50, Some(45), 45);
        assert_eq!(nodes.lost(), 3);
        // The server's clock may be set back without anything being lost; an answer may be late; and after an hour
        // the server forgets on purpose.
        beat(35, Some(50), 45);
        beat(60, Some(55), 45);
        beat(60 + hour, None, 60 + hour);
        assert_eq!(nodes.lost(), 3);
    }

    #[test]
    fn there_is_always_one_node() {
        let nodes = Nodes::new(1);
        assert_eq!(nodes.count(), 1);
        nodes.note(Beat { at: 1, before: None, epoch: 1, nodes: 5 });
        assert_eq!(nodes.count(), 5);
        nodes.note(Beat { at: 2, before: Some(1), epoch: 1, nodes: 0 });
        assert_eq!(nodes.count(), 1);
    }
}
