//! Revocations while everything fails: verifies at full load on every node, keys revoked by any of them, and nodes
//! frozen, killed and cut off, the database crashed and restarted. No grant may be asked for after its key's revocation
//! returned (trust.md L01), whatever happens.
//!
//! `KEYWARD_STORM_ROUNDS` makes it longer: `cargo xtask storm ROUNDS`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::{Scope, scope};
use std::time::{Duration, Instant};

use reqwest::blocking::Client;
use serde_json::json;

use super::cluster::{Cluster, durable, question};
use super::dice::Dice;
use super::history::{Answer, EndOf, History};
use super::link::State;
use crate::harness::{Key, Reply, eventually};

const NODES: usize = 3;
const LEASE: Duration = Duration::from_millis(500);
/// How often each kind of fault happens.
const ROUNDS: usize = 10;
const VERIFIES: u64 = 100_000;
const REVOKES: u64 = 500;
/// Keys that verifies choose from: those made last, whether they are revoked or not.
const IN_SIGHT: usize = 20;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// A node is stopped in its tracks and goes on later.
    Freeze,
    /// A node is killed and starts again.
    Kill,
    /// A node's connections to the database end, and no new ones come about.
    Cut,
    /// What a node and the database send one another does not arrive for a while.
    Quiet,
    /// A node's questions arrive, answers do not: it does not know what was committed.
    Deaf,
    /// The database is killed and recovers.
    CrashDatabase,
    /// The database is restarted in order.
    RestartDatabase,
}

const FAULTS: [Fault; 7] = [
    Fault::Freeze,
    Fault::Kill,
    Fault::Cut,
    Fault::Quiet,
    Fault::Deaf,
    Fault::CrashDatabase,
    Fault::RestartDatabase,
];

/// What all threads of the storm share.
struct Storm {
    history: History,
    cluster: RwLock<Cluster>,
    /// Where the nodes' control planes are, which stays the same over restarts.
    control_urls: Vec<String>,
    management_key: String,
    project: String,
    keys: Mutex<VecDeque<(usize, Arc<InSight>)>>,
    made: AtomicUsize,
    over: AtomicBool,
}

/// A key that verifies choose.
struct InSight {
    key: Key,
    question: Vec<u8>,
}

