//! The data plane's doors: hostile requests (rows H of trust.md), and what a gateway owes to HTTP.
//!
//! `recorder` keeps every byte that reaches an upstream, `frames` writes HTTP/2 by hand; the other modules
//! are the stories.

mod access_log;
mod credentials;
mod crowds;
mod floods;
mod forwarded;
mod frames;
mod fuzz;
mod identity;
mod json;
mod methods;
mod oracle;
mod recorder;
mod routing;
mod sizes;
mod slow;
mod smuggled;
mod smuggling;
mod stopping;
mod streams;
mod surface;
mod traces;
mod translation;
mod upstreams;
mod zipped;

use crate::harness::Key;

/// The header that carries a key in the preset `standard`.
pub fn bearer(key: &Key) -> String {
    format!("Authorization: Bearer {}", key.secret)
}

/// A request's head as it goes over the wire; each of `lines` is one header.
pub fn head(method: &str, target: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\nHost: api.example\r\n{lines}\r\n")
}

/// The memory of a process that is in use, in bytes.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
