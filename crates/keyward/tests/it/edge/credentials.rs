//! Credentials that come twice, in two places or in odd shapes.

use super::{bearer, head};
use crate::harness::raw::exchange;
use crate::harness::{Key, Keyward, Request, Scripted, Upstream, in_seconds};
use serde_json::json;

/// Keyward with this preset in front of an upstream that remembers what reached it.
fn with_upstream(preset: &str) -> (Keyward, Upstream) {
    let upstream = Upstream::start(Scripted::json(200, "{}"));
    (Keyward::dev_with(preset, &["--upstream", &upstream.url]), upstream)
}

/// Sends a GET with these header lines; the status and the body.
fn ask(keyward: &Keyward, target: &str, lines: &[&str]) -> (u16, String) {
    let answer = exchange(&keyward.gateway_address(), head("GET", target, lines)).expect("an answer");
    (answer.status, answer.text())
}

#[test]
fn h01_a_duplicate_credential_header_is_refused_like_an_invalid_key() {
    let (keyward, upstream) = with_upstream("standard");
    let (first, second) = (keyward.first_key(), keyward.make(keyward.project(), json!({"name": "second"})));
    let invalid = ask(&keyward, "/v1/hello", &["Authorization: Bearer garbage"]);
    assert_eq!(invalid.0, 401);
    let (a, b, garbage) = (bearer(&first), bearer(&second), "Authorization: Bearer garbage".to_owned());
    let missing = "Authorization:".to_owned();
    for [one, two] in [[&a, &garbage], [&garbage, &a], [&a, &b], [&b, &a], [&a, &missing], [&missing, &a], [&a, &a]]
    {
        assert_eq!(ask(&keyward, "/v1/hello", &[one, two]), invalid, "{one} {two}");
        assert_eq!(ask(&keyward, "/v1/hello", &[one, "X-Other: 1", &two.replace("Auth", "aUTH")]), invalid);
    }
    assert_eq!(upstream.count(), 0);
    assert_eq!(ask(&keyward, "/v1/hello", &[&a]).0, 200);
}

#[test]
fn h01_each_preset_refuses_its_own_header_twice() {
    for preset in ["getprofile", "profound", "metriport", "scrapegraphai", "qanapi"] {
        let keyward = Keyward::dev(preset);
        let (terms, key) = (keyward.terms(), keyward.first_key());
        let place = &terms.places()[0];
        let request = terms.example(keyward.project());
        keyward.send(&place.carry(&request, &key.secret)).expect_success();
        let twice = place.carry(&place.carry(&request, &key.secret), "garbage");
        keyward.send(&twice).expect_refused(&terms.refusal("malformed_key"));
        let twice = place.carry(&place.carry(&request, "garbage"), &key.secret);
        keyward.send(&twice).expect_refused(&terms.refusal("malformed_key"));
    }
}

#[test]
fn h02_of_two_credentials_the_first_place_of_the_contract_decides_alone() {
    let (keyward, upstream) = with_upstream("profound");
    let first = keyward.first_key();
    let second = keyward.make(keyward.project(), json!({"name": "second", "expires_at": in_seconds(3600)}));
    let invalid = ask(&keyward, "/v1/org/regions", &["X-API-Key: garbage"]);
    assert_eq!(invalid.0, 401);
    let with_query = |query: &str| format!("/v1/org/regions?a=1&api_key={query}&b=2");
    let header = |key: &Key| format!("X-API-Key: {}", key.secret);

    for bad in ["X-API-Key: garbage", "X-API-Key:", "X-API-Key: a, b"] {
        assert_eq!(ask(&keyward, &with_query(&first.secret), &[bad]), invalid, "{bad}: no fallback to the query");
    }
    assert_eq!(upstream.count(), 0);

    for query in ["garbage", &second.secret, &first.secret, "", "a&api_key=b"] {
        assert_eq!(ask(&keyward, &with_query(query), &[&header(&first)]).0, 200, "{query}");
        let seen = upstream.last();
        assert_eq!(seen.header("x-keyward-key-id"), Some(first.id.as_str()), "{query}");
        assert!(
            ["/v1/org/regions?a=1&b=2", "/v1/org/regions?a=1&&b=2"].contains(&seen.target.as_str()),
            "{}",
            seen.target
        );
        assert!(!seen.text().contains(&first.secret) && !seen.text().contains(&second.secret), "{}", seen.text());
    }

    assert_eq!(ask(&keyward, &with_query(&second.secret), &[]).0, 200);
    assert_eq!(upstream.last().header("x-keyward-key-id"), Some(second.id.as_str()));
    let before = upstream.count();
    let twice = format!("{}&api_key={}", first.secret, second.secret);
    assert_eq!(ask(&keyward, &with_query(&twice), &[]), invalid, "the query's parameter twice");
    assert_eq!(upstream.count(), before);
}

