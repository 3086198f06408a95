//! The rows of conformance.md, a file for each vendor and a test for each row, named after it. Requests are
//! the vendors' own; what they are answered with is written down here, not read from the contracts.

mod dev;
mod getprofile;
mod metriport;
mod profound;
mod qanapi;
mod scrapegraphai;
mod settled;

use std::collections::HashMap;
use std::io::Write;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::harness::{Keyward, Refused, Scripted, Seen, Upstream, eventually};

/// A Keyward with a vendor's preset in front of an upstream that answers `{"ok": true}` and remembers.
fn behind(preset: &str) -> (Keyward, Upstream) {
    let upstream = Upstream::start(Scripted::json(200, r#"{"ok":true}"#));
    (Keyward::dev_with(preset, &["--upstream", &upstream.url]), upstream)
}

/// A refusal with this body.
fn refused(status: u16, body: Value) -> Refused {
    Refused { status, body }
}

/// An upstream that keeps a record for each caller and path, as the vendors do: POST and PUT write it, DELETE
/// takes it away, GET reads it. The caller is whom our header `name` says it is.
fn records_of(name: &'static str) -> Upstream {
    let records = Mutex::new(HashMap::<(String, String), Vec<u8>>::new());
    Upstream::start(Scripted::with(move |seen: &Seen, socket| {
        let at = (seen.header(name).expect("the upstream is told who calls").to_owned(), seen.target.clone());
        let mut records = records.lock().unwrap();
        let found = match seen.method.as_str() {
            "GET" => records.get(&at).cloned(),
            "DELETE" => records.remove(&at),
            _ => {
                records.insert(at, seen.body.clone());
                Some(b"{}".to_vec())
            }
        };
        let (status, body) = match found {
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", br#"{"error":"no such record"}"#.to_vec()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).is_ok() && socket.write_all(&body).is_ok()
    }))
}

/// Waits until a key's uses are counted, and gives the key as it is then shown.
#[track_caller]
fn used(keyward: &Keyward, key: &str, uses: u64) -> Value {
    eventually(&format!("{key} was used {uses} times"), || {
        let shown = keyward.key(key);
        (shown["uses"] == uses).then_some(shown)
    })
}

/// The event log of a project, newest first.
fn events(keyward: &Keyward, project: &str) -> Vec<Value> {
    let reply = keyward.get(&format!("/v1/projects/{project}/events?limit=200")).expect(200);
    reply.json()["items"].as_array().unwrap().clone()
}

/// Waits for an event of this name about this key.
#[track_caller]
fn event(keyward: &Keyward, project: &str, name: &str, key: &str) -> Value {
    eventually(&format!("an event {name} of {key}"), || {
        events(keyward, project).into_iter().find(|event| event["name"] == name && event["key"] == key)
    })
}

/// Panics where a secret stands in anything that can be asked for, was printed or was written to disk after it
/// was handed out: not even the part of it that lists do not show.
#[track_caller]
fn expect_secret_nowhere(keyward: &Keyward, project: &str, key: &str, secret: &str) {
    let part = &secret[8..28];
    let everything = [
        format!("/v1/keys/{key}"),
        format!("/v1/projects/{project}/keys"),
        format!("/v1/projects/{project}"),
        format!("/v1/projects/{project}/events?limit=200"),
        format!("/v1/projects/{project}/usage?by=key"),
        format!("/v1/organizations/{}", keyward.started.organization),
        "/v1/changes?after=0&limit=200".to_owned(),
        "/v1/changes/head".to_owned(),
        "/metrics".to_owned(),
        "/openapi.json".to_owned(),
    ];
    for path in everything {
        let reply = keyward.get(&path).expect(200);
        assert!(!reply.text.contains(part), "{path}: {}", reply.text);
        let headers = format!("{:?}", reply.headers);
        assert!(!headers.contains(part), "{path}: {headers}");
    }
    assert!(!keyward.stderr().contains(part), "{}", keyward.stderr());
    for file in files(&keyward.dir()) {
        let bytes = std::fs::read(&file).unwrap();
        let is_in = bytes.windows(part.len()).any(|window| window == part.as_bytes());
        assert!(!is_in, "the secret stands in {}", file.display());
    }
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.is_file())
        .collect()
}

/// Panics unless the fields that a 422 names are these.
#[track_caller]
fn expect_fields(reply: crate::harness::Reply, fields: &[&str]) {
    let problem = reply.expect_problem(422, "invalid").json();
    let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("{problem}"));
    let mut named: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
    named.sort_unstable();
    assert_eq!(named, fields, "{problem}");
    assert!(errors.iter().all(|error| error["message"].as_str().is_some_and(|text| !text.is_empty())), "{problem}");
}

/// What the last request told the upstream about its caller: project, organization and key.
#[track_caller]
fn caller(seen: &Seen) -> Value {
    json!({
        "project": seen.header("x-keyward-project"),
        "organization": seen.header("x-keyward-organization"),
        "key": seen.header("x-keyward-key-id"),
    })
}
