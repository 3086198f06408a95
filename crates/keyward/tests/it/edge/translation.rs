//! What goes through unchanged, and what HTTP asks of whoever stands between: methods, statuses, headers,
//! bodies that are none, trailers, 100-continue, HTTP/2.

use std::io::Write;

use super::recorder::Recorder;
use super::{bearer, head};
use crate::harness::raw::{Socket, exchange};
use crate::harness::{Keyward, Scripted, Seen, Upstream};
use reqwest::blocking::Client;
use serde_json::json;

/// An upstream that answers with exactly these bytes.
fn answering(bytes: &'static str) -> Upstream {
    Upstream::start(Scripted::with(move |_, socket| socket.write_all(bytes.as_bytes()).is_ok()))
}

fn in_front_of(upstream: &Upstream) -> Keyward {
    Keyward::dev_with("standard", &["--upstream", &upstream.url])
}

#[test]
fn g15_an_answer_comes_through_unchanged() {
    let upstream = answering(
        "HTTP/1.1 207 Multi-Status\r\nContent-Type: application/xml; charset=latin1\r\nX-One: 1\r\nX-One: 2\r\nX-Latin: caf\u{e9}\r\n\
         Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\nETag: \"x\"\r\nCache-Control: max-age=60\r\nServer: theirs\r\n\
         Content-Encoding: br\r\nConnection: X-Hop\r\nX-Hop: gone\r\nKeep-Alive: timeout=5\r\nContent-Length: 9\r\n\r\n<a>\0\x01</a>",
    );
    let keyward = in_front_of(&upstream);
    let request = head("GET", "/v1/profile/abc123", &[&bearer(&keyward.first_key())]);
    let answer = exchange(&keyward.gateway_address(), request).unwrap().expect(207);
    assert_eq!(answer.body, b"<a>\0\x01</a>");
    let head = answer.head.to_ascii_lowercase();
    for line in [
        "content-type: application/xml; charset=latin1",
        "x-one: 1",
        "x-one: 2",
        "x-latin: café",
        "set-cookie: a=1; path=/",
        "set-cookie: b=2",
        "etag: \"x\"",
        "cache-control: max-age=60",
        "server: theirs",
        "content-encoding: br",
        "content-length: 9",
    ] {
        assert!(head.lines().any(|own| own == line), "{line}: {head}");
    }
    assert!(!head.contains("x-hop") && !head.contains("timeout=5"), "{head}");
    assert!(answer.header("x-request-id").is_some());
    assert_eq!(head.matches("date:").count(), 1, "{head}");
}

#[test]
fn statuses_and_bodies_of_every_kind_come_through() {
    let upstream = Upstream::start(Scripted::with(|seen, socket| {
        let status = seen.target.trim_start_matches('/');
        socket.write_all(format!("HTTP/1.1 {status} Said\r\nContent-Length: 4\r\n\r\nbody").as_bytes()).is_ok()
    }));
    let keyward = in_front_of(&upstream);
    let key = bearer(&keyward.first_key());
    for status in [
        200, 201, 202, 203, 206, 226, 300, 301, 302, 307, 308, 400, 401, 402, 403, 404, 405, 409, 410, 418, 422,
        429, 431, 451, 500, 501, 502, 503, 504, 507, 599,
    ] {
        let answer = exchange(&keyward.gateway_address(), head("GET", &format!("/{status}"), &[&key])).unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (status, "body"));
    }
}

