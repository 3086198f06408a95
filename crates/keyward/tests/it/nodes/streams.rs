//! What is open with a key on another node ends with it, before the call that ends the key returns: also where that node
//! is cut off, and only its lease tells it (trust.md L09).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::cluster::{Cluster, durable};
use super::link::State;
use crate::harness::{Key, Scripted, Seen, Upstream};

/// An upstream whose stream never ends of itself: every few milliseconds a line with the time.
fn clockwork() -> (Upstream, Instant) {
    let start = Instant::now();
    let script = move |_: &Seen, socket: &mut TcpStream| {
        let mut is_open = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").is_ok();
        while is_open {
            is_open = write!(socket, "data: {}\n\n", start.elapsed().as_micros()).is_ok();
            std::thread::sleep(Duration::from_millis(2));
        }
        false
    };
    (Upstream::start(Scripted::with(script)), start)
}

fn cluster(upstream: &Upstream) -> Cluster {
    let upstreams = format!("standard={}", upstream.url);
    let settings = [("KEYWARD_NODE_LEASE_MILLISECONDS", "1000"), ("KEYWARD_GATEWAY_UPSTREAMS", &*upstreams)];
    Cluster::of(3, durable(), &settings)
}

/// Reads a stream through a node's gateway to its end, on a thread; when the upstream wrote the last line that came.
fn follow(cluster: &Cluster, node: usize, key: &Key) -> std::thread::JoinHandle<u128> {
    let address = cluster.nodes[node].addresses.gateway_url.trim_start_matches("http://").to_owned();
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(socket, "GET /events HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {}\r\n\r\n", key.secret).unwrap();
    let mut text = String::new();
    let mut part = [0; 4096];
    while !text.contains("data: ") {
        let length = socket.read(&mut part).unwrap();
        assert!(length > 0, "the stream did not begin: {text}");
        text.push_str(&String::from_utf8_lossy(&part[..length]));
    }
    std::thread::spawn(move || {
        while let Ok(length @ 1..) = socket.read(&mut part) {
            text.push_str(&String::from_utf8_lossy(&part[..length]));
        }
        let times = text.split("data: ").filter_map(|line| line.split('\n').next()?.parse().ok());
        times.max().expect("a line with a time")
    })
}

#[test]
fn l09_streams_on_every_node_are_cut_before_a_revoke_returns() {
    let (upstream, start) = clockwork();
    let cluster = cluster(&upstream);
    let key = cluster.make_key(0);
    let streams: Vec<_> = (0..9).map(|number| follow(&cluster, number % 3, &key)).collect();
    cluster.revoke(0, &key.id).expect(200);
    let returned = start.elapsed().as_micros();
    for (number, stream) in streams.into_iter().enumerate() {
        let last = stream.join().unwrap();
        assert!(last <= returned, "on node {} it flowed {} µs longer", number % 3, last - returned);
    }
}

#[test]
fn l09_a_node_that_is_cut_off_ends_its_streams_with_its_lease() {
    let (upstream, start) = clockwork();
    let cluster = cluster(&upstream);
    let (key, bystander) = (cluster.make_key(0), cluster.make_key(0));
    let here = follow(&cluster, 0, &bystander);
    let there = follow(&cluster, 2, &key);
    cluster.nodes[2].link.set(State::Quiet);
    let answer = cluster.revoke(0, &key.id).expect(200).json();
    let returned = start.elapsed().as_micros();
    assert_eq!(answer["in_force"]["by"], "lease_expired", "{answer}");
    let last = there.join().unwrap();
    assert!(last <= returned, "it flowed {} µs longer", last.saturating_sub(returned));
    // Where the lease holds, what is open stays so.
    assert!(!here.is_finished());
    cluster.nodes[2].link.set(State::Open);
    cluster.revoke(0, &bystander.id);
    here.join().unwrap();
}
