//! `rates.server` with a real Valkey or Redis (S10): rates that are shared while it answers, this node's share while
//! it does not, and back again.

use std::time::{Duration, Instant};

use serde_json::json;

use super::counter_server::CounterServer;
use crate::harness::{Keyward, Request, eventually, offline};

/// A Keyward whose rates are in this server.
fn sharing(server: &CounterServer) -> Keyward {
    Keyward::dev_with_env("getprofile", &[], &[("KEYWARD_RATES_SERVER", &server.url())])
}

fn is_up(keyward: &Keyward) -> bool {
    let metrics = keyward.get("/metrics").expect(200).text;
    let line = metrics.lines().find_map(|line| line.strip_prefix("keyward_shared_rates_up "));
    match line.unwrap_or_else(|| panic!("the metric is not told: {metrics}")) {
        "1" => true,
        "0" => false,
        other => panic!("keyward_shared_rates_up is {other}"),
    }
}

/// Asks through the gateway: the status, and whether the answer says that rates are this node's share only.
fn ask(keyward: &Keyward, secret: &str) -> (u16, bool) {
    let request = Request::get("/v1/profile/a").with("Authorization", &format!("Bearer {secret}"));
    let answer = keyward.send(&request);
    let told = answer.header("x-keyward-limits");
    assert!(told.is_none_or(|told| told == "degraded"), "{}", answer.head);
    (answer.status, told.is_some())
}

#[test]
fn s10_the_rates_server_goes_and_comes_back_and_requests_are_served_throughout() {
    let mut server = CounterServer::start();
    let keyward = sharing(&server);
    let secret = keyward.first_key().secret;
    keyward.set_limits(keyward.project(), json!({"requests": {"limit": 600, "burst": 600}}));
    eventually("rates are shared", || (ask(&keyward, &secret) == (200, false)).then_some(()));
    assert!(is_up(&keyward));
    server.kill();
    eventually("answers say so", || match ask(&keyward, &secret) {
        (200, is_degraded) => is_degraded.then_some(()),
        (other, _) => panic!("{other} while the server is down"),
    });
    assert!(!is_up(&keyward));
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(ask(&keyward, &secret), (200, true));
    }
    assert!(began.elapsed() < Duration::from_secs(2), "20 requests without the server took {:?}", began.elapsed());
    server.restart();
    let back = Instant::now();
    eventually("rates are shared again", || (ask(&keyward, &secret) == (200, false)).then_some(()));
    assert!(back.elapsed() < Duration::from_secs(5), "it took {:?}", back.elapsed());
    assert!(is_up(&keyward));
}

#[test]
fn s10_a_server_that_stops_answering_is_not_waited_for() {
    let server = CounterServer::start();
    let keyward = sharing(&server);
    let secret = keyward.first_key().secret;
    keyward.set_limits(keyward.project(), json!({"requests": {"limit": 600, "burst": 600}}));
    eventually("rates are shared", || (ask(&keyward, &secret) == (200, false)).then_some(()));
    server.pause();
    eventually("answers say so", || (ask(&keyward, &secret) == (200, true)).then_some(()));
    assert!(!is_up(&keyward));
    server.resume();
    let back = Instant::now();
    eventually("rates are shared again", || (ask(&keyward, &secret) == (200, false)).then_some(()));
    assert!(back.elapsed() < Duration::from_secs(5), "it took {:?}", back.elapsed());
}

#[test]
fn s10_a_node_starts_and_serves_where_the_server_cannot_be_reached() {
    let mut server = CounterServer::start();
    server.kill();
    let keyward = sharing(&server);
    let secret = keyward.first_key().secret;
    assert_eq!(ask(&keyward, &secret), (200, true));
    assert!(!is_up(&keyward));
    server.restart();
    eventually("rates are shared", || (ask(&keyward, &secret) == (200, false)).then_some(()));
}

#[test]
fn q06_a_rate_is_one_over_a_restart_of_the_node() {
    let server = CounterServer::start();
    let mut keyward = sharing(&server);
    let secret = keyward.first_key().secret;
    eventually("rates are shared", || (!ask(&keyward, &secret).1).then_some(()));
    keyward.set_limits(keyward.project(), json!({"requests": {"limit": 1, "burst": 4}}));
    let mut granted = 0;
    while ask(&keyward, &secret).0 == 200 {
        granted += 1;
        assert!(granted <= 4);
    }
    keyward.kill();
    keyward.restart_with_env(&[("KEYWARD_RATES_SERVER", &server.url())]);
    eventually("rates are shared", || (!ask(&keyward, &secret).1).then_some(()));
    assert_eq!(ask(&keyward, &secret), (429, false), "starting again refilled the rate");
}

#[test]
fn a_server_that_is_none_and_a_password_in_the_open_are_refused_at_start() {
    let keyward = Keyward::dev("standard");
    let (dir, before) = (keyward.dir(), keyward.folder().to_owned());
    let cases = [
        ("localhost:6379", "redis://"),
        ("http://127.0.0.1:6379", "redis://"),
        ("redis://", "redis://"),
        ("redis://:hunter2@127.0.0.1:6379/0", "rates.password_file"),
        ("redis://me:hunter2@127.0.0.1:6379/0", "rates.password_file"),
    ];
    for (url, word) in cases {
        let ran = offline::run_with_env(&before.join("fresh"), &["serve"], &[("KEYWARD_RATES_SERVER", url)]);
        let ran = ran.expect_refused(&["rates.server", word]);
        assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    }
    assert!(dir.exists());
}
