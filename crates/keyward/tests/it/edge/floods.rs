//! HTTP/2 as an attacker speaks it (H07): frames that cost nothing to send and much to serve. The attacker's connection
//! ends or is bounded, memory stays flat, and who shares the thread with it is served all the while.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, block, frame,
};
use super::resident_bytes;
use crate::harness::raw::Socket;
use crate::harness::{Key, Keyward, Scripted, Upstream};

const MIB: u64 = 1024 * 1024;
/// By how much the memory in use may grow while somebody attacks.
const GROWTH_MAX: u64 = 24 * MIB;
/// More frames than any attacker may get rid of on one connection at once.
const FRAMES_MAX: usize = 200_000;
/// Frames that are sent between two looks at how others fare.
const BATCH: usize = 500;

/// A connection of an attacker, whose answers are read all the while: who does not read is slowed down by TCP.
struct Attacker {
    socket: TcpStream,
    heard: Arc<Mutex<Vec<u8>>>,
    reading: JoinHandle<()>,
}

impl Attacker {
    /// Connects, with these settings.
    fn open(address: &str, settings: &[(u16, u32)]) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        let patience = Some(Duration::from_secs(20));
        socket.set_read_timeout(patience).unwrap();
        socket.set_write_timeout(patience).unwrap();
        let mut from = socket.try_clone().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&heard);
        let reading = std::thread::spawn(move || {
            let mut piece = vec![0; 65_536];
            loop {
                match from.read(&mut piece) {
                    Ok(0) => return,
                    Ok(n) => into.lock().unwrap().extend_from_slice(&piece[..n]),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                        panic!("the connection is left open: {:?}", Heard::of(&into.lock().unwrap()))
                    }
                    Err(_) => return,
                }
            }
        });
        let mut attacker = Attacker { socket, heard, reading };
        let settings: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        let start = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &settings)];
        assert!(attacker.send(&start.concat()));
        attacker
    }

    /// Sends bytes; whether they were still taken.
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }

    /// What was heard so far.
    fn heard(&self) -> Heard {
        Heard::of(&self.heard.lock().unwrap())
    }

    /// Waits for the connection to end; what was heard on it.
    fn ended(self) -> Heard {
        self.reading.join().expect("the connection ends");
        Heard::of(&self.heard.lock().unwrap())
    }

    /// Closes the connection after everything that was sent is answered; what was heard on it.
    fn finish(self) -> Heard {
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
        self.ended()
    }
}

/// How many frames of each kind an attacker was sent.
#[derive(Debug, Default, PartialEq)]
struct Heard([usize; 16]);

impl Heard {
    fn of(mut bytes: &[u8]) -> Self {
        let mut heard = Heard::default();
        while let Some(head) = bytes.first_chunk::<9>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            heard.0[usize::from(head[3] & 15)] += 1;
            bytes = bytes.get(9 + length..).unwrap_or_default();
        }
        heard
    }

    fn count(&self, kind: u8) -> usize {
        self.0[usize::from(kind)]
    }
}

/// A Keyward with one thread for everybody, in front of an upstream.
struct Target {
    keyward: Keyward,
    key: Key,
    upstream: Upstream,
}

impl Target {
    fn start() -> Self {
        let upstream = Upstream::start(Scripted::json(200, "{}"));
        Self::in_front_of(upstream)
    }

    fn in_front_of(upstream: Upstream) -> Self {
        let env = [
            ("KEYWARD_GATEWAY_WORKERS", "1"),
            ("KEYWARD_GATEWAY_HEADER_TIMEOUT_SECONDS", "1"),
            ("KEYWARD_GATEWAY_BODY_GRACE_SECONDS", "1"),
        ];
        let keyward = Keyward::dev_with_env("standard", &["--upstream", &upstream.url], &env);
        let key = keyward.first_key();
        Target { keyward, key, upstream }
    }

    fn addresses(&self) -> [String; 2] {
        [self.keyward.gateway_address(), self.keyward.check_address()]
    }

    fn memory(&self) -> u64 {
        resident_bytes(self.keyward.pid())
    }

    /// Others are served now.
    #[track_caller]
    fn serves_others(&self) {
        let bearer = format!("Bearer {}", self.key.secret);
        self.keyward.call("GET", "/v1/hello", &[("Authorization", &bearer)]).expect(200);
        assert!(self.keyward.is_valid(&self.key.secret));
    }

    /// A header block that asks for something with a good key.
    fn asking(&self, method: &str) -> Vec<u8> {
        let bearer = format!("Bearer {}", self.key.secret);
        block(&[
            (":method", method.as_bytes()),
            (":scheme", b"http"),
            (":authority", b"api.example"),
            (":path", b"/v1/hello"),
            ("authorization", bearer.as_bytes()),
        ])
    }

