//! Contracts are data: whatever one says, holds. `suite` reads a contract and checks Keyward against it; it is
//! run for every preset and for a sixth vendor that is a file and nothing else. `applying` is about putting
//! contracts in force, `cli` about `keyward apply` and `keyward contract`, `keys_by_cli` about their rules there.

mod applying;
mod cli;
mod keys_by_cli;
mod sixth;
mod suite;

use crate::harness::{Keyward, Scripted, Upstream};

/// A Keyward with a preset in front of an upstream that remembers.
fn behind(preset: &str) -> (Keyward, Upstream) {
    let upstream = Upstream::start(Scripted::json(200, r#"{"ok":true}"#));
    (Keyward::dev_with(preset, &["--upstream", &upstream.url]), upstream)
}

fn check(preset: &str) {
    let (keyward, upstream) = behind(preset);
    suite::run_generic_suite(&keyward, &upstream);
}

#[test]
fn the_contract_of_standard_holds() {
    check("standard");
}

#[test]
fn the_contract_of_getprofile_holds() {
    check("getprofile");
}

#[test]
fn the_contract_of_profound_holds() {
    check("profound");
}

#[test]
fn the_contract_of_metriport_holds() {
    check("metriport");
}

#[test]
fn the_contract_of_scrapegraphai_holds() {
    check("scrapegraphai");
}

#[test]
fn the_contract_of_qanapi_holds() {
    check("qanapi");
}
