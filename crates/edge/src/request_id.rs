//! Request ids: 128 random bits in hexadecimal, fresh for every request. They open nothing; they are random
//! so that they collide nowhere and tell nothing of how many requests there are.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use keyward_core::clock::Entropy;
use parking_lot::Mutex;

const BYTES: usize = 16;
/// Randomness is drawn for so many ids at a time: asking the system for each would cost more than the id.
const BATCH: usize = 64;

/// Where a worker's request ids come from.
pub(crate) struct RequestIds {
    entropy: Arc<dyn Entropy>,
    drawn: Mutex<Drawn>,
}

struct Drawn {
    bytes: [u8; BYTES * BATCH],
    used: usize,
}

impl RequestIds {
    pub fn new(entropy: Arc<dyn Entropy>) -> Self {
        RequestIds { entropy, drawn: Mutex::new(Drawn { bytes: [0; BYTES * BATCH], used: BATCH }) }
    }

    /// A new id, as the header's value that carries it.
    pub fn next(&self) -> HeaderValue {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 2 * BYTES];
        {
            let mut drawn = self.drawn.lock();
            if drawn.used == BATCH {
                self.entropy.fill(&mut drawn.bytes);
                drawn.used = 0;
            }
            let start = drawn.used * BYTES;
            drawn.used += 1;
            for (pair, byte) in text.chunks_exact_mut(2).zip(&drawn.bytes[start..start + BYTES]) {
                pair[0] = DIGITS[usize::from(byte >> 4)];
                pair[1] = DIGITS[usize::from(byte & 15)];
            }
        }
        // Hexadecimal digits always make a header's value.
        HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&text)).unwrap_or(HeaderValue::from_static("none"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_core::clock::SystemEntropy;

    #[test]
    fn ids_are_long_and_never_the_same() {
        let ids = RequestIds::new(Arc::new(SystemEntropy));
        let drawn: std::collections::HashSet<_> = (0..1000).map(|_| ids.next()).collect();
        assert_eq!(drawn.len(), 1000);
        assert!(drawn.iter().all(|id| id.len() == 32));
    }
}
