//! Data keys: what fields are encrypted under, and the text that a ciphertext is.
//!
//! AES-256-GCM-SIV (RFC 8452) with random 96-bit nonces: where a nonce should ever come twice, all that shows is that
//! the same was encrypted at the same place. What a ciphertext belongs to is authenticated with it: the marker, the
//! project, the data key and the path of the field. Where data keys come from and how they are kept is
//! [`crate::key_encryption`]'s and [`crate::data_keyring`]'s; which field of a document is meant is the gateway's.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::clock::Entropy;
use crate::id::ProjectId;

pub use crate::id::DataKeyId;

/// The version of what a ciphertext looks like, in its header's first byte.
const VERSION: u8 = 1;
/// Bytes of a header: the version, then the data key's id.
const HEADER_LENGTH: usize = 1 + 16;
/// Bytes of the tag behind the ciphertext.
const TAG_LENGTH: usize = 16;
/// What a ciphertext's text ends with.
const END: &str = "$";

/// Bytes of a data key.
pub const DATA_KEY_LENGTH: usize = 32;

/// The bytes of a data key. Wiped from memory when dropped.
pub type DataKeyBytes = Zeroizing<[u8; DATA_KEY_LENGTH]>;

/// A ciphertext that cannot be opened. One error, whatever is wrong with it: telling more would help whoever tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ciphertext cannot be opened")]
pub struct CannotOpen;

/// Where a ciphertext stands: it opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldContext<'a> {
    /// The contract's word at the beginning of its ciphertexts.
    pub marker: &'a str,
    /// The path of the field, with `*` for every item of an array.
    pub path: &'a str,
}

/// A data key of a project, ready for use. Wiped from memory when dropped, by the library that holds it.
pub struct DataKey {
    id: DataKeyId,
    project: ProjectId,
    key: LessSafeKey,
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DataKey({} of {})", self.id, self.project)
    }
}

impl DataKey {
    /// Makes a key ready for use.
    pub fn new(project: ProjectId, id: DataKeyId, bytes: &DataKeyBytes) -> Self {
        let key = UnboundKey::new(&AES_256_GCM_SIV, bytes.as_slice()).expect("the key is as long as the cipher's");
        DataKey { id, project, key: LessSafeKey::new(key) }
    }

    /// Fresh bytes for a new data key.
    pub fn random_bytes(entropy: &dyn Entropy) -> DataKeyBytes {
        let mut bytes = Zeroizing::new([0; DATA_KEY_LENGTH]);
        entropy.fill(bytes.as_mut_slice());
        bytes
    }

    /// Its id.
    pub fn id(&self) -> DataKeyId {
        self.id
    }

    /// Whose it is.
    pub fn project(&self) -> ProjectId {
        self.project
    }

    /// Encrypts a value: the ciphertext's whole text, `<marker>:<header>:<nonce>:<ciphertext and tag>:$`, each part but
    /// the marker in base64. `entropy` gives the nonce: the system's generator, but for tests.
    pub fn seal(&self, context: FieldContext<'_>, plaintext: &[u8], entropy: &dyn Entropy) -> String {
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        // As long as it will be: nothing of the plaintext is left behind by growing.
        let mut body = Vec::with_capacity(plaintext.len() + TAG_LENGTH);
        body.extend_from_slice(plaintext);
        let aad = Aad::from(self.authenticated(context));
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut body)
            .expect("a value is shorter than 64 GiB");
        let room = context.marker.len() + 50 + body.len().div_ceil(3) * 4;
        let mut text = String::with_capacity(room);
        text.push_str(context.marker);
        for part in [&header(self.id)[..], &nonce, &body] {
            text.push(':');
            STANDARD.encode_string(part, &mut text);
        }
        text.push(':');
        text.push_str(END);
        text
    }

    /// Opens a ciphertext: the value as it was encrypted, byte for byte.
    ///
    /// # Errors
    /// [`CannotOpen`] where anything differs from what was sealed: a bit of it, the key, the project, the place.
    pub fn open(&self, context: FieldContext<'_>, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        if sealed.key_id != self.id {
            return Err(CannotOpen);
        }
        let mut body = Zeroizing::new(sealed.body.clone());
        let nonce = Nonce::assume_unique_for_key(sealed.nonce);
        let aad = Aad::from(self.authenticated(context));
        let length = self.key.open_in_place(nonce, aad, body.as_mut_slice()).map_err(|_| CannotOpen)?.len();
        body.truncate(length);
        Ok(body)
    }

    /// What is authenticated beside the value: each part behind its length, so that no two places read alike.
    fn authenticated(&self, context: FieldContext<'_>) -> Vec<u8> {
        let (project, id) = (self.project.as_u128().to_be_bytes(), self.id.as_u128().to_be_bytes());
        let parts: [&[u8]; 5] = [&[VERSION], context.marker.as_bytes(), &project, &id, context.path.as_bytes()];
        let mut bytes = b"keyward/field\0".to_vec();
        for part in parts {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

fn header(id: DataKeyId) -> [u8; HEADER_LENGTH] {
    let mut header = [VERSION; HEADER_LENGTH];
    header[1..].copy_from_slice(&id.as_u128().to_be_bytes());
    header
}

/// A ciphertext, taken apart. Nothing of it is proven before it is opened.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    key_id: DataKeyId,
    nonce: [u8; NONCE_LEN],
    body: Vec<u8>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes under {})", self.body.len(), self.key_id)
    }
}

