//! Several upstreams of an API: requests go round among those that are well; one that gives no answer costs nobody
//! an answer where asking another is safe, and nothing is ever asked three times.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use support::Node;
use support::raw::{Raw, ask, get};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// An upstream that can be told to misbehave, and killed.
struct Member {
    address: SocketAddr,
    /// Heads of what was asked.
    heads: Arc<Mutex<Vec<String>>>,
    is_mute: Arc<AtomicBool>,
    is_unwell: Arc<AtomicBool>,
    serving: tokio::task::JoinHandle<()>,
}

impl Member {
    async fn start() -> Member {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heads, is_mute, is_unwell) = (Arc::default(), Arc::default(), Arc::default());
        let told = (Arc::clone(&heads), Arc::clone(&is_mute), Arc::clone(&is_unwell));
        let serving = tokio::spawn(async move {
            // Aborting the loop drops the set and with it every connection, as when a process is killed.
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(converse(stream, told.clone()));
            }
        });
        Member { address, heads, is_mute, is_unwell, serving }
    }

    fn count(&self, method: &str) -> usize {
        self.heads.lock().iter().filter(|head| head.starts_with(method) && !head.contains("/healthz")).count()
    }

    fn checks(&self) -> Vec<String> {
        self.heads.lock().iter().filter(|head| head.contains(" /healthz ")).cloned().collect()
    }

    async fn kill(self) {
        self.serving.abort();
        let _ = self.serving.await;
    }
}

type Told = (Arc<Mutex<Vec<String>>>, Arc<AtomicBool>, Arc<AtomicBool>);

async fn converse(mut stream: TcpStream, (heads, is_mute, is_unwell): Told) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.to_lowercase().split("content-length: ").nth(1).map_or(0, |rest| {
            rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<usize>().unwrap()
        });
        if stream.read_exact(&mut vec![0; length]).await.is_err() {
            return;
        }
        let is_check = head.contains(" /healthz ");
        heads.lock().push(head);
        let status = match is_check && is_unwell.load(Ordering::SeqCst) {
            true => "503 Unwell",
            false => "200 OK",
        };
        if !is_check && is_mute.load(Ordering::SeqCst) {
            return;
        }
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn members<const N: usize>() -> [Member; N] {
    let mut all = Vec::new();
    for _ in 0..N {
        all.push(Member::start().await);
    }
    all.try_into().ok().unwrap()
}

/// A node before these, whose contract says more; one worker, so that whose turn it is can be told.
async fn node(members: &[SocketAddr], more: &str) -> Node {
    let urls: Vec<_> = members.iter().map(|address| format!("\"http://{address}\"")).collect();
    // A plan without limits: what is counted here is requests.
    let source = format!(
        "schema = 1\nextends = \"standard\"\napi = \"standard\"\n[plans.standard]\ntitle = \"S\"\n\
         [gateway]\nupstreams = [{}]\n{more}\n",
        urls.join(", ")
    );
    Node::start_with(&source, members[0], |options| {
        options.default_upstream = None;
        options.workers = 1;
    })
    .await
}

