//! HTTP/1 by hand: requests as they are written, and answers read byte by byte.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a connection can go over.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection.
pub struct Raw {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Raw {
    pub async fn connect(to: SocketAddr) -> Raw {
        Self::over(TcpStream::connect(to).await.unwrap())
    }

    /// Over a stream that is there already.
    pub fn over(stream: impl Stream + 'static) -> Raw {
        Raw { stream: Box::new(stream), buffer: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Sends as much as goes, to a peer that may close meanwhile.
    pub async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The next answer; none where the connection ends without one.
    pub async fn answer(&mut self) -> Option<Answer> {
        let head_end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill().await {
                return None;
            }
        };
        let head = String::from_utf8(self.buffer.drain(..head_end).collect()).unwrap();
        let mut lines = head.split("\r\n");
        let status: u16 = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        if status == 100 {
            return Box::pin(self.answer()).await;
        }
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let body = self.body(status, &headers).await;
        Some(Answer { status, headers, body })
    }

    /// An answer's head alone.
    pub async fn head(&mut self) -> String {
        self.head_if_any().await.expect("the connection ended")
    }

    /// The same; none where the connection ends first.
    pub async fn head_if_any(&mut self) -> Option<String> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                return Some(String::from_utf8(self.buffer.drain(..at + 4).collect()).unwrap());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// The next bytes, whatever they are; empty at the end or where the connection was reset.
    pub async fn bytes(&mut self) -> Vec<u8> {
        if self.buffer.is_empty() {
            self.fill().await;
        }
        std::mem::take(&mut self.buffer)
    }

    /// Whether the peer has closed, after whatever it still sent.
    pub async fn ends(&mut self) -> bool {
        while self.fill().await {}
        true
    }

    async fn body(&mut self, status: u16, headers: &BTreeMap<String, String>) -> String {
        if status == 101 || status == 204 || status == 304 {
            return String::new();
        }
        if headers.get("transfer-encoding").is_some_and(|te| te == "chunked") {
            return self.chunked().await;
        }
        let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        while self.buffer.len() < length {
            assert!(self.fill().await, "the answer broke off");
        }
        String::from_utf8(self.buffer.drain(..length).collect()).unwrap()
    }

    async fn chunked(&mut self) -> String {
        let mut body = Vec::new();
        loop {
            let line = self.line().await;
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            if size == 0 {
                while !self.line().await.is_empty() {}
                return String::from_utf8(body).unwrap();
            }
            while self.buffer.len() < size + 2 {
                assert!(self.fill().await, "the answer broke off");
            }
            body.extend(self.buffer.drain(..size));
            self.buffer.drain(..2);
        }
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return String::from_utf8_lossy(&line[..at]).into_owned();
            }
            assert!(self.fill().await, "the answer broke off");
        }
    }

    async fn fill(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece).await {
            Ok(0) | Err(_) => false,
            Ok(n) => {
                self.buffer.extend_from_slice(&piece[..n]);
                true
            }
        }
    }
}

/// Sends one request on a connection of its own and gives the answer.
pub async fn ask(to: SocketAddr, request: impl AsRef<[u8]>) -> Option<Answer> {
    let mut raw = Raw::connect(to).await;
    raw.send(request).await;
    raw.answer().await
}

/// A GET with a bearer key.
pub fn get(path: &str, key: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer {key}\r\n\r\n")
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}
