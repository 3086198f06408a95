//! The log has every change that was acknowledged, and no gap, whenever the process dies (L14).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Acked, Keyward, Writers};

/// How often each change of each key stands in some changes.
fn counted<'a>(changes: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<(&'a str, &'a str), usize> {
    let mut counts = BTreeMap::new();
    changes.for_each(|change| *counts.entry(change).or_default() += 1);
    counts
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

#[test]
fn l14_whenever_the_process_is_killed_the_log_has_every_acknowledged_change_and_no_gap() {
    const WRITERS: usize = 4;
    let mut keyward = Keyward::dev("standard");
    let project = keyward.project().to_owned();
    keyward.patch(&format!("/v1/projects/{project}"), json!({"active_key_limit": 1_000_000})).expect(200);
    let (mut acked, mut kills) = (Acked::default(), 0);
    for acks in [40, 171, 300, 93, 222, 7, 130] {
        let writers = Writers::start(&keyward, &project, WRITERS);
        writers.wait_for(acks);
        keyward.kill();
        acked.join(writers.finish());
        kills += 1;
        keyward.restart();
        keyward.expect_log_intact();
    }
    assert!(acked.changes.len() >= 900, "{} changes", acked.changes.len());

    let log = keyward.changes();
    let revisions: Vec<i64> = log.iter().map(|change| change["revision"].as_i64().unwrap()).collect();
    assert_eq!(revisions, (1..=log.len() as i64).collect::<Vec<_>>(), "revisions have a gap");
    let of_keys = log.iter().filter(|change| text(change, "project") == project && !text(change, "key").is_empty());
    let logged = counted(of_keys.map(|change| (text(change, "name"), text(change, "key"))));
    let told = counted(acked.changes.iter().map(|(name, key)| (name.as_str(), key.as_str())));
    for (change, count) in &told {
        assert!(logged.get(change) >= Some(count), "{change:?} was acknowledged and is not in the log");
    }
    // What the log has beyond was on its way when a process was killed: at most one change a writer.
    let beyond = logged.values().sum::<usize>() - told.values().sum::<usize>();
    assert!(beyond <= kills * WRITERS + 1, "{beyond} changes that nobody was told of");

    // The project's event log is the same log.
    let (mut events, mut path) = (Vec::new(), format!("/v1/projects/{project}/events?limit=200"));
    loop {
        let page = keyward.get(&path).expect(200).json();
        events.extend(page["items"].as_array().unwrap().iter().filter_map(|event| event["revision"].as_i64()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/projects/{project}/events?limit=200&cursor={next}");
    }
    events.sort_unstable();
    let of_project = log.iter().filter(|change| text(change, "project") == project);
    assert_eq!(events, of_project.map(|change| change["revision"].as_i64().unwrap()).collect::<Vec<_>>());
    let (code, stdout, stderr) = keyward.cli(&["log", "verify"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
}
