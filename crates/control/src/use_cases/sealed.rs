//! Texts that only we can make and read: cursors and the ids of revocations. Each is bound to what it is
//! for, so that it opens nothing else (trust.md I05).
//!
//! A seal (HMAC-SHA-256, 16 bytes) over purpose and content comes first and seeds the stream that covers the
//! content; the same content for the same purpose gives the same text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use keyward_core::log::LogKeys;

const SEAL_LENGTH: usize = 16;
/// Longer texts are none of ours.
const TEXT_LENGTH_MAX: usize = 512;

/// Seals `content` for one purpose.
pub fn sealed(keys: &LogKeys, purpose: &str, content: &[u8]) -> String {
    let seal = keys.seal("control/sealed", &record(purpose, content));
    let mut bytes = seal.to_vec();
    bytes.extend(covered(keys, &seal, content));
    BASE64.encode(bytes)
}

/// Opens what was sealed for this purpose; none where it was not.
pub fn opened(keys: &LogKeys, purpose: &str, text: &str) -> Option<Vec<u8>> {
    if text.len() > TEXT_LENGTH_MAX {
        return None;
    }
    let bytes = BASE64.decode(text).ok()?;
    let (seal, content) = bytes.split_at_checked(SEAL_LENGTH)?;
    let content = covered(keys, seal, content);
    keys.has_sealed("control/sealed", &record(purpose, &content), seal).then_some(content)
}

/// Purpose and content, with the purpose's length before it so that neither can pass for part of the other.
fn record(purpose: &str, content: &[u8]) -> Vec<u8> {
    [&(purpose.len() as u64).to_be_bytes(), purpose.as_bytes(), content].concat()
}

/// Covers content, or uncovers it.
fn covered(keys: &LogKeys, seal: &[u8], content: &[u8]) -> Vec<u8> {
    let blocks = content.chunks(SEAL_LENGTH).zip(0u32..);
    let covered = blocks.flat_map(|(block, number)| {
        let stream = keys.seal("control/stream", &[seal, &number.to_be_bytes()].concat());
        block.iter().zip(stream).map(|(byte, cover)| byte ^ cover).collect::<Vec<_>>()
    });
    covered.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i05_what_is_sealed_opens_for_its_purpose_and_unaltered_only() {
        let keys = LogKeys::new(&[1; 32], &[2; 32]);
        let content = b"forty bytes, so that there are two blocks";
        let text = sealed(&keys, "keys of proj_1", content);
        assert_eq!(opened(&keys, "keys of proj_1", &text).as_deref(), Some(&content[..]));
        assert_eq!(opened(&keys, "keys of proj_2", &text), None);
        assert_eq!(opened(&LogKeys::new(&[3; 32], &[2; 32]), "keys of proj_1", &text), None);
        for at in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert_eq!(opened(&keys, "keys of proj_1", &altered), None, "byte {at}");
        }
        for noise in ["", "!", "AAAA", &"A".repeat(10_000)] {
            assert_eq!(opened(&keys, "keys of proj_1", noise), None);
        }
    }
}
