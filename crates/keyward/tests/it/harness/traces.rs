//! Looking for secrets where none may be: in files, logs and answers, in every shape they could have been
//! written in.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::contract::escaped;

/// Bytes by which a shape is found; the rest of it is compared then.
const START: usize = 8;

/// The shapes that some secrets could have left behind.
pub struct Traces(HashMap<[u8; START], Vec<(Vec<u8>, String)>>);

impl Traces {
    /// Of these secrets, raw, in base64 (at any place in it, both alphabets), in hexadecimal and percent-encoded.
    pub fn of<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        for secret in secrets {
            let secret = secret.as_ref();
            for (what, shape) in shapes(secret) {
                let start = shape[..START].try_into().unwrap();
                found.entry(start).or_default().push((shape, format!("{what} of {secret}")));
            }
        }
        Traces(found)
    }

    /// The first trace in some bytes.
    pub fn find(&self, bytes: &[u8]) -> Option<String> {
        // Nearly everywhere the first two bytes tell that nothing begins here: that keeps looking through the
        // memory of a process to seconds.
        let mut begins = vec![false; 1 << 16];
        for start in self.0.keys() {
            begins[usize::from(u16::from_le_bytes([start[0], start[1]]))] = true;
        }
        let candidates = bytes
            .windows(2)
            .enumerate()
            .filter(|(_, two)| begins[usize::from(u16::from_le_bytes([two[0], two[1]]))]);
        candidates.map(|(at, _)| at).filter(|at| at + START <= bytes.len()).find_map(|at| {
            let start: &[u8; START] = bytes[at..at + START].try_into().unwrap();
            let shapes = self.0.get(start)?;
            shapes.iter().find(|(shape, _)| bytes[at..].starts_with(shape)).map(|(_, what)| what.clone())
        })
    }

    /// Panics where some bytes hold a trace.
    #[track_caller]
    pub fn must_not_be_in(&self, place: &str, bytes: impl AsRef<[u8]>) {
        if let Some(found) = self.find(bytes.as_ref()) {
            panic!("{place} holds {found}");
        }
    }

    /// Panics where a file in a folder, or below it, holds a trace, other than those named.
    #[track_caller]
    pub fn must_not_be_in_files(&self, folder: &Path, but_for: &[&str]) {
        let mut looked_at = 0;
        for path in files(folder) {
            if but_for.iter().any(|name| path.ends_with(name)) {
                continue;
            }
            self.must_not_be_in(&path.display().to_string(), std::fs::read(&path).unwrap());
            looked_at += 1;
        }
        assert!(looked_at > 0, "no file in {}", folder.display());
    }
}

/// Every file in a folder and below.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(self::files(&path)),
            false => files.push(path),
        }
    }
    files.sort();
    files
}

fn shapes(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = secret.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut shapes = vec![
        ("the text", bytes.to_vec()),
        ("a hexadecimal form", hex.to_uppercase().into_bytes()),
        ("a hexadecimal form", hex.into_bytes()),
        ("the percent-encoded form", escaped(secret).into_bytes()),
    ];
    // What is inside, too, where the key is itself an encoding.
    if let Ok(inside) = STANDARD.decode(bytes)
        && inside.len() > START
    {
        shapes.push(("what is encoded", inside));
    }
    for skipped in 0..3 {
        // Wherever in a base64 text it begins: without the characters that depend on what stands around it.
        let mut shifted = vec![0; skipped];
        shifted.extend_from_slice(bytes);
        for alphabet in [&STANDARD, &URL_SAFE] {
            let text = alphabet.encode(&shifted).into_bytes();
            let from = [0, 2, 3][skipped];
            let whole = shifted.len() / 3 * 4;
            shapes.push(("a base64 form", text[from..whole].to_vec()));
        }
    }
    shapes.sort();
    shapes.dedup();
    shapes
}

#[test]
fn traces_are_found_in_every_shape() {
    let secret = "kw_live_0NzfOfaOzsrp9P9KkqcOJYM3bALyR22PcpxSNTxaJK9";
    let traces = Traces::of([secret]);
    for before in ["", "a", "ab", "abc", "abcd"] {
        let text = format!("{before}{secret}{before}");
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        for found in [text.clone(), STANDARD.encode(&text), URL_SAFE.encode(&text), hex.clone(), hex.to_uppercase()]
        {
            assert!(traces.find(found.as_bytes()).is_some(), "{found}");
        }
    }
    assert_eq!(traces.find(b"kw_live_ and nothing after it, or 0NzfOfaOzsrp9P9K"), None);
}