#[test]
fn a_request_goes_through_unchanged() {
    let recorder = Recorder::start();
    let keyward = Keyward::dev_with("standard", &["--upstream", &recorder.url]);
    let key = bearer(&keyward.first_key());
    let target = "/v1/a%2Fb//c/../%7Ed;p=1/%E2%82%AC/+?q=a+b&q=%20&empty=&flag&api_key=x&%00=%ff";
    let lines = [
        key.as_str(),
        "X-One: 1",
        "X-One: 2",
        "Accept-Encoding: br",
        "Cookie: a=1; b=2",
        "User-Agent: mine",
        "Range: bytes=0-1",
        "Content-Length: 4",
    ];
    let request = format!("{}\0\x01\r\n", head("PATCH", target, &lines));
    exchange(&keyward.gateway_address(), request).unwrap().expect(200);
    let seen = recorder.last();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("PATCH", target));
    assert_eq!(seen.body, b"\0\x01\r\n");
    for (name, values) in [
        ("X-One", &["1", "2"][..]),
        ("Accept-Encoding", &["br"]),
        ("Cookie", &["a=1; b=2"]),
        ("User-Agent", &["mine"]),
        ("Range", &["bytes=0-1"]),
        ("Content-Length", &["4"]),
        ("Transfer-Encoding", &[]),
        ("Authorization", &[]),
    ] {
        assert_eq!(seen.all(name), values, "{name}");
    }
    // No header is made up that the caller did not send, but for those that tell of this hop.
    let of_this_hop = |name: &str| {
        name.starts_with("x-keyward-")
            || name.starts_with("x-forwarded-")
            || ["host", "x-request-id", "via"].contains(&name)
    };
    let sent = ["x-one", "accept-encoding", "cookie", "user-agent", "range", "content-length"];
    let made_up = seen
        .headers
        .iter()
        .find(|(name, _)| !of_this_hop(&name.to_ascii_lowercase()) && !sent.contains(&&*name.to_ascii_lowercase()));
    assert_eq!(made_up, None);
}

#[test]
fn p18_a_post_without_a_body_goes_through_without_one() {
    let recorder = Recorder::start();
    let keyward = Keyward::dev_with("profound", &["--upstream", &recorder.url]);
    let key = format!("X-API-Key: {}", keyward.first_key().secret);
    let request = head("POST", "/v1/reports/visibility", &["Content-Type: application/json", &key]);
    exchange(&keyward.gateway_address(), request).unwrap().expect(200);
    let seen = recorder.last();
    assert!(seen.body.is_empty() && seen.all("transfer-encoding").is_empty(), "{seen:?}");
}

#[test]
fn head_204_and_304_have_no_body() {
    let upstream = Upstream::start(Scripted::with(|seen, socket| {
        let answer = match (seen.method.as_str(), seen.target.as_str()) {
            ("HEAD", _) => "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: \"x\"\r\n\r\n",
            (_, "/204") => "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
            (_, "/304") => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 1234\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        };
        socket.write_all(answer.as_bytes()).is_ok()
    }));
    let keyward = in_front_of(&upstream);
    let key = bearer(&keyward.first_key());
    // All on one connection: a body that should not be there would be taken for the next answer.
    let mut socket = Socket::connect(&keyward.gateway_address());
    socket.send(head("HEAD", "/", &[&key]));
    let text = read_head(&mut socket);
    assert!(
        text.starts_with("HTTP/1.1 200") && text.to_ascii_lowercase().contains("content-length: 1234"),
        "{text}"
    );
    for (method, target, status) in [("GET", "/204", 204), ("GET", "/304", 304), ("GET", "/", 200)] {
        socket.send(head(method, target, &[&key]));
        assert_eq!(socket.answer().unwrap().status, status, "{target}");
    }
    socket.send(head("HEAD", "/", &["Authorization: Bearer garbage"]));
    assert!(read_head(&mut socket).starts_with("HTTP/1.1 401"));
    socket.send(head("GET", "/", &[&key]));
    assert_eq!(socket.answer().unwrap().expect(200).text(), "ok");
}

/// Reads a head that no body follows.
fn read_head(socket: &mut Socket) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.extend(socket.some().expect("a whole head"));
    }
    String::from_utf8(read).unwrap()
}

#[test]
fn trailers_go_through_in_both_directions() {
    let upstream = Upstream::start(Scripted::with(|_, socket| {
        let answer = "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n";
        socket.write_all(answer.as_bytes()).is_ok()
    }));
    let keyward = in_front_of(&upstream);
    let mut socket = Socket::connect(&keyward.gateway_address());
    socket.send(head("GET", "/", &[&bearer(&keyward.first_key()), "TE: trailers"]));
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") || !read.windows(5).any(|five| five == b"\r\n0\r\n") {
        read.extend(socket.some().expect("an answer with its trailers"));
    }
    let text = String::from_utf8(read).unwrap().to_ascii_lowercase();
    assert!(text.contains("\r\n0\r\nx-sum: 42\r\n\r\n"), "{text}");

    let recorder = Recorder::start();
    let keyward = Keyward::dev_with("standard", &["--upstream", &recorder.url]);
    let key = bearer(&keyward.first_key());
    let start = head("POST", "/", &[&key, "Transfer-Encoding: chunked", "Trailer: X-Sum"]);
    exchange(&keyward.gateway_address(), format!("{start}2\r\nhi\r\n0\r\nX-Sum: 42\r\n\r\n")).unwrap().expect(200);
    let seen = recorder.last();
    assert_eq!(seen.body, b"hi");
    let has_sum = |(name, value): &(String, String)| name.eq_ignore_ascii_case("x-sum") && value == "42";
    assert!(seen.trailers.iter().any(has_sum), "{seen:?}");
}