    /// Sends what `frames` gives for the first, second, … time until the connection ends, which it must; others are served meanwhile.
    #[track_caller]
    fn withstands(&self, what: &str, begin: &[u8], frames: impl Fn(u32) -> Vec<u8>) {
        for address in self.addresses() {
            let before = self.memory();
            let mut attacker = Attacker::open(&address, &[]);
            attacker.send(begin);
            let mut sent = 0;
            while attacker.send(&(sent..sent + BATCH).flat_map(|n| frames(n as u32)).collect::<Vec<u8>>()) {
                sent += BATCH;
                assert!(sent < FRAMES_MAX, "{what}: {sent} were taken at {address}");
                self.serves_others();
            }
            attacker.ended();
            self.serves_others();
            let grown = self.memory().saturating_sub(before);
            assert!(grown < GROWTH_MAX, "{what}: memory grew by {grown} bytes");
        }
    }
}

/// The stream that a caller's `n`th request has.
fn stream(n: u32) -> u32 {
    2 * n + 1
}

#[test]
fn h07_streams_that_are_opened_and_reset_end_the_connection() {
    let target = Target::start();
    let asking = target.asking("GET");
    target.withstands("rapid reset", &[], |n| {
        let open = frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &asking);
        [open, frame(RST_STREAM, 0, stream(n), &8u32.to_be_bytes())].concat()
    });
}

#[test]
fn h07_who_makes_us_reset_streams_loses_the_connection() {
    let target = Target::start();
    let asking = target.asking("GET");
    let malformed: [(&str, u8, Vec<u8>); 4] = [
        ("a window that grows by nothing", WINDOW_UPDATE, 0u32.to_be_bytes().to_vec()),
        ("a window that overflows", WINDOW_UPDATE, 0x7fff_ffffu32.to_be_bytes().to_vec()),
        ("data after the end", DATA, b"more".to_vec()),
        ("headers after the end", HEADERS, asking.clone()),
    ];
    for (what, kind, payload) in malformed {
        target.withstands(what, &[], |n| {
            let open = frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &asking);
            [open, frame(kind, END_HEADERS, stream(n), &payload)].concat()
        });
    }
    // A request that is no message is reset, too.
    let no_path = block(&[(":method", b"GET"), (":scheme", b"http"), ("Upper", b"case")]);
    target.withstands("malformed requests", &[], |n| frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &no_path));
}

#[test]
fn h07_a_header_block_that_goes_on_and_on_ends_the_connection() {
    let target = Target::start();
    let begin = frame(HEADERS, 0, 1, &target.asking("GET"));
    let (field, large) = (block(&[("x-a", b"b")]), block(&[("x-a", &[b'b'; 16_000])]));
    for piece in [&field[..], &large, &[]] {
        target.withstands("CONTINUATION", &begin, |_| frame(CONTINUATION, 0, 1, piece));
    }
}

#[test]
fn h07_floods_of_frames_that_carry_nothing_end_the_connection() {
    let target = Target::start();
    let open = frame(HEADERS, END_HEADERS, 1, &target.asking("POST"));
    let resize = [&4u16.to_be_bytes()[..], &70_000u32.to_be_bytes()].concat();
    target.withstands("PING", &[], |_| frame(PING, 0, 0, b"12345678"));
    target.withstands("SETTINGS", &[], |_| frame(SETTINGS, 0, 0, &[]));
    target.withstands("SETTINGS that say something", &[], |_| frame(SETTINGS, 0, 0, &resize));
    target.withstands("empty DATA", &open, |_| frame(DATA, 0, 1, &[]));
    target.withstands("padding", &open, |_| frame(DATA, 8, 1, &[3, 0, 0, 0]));
    target.withstands("PRIORITY", &[], |n| frame(PRIORITY, 0, stream(n), &[0, 0, 0, 0, 16]));
    target.withstands("WINDOW_UPDATE", &[], |_| frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes()));
    target.withstands("frames of no known kind", &[], |_| frame(0xbe, 0, 0, b"?"));
    target.withstands("empty HEADERS", &[], |n| frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &[]));
    let metrics = target.keyward.get("/metrics").expect(200).text;
    let counted = |door: &str| metrics.contains(&format!("keyward_connections_flooded_total{{door=\"{door}\"}}"));
    assert!(counted("gateway") && counted("check"), "{metrics}");
}

#[test]
fn h07_very_many_streams_that_never_end_are_bounded() {
    let target = Target::start();
    let asking = target.asking("POST");
    target.withstands("streams without end", &[], |n| frame(HEADERS, END_HEADERS, stream(n), &asking));
    assert!(target.upstream.seen().iter().all(|seen| seen.method == "GET"), "half a request is none");
}

#[test]
fn h07_a_stream_that_is_half_open_is_reaped() {
    let target = Target::start();
    let mut attacker = Attacker::open(&target.keyward.gateway_address(), &[]);
    for n in 0..50 {
        attacker.send(&frame(HEADERS, END_HEADERS, stream(n), &target.asking("POST")));
        attacker.send(&frame(DATA, 0, stream(n), b"a"));
    }
    // Its header block holds up all else that could come on the connection.
    attacker.send(&frame(HEADERS, 0, stream(50), &target.asking("GET")));
    target.serves_others();
    attacker.ended();
    assert!(target.upstream.seen().iter().all(|seen| seen.method == "GET"), "half a request is none");
}

