//! What stays apart: projects, fields, and a key that was taken away.

use serde_json::json;

use super::{decrypting, direct, expect_ciphertext, key_of, keyward, proxied, refused, sealed, with_destination};
use crate::harness::{Key, Request, Scripted, Upstream};

#[test]
fn c02_a_ciphertext_opens_in_its_project_only() {
    let keyward = keyward();
    let (other, _) = keyward.new_project("Other");
    let (ours, theirs) = (key_of(&keyward, keyward.project()), key_of(&keyward, &other));
    let cannot = refused(422, "The field data cannot be decrypted");
    let open = |key: &Key, text: &str| keyward.send(&direct("decrypt", key, &json!({ "data": text }).to_string()));
    let (a, b) = (sealed(&keyward, &ours, "\"a\""), sealed(&keyward, &theirs, "\"b\""));
    open(&ours, &b).expect_refused(&cannot);
    open(&theirs, &a).expect_refused(&cannot);
    // With the header of one and the rest of the other.
    let parts = |text: &str| text.split(':').map(str::to_owned).collect::<Vec<_>>();
    let mut swapped = parts(&a);
    swapped[1] = parts(&b)[1].clone();
    open(&theirs, &swapped.join(":")).expect_refused(&cannot);
    open(&ours, &swapped.join(":")).expect_refused(&cannot);
    assert_eq!(
        (open(&ours, &a).expect(200).text(), open(&theirs, &b).expect(200).text()),
        (r#"{"data":"a"}"#.to_owned(), r#"{"data":"b"}"#.to_owned(),)
    );
    // Another key of the same project opens it.
    assert_eq!(open(&key_of(&keyward, keyward.project()), &a).expect(200).text(), r#"{"data":"a"}"#);
}

#[test]
fn c02_a_ciphertext_opens_in_its_field_only() {
    let keyward = keyward();
    let key = key_of(&keyward, keyward.project());
    let body = r#"{"a":"1","b":"2","list":[{"c":"3"},{"c":"4"}]}"#;
    let fields = "a,b,list.*.c";
    let sealed = keyward.send(&proxied(keyward.project(), &key, fields, body)).expect(200).json();
    let open = |document: &serde_json::Value| {
        keyward.send(&decrypting(proxied(keyward.project(), &key, fields, &document.to_string())))
    };
    for (from, to, field) in
        [("/a", "/b", "b"), ("/b", "/a", "a"), ("/a", "/list/0/c", "list.*.c"), ("/list/0/c", "/a", "a")]
    {
        let mut moved = sealed.clone();
        *moved.pointer_mut(to).unwrap() = sealed.pointer(from).unwrap().clone();
        open(&moved).expect_refused(&refused(422, &format!("The field {field} cannot be decrypted")));
    }
    let mut moved = sealed.clone();
    moved["list"].as_array_mut().unwrap().reverse();
    assert_eq!(open(&moved).expect(200).json()["list"], json!([{"c": "4"}, {"c": "3"}]), "items may move");
    let a_as_data = json!({"data": sealed["a"]}).to_string();
    keyward
        .send(&direct("decrypt", &key, &a_as_data))
        .expect_refused(&refused(422, "The field data cannot be decrypted"));
}

#[test]
fn q21_the_key_decides_the_project_and_another_is_refused_without_effect() {
    let (keyward, destination, key) = with_destination();
    let (other, _) = keyward.new_project("Other");
    let others = Upstream::start(Scripted::json(200, "{}"));
    super::send_to(&keyward, &other, &others.url);
    let another = refused(403, "This API key belongs to another project");
    keyward.send(&proxied(&other, &key, "a", r#"{"a":1}"#)).expect_refused(&another);
    let below = Request::post(&format!("/proxy/{other}/x")).with("X-Qanapi-Authorization", &key.secret);
    keyward.send(&below.with("X-Qanapi-Fields", "a").json(r#"{"a":1}"#)).expect_refused(&another);
    assert_eq!((destination.count(), others.count()), (0, 0));
    keyward.send(&proxied(keyward.project(), &key, "a", r#"{"a":1}"#)).expect(201);
    assert_eq!((destination.count(), others.count()), (1, 0));
}

#[test]
fn a_key_that_was_taken_away_encrypts_and_decrypts_nothing() {
    let keyward = keyward();
    let key = key_of(&keyward, keyward.project());
    let sealed = sealed(&keyward, &key, "\"x\"");
    let calls = [
        direct("encrypt", &key, r#"{"data":1}"#),
        direct("decrypt", &key, &json!({ "data": sealed }).to_string()),
        proxied(keyward.project(), &key, "a", r#"{"a":1}"#),
    ];
    let mut in_use = calls.map(|call| keyward.use_key(call));
    keyward.revoke(&key.id).expect(200);
    in_use.iter_mut().for_each(|call| call.expect_refused(&refused(401, "Invalid API key")));
}

#[test]
fn plaintext_is_in_no_log_and_no_store() {
    let keyward = keyward();
    let key = key_of(&keyward, keyward.project());
    let answer =
        keyward.send(&proxied(keyward.project(), &key, "a", r#"{"a":"plaintext-of-a-story"}"#)).expect(200);
    let text = expect_ciphertext(&answer.json()["a"]).to_owned();
    let back = decrypting(proxied(keyward.project(), &key, "a", &json!({ "a": text }).to_string()));
    keyward.send(&back).expect(200);
    let traces = crate::harness::traces::Traces::of(["plaintext-of-a-story"]);
    traces.must_not_be_in("standard error", keyward.stderr());
    traces.must_not_be_in_files(keyward.folder(), &[]);
}
