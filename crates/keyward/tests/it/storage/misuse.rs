//! Operators' mistakes and callers' nonsense: wrong settings (S20), secrets where everybody looks (S21), requests
//! that are none (S23).

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::offline::{Ran, run};
use crate::harness::raw::{Answer, Socket};
use crate::harness::traces::Traces;
use crate::harness::{Keyward, binary};

/// `serve` with these settings, which must not start: the time limit makes a start a failure.
fn serve(folder: &TempDir, arguments: &[&str], env: &[(&str, &str)]) -> Ran {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", "20"]).arg(binary()).arg("serve").args(arguments).envs(env.iter().copied());
    let output = command.current_dir(folder.path()).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    Ran { code: output.status.code().unwrap_or(-1), stdout, stderr }
}

#[test]
fn s20_bad_configurations_are_refused_with_their_line() {
    const BAD: &[(&str, usize, &str)] = &[
        ("[contrl]\nlisten = \"127.0.0.1:0\"", 1, "contrl"),
        ("[control]\n\nlisen = \"127.0.0.1:0\"", 3, "control.lisen"),
        ("[control]\nlisten = 7700", 2, "control.listen"),
        ("[control]\nlisten = \"0.0.0.0:0\"", 2, "control.listen"),
        ("allow_plaintext = false\n\n[gateway]\nlisten = \"[::]:0\"", 4, "gateway.listen"),
        ("[gateway]\ntrusted_proxies = [\"0.0.0.0/0\"]", 2, "gateway.trusted_proxies"),
        ("[gateway]\ntrusted_proxies = [\"::/0\"]", 2, "gateway.trusted_proxies"),
        ("[gateway]\nconnections_max = -1", 2, "gateway.connections_max"),
        ("[gateway]\nupstreams = [\"standard=ftp://a\"]", 2, "gateway.upstreams"),
        ("[log]\nlevel = \"loud\"", 2, "log.level"),
        ("[stop]\ndrain_seconds = \"soon\"", 2, "stop.drain_seconds"),
        ("[secrets]\npepper = \"hunter2hunter2hunter2\"", 2, "secrets.pepper"),
        ("[check]\nlisten = \"127.0.0.1:7700\"", 2, "check.listen"),
        ("[control\nlisten = 1", 1, ""),
    ];
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("keyward.toml");
    for (text, line, setting) in BAD {
        std::fs::write(&file, text).unwrap();
        let ran = serve(&folder, &["--config", file.to_str().unwrap()], &[]);
        assert_eq!(ran.code, 2, "{text}: {ran:?}");
        let ran = ran.expect_refused(&[&format!("keyward.toml:{line}: {setting}")]);
        assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    }
    // All that is wrong at once, not one after the other.
    std::fs::write(&file, "[control]\nlisen = 1\n[log]\nlevel = \"loud\"").unwrap();
    let ran = serve(
        &folder,
        &["--config", file.to_str().unwrap()],
        &[("KEYWARD_LOG_FORMAT", "xml"), ("KEYWARD_CONTROL_LISEN", "1")],
    );
    ran.expect_refused(&[":2: control.lisen", ":4: log.level", "KEYWARD_LOG_FORMAT", "KEYWARD_CONTROL_LISEN"]);
    for arguments in [&["--listen", "nowhere"][..], &["--listen", "0.0.0.0:0"], &["--nonsense"]] {
        let ran = serve(&folder, arguments, &[]);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        ran.expect_refused(&[arguments[0]]);
    }
    assert!(!folder.path().join("keyward-data").exists(), "a refused start makes nothing");
}

