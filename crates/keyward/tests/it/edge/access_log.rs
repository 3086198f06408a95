//! The access log: a line of JSON for every request, without anything that opens something, whatever callers write.

use std::path::PathBuf;

use super::{bearer, head};
use crate::harness::raw::{Socket, exchange};
use crate::harness::{Keyward, Scripted, Upstream, eventually};
use serde_json::{Value, json};

/// A Keyward with an access log, in front of an upstream.
struct Logged {
    keyward: Keyward,
    file: PathBuf,
    _upstream: Upstream,
    _folder: tempfile::TempDir,
}

impl Logged {
    fn start(preset: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.log");
        let upstream = Upstream::start(Scripted::json(200, "{\"a\":1}"));
        let env = [
            ("KEYWARD_ACCESS_LOG_FILE", file.to_str().unwrap()),
            ("KEYWARD_GATEWAY_TRUSTED_PROXIES", "127.0.0.0/8"),
        ];
        let keyward = Keyward::dev_with_env(preset, &["--upstream", &upstream.url], &env);
        Logged { keyward, file, _upstream: upstream, _folder: folder }
    }

    /// What the log says once the server has stopped.
    fn text(&mut self) -> String {
        self.keyward.stop();
        std::fs::read_to_string(&self.file).unwrap()
    }

    fn lines(&mut self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

#[test]
fn every_request_is_a_line_with_who_asked_for_what_and_how_it_ended() {
    let mut logged = Logged::start("standard");
    let (keyward, key) = (&logged.keyward, logged.keyward.first_key());
    let parent = "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let from = "X-Forwarded-For: 203.0.113.9";
    let request = head("POST", "/v1/hello?a=b", &[&bearer(&key), from, parent, "Content-Length: 5"]);
    let answer = exchange(&keyward.gateway_address(), request + "hello").unwrap().expect(200);
    keyward.call("GET", "/v1/hello", &[("Authorization", "Bearer nonsense")]).expect(401);
    assert!(keyward.is_valid(&key.secret));
    keyward.http.get(format!("{}/elsewhere", keyward.started.check_url)).send().unwrap();
    let revoked = keyward.make(keyward.project(), json!({"name": "revoked"}));
    keyward.revoke(&revoked.id);
    keyward.call("GET", "/v1/hello", &[("Authorization", &format!("Bearer {}", revoked.secret))]).expect(401);
    let (project, api) = (keyward.project().to_owned(), keyward.started.api.clone());
    let request_id = answer.header("x-request-id").unwrap().to_owned();

    let lines = logged.lines();
    let doors: Vec<_> = lines.iter().map(|line| line["door"].as_str().unwrap()).collect();
    assert_eq!(doors, ["gateway", "gateway", "check", "check", "gateway"], "{lines:?}");
    let granted = &lines[0];
    for (field, value) in [
        ("request_id", json!(request_id)),
        ("api", json!(api)),
        ("key", json!(key.id)),
        ("project", json!(project)),
        ("method", json!("POST")),
        ("path", json!("/v1/hello")),
        ("status", json!(200)),
        ("outcome", json!("valid")),
        ("bytes_in", json!(5)),
        ("bytes_out", json!(7)),
        ("peer", json!("127.0.0.1")),
        ("caller", json!("203.0.113.9")),
        ("trace_id", json!("4bf92f3577b34da6a3ce929d0e0e4736")),
    ] {
        assert_eq!(granted[field], value, "{field}: {granted}");
    }
    let (all, upstream) = (granted["duration_us"].as_u64().unwrap(), granted["upstream_us"].as_u64().unwrap());
    assert!(0 < upstream && upstream <= all, "{granted}");
    assert!(keyward_core::clock::Timestamp::from_millis(0) < granted["time"].as_str().unwrap().parse().unwrap());
    let told = |line: &Value| (line["status"].as_u64(), line["outcome"].as_str().map(str::to_owned));
    assert_eq!(told(&lines[1]), (Some(401), Some("malformed_key".into())));
    assert_eq!((&lines[1]["key"], &lines[1]["upstream_us"]), (&Value::Null, &Value::Null));
    assert_eq!(told(&lines[2]), (Some(200), Some("valid".into())));
    assert_eq!((&lines[2]["key"], &lines[2]["project"]), (&json!(key.id), &json!(project)));
    assert_eq!(told(&lines[3]), (Some(404), Some("not_found".into())));
    assert_eq!(told(&lines[4]), (Some(401), Some("revoked".into())));
    assert_eq!(lines[4]["key"], json!(revoked.id), "whose key it was is known");
}

#[test]
fn k09_no_credential_is_in_it_wherever_a_caller_put_it() {
    let mut logged = Logged::start("profound");
    let keyward = &logged.keyward;
    let secret = keyward.first_key().secret;
    let encoded = secret.replace('_', "%5F");
    for target in [
        "/v1/x".to_owned(),
        format!("/v1/x?api_key={secret}"),
        format!("/v1/{secret}?api_key={secret}"),
        format!("/v1/{encoded}"),
        format!("/v1/x?other={secret}"),
    ] {
        for line in [format!("X-API-Key: {secret}"), format!("User-Agent: {secret}"), format!("Host: {secret}")] {
            let mut socket = Socket::connect(&keyward.gateway_address());
            socket.send(format!(
                "GET {target} HTTP/1.1\r\n{}{line}\r\n\r\n",
                if line.starts_with("Host") { "" } else { "Host: a\r\n" }
            ));
            socket.answer().unwrap();
        }
    }
    assert!(keyward.is_valid(&secret));
    let management = keyward.started.management_key.clone();
    let text = logged.text();
    assert!(text.lines().count() >= 10, "{text}");
    for hidden in [&secret, &encoded, &management] {
        assert!(!text.contains(hidden.as_str()), "{text}");
    }
    assert!(text.contains("[a credential]"), "{text}");
}

#[test]
fn i02_callers_cannot_write_lines_of_their_own() {
    let mut logged = Logged::start("standard");
    let key = bearer(&logged.keyward.first_key());
    let targets = ["/a%0a%0dforged", "/\"}{\"forged\":\"", "/\u{202e}\u{9b}31m", "/%1b[31m", "/a\\nforged"];
    for target in targets {
        // Some of them are no request at all; those get no line.
        let _ = exchange(&logged.keyward.gateway_address(), head("GET", target, &[&key]));
    }
    let long = format!("/{}", "a".repeat(6000));
    exchange(&logged.keyward.gateway_address(), head("GET", &long, &[&key])).unwrap().expect(200);
    let text = logged.text();
    assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..0x7f).contains(&byte)), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(lines.len() > 1 && lines.iter().all(|line| line["forged"].is_null()), "{text}");
    assert!(lines.iter().any(|line| line["path"].as_str().unwrap().len() == 1024), "{text}");
}

