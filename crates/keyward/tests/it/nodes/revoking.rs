//! What a call that takes something away waits for, and what it says (trust.md L02 to L05).

use std::sync::mpsc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::history::Answer;
use super::link::State;
use crate::harness::eventually;

const LEASE: Duration = Duration::from_millis(1_000);
/// How long others wait for a node: five quarters of its lease and 100 ms.
const WAIT: Duration = Duration::from_millis(1_350);

fn in_force(answer: &Value) -> (String, u64, Duration) {
    let told = &answer["in_force"];
    let waited = told["waited_ms"].as_u64().unwrap_or_else(|| panic!("{answer}"));
    (told["by"].as_str().unwrap().to_owned(), told["nodes"].as_u64().unwrap(), Duration::from_millis(waited))
}

#[test]
fn l01_every_node_knows_when_the_call_returns() {
    let cluster = Cluster::new();
    for round in 0..30 {
        let key = cluster.make_key(round % 3);
        assert_eq!(cluster.verify_everywhere(&key.secret), [Answer::Granted; 3]);
        let answer = cluster.revoke((round + 1) % 3, &key.id).expect(200).json();
        assert_eq!(cluster.verify_everywhere(&key.secret), [Answer::Denied; 3], "{answer}");
        let (by, nodes, _) = in_force(&answer);
        assert_eq!((by.as_str(), nodes), ("acknowledged", 3));
    }
}

#[test]
fn l02_a_second_revocation_waits_as_long_as_the_first() {
    let cluster = Cluster::new();
    let key = cluster.make_key(0);
    assert_eq!(cluster.verify_everywhere(&key.secret), [Answer::Granted; 3]);
    cluster.nodes[2].freeze();
    let frozen = Instant::now();
    let (tell, told) = mpsc::channel();
    std::thread::scope(|threads| {
        for node in [0, 1] {
            let (tell, cluster, key) = (tell.clone(), &cluster, &key);
            threads.spawn(move || {
                let answer = cluster.revoke(node, &key.id).expect(200).json();
                tell.send((in_force(&answer), frozen.elapsed())).unwrap();
            });
        }
    });
    drop(tell);
    let told: Vec<_> = told.iter().collect();
    assert_eq!(told.len(), 2);
    for ((by, nodes, waited), after) in &told {
        // Not before its lease was over for certain. Another may have struck it off by then.
        assert!(["lease_expired", "acknowledged"].contains(&by.as_str()) && *nodes == 2, "{told:?}");
        assert!(*after >= LEASE.mul_f64(0.75) && *waited <= WAIT + Duration::from_millis(500), "{told:?}");
    }
    // A third, long after, waits for nobody: the frozen node has been given up.
    let answer = cluster.revoke(0, &key.id).expect(200).json();
    assert_eq!(in_force(&answer).0, "acknowledged", "{answer}");
    // What woke up first of all does not grant.
    cluster.nodes[2].thaw();
    assert_ne!(cluster.verify(2, &key.secret), Answer::Granted);
    eventually("it takes part again", || (cluster.verify(2, &key.secret) == Answer::Denied).then_some(()));
}

#[test]
fn l03_what_is_not_known_is_no_success_and_asking_again_makes_it_one() {
    let cluster = Cluster::new();
    let mut unknown = 0;
    for round in 0..5 {
        let key = cluster.make_key(1);
        assert_eq!(cluster.verify(2, &key.secret), Answer::Granted);
        // The node's questions arrive, so what it commits may be committed; it hears nothing of it.
        cluster.nodes[0].link.set(State::Deaf);
        let answer = cluster.revoke(0, &key.id);
        cluster.nodes[0].link.set(State::Open);
        match answer.status {
            200 => {}
            503 => {
                unknown += 1;
                assert!(
                    ["outcome_unknown", "unavailable"].contains(&answer.json()["code"].as_str().unwrap()),
                    "{answer:?}"
                );
                eventually("the node is ready", || cluster.nodes[0].readiness().filter(|r| r.0 == 200));
                cluster.revoke(round % 3, &key.id).expect(200);
            }
            _ => panic!("{answer:?}"),
        }
        assert!(!cluster.verify_everywhere(&key.secret).contains(&Answer::Granted));
    }
    assert!(unknown > 0, "the line was never deaf in time");
}

#[test]
fn l04_a_read_that_was_on_its_way_when_a_key_was_revoked_brings_it_back_nowhere() {
    let cluster = Cluster::new();
    for _ in 0..10 {
        let key = cluster.make_key(0);
        // Node 2 reads the key, and what it read does not reach it yet.
        cluster.nodes[2].link.set(State::Deaf);
        std::thread::scope(|threads| {
            let reading = threads.spawn(|| cluster.verify(2, &key.secret));
            cluster.revoke(1, &key.id).expect(200);
            cluster.nodes[2].link.set(State::Open);
            // It was asked before the call returned: it may have been granted, but is not from now on.
            let _ = reading.join().unwrap();
            assert_ne!(cluster.verify(2, &key.secret), Answer::Granted);
        });
        eventually("it takes part again", || (cluster.verify(2, &key.secret) == Answer::Denied).then_some(()));
    }
}