/// How a credential must not look, in the preset `standard`; `KEY` stands for a key that opens.
const ODD_SHAPES: &[&[u8]] = &[
    b"Authorization: KEY",
    b"Authorization: BearerKEY",
    b"Authorization: Bearer  KEY",
    b"Authorization: Bearer\tKEY",
    b"Authorization: bearer\tKEY",
    b"Authorization: Bearer \tKEY",
    b"Authorization: Bearer:KEY",
    b"Authorization: Bearer: KEY",
    b"Authorization: Bearer=KEY",
    b"Authorization: Bearer \"KEY\"",
    b"Authorization: Bearer 'KEY'",
    b"Authorization: Bearer <KEY>",
    b"Authorization: Bearer KEY, Bearer KEY",
    b"Authorization: Bearer KEY,Bearer KEY",
    b"Authorization: Bearer KEY,",
    b"Authorization: Bearer ,KEY",
    b"Authorization: Bearer KEY KEY",
    b"Authorization: Bearer KEY; a=b",
    b"Authorization: Bearer token=KEY",
    b"Authorization: Bearer Bearer KEY",
    b"Authorization: Basic KEY",
    b"Authorization: Token KEY",
    b"Authorization: , Bearer KEY",
    b"Authorization: Basic x, Bearer KEY",
    b"Authorization: Bearer%20KEY",
    b"Authorization: Bearer %4BEY",
    b"Authorization: Bearer\r\n KEY",
    b"Authorization: Bearer KEY\r\n KEY",
    b"Authorization:\r\n Bearer KEY",
    b"Authorization: Bearer KEY\0",
    b"Authorization: Bearer \0KEY",
    b"Authorization: Bearer\0KEY",
    b"Authorization\0: Bearer KEY",
    b"Authorization: Bearer KEY\x01",
    b"Authorization: Bearer KEY\x0b",
    b"Authorization: Bearer\x0bKEY",
    b"Authorization: Bearer\x0cKEY",
    b"Authorization: Bearer KEY\x7f",
    b"Authorization: Bearer KEY\x80",
    b"Authorization: Bearer \xffKEY",
    b"Authorization: Bearer\xc2\xa0KEY",
    b"Authorization: Bearer \xef\xbb\xbfKEY",
    b"Authorization: Bearer KEY\xe2\x80\x8b",
    b"Authorization: \xd0\x92earer KEY",
    b"Authorization : Bearer KEY",
    b"Authorization\t: Bearer KEY",
    b" Authorization: Bearer KEY",
    b"X-First: 1\r\n Authorization: Bearer KEY",
    b"X-First: 1\rAuthorization: Bearer KEY",
    b"X-First: 1\nAuthorization: Bearer KEY",
    b"Authorisation: Bearer KEY",
    b"Authorization_: Bearer KEY",
    b"HTTP_AUTHORIZATION: Bearer KEY",
    b"Proxy-Authorization: Bearer KEY",
    b"X-Authorization: Bearer KEY",
    b"X-API-Key: KEY",
    b"Cookie: Authorization=Bearer KEY",
    b"\xef\xbb\xbfAuthorization: Bearer KEY",
];

#[test]
fn h03_odd_header_shapes_are_never_accepted() {
    let (keyward, upstream) = with_upstream("standard");
    let key = keyward.first_key();
    for shape in ODD_SHAPES {
        let answer = send_shape(&keyward, shape, &key);
        assert!(matches!(answer, None | Some(400 | 401)), "{answer:?} to {:?}", String::from_utf8_lossy(shape));
    }
    assert_eq!(upstream.count(), 0);
    // Blanks around a value are no part of it (RFC 9110, 5.5); names and schemes have no case.
    for shape in
        [&b"Authorization:Bearer KEY"[..], b"Authorization: \t Bearer KEY \t ", b"aUTHORIZATION: bEARER KEY"]
    {
        assert_eq!(send_shape(&keyward, shape, &key), Some(200), "{:?}", String::from_utf8_lossy(shape));
    }
}

