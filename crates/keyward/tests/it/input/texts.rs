//! Texts that other programs would run, follow or choke on: SQL, cursors, patterns (I04, I05, I06).

use std::time::Instant;

use serde_json::json;

use crate::harness::Keyward;

const SQL: &[&str] = &[
    "' OR '1'='1",
    "'; DROP TABLE keys; --",
    "\" OR 1=1 --",
    "1; ATTACH DATABASE '/tmp/x' AS x",
    "%' UNION SELECT digest FROM digests --",
    "\\' OR 1=1#",
    "') OR EXISTS(SELECT 1) --",
    "$1",
    "?",
    ":name",
];

#[test]
fn i04_no_text_is_run_as_sql() {
    let keyward = Keyward::dev("standard");
    let project = keyward.project().to_owned();
    let before = keyward.list(&project).len();
    for text in SQL {
        let made = keyward.create(&project, json!({"name": text, "metadata": {(*text): text}})).expect(201).json();
        let id = made["key"]["id"].as_str().unwrap().to_owned();
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let found = keyward.get(&format!("/v1/projects/{project}/keys?name={encoded}")).expect(200).json();
        let items = found["items"].as_array().unwrap();
        assert_eq!((items.len(), &items[0]["id"]), (1, &json!(id)), "{text}");
        for path in [
            format!("/v1/projects/{encoded}"),
            format!("/v1/keys/{encoded}"),
            format!("/v1/organizations/{encoded}"),
            format!("/v1/apis/{encoded}"),
        ] {
            keyward.get(&path).expect(404);
        }
        keyward.get(&format!("/v1/projects/{project}/keys?cursor={encoded}")).expect_problem(400, "bad_cursor");
        let state = keyward.get(&format!("/v1/projects/{project}/keys?state={encoded}"));
        state.expect_problem(422, "invalid");
        let events = keyward.get(&format!("/v1/projects/{project}/events?name={encoded}"));
        assert!(events.status == 200 || events.status == 422, "{}", events.text);
        let verdict = keyward.verify(json!({"key": text})).expect(200).json();
        assert_eq!(verdict["valid"], false, "{text}");
    }
    assert_eq!(keyward.list(&project).len(), before + SQL.len());
    assert_eq!(keyward.get("/v1/changes/verify").expect(200).json()["result"], "intact");
}

#[test]
fn i05_an_altered_cursor_is_refused_and_never_shows_anothers_rows() {
    let keyward = Keyward::dev("standard");
    let project = keyward.project().to_owned();
    let (other, _) = keyward.new_project("other");
    for i in 0..5 {
        keyward.make(&project, json!({"name": format!("mine {i}")}));
        keyward.make(&other, json!({"name": format!("theirs {i}")}));
    }
    let page = keyward.get(&format!("/v1/projects/{project}/keys?limit=2")).expect(200).json();
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    let follow = |project: &str, cursor: &str| {
        keyward.get(&format!("/v1/projects/{project}/keys?limit=2&cursor={cursor}"))
    };
    let next = follow(&project, &cursor).expect(200).json();
    assert_ne!(next["items"][0]["id"], page["items"][0]["id"]);
    follow(&other, &cursor).expect_problem(400, "bad_cursor");
    keyward.get(&format!("/v1/projects/{project}/events?cursor={cursor}")).expect_problem(400, "bad_cursor");
    for at in 0..cursor.len() {
        let mut altered = cursor.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        let reply = follow(&project, &altered);
        // The last character of a text in base64 may hold bits that mean nothing; those aside, all is sealed.
        assert!(reply.status == 400 || at + 1 == cursor.len(), "{at}: {}", reply.text);
        assert!(!reply.text.contains("theirs"));
    }
    for nonsense in ["x", "AAAA", &"A".repeat(5_000)] {
        let status = follow(&project, nonsense).status;
        assert!(status == 400 || status == 414 || status == 431, "{status}");
    }
}

/// Matching is linear: a path ten times as long takes no more than about ten times as long to answer. Time is
/// compared with time on the same machine, and only growth that no linear engine has fails.
#[test]
fn i06_no_pattern_makes_matching_slow() {
    let keyward = Keyward::dev("profound");
    let secret = keyward.first_key().secret;
    let ask = |path: &str| {
        let body = json!({"key": secret, "method": "GET", "path": path});
        let began = Instant::now();
        for _ in 0..20 {
            keyward.verify(body.clone()).expect(200);
        }
        began.elapsed()
    };
    let segments = |n: usize| format!("/v1/org/categories/{}", "a/".repeat(n));
    ask(&segments(10));
    let (short, long) = (ask(&segments(100)), ask(&segments(3_000)));
    assert!(long < short * 30 * 4, "{short:?} for 100 segments, {long:?} for 3,000");
}
