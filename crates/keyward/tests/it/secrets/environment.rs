//! Live keys and test keys (K11).

use serde_json::json;

use crate::harness::{Key, Keyward};

#[test]
fn k11_a_test_key_tells_by_its_prefix_and_opens_no_live_project() {
    let keyward = Keyward::dev("standard");
    let path = format!("/v1/organizations/{}/projects", keyward.started.organization);
    let wish = json!({"name": "trying out", "api": keyward.started.api, "environment": "test"});
    let test = keyward.post(&path, wish).expect(201).json();
    assert_eq!(test["project"]["environment"], "test");
    let test = test["project"]["id"].as_str().unwrap();
    let (live_key, test_key) = (keyward.first_key(), keyward.make(test, json!({})));
    assert!(live_key.secret.starts_with("kw_live_"), "a live key's prefix");
    assert!(test_key.secret.starts_with("kw_test_"), "a test key's prefix");
    assert!(!hint(&keyward, &test_key).is_empty());

    let asked = |key: &Key, project: &str| {
        keyward.verify(json!({"key": key.secret, "project": project})).expect(200).json()
    };
    assert_eq!(asked(&test_key, test)["valid"], true);
    assert_eq!(asked(&live_key, keyward.project())["valid"], true);
    for (key, project) in [(&test_key, keyward.project()), (&live_key, test)] {
        let answer = asked(key, project);
        assert_eq!((&answer["valid"], &answer["code"]), (&json!(false), &json!("wrong_project")), "{answer}");
    }
    // Neither is made the other by writing the other's prefix before it: the prefix is part of what is signed.
    for (key, own, other) in [(&test_key, "kw_test_", "kw_live_"), (&live_key, "kw_live_", "kw_test_")] {
        assert!(!keyward.is_valid(&key.secret.replacen(own, other, 1)));
    }
    let events = keyward.get(&format!("/v1/projects/{test}/events?name=key.refused"));
    let noted = crate::harness::eventually("the refusal is in the event log", || {
        let events = keyward.get(&format!("/v1/projects/{test}/events?name=key.refused")).json();
        events["items"].as_array().unwrap().first().cloned()
    });
    assert_eq!(noted["outcome"], "wrong_project", "{}", events.text);
}

fn hint(keyward: &Keyward, key: &Key) -> String {
    let shown = keyward.get(&format!("/v1/keys/{}", key.id)).expect(200).json();
    let hint = shown["key"]["hint"].as_str().unwrap().to_owned();
    assert!(hint.starts_with("kw_test_"), "{hint}");
    hint
}
