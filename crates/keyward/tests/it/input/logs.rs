//! Hostile text must stay one line of the log, and must not reach a terminal as more than text.

use crate::harness::raw::exchange;
use crate::harness::{Keyward, eventually};
use serde_json::{Value, json};

/// Texts that would forge a line of a log or command a terminal.
const HOSTILE: &[&str] = &[
    "a\r\n2026-01-01 INFO FORGED",
    "a\nFORGED",
    "a\rFORGED",
    "a\u{85}FORGED",
    "a\u{2028}FORGED",
    "\u{1b}[31mFORGED\u{1b}[0m",
    "\u{1b}]0;FORGED\u{7}",
    "\u{9b}31mFORGED",
    "\u{1b}[2J",
    "\u{8}\u{8}\u{8}FORGED",
    "a\0FORGED",
    "\",\"level\":\"FORGED\"",
    "}\n{\"level\":\"ERROR\",\"message\":\"FORGED\"}",
    "\u{202e}DEGROF",
    "%0d%0aFORGED",
    "\\r\\nFORGED",
    "\\u001b[31mFORGED",
];

/// Puts hostile text wherever text can be put.
fn attack(keyward: &Keyward) {
    let project = format!("/v1/projects/{}", keyward.project());
    for text in HOSTILE {
        for (path, body) in [
            (format!("{project}/keys"), json!({"name": text})),
            (format!("{project}/keys"), json!({"name": "fine", "metadata": {"note": text, *text: 1}})),
            (format!("{project}/keys"), json!({"name": "fine", "scopes": [text]})),
            (format!("{project}/keys"), json!({"name": "fine", "expires_at": text})),
            (format!("{project}/keys"), json!({"name": "fine", *text: 1})),
            ("/v1/organizations".into(), json!({"name": text})),
            ("/v1/management-keys".into(), json!({"name": text, "scopes": ["keys:read"]})),
            ("/v1/backups".into(), json!({"name": text})),
            ("/v1/revocations".into(), json!({"keys": [text], "reason": text})),
        ] {
            let reply = keyward.post(&path, body);
            assert!(reply.status < 500, "{path}: {} {}", reply.status, reply.text);
        }
        let key = keyward.make(keyward.project(), json!({"name": "to be revoked"}));
        let reply = keyward.post(&format!("/v1/keys/{}/revoke", key.id), json!({"reason": text}));
        assert!(reply.status < 500, "{} {}", reply.status, reply.text);
        keyward.put_contract("hostile", &format!("schema = 1\ntitle = {}\nextends = {}", json!(text), json!(text)));
        keyward.verify(json!({"key": text, "api": text, "path": text, "method": text}));
    }
    // What goes into lines of HTTP: a header takes everything but CR, LF and NUL; a target less.
    let key = &keyward.started.management_key;
    for address in [keyward.control_address(), keyward.check_address(), keyward.gateway_address()] {
        for text in ["\u{1b}[31mFORGED", "%1b[31mFORGED%0d%0aFORGED", "\u{9b}FORGED"] {
            let head = format!(
                "GET /v1/{text} HTTP/1.1\r\nHost: {text}\r\nUser-Agent: {text}\r\nX-Request-Id: {text}\r\nAuthorization: Bearer {key}{text}\r\n\r\n"
            );
            exchange(&address, head);
            exchange(
                &address,
                format!(
                    "GET /v1/keys/{text}?name={text} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\r\n"
                ),
            );
            exchange(&address, format!("{text} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        }
    }
}

/// Waits until the last request of ours stands in the log, and gives all of it.
fn log_of(keyward: &Keyward) -> String {
    let reply = keyward.get("/v1/whoami").expect(200);
    let id = reply.header("x-request-id").unwrap().to_owned();
    eventually("the last request is logged", || keyward.stderr().contains(&id).then_some(()));
    keyward.stderr()
}

#[test]
fn i02_each_line_of_a_json_log_is_one_object() {
    let keyward = Keyward::dev_with("standard", &["--log-format", "json", "--log-level", "trace"]);
    attack(&keyward);
    let log = log_of(&keyward);
    assert!(log.lines().count() > 200, "{}", log.lines().count());
    for line in log.lines() {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_ne!(entry["level"], "FORGED");
        assert!(entry["timestamp"].is_string() && entry["level"].is_string(), "{line}");
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{2028}' || c == '\u{202e}'), "{line:?}");
    }
}

#[test]
fn i02_each_line_of_a_text_log_is_ours() {
    let keyward = Keyward::dev_with("standard", &["--log-level", "trace"]);
    attack(&keyward);
    for line in log_of(&keyward).lines() {
        let is_ours = line.starts_with("20")
            && [" TRACE ", " DEBUG ", " INFO ", " WARN ", " ERROR "].iter().any(|level| line.contains(level));
        assert!(is_ours && !line.chars().any(char::is_control), "{line:?}");
    }
}

#[test]
fn i02_what_the_cli_shows_commands_no_terminal() {
    let keyward = Keyward::dev("standard");
    attack(&keyward);
    let id = &keyward.started.key_id;
    let project = keyward.project();
    for arguments in [
        &["project", "list", &keyward.started.organization][..],
        &["key", "list", project],
        &["key", "show", id],
        &["org", "list"],
        &["management-key", "list"],
        &["log", "list"],
        &["log", "events", project],
        &["api", "list"],
        &["api", "show", "standard"],
        &["key", "list", project, "--json"],
        &["log", "list", "--json"],
    ] {
        let (_, stdout, stderr) = keyward.cli(arguments);
        for text in [stdout, stderr] {
            let odd = text.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(odd, None, "{arguments:?}: {text:?}");
            assert!(!text.contains('\u{202e}') || arguments.contains(&"--json"), "{arguments:?}: {text:?}");
            assert!(!text.lines().any(|line| line.starts_with("FORGED")), "{arguments:?}: {text}");
        }
    }
    // Hostile arguments, too, come back as text.
    for text in ["\u{1b}[31mFORGED", "a\nFORGED", "\u{9b}FORGED"] {
        for arguments in
            [&["key", "show", text][..], &["key", "create", project, "--name", text], &["--dir", text, "doctor"]]
        {
            let (code, stdout, stderr) = keyward.cli(arguments);
            assert_ne!(code, 0, "{arguments:?}");
            assert!(!format!("{stdout}{stderr}").contains(['\u{1b}', '\u{9b}']), "{arguments:?}: {stderr:?}");
        }
    }
}
