//! A stop lets what is under way finish, takes nothing new, and ends the process well.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use super::{bearer, head};
use crate::harness::raw::Socket;
use crate::harness::{Keyward, Scripted, Upstream, eventually};
use serde_json::json;

/// Asks the process to stop, without waiting for it.
fn terminate(keyward: &Keyward) {
    let pid = rustix::process::Pid::from_raw(keyward.pid().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

#[test]
fn s15_a_running_answer_finishes_and_nothing_new_begins() {
    let (release, held) = channel::<()>();
    let held = Mutex::new(held);
    let upstream = Upstream::start(Scripted::with(move |_, socket| {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfirst");
        held.lock().unwrap().recv().is_ok() && socket.write_all(b"second").is_ok()
    }));
    let mut keyward = Keyward::dev_with("standard", &["--upstream", &upstream.url]);
    let addresses = [keyward.gateway_address(), keyward.check_address(), keyward.control_address()];
    let mut idle: Vec<Socket> = addresses.iter().map(|address| Socket::connect(address)).collect();
    let mut running = Socket::connect(&keyward.gateway_address());
    running.send(head("GET", "/v1/hello", &[&bearer(&keyward.first_key())]));
    let mut read = Vec::new();
    while !read.ends_with(b"first") {
        read.extend(running.some().expect("the answer's beginning"));
    }

    terminate(&keyward);
    for address in &addresses {
        eventually("no new connection is taken", || TcpStream::connect(address).is_err().then_some(()));
    }
    assert!(keyward.is_running(), "an answer is still under way");
    release.send(()).unwrap();
    while let Some(more) = running.some() {
        read.extend(more);
    }
    assert!(read.ends_with(b"firstsecond"), "{}", String::from_utf8_lossy(&read));
    let code = eventually("the process ends", || keyward.exit_code());
    assert_eq!(code, Some(0), "{}", keyward.stderr());
    assert!(idle.iter_mut().all(Socket::is_ended), "idle connections are closed");
}

#[test]
fn s15_requests_in_a_burst_all_get_an_answer_or_a_closed_door() {
    let mut keyward = Keyward::dev("standard");
    let key = bearer(&keyward.first_key());
    let address = keyward.gateway_address();
    let statuses = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut statuses = Vec::new();
                    // Until the door closes: a connection of its own for each request.
                    while let Ok(socket) = TcpStream::connect(&address) {
                        drop(socket);
                        let Some(answer) = crate::harness::raw::try_exchange(&address, head("GET", "/", &[&key]))
                        else {
                            break;
                        };
                        statuses.push(answer.status);
                    }
                    statuses
                })
            })
            .collect();
        std::thread::sleep(std::time::Duration::from_millis(200));
        terminate(&keyward);
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect::<Vec<u16>>()
    });
    assert!(!statuses.is_empty() && statuses.iter().all(|&status| status == 200), "{statuses:?}");
    eventually("the process ends", || (!keyward.is_running()).then_some(()));
}

#[test]
fn s15_what_never_ends_is_cut_off_after_the_drain() {
    let upstream = Upstream::start(Scripted::with(|_, socket| {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        std::thread::sleep(std::time::Duration::from_secs(60));
        false
    }));
    let env = [("KEYWARD_STOP_DRAIN_SECONDS", "1")];
    let mut keyward = Keyward::dev_with_env("standard", &["--upstream", &upstream.url], &env);
    let mut running = Socket::connect(&keyward.gateway_address());
    running.send(head("GET", "/", &[&bearer(&keyward.first_key())]));
    running.some().unwrap();
    let code = keyward.stop();
    assert_eq!(code, Some(0), "{}", keyward.stderr());
    assert!(running.is_ended());
}

#[test]
fn s15_a_stopped_node_finds_its_state_again() {
    let mut keyward = Keyward::dev("standard");
    let key = keyward.make(keyward.project(), json!({"name": "before"}));
    assert_eq!(keyward.stop(), Some(0), "{}", keyward.stderr());
    keyward.restart();
    assert!(keyward.is_valid(&key.secret));
}