fn with_body(method: &str, key: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Length: 4\r\n\r\nbody")
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_round() {
    let all = members::<3>().await;
    let node = node(&all.each_ref().map(|member| member.address), "").await;
    let key = node.key().await.secret;
    for _ in 0..9 {
        assert_eq!(ask(node.gateway, get("/", &key)).await.unwrap().status, 200);
    }
    for member in &all {
        assert_eq!(member.count("GET"), 3);
        let host = format!("host: {}", member.address);
        assert!(member.heads.lock().iter().all(|head| head.contains(&host)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_killed_under_load_and_no_idempotent_request_fails() {
    let [first, second] = members().await;
    let node = Arc::new(node(&[first.address, second.address], "").await);
    let key = node.key().await.secret;
    let (done, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let (node, key) = (Arc::clone(&node), key.clone());
        let (done, is_over) = (Arc::clone(&done), Arc::clone(&is_over));
        callers.spawn(async move {
            let mut raw = Raw::connect(node.gateway).await;
            while !is_over.load(Ordering::SeqCst) {
                raw.send(get("/", &key)).await;
                assert_eq!(raw.answer().await.unwrap().status, 200);
                done.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let until = async |count: usize| {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while done.load(Ordering::SeqCst) < count {
            assert!(tokio::time::Instant::now() < deadline, "the callers are served");
            tokio::task::yield_now().await;
        }
    };
    until(200).await;
    first.kill().await;
    let at_death = done.load(Ordering::SeqCst);
    until(at_death + 400).await;
    is_over.store(true, Ordering::SeqCst);
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    assert_eq!(node.engine.open_exchanges(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_idempotent_is_never_asked_twice() {
    let [first, second] = members().await;
    let node = node(&[first.address, second.address], "").await;
    let key = node.key().await.secret;
    first.is_mute.store(true, Ordering::SeqCst);
    second.is_mute.store(true, Ordering::SeqCst);
    for method in ["POST", "PATCH"] {
        for n in 1..=2 {
            assert_eq!(ask(node.gateway, with_body(method, &key)).await.unwrap().status, 502);
            assert_eq!(first.count(method) + second.count(method), n, "{method}");
        }
    }
    // Its body has gone through and cannot be had again.
    assert_eq!(ask(node.gateway, with_body("PUT", &key)).await.unwrap().status, 502);
    assert_eq!(first.count("PUT") + second.count("PUT"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_three_times() {
    let all = members::<3>().await;
    let node = node(&all.each_ref().map(|member| member.address), "").await;
    let key = node.key().await.secret;
    all.iter().for_each(|member| member.is_mute.store(true, Ordering::SeqCst));
    for n in 1..=4 {
        assert_eq!(ask(node.gateway, get("/", &key)).await.unwrap().status, 502);
        assert_eq!(all.iter().map(|member| member.count("GET")).sum::<usize>(), 2 * n);
        assert!(all.iter().all(|member| member.count("GET") <= n), "the second is never the first");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_connected_to_is_gone_around_whatever_the_body() {
    let [alive] = members().await;
    // Bound and closed again: nobody listens there.
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let node = node(&[dead, alive.address], "").await;
    let key = node.key().await.secret;
    // The first in turn is the dead one; nothing of the body was sent yet.
    assert_eq!(ask(node.gateway, with_body("PUT", &key)).await.unwrap().status, 200);
    for _ in 0..5 {
        // Gone around from now on: even what would not be asked again gets its answer.
        assert_eq!(ask(node.gateway, with_body("POST", &key)).await.unwrap().status, 200);
    }
    assert_eq!((alive.count("PUT"), alive.count("POST")), (1, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_try_costs_once() {
    let [first, second] = members().await;
    let quota =
        "[plans.standard]\ntitle = \"S\"\nquotas.calls = { limit = 100, per = \"lifetime\", by = \"project\" }\n";
    let urls = format!("upstreams = [\"http://{}\", \"http://{}\"]", first.address, second.address);
    let source = format!(
        "schema = 1\nextends = \"standard\"\napi = \"standard\"\n{quota}[gateway]\n{urls}\n\
         [limit_headers.own]\nX-Left = \"{{calls.remaining}}\"\n"
    );
    let node = Node::start_with(&source, first.address, |options| options.workers = 1).await;
    let key = node.key().await.secret;
    first.is_mute.store(true, Ordering::SeqCst);
    for n in 1..=6 {
        let answer = ask(node.gateway, get("/", &key)).await.unwrap();
        assert_eq!((answer.status, answer.headers["x-left"].clone()), (200, (100 - n).to_string()));
    }
    assert!(first.count("GET") > 0);
    assert_eq!(second.count("GET"), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_tell_who_is_well_and_carry_nothing_of_callers() {
    let [first, second] = members().await;
    let health = "[gateway.health]\npath = \"/healthz\"\ninterval = \"1s\"\ntimeout = \"1s\"\nunhealthy_after = 1\nhealthy_after = 1\n";
    let node = node(&[first.address, second.address], health).await;
    let key = node.key().await.secret;
    let serve_until = async |what: &str, done: &dyn Fn() -> bool| {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(15);
        while !done() {
            assert!(tokio::time::Instant::now() < deadline, "{what}");
            assert_eq!(ask(node.gateway, get("/", &key)).await.unwrap().status, 200);
        }
    };
    let turns = async |count: usize| {
        let before = first.count("GET");
        for _ in 0..count {
            assert_eq!(ask(node.gateway, get("/", &key)).await.unwrap().status, 200);
        }
        first.count("GET") - before
    };
    serve_until("both are checked", &|| !first.checks().is_empty() && !second.checks().is_empty()).await;
    assert_eq!(turns(8).await, 4);
    first.is_unwell.store(true, Ordering::SeqCst);
    let checks = first.checks().len();
    serve_until("the first is found unwell", &|| first.checks().len() > checks).await;
    // The check was answered; until it is judged a request may still come.
    while turns(8).await != 0 {}
    second.is_unwell.store(true, Ordering::SeqCst);
    let checks = second.checks().len();
    serve_until("none is well", &|| second.checks().len() > checks).await;
    // Then all are tried.
    while turns(8).await != 4 {}
    first.is_unwell.store(false, Ordering::SeqCst);
    let checks = first.checks().len();
    serve_until("the first is well again", &|| first.checks().len() > checks).await;
    while turns(8).await != 8 {}
    for check in first.checks() {
        let check = check.to_lowercase();
        assert!(check.starts_with("get /healthz http/1.1\r\n") && check.contains("user-agent: keyward-health"));
        for no in ["authorization", "x-keyward", "x-forwarded", "cookie", &key.to_lowercase()] {
            assert!(!check.contains(no), "{check}");
        }
    }
}