/// Everything that takes something away from a key in use: what is called, and how.
fn takings(project: &str, organization: &str, key: &str) -> Vec<(&'static str, Method, String, Value)> {
    let (key, project) = (format!("/v1/keys/{key}"), format!("/v1/projects/{project}"));
    let organization = format!("/v1/organizations/{organization}");
    vec![
        ("disabled", Method::POST, format!("{key}/disable"), json!({})),
        ("enabled", Method::POST, format!("{key}/enable"), json!({})),
        ("narrowed to an address", Method::PATCH, key.clone(), json!({"addresses": ["203.0.113.0/24"]})),
        ("widened again", Method::PATCH, key.clone(), json!({"addresses": []})),
        ("its project suspended", Method::POST, format!("{project}/suspend"), json!({})),
        ("resumed", Method::POST, format!("{project}/resume"), json!({})),
        ("its organization suspended", Method::POST, format!("{organization}/suspend"), json!({})),
        ("resumed too", Method::POST, format!("{organization}/resume"), json!({})),
        ("its plan cut", Method::PATCH, project.clone(), json!({"plan": "none"})),
        ("with its plan again", Method::PATCH, project, json!({"plan": "standard"})),
        ("rotated in place", Method::POST, format!("{key}/rotate"), json!({"overlap_seconds": 0})),
    ]
}

#[test]
fn l05_whatever_takes_something_away_holds_on_every_node_when_it_returns() {
    let cluster = Cluster::new();
    cluster.amend("[plans.none]\ntitle = \"None\"\naccess = false\n");
    let key = cluster.make_key(0);
    for (number, (what, method, path, body)) in
        takings(&cluster.project, &cluster.organization, &key.id).into_iter().enumerate()
    {
        let gives_back =
            ["enabled", "widened again", "resumed", "resumed too", "with its plan again"].contains(&what);
        let answer = cluster.control(number % 3, method, &path, Some(body));
        assert!(answer.status < 300, "{what}: {answer:?}");
        let expected = if gives_back { Answer::Granted } else { Answer::Denied };
        let told = match gives_back {
            // What is given is not waited for: it is there with the next renewal at the latest.
            true => eventually(what, || {
                Some(cluster.verify_everywhere(&key.secret)).filter(|told| *told == [expected; 3])
            }),
            false => cluster.verify_everywhere(&key.secret),
        };
        assert_eq!(told, [expected; 3], "{what}");
    }
}

#[test]
fn l05_many_keys_end_with_one_revision_and_one_wait() {
    let cluster = Cluster::new();
    let keys: Vec<_> = (0..40).map(|number| cluster.make_key(number % 3)).collect();
    let before = cluster.get(0, "/v1/changes/head").expect(200).json()["revision"].as_i64().unwrap();
    cluster.nodes[2].freeze();
    let began = Instant::now();
    let answer = cluster.post(0, "/v1/revocations", json!({"project": cluster.project, "acknowledge": true}));
    let took = began.elapsed();
    cluster.nodes[2].thaw();
    let answer = answer.expect(200).json();
    assert_eq!(in_force(&answer).0, "lease_expired", "{answer}");
    assert!(took < WAIT * 2, "one wait, not one a key: {took:?}");
    let after = cluster.get(1, "/v1/changes/head").expect(200).json()["revision"].as_i64().unwrap();
    assert_eq!(after, before + 1);
    for key in &keys {
        assert!(!cluster.verify_everywhere(&key.secret).contains(&Answer::Granted));
    }
}

#[test]
fn who_cannot_wait_is_told_where_to_ask() {
    let cluster = Cluster::new();
    let key = cluster.make_key(0);
    assert_eq!(cluster.verify(2, &key.secret), Answer::Granted);
    cluster.nodes[2].freeze();
    let url = format!("{}/v1/keys/{}/revoke", cluster.nodes[0].addresses.control_url, key.id);
    let request = cluster.http.post(url).bearer_auth(&cluster.management_key).json(&json!({}));
    let began = Instant::now();
    let answer = crate::harness::Reply::from(request.header("prefer", "respond-async").send().unwrap()).expect(202);
    assert!(began.elapsed() < LEASE / 2, "it waited: {:?}", began.elapsed());
    assert_eq!(answer.json()["in_force"], Value::Null);
    let place = answer.header("location").unwrap().to_owned();
    // Any node can be asked, and it waits until it can say so.
    let told = cluster.get(1, &place).expect(200).json();
    assert_eq!(in_force(&told).0, "lease_expired", "{told}");
    cluster.nodes[2].thaw();
    assert_ne!(cluster.verify(2, &key.secret), Answer::Granted);
}
