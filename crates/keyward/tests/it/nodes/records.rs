//! What several nodes write: uses, folded and never going back; the log, whole whichever node is killed (trust.md L10,
//! L13, L14).

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::cluster::{Cluster, durable};
use super::dice::Dice;
use super::history::{Answer, EndOf};
use crate::harness::{eventually, offline};

#[test]
fn l10_no_answer_of_a_node_may_be_kept_by_anybody() {
    let cluster = Cluster::of(2, durable(), &[]);
    let key = cluster.make_key(0);
    for node in 0..2 {
        let url = format!("{}/v1/verify", cluster.nodes[node].addresses.check_url);
        for secret in [&*key.secret, "kw_live_nonsense"] {
            let request = cluster.http.post(&url).bearer_auth(&cluster.management_key);
            let answer = request.json(&json!({"key": secret})).send().unwrap();
            assert_eq!(answer.headers()["cache-control"], "no-store");
        }
    }
}

#[test]
fn l13_uses_on_three_nodes_are_a_write_a_second_each_and_the_last_use_never_goes_back() {
    const USES: u64 = 6_000;
    let cluster = Cluster::new();
    let key = cluster.make_key(0);
    let question = cluster.question(&key.secret);
    let path = format!("/v1/keys/{}", key.id);
    let shown = |node| {
        let found = cluster.get(node, &path).expect(200).json();
        (found["key"]["last_used_at"].as_str().map(str::to_owned), found["key"]["uses"].as_u64().unwrap())
    };
    let began = Instant::now();
    let mut seen = Vec::new();
    std::thread::scope(|threads| {
        let callers: Vec<_> = (0..3)
            .map(|node| {
                let (question, mut checker) = (&question, cluster.checker(node));
                threads.spawn(move || {
                    (0..USES / 3).for_each(|_| assert_eq!(checker.ask(question), Answer::Granted));
                })
            })
            .collect();
        let mut node = 0;
        while !callers.iter().all(|caller| caller.is_finished()) {
            seen.push(shown(node % 3));
            node += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    eventually("every use is known", || {
        seen.push(shown(1));
        (seen.last().unwrap().1 == USES).then_some(())
    });
    let took = began.elapsed().as_secs_f64();
    assert!(seen.windows(2).all(|pair| pair[0] <= pair[1]), "it went back: {seen:?}");
    let writes: f64 =
        cluster.postgres.psql("keyward", "SELECT COUNT(*) FROM usage_batches").trim().parse().unwrap();
    eprintln!("l13: {USES} uses on three nodes in {took:.1} s: {writes} writes");
    assert!(writes <= 3.0 * (took + 3.0), "{writes} writes in {took} s");
}

/// What writers were told had happened: by key, the names of the changes.
type Acked = Mutex<BTreeMap<String, Vec<&'static str>>>;

/// Makes, renames and revokes keys by any node until it is over; what is not answered with a success is not noted.
fn write(cluster: &ClusterView, dice: &mut Dice, acked: &Acked, over: &AtomicBool) {
    while !over.load(Ordering::SeqCst) {
        let Some(made) =
            cluster.call(dice, Method::POST, &format!("/v1/projects/{}/keys", cluster.project), json!({}))
        else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        let id = made["key"]["id"].as_str().unwrap().to_owned();
        let note = |what| acked.lock().unwrap().entry(id.clone()).or_default().push(what);
        note("key.created");
        let path = format!("/v1/keys/{id}");
        if cluster.call(dice, Method::PATCH, &path, json!({"name": "renamed"})).is_some() {
            note("key.renamed");
        }
        if cluster.call(dice, Method::POST, &format!("{path}/revoke"), json!({})).is_some() {
            note("key.revoked");
        }
    }
}

/// What writers need of a cluster whose nodes are killed meanwhile.
struct ClusterView {
    control_urls: Vec<String>,
    management_key: String,
    project: String,
    http: reqwest::blocking::Client,
}

impl ClusterView {
    fn call(&self, dice: &mut Dice, method: Method, path: &str, body: Value) -> Option<Value> {
        let url = format!("{}{path}", self.control_urls[dice.below(self.control_urls.len())]);
        let answer = self.http.request(method, url).bearer_auth(&self.management_key).json(&body).send().ok()?;
        answer.status().is_success().then(|| answer.json().ok()).flatten()
    }
}

#[test]
fn l14_whichever_node_is_killed_the_log_has_every_acknowledged_change_and_no_gap() {
    let mut cluster = Cluster::new();
    let view = ClusterView {
        control_urls: cluster.nodes.iter().map(|node| node.addresses.control_url.clone()).collect(),
        management_key: cluster.management_key.clone(),
        project: cluster.project.clone(),
        http: cluster.http.clone(),
    };
    let (acked, over) = (Acked::default(), AtomicBool::new(false));
    std::thread::scope(|threads| {
        for number in 0..4 {
            let (view, acked, over) = (&view, &acked, &over);
            threads.spawn(move || write(view, &mut Dice::new(number), acked, over));
        }
        let _end = EndOf(&over);
        for round in 0..9 {
            let before = acked.lock().unwrap().len();
            eventually("some work is done", || (acked.lock().unwrap().len() > before + 5).then_some(()));
            cluster.nodes[round % 3].kill();
            cluster.nodes[round % 3].restart();
        }
    });
    let (mut after, mut told) = (0, BTreeMap::<String, Vec<String>>::new());
    loop {
        let page = cluster.get(0, &format!("/v1/changes?after={after}&limit=200")).expect(200).json();
        let items = page["items"].as_array().unwrap();
        if items.is_empty() {
            break;
        }
        for item in items {
            assert_eq!(item["revision"].as_i64(), Some(after + 1), "a gap");
            after += 1;
            if let Some(key) = item["key"].as_str() {
                told.entry(key.to_owned()).or_default().push(item["name"].as_str().unwrap().to_owned());
            }
        }
    }
    let acked = acked.into_inner().unwrap();
    eprintln!("l14: {} keys, {after} revisions, nine kills", acked.len());
    for (key, changes) in &acked {
        for change in changes {
            let found = told.get(key).map_or(0, |names| names.iter().filter(|name| name == change).count());
            assert_eq!(found, 1, "{change} of {key} was acknowledged; the log has {:?}", told.get(key));
        }
    }
    let verified = offline::run_with_env(
        &cluster.nodes[0].dir,
        &["log", "verify", "--offline", "--json"],
        &[("KEYWARD_STORE_URL", &cluster.postgres.url("keyward"))],
    );
    assert_eq!(verified.expect_done().json()["result"], "intact");
}
