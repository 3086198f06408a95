//! What a flood of made-up keys costs (S12): neither memory, nor reads of the store beyond a budget, nor the
//! answers that real keys get meanwhile. In a process of its own, because it measures the process.
#![allow(clippy::print_stdout, reason = "what was measured is printed for whoever reads the run")]

mod support;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use keyward_core::base62;
use keyward_core::clock::{Entropy, SystemEntropy};
use keyward_core::decision::RequestFacts;
use keyward_core::denial::Refusal;
use keyward_verify::{Ask, EngineOptions};
use support::watched::OnRead;
use support::{Minted, Node};

/// Made-up keys, all different.
const FLOOD: usize = 250_000;
/// What the process may grow by meanwhile.
const GROWTH_MAX: f64 = 64.0 * 1024.0 * 1024.0;

/// Counts reads of keys.
#[derive(Default)]
struct Reads(AtomicU64);

#[async_trait]
impl OnRead for Reads {
    async fn read(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Resident memory in bytes.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemEntropy.fill(&mut bytes);
    bytes
}

/// What became of a flood.
struct Outcome {
    growth: f64,
    reads: u64,
    seconds: f64,
    refused: std::collections::BTreeMap<&'static str, u64>,
}

/// Presents made-up keys from all over the world, and a real one after every hundredth: it must be granted.
async fn flood(node: &Node, real: &[Minted], reads: &Reads, make: impl Fn() -> String) -> Outcome {
    for key in real {
        assert_eq!(node.refusal(&key.secret).await, None);
    }
    let (before, reads_before, began) = (resident(), reads.0.load(Ordering::Relaxed), Instant::now());
    let mut refused = std::collections::BTreeMap::new();
    for i in 0..FLOOD {
        let made_up = make();
        let address = Some(IpAddr::from(random::<4>()));
        let ask = Ask { facts: RequestFacts { address, ..RequestFacts::default() }, ..node.ask(&made_up) };
        let denial = node.engine.verify(&ask).await.outcome.expect_err("nobody minted this key");
        *refused.entry(denial.code()).or_default() += 1;
        if i % 100 == 0 {
            assert_eq!(node.refusal(&real[i / 100 % real.len()].secret).await, None, "a real key was not granted");
        }
    }
    let reads = reads.0.load(Ordering::Relaxed) - reads_before;
    let outcome = Outcome { growth: resident() - before, reads, seconds: began.elapsed().as_secs_f64(), refused };
    println!(
        "{FLOOD} in {:.1} s: {:.1} MiB more, {} reads, {:?}",
        outcome.seconds,
        outcome.growth / 1048576.0,
        outcome.reads,
        outcome.refused
    );
    outcome
}

#[tokio::test]
async fn s12_a_flood_of_made_up_keys_costs_no_memory_and_few_reads() {
    let reads = Arc::new(Reads::default());

    // With a tag: refused by a hash, and nothing more.
    let node = Node::start_watched("standard", reads.clone()).await;
    let real = node.mint(1_000).await;
    let outcome = flood(&node, &real, &reads, || {
        let mut bytes = random::<32>();
        bytes[0] = 1;
        let mut crc = crc32fast::Hasher::new();
        crc.update(b"kw_live");
        crc.update(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.finalize().to_be_bytes());
        format!("kw_live_{}", base62::encode_32(&bytes))
    })
    .await;
    assert_eq!(outcome.refused.keys().collect::<Vec<_>>(), [&Refusal::UnknownKey.code()]);
    assert_eq!(outcome.reads, 0, "no real key was read again, no forged one at all");
    assert!(outcome.growth < GROWTH_MAX, "{} bytes", outcome.growth);
    assert_eq!(node.engine.cached_keys(), real.len());

    // Without one: a budget of reads, for all callers together; past it nobody is told anything.
    let node = Node::start_watched("scrapegraphai", reads.clone()).await;
    let real = node.mint(1_000).await;
    // Reading the real ones draws on the budget as well: let the flood have a full one.
    let rest = EngineOptions::default().misses_per_second;
    let outcome = flood(&node, &real, &reads, || {
        let hex: String = random::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sgai-{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    })
    .await;
    let budget = f64::from(rest) * (outcome.seconds + 2.0);
    assert!((outcome.reads as f64) < budget, "{} reads in {:.1} s", outcome.reads, outcome.seconds);
    assert!(outcome.refused[Refusal::Unavailable.code()] > 0, "the flood was too slow to use the budget up");
    assert!(outcome.growth < GROWTH_MAX, "{} bytes", outcome.growth);
    assert_eq!(node.engine.cached_keys(), real.len(), "no real key was driven out");
}
