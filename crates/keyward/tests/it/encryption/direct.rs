//! Direct calls: `{"data": …}` there, its ciphertext back, and the other way round.

use serde_json::json;

use super::{decrypting, direct, expect_ciphertext, key_of, keyward, refused, sealed};
use crate::harness::{Keyward, Request};

#[test]
fn q13_what_is_encrypted_directly_decrypts_back_byte_for_byte() {
    let keyward = keyward();
    let key = key_of(&keyward, keyward.project());
    for value in [
        r#""Your sensitive data""#,
        r#""\u00e9\/\ud83d\udd11""#,
        "null",
        "-0",
        "1E400",
        "123456789012345678901234567890",
        r#"{ "b" : 1.50,"a":[ ] }"#,
        "[[[]]]",
        "\"\"",
    ] {
        let answer = keyward.send(&direct("encrypt", &key, &format!(" {{\n\"data\" : {value} }}"))).expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let sealed = expect_ciphertext(&answer.json()["data"]).to_owned();
        assert_eq!(answer.text(), format!("{{\"data\":\"{sealed}\"}}"));
        let opened = keyward.send(&direct("decrypt", &key, &answer.text())).expect(200);
        assert_eq!(opened.text(), format!("{{\"data\":{value}}}"));
        // As clients write it that put a backslash before every slash.
        let escaped = format!("{{\"data\":\"{}\"}}", sealed.replace('/', "\\/"));
        assert_eq!(keyward.send(&direct("decrypt", &key, &escaped)).expect(200).text(), opened.text());
    }
}

#[test]
fn equal_values_are_encrypted_differently_each_time() {
    let keyward = keyward();
    let key = key_of(&keyward, keyward.project());
    assert_ne!(sealed(&keyward, &key, "\"same\""), sealed(&keyward, &key, "\"same\""));
}

#[test]
fn what_cannot_be_encrypted_is_refused_and_the_field_is_named() {
    let keyward = keyward();
    let key = key_of(&keyward, keyward.project());
    let missing = refused(422, "The field data is missing");
    for body in ["{}", "[]", "7", r#"{"Data":1}"#, r#"{"x":{"data":1}}"#] {
        keyward.send(&direct("encrypt", &key, body)).expect_refused(&missing);
        keyward.send(&direct("decrypt", &key, body)).expect_refused(&missing);
    }
    let not_json = refused(400, "The request's body is not the JSON it has to be");
    for body in ["", "{", "{\"data\":1}}", "data=1", "{\"data\":\"\\ud800\"}", "{\"data\":01}"] {
        keyward.send(&direct("encrypt", &key, body)).expect_refused(&not_json);
    }
    let large = format!("{{\"data\":\"{}\"}}", "x".repeat(4 << 20));
    keyward
        .send(&direct("encrypt", &key, &large))
        .expect_refused(&refused(422, "The field data cannot be encrypted"));
    let beside = format!("{{\"x\":\"{}\",\"data\":1}}", "x".repeat(5 << 20));
    keyward
        .send(&direct("encrypt", &key, &beside))
        .expect_refused(&refused(413, "The request's body is too large"));
}

#[test]
fn c03_what_cannot_be_opened_is_one_refusal_whatever_is_wrong_with_it() {
    let keyward = keyward();
    let key = key_of(&keyward, keyward.project());
    let good = sealed(&keyward, &key, "\"secret\"");
    let parts: Vec<&str> = good.split(':').collect();
    let flipped = |part: usize| {
        let mut parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        let first = if parts[part].starts_with('A') { "B" } else { "A" };
        parts[part].replace_range(..1, first);
        json!(parts.join(":"))
    };
    let cannot = refused(422, "The field data cannot be decrypted");
    let values = [
        flipped(1),
        flipped(2),
        flipped(3),
        json!("plain"),
        json!(""),
        json!(7),
        json!(null),
        json!({"a": 1}),
        json!("qanapi:YQ==:Yg==:Yw==:$"),
        json!(good.replace("qanapi", "other")),
        json!(format!("{good} ")),
    ];
    for value in values {
        keyward.send(&direct("decrypt", &key, &json!({ "data": value }).to_string())).expect_refused(&cannot);
    }
    keyward.send(&direct("decrypt", &key, &json!({ "data": good }).to_string())).expect(200);
}

#[test]
fn h16_nesting_and_names_that_stand_twice_are_refused() {
    let keyward = keyward();
    let key = key_of(&keyward, keyward.project());
    let not_json = refused(400, "The request's body is not the JSON it has to be");
    let deep = format!("{{\"data\":{}{}}}", "[".repeat(31), "]".repeat(31));
    keyward.send(&direct("encrypt", &key, &deep)).expect(200);
    for body in [
        format!("{{\"data\":{}", "[".repeat(100_000)),
        format!("{{\"data\":{}{}}}", "[".repeat(32), "]".repeat(32)),
        "{\"a\":".repeat(100_000),
        r#"{"data":1,"data":2}"#.to_owned(),
        r#"{"data":1,"d\u0061ta":2}"#.to_owned(),
    ] {
        keyward.send(&direct("encrypt", &key, &body)).expect_refused(&not_json);
    }
    let keyward_is_well = keyward.send(&direct("encrypt", &key, r#"{"data":1}"#));
    keyward_is_well.expect(200);
}

#[test]
fn h15_a_compressed_body_is_not_unpacked() {
    let keyward = keyward();
    let key = key_of(&keyward, keyward.project());
    let unreadable = refused(415, "The request's body cannot be read");
    for encoding in ["gzip", "br", "zstd", "gzip, gzip", "identity, gzip"] {
        let packed = |request: Request| request.with("Content-Encoding", encoding);
        keyward.send(&packed(direct("encrypt", &key, r#"{"data":1}"#))).expect_refused(&unreadable);
        let proxied = super::proxied(keyward.project(), &key, "a", r#"{"a":1}"#);
        keyward.send(&packed(proxied)).expect_refused(&unreadable);
    }
    let plain = direct("encrypt", &key, r#"{"data":1}"#).with("Content-Encoding", "identity");
    keyward.send(&plain).expect(200);
}

#[test]
fn uses_are_counted_and_limits_are_told_as_for_any_request() {
    let keyward: Keyward = keyward();
    let key = key_of(&keyward, keyward.project());
    let answer = keyward.send(&direct("encrypt", &key, r#"{"data":1}"#)).expect(200);
    assert!(answer.header("ratelimit").is_some_and(|told| told.contains("\"requests\";r=")), "{}", answer.head);
    let refused = keyward.send(&decrypting(direct("decrypt", &key, r#"{"data":1}"#))).expect(422);
    assert!(refused.header("ratelimit").is_some() && refused.header("x-request-id").is_some(), "{}", refused.head);
    crate::harness::eventually("both are counted", || (keyward.key(&key.id)["uses"] == 2).then_some(()));
}
