//! Moving up from SQLite to PostgreSQL and back, by export and import: everything goes over, the log and its chain
//! included, and keys keep working.

use std::path::Path;

use keyward_store::conformance::server::PostgresServer;
use serde_json::json;
use tempfile::TempDir;

use super::cluster::Cluster;
use super::history::Answer;
use super::node::{Node, Start};
use crate::harness::offline::{self, Ran};
use crate::harness::{Key, Keyward};

fn run(dir: &Path, arguments: &[&str], url: Option<&str>) -> Ran {
    let environment: Vec<_> = url.iter().map(|url| ("KEYWARD_STORE_URL", *url)).collect();
    offline::run_with_env(dir, arguments, &environment)
}

/// What a log says of itself, read where the store lies.
fn verified(dir: &Path, url: Option<&str>) -> serde_json::Value {
    run(dir, &["log", "verify", "--offline", "--json"], url).expect_done().json()
}

#[test]
fn a_store_moves_from_sqlite_to_postgresql_and_back_and_keys_keep_working() {
    let mut keyward = Keyward::dev("standard");
    let (key, ended) = (keyward.first_key(), keyward.make(keyward.project(), json!({"name": "ended"})));
    let renamed = keyward.make(keyward.project(), json!({"name": "kept", "metadata": {"a": "ü \" \\ \u{1F511}"}}));
    keyward.revoke(&ended.id).expect(200);
    let before = keyward.get("/v1/changes/head").expect(200).json();
    let management_key = keyward.started.management_key.clone();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("keyward.export");
    let file = file.to_str().unwrap();
    // While the server runs.
    let exported = run(&keyward.dir(), &["export", "--json", "--to", file], None).expect_done().json();
    assert_eq!(exported["revision"], before["revision"]);
    run(&keyward.dir(), &["export", "--to", file], None).expect_refused(&["already"]);
    keyward.stop();

    let postgres = PostgresServer::start();
    let url = postgres.create_database("keyward");
    let dir = folder.path().join("node-0");
    run(&dir, &["import", "--from", file], Some(&url)).expect_refused(&["secrets"]);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::copy(keyward.dir().join("secrets.toml"), dir.join("secrets.toml")).unwrap();
    let imported = run(&dir, &["import", "--json", "--from", file], Some(&url)).expect_done().json();
    assert_eq!(imported["revision"], before["revision"]);
    run(&dir, &["import", "--from", file], Some(&url)).expect_refused(&["already"]);
    let log = verified(&dir, Some(&url));
    assert_eq!((&log["result"], &log["revision"]), (&json!("intact"), &before["revision"]));

    let port = postgres.port();
    let mut node = Node::start(Start { number: 0, dir: &dir, port, database: "keyward", environment: Vec::new() });
    let ask = |node: &Node, key: &Key| node.checker().ask(&super::cluster::question(&management_key, &key.secret));
    assert_eq!(
        [&key, &renamed, &ended].map(|key| ask(&node, key)),
        [Answer::Granted, Answer::Granted, Answer::Denied]
    );
    // What is done there comes back, too.
    let url_of = |path: &str| format!("{}{path}", node.addresses.control_url);
    let http = reqwest::blocking::Client::new();
    let revoked = http.post(url_of(&format!("/v1/keys/{}/revoke", key.id))).bearer_auth(&management_key);
    assert_eq!(revoked.json(&json!({})).send().unwrap().status(), 200);
    assert_eq!(node.stop(), Some(0));
    let back = folder.path().join("back.export");
    let back = back.to_str().unwrap();
    run(&dir, &["export", "--to", back], Some(&url)).expect_done();
    let home = folder.path().join("home");
    std::fs::create_dir_all(&home).unwrap();
    std::fs::copy(keyward.dir().join("secrets.toml"), home.join("secrets.toml")).unwrap();
    run(&home, &["import", "--from", back], None).expect_done();
    assert_eq!(verified(&home, None)["result"], "intact");
    let found = run(&home, &["doctor"], None);
    assert!(!found.stdout.contains("broken"), "{found:?}");
    run(&home, &["import", "--from", back], None).expect_refused(&["already"]);
}

#[test]
fn what_is_no_export_of_this_store_is_refused_and_the_database_stays_empty() {
    let cluster = Cluster::of(1, PostgresServer::start(), &[]);
    let folder = TempDir::new().unwrap();
    let nonsense = folder.path().join("nonsense");
    std::fs::write(&nonsense, "no database").unwrap();
    let url = cluster.postgres.create_database("empty");
    let dir = folder.path().join("node");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::copy(cluster.nodes[0].dir.join("secrets.toml"), dir.join("secrets.toml")).unwrap();
    run(&dir, &["import", "--from", nonsense.to_str().unwrap()], Some(&url))
        .expect_refused(&["cannot be imported"]);
    run(&dir, &["import", "--from", "/nowhere"], Some(&url)).expect_refused(&["no file"]);
    // An export of one byte that is another: somebody edited a key back to life.
    let file = folder.path().join("export");
    let from = Some(cluster.postgres.url("keyward"));
    run(&dir, &["export", "--to", file.to_str().unwrap()], from.as_deref()).expect_done();
    let whole = std::fs::read(&file).unwrap();
    let mut bytes = whole.clone();
    let at = bytes.windows(6).position(|window| window == b"\"first").expect("the project's name");
    bytes[at + 1] = b'F';
    std::fs::write(&file, bytes).unwrap();
    run(&dir, &["import", "--from", file.to_str().unwrap()], Some(&url)).expect_refused(&["cannot be imported"]);
    // Nothing of it was left: the whole one goes in.
    std::fs::write(&file, whole).unwrap();
    run(&dir, &["import", "--from", file.to_str().unwrap()], Some(&url)).expect_done();
}

#[test]
fn nodes_are_listed_with_their_leases_and_one_that_stopped_in_order_is_not() {
    let mut cluster = Cluster::new();
    let key_file = cluster.nodes[0].dir.join("management.key");
    std::fs::write(&key_file, &cluster.management_key).unwrap();
    std::fs::set_permissions(&key_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let list = |cluster: &Cluster, arguments: &[&str]| {
        let environment = [
            ("KEYWARD_URL", &*cluster.nodes[0].addresses.control_url),
            ("KEYWARD_MANAGEMENT_KEY_FILE", key_file.to_str().unwrap()),
        ];
        offline::run_with_env(&cluster.nodes[0].dir, arguments, &environment).expect_done()
    };
    let shown = list(&cluster, &["nodes"]).stdout;
    assert!((0..3).all(|number| shown.contains(&format!("node-{number}"))), "{shown}");
    let told = list(&cluster, &["nodes", "--json"]).json();
    let items = told["items"].as_array().unwrap();
    assert!(items.iter().all(|node| node["lease"]["state"] == "held"), "{told}");
    assert_eq!(items.iter().filter(|node| node["is_this"] == true).count(), 1);
    assert_eq!(cluster.nodes[2].stop(), Some(0));
    // It said goodbye: nobody waits for it.
    let key = cluster.make_key(0);
    let answer = cluster.revoke(0, &key.id).expect(200).json();
    assert_eq!((&answer["in_force"]["by"], &answer["in_force"]["nodes"]), (&json!("acknowledged"), &json!(2)));
    assert_eq!(list(&cluster, &["nodes", "--json"]).json()["items"].as_array().unwrap().len(), 2);
}
