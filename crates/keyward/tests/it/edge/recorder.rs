//! An upstream that keeps every byte it was sent and reads requests as strictly as can be: whatever passes
//! here is one message to every server.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::harness::eventually;

/// A running recorder.
pub struct Recorder {
    pub url: String,
    connections: Arc<Mutex<Vec<Connection>>>,
    last: Arc<Mutex<Option<Message>>>,
}

#[derive(Default)]
struct Connection {
    bytes: Vec<u8>,
    has_ended: bool,
}

/// A request as it stands in the recording.
#[derive(Debug, Clone)]
pub struct Message {
    pub method: String,
    pub target: String,
    /// Names as they were written.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

/// How far the strict reader came.
enum Outcome {
    Whole(Message, usize),
    Partial,
}

impl Recorder {
    /// Starts one that answers every whole request with 200 and `ok`.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections: Arc<Mutex<Vec<Connection>>> = Arc::default();
        let last: Arc<Mutex<Option<Message>>> = Arc::default();
        let (all, newest) = (Arc::clone(&connections), Arc::clone(&last));
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (all, newest) = (Arc::clone(&all), Arc::clone(&newest));
                std::thread::spawn(move || record(socket, &all, &newest));
            }
        });
        Recorder { url, connections, last }
    }

    /// The whole request that reached it last.
    #[track_caller]
    pub fn last(&self) -> Message {
        self.requests();
        self.last.lock().unwrap().clone().expect("a request reached the upstream")
    }

    /// Every whole request that reached it. Panics where anything else reached it than well-framed requests; the
    /// start of a request whose connection was then closed is none.
    #[track_caller]
    pub fn requests(&self) -> Vec<Message> {
        let mut all = Vec::new();
        for connection in self.connections.lock().unwrap().iter() {
            let mut rest = &connection.bytes[..];
            while !rest.is_empty() {
                match read(rest) {
                    Ok(Outcome::Whole(message, length)) => {
                        all.push(message);
                        rest = &rest[length..];
                    }
                    Ok(Outcome::Partial) => break,
                    Err(fault) => panic!("the upstream got {fault}: {:?}", String::from_utf8_lossy(rest)),
                }
            }
        }
        all
    }

    /// The bytes of the request that is not whole yet, on whichever connection.
    pub fn partial(&self) -> Vec<u8> {
        let connections = self.connections.lock().unwrap();
        let mut rests = connections.iter().map(|connection| {
            let mut rest = &connection.bytes[..];
            while let Ok(Outcome::Whole(_, length)) = read(rest) {
                rest = &rest[length..];
            }
            rest
        });
        rests.find(|rest| !rest.is_empty()).unwrap_or_default().to_vec()
    }

    /// How many connections were opened to it.
    pub fn connections(&self) -> usize {
        self.connections.lock().unwrap().len()
    }

    /// Waits until connections with half a request are closed.
    pub fn settle(&self) {
        eventually("half requests to the upstream are given up", || {
            let connections = self.connections.lock().unwrap();
            let is_settled = |connection: &Connection| {
                let mut rest = &connection.bytes[..];
                while let Ok(Outcome::Whole(_, length)) = read(rest) {
                    rest = &rest[length..];
                }
                rest.is_empty() || connection.has_ended
            };
            connections.iter().all(is_settled).then_some(())
        });
    }
}

fn record(mut socket: TcpStream, all: &Mutex<Vec<Connection>>, newest: &Mutex<Option<Message>>) {
    let number = {
        let mut all = all.lock().unwrap();
        all.push(Connection::default());
        all.len() - 1
    };
    let mut pending = Vec::new();
    let mut buffer = [0; 16_384];
    loop {
        let n = socket.read(&mut buffer).unwrap_or(0);
        if n == 0 {
            all.lock().unwrap()[number].has_ended = true;
            return;
        }
        all.lock().unwrap()[number].bytes.extend_from_slice(&buffer[..n]);
        pending.extend_from_slice(&buffer[..n]);
        while let Ok(Outcome::Whole(message, length)) = read(&pending) {
            pending.drain(..length);
            *newest.lock().unwrap() = Some(message);
            if socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                all.lock().unwrap()[number].has_ended = true;
                return;
            }
        }
    }
}

impl Message {
    /// All values of a header, its name without regard to case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let fits = |(own, _): &&(String, String)| own.eq_ignore_ascii_case(name);
        self.headers.iter().filter(fits).map(|(_, value)| value.as_str()).collect()
    }
}

