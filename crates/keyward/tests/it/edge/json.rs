//! JSON that is deep, wide, ambiguous or out of range: refused with 400, and nothing breaks.

use crate::harness::{Keyward, Reply};
use serde_json::json;

/// Documents that nobody may read one way and somebody else another way.
fn unparseable() -> Vec<(&'static str, Vec<u8>)> {
    let text = |what: &'static str, text: &str| (what, text.as_bytes().to_vec());
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{{\"metadata\": {}1{}}}", open.repeat(depth), close.repeat(depth)).into_bytes()
    };
    let wide = |keys: usize| {
        let keys: Vec<String> = (0..keys).map(|n| format!("\"{n:x}\":0")).collect();
        format!("{{\"metadata\": {{{}}}}}", keys.join(","))
    };
    vec![
        text("nothing", ""),
        text("blanks", "  \n"),
        text("no JSON", "key=abc"),
        text("half an object", "{"),
        text("half a text", "{\"key\": \"abc"),
        text("two documents", "{} {}"),
        text("something after it", "{}x"),
        text("a comma at the end", "{\"key\": \"abc\",}"),
        text("no comma", "{\"key\": \"abc\" \"ip\": \"1.1.1.1\"}"),
        text("single quotes", "{'key': 'abc'}"),
        text("no quotes", "{key: \"abc\"}"),
        text("a comment", "{\"key\": \"abc\" /* x */}"),
        text("a byte order mark", "\u{feff}{\"key\": \"abc\"}"),
        text("NaN", "{\"cost\": NaN}"),
        text("Infinity", "{\"cost\": -Infinity}"),
        text("a plus", "{\"cost\": +1}"),
        text("a zero before", "{\"cost\": 01}"),
        text("hexadecimal", "{\"cost\": 0x1}"),
        text("a point at the end", "{\"cost\": 1.}"),
        text("1e400", "{\"metadata\": {\"a\": 1e400}}"),
        text("-1e400", "{\"metadata\": {\"a\": -1e400}}"),
        text("2^63", "{\"metadata\": {\"a\": 9223372036854775808}}"),
        text("2^64", "{\"metadata\": {\"a\": 18446744073709551616}}"),
        text("a long number", &format!("{{\"metadata\": {{\"a\": {}}}}}", "9".repeat(400))),
        text("digits beyond a double", "{\"metadata\": {\"a\": 0.1234567890123456789012345}}"),
        text("a key twice", "{\"key\": \"a\", \"key\": \"b\"}"),
        text("a key twice, escaped", "{\"key\": \"a\", \"k\\u0065y\": \"b\"}"),
        text("a key twice, within", "{\"metadata\": {\"a\": 1, \"a\": 2}}"),
        text("half a surrogate pair", "{\"key\": \"\\ud800\"}"),
        text("half a surrogate pair in a key", "{\"\\udc00\": 1}"),
        text("a control character", "{\"key\": \"a\u{1}b\"}"),
        text("a line break in a text", "{\"key\": \"a\nb\"}"),
        text("an escape that is none", "{\"key\": \"\\x41\"}"),
        ("no UTF-8", b"{\"key\": \"\xff\xfe\"}".to_vec()),
        ("an overlong slash", b"{\"key\": \"\xc0\xaf\"}".to_vec()),
        ("a surrogate in UTF-8", b"{\"key\": \"\xed\xa0\x80\"}".to_vec()),
        ("UTF-16", "{\"key\": \"abc\"}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("33 arrays deep", nested("[", "]", 33)),
        ("33 objects deep", nested("{\"a\":", "}", 33)),
        ("15,000 brackets", "[".repeat(15_000).into_bytes()),
        ("5,000 objects", "{\"a\":".repeat(3_000).into_bytes()),
        ("1,001 keys", wide(1_001).into_bytes()),
        ("1,500 keys", wide(1_500).into_bytes()),
    ]
}

fn send(keyward: &Keyward, url: &str, body: Vec<u8>) -> Reply {
    let request = keyward.http.post(url).bearer_auth(&keyward.started.management_key);
    request.header("Content-Type", "application/json").body(body).send().unwrap().into()
}

#[test]
fn h16_what_is_no_single_sane_document_is_refused_with_400() {
    let keyward = Keyward::dev("standard");
    let urls = [
        format!("{}/v1/verify", keyward.started.check_url),
        format!("{}/v1/projects/{}/keys", keyward.started.control_url, keyward.project()),
        format!("{}/v1/organizations", keyward.started.control_url),
        format!("{}/v1/revocations", keyward.started.control_url),
    ];
    let revision = keyward.get("/v1/changes/head").expect(200).json()["revision"].clone();
    for url in &urls {
        for (what, body) in unparseable() {
            let reply = send(&keyward, url, body);
            assert_eq!(
                (reply.status, &reply.json()["code"]),
                (400, &json!("unparseable")),
                "{what}: {}",
                reply.text
            );
        }
    }
    assert_eq!(keyward.get("/v1/changes/head").expect(200).json()["revision"], revision, "nothing was written");
    assert!(keyward.is_valid(&keyward.first_key().secret));
}

#[test]
fn h16_100_000_brackets_and_a_million_keys_crash_nothing() {
    let keyward = Keyward::dev("standard");
    let wide: Vec<String> = (0..1_000_000).map(|n| format!("\"{n:x}\":0")).collect();
    let bodies = [
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("{{{}}}", wide.join(",")),
    ];
    let started = &keyward.started;
    let places = [
        (format!("{}/v1/verify", started.check_url), &[413][..]),
        (format!("{}/v1/projects/{}/keys", started.control_url, keyward.project()), &[400, 413]),
    ];
    for body in &bodies {
        for (url, statuses) in &places {
            let request = keyward.http.post(url).bearer_auth(&started.management_key);
            match request.header("Content-Type", "application/json").body(body.clone()).send() {
                Ok(reply) => assert!(statuses.contains(&reply.status().as_u16()), "{}", reply.status()),
                // The answer comes before megabytes have been sent, and the connection ends with it: a client that
                // is still sending may see only that.
                Err(error) => assert!(error.is_request() && body.len() > 1_000_000, "{error:?}"),
            }
        }
    }
    assert!(keyward.is_valid(&keyward.first_key().secret));
}

#[test]
fn h16_a_document_of_another_shape_or_with_unknown_fields_is_refused() {
    let keyward = Keyward::dev("standard");
    let urls = [
        format!("{}/v1/verify", keyward.started.check_url),
        format!("{}/v1/projects/{}/keys", keyward.started.control_url, keyward.project()),
    ];
    for url in &urls {
        for body in ["null", "[]", "1", "\"text\"", "true", "[{}]"] {
            let reply = send(&keyward, url, body.into());
            assert!([400, 422].contains(&reply.status), "{body}: {} {}", reply.status, reply.text);
        }
        for body in ["{\"key\": \"a\", \"unknown\": 1}", "{\"Key\": \"a\"}", "{\"\": 1}"] {
            send(&keyward, url, body.into()).expect_problem(422, "invalid");
        }
    }
    for (field, wrong) in [
        ("key", json!(1)),
        ("key", json!(null)),
        ("key", json!(["a"])),
        ("scopes", json!("a")),
        ("scopes", json!([1])),
        ("cost", json!("1")),
        ("cost", json!(1.5)),
        ("method", json!(1)),
        ("ip", json!(1)),
        ("project", json!({})),
    ] {
        let mut body = json!({"key": keyward.first_key().secret});
        body[field] = wrong;
        let reply = keyward.verify(body).expect_problem(422, "invalid");
        assert_eq!(reply.json()["errors"][0]["field"], field, "{}", reply.text);
    }
}

#[test]
fn h16_what_is_at_the_limits_is_taken_and_kept_as_written() {
    let keyward = Keyward::dev("standard");
    let mut deep = json!("bottom");
    for _ in 0..6 {
        deep = json!([deep]);
    }
    let metadata = json!({
        "largest": i64::MAX, "least": i64::MIN, "exact": 9_007_199_254_740_993_i64, "fraction": 0.1, "deep": deep,
        "text": "\u{1f511} \\ \" / \u{7f} \n", "empty": {}, "": "no name", "null": null,
    });
    let key = keyward.make(keyward.project(), json!({"name": "at the limits", "metadata": metadata}));
    assert_eq!(keyward.key(&key.id)["metadata"], metadata);
    assert_eq!(keyward.verify(json!({"key": key.secret})).expect(200).json()["metadata"], metadata);
}

#[test]
fn h16_a_body_of_another_type_is_415() {
    let keyward = Keyward::dev("standard");
    let body = json!({"key": keyward.first_key().secret}).to_string();
    let url = format!("{}/v1/verify", keyward.started.check_url);
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml", "", "json"]
    {
        let request = keyward.http.post(&url).bearer_auth(&keyward.started.management_key);
        let reply: Reply = request.header("Content-Type", kind).body(body.clone()).send().unwrap().into();
        reply.expect_problem(415, "unsupported_media_type");
    }
    for kind in ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"] {
        let request = keyward.http.post(&url).bearer_auth(&keyward.started.management_key);
        let reply: Reply = request.header("Content-Type", kind).body(body.clone()).send().unwrap().into();
        assert_eq!(reply.expect(200).json()["valid"], true, "{kind}");
    }
}
