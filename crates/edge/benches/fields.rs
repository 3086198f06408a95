//! What encrypting fields costs in process, in MB/s of the document as it comes: whole documents, streams in pieces as a
//! socket gives them, and sealing alone. Prints a table; `MEGABYTES` in the environment says how much goes through each.
#![allow(clippy::print_stdout)]

#[allow(unused_imports, dead_code, reason = "its tests are not run here")]
#[path = "../src/encryption/mod.rs"]
mod encryption;

use std::hint::black_box;
use std::time::Instant;

use encryption::paths::FieldPaths;
use encryption::transform::{Field, Transformer};
use keyward_core::clock::SystemEntropy;
use keyward_core::data_key::{DataKey, DataKeyId, FieldContext, Sealed};
use keyward_core::id::ProjectId;

/// As much as a read from a socket gives.
const PIECE: usize = 64 * 1024;
const VALUE_MAX: usize = 16 << 20;

fn main() {
    let megabytes = std::env::var("MEGABYTES").ok().and_then(|text| text.parse().ok()).unwrap_or(64);
    let total = megabytes << 20;
    let key =
        DataKey::new(ProjectId::from_u128(1), DataKeyId::from_u128(2), &DataKey::random_bytes(&SystemEntropy));
    println!("{:<58}{:>10}", "what", "MB/s");
    for length in [32, 1 << 10, 64 << 10, 1 << 20] {
        seal_alone(&key, length, total);
    }
    let small = r#"{"title": "Sensitive title", "body": "Sensitive body text"}"#;
    documents("whole document of 59 bytes, both fields", small, "title,body", &key, total / 16);
    let record = record(1 << 10, 64);
    documents("whole document of 1 KiB, one field of 64 bytes", &record, "secret", &key, total);
    for (plain, secret) in [(1 << 10, 64), (64, 1 << 10), (1 << 20, 64), (0, 1 << 20)] {
        let items = (total / (plain + secret + 24)).max(1);
        let document = format!("{{\"items\":[{}]}}", vec![self::record(plain, secret); items].join(","));
        let name = format!("stream of items, {plain} bytes plain and {secret} in a field");
        streams(&name, &document, "items.*.secret", &key);
    }
    let text = format!("{{\"text\":\"{}\",\"secret\":1}}", "x".repeat(total));
    streams("stream of one long text that is not named", &text, "secret", &key);
    let numbers = format!("{{\"numbers\":[{}],\"secret\":1}}", vec!["123.5"; total / 6].join(","));
    streams("stream of numbers that are not named", &numbers, "secret", &key);
}

fn record(plain: usize, secret: usize) -> String {
    format!("{{\"plain\":\"{}\",\"secret\":\"{}\"}}", "p".repeat(plain), "s".repeat(secret))
}

fn told(what: &str, bytes: usize, began: Instant) {
    println!("{what:<58}{:>10.0}", bytes as f64 / 1e6 / began.elapsed().as_secs_f64());
}

fn seal_alone(key: &DataKey, length: usize, total: usize) {
    let (value, context) = (vec![b'x'; length], FieldContext { marker: "m", path: "items.*.secret" });
    let rounds = (total / length).clamp(1, 500_000);
    let began = Instant::now();
    for _ in 0..rounds {
        black_box(key.seal(context, black_box(&value), &SystemEntropy));
    }
    told(&format!("seal alone, {length} bytes"), rounds * length, began);
    let text = key.seal(context, &value, &SystemEntropy);
    let began = Instant::now();
    for _ in 0..rounds {
        let sealed = Sealed::parse(black_box(&text), "m").expect("a ciphertext");
        black_box(key.open(context, &sealed).expect("it opens"));
    }
    told(&format!("open alone, {length} bytes"), rounds * length, began);
}

fn seal(key: &DataKey, field: &Field, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(
        key.seal(FieldContext { marker: "m", path: &field.path }, &field.value, &SystemEntropy).as_bytes(),
    );
    out.push(b'"');
}

fn open(key: &DataKey, field: &Field, out: &mut Vec<u8>) {
    let text: String = serde_json::from_slice(&field.value).expect("a text");
    let sealed = Sealed::parse(&text, "m").expect("a ciphertext");
    let context = FieldContext { marker: "m", path: &field.path };
    out.extend_from_slice(&key.open(context, &sealed).expect("it opens"));
}

/// One document through a transformer, in pieces; what comes out is handed to `sink` piece by piece.
fn pass(document: &[u8], paths: &FieldPaths, replace: impl Fn(&Field, &mut Vec<u8>), mut sink: impl FnMut(&[u8])) {
    let mut transformer = Transformer::new(paths.clone(), VALUE_MAX);
    let mut out = Vec::new();
    for piece in document.chunks(PIECE) {
        let mut left = piece;
        while let Some(field) = transformer.feed(&mut left, &mut out).expect("a document") {
            replace(&field, &mut out);
        }
        sink(&out);
        out.clear();
    }
    transformer.finish().expect("a whole document");
}

fn documents(what: &str, document: &str, fields: &str, key: &DataKey, total: usize) {
    let paths = FieldPaths::parse(fields).expect("paths");
    let rounds = (total / document.len()).max(1);
    let began = Instant::now();
    for _ in 0..rounds {
        pass(
            document.as_bytes(),
            &paths,
            |field, out| seal(key, field, out),
            |out| {
                black_box(out);
            },
        );
    }
    told(&format!("{what}: encrypt"), rounds * document.len(), began);
}

fn streams(what: &str, document: &str, fields: &str, key: &DataKey) {
    let paths = FieldPaths::parse(fields).expect("paths");
    let mut sealed = Vec::with_capacity(document.len() * 2);
    let began = Instant::now();
    pass(document.as_bytes(), &paths, |field, out| seal(key, field, out), |out| sealed.extend_from_slice(out));
    told(&format!("{what}: encrypt"), document.len(), began);
    let mut length = 0;
    let began = Instant::now();
    pass(&sealed, &paths, |field, out| open(key, field, out), |out| length += out.len());
    told(&format!("{what}: decrypt"), document.len(), began);
    assert_eq!(length, document.len(), "it comes back as it was");
}
