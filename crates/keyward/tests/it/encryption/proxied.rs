//! The proxy: fields that a header names, everything else byte for byte, and the request sent on as it is otherwise.

use serde_json::json;

use super::{decrypting, expect_ciphertext, key_of, keyward, proxied, refused, send_to, with_destination};
use crate::harness::{Request, Scripted, Upstream};
use std::io::Write;

#[test]
fn q14_named_fields_are_replaced_and_the_rest_is_untouched() {
    let keyward = keyward();
    let key = key_of(&keyward, keyward.project());
    let body = "{ \"title\":\"T\",\r\n \"body\" : {\"x\":[1, 2]}, \"n\":1.50e+07, \"u\":\"\\u00e9\\/\" }\n";
    let answer = keyward.send(&proxied(keyward.project(), &key, "title, body", body)).expect(200);
    let document = answer.json();
    let (title, text) = (expect_ciphertext(&document["title"]), expect_ciphertext(&document["body"]));
    let expected = body.replace("\"T\"", &format!("\"{title}\"")).replace("{\"x\":[1, 2]}", &format!("\"{text}\""));
    assert_eq!(answer.text(), expected);
    let back = decrypting(proxied(keyward.project(), &key, "title,body", &answer.text()));
    assert_eq!(keyward.send(&back).expect(200).text(), body);
}

#[test]
fn fields_are_named_by_paths_through_objects_and_arrays() {
    let keyward = keyward();
    let key = key_of(&keyward, keyward.project());
    let body = r#"{"people":[{"ssn":"1","n":1},{"ssn":"2"}],"deep":{"a":{"b":3}},"list":[4,5,6],"a.b":7}"#;
    let fields = r"people.*.ssn,deep.a.b,list.1,a\.b";
    let answer = keyward.send(&proxied(keyward.project(), &key, fields, body)).expect(200);
    let document = answer.json();
    for place in ["/people/0/ssn", "/people/1/ssn", "/deep/a/b", "/list/1", "/a.b"] {
        expect_ciphertext(document.pointer(place).unwrap());
    }
    assert_eq!((&document["list"][0], &document["people"][0]["n"]), (&json!(4), &json!(1)));
    // A name goes into every item: the same field by another way of naming it.
    let back = decrypting(proxied(keyward.project(), &key, r"people.ssn,deep.a.b,list.*,a\.b", &answer.text()));
    keyward.send(&back).expect_refused(&refused(422, "The field list.* cannot be decrypted"));
    let back = decrypting(proxied(keyward.project(), &key, r"people.ssn,deep.a.b,list.1,a\.b", &answer.text()));
    assert_eq!(keyward.send(&back).expect(200).text(), body);
}