#[test]
fn l01_no_grant_is_asked_for_after_a_revocation_returned_whatever_fails() {
    let rounds = std::env::var("KEYWARD_STORM_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let lease = LEASE.as_millis().to_string();
    let settings = [("KEYWARD_NODE_LEASE_MILLISECONDS", &*lease), ("KEYWARD_LOG_LEVEL", "warn")];
    let cluster = Cluster::of(NODES, durable(), &settings);
    let storm = Storm::over(cluster);
    let faults = scope(|threads| {
        let _end = EndOf(&storm.over);
        storm.start(threads);
        let faults = storm.rage(rounds);
        // Whatever the faults took, there is load between them to the end.
        let scale = rounds.max(ROUNDS) as u64;
        eventually_within(Duration::from_secs(60 * scale), "the load is done", || storm.has_done(scale));
        faults
    });
    storm.settle();
    let counts = storm.history.counts();
    eprintln!("storm: {counts:?}; faults {faults:?}; keys made {}", storm.made.load(Ordering::SeqCst));
    assert_eq!(storm.history.late_accepts(), Vec::<String>::new());
    assert!(counts.acknowledged > 0 && counts.lease_expired > 0, "{counts:?}");
    assert!(faults.values().all(|&times| times >= ROUNDS.min(rounds)), "{faults:?}");
}

impl Storm {
    fn over(cluster: Cluster) -> Self {
        Storm {
            control_urls: cluster.nodes.iter().map(|node| node.addresses.control_url.clone()).collect(),
            management_key: cluster.management_key.clone(),
            project: cluster.project.clone(),
            cluster: RwLock::new(cluster),
            history: History::default(),
            keys: Mutex::default(),
            made: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        }
    }

    fn start<'scope>(&'scope self, threads: &'scope Scope<'scope, '_>) {
        for number in 0..2 * NODES {
            threads.spawn(move || self.verify(number % NODES, &mut Dice::new(100 + number as u64)));
        }
        for number in 0..10 {
            threads.spawn(move || self.make_and_revoke(&mut Dice::new(200 + number)));
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Asks one node about keys in sight, without a pause.
    fn verify(&self, node: usize, dice: &mut Dice) {
        // It waits longer than any freeze: what a frozen node answers when it wakes is what is looked for.
        let mut checker = self.cluster.read().unwrap().checker(node);
        while !self.is_over() {
            let chosen = {
                let keys = self.keys.lock().unwrap();
                (!keys.is_empty()).then(|| keys[dice.below(keys.len())].clone())
            };
            let Some((number, key)) = chosen else {
                std::thread::yield_now();
                continue;
            };
            let asked = Instant::now();
            let answer = checker.ask(&key.question);
            self.history.verified(number, node, asked, answer);
            if answer == Answer::None {
                // A killed node refuses at once: the machine has better to do than to ask it without a pause.
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// Makes a key by some node, lets it be used, and revokes it by another, until it is known to be revoked.
    fn make_and_revoke(&self, dice: &mut Dice) {
        let http = Client::builder().timeout(Duration::from_secs(20)).no_proxy().build().unwrap();
        let call = |node: usize, path: &str| -> Option<Reply> {
            let request = http.post(format!("{}{path}", self.control_urls[node])).bearer_auth(&self.management_key);
            Some(request.json(&json!({})).send().ok()?.into())
        };
        while !self.is_over() {
            let path = format!("/v1/projects/{}/keys", self.project);
            let Some(made) = call(dice.below(NODES), &path).filter(|reply| reply.status == 201) else {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            };
            let key = Key::of(&made);
            let question = question(&self.management_key, &key.secret);
            let number = self.made.fetch_add(1, Ordering::SeqCst);
            {
                let mut keys = self.keys.lock().unwrap();
                keys.push_back((number, Arc::new(InSight { key: key.clone(), question })));
                if keys.len() > IN_SIGHT {
                    keys.pop_front();
                }
            }
            let asked = self.asked();
            while self.asked() < asked + 60 && !self.is_over() {
                std::thread::sleep(Duration::from_millis(2));
            }
            self.revoke(number, || call(dice.below(NODES), &format!("/v1/keys/{}/revoke", key.id)));
        }
    }

    /// Revokes until an answer says that it is in force: any other promises nothing.
    fn revoke(&self, number: usize, mut call: impl FnMut() -> Option<Reply>) {
        loop {
            match call() {
                Some(reply) if reply.status == 200 => {
                    let answer = reply.json();
                    let by = answer["in_force"]["by"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
                    return self.history.revoked(number, &by);
                }
                Some(reply) if ![503, 500].contains(&reply.status) => panic!("a revocation: {reply:?}"),
                _ => self.history.revocation_failed(),
            }
            if self.is_over() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn asked(&self) -> u64 {
        let counts = self.history.counts();
        counts.granted + counts.denied
    }

    fn has_done(&self, scale: u64) -> bool {
        let counts = self.history.counts();
        let revoked = counts.acknowledged + counts.lease_expired;
        self.asked() >= VERIFIES * scale / ROUNDS as u64 && revoked >= REVOKES * scale / ROUNDS as u64
    }

    /// Every kind of fault so many times, in a random order, each healed before the next.
    fn rage(&self, rounds: usize) -> BTreeMap<Fault, usize> {
        let mut dice = Dice::new(7);
        let mut faults: Vec<Fault> = FAULTS.iter().flat_map(|fault| std::iter::repeat_n(*fault, rounds)).collect();
        dice.shuffle(&mut faults);
        let mut done = BTreeMap::new();
        for fault in faults {
            let node = dice.below(NODES);
            // From a blink to far beyond what others wait for a node.
            let lasts = LEASE.mul_f64(dice.between(0.2, 2.2));
            self.strike(fault, node, lasts);
            *done.entry(fault).or_default() += 1;
            self.recovered();
        }
        done
    }

    fn strike(&self, fault: Fault, node: usize, lasts: Duration) {
        let line = |state| {
            let cluster = self.cluster.read().unwrap();
            cluster.nodes[node].link.set(state);
            std::thread::sleep(lasts);
            cluster.nodes[node].link.set(State::Open);
        };
        match fault {
            Fault::Freeze => {
                let cluster = self.cluster.read().unwrap();
                cluster.nodes[node].freeze();
                std::thread::sleep(lasts);
                cluster.nodes[node].thaw();
            }
            Fault::Kill => {
                let mut cluster = self.cluster.write().unwrap();
                cluster.nodes[node].kill();
                std::thread::sleep(lasts);
                cluster.nodes[node].restart();
            }
            Fault::Cut => line(State::Cut),
            Fault::Quiet => line(State::Quiet),
            Fault::Deaf => line(State::Deaf),
            Fault::CrashDatabase => {
                let cluster = self.cluster.read().unwrap();
                cluster.postgres.crash();
                std::thread::sleep(lasts);
                cluster.postgres.restart();
            }
            Fault::RestartDatabase => self.cluster.read().unwrap().postgres.restart(),
        }
    }

    /// Waits until every node is ready again.
    fn recovered(&self) {
        let cluster = self.cluster.read().unwrap();
        for node in &cluster.nodes {
            eventually("a node is ready again", || {
                node.readiness().filter(|(status, _)| *status == 200).map(|_| ())
            });
        }
    }

    /// After the storm: every node says the same of every key in sight, and of the log.
    fn settle(&self) {
        self.recovered();
        let cluster = self.cluster.read().unwrap();
        let heads: Vec<_> =
            (0..NODES).map(|node| cluster.get(node, "/v1/changes/head").expect(200).json()).collect();
        assert!(heads.windows(2).all(|pair| pair[0]["revision"] == pair[1]["revision"]), "{heads:?}");
        for (_, in_sight) in self.keys.lock().unwrap().iter() {
            let key = &in_sight.key;
            let found = cluster.get(0, &format!("/v1/keys/{}", key.id)).expect(200).json();
            let expected = if found["key"]["state"] == "active" { Answer::Granted } else { Answer::Denied };
            assert_eq!(cluster.verify_everywhere(&key.secret), [expected; NODES], "{found}");
        }
    }
}

/// Waits for something that takes long.
#[track_caller]
fn eventually_within(longest: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + longest;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {longest:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
