//! Fields encrypted and decrypted at the gateway: direct calls, the proxy in front of a project's destination, what is
//! refused, and what stays apart. The preset is `qanapi`, the one that has the capability.

mod destinations;
mod direct;
mod large;
mod proxied;
mod sdk;
mod walls;

use serde_json::{Value, json};

use crate::harness::raw::Answer;
use crate::harness::{Key, Keyward, Refused, Request, Scripted, Upstream};

/// A Keyward whose projects' destinations may be on this machine.
fn keyward() -> Keyward {
    Keyward::dev_with_env("qanapi", &[], &[("KEYWARD_DESTINATIONS_ALLOWED_NETWORKS", "127.0.0.0/8")])
}

/// A key of a project.
fn key_of(keyward: &Keyward, project: &str) -> Key {
    keyward.make(project, json!({"name": "App", "acknowledge": true}))
}

/// Sets a project's destination.
fn send_to(keyward: &Keyward, project: &str, url: &str) {
    let path = format!("/v1/projects/{project}/destination");
    keyward.control(reqwest::Method::PUT, &path, Some(json!({"url": url}))).expect(200);
}

/// A Keyward, a destination of its project that answers `{"ok": true}`, and a key.
fn with_destination() -> (Keyward, Upstream, Key) {
    let destination = Upstream::start(Scripted::json(201, r#"{"ok":true}"#));
    let keyward = keyward();
    send_to(&keyward, keyward.project(), &format!("{}/base", destination.url));
    let key = key_of(&keyward, keyward.project());
    (keyward, destination, key)
}

fn direct(way: &str, key: &Key, body: &str) -> Request {
    Request::post(&format!("/api-v1/v1/{way}")).with("X-Qanapi-Authorization", &key.secret).json(body)
}

fn proxied(project: &str, key: &Key, fields: &str, body: &str) -> Request {
    let request = Request::post(&format!("/proxy/{project}")).with("X-Qanapi-Authorization", &key.secret);
    request.with("X-Qanapi-Fields", fields).json(body)
}

fn decrypting(request: Request) -> Request {
    request.with("X-Qanapi-Mode", "decrypt")
}

fn refused(status: u16, message: &str) -> Refused {
    Refused { status, body: json!({ "message": message }) }
}

/// Panics unless it is a ciphertext as the vendor's are.
#[track_caller]
pub fn expect_ciphertext(value: &Value) -> &str {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no text"));
    let parts: Vec<&str> = text.split(':').collect();
    let is_base64 =
        |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
    assert!(parts.len() == 5 && parts[0] == "qanapi" && parts[4] == "$", "{text}");
    assert!(parts[1..4].iter().all(is_base64), "{text}");
    text
}

/// What a direct call seals, as its ciphertext.
#[track_caller]
fn sealed(keyward: &Keyward, key: &Key, value: &str) -> String {
    let answer: Answer = keyward.send(&direct("encrypt", key, &format!("{{\"data\":{value}}}"))).expect(200);
    expect_ciphertext(&answer.json()["data"]).to_owned()
}
