//! No request is accepted that began after a revoke returned (L01, L02), whatever ends the key.

use reqwest::Method;
use serde_json::json;

use super::race::{Door, Race};
use crate::harness::{Key, Keyward};

const DOORS: [Door; 4] = [Door::Check, Door::Gateway, Door::Check, Door::Check];

/// A server with room for many keys in one project, and so many.
fn with_keys(count: usize) -> (Keyward, Vec<Key>) {
    let keyward = Keyward::dev("standard");
    keyward.patch(&format!("/v1/projects/{}", keyward.project()), json!({"active_key_limit": 10_000})).expect(200);
    let keys = (0..count).map(|_| keyward.make(keyward.project(), json!({}))).collect();
    (keyward, keys)
}

#[test]
fn l01_no_request_is_accepted_after_a_revoke_returned() {
    let (keyward, keys) = with_keys(220);
    let asked = Race::new(&keyward, &keys).run(&DOORS, 230, |_, key| {
        keyward.revoke(&key.id).expect(200);
    });
    assert!(asked >= 50_000, "{asked} requests");
    for key in &keys {
        assert_eq!(keyward.verify(json!({"key": key.secret})).expect(200).json()["code"], "revoked");
    }
}

#[test]
fn l01_nor_after_many_were_revoked_at_once() {
    let (keyward, keys) = with_keys(60);
    // The first key of a group takes the whole group with it: one commit, one wait.
    Race::new(&keyward, &keys).run(&DOORS, 50, |i, _| {
        if i % 10 == 0 {
            let group: Vec<&str> = keys[i..i + 10].iter().map(|key| key.id.as_str()).collect();
            let revoked = keyward.post("/v1/revocations", json!({"keys": group})).expect(200).json();
            assert_eq!(revoked["revoked"], 10, "{revoked}");
        }
    });
}

#[test]
fn l05_no_request_is_accepted_after_a_restrictive_edit_returned_under_load() {
    let (keyward, mut keys) = with_keys(40);
    let projects: Vec<String> = (0..10).map(|i| keyward.new_project(&format!("p{i}")).0).collect();
    keys.extend(projects.iter().map(|project| keyward.make(project, json!({}))));
    let organizations: Vec<(String, String)> =
        (0..5).map(|i| keyward.new_organization(&format!("o{i}"))).map(|(o, project, _)| (o, project)).collect();
    keys.extend(organizations.iter().map(|(_, project)| keyward.make(project, json!({}))));
    Race::new(&keyward, &keys).run(&DOORS, 100, |i, key| {
        let of_key = |action: &str| keyward.post(&format!("/v1/keys/{}/{action}", key.id), json!({}));
        let reply = match i {
            50.. => {
                let path = format!("/v1/organizations/{}", organizations[i - 50].0);
                if i % 2 == 0 { keyward.delete(&path) } else { keyward.post(&format!("{path}/suspend"), json!({})) }
            }
            40.. => {
                let path = format!("/v1/projects/{}", projects[i - 40]);
                if i % 2 == 0 { keyward.delete(&path) } else { keyward.post(&format!("{path}/suspend"), json!({})) }
            }
            _ => match i % 3 {
                0 => of_key("disable"),
                1 => keyward.rotate(&key.id, json!({"overlap_seconds": 0})),
                _ => keyward.patch(&format!("/v1/keys/{}", key.id), json!({"addresses": ["192.0.2.0/24"]})),
            },
        };
        assert!(reply.status == 200 || reply.status == 201, "{i}: {} {}", reply.status, reply.text);
    });
}

#[test]
fn l02_a_second_revoke_waits_for_the_same_and_answers_200() {
    let keyward = Keyward::dev("standard");
    let key = keyward.make(keyward.project(), json!({}));
    let first = keyward.revoke(&key.id).expect(200).json();
    let second = keyward.revoke(&key.id).expect(200).json();
    for answer in [&first, &second] {
        assert_eq!(answer["key"]["state"], "revoked", "{answer}");
        assert_eq!(answer["in_force"]["nodes"], 1, "{answer}");
    }
    assert_eq!(first["key"]["revoked_at"], second["key"]["revoked_at"], "it ended once");
    let changes = keyward.changes();
    assert_eq!(changes.iter().filter(|change| change["name"] == "key.revoked").count(), 1);
}

#[test]
fn l02_none_of_many_revokes_at_once_returns_before_the_key_is_dead() {
    let (keyward, keys) = with_keys(10);
    for key in &keys {
        assert!(keyward.is_valid(&key.secret));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut checker = keyward.checker();
                    let question = keyward.question(&json!({"key": key.secret}));
                    keyward.revoke(&key.id).expect(200);
                    assert!(!checker.ask(&question).is_grant(), "a revoke returned, and the key still opened");
                });
            }
        });
    }
    let revoked = keyward.changes().iter().filter(|change| change["name"] == "key.revoked").count();
    assert_eq!(revoked, keys.len(), "each key ended once");
}

#[test]
fn l05_a_revoked_management_key_opens_nothing_from_the_next_request_on() {
    let keyward = Keyward::dev("standard");
    let (id, secret) = keyward.management_key("ci", &["keys:read", "verify"], None);
    let path = format!("/v1/projects/{}/keys", keyward.project());
    let bytes = |method: &str, path: &str, host: &str, body: &str| {
        let length = body.len();
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {secret}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    };
    let list = bytes("GET", &path, &keyward.control_address(), "");
    let question = json!({"key": keyward.first_key().secret}).to_string();
    let verify = bytes("POST", "/v1/verify", &keyward.check_address(), &question);
    let (mut controller, mut checker) = (keyward.controller(), keyward.checker());
    assert_eq!((controller.ask(&list).status, checker.ask(&verify).status), (200, 200));
    keyward.post(&format!("/v1/management-keys/{id}/revoke"), json!({})).expect(200);
    assert_eq!((controller.ask(&list).status, checker.ask(&verify).status), (401, 401));
    keyward.control_as(&secret, Method::GET, &path, None).expect_problem(401, "unauthenticated");

    let (id, old) = keyward.management_key("rotated", &["keys:read"], None);
    let rotated = keyward.post(&format!("/v1/management-keys/{id}/rotate"), json!({})).expect(201).json();
    keyward.control_as(&old, Method::GET, &path, None).expect_problem(401, "unauthenticated");
    keyward.control_as(rotated["secret"].as_str().unwrap(), Method::GET, &path, None).expect(200);
}
