//! The API behind the gateway: connections to it are kept, and when it is down, slow or out of its mind the
//! caller gets the contract's answer.

use std::io::Write;
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::recorder::Recorder;
use super::{bearer, head};
use crate::harness::raw::{Answer, Socket, exchange};
use crate::harness::{Keyward, Scripted, Upstream};

fn get(keyward: &Keyward, target: &str) -> Answer {
    exchange(&keyward.gateway_address(), head("GET", target, &[&bearer(&keyward.first_key())])).expect("an answer")
}

#[test]
fn connections_to_the_upstream_are_used_again() {
    let recorder = Recorder::start();
    let keyward = Keyward::dev_with("standard", &["--upstream", &recorder.url]);
    let mut socket = Socket::connect(&keyward.gateway_address());
    let key = bearer(&keyward.first_key());
    for _ in 0..50 {
        socket.send(head("GET", "/", &[&key]));
        socket.answer().unwrap().expect(200);
    }
    assert_eq!((recorder.requests().len(), recorder.connections()), (50, 1));
    // Callers come and go, the connections behind stay: at most one for each of the gateway's threads.
    for _ in 0..50 {
        get(&keyward, "/").expect(200);
    }
    let threads = std::thread::available_parallelism().unwrap().get();
    assert!(recorder.connections() <= threads + 1, "{} connections", recorder.connections());
}

#[test]
fn an_upstream_that_is_down_is_502_in_the_contracts_words() {
    // Bound and closed again: nobody listens there now.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for preset in ["standard", "getprofile"] {
        let keyward = Keyward::dev_with(preset, &["--upstream", &format!("http://{address}")]);
        let refused = keyward.terms().refusal("upstream_unreachable");
        assert_eq!(refused.status, 502);
        get(&keyward, "/v1/hello").expect_refused(&refused);
        // Who may not even ask does not learn whether it is up.
        let answer = exchange(&keyward.gateway_address(), head("GET", "/", &["Authorization: Bearer garbage"]));
        answer.unwrap().expect_refused(&keyward.terms().refusal("unknown_key"));
    }
}

#[test]
fn an_upstream_that_closes_instead_of_answering_is_502() {
    for said in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: x\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n",
    ] {
        let upstream = Upstream::start(Scripted::with(move |_, socket| {
            let _ = socket.write_all(said.as_bytes());
            false
        }));
        let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
        get(&keyward, "/").expect_refused(&keyward.terms().refusal("upstream_unreachable"));
        assert_eq!(upstream.count(), 1, "{said:?}: nothing is sent twice");
    }
}

#[test]
fn an_upstream_that_is_slow_is_504_in_the_contracts_words() {
    let (release, held) = channel::<()>();
    let held = std::sync::Mutex::new(held);
    let upstream = Upstream::start(Scripted::with(move |_, _| held.lock().unwrap().recv().is_ok()));
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    keyward.amend("[gateway]\ntimeout = \"1s\"");
    let began = Instant::now();
    get(&keyward, "/").expect_refused(&keyward.terms().refusal("upstream_timeout"));
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}");
    drop(release);
}

#[test]
fn an_answer_that_stalls_is_cut_off() {
    let (release, held) = channel::<()>();
    let held = std::sync::Mutex::new(held);
    let upstream = Upstream::start(Scripted::with(move |_, socket| {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        held.lock().unwrap().recv().is_ok()
    }));
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    keyward.amend("[gateway]\nidle_timeout = \"1s\"");
    let mut socket = Socket::connect(&keyward.gateway_address());
    socket.send(head("GET", "/", &[&bearer(&keyward.first_key())]));
    let began = Instant::now();
    assert!(socket.is_ended(), "the stream is cut");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    drop(release);
}

#[test]
fn h19_an_answer_with_an_endless_head_is_502_and_never_held() {
    let upstream = Upstream::start(Scripted::with(|_, socket| {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n");
        let line = format!("X-Large: {}\r\n", "v".repeat(16_000));
        while socket.write_all(line.as_bytes()).is_ok() {}
        false
    }));
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    let before = super::resident_bytes(keyward.pid());
    get(&keyward, "/").expect_refused(&keyward.terms().refusal("upstream_unreachable"));
    let grown = super::resident_bytes(keyward.pid()).saturating_sub(before);
    assert!(grown < 8 * 1024 * 1024, "grew by {grown} bytes");
}

#[test]
fn h19_an_upgrade_that_nobody_asked_for_is_502() {
    let upstream = Upstream::start(Scripted::with(|_, socket| {
        let _ = socket
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: evil\r\n\r\nraw");
        false
    }));
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    get(&keyward, "/").expect_refused(&keyward.terms().refusal("upstream_unreachable"));
}

#[test]
fn h08_a_surplus_answer_of_the_upstream_reaches_nobody() {
    let upstream = Upstream::start(Scripted::with(|seen, socket| {
        let own = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", seen.target.len(), seen.target);
        let surplus = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned";
        socket.write_all(format!("{own}{surplus}").as_bytes()).is_ok()
    }));
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    let key = bearer(&keyward.first_key());
    let mut socket = Socket::connect(&keyward.gateway_address());
    for n in 0..20 {
        let target = format!("/{n}");
        socket.send(head("GET", &target, &[&key]));
        assert_eq!(socket.answer().unwrap().expect(200).text(), target);
        assert_eq!(get(&keyward, "/other").expect(200).text(), "/other");
    }
}

#[test]
fn a_kept_connection_that_the_upstream_closed_is_no_error() {
    let upstream = Upstream::start(Scripted::with(|_, socket| {
        // Says nothing of closing, and closes.
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        false
    }));
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    let mut socket = Socket::connect(&keyward.gateway_address());
    let key = bearer(&keyward.first_key());
    for _ in 0..30 {
        socket.send(head("GET", "/", &[&key]));
        assert_eq!(socket.answer().unwrap().expect(200).text(), "ok");
        // Until the upstream's end is seen, the connection may look open; what is asked next must not depend on it.
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn answers_without_a_length_end_with_their_connection() {
    let upstream = Upstream::start(Scripted::with(|_, socket| {
        let _ = socket.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end");
        false
    }));
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    for _ in 0..3 {
        assert_eq!(get(&keyward, "/").expect(200).text(), "until the end");
    }
}

#[test]
fn informational_answers_do_not_confuse_the_real_one() {
    let upstream = Upstream::start(Scripted::with(|_, socket| {
        let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
        socket.write_all(format!("{early}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").as_bytes()).is_ok()
    }));
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    for _ in 0..3 {
        assert_eq!(get(&keyward, "/").expect(200).text(), "ok");
    }
}
