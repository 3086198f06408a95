//! A request to the gateway as its bytes, sent as often as a story needs it, and a key in use with it:
//! "immediately" means the very next request, on a new connection and on one that stays open.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::raw::{Answer, Socket};
use super::server::{Keyward, is_success};

/// A request to the gateway. Has no `Content-Length` where it has no body, as curl sends it.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    /// What to send as `Host`; the gateway's address where none.
    pub host: Option<String>,
}

/// What a refused caller gets: the status and the body as JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    pub status: u16,
    pub body: Value,
}

impl Request {
    pub fn new(method: &str, target: &str) -> Self {
        Request { method: method.into(), target: target.into(), headers: Vec::new(), body: None, host: None }
    }

    pub fn get(target: &str) -> Self {
        Request::new("GET", target)
    }

    pub fn post(target: &str) -> Self {
        Request::new("POST", target)
    }

    /// With one more header line.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With a JSON body.
    pub fn json(self, body: &str) -> Self {
        let mut request = self.with("Content-Type", "application/json");
        request.body = Some(body.into());
        request
    }

    /// With one more query parameter, its value as it shall stand in the target.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        let separator = if self.target.contains('?') { '&' } else { '?' };
        self.target.push_str(&format!("{separator}{name}={value}"));
        self
    }

    /// Asked of another host than the gateway's address.
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.into());
        self
    }

    /// The bytes of it.
    pub fn bytes(&self, address: &str) -> String {
        let host = self.host.as_deref().unwrap_or(address);
        let mut text = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        match &self.body {
            Some(body) => text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len())),
            None => text.push_str("\r\n"),
        }
        text
    }
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}{}", self.head, self.text()))
    }

    /// Panics with the whole answer unless it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}{}", self.head, self.text());
        self
    }

    /// Panics unless it is this refusal, as JSON.
    #[track_caller]
    pub fn expect_refused(self, refused: &Refused) -> Self {
        let answer = self.expect(refused.status);
        assert_eq!(answer.json(), refused.body, "{}", answer.head);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{}", answer.head);
        answer
    }

    /// Panics unless the status is a success.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert!(is_success(self.status), "{}{}", self.head, self.text());
        self
    }
}

impl Keyward {
    /// A connection to the gateway.
    pub fn open(&self) -> Socket {
        Socket::connect(&self.gateway_address())
    }

    /// Sends a request to the gateway on this connection.
    #[track_caller]
    pub fn send_on(&self, socket: &mut Socket, request: &Request) -> Answer {
        assert!(socket.send(request.bytes(&self.gateway_address())), "the connection is gone: {request:?}");
        socket.answer().unwrap_or_else(|| panic!("no answer to {request:?}"))
    }

    /// Sends a request to the gateway on a connection of its own.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Answer {
        self.send_on(&mut self.open(), request)
    }

    /// Uses a key, on a connection that stays open for what comes after. Panics unless it is accepted.
    #[track_caller]
    pub fn use_key(&self, request: Request) -> InUse<'_> {
        let mut in_use = InUse { keyward: self, open: self.open(), request };
        in_use.expect_accepted();
        in_use
    }
}

/// A key in use: accepted at first, on a connection that stays open while something is changed.
pub struct InUse<'k> {
    keyward: &'k Keyward,
    open: Socket,
    request: Request,
}

impl InUse<'_> {
    /// Panics unless the next request is accepted, on the connection that stayed open and on a new one.
    #[track_caller]
    pub fn expect_accepted(&mut self) {
        for answer in self.both() {
            answer.expect_success();
        }
    }

    /// Panics unless the next request is refused like this, on the connection that stayed open and on a new one.
    #[track_caller]
    pub fn expect_refused(&mut self, refused: &Refused) {
        for answer in self.both() {
            answer.expect_refused(refused);
        }
    }

    /// Uses the key until it is refused, and panics unless that is within thirty seconds and like this.
    #[track_caller]
    pub fn expect_refused_in_the_end(&mut self, refused: &Refused) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while is_success(self.keyward.send_on(&mut self.open, &self.request).status) {
            assert!(Instant::now() < deadline, "still accepted: {:?}", self.request);
            std::thread::sleep(Duration::from_millis(10));
        }
        self.expect_refused(refused);
    }

    #[track_caller]
    fn both(&mut self) -> [Answer; 2] {
        let open = self.keyward.send_on(&mut self.open, &self.request);
        [open, self.keyward.send(&self.request)]
    }
}
