//! Methods and targets that are never forwarded, and protocols that are not spoken.

use super::head;
use super::recorder::Recorder;
use crate::harness::Keyward;
use crate::harness::raw::exchange;
use serde_json::json;

struct Asked {
    keyward: Keyward,
    recorder: Recorder,
    key: String,
}

impl Asked {
    fn new() -> Self {
        let recorder = Recorder::start();
        let keyward = Keyward::dev_with("standard", &["--upstream", &recorder.url]);
        let key = super::bearer(&keyward.first_key());
        Asked { keyward, recorder, key }
    }

    /// Sends a request to the gateway; its status.
    fn status(&self, method: &str, target: &str, lines: &[&str]) -> Option<u16> {
        let lines: Vec<&str> = lines.iter().copied().chain([self.key.as_str()]).collect();
        exchange(&self.keyward.gateway_address(), head(method, target, &lines)).map(|answer| answer.status)
    }

    /// Method and target of what reached the upstream.
    fn reached(&self) -> Vec<(String, String)> {
        self.recorder.requests().into_iter().map(|request| (request.method, request.target)).collect()
    }
}

#[test]
fn h17_trace_connect_and_odd_methods_are_refused() {
    let asked = Asked::new();
    let refused = asked.keyward.terms().refusal("method_not_allowed");
    let answer = exchange(&asked.keyward.gateway_address(), head("TRACE", "/v1/hello", &[&asked.key])).unwrap();
    answer.expect_refused(&refused);
    for (method, target) in [
        ("TRACE", "/v1/hello"),
        ("CONNECT", "evil.example:443"),
        ("CONNECT", "/v1/hello"),
        ("get", "/v1/hello"),
        ("Post", "/v1/hello"),
        ("TRACE", "*"),
        ("PRI", "*"),
        ("trace", "/v1/hello"),
    ] {
        let status = asked.status(method, target, &[]);
        assert!(matches!(status, None | Some(400 | 405)), "{method} {target}: {status:?}");
    }
    assert_eq!(asked.reached(), []);
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PROPFIND"] {
        assert_eq!(asked.status(method, "/v1/hello", &[]), Some(200), "{method}");
    }
    assert_eq!(asked.reached().len(), 8);
}

#[test]
fn h17_a_header_cannot_name_another_method_than_the_one_decided_on() {
    let asked = Asked::new();
    let overrides = [
        "X-HTTP-Method-Override: DELETE",
        "X-HTTP-Method: DELETE",
        "X-Method-Override: DELETE",
        "x-http-method-override: get",
    ];
    // Where every key may call everything, it is between the caller and the API.
    assert_eq!(asked.status("GET", "/v1/hello", &[overrides[0]]), Some(200));
    let before = asked.reached().len();
    asked.keyward.amend(
        "[scopes]\nread = \"Read\"\n[[routes]]\nmethods = [\"GET\"]\npath = \"/v1/hello\"\nscopes = [\"read\"]",
    );
    for line in overrides {
        let status = asked.status("GET", "/v1/hello", &[line]);
        assert!(matches!(status, Some(400 | 405)), "{line}: {status:?}");
    }
    assert_eq!(asked.reached().len(), before);
}

#[test]
fn h17_a_target_names_no_other_host() {
    let asked = Asked::new();
    for target in [
        "http://evil.example/v1/hello",
        "https://evil.example/",
        "http://evil.example",
        "http://api.example@evil.example/",
        "evil.example:80",
        "ftp://evil.example/",
        "file:///etc/passwd",
        "api.example/v1/hello",
        "v1/hello",
        "?a=1",
        "\\v1\\hello",
        "#",
    ] {
        let status = asked.status("GET", target, &[]);
        assert!(matches!(status, None | Some(400)), "{target}: {status:?}");
    }
    assert_eq!(asked.reached(), []);
    // The absolute form of the same host is the same request (RFC 9112, 3.2.2), and the upstream gets a path.
    for (target, path) in
        [("http://api.example/v1/hello?a=1", "/v1/hello?a=1"), ("//evil.example/x", "//evil.example/x")]
    {
        assert_eq!(asked.status("GET", target, &[]), Some(200), "{target}");
        let request = asked.recorder.last();
        assert_eq!(request.target, path);
        assert!(!request.all("host")[0].contains("example"), "the upstream's own host");
    }
}

#[test]
fn h17_http_2_over_an_upgrade_is_not_spoken() {
    let asked = Asked::new();
    let settings = "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA";
    for connection in ["Connection: Upgrade, HTTP2-Settings", "Connection: Upgrade"] {
        for protocol in ["h2c", "h2", "HTTP/2.0", "h2c, websocket", "websocket, h2c"] {
            // Refused, or answered as if nobody had asked (RFC 9110, 7.8); never 101.
            let status = asked.status("GET", "/v1/hello", &[connection, &format!("Upgrade: {protocol}"), settings]);
            assert!(matches!(status, Some(200 | 400 | 405)), "{protocol}: {status:?}");
        }
    }
    for request in asked.recorder.requests() {
        for gone in ["upgrade", "http2-settings", "connection"] {
            assert_eq!(request.all(gone), [""; 0], "{request:?}");
        }
    }
}

#[test]
fn h17_our_own_doors_refuse_the_same() {
    let asked = Asked::new();
    let key = format!("Authorization: Bearer {}", asked.keyward.started.management_key);
    let body = json!({"key": asked.keyward.first_key().secret}).to_string();
    for address in [asked.keyward.control_address(), asked.keyward.check_address()] {
        for (method, target) in [
            ("TRACE", "/v1/whoami"),
            ("TRACE", "/v1/verify"),
            ("CONNECT", "evil.example:443"),
            ("OPTIONS", "*"),
            ("get", "/v1/whoami"),
            ("GET", "http://evil.example/v1/whoami"),
            ("GET", "v1/whoami"),
        ] {
            let status = exchange(&address, head(method, target, &[&key])).map(|answer| answer.status);
            assert!(matches!(status, None | Some(400 | 404 | 405)), "{method} {target}: {status:?}");
        }
        let upgrade = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk", &key];
        let status = exchange(&address, head("GET", "/v1/whoami", &upgrade)).map(|answer| answer.status);
        assert!(matches!(status, Some(400 | 404 | 405)), "{status:?}");
    }
    // A method that a header names is not the method that is served.
    let lines = ["X-HTTP-Method-Override: DELETE", &key];
    let key_path = format!("/v1/keys/{}/revoke", asked.keyward.started.key_id);
    let answer =
        exchange(&asked.keyward.control_address(), head("GET", &key_path, &["X-HTTP-Method-Override: POST", &key]));
    assert!(matches!(answer.map(|answer| answer.status), Some(400 | 405)));
    let project = format!("/v1/projects/{}", asked.keyward.project());
    exchange(&asked.keyward.control_address(), head("GET", &project, &lines)).unwrap();
    asked.keyward.get(&project).expect(200);
    for wrong in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let request =
            format!("{}{body}", head(wrong, "/v1/verify", &[&key, &format!("Content-Length: {}", body.len())]));
        let status = exchange(&asked.keyward.check_address(), request).map(|answer| answer.status);
        assert!(matches!(status, Some(404 | 405)), "{wrong}: {status:?}");
    }
}