#[test]
fn h03_odd_shapes_of_a_header_without_a_scheme_are_never_accepted() {
    let (keyward, upstream) = with_upstream("metriport");
    let key = keyward.first_key();
    let shapes: [&[u8]; 14] = [
        b"x-api-key: Bearer KEY",
        b"x-api-key: KEY KEY",
        b"x-api-key: KEY, KEY",
        b"x-api-key: KEY,",
        b"x-api-key: \"KEY\"",
        b"x-api-key: KEY\0",
        b"x-api-key: KEY\x80",
        b"x-api-key: KEY\r\n ",
        b"x-api-key:\r\n KEY",
        b"x-api-key : KEY",
        b"x_api_key: KEY",
        b"x-api-key: KEY;",
        b"Authorization: Bearer KEY",
        b"X-API-Key-: KEY",
    ];
    for shape in shapes {
        let answer = send_shape(&keyward, shape, &key);
        // An obsolete line fold is malformed: 400. All the rest is a wrong or missing key, which this API
        // answers with 403.
        assert!(matches!(answer, None | Some(400 | 403)), "{answer:?} to {:?}", String::from_utf8_lossy(shape));
    }
    assert_eq!(upstream.count(), 0);
    assert_eq!(send_shape(&keyward, b"X-Api-Key: KEY", &key), Some(200));
}

/// But for one thing: at the control plane a bare LF ends a line, as RFC 9112 (2.2) lets a server read it. Nothing
/// is forwarded from there that another server could read differently.
#[test]
fn h03_management_keys_are_read_as_strictly() {
    let keyward = Keyward::dev("standard");
    let key = Key { id: String::new(), secret: keyward.started.management_key.clone() };
    let verify = json!({"key": keyward.first_key().secret}).to_string();
    let ask = |address: &str, method: &str, target: &str, line: &[u8], body: &str| {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n").into_bytes();
        request.extend(filled(line, &key));
        request.extend(
            format!("\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).bytes(),
        );
        exchange(address, request).map(|answer| answer.status)
    };
    for shape in ODD_SHAPES.iter().filter(|shape| !shape.contains(&b'\n') || shape.contains(&b'\r')) {
        let control = ask(&keyward.control_address(), "GET", "/v1/whoami", shape, "");
        let check = ask(&keyward.check_address(), "POST", "/v1/verify", shape, &verify);
        for status in [control, check] {
            assert!(matches!(status, None | Some(400 | 401)), "{status:?} to {:?}", String::from_utf8_lossy(shape));
        }
    }
    assert_eq!(ask(&keyward.control_address(), "GET", "/v1/whoami", b"Authorization: Bearer KEY", ""), Some(200));
    assert_eq!(
        ask(&keyward.check_address(), "POST", "/v1/verify", b"Authorization: Bearer KEY", &verify),
        Some(200)
    );
}

/// Sends a GET with this header to the gateway; the status, or none where the connection was closed.
fn send_shape(keyward: &Keyward, shape: &[u8], key: &Key) -> Option<u16> {
    let mut request = b"GET /v1/hello HTTP/1.1\r\nHost: api.example\r\n".to_vec();
    request.extend(filled(shape, key));
    request.extend(b"\r\n\r\n");
    exchange(&keyward.gateway_address(), request).map(|answer| answer.status)
}

/// The line with the key in place of `KEY`.
fn filled(line: &[u8], key: &Key) -> Vec<u8> {
    let mut filled = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.windows(3).position(|three| three == b"KEY") {
        filled.extend(&rest[..at]);
        filled.extend(key.secret.bytes());
        rest = &rest[at + 3..];
    }
    filled.extend(rest);
    filled
}

#[test]
fn h03_a_key_with_anything_around_it_is_another_text() {
    let keyward = Keyward::dev("standard");
    let secret = keyward.first_key().secret;
    let altered =
        |text: String| keyward.send(&Request::get("/v1/hello").with("Authorization", &format!("Bearer {text}")));
    for text in [
        format!("{secret}="),
        format!("{secret}A"),
        secret[..secret.len() - 1].to_owned(),
        secret.to_uppercase(),
        secret.to_lowercase(),
        secret.replace('_', "-"),
        secret.replacen('_', "%5F", 1),
        format!("./{secret}"),
    ] {
        altered(text).expect(401);
    }
    altered(secret.clone()).expect(200);
}
