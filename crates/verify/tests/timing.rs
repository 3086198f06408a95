//! Whether the time of an answer tells anything of a secret (K03): how near a guess is, or what becomes of a key.
//!
//! In process and on one thread, where differences show that drown a thousandfold in the noise of a socket.
//! Classes are interleaved at random, so that whatever else the machine does meets all of them alike; the
//! slowest tenth is cropped, as dudect does, because it holds interrupts and not Keyward.
#![allow(clippy::print_stdout, reason = "what was measured is printed for whoever reads the run")]

mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use keyward_core::base62;
use keyward_core::change::KeyChange;
use keyward_core::clock::{Entropy, SystemEntropy};
use keyward_core::decision::{ProjectNamed, RequestFacts};
use keyward_verify::{Ask, Decision};
use support::Node;

/// Decisions of each class in a batch.
const ROUNDS: usize = 8_000;
/// Batches; what counts is the one in the middle.
const BATCHES: usize = 5;
/// Beyond this, two classes differ in more than chance: the usual threshold of dudect.
const T_MAX: f64 = 4.5;
/// One at a time: a test beside it would be noise.
static ALONE: Mutex<()> = Mutex::new(());

/// The nanoseconds of a class's decisions.
struct Timed {
    name: &'static str,
    nanos: Vec<f64>,
}

impl Timed {
    /// Without the slowest tenth; the limit is the same for all classes.
    fn cropped(&self, limit: f64) -> Vec<f64> {
        self.nanos.iter().copied().filter(|nanos| *nanos <= limit).collect()
    }

    fn median(&self) -> f64 {
        let mut sorted = self.nanos.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
}

/// The time below which nine tenths of all decisions lie.
fn limit(classes: &[Timed]) -> f64 {
    let mut all: Vec<f64> = classes.iter().flat_map(|class| class.nanos.iter().copied()).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() * 9 / 10]
}

/// Welch's t of two samples.
fn welch(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let variance = |x: &[f64], mean: f64| x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (x.len() - 1) as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    (mean_a - mean_b) / (variance(a, mean_a) / a.len() as f64 + variance(b, mean_b) / b.len() as f64).sqrt()
}

/// Decides without an executor in between: a decision from memory never waits.
fn decide(node: &Node, ask: &Ask<'_>) -> Decision {
    let future = pin!(node.engine.verify(ask));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(decision) => decision,
        Poll::Pending => panic!("a decision from memory waited"),
    }
}

/// Times `ROUNDS` decisions of every class, in random order, on credentials made before.
fn time(node: &Node, names: &[&'static str], facts: &[RequestFacts<'_>], pools: &[Vec<String>]) -> Vec<Timed> {
    let mut classes: Vec<Timed> =
        names.iter().map(|&name| Timed { name, nanos: Vec::with_capacity(ROUNDS) }).collect();
    // One buffer for all: where a credential lies in memory is no difference between classes.
    let mut buffer = String::with_capacity(64);
    let mut order: Vec<usize> = (0..ROUNDS * classes.len()).map(|i| i % names.len()).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, at_random(i + 1));
    }
    for class in order {
        buffer.clear();
        buffer.push_str(&pools[class][classes[class].nanos.len() % pools[class].len()]);
        let ask = Ask { facts: facts[class], ..node.ask(&buffer) };
        let began = Instant::now();
        let decision = decide(node, &ask);
        let nanos = began.elapsed().as_nanos() as f64;
        assert!(decision.outcome.is_err(), "{} was granted", classes[class].name);
        classes[class].nanos.push(nanos);
    }
    classes
}

/// The secret with some bytes altered and the checksum made right again: what somebody makes up who knows the
/// format.
fn forged(secret: &str, alter: impl FnOnce(&mut [u8; 32])) -> String {
    let (prefix, body) = secret.rsplit_once('_').unwrap();
    let mut bytes = base62::decode_32(body.as_bytes()).unwrap();
    alter(&mut bytes);
    let mut crc = crc32fast::Hasher::new();
    crc.update(prefix.as_bytes());
    crc.update(&bytes[..28]);
    bytes[28..].copy_from_slice(&crc.finalize().to_be_bytes());
    format!("{prefix}_{}", base62::encode_32(&bytes))
}

