//! Fixed-width base62 (`0-9A-Za-z`, big-endian, zero-padded): how ids and key bodies are written.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Ten digits at a time: 62^10 is the largest power of 62 that leaves room in 64 bits for a carry.
const CHUNK: usize = 10;
const NOT_A_DIGIT: u8 = 0xff;

const DIGITS: [u8; 256] = {
    let mut table = [NOT_A_DIGIT; 256];
    let mut i = 0;
    while i < ALPHABET.len() {
        table[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    table
};

/// Writes 32 bytes as 43 characters.
pub fn encode_32(bytes: &[u8; 32]) -> String {
    let mut limbs = [0u64; 4];
    for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
        *limb = u64::from_be_bytes(chunk.try_into().expect("eight bytes"));
    }
    encode(&mut limbs, 43)
}

/// Reads 43 characters back into 32 bytes; none where a character is not base62 or the value is above
/// 2^256 − 1.
pub fn decode_32(text: &[u8]) -> Option<[u8; 32]> {
    let limbs = decode::<4>(text, 43)?;
    let mut bytes = [0; 32];
    for (chunk, limb) in bytes.chunks_exact_mut(8).zip(limbs) {
        chunk.copy_from_slice(&limb.to_be_bytes());
    }
    Some(bytes)
}

/// Writes 128 bits as 22 characters.
pub fn encode_u128(value: u128) -> String {
    encode(&mut [(value >> 64) as u64, value as u64], 22)
}

/// Reads 22 characters back into 128 bits, with the same refusals as [`decode_32`].
pub fn decode_u128(text: &[u8]) -> Option<u128> {
    let limbs = decode::<2>(text, 22)?;
    Some(((limbs[0] as u128) << 64) | limbs[1] as u128)
}

fn encode(limbs: &mut [u64], width: usize) -> String {
    let mut out = vec![b'0'; width];
    for place in out.iter_mut().rev() {
        let mut remainder = 0u128;
        for limb in limbs.iter_mut() {
            let value = (remainder << 64) | *limb as u128;
            *limb = (value / 62) as u64;
            remainder = value % 62;
        }
        *place = ALPHABET[remainder as usize];
    }
    String::from_utf8(out).expect("the alphabet is ASCII")
}

fn decode<const N: usize>(text: &[u8], width: usize) -> Option<[u64; N]> {
    if text.len() != width {
        return None;
    }
    let mut limbs = [0u64; N];
    for chunk in text.chunks(CHUNK) {
        let (mut value, mut scale) = (0u64, 1u64);
        for &character in chunk {
            let digit = DIGITS[character as usize];
            if digit == NOT_A_DIGIT {
                return None;
            }
            value = value * 62 + digit as u64;
            scale *= 62;
        }
        let mut carry = value as u128;
        for limb in limbs.iter_mut().rev() {
            let sum = *limb as u128 * scale as u128 + carry;
            *limb = sum as u64;
            carry = sum >> 64;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(limbs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back(bytes in any::<[u8; 32]>(), value in any::<u128>()) {
            prop_assert_eq!(decode_32(encode_32(&bytes).as_bytes()), Some(bytes));
            prop_assert_eq!(decode_u128(encode_u128(value).as_bytes()), Some(value));
        }

        #[test]
        fn any_text_is_read_or_refused_without_panic(text in any::<Vec<u8>>()) {
            let _ = decode_32(&text);
        }
    }

    #[test]
    fn a_value_above_the_range_is_refused() {
        assert_eq!(decode_32(encode_32(&[0xff; 32]).as_bytes()), Some([0xff; 32]));
        assert_eq!(decode_32(&[b'z'; 43]), None);
        assert_eq!(decode_u128(&[b'z'; 22]), None);
        assert_eq!(decode_32(&[b'0'; 42]), None);
    }
}
