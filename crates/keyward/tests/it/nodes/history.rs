//! What happened, by one clock: every revocation with when its call returned, every verification with when it was
//! asked. The checker of trust.md L01: nothing that was asked after a revocation returned was granted.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

/// A verification that was granted.
#[derive(Debug, Clone, Copy)]
struct Accept {
    key: usize,
    node: usize,
    asked: Instant,
}

/// All that is recorded in a run.
#[derive(Default)]
pub struct History {
    accepts: Mutex<Vec<Accept>>,
    returned: Mutex<HashMap<usize, Instant>>,
    counts: Mutex<Counts>,
}

/// How much of what there was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub granted: u64,
    pub denied: u64,
    /// Answers that nothing can be decided now.
    pub unavailable: u64,
    /// Nodes that could not be asked: stopped, killed or starting.
    pub unanswered: u64,
    pub acknowledged: u64,
    pub lease_expired: u64,
    /// Revocations that returned no success: they promise nothing.
    pub failed: u64,
}

/// Ends a story's load when it is dropped: also where the story fails, for its threads are waited for.
pub struct EndOf<'a>(pub &'a std::sync::atomic::AtomicBool);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

/// How a verification ended for whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Granted,
    Denied,
    Unavailable,
    None,
}

impl History {
    pub fn verified(&self, key: usize, node: usize, asked: Instant, answer: Answer) {
        let mut counts = self.counts.lock().unwrap();
        match answer {
            Answer::Granted => counts.granted += 1,
            Answer::Denied => counts.denied += 1,
            Answer::Unavailable => counts.unavailable += 1,
            Answer::None => counts.unanswered += 1,
        }
        drop(counts);
        if answer == Answer::Granted {
            self.accepts.lock().unwrap().push(Accept { key, node, asked });
        }
    }

    /// A revocation returned a success, by this way, just now. The first that did counts.
    pub fn revoked(&self, key: usize, by: &str) {
        let now = Instant::now();
        self.returned.lock().unwrap().entry(key).or_insert(now);
        let mut counts = self.counts.lock().unwrap();
        match by {
            "acknowledged" => counts.acknowledged += 1,
            "lease_expired" => counts.lease_expired += 1,
            other => panic!("in force by {other}?"),
        }
    }

    pub fn revocation_failed(&self) {
        self.counts.lock().unwrap().failed += 1;
    }

    pub fn counts(&self) -> Counts {
        *self.counts.lock().unwrap()
    }

    /// Every grant that was asked for after a revocation of its key had returned.
    pub fn late_accepts(&self) -> Vec<String> {
        let returned = self.returned.lock().unwrap();
        let accepts = self.accepts.lock().unwrap();
        let late = accepts.iter().filter_map(|accept| {
            let revoked = returned.get(&accept.key)?;
            let late = accept.asked.checked_duration_since(*revoked).filter(|late| !late.is_zero())?;
            Some(format!(
                "key {} on node {}: asked {late:?} after its revocation returned",
                accept.key, accept.node
            ))
        });
        late.collect()
    }
}

#[test]
fn the_checker_sees_a_grant_that_came_too_late() {
    let history = History::default();
    let before = Instant::now();
    history.verified(1, 0, before, Answer::Granted);
    history.revoked(1, "acknowledged");
    assert_eq!(history.late_accepts(), Vec::<String>::new());
    let after = Instant::now() + std::time::Duration::from_millis(1);
    history.verified(1, 2, after, Answer::Granted);
    history.verified(2, 2, after, Answer::Granted);
    let late = history.late_accepts();
    assert!(late.len() == 1 && late[0].starts_with("key 1 on node 2"), "{late:?}");
}