/// Reads one request. Anything that two servers could read differently is a fault.
fn read(bytes: &[u8]) -> Result<Outcome, String> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return match bytes.windows(2).any(|two| two[1] == b'\n' && two[0] != b'\r') {
            true => Err("a bare LF".into()),
            false => Ok(Outcome::Partial),
        };
    };
    let mut lines = lines(&bytes[..end])?.into_iter();
    let line = lines.next().unwrap_or_default();
    let parts: Vec<&str> = line.split(' ').collect();
    let [method, target, "HTTP/1.1"] = parts[..] else { return Err(format!("the request line {line:?}")) };
    let headers = lines.map(|line| field(&line)).collect::<Result<Vec<_>, _>>()?;
    let mut message =
        Message { method: method.into(), target: target.into(), headers, body: Vec::new(), trailers: Vec::new() };
    let body = &bytes[end + 4..];
    let hosts = message.all("host").len();
    if hosts != 1 {
        return Err(format!("{hosts} hosts"));
    }
    match (&message.all("content-length")[..], &message.all("transfer-encoding")[..]) {
        ([], []) => Ok(Outcome::Whole(message, end + 4)),
        ([length], []) => {
            let is_plain = length.bytes().all(|b| b.is_ascii_digit());
            let length: usize =
                length.parse().ok().filter(|_| is_plain).ok_or(format!("Content-Length {length:?}"))?;
            let Some(own) = body.get(..length) else { return Ok(Outcome::Partial) };
            message.body = own.to_vec();
            Ok(Outcome::Whole(message, end + 4 + length))
        }
        ([], ["chunked"]) => {
            let Some(length) = read_chunks(body, &mut message)? else { return Ok(Outcome::Partial) };
            Ok(Outcome::Whole(message, end + 4 + length))
        }
        (lengths, encodings) => Err(format!("Content-Length {lengths:?} and Transfer-Encoding {encodings:?}")),
    }
}

/// How many bytes the chunks and trailers have; none where some are still to come.
fn read_chunks(bytes: &[u8], message: &mut Message) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let Some(end) = bytes[at..].windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let line = String::from_utf8_lossy(&bytes[at..at + end]).into_owned();
        let is_plain = !line.is_empty() && line.bytes().all(|b| b.is_ascii_hexdigit());
        let size =
            usize::from_str_radix(&line, 16).ok().filter(|_| is_plain).ok_or(format!("a chunk of {line:?}"))?;
        at += end + 2;
        if size == 0 {
            break;
        }
        let Some(data) = bytes.get(at..at + size + 2) else { return Ok(None) };
        if &data[size..] != b"\r\n" {
            return Err("a chunk without its end".into());
        }
        message.body.extend_from_slice(&data[..size]);
        at += size + 2;
    }
    if bytes[at..].starts_with(b"\r\n") {
        return Ok(Some(at + 2));
    }
    let Some(end) = bytes[at..].windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    message.trailers = lines(&bytes[at..at + end])?.iter().map(|line| field(line)).collect::<Result<_, _>>()?;
    Ok(Some(at + end + 4))
}

fn lines(bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
    match lines.iter().find(|line| line.contains(['\r', '\n', '\0'])) {
        Some(bad) => Err(format!("a line with a bare CR, LF or NUL: {bad:?}")),
        None => Ok(lines),
    }
}

fn field(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once(':').ok_or(format!("the header {line:?}"))?;
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    match !name.is_empty() && name.bytes().all(is_token) {
        true => Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned())),
        false => Err(format!("the header name {name:?}")),
    }
}

#[test]
fn the_strict_reader_tells_one_message_from_two() {
    let plain = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let chunked = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n";
    for bytes in [&plain[..], &chunked[..]] {
        let Ok(Outcome::Whole(message, length)) = read(bytes) else { panic!() };
        assert_eq!((&message.body[..], length), (&b"hi"[..], bytes.len()));
        assert!((0..bytes.len()).all(|n| matches!(read(&bytes[..n]), Ok(Outcome::Partial))));
    }
    for bad in [
        "POST /a HTTP/1.1\nHost: a\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\nhi",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nhi\r\n0\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
        "POST /a HTTP/1.1\r\nX: a\r\n\r\n",
    ] {
        assert!(read(bad.as_bytes()).is_err(), "{bad:?}");
    }
}