#[test]
fn expect_100_continue_is_answered_only_to_those_who_may_go_on() {
    let recorder = Recorder::start();
    let keyward = Keyward::dev_with("standard", &["--upstream", &recorder.url]);
    let key = bearer(&keyward.first_key());
    let mut socket = Socket::connect(&keyward.gateway_address());
    socket.send(head("POST", "/", &[&key, "Expect: 100-continue", "Content-Length: 4"]));
    socket.answer().expect("100, before the body").expect(100);
    socket.send("body");
    socket.answer().unwrap().expect(200);
    assert_eq!(recorder.last().body, b"body");

    let mut refused = Socket::connect(&keyward.gateway_address());
    refused.send(head(
        "POST",
        "/",
        &["Authorization: Bearer garbage", "Expect: 100-continue", "Content-Length: 4"],
    ));
    refused.answer().expect("a refusal instead of 100").expect(401);
    let mut large = Socket::connect(&keyward.gateway_address());
    large.send(head("POST", "/", &[&key, "Expect: 100-continue", "Content-Length: 10000000000"]));
    large.answer().expect("a refusal instead of 100").expect(413);
    assert_eq!(recorder.requests().len(), 1);
}

#[test]
fn http_1_0_and_connection_close_end_the_connection() {
    let upstream = Upstream::start(Scripted::json(200, "{}"));
    let keyward = in_front_of(&upstream);
    let key = bearer(&keyward.first_key());
    for request in
        [head("GET", "/", &[&key, "Connection: close"]), head("GET", "/", &[&key]).replace("HTTP/1.1", "HTTP/1.0")]
    {
        let mut socket = Socket::connect(&keyward.gateway_address());
        socket.send(request);
        socket.answer().unwrap().expect(200);
        assert!(socket.is_ended());
    }
    let seen: Vec<Seen> = upstream.seen();
    assert!(
        seen.iter().all(|seen| seen.header("connection").is_none_or(|value| value != "close")),
        "theirs is not ours"
    );
}

#[test]
fn http_2_comes_in_with_prior_knowledge() {
    let recorder = Recorder::start();
    let keyward = Keyward::dev_with("standard", &["--upstream", &recorder.url]);
    let client = Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let url = format!("{}/v1/hello?a=1", keyward.started.gateway_url);
    let key = keyward.first_key().secret;
    let response = client.post(&url).bearer_auth(&key).body("over two").send().unwrap();
    assert_eq!((response.version(), response.status()), (reqwest::Version::HTTP_2, reqwest::StatusCode::OK));
    assert!(response.headers().contains_key("x-request-id"));
    assert_eq!(response.text().unwrap(), "ok");
    let seen = recorder.last();
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str(), &seen.body[..]),
        ("POST", "/v1/hello?a=1", &b"over two"[..])
    );
    assert_eq!(seen.all("x-keyward-key-id"), [keyward.started.key_id.as_str()]);
    assert_eq!(client.get(&url).bearer_auth("garbage").send().unwrap().status(), 401);

    // Many at once on one connection, each answered for itself.
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..20)
            .map(|n| {
                let (client, url, key) = (&client, &url, if n % 2 == 0 { key.as_str() } else { "garbage" });
                scope.spawn(move || client.get(url).bearer_auth(key).send().unwrap().status().as_u16())
            })
            .collect();
        for (n, asked) in asked.into_iter().enumerate() {
            assert_eq!(asked.join().unwrap(), if n % 2 == 0 { 200 } else { 401 });
        }
    });
    let verify = client
        .post(format!("{}/v1/verify", keyward.started.check_url))
        .bearer_auth(&keyward.started.management_key);
    let response = verify.json(&json!({"key": key})).send().unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert_eq!(response.json::<serde_json::Value>().unwrap()["valid"], true);
}