#[test]
fn s21_no_secret_in_arguments_environment_or_diagnostics() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path().join("data");
    run(&dir, &["init"]).expect_done();
    let any = "127.0.0.1:0";
    let mut command = Command::new(binary());
    command.args([
        "serve",
        "--json",
        "--listen",
        any,
        "--check-listen",
        any,
        "--gateway-listen",
        any,
        "--log-level",
        "debug",
    ]);
    let mut child = command
        .arg("--dir")
        .arg(&dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let started: Value = serde_json::from_str(&line).unwrap();
    let kept = ["secrets.toml", "cli.toml"]
        .map(|name| std::fs::read_to_string(dir.join(name)).unwrap_or_default())
        .concat();
    let secret = |line: &str| {
        let value = line.split('"').nth(1)?;
        let names = ["1 =", "chain_key", "signing_key", "management_key"];
        names.iter().any(|name| line.starts_with(name)).then(|| value.to_owned())
    };
    let secrets: Vec<_> = kept.lines().filter_map(secret).collect();
    assert_eq!(secrets.len(), 5, "a pepper, a key-encryption key, two keys of the log, a management key");
    let traces = Traces::of(&secrets);
    for name in ["cmdline", "environ"] {
        traces.must_not_be_in(name, std::fs::read(format!("/proc/{}/{name}", child.id())).unwrap());
    }
    let ps = Command::new("ps").args(["-eww", "-o", "args"]).output();
    traces.must_not_be_in("ps", ps.map(|output| output.stdout).unwrap_or_default());
    let url = started["control_url"].as_str().unwrap();
    for command in [
        &["config", "show"][..],
        &["doctor"],
        &["pepper", "list"],
        &["log", "verify", "--offline"],
        &["log", "head"],
    ] {
        for json in [false, true] {
            let mut command = command.to_vec();
            command.extend(if json { &["--json"][..] } else { &[] });
            if command.contains(&"head") {
                command.extend(["--url", url]);
            }
            let ran = run(&dir, &command);
            assert!(!(ran.stdout.clone() + &ran.stderr).is_empty(), "{command:?}");
            traces.must_not_be_in(&command.join(" "), ran.stdout + &ran.stderr);
        }
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let logged = child.wait_with_output().unwrap().stderr;
    assert!(!logged.is_empty());
    traces.must_not_be_in("the log at level debug", logged);
}

/// Requests that are none, or that are more than anybody asked for. `{}` stands for what authenticates.
fn nonsense() -> Vec<Vec<u8>> {
    let heads = [
        "",
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /%zz%00%ff HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "get / http/1.1\r\nhost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "TRACE / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "POST /v1/verify HTTP/1.1\r\nHost: a\r\n{}Content-Length: -1\r\n\r\n",
        "POST /v1/verify HTTP/1.1\r\nHost: a\r\n{}Content-Length: 99999999999999999999\r\n\r\n",
        "POST /v1/verify HTTP/1.1\r\nHost: a\r\n{}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "POST /v1/verify HTTP/1.1\r\nHost: a\r\n{}Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST /v1/verify HTTP/1.1\r\nHost: a\r\n{}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "POST /v1/verify HTTP/1.1\r\nHost: a\r\n{}Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
        "POST /v1/verify HTTP/1.1\r\nHost: a\r\n{}Content-Length: 10\r\n\r\nabc",
        "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic !!!\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX\0Y: z\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
    ];
    let bodies = [
        "",
        "null",
        "[]",
        "{",
        "\"",
        "{\"key\": 1}",
        "{\"key\": \"\\ud800\"}",
        "{\"key\": \"a\", \"key\": \"b\"}",
        "1e999999",
        "{\"key\": \"\", \"cost\": -1}",
        "{\"key\": \"kw_live_\u{202e}\"}",
        "{\"name\": \"\\u0000\", \"metadata\": {\"\": []}}",
        "\u{feff}{}",
    ];
    let mut all: Vec<Vec<u8>> = heads.iter().map(|head| head.as_bytes().to_vec()).collect();
    for path in ["/v1/verify", "/v1/organizations", "/v1/revocations", "/v1/management-keys"] {
        for body in bodies
            .iter()
            .map(|body| (*body).to_owned())
            .chain(["[".repeat(5_000), format!("{{\"key\": \"{}\"}}", "k".repeat(70_000))])
        {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\n{{}}Content-Type: application/json\r\nContent-Length: {}",
                body.len()
            );
            all.push(format!("{head}\r\n\r\n{body}").into_bytes());
        }
    }
    let mut many = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    many.extend((0..5_000).flat_map(|n| format!("X-{n}: y\r\n").into_bytes()));
    many.extend(b"\r\n");
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(100_000)).into_bytes();
    all.extend([
        many,
        long,
        vec![0; 4096],
        vec![0xff; 4096],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
    ]);
    all.push(b"GET /v1/changes?limit=x&after=\xff HTTP/1.1\r\nHost: a\r\n{}\r\n".to_vec());
    all
}

fn replaced(bytes: &[u8], with: &str) -> Vec<u8> {
    match bytes.windows(2).position(|window| window == b"{}").filter(|at| bytes[..*at].ends_with(b"Host: a\r\n")) {
        Some(at) => [&bytes[..at], with.as_bytes(), &bytes[at + 2..]].concat(),
        None => bytes.to_vec(),
    }
}

/// Whether a refusal says what is wrong in the words of its listener, or only that the bytes are no HTTP.
fn is_explained(answer: &Answer, is_gateway: bool) -> bool {
    if answer.body.is_empty() {
        return matches!(answer.status, 400 | 413 | 414 | 431) && answer.header("connection") == Some("close");
    }
    let expected = if is_gateway { "application/json" } else { "application/problem+json" };
    answer.header("content-type") == Some(expected) && serde_json::from_slice::<Value>(&answer.body).is_ok()
}

#[test]
fn s23_malformed_requests_never_end_the_process() {
    let mut keyward = Keyward::dev("standard");
    let listeners = [
        (keyward.control_address(), keyward.started.management_key.clone()),
        (keyward.check_address(), keyward.started.management_key.clone()),
        (keyward.gateway_address(), keyward.first_key().secret),
    ];
    let (mut answered, mut closed) = (0, 0);
    for (number, (address, key)) in listeners.iter().enumerate() {
        let credential = format!("Authorization: Bearer {key}\r\n");
        for bytes in nonsense() {
            let bytes = replaced(&bytes, &credential);
            let mut socket = Socket::connect(address);
            socket.patience(Duration::from_secs(1));
            socket.send(&bytes);
            // Half a request is answered when nothing more can come, if at all.
            let answer = socket.answer().or_else(|| {
                socket.finish();
                socket.answer()
            });
            let Some(answer) = answer else {
                closed += 1;
                continue;
            };
            answered += 1;
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
            assert!(
                answer.status < 500 || answer.status == 501 || answer.status == 505,
                "{address} {shown}\n{answer:?}"
            );
            assert!(
                answer.status < 400 || is_explained(&answer, number == 2),
                "{address} {shown}\n{}{}",
                answer.head,
                answer.text()
            );
        }
        assert!(keyward.is_running());
    }
    eprintln!("{answered} answered, {closed} closed");
    assert!(!keyward.stderr().contains("panicked"), "{}", keyward.stderr());
    assert!(keyward.is_valid(&keyward.first_key().secret));
    keyward.make(keyward.project(), serde_json::json!({}));
    keyward.expect_log_intact();
}
