//! The keys of field encryption, by the real binary: the key-encryption key changed under load and kill -9 (C04), gone
//! (C05), and data keys shredded for ever (C07). Fields go through the gateway.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{Numbers, attempt, text};
use crate::harness::offline::run;
use crate::harness::{Keyward, eventually};

/// How often the server is killed.
const KILLS: usize = 50;
/// How many data keys there are to wrap anew each time.
const DATA_KEYS: usize = 40;

const CONTRACT: &str = r#"
[encryption]
marker = "sealed"

[[routes]]
path = "/seal"
methods = ["POST"]
encryption = "encrypt"

[[routes]]
path = "/open"
methods = ["POST"]
encryption = "decrypt"
"#;

/// A server whose API encrypts, and the key to call it with.
fn encrypting() -> (Keyward, String) {
    let keyward = Keyward::dev("standard");
    keyward.amend(CONTRACT);
    let secret = keyward.first_key().secret;
    (keyward, secret)
}

/// A call to the gateway of a server that may die meanwhile.
fn try_call(keyward: &Keyward, secret: &str, path: &str, data: &Value) -> Option<(u16, Value)> {
    let request = keyward.http.post(format!("http://{}{path}", keyward.gateway_address()));
    let answer = request.bearer_auth(secret).json(&json!({ "data": data })).send().ok()?;
    let status = answer.status().as_u16();
    Some((status, serde_json::from_slice(&answer.bytes().ok()?).ok()?))
}

#[track_caller]
fn call(keyward: &Keyward, secret: &str, path: &str, data: &Value) -> (u16, Value) {
    try_call(keyward, secret, path, data).expect("the gateway answers")
}

#[track_caller]
fn seal(keyward: &Keyward, secret: &str, value: &Value) -> Value {
    let (status, answer) = call(keyward, secret, "/seal", value);
    assert_eq!(status, 200, "{answer}");
    answer["data"].clone()
}

#[track_caller]
fn done(ran: (i32, String, String)) -> String {
    assert_eq!(ran.0, 0, "{}{}", ran.1, ran.2);
    ran.1
}

/// A command that reads the folder and asks the server.
fn cli(keyward: &Keyward, arguments: &[&str]) -> (i32, String, String) {
    let dir = keyward.dir().display().to_string();
    keyward.cli(&[arguments, &["--dir", &dir]].concat())
}

#[test]
fn c04_changing_the_key_encryption_key_under_load_and_kills_loses_no_field() {
    let (mut keyward, secret) = encrypting();
    for _ in 0..DATA_KEYS {
        keyward.post(&format!("/v1/projects/{}/data-keys/rotate", keyward.project()), json!({})).expect(201);
    }
    let sealed: Mutex<Vec<(Value, Value)>> = Mutex::default();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for round in 0..KILLS {
        done(cli(&keyward, &["encryption-key", "add"]));
        let (count, last) = (AtomicUsize::new(0), 1 + numbers.below(40) as usize);
        std::thread::scope(|scope| {
            scope.spawn(|| while attempt(&keyward, "/v1/encryption-keys/rewrap", json!({})).is_some() {});
            for writer in 0..2 {
                let (keyward, secret, sealed, count) = (&keyward, &secret, &sealed, &count);
                scope.spawn(move || {
                    for step in 0.. {
                        let value = json!({"round": round, "writer": writer, "step": step});
                        let Some((status, answer)) = try_call(keyward, secret, "/seal", &value) else { return };
                        assert_eq!(status, 200, "{answer}");
                        sealed.lock().unwrap().push((answer["data"].clone(), value));
                        if count.fetch_add(1, Ordering::SeqCst) + 1 == last {
                            let pid = rustix::process::Pid::from_raw(keyward.pid() as i32).unwrap();
                            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
                        }
                    }
                });
            }
        });
        keyward.restart();
        let known = sealed.lock().unwrap();
        for (text, value) in known.iter().rev().take(3).chain(known.iter().step_by(known.len() / 10 + 1)) {
            let (status, answer) = call(&keyward, &secret, "/open", text);
            assert_eq!((status, &answer["data"]), (200, value), "after kill {round}");
        }
    }
    done(cli(&keyward, &["encryption-key", "rewrap"]));
    for version in 1..=KILLS {
        done(cli(&keyward, &["encryption-key", "retire", &version.to_string(), "--yes"]));
    }
    let known = sealed.into_inner().unwrap();
    for (text, value) in &known {
        let (status, answer) = call(&keyward, &secret, "/open", text);
        assert_eq!((status, &answer["data"]), (200, value));
    }
    eprintln!("{} fields, {KILLS} kills, {} versions: all opened", known.len(), KILLS + 1);
    let list: Value = serde_json::from_str(&done(cli(&keyward, &["encryption-key", "list", "--json"]))).unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["items"][0]["data_keys"], DATA_KEYS, "{list}");
}