impl Sealed {
    /// Takes a ciphertext's text apart. There is one text for one ciphertext: no spaces, no other form of base64.
    ///
    /// # Errors
    /// [`CannotOpen`] where it is no ciphertext with this marker, or of another version.
    pub fn parse(text: &str, marker: &str) -> Result<Sealed, CannotOpen> {
        let rest = text.strip_prefix(marker).and_then(|rest| rest.strip_prefix(':')).ok_or(CannotOpen)?;
        let mut parts = rest.split(':');
        let mut part = || parts.next().ok_or(CannotOpen);
        let (head, nonce, body, end) = (part()?, part()?, part()?, part()?);
        if parts.next().is_some() || end != END {
            return Err(CannotOpen);
        }
        let decode = |part: &str| STANDARD.decode(part).map_err(|_| CannotOpen);
        let head: [u8; HEADER_LENGTH] = decode(head)?.try_into().map_err(|_| CannotOpen)?;
        let (version, id) = head.split_first().ok_or(CannotOpen)?;
        if *version != VERSION {
            return Err(CannotOpen);
        }
        let id: [u8; 16] = id.try_into().map_err(|_| CannotOpen)?;
        let nonce = decode(nonce)?.try_into().map_err(|_| CannotOpen)?;
        let body = decode(body)?;
        if body.len() < TAG_LENGTH {
            return Err(CannotOpen);
        }
        Ok(Sealed { key_id: DataKeyId::from_u128(u128::from_be_bytes(id)), nonce, body })
    }

    /// The data key that it says it was encrypted under.
    pub fn key_id(&self) -> DataKeyId {
        self.key_id
    }

