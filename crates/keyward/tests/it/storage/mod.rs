//! Storage and operations (trust.md, section I): kill -9, bad and full disks, damaged, deleted and edited files,
//! backups under load, wrong settings. The store's own tests show most of it in process; these show that the
//! binary keeps it, from the request to the exit code.

mod backup;
mod crash;
mod data_keys;
mod disk;
mod faulty;
mod files;
mod misuse;
mod tampering;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Keyward;

/// Room for as many active keys as a test makes.
fn without_limit(keyward: &Keyward) {
    keyward
        .patch(&format!("/v1/projects/{}", keyward.project()), json!({"active_key_limit": 1_000_000}))
        .expect(200);
}

/// A management call to a server that may die meanwhile: none where no whole answer came.
fn attempt(keyward: &Keyward, path: &str, body: Value) -> Option<(u16, Value)> {
    let request = keyward.http.request(Method::POST, format!("{}{path}", keyward.started.control_url));
    let answer = request.bearer_auth(&keyward.started.management_key).json(&body).send().ok()?;
    let status = answer.status().as_u16();
    Some((status, serde_json::from_slice(&answer.bytes().ok()?).ok()?))
}

/// The text at a place in an answer.
#[track_caller]
fn text(answer: &Value, pointer: &str) -> String {
    let found = answer.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no {pointer}: {answer}")).to_owned()
}

/// The sum of a metric over its labels; 0 where it was never counted.
fn metric(keyward: &Keyward, name: &str) -> f64 {
    let text = keyward.get("/metrics").expect(200).text;
    let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// A small generator of numbers (xorshift): the same numbers on every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}
