//! A proxy between a store and its database that cuts connections where a test wants it.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Where a connection is cut that sends a COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    Nowhere,
    /// The database never hears of it.
    BeforeCommit,
    /// The database hears of it, and nobody hears its reply.
    AfterCommit,
}

pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    target: AtomicU16,
    cut: Mutex<Cut>,
    /// Whether nobody is let in.
    is_closed: AtomicBool,
    /// Whether nobody is let in from the next cut on.
    closes: AtomicBool,
    cuts: AtomicU64,
    /// How many more times a client may send something; below zero, as often as it likes.
    left: AtomicI64,
}

impl Proxy {
    /// A proxy to a port of this machine.
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            target: AtomicU16::new(target),
            cut: Mutex::new(Cut::Nowhere),
            is_closed: AtomicBool::new(false),
            closes: AtomicBool::new(false),
            cuts: AtomicU64::new(0),
            left: AtomicI64::new(-1),
        });
        let accepting = shared.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, accepting.clone()));
            }
        });
        Proxy { port, shared }
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://keyward@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Those who connect from now on get to this port.
    pub fn lead_to(&self, target: u16) {
        self.shared.target.store(target, Ordering::SeqCst);
    }

    /// Cuts the next connection that commits, and where told lets nobody in after it.
    pub fn cut_next(&self, cut: Cut, closes: bool) {
        self.shared.closes.store(closes, Ordering::SeqCst);
        *self.shared.cut.lock().unwrap() = cut;
    }

    /// Lets nobody in, or everybody again.
    pub fn close(&self, is_closed: bool) {
        self.shared.is_closed.store(is_closed, Ordering::SeqCst);
    }

    /// Cuts everybody after clients have sent something so many times more.
    pub fn cut_after(&self, sent: Option<u32>) {
        self.shared.left.store(sent.map_or(-1, i64::from), Ordering::SeqCst);
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::SeqCst)
    }
}

/// How a COMMIT stands in the protocol: a simple query.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

async fn carry(client: TcpStream, shared: Arc<Shared>) {
    if shared.is_closed.load(Ordering::SeqCst) || shared.left.load(Ordering::SeqCst) == 0 {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", shared.target.load(Ordering::SeqCst))).await else { return };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asking = async {
        let mut buffer = vec![0; 65_536];
        loop {
            let Ok(read @ 1..) = from_client.read(&mut buffer).await else { return };
            let bytes = &buffer[..read];
            if shared.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| (left > 0).then(|| left - 1))
                == Err(0)
            {
                shared.cuts.fetch_add(1, Ordering::SeqCst);
                return;
            }
            let mut cut = Cut::Nowhere;
            if bytes.windows(COMMIT.len()).any(|window| window == COMMIT) {
                cut = std::mem::replace(&mut *shared.cut.lock().unwrap(), Cut::Nowhere);
            }
            if cut != Cut::Nowhere {
                shared.cuts.fetch_add(1, Ordering::SeqCst);
                shared.is_closed.fetch_or(shared.closes.load(Ordering::SeqCst), Ordering::SeqCst);
            }
            if cut == Cut::BeforeCommit || to_server.write_all(bytes).await.is_err() || cut == Cut::AfterCommit {
                return;
            }
        }
    };
    let answering = async {
        let mut buffer = vec![0; 65_536];
        loop {
            let Ok(read @ 1..) = from_server.read(&mut buffer).await else { return };
            if to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    // Whichever ends first ends both, and with them both connections.
    tokio::select! {
        () = asking => {}
        () = answering => {}
    }
}
