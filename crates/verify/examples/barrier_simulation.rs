//! The simulation of the protocol between nodes over as many seeds as one likes:
//! `cargo run -p keyward-verify --release --features simulation --example barrier_simulation -- --seeds 100000`.
//! `--first` gives the first seed. Prints a summary; fails where a request was granted that began after its key's revoke had returned.
#![allow(clippy::print_stdout, reason = "what it is for")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use keyward_verify::nodes::simulation::{Report, run};

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| match given.iter().position(|word| word == name) {
        None => default,
        Some(at) => given.get(at + 1).and_then(|text| text.parse().ok()).expect("a number after each option"),
    };
    let (first, seeds) = (number("--first", 0), number("--seeds", 100_000));
    let next = AtomicU64::new(first);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut all = Report::default();
    thread::scope(|scope| {
        let work = || {
            let mut sum = Report::default();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= first + seeds {
                    return sum;
                }
                let mut report = run(seed, None);
                report.violations.iter_mut().for_each(|violation| *violation = format!("seed {seed}: {violation}"));
                sum.add(report);
            }
        };
        let working: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in working {
            all.add(thread.join().expect("a simulation does not panic"));
        }
    });
    all.violations.iter().for_each(|violation| println!("{violation}"));
    println!("{all}");
    if all.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
