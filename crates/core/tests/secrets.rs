//! What a stranger sees of keys: that they cannot be guessed (K01), and that a leaked one is found by whoever
//! looks for it with nothing but the documented shape (K02).
//!
//! Statistics here fail by chance less than once in a million runs; each bound says why.

use std::collections::HashSet;
use std::io::Write;

use keyward_core::clock::{Entropy, SystemEntropy};
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::secret::{Format, Peppers, Recognised};

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const KEYS: usize = 100_000;

fn peppers() -> Peppers {
    Peppers::new(&[(1, &[42; 32])]).unwrap()
}

fn minted(format: &Format, count: usize) -> Vec<String> {
    let peppers = peppers();
    let mint = |_| format.mint(&peppers, ProjectId::from_u128(7), &SystemEntropy).secret.expose().to_owned();
    (0..count).map(mint).collect()
}

/// The statistic of `counts` against a uniform distribution, as a standard normal deviate (Wilson-Hilferty).
fn deviation(counts: &[u32]) -> f64 {
    let total: u32 = counts.iter().sum();
    let expected = f64::from(total) / counts.len() as f64;
    let statistic: f64 = counts.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
    let freedom = (counts.len() - 1) as f64;
    let spread = 2.0 / (9.0 * freedom);
    ((statistic / freedom).cbrt() - (1.0 - spread)) / spread.sqrt()
}

/// At which place of an alphabet each byte stands.
fn places(alphabet: &[u8]) -> [Option<u16>; 256] {
    let mut places = [None; 256];
    (0..).zip(alphabet).for_each(|(place, byte)| places[usize::from(*byte)] = Some(place));
    places
}

/// Fails where a position is less, or more, even than chance. Beyond six deviations lies one in 500 million.
fn assert_uniform(what: &str, texts: &[&[u8]], positions: std::ops::Range<usize>, alphabet: &[u8]) {
    let places = places(alphabet);
    for position in positions {
        let mut counts = vec![0; alphabet.len()];
        for text in texts {
            let place = places[usize::from(text[position])];
            let place = place.unwrap_or_else(|| panic!("{what}: byte {} at {position}", text[position]));
            counts[usize::from(place)] += 1;
        }
        let deviation = deviation(&counts);
        assert!(deviation.abs() < 6.0, "{what}: position {position} deviates by {deviation:.1}");
    }
}

/// A piece of `length` characters that stands in two texts, or twice in one.
fn shared_piece(texts: &[&[u8]], length: u32) -> Option<String> {
    // As numbers: ten digits of base 62 fit into 64 bits, so equal numbers are equal pieces.
    assert!(length <= 10);
    let (places, over) = (places(DIGITS), 62u64.pow(length - 1));
    let mut numbers = Vec::new();
    for text in texts {
        let mut number = 0;
        for (i, byte) in text.iter().enumerate() {
            number = (number % over) * 62 + u64::from(places[usize::from(*byte)].unwrap());
            if i + 1 >= length as usize {
                numbers.push(number);
            }
        }
    }
    numbers.sort_unstable();
    let twice = numbers.windows(2).find(|pair| pair[0] == pair[1])?[0];
    let piece = (0..length).rev().map(|place| DIGITS[(twice / 62u64.pow(place) % 62) as usize] as char);
    Some(piece.collect())
}

#[test]
fn k01_a_hundred_thousand_keys_have_nothing_in_common_beyond_their_prefix() {
    let keys = minted(&Format::Keyward { prefix: "kw_live".into() }, KEYS);
    let bodies: Vec<&[u8]> = keys.iter().map(|key| key.strip_prefix("kw_live_").unwrap().as_bytes()).collect();
    assert_eq!(bodies.iter().collect::<HashSet<_>>().len(), KEYS, "a key was minted twice");
    // The pepper's version, which comes first, fixes the first two characters and bends the third.
    assert_uniform("a key's characters", &bodies, 3..43, DIGITS);
    let bytes: Vec<[u8; 32]> = bodies.iter().map(|body| keyward_core::base62::decode_32(body).unwrap()).collect();
    let bytes: Vec<&[u8]> = bytes.iter().map(|bytes| &bytes[..]).collect();
    let any: Vec<u8> = (0..=255).collect();
    assert_uniform("a key's bytes", &bytes, 1..32, &any);
    // Nine characters are shared by chance in one of 2,000 runs with this many keys: so ten here (one in
    // 100,000), and nine among a part of them (one in 500,000).
    assert_eq!(shared_piece(&bodies, 10), None, "a piece of ten characters is in two keys");
    assert_eq!(shared_piece(&bodies[..5_000], 9), None, "a piece of nine characters is in two keys");
}

