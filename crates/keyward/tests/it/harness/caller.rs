//! A kept connection that asks one thing after the other, cheap enough for tens of thousands of requests: for
//! stories under load. Requests are bytes that were made before.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::server::Keyward;

/// A kept connection.
pub struct Caller {
    address: String,
    socket: TcpStream,
    buffer: Vec<u8>,
}

/// What was answered: the status, and the body as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Told {
    /// Whether `text` stands in the body.
    pub fn says(&self, text: &str) -> bool {
        memory_find(&self.body, text).is_some()
    }

    /// Whether this is the grant of a verification.
    pub fn is_grant(&self) -> bool {
        self.status == 200 && self.says("\"valid\":true")
    }
}

impl Caller {
    /// Connects to `host:port`.
    pub fn connect(address: &str) -> Self {
        Caller { address: address.to_owned(), socket: open(address).unwrap(), buffer: Vec::new() }
    }

    /// Connects to `host:port`, where somebody listens there.
    pub fn try_connect(address: &str) -> Option<Self> {
        Some(Caller { address: address.to_owned(), socket: open(address).ok()?, buffer: Vec::new() })
    }

    /// Asks, and reads the answer to its end. None where the connection broke, or cannot be had any more; the
    /// next call tries a new one.
    pub fn try_ask(&mut self, request: &[u8]) -> Option<Told> {
        let told = self.socket.write_all(request).ok().and_then(|()| self.read());
        if told.is_none()
            && let Ok(socket) = open(&self.address)
        {
            (self.socket, self.buffer) = (socket, Vec::new());
        }
        told
    }

    /// Asks, and panics where there is no answer.
    #[track_caller]
    pub fn ask(&mut self, request: &[u8]) -> Told {
        self.try_ask(request).expect("an answer")
    }

    fn read(&mut self) -> Option<Told> {
        let head = loop {
            if let Some(end) = memory_find(&self.buffer, "\r\n\r\n") {
                break end + 4;
            }
            self.more()?;
        };
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        let status = text.split(' ').nth(1)?.parse().ok()?;
        self.buffer.drain(..head);
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let body = match field("content-length:") {
            Some(length) => self.take(length.parse().ok()?)?,
            None if field("transfer-encoding:").is_some() => self.chunks()?,
            None => Vec::new(),
        };
        if field("connection:") == Some("close") {
            self.socket = open(&self.address).ok()?;
            self.buffer.clear();
        }
        Some(Told { status, body })
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = memory_find(&self.buffer, "\r\n") {
                    break end;
                }
                self.more()?;
            };
            let size = self.take(end + 2)?;
            let size = std::str::from_utf8(&size).ok()?.trim();
            let size = usize::from_str_radix(size, 16).ok()?;
            body.extend_from_slice(&self.take(size + 2)?[..size]);
            if size == 0 {
                return Some(body);
            }
        }
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            self.more()?;
        }
        Some(self.buffer.drain(..length).collect())
    }

    fn more(&mut self) -> Option<()> {
        let mut part = [0; 16_384];
        match self.socket.read(&mut part) {
            Ok(0) | Err(_) => None,
            Ok(n) => {
                self.buffer.extend_from_slice(&part[..n]);
                Some(())
            }
        }
    }
}

fn open(address: &str) -> std::io::Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// By the standard library's search, which is fast in a debug build, too.
fn memory_find(text: &[u8], what: &str) -> Option<usize> {
    // What is not UTF-8 begins after what is looked for, or is looked at byte by byte.
    match std::str::from_utf8(text) {
        Ok(text) => text.find(what),
        Err(_) => text.windows(what.len()).position(|window| window == what.as_bytes()),
    }
}

impl Keyward {
    /// A kept connection to the check listener.
    pub fn checker(&self) -> Caller {
        Caller::connect(&self.check_address())
    }

    /// A kept connection to the gateway.
    pub fn caller(&self) -> Caller {
        Caller::connect(&self.gateway_address())
    }

    /// A kept connection to the control plane.
    pub fn controller(&self) -> Caller {
        Caller::connect(&self.control_address())
    }

    /// The bytes of a question to the check listener.
    pub fn question(&self, body: &serde_json::Value) -> Vec<u8> {
        self.posted(&self.check_address(), "/v1/verify", body)
    }

    /// The bytes of a POST to the control plane.
    pub fn order(&self, path: &str, body: &serde_json::Value) -> Vec<u8> {
        self.posted(&self.control_address(), path, body)
    }

    fn posted(&self, host: &str, path: &str, body: &serde_json::Value) -> Vec<u8> {
        let (key, body) = (&self.started.management_key, body.to_string());
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    /// The bytes of a request to the gateway with a bearer key.
    pub fn request(&self, path: &str, secret: &str) -> Vec<u8> {
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {secret}\r\n\r\n", self.gateway_address())
            .into_bytes()
    }
}
