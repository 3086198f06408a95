//! More sockets than there is room for (S13): each listener has its share of the process's descriptors, what comes beyond
//! is closed and counted, and health, metrics and whoever was there before are served on.

use std::net::TcpStream;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

use super::{bearer, head};
use crate::harness::raw::Socket;
use crate::harness::{Keyward, Scripted, Upstream, eventually};
use serde_json::json;

/// Descriptors that this test keeps for itself.
const OWN: usize = 300;

/// As many open files as this process may have.
pub fn raise_ours() -> usize {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    limit.maximum.unwrap_or(1 << 20) as usize
}

/// How many files a process may open, as the system says: the limit in force and the highest.
fn limits_of(pid: u32) -> (u64, u64) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let mut numbers = line.split_whitespace().filter_map(|word| word.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// What a metric's line says, 0 where there is none.
fn metric(metrics: &str, line: &str) -> f64 {
    let found = metrics.lines().find_map(|own| own.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or(0.0)
}

#[test]
fn s13_20_000_sockets_leave_health_and_those_who_are_there_alone() {
    let most = raise_ours().min(20_000 + OWN) - OWN;
    let upstream = Upstream::start(Scripted::json(200, "{}"));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let arguments = ["--upstream", &upstream.url, "--ops-listen", &free];
    // Whoever is silent stays, so that all of them are there at once.
    let env = [("KEYWARD_GATEWAY_HEADER_TIMEOUT_SECONDS", "600")];
    let keyward = Keyward::dev_with_env("standard", &arguments, &env);
    let ops = |path: &str| keyward.http.get(format!("http://{free}{path}")).send().unwrap();
    let key = bearer(&keyward.first_key());
    let asked = json!({"key": keyward.first_key().secret}).to_string();
    let management = format!("Authorization: Bearer {}", keyward.started.management_key);
    let length = format!("Content-Length: {}", asked.len());
    let question = format!("{}{asked}", head("POST", "/v1/verify", &[&management, &length]));
    let mut there: Vec<(Socket, String)> = vec![
        (Socket::connect(&keyward.gateway_address()), head("GET", "/v1/hello", &[&key])),
        (Socket::connect(&keyward.check_address()), question),
    ];
    let mut served = || {
        for (socket, request) in &mut there {
            socket.send(&request);
            socket.answer().expect("who was there before is served").expect(200);
        }
        assert!(ops("/readyz").status().is_success());
        ops("/metrics").text().unwrap()
    };
    served();
    let addresses = [keyward.gateway_address(), keyward.check_address()];
    let mut crowd = Vec::new();
    for n in 0..most {
        crowd.push(TcpStream::connect(&addresses[n % 2]).unwrap());
        if n % 2000 == 0 {
            served();
        }
    }
    let seen = eventually("every socket is taken or turned away", || {
        let metrics = served();
        let sum = |name: &str| {
            ["gateway", "check"]
                .map(|door| metric(&metrics, &format!("{name}{{door=\"{door}\"}}")))
                .iter()
                .sum::<f64>()
        };
        let (open, refused) = (sum("keyward_connections"), sum("keyward_connections_refused_total"));
        (open + refused >= (most + 2) as f64).then_some((open, refused))
    });
    let (limit, _) = limits_of(keyward.pid());
    if (limit as usize) < 2 * most {
        assert!(seen.1 > 0.0, "there is not room for all: {seen:?}");
    }
    assert!(open_files(keyward.pid()) + 500 < limit as usize, "descriptors are left for the store and health");
    // The store writes, the control plane answers.
    keyward.make(keyward.project(), json!({"name": "meanwhile"}));
    drop(crowd);
    eventually("there is room again", || {
        let mut socket = TcpStream::connect(&addresses[0]).ok().map(|_| Socket::connect(&addresses[0]))?;
        socket.send(head("GET", "/v1/hello", &[&key]));
        Some(socket.answer()?.expect(200))
    });
}

#[test]
fn s13_open_files_are_raised_as_far_as_they_may() {
    let highest = raise_ours() as u64;
    setrlimit(Resource::Nofile, Rlimit { current: Some(512), maximum: Some(highest) }).unwrap();
    let keyward = Keyward::dev("standard");
    assert_eq!(limits_of(keyward.pid()), (highest, highest));
}

#[test]
fn s13_without_a_descriptor_left_nothing_spins_and_nothing_stops() {
    let upstream = Upstream::start(Scripted::json(200, "{}"));
    let keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    let key = bearer(&keyward.first_key());
    let mut there = Socket::connect(&keyward.gateway_address());
    let mut served = |what: &str| {
        there.send(head("GET", "/v1/hello", &[&key]));
        there.answer().expect(what).expect(200);
    };
    served("before");
    let pid = Pid::from_raw(keyward.pid() as i32);
    let set =
        |files: u64, maximum: Option<u64>| prlimit(pid, Resource::Nofile, Rlimit { current: Some(files), maximum });
    let before = set(open_files(keyward.pid()) as u64, getrlimit(Resource::Nofile).maximum).unwrap();
    let doors = [keyward.gateway_address(), keyward.check_address()];
    let mut waiting: Vec<Socket> = doors.iter().cycle().take(20).map(|address| Socket::connect(address)).collect();
    let told = || keyward.stderr().matches("connections cannot be accepted for the moment").count();
    eventually("both doors say that they cannot accept", || {
        served("who has a connection is served");
        (told() == 2).then_some(())
    });
    for _ in 0..50 {
        served("who has a connection is served");
    }
    assert_eq!(told(), 2, "it is said once, not at every attempt");
    set(before.current.unwrap(), before.maximum).unwrap();
    for socket in waiting.iter_mut().step_by(2) {
        socket.send(head("GET", "/v1/hello", &[&key]));
        socket.answer().expect("who waited is served").expect(200);
    }
}