#[test]
fn k01_keys_of_the_other_formats_are_as_random_as_their_shape_allows() {
    let uuids = minted(&Format::Uuid { prefix: "sgai-".into() }, 20_000);
    assert_eq!(uuids.iter().collect::<HashSet<_>>().len(), uuids.len());
    let bodies: Vec<&[u8]> = uuids.iter().map(|key| key.strip_prefix("sgai-").unwrap().as_bytes()).collect();
    for part in [0..8, 9..13, 15..18, 20..23, 24..36] {
        assert_uniform("a UUID", &bodies, part, b"0123456789abcdef");
    }
    assert!(bodies.iter().all(|body| body[14] == b'4'), "the version is 4");
    assert_uniform("a UUID's variant", &bodies, 19..20, b"89ab");

    use base64::Engine;
    let opaque = minted(&Format::Base64, 20_000);
    assert_eq!(opaque.iter().collect::<HashSet<_>>().len(), opaque.len());
    let decode = |key: &String| base64::engine::general_purpose::STANDARD.decode(key).unwrap();
    let bodies: Vec<Vec<u8>> = opaque.iter().map(decode).collect();
    let bodies: Vec<&[u8]> = bodies.iter().map(|body| &body[..32]).collect();
    assert_uniform("an opaque key's characters", &bodies, 0..32, DIGITS);
    assert_eq!(shared_piece(&bodies[..5_000], 9), None);
}

#[test]
fn k01_no_two_processes_ever_mint_alike() {
    // Nothing is buffered or seeded in the process: every key asks the system, so that a fork or a copied
    // virtual machine cannot repeat what its twin minted. Two sets minted apart share nothing either.
    let format = Format::Keyward { prefix: "kw_live".into() };
    let apart = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..4).map(|_| scope.spawn(|| minted(&format, 5_000))).collect();
        handles.into_iter().flat_map(|handle| handle.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(apart.iter().collect::<HashSet<_>>().len(), 20_000);
}

// ---- K02: the scanner below is written from the documentation alone, and shares no code with Keyward.

/// `[a-z][a-z0-9_]*_[0-9A-Za-z]{43}` with a right CRC-32, as a secret scanner would look for it.
fn scan<'a>(corpus: &'a [u8], prefix: &str) -> Vec<&'a str> {
    let start = format!("{prefix}_");
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = find(&corpus[from..], start.as_bytes()).map(|at| from + at) {
        let end = at + start.len() + 43;
        from = at + 1;
        let Some(text) = corpus.get(at..end) else { break };
        let is_bounded = corpus.get(end).is_none_or(|next| !next.is_ascii_alphanumeric());
        let body = &text[start.len()..];
        if is_bounded && body.iter().all(u8::is_ascii_alphanumeric) && has_checksum(prefix, body) {
            found.push(std::str::from_utf8(text).unwrap());
        }
    }
    found
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let mut from = 0;
    // By the rarest byte of what Keyward's prefixes have in common: noise hardly ever stops here.
    let (offset, rare) = what.iter().enumerate().find(|(_, c)| **c == b'w').unwrap();
    while let Some(at) = text[from..].iter().position(|c| c == rare).map(|at| from + at) {
        if at >= offset && text[at - offset..].starts_with(what) {
            return Some(at - offset);
        }
        from = at + 1;
    }
    None
}

