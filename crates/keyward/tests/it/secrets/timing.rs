//! What a stranger at the gateway can tell by a clock (K03): nothing of how near a guess came, and nothing of
//! what became of a key. crates/verify/tests/timing.rs looks closer, in process, where there is no network.
//!
//! Classes take turns at random, so that whatever else the machine does meets all of them; the slowest quarter
//! is cropped. A look into the store shows here as a t of many tens, and as a half more.

use std::time::Instant;

use keyward_core::base62;
use keyward_core::clock::{Entropy, SystemEntropy};
use serde_json::json;

use crate::harness::{Caller, Keyward};

/// Requests of each class in a batch.
const ROUNDS: usize = 1_200;
/// Batches; what counts is the one in the middle.
const BATCHES: usize = 3;
const T_MAX: f64 = 4.5;

fn at_random(below: usize) -> usize {
    let mut random = [0; 8];
    SystemEntropy.fill(&mut random);
    u64::from_le_bytes(random) as usize % below
}

/// The secret with some bytes altered and the checksum made right again.
fn forged(secret: &str, alter: impl FnOnce(&mut [u8; 32])) -> String {
    let (prefix, body) = secret.rsplit_once('_').unwrap();
    let mut bytes = base62::decode_32(body.as_bytes()).unwrap();
    alter(&mut bytes);
    let checksum = crc(&[prefix.as_bytes(), &bytes[..28]].concat()).to_be_bytes();
    bytes[28..].copy_from_slice(&checksum);
    format!("{prefix}_{}", base62::encode_32(&bytes))
}

/// CRC-32 (IEEE), as the key format says.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

/// Nanoseconds of `ROUNDS` refusals of each class, without the slowest quarter of all.
fn batch(caller: &mut Caller, requests: &[Vec<Vec<u8>>]) -> Vec<Vec<f64>> {
    let mut order: Vec<usize> = (0..ROUNDS * requests.len()).map(|i| i % requests.len()).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, at_random(i + 1));
    }
    let mut nanos = vec![Vec::with_capacity(ROUNDS); requests.len()];
    for class in order {
        let request = &requests[class][nanos[class].len() % requests[class].len()];
        let began = Instant::now();
        let told = caller.ask(request);
        nanos[class].push(began.elapsed().as_nanos() as f64);
        assert_eq!(told.status, 401, "{told:?}");
    }
    let mut all: Vec<f64> = nanos.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let limit = all[all.len() * 3 / 4];
    nanos.iter().map(|class| class.iter().copied().filter(|nanos| *nanos <= limit).collect()).collect()
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// Welch's t of two samples.
fn welch(a: &[f64], b: &[f64]) -> f64 {
    let spread =
        |x: &[f64], m: f64| x.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (x.len() - 1) as f64 / x.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    (ma - mb) / (spread(a, ma) + spread(b, mb)).sqrt()
}

#[test]
fn k03_the_gateways_refusals_take_as_long_whatever_is_wrong_with_a_key() {
    let keyward = Keyward::dev("standard");
    let make = || keyward.make(keyward.project(), json!({}));
    let (real, revoked, disabled) = (make().secret, make(), make());
    keyward.revoke(&revoked.id).expect(200);
    keyward.post(&format!("/v1/keys/{}/disable", disabled.id), json!({})).expect(200);
    let (gone, _) = keyward.new_project("gone");
    let deleted = keyward.make(&gone, json!({}));
    keyward.delete(&format!("/v1/projects/{gone}")).expect(200);

    let request = |secret: String| keyward.request("/v1/hello", &secret);
    let forgeries = |alter: &dyn Fn(&mut [u8; 32])| -> Vec<Vec<u8>> {
        (0..200).map(|_| request(forged(&real, |bytes| alter(bytes)))).collect()
    };
    let names =
        ["made up", "one byte off", "only the tag's end off", "revoked", "disabled", "of a deleted project"];
    let requests = [
        forgeries(&|bytes| SystemEntropy.fill(&mut bytes[1..28])),
        forgeries(&|bytes| bytes[1 + at_random(27)] ^= 1 << at_random(8)),
        forgeries(&|bytes| bytes[27] ^= 1 << at_random(8)),
        vec![request(revoked.secret)],
        vec![request(disabled.secret)],
        vec![request(deleted.secret)],
    ];
    let mut caller = keyward.caller();
    for request in requests.iter().flatten() {
        assert_eq!(caller.ask(request).status, 401);
    }
    let batches: Vec<Vec<Vec<f64>>> = (0..BATCHES).map(|_| batch(&mut caller, &requests)).collect();
    for (class, name) in names.iter().enumerate().skip(1) {
        // Forged ones beside one that is made up; keys that were real ones beside a revoked one.
        let of = if class < 3 { 0 } else { 3 };
        let t = middle(batches.iter().map(|batch| welch(&batch[of], &batch[class])));
        let difference = middle(batches.iter().map(|batch| mean(&batch[class]) / mean(&batch[of]) - 1.0));
        println!("{name}: t = {t:.2}, {:.2} % slower", difference * 100.0);
        match of {
            0 => assert!(t.abs() < T_MAX, "{name}: t = {t:.2}"),
            // The same work, broken off at another step: nanoseconds in a release build. In this one, tens of times
            // slower, an idle machine's t could tell; so the size of the difference is held, not that there is one.
            _ => assert!(difference.abs() < 0.05, "{name}: {:.2} % slower", difference * 100.0),
        }
    }
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
