//! T03: an id tells neither when its thing was made, nor how many there are, nor whose it is.

use std::collections::HashSet;
use std::str::FromStr;

use keyward_core::id::KeyId;
use reqwest::Method;
use serde_json::json;

use crate::harness::{Keyward, in_seconds};

const PROJECTS: usize = 5;
const OF_EACH: usize = 200;

/// Five projects that make keys at once; the ids of each, in the order in which they were made.
fn made(keyward: &Keyward) -> Vec<Vec<String>> {
    let expires_at = in_seconds(86_400);
    let fill = |number: usize| {
        let (_, project, _) = keyward.new_organization(&format!("customer {number}"));
        let body = |at: usize| json!({"name": format!("key {at}"), "expires_at": expires_at});
        (0..OF_EACH).map(|at| keyward.make(&project, body(at)).id).collect()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..PROJECTS).map(|number| scope.spawn(move || fill(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn t03_ids_tell_nothing_of_order_or_number() {
    let keyward = Keyward::dev("profound");
    let by_project = made(&keyward);
    let mut all: Vec<&str> = by_project.iter().flatten().map(String::as_str).collect();
    assert_eq!(all.len(), PROJECTS * OF_EACH);
    for ids in &by_project {
        // Of 199 steps half go up, give or take 4; forty is ten times that.
        let rising = ids.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((60..140).contains(&rising), "{rising} of {OF_EACH} ids follow the one before");
    }
    all.sort_unstable();
    for pair in all.windows(2) {
        let shared = pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
        assert!(shared < "key_".len() + 8, "{pair:?} share what is no chance");
    }
    // Nor is a part of it a counter, a clock or a project: every bit is set in half of them.
    let numbers: HashSet<u128> = all.iter().map(|id| KeyId::from_str(id).unwrap().as_u128()).collect();
    assert_eq!(numbers.len(), all.len());
    for bit in 0..128 {
        let set = numbers.iter().filter(|number| *number >> bit & 1 == 1).count();
        assert!((380..620).contains(&set), "bit {bit} is set in {set} of {}", all.len());
    }
}

#[test]
fn t03_nothing_that_a_customer_reads_counts_what_others_do() {
    let keyward = Keyward::dev("standard");
    let (organization, project, _) = keyward.new_organization("customer");
    for within in [json!({"organization": organization}), json!({"project": project})] {
        let (_, secret) = keyward.management_key("customer's", &["*"], Some(within));
        let page = || {
            keyward.make(&project, json!({"name": "one"}));
            let read = |path: String| keyward.control_as(&secret, Method::GET, &path, None).expect(200).text;
            let events = read(format!("/v1/projects/{project}/events"));
            let events: serde_json::Value = serde_json::from_str(&events).unwrap();
            for event in events["items"].as_array().unwrap() {
                assert_eq!(event["revision"], json!(null), "a place in everybody's log: {event}");
            }
        };
        page();
    }
    // The operator is told where in the log to look.
    let events = keyward.get(&format!("/v1/projects/{project}/events")).expect(200).json();
    assert!(events["items"][0]["revision"].is_i64(), "{events}");
}
