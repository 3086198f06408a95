//! Where proxied requests may go: what leads into the machine's own networks is not connected to, however it is written.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::{key_of, keyward, proxied, refused, send_to, with_destination};
use crate::harness::{Keyward, Scripted, Upstream};

/// A listener on every address of this machine that counts who connects.
fn counting() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&count);
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, count)
}

#[test]
fn h14_nothing_in_here_is_connected_to_however_it_is_written() {
    let keyward = Keyward::dev("qanapi");
    let key = key_of(&keyward, keyward.project());
    let (port, connections) = counting();
    let path = format!("/v1/projects/{}/destination", keyward.project());
    let (mut accepted, mut refused_at_once) = (0, 0);
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::127.0.0.1]",
    ] {
        for scheme in ["http", "https"] {
            let url = json!({"url": format!("{scheme}://{host}:{port}/latest")});
            let set = keyward.control(reqwest::Method::PUT, &path, Some(url));
            if set.status != 200 {
                assert_eq!(set.status, 422, "{host}: {}", set.text);
                refused_at_once += 1;
                continue;
            }
            accepted += 1;
            let answer = keyward.send(&proxied(keyward.project(), &key, "a", r#"{"a":1}"#));
            let is_refused =
                answer.status == 403 && answer.text().contains("cannot be sent on to this destination");
            assert!(is_refused || answer.status == 502, "{scheme}://{host}: {}{}", answer.head, answer.text());
        }
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
    assert!(refused_at_once > 20 && refused_at_once + accepted == 56, "{refused_at_once} {accepted}");
}

#[test]
fn h14_a_request_names_places_at_or_below_the_projects_destination_only() {
    let (keyward, destination, key) = with_destination();
    let elsewhere = Upstream::start(Scripted::json(200, "{}"));
    let to = |url: &str| {
        keyward.send(&proxied(keyward.project(), &key, "a", r#"{"a":1}"#).with("X-Qanapi-Destination", url))
    };
    let cannot = refused(403, "The request cannot be sent on to this destination");
    let base = format!("{}/base", destination.url);
    for url in [
        elsewhere.url.clone(),
        destination.url.clone(),
        format!("{}/bases", destination.url),
        format!("{base}/../x"),
        format!("{base}/%2e%2e/x"),
        format!("{base}?x"),
        base.replace("http://", "https://"),
        base.replace("http://", "http://user@"),
        "http://169.254.169.254/base".into(),
        "nonsense".into(),
        String::new(),
    ] {
        to(&url).expect_refused(&cannot);
    }
    assert_eq!((destination.count(), elsewhere.count()), (0, 0));
    to(&base).expect(201);
    to(&format!("{base}/below/it")).expect(201);
    assert_eq!(destination.last().target, "/base/below/it");
    // A project that has none can name none.
    let (other, _) = keyward.new_project("Other");
    let theirs = key_of(&keyward, &other);
    let named = proxied(&other, &theirs, "a", r#"{"a":1}"#).with("X-Qanapi-Destination", &base);
    keyward.send(&named).expect_refused(&cannot);
    assert_eq!(destination.count(), 2);
}

#[test]
fn a_destination_that_is_away_is_told_of_and_another_one_holds_at_once() {
    let keyward = keyward();
    let key = key_of(&keyward, keyward.project());
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    send_to(&keyward, keyward.project(), &format!("http://{nobody}"));
    let ask = || keyward.send(&proxied(keyward.project(), &key, "a", r#"{"a":1}"#));
    ask().expect_refused(&refused(502, "The API cannot be reached"));
    let here = Upstream::start(Scripted::json(200, "{}"));
    send_to(&keyward, keyward.project(), &here.url);
    ask().expect(200);
    assert_eq!(here.count(), 1);
    let path = format!("/v1/projects/{}/destination", keyward.project());
    keyward.delete(&path).expect(200);
    assert!(ask().expect(200).text().contains("qanapi:"), "without a destination the document is the answer");
    assert_eq!(here.count(), 1);
}

#[test]
fn h14_https_goes_to_the_name_it_was_set_for() {
    // Whoever listens there has no certificate for it: nothing is sent.
    let keyward = keyward();
    let key = key_of(&keyward, keyward.project());
    let plain = Upstream::start(Scripted::json(200, "{}"));
    send_to(&keyward, keyward.project(), &plain.url.replace("http://", "https://"));
    keyward.send(&proxied(keyward.project(), &key, "a", r#"{"a":1}"#)).expect(502);
    // What it took for a request, if anything, is the beginning of a handshake.
    let is_request = |text: &str| text.contains("POST") || text.contains("qanapi:");
    assert!(!plain.seen().iter().any(|seen| is_request(&seen.text())), "{:?}", plain.seen());
}

#[test]
fn a_destination_is_set_shown_and_cleared_by_the_command_line() {
    let keyward = keyward();
    let destination = Upstream::start(Scripted::json(201, r#"{"ok":true}"#));
    let project = keyward.project();
    let run = |arguments: &[&str]| {
        let (code, out, err) = keyward.cli(&[&["project", "destination"], arguments].concat());
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    };
    assert!(run(&["set", project, &destination.url]).contains(&destination.url));
    assert!(run(&["show", project]).contains(&destination.url));
    let key = key_of(&keyward, project);
    let sent = keyward.send(&proxied(project, &key, "a", r#"{"a":1}"#));
    assert_eq!((sent.status, destination.count()), (201, 1), "{}", sent.text());
    run(&["clear", project]);
    let kept = keyward.send(&proxied(project, &key, "a", r#"{"a":1}"#));
    assert_eq!((kept.status, destination.count()), (200, 1), "{}", kept.text());
}
