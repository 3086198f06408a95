//! Bodies that are not held in memory: they go through piece by piece, and are broken off where they go wrong.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::{key_of, keyward, send_to};
use crate::edge::resident_bytes;
use crate::harness::{Key, Keyward, eventually};

/// A destination that reads to the end.
struct Draining {
    url: String,
    /// How many bytes came so far, of all requests.
    begun: Arc<AtomicUsize>,
    /// How many bytes of a request came in the end, and whether it came whole.
    ended: mpsc::Receiver<(usize, bool)>,
}

impl Draining {
    fn next(&self) -> (usize, bool) {
        self.ended.recv_timeout(Duration::from_secs(60)).expect("a request ended at the destination")
    }
}

fn draining() -> Draining {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, ended) = mpsc::channel();
    let begun = Arc::new(AtomicUsize::new(0));
    let came = Arc::clone(&begun);
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let (mut piece, mut count, mut tail) = (vec![0; 1 << 16], 0, Vec::new());
            while let Ok(read @ 1..) = socket.read(&mut piece) {
                count += read;
                came.fetch_add(read, Ordering::SeqCst);
                tail.extend_from_slice(&piece[..read]);
                tail.drain(..tail.len().saturating_sub(5));
                if tail == b"0\r\n\r\n" {
                    let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
                    break;
                }
            }
            let _ = sender.send((count, tail == b"0\r\n\r\n"));
        }
    });
    Draining { url, begun, ended }
}

fn begin(keyward: &Keyward, key: &Key, fields: &str, length: u64) -> TcpStream {
    let mut socket = TcpStream::connect(keyward.gateway_address()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = format!(
        "POST /proxy/{} HTTP/1.1\r\nHost: a\r\nX-Qanapi-Authorization: {}\r\nX-Qanapi-Fields: {fields}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
        keyward.project(),
        key.secret
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket
}

/// A Keyward whose API takes bodies of this many bytes.
fn taking(bytes: u64) -> Keyward {
    let keyward = keyward();
    keyward.amend(&format!("[gateway]\nbody_max_bytes = {bytes}\n"));
    keyward
}

fn answered(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_body_of_200_megabytes_goes_through_in_flat_memory() {
    const ITEMS: usize = 200;
    let keyward = taking(300 << 20);
    let key = key_of(&keyward, keyward.project());
    let destination = draining();
    send_to(&keyward, keyward.project(), &destination.url);
    // Each item has a megabyte that stays as it is, and a field.
    let item = format!("{{\"plain\":\"{}\",\"ssn\":\"123-45-6789\"}}", "x".repeat(1 << 20));
    let length = (ITEMS * (item.len() + 1) - 1 + "{\"items\":[]}".len()) as u64;
    assert!(length > 200 << 20);
    let mut socket = begin(&keyward, &key, "items.*.ssn", length);
    socket.write_all(b"{\"items\":[").unwrap();
    let (mut before, mut most) = (0, 0);
    for number in 0..ITEMS {
        if number > 0 {
            socket.write_all(b",").unwrap();
        }
        socket.write_all(item.as_bytes()).unwrap();
        let now = resident_bytes(keyward.pid());
        if number == 5 {
            before = now;
        }
        most = most.max(now);
    }
    socket.write_all(b"]}").unwrap();
    let (count, is_whole) = destination.next();
    assert!(is_whole && count as u64 > length, "{count} of {length} bytes came");
    let grown = most.saturating_sub(before) >> 20;
    eprintln!(
        "{} MiB went through; resident: {} MiB after 5 of them, at most {} MiB",
        length >> 20,
        before >> 20,
        most >> 20
    );
    assert!(grown < 16, "{grown} MiB more in memory");
}

#[test]
fn without_a_destination_a_large_document_is_its_own_answer() {
    let keyward = taking(300 << 20);
    let key = key_of(&keyward, keyward.project());
    let plain = "x".repeat(8 << 20);
    let body = format!("{{\"plain\":\"{plain}\",\"a\":1}}");
    let mut socket = begin(&keyward, &key, "a", body.len() as u64);
    let mut reader = socket.try_clone().unwrap();
    let reading = std::thread::spawn(move || {
        let mut answer = Vec::new();
        let mut piece = [0; 1 << 16];
        while !answer.ends_with(b"0\r\n\r\n") {
            match reader.read(&mut piece) {
                Ok(read @ 1..) => answer.extend_from_slice(&piece[..read]),
                _ => break,
            }
        }
        answer
    });
    socket.write_all(body.as_bytes()).unwrap();
    let answer = reading.join().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"0\r\n\r\n"), "{}", answer.len());
    assert!(
        answer.len() > plain.len() && String::from_utf8_lossy(&answer[answer.len() - 400..]).contains("qanapi:")
    );
}

#[test]
fn a_large_body_that_goes_wrong_is_broken_off_and_the_field_is_named() {
    let keyward = taking(300 << 20);
    let key = key_of(&keyward, keyward.project());
    let destination = draining();
    send_to(&keyward, keyward.project(), &destination.url);
    let plain = "x".repeat(2 << 20);
    for (body, status, words) in [
        (format!("{{\"plain\":\"{plain}\"}}"), "HTTP/1.1 422", "The field a is missing"),
        (format!("{{\"plain\":\"{plain}\",\"a\":1,\"a\":2}}"), "HTTP/1.1 400", "not the JSON"),
        (
            format!("{{\"plain\":\"{plain}\",\"a\":\"{}\"}}", "y".repeat(5 << 20)),
            "HTTP/1.1 422",
            "The field a cannot",
        ),
        (format!("{{\"plain\":\"{plain}\",\"a\":1}}}}"), "HTTP/1.1 400", "not the JSON"),
    ] {
        let mut socket = begin(&keyward, &key, "a", body.len() as u64);
        // The rest is not read any more once it is refused.
        let _ = socket.write_all(body.as_bytes());
        let answer = answered(&mut socket);
        assert!(answer.starts_with(status) && answer.contains(words), "{words}: {answer}");
        let (_, is_whole) = destination.next();
        assert!(!is_whole, "a request that went wrong ended as if it were whole");
    }
}

#[test]
fn l09_a_revoke_cuts_an_encryption_that_is_under_way() {
    let keyward = taking(300 << 20);
    let key = key_of(&keyward, keyward.project());
    let destination = draining();
    send_to(&keyward, keyward.project(), &destination.url);
    let mut socket = begin(&keyward, &key, "a", 100 << 20);
    let start = format!("{{\"plain\":\"{}", "x".repeat(1 << 20));
    socket.write_all(start.as_bytes()).unwrap();
    eventually("some of it came", || (destination.begun.load(Ordering::SeqCst) > 100_000).then_some(()));
    keyward.revoke(&key.id).expect(200);
    // Before the call returned, the connection to the destination was closed: its request never ended.
    let (_, is_whole) = destination.next();
    assert!(!is_whole);
    let answer = answered(&mut socket);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 401"), "{answer}");
    // The same where the document is the answer.
    let key = key_of(&keyward, keyward.project());
    keyward.delete(&format!("/v1/projects/{}/destination", keyward.project())).expect(200);
    let mut socket = begin(&keyward, &key, "a", 100 << 20);
    socket.write_all(start.as_bytes()).unwrap();
    let mut first = [0; 12];
    socket.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    keyward.revoke(&key.id).expect(200);
    assert!(!answered(&mut socket).ends_with("0\r\n\r\n"), "the answer ended as if it were whole");
}
