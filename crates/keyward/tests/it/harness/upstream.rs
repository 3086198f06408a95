//! An API behind the gateway: a plain HTTP/1.1 server that remembers what reached it, byte for byte, and
//! answers as it is told.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it reached the upstream.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    /// All values of a header, its name without regard to case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let fits = |(own, _): &&(String, String)| own.eq_ignore_ascii_case(name);
        self.headers.iter().filter(fits).map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        match &self.all(name)[..] {
            [] => None,
            [only] => Some(only),
            many => panic!("{name} reached the upstream {} times: {many:?}", many.len()),
        }
    }

    /// The whole request as text, to look for what must not be in it.
    pub fn text(&self) -> String {
        format!("{} {}\n{:?}\n{}", self.method, self.target, self.headers, String::from_utf8_lossy(&self.body))
    }
}

type Script = dyn Fn(&Seen, &mut TcpStream) -> bool + Send + Sync;

/// How an upstream answers: writes to the socket itself; false closes the connection.
pub struct Scripted(Arc<Script>);

impl Scripted {
    /// Answers every request with this status and JSON.
    pub fn json(status: u16, body: &str) -> Self {
        let answer = format!(
            "HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Scripted::with(move |_, socket| socket.write_all(answer.as_bytes()).is_ok())
    }

    /// Answers with a function of the request that writes to the socket.
    pub fn with(script: impl Fn(&Seen, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        Scripted(Arc::new(script))
    }
}

/// A running upstream. Stops listening with the process.
pub struct Upstream {
    pub url: String,
    seen: Arc<Mutex<VecDeque<Seen>>>,
}

impl Upstream {
    /// Starts one.
    pub fn start(script: Scripted) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(VecDeque::new()));
        let (script, log) = (script.0, Arc::clone(&seen));
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                std::thread::spawn(move || serve(socket, &script, &log));
            }
        });
        Upstream { url, seen }
    }

    /// Everything that reached it so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().cloned().collect()
    }

    /// The last request that reached it.
    #[track_caller]
    pub fn last(&self) -> Seen {
        self.seen.lock().unwrap().back().cloned().expect("a request reached the upstream")
    }

    /// How many requests reached it.
    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn serve(socket: TcpStream, script: &Arc<Script>, log: &Mutex<VecDeque<Seen>>) {
    let mut writer = socket.try_clone().unwrap();
    let mut reader = BufReader::new(socket);
    while let Some(seen) = read_request(&mut reader, &mut writer) {
        log.lock().unwrap().push_back(seen.clone());
        if !script(&seen, &mut writer) {
            return;
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>, writer: &mut TcpStream) -> Option<Seen> {
    let line = read_line(reader)?;
    let mut parts = line.split(' ');
    let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut seen = Seen { method, target, headers, body: Vec::new() };
    if seen.header("expect").is_some() {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    if seen.header("transfer-encoding").is_some() {
        seen.body = read_chunks(reader)?;
    } else if let Some(length) = seen.header("content-length").and_then(|text| text.parse().ok()) {
        seen.body = vec![0; length];
        reader.read_exact(&mut seen.body).ok()?;
    }
    Some(seen)
}

fn read_chunks(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(read_line(reader)?.split(';').next()?, 16).ok()?;
        let start = body.len();
        body.resize(start + size, 0);
        reader.read_exact(&mut body[start..]).ok()?;
        while !read_line(reader)?.is_empty() || size != 0 {
            if size != 0 {
                break;
            }
        }
        if size == 0 {
            return Some(body);
        }
    }
}

fn read_line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    let n = reader.read_until(b'\n', &mut line).ok()?;
    (n > 0).then(|| String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
}