#[test]
fn the_request_is_sent_on_with_its_method_and_headers_less_ours() {
    let (keyward, destination, key) = with_destination();
    let request = Request::new("PUT", &format!("/proxy/{}/a%20b/c?x=1&y=%2F", keyward.project()))
        .with("X-Qanapi-Authorization", &key.secret)
        .with("X-Qanapi-Mode", "encrypt")
        .with("X-Qanapi-Fields", "secret")
        .with("X-Qanapi-Classification", "cui")
        .with("X-Keyward-Project", "forged")
        .with("X-Own", "kept")
        .with("Content-MD5", "x")
        .json(r#"{"secret":"s","plain":1}"#);
    let answer = keyward.send(&request).expect(201);
    assert_eq!(answer.text(), r#"{"ok":true}"#);
    let seen = destination.last();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("PUT", "/base/a%20b/c?x=1&y=%2F"));
    assert_eq!((seen.header("x-own"), seen.header("content-type")), (Some("kept"), Some("application/json")));
    assert_eq!(seen.header("host"), destination.url.strip_prefix("http://"));
    let ours = |name: &str| {
        ["x-qanapi-", "x-keyward-", "content-md5"].iter().any(|own| name.to_lowercase().starts_with(own))
    };
    assert!(!seen.headers.iter().any(|(name, _)| ours(name)), "{:?}", seen.headers);
    assert!(!seen.text().contains(&key.secret) && !seen.text().contains(keyward.project()));
    assert_eq!(seen.header("content-length"), Some(seen.body.len().to_string().as_str()));
    let document: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
    expect_ciphertext(&document["secret"]);
    assert_eq!(document["plain"], 1);
    // What brings no body is sent on as it is.
    let asking = Request::get(&format!("/proxy/{}/list", keyward.project()))
        .with("X-Qanapi-Authorization", &key.secret)
        .with("X-Qanapi-Fields", "secret");
    keyward.send(&asking).expect(201);
    assert_eq!((destination.last().method.as_str(), destination.last().target.as_str()), ("GET", "/base/list"));
}

#[test]
fn what_the_fields_are_wrong_in_reaches_nobody_and_names_them() {
    let (keyward, destination, key) = with_destination();
    let project = keyward.project();
    let ask = |fields: &str, body: &str| proxied(project, &key, fields, body);
    let cases = [
        (ask("title,body", r#"{"title":1}"#), 422, "The field body is missing"),
        (ask("a.b", r#"{"a":"b"}"#), 422, "The field a.b is missing"),
        (ask("a..b", r#"{"a":1}"#), 422, "The field a..b cannot be encrypted"),
        (ask("", r#"{"a":1}"#), 422, "The field x-qanapi-fields is missing"),
        (decrypting(ask("a", r#"{"a":"x"}"#)), 422, "The field a cannot be decrypted"),
        (ask("a", r#"{"a":1,"a":2}"#), 400, "The request's body is not the JSON it has to be"),
        (ask("a", "a=1"), 400, "The request's body is not the JSON it has to be"),
        (ask("a", r#"{"a":1}"#).with("X-Qanapi-Mode", "hide"), 400, "The request is malformed"),
    ];
    for (request, status, message) in cases {
        keyward.send(&request).expect_refused(&refused(status, message));
    }
    let nothing = Request::post(&format!("/proxy/{project}")).with("X-Qanapi-Authorization", &key.secret);
    let nothing = nothing.with("X-Qanapi-Fields", "a").with("Content-Length", "0");
    keyward.send(&nothing).expect_refused(&refused(422, "The field a is missing"));
    let unnamed = Request::post(&format!("/proxy/{project}")).with("X-Qanapi-Authorization", &key.secret);
    keyward.send(&unnamed.json(r#"{"a":1}"#)).expect_refused(&refused(422, "The field x-qanapi-fields is missing"));
    assert_eq!(destination.count(), 0, "{:?}", destination.seen());
}

#[test]
fn a_name_in_a_refusal_is_put_there_as_json_has_it() {
    let keyward = keyward();
    let key = key_of(&keyward, keyward.project());
    let quoted = proxied(keyward.project(), &key, "a\"\\\\{message}é", "{}");
    keyward.send(&quoted).expect_refused(&refused(422, "The field a\"\\\\{message}é is missing"));
}

#[test]
fn the_destinations_answer_comes_back_as_it_is() {
    let keyward = keyward();
    let key = key_of(&keyward, keyward.project());
    let redirecting = Upstream::start(Scripted::with(|_, socket| {
        let answer = "HTTP/1.1 302 Elsewhere\r\nLocation: http://169.254.169.254/latest\r\nX-Keyward-Project: forged\r\n\
                      X-Own: yes\r\nContent-Length: 3\r\n\r\nno!";
        socket.write_all(answer.as_bytes()).is_ok()
    }));
    send_to(&keyward, keyward.project(), &redirecting.url);
    let answer = keyward.send(&proxied(keyward.project(), &key, "a", r#"{"a":1}"#)).expect(302);
    assert_eq!((answer.text().as_str(), answer.header("x-own")), ("no!", Some("yes")));
    assert_eq!(answer.header("location"), Some("http://169.254.169.254/latest"));
    assert_eq!((answer.header("x-keyward-project"), redirecting.count()), (None, 1));
}