#[test]
fn h07_half_a_preface_is_reaped() {
    let target = Target::start();
    for address in target.addresses() {
        for start in ["PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"] {
            let mut socket = Socket::connect(&address);
            socket.send(start);
            assert!(socket.is_ended(), "{start:?}");
        }
    }
}

#[test]
fn h07_who_gives_no_room_for_answers_holds_little_and_not_for_long() {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {MIB}\r\n\r\n{}", "x".repeat(MIB as usize));
    let upstream = Upstream::start(Scripted::with(move |seen, socket| match seen.method.as_str() {
        "PATCH" => socket.write_all(answer.as_bytes()).is_ok(),
        _ => socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_ok(),
    }));
    let target = Target::in_front_of(upstream);
    target.keyward.amend("[gateway]\nidle_timeout = \"1s\"");
    target.serves_others();
    let before = target.memory();
    const INITIAL_WINDOW: u16 = 4;
    let mut attacker = Attacker::open(&target.keyward.gateway_address(), &[(INITIAL_WINDOW, 0)]);
    const STREAMS: u32 = 150;
    for n in 0..STREAMS {
        attacker.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &target.asking("PATCH")));
    }
    crate::harness::eventually("all are answered by the upstream", || {
        target.serves_others();
        let asked = target.upstream.seen().iter().filter(|seen| seen.method == "PATCH").count();
        (asked == STREAMS as usize).then_some(())
    });
    let grown = target.memory().saturating_sub(before);
    assert!(grown < 64 * MIB, "{STREAMS} answers of 1 MiB that nobody reads hold {grown} bytes");
    crate::harness::eventually("every stream is reset", || {
        target.serves_others();
        (attacker.heard().count(RST_STREAM) == STREAMS as usize).then_some(())
    });
    attacker.finish();
}

#[test]
fn h07_small_blocks_that_unpack_to_large_ones_are_refused() {
    let target = Target::start();
    // A field of 4000 bytes that is kept in the table, and then the same field a thousand times.
    let mut bomb = target.asking("GET");
    bomb.extend([0x40, 3]);
    bomb.extend(b"x-a");
    bomb.extend([0x7f, 0xa1, 0x1e]);
    bomb.extend([b'b'; 4000]);
    bomb.extend([0xbe; 12_000]);
    for address in target.addresses() {
        let before = target.memory();
        let mut attacker = Attacker::open(&address, &[]);
        for n in 0..50 {
            if !attacker.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &bomb)) {
                break;
            }
            target.serves_others();
        }
        let heard = attacker.finish();
        assert!(heard.count(DATA) == 0, "none is answered as if it were a request: {heard:?}");
        let grown = target.memory().saturating_sub(before);
        assert!(grown < GROWTH_MAX, "memory grew by {grown} bytes");
    }
    assert!(target.upstream.seen().iter().all(|seen| seen.header("x-a").is_none()));
}

#[test]
fn h07_a_caller_cannot_make_us_remember_our_own_headers() {
    let target = Target::start();
    const HEADER_TABLE_SIZE: u16 = 1;
    let unknown = block(&[(":method", b"GET"), (":scheme", b"http"), (":authority", b"a"), (":path", b"/")]);
    for address in target.addresses() {
        let mut attacker = Attacker::open(&address, &[(HEADER_TABLE_SIZE, u32::MAX)]);
        target.serves_others();
        let before = target.memory();
        for n in 0..20 {
            attacker.send(&frame(WINDOW_UPDATE, 0, 0, &1_000_000u32.to_be_bytes()));
            // As many as may run at a time; every answer has an id of its own among its headers.
            let requests =
                (0..150).flat_map(|m| frame(HEADERS, END_HEADERS | END_STREAM, stream(150 * n + m), &unknown));
            assert!(attacker.send(&requests.collect::<Vec<u8>>()));
            crate::harness::eventually("all are answered", || {
                (attacker.heard().count(HEADERS) == 150 * (n as usize + 1)).then_some(())
            });
        }
        attacker.finish();
        let grown = target.memory().saturating_sub(before);
        assert!(grown < GROWTH_MAX, "memory grew by {grown} bytes");
    }
}

#[test]
fn h07_the_control_plane_speaks_no_http_2() {
    let target = Target::start();
    let mut socket = Socket::connect(&target.keyward.control_address());
    socket.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    socket.send(frame(SETTINGS, 0, 0, &[]));
    let heard = socket.some().unwrap_or_default();
    assert!(!heard.starts_with(&[0, 0]) && !heard.contains(&GOAWAY), "{heard:?}");
    assert!(socket.is_ended());
}