#[test]
fn a_rotated_log_is_opened_anew_at_sighup() {
    let mut logged = Logged::start("standard");
    assert!(logged.keyward.is_valid(&logged.keyward.first_key().secret));
    let moved = logged.file.with_extension("1");
    std::fs::rename(&logged.file, &moved).unwrap();
    let pid = rustix::process::Pid::from_raw(logged.keyward.pid() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    eventually("a new file is there", || logged.file.exists().then_some(()));
    assert!(!logged.keyward.is_valid("nonsense"));
    let lines = logged.lines();
    assert_eq!(lines.last().unwrap()["outcome"], "malformed_key", "{lines:?}");
    let before = std::fs::read_to_string(&moved).unwrap();
    assert_eq!(before.lines().count() + lines.len(), 2, "{before}{lines:?}");
}

#[test]
fn a_log_that_cannot_be_written_costs_lines_and_nothing_else() {
    let env = [("KEYWARD_ACCESS_LOG_FILE", "/dev/full")];
    let keyward = Keyward::dev_with_env("standard", &[], &env);
    eventually("lost lines are counted", || {
        assert!(keyward.is_valid(&keyward.first_key().secret));
        let metrics = keyward.get("/metrics").expect(200).text;
        let line = metrics.lines().find_map(|line| line.strip_prefix("keyward_access_log_dropped_total "));
        (line.expect("it is counted").parse::<u64>().unwrap() > 0).then_some(())
    });
    assert_eq!(keyward.stderr().matches("the access log cannot be written").count(), 1);
}
