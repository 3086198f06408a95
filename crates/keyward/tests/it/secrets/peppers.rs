//! The pepper lost, exchanged and rotated (K05).

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::json;

use crate::harness::offline::refused_start;
use crate::harness::{Key, Keyward, eventually};

/// The version of the pepper that a key of Keyward's own format was made under.
fn version(secret: &str) -> u8 {
    let body = secret.rsplit_once('_').unwrap().1;
    keyward_core::base62::decode_32(body.as_bytes()).unwrap()[0]
}

fn alter_secrets(dir: &Path, alter: impl FnOnce(String) -> String) -> String {
    let path = dir.join("secrets.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, alter(before.clone())).unwrap();
    before
}

#[test]
fn k05_a_wrong_or_missing_pepper_is_refused_at_start_and_nothing_is_lost() {
    let mut keyward = Keyward::dev("standard");
    let key = keyward.first_key();
    keyward.stop();

    let wrong = format!("1 = \"{}\"", STANDARD.encode([7; 32]));
    let right = alter_secrets(&keyward.dir(), |text| {
        text.lines().map(|line| if line.starts_with("1 = ") { &wrong } else { line }.to_owned() + "\n").collect()
    });
    refused_start(&keyward.dir(), &["pepper 1", "not the one that this store was used with", "Bring back"]);

    let another = format!("2 = \"{}\"", STANDARD.encode([7; 32]));
    std::fs::write(keyward.dir().join("secrets.toml"), &right).unwrap();
    alter_secrets(&keyward.dir(), |text| {
        text.lines().map(|line| if line.starts_with("1 = ") { &another } else { line }.to_owned() + "\n").collect()
    });
    refused_start(&keyward.dir(), &["pepper 1", "key(s) of this store need", "not in", "Bring back"]);

    std::fs::remove_file(keyward.dir().join("secrets.toml")).unwrap();
    refused_start(&keyward.dir(), &["secrets.toml", "bring it back"]);

    // Nothing of that has touched the store: with the right one everything is as it was.
    std::fs::write(keyward.dir().join("secrets.toml"), &right).unwrap();
    std::fs::set_permissions(
        keyward.dir().join("secrets.toml"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    keyward.restart();
    assert!(keyward.is_valid(&key.secret));
}

/// Whether every key of these is granted, twice: once looked up, once from memory.
fn assert_all_valid(keyward: &Keyward, keys: &[Key]) {
    let mut checker = keyward.checker();
    for key in keys.iter().chain(keys) {
        let told = checker.ask(&keyward.question(&json!({"key": key.secret})));
        assert!(told.is_grant(), "{}: {told:?}", key.id);
    }
}

/// How many keys still need a version.
fn needing(keyward: &Keyward, version: u64) -> Option<u64> {
    let list = keyward.offline(&["pepper", "list", "--json"]).expect_done().json();
    let items = list["items"].as_array().unwrap();
    items.iter().find(|item| item["version"] == version).map(|item| item["keys"].as_u64().unwrap())
}

#[test]
fn k05_a_new_pepper_is_taken_into_use_and_the_old_one_retired_without_one_refusal() {
    for preset in ["standard", "metriport"] {
        let mut keyward = Keyward::dev(preset);
        let (project, _) = keyward.new_project("another");
        let keys = [keyward.first_key(), keyward.make(&project, json!({})), keyward.make(&project, json!({}))];
        let (used, idle) = keys.split_at(2);
        assert_all_valid(&keyward, used);

        keyward.stop();
        keyward.offline(&["pepper", "add"]).expect_done();
        keyward.restart();
        assert_all_valid(&keyward, used);
        let new = keyward.make(&keyward.new_project("third").0, json!({}));
        if preset == "standard" {
            assert_eq!((version(&used[0].secret), version(&new.secret)), (1, 2));
        }
        assert_all_valid(&keyward, std::slice::from_ref(&new));
        // Those that were used have moved; the idle one still needs the old pepper, so it cannot go yet.
        eventually("used keys need the old pepper no more", || (needing(&keyward, 1) == Some(1)).then_some(()));
        keyward.stop();
        let refused = keyward.offline(&["pepper", "retire", "1", "--yes"]);
        refused.expect_refused(&["1 key(s) still need pepper 1", "--force"]);

        keyward.restart();
        assert_all_valid(&keyward, idle);
        eventually("every key needs the old pepper no more", || (needing(&keyward, 1) == Some(0)).then_some(()));
        keyward.stop();
        keyward.offline(&["pepper", "retire", "1", "--yes"]).expect_done();
        assert_eq!(needing(&keyward, 1), None);
        keyward.restart();
        assert_all_valid(&keyward, &keys);
        assert_all_valid(&keyward, std::slice::from_ref(&new));
    }
}

#[test]
fn k05_a_management_key_does_not_end_with_a_pepper_unsaid() {
    let mut keyward = Keyward::dev("standard");
    let key = keyward.first_key();
    let (_, secret) = keyward.management_key("ci", &["keys:read"], None);
    let whoami = |keyward: &Keyward| keyward.control_as(&secret, Method::GET, "/v1/whoami", None).status;
    keyward.stop();
    keyward.offline(&["pepper", "add"]).expect_done();
    keyward.restart();
    assert_eq!(whoami(&keyward), 200, "a new pepper ends no management key");
    assert_all_valid(&keyward, &[key]);
    eventually("no key of a project needs the old pepper", || (needing(&keyward, 1) != Some(1)).then_some(()));
    keyward.stop();
    // It does not move by being used, as keys of projects do; so whoever retires the pepper is told.
    let retired = keyward.offline(&["pepper", "retire", "1", "--yes"]).expect_done();
    assert!(retired.stderr.contains("Management keys made under it"), "{retired:?}");
    keyward.restart();
    assert_eq!(whoami(&keyward), 401);
}