fn at_random(below: usize) -> usize {
    let mut random = [0; 8];
    SystemEntropy.fill(&mut random);
    u64::from_le_bytes(random) as usize % below
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "each test has a runtime and a thread of its own")]
async fn k03_a_forged_key_takes_as_long_however_near_it_comes() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let node = Node::start("standard").await;
    let real = node.mint(1).await.remove(0).secret;
    let revoked = node.mint(1).await.remove(0);
    node.revoke(revoked.id).await;
    for secret in [&real, &revoked.secret] {
        let _ = node.refusal(secret).await;
    }
    let names =
        ["made up", "one byte off", "all but the tag's first byte", "all but its last", "near a revoked key"];
    let forge = |class| match class {
        0 => forged(&real, |bytes| SystemEntropy.fill(&mut bytes[1..28])),
        1 => forged(&real, |bytes| bytes[1 + at_random(27)] ^= 1 << at_random(8)),
        2 => forged(&real, |bytes| bytes[21] ^= 1 << at_random(8)),
        3 => forged(&real, |bytes| bytes[27] ^= 1 << at_random(8)),
        _ => forged(&revoked.secret, |bytes| bytes[27] ^= 1 << at_random(8)),
    };
    let pools: Vec<Vec<String>> =
        (0..names.len()).map(|class| (0..1_000).map(|_| forge(class)).collect()).collect();
    // A difference shows every time and with the same sign; a burst of the machine's does not.
    let mut seen = vec![Vec::new(); names.len()];
    for _ in 0..BATCHES {
        let classes = time(&node, &names, &[RequestFacts::default(); 5], &pools);
        let limit = limit(&classes);
        let base = classes[0].cropped(limit);
        for (class, seen) in classes.iter().zip(&mut seen).skip(1) {
            seen.push(welch(&base, &class.cropped(limit)));
        }
    }
    for (name, mut seen) in names.into_iter().zip(seen).skip(1) {
        seen.sort_by(f64::total_cmp);
        println!("{name}: t = {seen:.2?}");
        assert!(seen[BATCHES / 2].abs() < T_MAX, "{name} differs from {}: t = {seen:.2?}", names[0]);
    }
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "each test has a runtime and a thread of its own")]
async fn k03_what_became_of_a_key_makes_no_difference_that_a_socket_could_carry() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let node = Node::start("standard").await;
    let keys = node.mint(3).await;
    node.revoke(keys[0].id).await;
    node.change(keys[1].id, KeyChange::Disabled).await;
    let unknown = node.format().mint(&node.peppers, node.project.id, &SystemEntropy).secret;
    let secrets = [unknown.expose(), &keys[0].secret, &keys[1].secret, &keys[2].secret];
    let of_another =
        RequestFacts { project: Some(ProjectNamed::Id(support::nobodys())), ..RequestFacts::default() };
    let facts = [RequestFacts::default(), RequestFacts::default(), RequestFacts::default(), of_another];
    for (secret, facts) in secrets.iter().zip(facts) {
        node.engine.verify(&Ask { facts, ..node.ask(secret) }).await;
    }
    let names = ["unknown", "revoked", "disabled", "of another project"];
    let pools: Vec<Vec<String>> = secrets.iter().map(|secret| vec![(*secret).to_owned()]).collect();
    let classes = time(&node, &names, &facts, &pools);
    // All four are decided from memory. A key that is in no store is told one step sooner than one that is
    // known and refused (nothing is noted of it): a tenth of a microsecond in a release build, where one
    // exchange over loopback varies by ten. A read of the store, or a write, would show as a multiple.
    let medians: Vec<f64> = classes.iter().map(Timed::median).collect();
    let (least, most) =
        (medians.iter().copied().fold(f64::MAX, f64::min), medians.iter().copied().fold(0.0, f64::max));
    let told: Vec<_> =
        classes.iter().zip(&medians).map(|(class, median)| format!("{}: {median} ns", class.name)).collect();
    println!("{}", told.join(", "));
    assert!(most < least * 1.5, "{}", told.join(", "));
}