#[test]
fn c04_a_version_that_data_keys_need_is_not_retired() {
    let (keyward, secret) = encrypting();
    let sealed = seal(&keyward, &secret, &json!("before"));
    let only = cli(&keyward, &["encryption-key", "retire", "1", "--yes"]);
    assert!(only.0 != 0 && only.2.contains("Add a newer one first"), "{}", only.2);
    done(cli(&keyward, &["encryption-key", "add"]));
    // The server has looked at the file by the time that it is asked to wrap anew.
    eventually("the new version is in use", || {
        let list = keyward.get("/v1/encryption-keys").expect(200).json();
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["version"] == 2 && row["is_current"] == true)
            .then_some(())
    });
    let needed = cli(&keyward, &["encryption-key", "retire", "1", "--yes"]);
    assert!(needed.0 != 0 && needed.2.contains("is needed by 1 data keys"), "{}", needed.2);
    done(cli(&keyward, &["encryption-key", "rewrap"]));
    done(cli(&keyward, &["encryption-key", "retire", "1", "--yes"]));
    assert!(!std::fs::read_to_string(keyward.dir().join("secrets.toml")).unwrap().contains("[encryption]\n1 = "));
    assert_eq!(call(&keyward, &secret, "/open", &sealed), (200, json!({"data": "before"})));
}

#[test]
fn c05_without_its_key_encryption_key_the_gateway_answers_503_and_keys_are_verified() {
    let (mut keyward, secret) = encrypting();
    let sealed = seal(&keyward, &secret, &json!("before"));
    keyward.stop();
    let path = keyward.dir().join("secrets.toml");
    let whole = std::fs::read_to_string(&path).unwrap();
    let without = &whole[..whole.find("[encryption]").unwrap()];
    std::fs::write(&path, without).unwrap();
    let told = run(&keyward.dir(), &["doctor"]);
    assert!(told.code != 0 && told.stdout.contains("key-encryption key 1 is not at hand"), "{told:?}");
    assert!(told.stdout.contains("✗ encryption keys: none, and "), "{told:?}");
    keyward.restart();
    for (path, data) in [("/seal", json!("x")), ("/open", sealed.clone())] {
        assert_eq!(call(&keyward, &secret, path, &data).0, 503, "{path}");
    }
    assert!(keyward.is_valid(&secret));
    // It comes back while the server runs.
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(call(&keyward, &secret, "/open", &sealed), (200, json!({"data": "before"})));
}

#[test]
fn c07_what_was_shredded_opens_nowhere_not_after_a_restore() {
    let (mut keyward, secret) = encrypting();
    let sealed = seal(&keyward, &secret, &json!("before"));
    let (code, stdout, stderr) = keyward.cli(&["backup", "create", "--json"]);
    assert_eq!(code, 0, "{stderr}");
    let backup = text(&serde_json::from_str(&stdout).unwrap(), "/path");
    let project = keyward.project().to_owned();
    let told = done(keyward.cli(&["project", "data-keys", "shred", &project, "--yes"]));
    assert!(told.contains("1 data key(s)"), "{told}");
    assert_eq!(call(&keyward, &secret, "/open", &sealed).0, 422);
    let next = seal(&keyward, &secret, &json!("after"));
    assert_eq!(call(&keyward, &secret, "/open", &next), (200, json!({"data": "after"})));
    keyward.stop();
    let restored = run(&keyward.dir(), &["restore", &backup, "--yes"]);
    restored.expect_done();
    keyward.restart();
    assert_eq!(call(&keyward, &secret, "/open", &sealed).0, 422);
    let listed = done(keyward.cli(&["project", "data-keys", "list", &project, "--json"]));
    assert!(listed.contains("\"shredded\""), "{listed}");
}
