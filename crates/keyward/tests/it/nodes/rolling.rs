//! Three nodes behind a real load balancer (deploy/haproxy.cfg): all are restarted, one after the other, while keys are
//! rotated under load, and no request fails (trust.md S15, L06).

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use reqwest::blocking::Client;
use serde_json::json;

use super::cluster::{Cluster, durable, question};
use super::history::EndOf;
use crate::harness::{Caller, Key, Reply, Scripted, Upstream, eventually};

/// HAProxy with the shipped configuration, its names and ports turned into those of a cluster.
struct Balancer {
    child: Child,
    control: String,
    check: String,
    gateway: String,
}

impl Balancer {
    fn before(cluster: &Cluster, folder: &Path) -> Self {
        let shipped = include_str!("../../../../../deploy/haproxy.cfg");
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (control, check, gateway) = (free(), free(), free());
        let mut text = shipped.to_owned();
        for (port, address) in [("7700", &control), ("7701", &check), ("7702", &gateway)] {
            text = text.replace(&format!("bind :{port}"), &format!("bind {address}"));
        }
        let bare = |url: &str| url.trim_start_matches("http://").to_owned();
        text = text.replace(" check port 7703", " check");
        for (number, node) in cluster.nodes.iter().enumerate() {
            let told = &node.addresses;
            let ops = bare(&told.ops_url);
            let ops = ops.rsplit(':').next().unwrap();
            for (port, url) in [("7700", &told.control_url), ("7701", &told.check_url), ("7702", &told.gateway_url)]
            {
                let name = format!("node-{0} node-{0}:{port}", number + 1);
                assert!(text.contains(&name), "deploy/haproxy.cfg has no server {name}");
                text = text.replace(&name, &format!("node-{} {} port {ops}", number + 1, bare(url)));
            }
        }
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, text).unwrap();
        let child = Command::new("haproxy")
            .args(["-db", "-f"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("haproxy is installed by `cargo xtask test`");
        let balancer = Balancer { child, control, check, gateway };
        for address in [&balancer.control, &balancer.check, &balancer.gateway] {
            eventually("the balancer listens", || Caller::try_connect(address));
        }
        balancer
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two secrets of one lineage: from a rotation with overlap on, both are good.
#[derive(Clone)]
struct Pair {
    old: Key,
    new: Key,
}

const ROTATIONS: usize = 100;

#[test]
fn s15_l06_three_nodes_are_restarted_and_a_hundred_keys_rotated_and_no_request_fails() {
    let upstream = Upstream::start(Scripted::json(200, "{}"));
    let upstreams = format!("standard={}", upstream.url);
    let settings = [
        ("KEYWARD_STOP_NOTICE_SECONDS", "2"),
        ("KEYWARD_GATEWAY_UPSTREAMS", &*upstreams),
        ("KEYWARD_NODE_LEASE_MILLISECONDS", "5000"),
    ];
    let mut cluster = Cluster::of(3, durable(), &settings);
    let folder = tempfile::tempdir().unwrap();
    let balancer = Balancer::before(&cluster, folder.path());
    let first = cluster.make_key(0);
    let pairs = Mutex::new(vec![Pair { old: first.clone(), new: first }]);
    let (over, asked, failed) = (AtomicBool::new(false), AtomicU64::new(0), Mutex::new(Vec::<String>::new()));
    let (management_key, project) = (cluster.management_key.clone(), cluster.project.clone());
    let rotated = AtomicU64::new(0);
    std::thread::scope(|threads| {
        let _end = EndOf(&over);
        for number in 0..4usize {
            let (pairs, over, asked, failed, balancer, management_key) =
                (&pairs, &over, &asked, &failed, &balancer, &management_key);
            threads.spawn(move || {
                let address = if number % 2 == 0 { &balancer.check } else { &balancer.gateway };
                let mut caller = Caller::connect(address);
                while !over.load(Ordering::SeqCst) {
                    let pair = {
                        let pairs = pairs.lock().unwrap();
                        pairs[asked.load(Ordering::SeqCst) as usize % pairs.len()].clone()
                    };
                    for key in [&pair.old, &pair.new] {
                        let request = match number % 2 {
                            0 => question(management_key, &key.secret),
                            _ => gateway_request(&key.secret),
                        };
                        let told = caller.try_ask(&request);
                        let good = told.as_ref().is_some_and(|told| match number % 2 {
                            0 => told.is_grant(),
                            _ => told.status == 200,
                        });
                        if !good {
                            failed.lock().unwrap().push(format!("{} {:?}: {told:?}", address, key.id));
                        }
                        asked.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        let (pairs, over, rotated, failed, balancer) = (&pairs, &over, &rotated, &failed, &balancer);
        let (management_key, project) = (&management_key, &project);
        threads.spawn(move || {
            let http = Client::builder().no_proxy().build().unwrap();
            let call = |path: &str, body| -> Reply {
                let request = http.post(format!("http://{}{path}", balancer.control)).bearer_auth(management_key);
                request.json(&body).send().unwrap().into()
            };
            while !over.load(Ordering::SeqCst) {
                let made = call(&format!("/v1/projects/{project}/keys"), json!({}));
                if made.status != 201 {
                    failed.lock().unwrap().push(format!("create: {made:?}"));
                    continue;
                }
                let old = Key::of(&made);
                let made = call(&format!("/v1/keys/{}/rotate", old.id), json!({"overlap_seconds": 3600}));
                if made.status != 201 {
                    failed.lock().unwrap().push(format!("rotate: {made:?}"));
                    continue;
                }
                let mut pairs = pairs.lock().unwrap();
                pairs.push(Pair { old, new: Key::of(&made) });
                if pairs.len() > 20 {
                    pairs.remove(0);
                }
                rotated.fetch_add(1, Ordering::SeqCst);
            }
        });
        for node in 0..3 {
            let before = rotated.load(Ordering::SeqCst);
            assert_eq!(cluster.nodes[node].stop(), Some(0));
            cluster.nodes[node].restart();
            eventually("it is ready", || cluster.nodes[node].readiness().filter(|(status, _)| *status == 200));
            // The balancer has to see it, too, before the next one goes: two good answers.
            let share = ROTATIONS as u64 / 3 + 1;
            while rotated.load(Ordering::SeqCst) < before + share && failed.lock().unwrap().is_empty() {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            std::thread::sleep(std::time::Duration::from_millis(1_500));
        }
    });
    let (asked, rotated) = (asked.into_inner(), rotated.into_inner());
    eprintln!("rolling restart: {asked} requests, {rotated} rotations");
    assert_eq!(failed.into_inner().unwrap(), Vec::<String>::new());
    assert!(asked > 1_000 && rotated >= ROTATIONS as u64, "{asked} requests, {rotated} rotations");
}

fn gateway_request(secret: &str) -> Vec<u8> {
    format!("GET /anything HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer {secret}\r\n\r\n").into_bytes()
}
