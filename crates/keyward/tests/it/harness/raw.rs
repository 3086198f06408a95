//! Bytes on a socket, for requests that no client library would send.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A connection to a listener.
pub struct Socket(TcpStream);

impl Socket {
    /// Connects to `host:port`.
    pub fn connect(address: &str) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.set_nodelay(true).unwrap();
        Socket(socket)
    }

    /// From now on waits at most this long for what is read; 20 seconds at first.
    pub fn patience(&mut self, limit: Duration) {
        self.0.set_read_timeout(Some(limit)).unwrap();
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }

    /// Sends bytes; whether the other side still took them.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).and_then(|()| self.0.flush()).is_ok()
    }

    /// Reads one answer: its status, head and body (by Content-Length or chunks; else to the end).
    pub fn answer(&mut self) -> Option<Answer> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match self.0.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return None,
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let mut answer = Answer { status, head, body: Vec::new() };
        if status == 101 || status == 204 || status == 304 || status / 100 == 1 {
            return Some(answer);
        }
        if let Some(length) = answer.header("content-length").and_then(|text| text.parse::<usize>().ok()) {
            answer.body = vec![0; length];
            self.0.read_exact(&mut answer.body).ok()?;
        } else if answer.header("transfer-encoding").is_some() {
            answer.body = self.chunks()?;
        } else {
            let _ = self.0.read_to_end(&mut answer.body);
        }
        Some(answer)
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(self.line()?.split(';').next()?.trim(), 16).ok()?;
            let start = body.len();
            body.resize(start + size, 0);
            self.0.read_exact(&mut body[start..]).ok()?;
            self.line()?;
            if size == 0 {
                return Some(body);
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            match self.0.read(&mut byte) {
                Ok(1) => line.push(byte[0]),
                _ => return None,
            }
        }
        Some(String::from_utf8_lossy(&line).trim().to_owned())
    }

    /// Reads some bytes; none at the end of the stream or when the connection broke.
    pub fn some(&mut self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 65_536];
        match self.0.read(&mut buffer) {
            Ok(0) | Err(_) => None,
            Ok(n) => {
                buffer.truncate(n);
                Some(buffer)
            }
        }
    }

    /// Whether the other side has closed or broken the connection. Waits for it.
    pub fn is_ended(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
            }
        }
    }
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first value of a header, its name without regard to case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends one request on a connection of its own and reads its answer.
pub fn exchange(address: &str, request: impl AsRef<[u8]>) -> Option<Answer> {
    let mut socket = Socket::connect(address);
    socket.send(request);
    socket.answer()
}

/// The same where the address may be gone by now: none where the connection is refused.
pub fn try_exchange(address: &str, request: impl AsRef<[u8]>) -> Option<Answer> {
    let socket = TcpStream::connect(address).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let mut socket = Socket(socket);
    socket.send(request);
    socket.answer()
}
