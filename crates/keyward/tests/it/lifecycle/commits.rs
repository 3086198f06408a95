//! A commit that fails on the disk is never told as done (L03).

use serde_json::json;

use crate::harness::{Acked, Faults, Keyward, Writers};

#[test]
fn l03_what_was_answered_with_success_is_durable_whenever_a_commit_fails() {
    let faults = Faults::new();
    let mut keyward = Keyward::dev_with_env("standard", &[], &faults.env());
    let project = keyward.project().to_owned();
    keyward.patch(&format!("/v1/projects/{project}"), json!({"active_key_limit": 1_000_000})).expect(200);
    let mut acked = Acked::default();
    // The disk fails at a sync or a write of the write-ahead log, after so many that did not.
    for (round, pass) in [0, 60, 5, 150, 21, 90].into_iter().enumerate() {
        let before = faults.hits();
        let what = if round % 2 == 0 { "sync" } else { "write" };
        faults.set(&format!("{what} keyward.db-wal EIO {pass}"));
        // They end when they are refused: each is told that the outcome is not known, or that nothing is written.
        let told = Writers::start(&keyward, &project, 4).refused();
        assert!(faults.hits() > before, "nothing failed in round {round}");
        for status in told.statuses.keys() {
            assert!([200, 201, 503].contains(status), "{status}: {told:?}");
        }
        for code in &told.codes {
            assert!(["outcome_unknown", "unavailable"].contains(&code.as_str()), "{code}: {told:?}");
        }
        acked.join(told);
        assert!(keyward.is_running(), "verification goes on");
        faults.clear();
        // Nothing is written until it starts again, whatever the disk does meanwhile.
        keyward.create(&project, json!({})).expect(503);
        keyward.restart_with_env(&faults.env());
        keyward.expect_log_intact();
        check(&keyward, &acked);
    }
    assert!(acked.codes.contains("outcome_unknown"), "{:?}", acked.codes);
    assert!(acked.changes.len() > 50, "{}", acked.changes.len());
}

/// What was told is so.
fn check(keyward: &Keyward, acked: &Acked) {
    let mut checker = keyward.checker();
    for id in &acked.revoked {
        let told = checker.ask(&keyward.question(&json!({"key": acked.secrets[id]})));
        assert!(told.says("\"code\":\"revoked\""), "{id} was revoked, and is not: {told:?}");
    }
    for (id, secret) in acked.live() {
        let told = checker.ask(&keyward.question(&json!({"key": secret})));
        assert!(told.is_grant(), "{id} was made, and is not: {told:?}");
    }
}
