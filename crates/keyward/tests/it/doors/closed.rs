//! Nothing passes where nothing was decided: Keyward killed, or too slow.

use std::net::TcpListener;
use std::time::Instant;

use super::proxy::{Around, Kind, Proxy};
use super::world::World;
use crate::harness::raw::Socket;
use crate::harness::{Request, Scripted, Upstream};

const TRIES: usize = 50;

#[test]
fn h13_nothing_passes_while_keyward_is_gone_and_all_does_when_it_is_back() {
    let mut world = World::new("getprofile");
    let key = world.keyward.first_key();
    let request = Request::get("/v1/profile/a").with("Authorization", &format!("Bearer {}", key.secret));
    for proxy in &world.proxies {
        proxy.send(&request).expect(200);
    }
    world.keyward.kill();
    let before = world.upstream.count();
    for proxy in &world.proxies {
        for _ in 0..TRIES {
            let answer = proxy.send(&request);
            let is_refusal = answer.status == 403 || (500..=504).contains(&answer.status);
            assert!(is_refusal, "{:?}: {}", proxy.kind, answer.head);
        }
    }
    assert_eq!(world.upstream.count(), before);
}

#[test]
fn h13_an_answer_that_does_not_come_is_a_refusal() {
    // Takes connections and says nothing, ever.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let check = silent.local_addr().unwrap().to_string();
    let upstream = Upstream::start(Scripted::json(200, "{}"));
    let place = upstream.url.trim_start_matches("http://");
    let around = Around { check: &check, upstream: place, api: "getprofile" };
    std::thread::scope(|threads| {
        for kind in Kind::ALL {
            threads.spawn(move || {
                let proxy = Proxy::start(kind, around);
                let begun = Instant::now();
                let answer = proxy.send(&Request::get("/v1/profile/a").with("Authorization", "Bearer gp_x"));
                let is_refusal = answer.status == 403 || (500..=504).contains(&answer.status);
                assert!(is_refusal, "{kind:?}: {}", answer.head);
                // Traefik has no setting for it and waits for thirty seconds.
                let most = if kind == Kind::Traefik { 40 } else { 10 };
                assert!(begun.elapsed().as_secs() < most, "{kind:?} took {:?}", begun.elapsed());
            });
        }
    });
    assert_eq!(upstream.count(), 0);
}

#[test]
fn h13_garbage_in_place_of_a_decision_is_a_refusal() {
    for (status, body) in [(500, "{}"), (302, "{}"), (404, "{}"), (429, "{}"), (503, "{}")] {
        let check = Upstream::start(Scripted::json(status, body));
        let upstream = Upstream::start(Scripted::json(200, "{}"));
        let place = |of: &Upstream| of.url.trim_start_matches("http://").to_owned();
        let (check_place, upstream_place) = (place(&check), place(&upstream));
        let around = Around { check: &check_place, upstream: &upstream_place, api: "getprofile" };
        for kind in [Kind::Nginx, Kind::Caddy, Kind::Traefik, Kind::EnvoyHttp] {
            let proxy = Proxy::start(kind, around);
            let mut socket = Socket::connect(&proxy.address);
            socket.send(Request::get("/v1/profile/a").bytes(&proxy.address));
            let answered = socket.answer().map(|answer| answer.status);
            assert!(answered.is_none_or(|status| status >= 300), "{kind:?} {status}: {answered:?}");
            assert_eq!(upstream.count(), 0, "{kind:?} let a request pass on {status}");
        }
    }
}