/// Base 62 by long division, then CRC-32 (IEEE) over the prefix and the first 28 bytes.
fn has_checksum(prefix: &str, body: &[u8]) -> bool {
    let mut bytes = [0u8; 33];
    for c in body {
        let mut carry = match c {
            b'0'..=b'9' => c - b'0',
            b'A'..=b'Z' => c - b'A' + 10,
            _ => c - b'a' + 36,
        } as u32;
        for byte in bytes.iter_mut().rev() {
            let value = u32::from(*byte) * 62 + carry;
            *byte = value as u8;
            carry = value >> 8;
        }
    }
    let mut crc = u32::MAX;
    for byte in prefix.bytes().chain(bytes[1..29].iter().copied()) {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    bytes[0] == 0 && (!crc).to_be_bytes() == bytes[29..33]
}

/// Text as it lies about in repositories and logs: words, numbers, base 62 and look-alikes, with `keys` strewn
/// in evenly.
fn corpus(keys: &[String], length: usize) -> Vec<u8> {
    let mut corpus = Vec::with_capacity(length + length / 8);
    for key in keys {
        let until = corpus.len() + length / keys.len();
        while corpus.len() < until {
            write_noise(&mut corpus);
        }
        let mut random = [0];
        SystemEntropy.fill(&mut random);
        let places = [("\"", "\","), ("Bearer ", "\r\n"), ("=", "&x=1"), ("", "\0")];
        let (before, after) = places[usize::from(random[0]) % places.len()];
        write!(corpus, "{before}{key}{after}").unwrap();
    }
    corpus
}

fn write_noise(corpus: &mut Vec<u8>) {
    let mut random = [0; 64];
    SystemEntropy.fill(&mut random);
    let noise: String = random.iter().map(|byte| DIGITS[usize::from(*byte) % 62] as char).collect();
    match random[0] % 8 {
        0 => writeln!(corpus, "export API_KEY=kw_live_{} # looks like one, is none", &noise[..43]),
        1 => writeln!(corpus, "{{\"id\":\"key_{}\",\"hint\":\"kw_live_…{}\"}}", &noise[..22], &noise[..4]),
        2 => writeln!(corpus, "kw_live_{} too short; kw_live_{noise} too long", &noise[..42]),
        3 => writeln!(corpus, "GET /v1/hello?token={noise} 200 kwm_{}", &noise[..43]),
        _ => corpus.write_all(&random).and_then(|()| corpus.write_all(noise.as_bytes())),
    }
    .unwrap();
}

#[test]
fn k02_a_scanner_finds_every_leaked_key_and_nothing_else() {
    for prefix in ["kw_live", "kwm"] {
        let keys = minted(&Format::Keyward { prefix: prefix.into() }, 1_000);
        let corpus = corpus(&keys, 16 << 20);
        let mut found = scan(&corpus, prefix);
        let mut expected: Vec<&str> = keys.iter().map(String::as_str).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found.len(), expected.len());
        assert_eq!(found, expected);
    }
}

#[test]
fn k02_texts_of_the_right_shape_are_no_keys() {
    let peppers = peppers();
    let format = Format::Keyward { prefix: "kw_live".into() };
    // Of 32-bit checksums one in four thousand million is right by chance, and then the tag is not.
    let mut random = [0; 32];
    for _ in 0..200_000 {
        SystemEntropy.fill(&mut random);
        let text = format!("kw_live_{}", keyward_core::base62::encode_32(&random));
        let recognised = format.recognise(&peppers, &text);
        assert!(!matches!(recognised, Ok(Recognised::Authentic(_))), "a made-up key was recognised");
    }
}

#[test]
fn t03_ids_are_as_random_as_keys() {
    let ids: Vec<String> = (0..20_000).map(|_| KeyId::random(&SystemEntropy).to_string()).collect();
    let bodies: Vec<&[u8]> = ids.iter().map(|id| id.strip_prefix("key_").unwrap().as_bytes()).collect();
    assert_eq!(bodies.iter().collect::<HashSet<_>>().len(), ids.len());
    // 2^128 is not a power of 62: the first character is below 8, the second a little bent.
    assert_uniform("an id's characters", &bodies, 2..22, DIGITS);
    assert_eq!(shared_piece(&bodies[..5_000], 9), None);
}
