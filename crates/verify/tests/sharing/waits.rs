//! The server does not answer: killed, paused, or behind a wire that swallows all. Whoever is asking then waits once,
//! nobody after that, and everyone is answered.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::counter_server::CounterServer;
use crate::nodes::{Nodes, PATIENT, SHORT, Wire, until};

const NODES: usize = 3;
const CLIENTS: usize = 4;
/// Never reached: these tests are about waiting.
const RATE: &str =
    "[plans.one.rates.requests]\nlimit = 1000000000\nper = \"1s\"\nburst = 1000000000\nby = \"project\"\n";

/// Has the server go away under load and come back, and looks at what clients saw of it: answers all the way, and
/// with waits of `timeout` at most one for each of them.
async fn ride(nodes: Nodes, timeout: Duration, away: impl FnOnce(), back: impl FnOnce()) {
    // Nearly all of it: a task that the system let wait a little was not waiting for the server.
    let slow = timeout * 9 / 10;
    let load = nodes.load(CLIENTS, slow);
    until(PATIENT, async || load.counts.granted() > 500).await;
    let before = load.counts.slow_answers.load(Ordering::Relaxed);
    away();
    // Many times more than there are clients, of every node.
    until(PATIENT, async || load.counts.degraded() > 2_000).await;
    let slow = load.counts.slow_answers.load(Ordering::Relaxed) - before;
    let longest = load.counts.longest();
    back();
    let took = nodes.back().await;
    let counts = load.stop().await;
    eprintln!("away: {slow} slow, longest {longest:?}; back after {took:?}, longest then {:?}", counts.longest());
    if timeout > SHORT {
        assert!(slow <= NODES * CLIENTS, "{slow} waited, of {} that can have been asking", NODES * CLIENTS);
    }
    assert!(counts.longest() < timeout + Duration::from_millis(480), "{:?}", counts.longest());
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s10_a_server_that_is_killed_keeps_nobody_waiting() {
    let server = std::cell::RefCell::new(CounterServer::start());
    let url = server.borrow().url();
    let nodes = Nodes::start(RATE, &url, NODES, SHORT).await;
    ride(nodes, SHORT, || server.borrow_mut().kill(), || server.borrow_mut().restart()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s10_a_server_that_is_paused_keeps_nobody_waiting_for_long() {
    let server = CounterServer::start();
    let nodes = Nodes::start(RATE, &server.url(), NODES, SHORT).await;
    ride(nodes, SHORT, || server.pause(), || server.resume()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s10_a_wire_that_swallows_all_keeps_nobody_waiting_for_long() {
    let server = CounterServer::start();
    let wire = Wire::to(&server).await;
    let nodes = Nodes::start(RATE, &wire.url(), NODES, SHORT).await;
    ride(nodes, SHORT, || wire.cut(), || wire.mend()).await;
}

/// With a time so long that a busy machine is not taken for a server that does not answer: those who were asking wait,
/// each once, and nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s10_only_those_who_were_asking_wait_and_once() {
    const LONG: Duration = Duration::from_millis(600);
    let server = CounterServer::start();
    let nodes = Nodes::start(RATE, &server.url(), NODES, LONG).await;
    ride(nodes, LONG, || server.pause(), || server.resume()).await;
}