    /// Its nonce, as it says.
    pub fn nonce(&self) -> [u8; NONCE_LEN] {
        self.nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemEntropy;

    const PLACE: FieldContext<'static> = FieldContext { marker: "qanapi", path: "items.*.title" };

    fn key(project: u128, id: u128, seed: u8) -> DataKey {
        DataKey::new(ProjectId::from_u128(project), DataKeyId::from_u128(id), &Zeroizing::new([seed; 32]))
    }

    fn open(key: &DataKey, place: FieldContext<'_>, text: &str) -> Result<Vec<u8>, CannotOpen> {
        key.open(place, &Sealed::parse(text, place.marker)?).map(|plain| plain.to_vec())
    }

    #[test]
    fn a_value_comes_back_byte_for_byte() {
        let key = key(1, 2, 3);
        for value in [&b""[..], b"\"x\"", b"{\"a\": 1.0e5}", &[0xff; 100_000]] {
            let text = key.seal(PLACE, value, &SystemEntropy);
            assert!(text.starts_with("qanapi:") && text.ends_with(":$"), "{text}");
            assert_eq!(text.split(':').count(), 5);
            assert_eq!(Sealed::parse(&text, "qanapi").unwrap().key_id(), key.id());
            assert_eq!(open(&key, PLACE, &text).unwrap(), value);
        }
    }

    #[test]
    fn equal_values_look_different_each_time() {
        let key = key(1, 2, 3);
        assert_ne!(key.seal(PLACE, b"same", &SystemEntropy), key.seal(PLACE, b"same", &SystemEntropy));
    }

    #[test]
    fn c02_a_ciphertext_opens_in_its_project_and_field_only() {
        let text = key(1, 2, 3).seal(PLACE, b"secret", &SystemEntropy);
        assert_eq!(open(&key(1, 2, 3), PLACE, &text).unwrap(), b"secret");
        // The same bytes as the key of another project, or under another id.
        assert_eq!(open(&key(9, 2, 3), PLACE, &text), Err(CannotOpen));
        assert_eq!(open(&key(1, 9, 3), PLACE, &text), Err(CannotOpen));
        assert_eq!(open(&key(1, 2, 9), PLACE, &text), Err(CannotOpen));
        for path in ["items.*.body", "items.*", "items.*.title.", "", "items.0.title"] {
            assert_eq!(open(&key(1, 2, 3), FieldContext { path, ..PLACE }, &text), Err(CannotOpen), "{path}");
        }
        // Another contract's marker, with the text made to fit; and parts moved between marker and path.
        let moved = text.replacen("qanapi", "other", 1);
        assert_eq!(open(&key(1, 2, 3), FieldContext { marker: "other", ..PLACE }, &moved), Err(CannotOpen));
        let moved = text.replacen("qanapi", "qanapii", 1);
        let place = FieldContext { marker: "qanapii", path: "tems.*.title" };
        assert_eq!(open(&key(1, 2, 3), place, &moved), Err(CannotOpen));
    }

    #[test]
    fn c03_every_flipped_bit_is_the_same_refusal() {
        let (key, mut tried) = (key(1, 2, 3), 0);
        for number in 0..1000_u32 {
            let text = key.seal(PLACE, format!("value {number}").as_bytes(), &SystemEntropy);
            for bit in 0..text.len() * 8 {
                let mut bytes = text.clone().into_bytes();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let Ok(flipped) = String::from_utf8(bytes) else { continue };
                assert_eq!(open(&key, PLACE, &flipped), Err(CannotOpen), "bit {bit} of {text}");
                tried += 1;
            }
        }
        assert!(tried > 500_000, "only {tried} were tried");
    }

    #[test]
    fn c03_what_is_cut_or_of_another_version_is_the_same_refusal() {
        let key = key(1, 2, 3);
        let text = key.seal(PLACE, b"a value of some length", &SystemEntropy);
        for end in 0..text.len() {
            assert_eq!(open(&key, PLACE, &text[..end]), Err(CannotOpen), "cut at {end}");
            assert_eq!(open(&key, PLACE, &text[end + 1..]), Err(CannotOpen), "from {end}");
        }
        let sealed = Sealed::parse(&text, "qanapi").unwrap();
        let with = |head: &[u8], nonce: &[u8], body: &[u8]| {
            let [head, nonce, body] = [head, nonce, body].map(|part| STANDARD.encode(part));
            open(&key, PLACE, &format!("qanapi:{head}:{nonce}:{body}:$"))
        };
        let head = header(key.id());
        assert!(with(&head, &sealed.nonce, &sealed.body).is_ok());
        for version in (0..=u8::MAX).filter(|version| *version != VERSION) {
            let mut other = head;
            other[0] = version;
            assert_eq!(with(&other, &sealed.nonce, &sealed.body), Err(CannotOpen), "version {version}");
        }
        for length in 0..sealed.body.len() {
            assert_eq!(with(&head, &sealed.nonce, &sealed.body[..length]), Err(CannotOpen));
        }
        assert_eq!(with(&head, &sealed.nonce[1..], &sealed.body), Err(CannotOpen));
        assert_eq!(with(&head[..16], &sealed.nonce, &sealed.body), Err(CannotOpen));
    }

    #[test]
    fn nothing_prints_a_key() {
        let text = format!("{:?} {:?}", key(1, 2, 0xab), DataKey::random_bytes(&SystemEntropy).len());
        assert!(!text.contains("171") && !text.contains("abab"), "{text}");
    }
}
