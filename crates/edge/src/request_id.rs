//! Request ids: 128 random bits in hexadecimal, fresh for every request. They open nothing; they are random
//! so that they collide nowhere and tell nothing of how many requests there are.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use keyward_core::clock::Entropy;
use parking_lot::Mutex;

const BYTES: usize = 16;
/// So many are made at a time: to ask the system for randomness, and the allocator for room, would each cost
/// more than the id.
const BATCH: usize = 64;

/// Where a worker's request ids come from.
pub(crate) struct RequestIds {
    entropy: Arc<dyn Entropy>,
    /// Ids that nobody had yet, one after the other.
    left: Mutex<Bytes>,
}

impl RequestIds {
    pub fn new(entropy: Arc<dyn Entropy>) -> Self {
        RequestIds { entropy, left: Mutex::default() }
    }

    /// A new id, as the header's value that carries it.
    pub fn next(&self) -> HeaderValue {
        let mut left = self.left.lock();
        if left.is_empty() {
            *left = self.draw();
        }
        let id = left.split_to(2 * BYTES);
        // Hexadecimal digits always make a header's value.
        HeaderValue::from_maybe_shared(id).unwrap_or(HeaderValue::from_static("none"))
    }

    fn draw(&self) -> Bytes {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut random = [0; BYTES * BATCH];
        self.entropy.fill(&mut random);
        let mut text = BytesMut::zeroed(2 * random.len());
        for (pair, byte) in text.chunks_exact_mut(2).zip(random) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        text.freeze()
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
