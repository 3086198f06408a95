//! A history of who was granted what and when, on one clock: verifiers and gateway callers hammer keys while
//! these are ended one by one, and no grant may belong to a request that began after its key's end returned.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::json;

use crate::harness::{Caller, Key, Keyward};

/// By which door a caller comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Check,
    Gateway,
}

/// Keys that are being ended while others use them.
pub struct Race<'k> {
    keyward: &'k Keyward,
    keys: &'k [Key],
    /// The key that is ended next: callers ask for it most of all.
    next: AtomicUsize,
    asked: AtomicUsize,
    is_over: AtomicBool,
}

/// When a key's end returned.
pub type Ends = Vec<Instant>;

/// What one caller saw of each key.
struct Seen {
    door: Door,
    grants: Vec<u64>,
    /// When the last request began that was granted.
    last_granted: Vec<Option<Instant>>,
}

impl<'k> Race<'k> {
    pub fn new(keyward: &'k Keyward, keys: &'k [Key]) -> Self {
        let zero = || AtomicUsize::new(0);
        Race { keyward, keys, next: zero(), asked: zero(), is_over: AtomicBool::new(false) }
    }

    /// Lets callers of these doors hammer while `end` ends one key after the other, each after `between` more
    /// requests. Returns how many requests there were. Panics where one was granted that began too late.
    pub fn run(&self, doors: &[Door], between: usize, mut end: impl FnMut(usize, &Key)) -> usize {
        let (seen, ends) = std::thread::scope(|scope| {
            let callers: Vec<_> = doors.iter().map(|&door| scope.spawn(move || self.hammer(door))).collect();
            let ends: Ends = (0..self.keys.len())
                .map(|i| {
                    self.next.store(i, Ordering::SeqCst);
                    self.wait_for(between * (i + 1));
                    end(i, &self.keys[i]);
                    Instant::now()
                })
                .collect();
            self.wait_for(between * (self.keys.len() + 1));
            self.is_over.store(true, Ordering::SeqCst);
            (callers.into_iter().map(|caller| caller.join().unwrap()).collect::<Vec<_>>(), ends)
        });
        self.judge(&seen, &ends);
        self.asked.load(Ordering::SeqCst)
    }

    fn wait_for(&self, asked: usize) {
        while self.asked.load(Ordering::SeqCst) < asked {
            assert!(!self.is_over.load(Ordering::SeqCst), "a caller has stopped");
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
    }

    fn hammer(&self, door: Door) -> Seen {
        // A caller that panics must not leave the others waiting for it.
        let _over = Over(&self.is_over);
        let requests: Vec<Vec<u8>> = self.keys.iter().map(|key| self.request(door, key)).collect();
        let mut caller = match door {
            Door::Check => self.keyward.checker(),
            Door::Gateway => self.keyward.caller(),
        };
        let mut seen = Seen { door, grants: vec![0; self.keys.len()], last_granted: vec![None; self.keys.len()] };
        let mut turn = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            // Half of the time the key that is ended now, else another, each in turn.
            turn += 1;
            let i = if turn % 2 == 0 { self.next.load(Ordering::SeqCst) } else { turn / 2 % self.keys.len() };
            let began = Instant::now();
            if Self::is_granted(door, &mut caller, &requests[i]) {
                seen.grants[i] += 1;
                seen.last_granted[i] = Some(began);
            }
            self.asked.fetch_add(1, Ordering::SeqCst);
        }
        seen
    }

    fn is_granted(door: Door, caller: &mut Caller, request: &[u8]) -> bool {
        let told = caller.try_ask(request);
        let told = match (told, door) {
            (Some(told), _) => told,
            // A request that was under way when its key ended is cut off, like any stream.
            (None, Door::Gateway) => return false,
            (None, Door::Check) => panic!("a question got no answer"),
        };
        assert!(told.status == 200 || (400..500).contains(&told.status), "{door:?}: {told:?}");
        match door {
            Door::Check => told.is_grant(),
            Door::Gateway => told.status == 200,
        }
    }

    fn request(&self, door: Door, key: &Key) -> Vec<u8> {
        match door {
            Door::Check => self.keyward.question(&json!({"key": key.secret, "ip": "127.0.0.1"})),
            Door::Gateway => self.keyward.request("/v1/hello", &key.secret),
        }
    }

    fn judge(&self, seen: &[Seen], ends: &[Instant]) {
        for (i, (key, end)) in self.keys.iter().zip(ends).enumerate() {
            for seen in seen {
                if let Some(began) = seen.last_granted[i]
                    && began > *end
                {
                    let late = began - *end;
                    panic!("{:?} granted key {i} ({}) {late:?} after its end had returned", seen.door, key.id);
                }
            }
            let grants: u64 = seen.iter().map(|seen| seen.grants[i]).sum();
            assert!(grants > 0, "key {i} was never granted: the race showed nothing of it");
        }
    }
}

/// Ends the race when dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}
