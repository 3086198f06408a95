//! Fields encrypted at the gateway, from inside the process: names that lead elsewhere meanwhile, answered by a server
//! of names of our own, and exchanges that are cut.

mod support;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keyward_core::change::{Change, ProjectChange, ProjectRef};
use keyward_core::clock::Entropy;
use keyward_core::data_key::DataKeyBytes;
use keyward_core::key_encryption::{
    KekVersion, KeyEncryption, KeyEncryptionError, KeyEncryptionKey, WhichDataKey, Wrapped,
};
use keyward_edge::Resolve;
use keyward_verify::EngineOptions;
use support::raw::{Answer, Raw, ask};
use support::upstream::Recording;
use support::{Minted, Node, preset_source};
use tokio::net::{TcpListener, UdpSocket};

/// A key-encryption key that is always there.
struct OneKey(KeyEncryptionKey);

#[async_trait::async_trait]
impl KeyEncryption for OneKey {
    async fn current(&self) -> Result<KekVersion, KeyEncryptionError> {
        Ok(self.0.version())
    }

    async fn wrap(&self, which: WhichDataKey, key: &DataKeyBytes) -> Result<Wrapped, KeyEncryptionError> {
        Ok(self.0.wrap(which, key, &keyward_core::clock::SystemEntropy as &dyn Entropy))
    }

    async fn unwrap(&self, which: WhichDataKey, wrapped: &Wrapped) -> Result<DataKeyBytes, KeyEncryptionError> {
        self.0.unwrap(which, wrapped)
    }
}

/// A server of names: the first answers lead to one address, all later ones to another. Counts who asks.
async fn name_server(first: Ipv4Addr, later: Ipv4Addr) -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet).await {
            let leads_to = if count.fetch_add(1, Ordering::SeqCst) == 0 { first } else { later };
            let mut answer = packet[..length].to_vec();
            // An answer, with one record: the name asked for, A, IN, to be kept for no time, four bytes.
            answer[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
            answer.extend(leads_to.octets());
            let _ = socket.send_to(&answer, from).await;
        }
    });
    (address, asked)
}

/// Asks a server of names, every time anew.
struct Asking(SocketAddr);

impl Resolve for Asking {
    fn resolve<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
        Box::pin(async move {
            let socket = UdpSocket::bind("127.0.0.1:0").await?;
            let mut question = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            for label in host.split('.') {
                question.push(label.len() as u8);
                question.extend(label.as_bytes());
            }
            question.extend([0, 0, 1, 0, 1]);
            socket.send_to(&question, self.0).await?;
            let mut answer = [0; 512];
            let length = socket.recv(&mut answer).await?;
            let octets: [u8; 4] = answer[length - 4..length].try_into().map_err(io::Error::other)?;
            Ok(vec![IpAddr::from(octets)])
        })
    }
}

/// A destination that answers once a connection and closes it. Counts connections.
async fn closing(address: &str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let (mut stream, mut read, mut piece) = (stream, Vec::new(), [0; 4096]);
                // The body is one field: its end is the end of the request.
                while !read.ends_with(b"}") {
                    match stream.read(&mut piece).await {
                        Ok(length @ 1..) => read.extend_from_slice(&piece[..length]),
                        _ => return,
                    }
                }
                let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
                let _ = stream.write_all(answer).await;
            });
        }
    });
    (port, count)
}

/// A node whose project's encrypted requests go to `url`.
async fn node(url: &str, name_server: SocketAddr, allowed: &[&str]) -> Node {
    let nobody = support::listener().local_addr().unwrap();
    let mut engine = EngineOptions::default();
    engine.encryption.keys = Some(Arc::new(OneKey(KeyEncryptionKey::new(KekVersion(1), &[7; 32]))));
    let node = Node::start_with_engine(&preset_source("qanapi"), nobody, engine, |options| {
        options.destinations.resolver = Arc::new(Asking(name_server));
        options.destinations.allowed_networks = allowed.iter().map(|network| network.parse().unwrap()).collect();
    })
    .await;
    let project = &node.project;
    let of = ProjectRef { id: project.id, organization: project.organization, api: project.api.clone() };
    let what = ProjectChange::DestinationSet { destination: Some(url.to_owned()) };
    let entry = node.world.make(Change::Project { of, what }).await;
    node.engine.settle(entry.revision).await.unwrap();
    node
}

fn proxied(node: &Node, key: &Minted, length: usize) -> String {
    format!(
        "POST /proxy/{} HTTP/1.1\r\nHost: a\r\nX-Qanapi-Authorization: {}\r\nX-Qanapi-Fields: a\r\n\
         Content-Length: {length}\r\n\r\n",
        node.project.id, key.secret
    )
}

async fn send(node: &Node, key: &Minted) -> Answer {
    let body = r#"{"a":1}"#;
    ask(node.gateway, proxied(node, key, body.len()) + body).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn h14_a_name_that_is_bound_anew_leads_nowhere_else() {
    let (port, allowed) = closing("127.0.0.1:0").await;
    let (_, forbidden) = closing(&format!("127.0.0.2:{port}")).await;
    let (names, asked) = name_server(Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)).await;
    let node = node(&format!("http://rebind.test:{port}"), names, &["127.0.0.1/32"]).await;
    let key = node.key().await;
    let mut by_worker = 0;
    for number in 1..=20 {
        let answer = send(&node, &key).await;
        // Each of the two workers asks once: the second is told the other address, and refuses.
        match answer.status {
            200 => by_worker += 1,
            status => assert_eq!(status, 403, "request {number}: {answer:?}"),
        }
    }
    assert!(by_worker >= 1);
    assert_eq!(allowed.load(Ordering::SeqCst), by_worker, "each answer came over a connection of its own");
    assert_eq!(forbidden.load(Ordering::SeqCst), 0);
    assert!(asked.load(Ordering::SeqCst) >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn h14_a_name_that_leads_inside_is_not_connected_to() {
    let (port, inside) = closing("127.0.0.1:0").await;
    let inward = Ipv4Addr::new(127, 0, 0, 1);
    let (names, _) = name_server(inward, inward).await;
    let node = node(&format!("https://inside.test:{port}"), names, &["10.0.0.0/8"]).await;
    let key = node.key().await;
    for _ in 0..5 {
        let answer = send(&node, &key).await;
        assert_eq!((answer.status, answer.body.contains("destination")), (403, true), "{answer:?}");
    }
    assert_eq!(inside.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn l09_an_encryption_under_way_is_an_exchange_that_a_revoke_ends() {
    let destination = Recording::start().await;
    let inward = Ipv4Addr::new(127, 0, 0, 1);
    let (names, _) = name_server(inward, inward).await;
    let node = node(&format!("http://here.test:{}", destination.address.port()), names, &["127.0.0.0/8"]).await;
    let key = node.key().await;
    let mut raw = Raw::connect(node.gateway).await;
    raw.send(proxied(&node, &key, 10 << 20)).await;
    raw.send(format!("{{\"plain\":\"{}", "x".repeat(1 << 20))).await;
    tokio::time::timeout(Duration::from_secs(20), async {
        while node.engine.open_exchanges() == 0 || destination.connections() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the request is under way");
    node.revoke(key.id).await;
    assert_eq!(node.engine.open_exchanges(), 0);
    assert!(raw.ends().await);
    assert!(destination.seen().is_empty(), "what was cut off came whole");
}
