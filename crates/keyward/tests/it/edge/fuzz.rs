//! Requests that a machine made up: thousands of mutations of good ones, the same on every run. None may end
//! the process, be answered with 500, or reach the upstream as anything but one well-framed request.

use std::time::Duration;

use super::recorder::Recorder;
use crate::harness::Keyward;
use crate::harness::raw::Socket;

/// A small generator of numbers (xorshift): the same numbers on every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn one<'a>(&mut self, of: &[&'a [u8]]) -> &'a [u8] {
        of[self.below(of.len())]
    }
}

/// Pieces that mean something to somebody.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"\r\n\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    b"Expect: 100-continue\r\n",
    b"%",
    b"%00",
    b"%2f",
    b"..",
    b"//",
    b"?",
    b"#",
    b"&api_key=",
    b"Authorization: ",
    b"Bearer ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b",",
    b"\\u0000",
    b"1e999",
    b"-",
    b"\xff",
    b"\xc3\x28",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"POST ",
    b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"null",
    b"9223372036854775808",
    b"X-Forwarded-For: ",
    b"Host: ",
    b"*",
    b"@",
    b";",
    b"=",
    b"\x7f",
    b"\xe2\x80\xae",
];

/// A good request with a few things wrong with it.
fn mutated(good: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        let to = (at + numbers.below(20)).min(bytes.len());
        match numbers.below(6) {
            0 => drop(bytes.splice(at..at, numbers.one(PIECES).iter().copied())),
            1 => drop(bytes.splice(at..to, numbers.one(PIECES).iter().copied())),
            2 => drop(bytes.drain(at..to)),
            3 => bytes[at] = numbers.next() as u8,
            4 => {
                let copied = bytes[at..to].to_vec();
                let there = numbers.below(bytes.len());
                drop(bytes.splice(there..there, copied));
            }
            _ => bytes[at] ^= 1 << numbers.below(8),
        }
        if bytes.is_empty() {
            bytes.push(b'G');
        }
    }
    bytes
}

fn good(keyward: &Keyward) -> Vec<(String, Vec<u8>)> {
    let (key, management) = (keyward.first_key().secret, &keyward.started.management_key);
    let post = |target: &str, key: &str, body: &str| {
        let lines = format!("Host: a\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json");
        format!("POST {target} HTTP/1.1\r\n{lines}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let get = |target: &str, key: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nAuthorization: Bearer {key}\r\n\r\n")
            .into_bytes()
    };
    let project = keyward.project();
    let verify = format!(
        "{{\"key\": \"{key}\", \"scopes\": [\"a\"], \"method\": \"GET\", \"path\": \"/v1/x\", \"cost\": 1, \"ip\": \"1.2.3.4\"}}"
    );
    let wish = "{\"name\": \"Zoë\", \"scopes\": [\"a:*\"], \"metadata\": {\"a\": [1, 2.5, null]}, \"expires_at\": \"2999-01-01T00:00:00.000Z\"}";
    let chunked = format!(
        "POST /v1/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"
    );
    vec![
        (keyward.gateway_address(), get("/v1/hello?a=1", &key)),
        (keyward.gateway_address(), post("/v1/hello", &key, "{\"a\": 1}")),
        (keyward.gateway_address(), chunked.into_bytes()),
        (keyward.check_address(), post("/v1/verify", management, &verify)),
        (keyward.control_address(), post(&format!("/v1/projects/{project}/keys"), management, wish)),
        (keyward.control_address(), get(&format!("/v1/projects/{project}/keys?limit=10&state=active"), management)),
        (keyward.control_address(), get(&format!("/v1/projects/{project}/events?limit=5"), management)),
        (keyward.control_address(), get("/v1/changes?after=0&limit=5", management)),
    ]
}

#[test]
fn s23_thousands_of_made_up_requests_end_nothing() {
    const ROUNDS: usize = 400;
    let recorder = Recorder::start();
    let mut keyward = Keyward::dev_with("standard", &["--upstream", &recorder.url]);
    let good = good(&keyward);
    for (seed, (address, good)) in (1_u64..).zip(&good) {
        let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for _ in 0..ROUNDS {
            let bytes = mutated(good, &mut numbers);
            let mut socket = Socket::connect(address);
            socket.patience(Duration::from_millis(500));
            socket.send(&bytes);
            // Nothing more comes: half a request is over with this.
            socket.finish();
            let answer = socket.answer();
            let status = answer.as_ref().map(|answer| answer.status);
            assert_ne!(status, Some(500), "{}\n{answer:?}", String::from_utf8_lossy(&bytes));
        }
        assert!(keyward.is_running());
    }
    recorder.settle();
    recorder.requests();
    assert!(!keyward.stderr().contains("panic"), "{}", keyward.stderr());
    assert!(keyward.is_valid(&keyward.first_key().secret));
}
