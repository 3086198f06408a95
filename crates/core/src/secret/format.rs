//! The shapes a key can have: minting one, and recognising one that was presented.
//!
//! The `keyward` format is `<prefix>_<43 characters>`: 32 bytes in base62, of which 1 is the pepper's
//! version, 20 are random, 7 are a tag under the pepper and 4 a CRC-32. The tag lets a node refuse a forged
//! key without asking cache or store; the CRC lets a secret scanner tell a key from noise. `uuid` and
//! `base64` are for contracts whose clients insist on those shapes; `imported` keeps keys issued elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::{Digest, PepperVersion, Peppers, Secret};
use crate::base62;
use crate::clock::Entropy;
use crate::id::ProjectId;

const RANDOM: std::ops::Range<usize> = 1..21;
const TAG: std::ops::Range<usize> = 21..28;
const CRC: std::ops::Range<usize> = 28..32;
const BODY_LENGTH: usize = 43;
/// Longer texts are malformed whatever the format: an upper bound on what is ever hashed.
const PRESENTED_MAX: usize = 512;

/// A key's shape, from the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// `<prefix>_<43 characters>`, refused without a look-up where it was not minted under our pepper.
    Keyward {
        /// What stands before the last underscore.
        prefix: String,
    },
    /// `<prefix><UUID version 4>`.
    Uuid {
        /// What stands before the UUID, its separator included.
        prefix: String,
    },
    /// Base64 of `<32 random characters>:<project id>`: opaque to clients.
    Base64,
}

/// A key just minted.
pub struct Minted {
    /// What the caller gets, once.
    pub secret: Secret,
    /// What the store keeps.
    pub digest: Digest,
    /// Under which pepper the digest was made.
    pub pepper: PepperVersion,
    /// What lists show.
    pub hint: String,
}

/// A credential as a request carried it.
pub type Presented<'a> = &'a str;

/// What a presented credential may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognised {
    /// Minted under our pepper: looking it up costs at most one read for each key that exists.
    Authentic(Digest),
    /// Of the right shape, which anybody can make up: looking it up draws on the miss budget.
    Plausible(Digest),
}

impl Recognised {
    /// The digest to look up.
    pub fn digest(&self) -> &Digest {
        match self {
            Recognised::Authentic(digest) | Recognised::Plausible(digest) => digest,
        }
    }
}

/// Why a presented credential cannot be a key of this format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unrecognised {
    /// Wrong prefix, length, alphabet or checksum.
    Malformed,
    /// Well formed, but not made under any of our peppers.
    Forged,
}

impl Format {
    /// Mints a key under the current pepper.
    pub fn mint(&self, peppers: &Peppers, project: ProjectId, entropy: &dyn Entropy) -> Minted {
        let pepper = peppers.current();
        match self {
            Format::Keyward { prefix } => mint_keyward(prefix, peppers, entropy),
            Format::Uuid { prefix } => {
                let mut bytes = [0; 16];
                entropy.fill(&mut bytes);
                let uuid = uuid_v4(bytes);
                let secret = Secret::new(format!("{prefix}{uuid}"));
                let hint = format!("{prefix}…{}", &uuid[uuid.len() - 4..]);
                Minted { digest: opaque(peppers, pepper, secret.expose()), pepper, hint, secret }
            }
            Format::Base64 => {
                let mut bytes = [0; 32];
                entropy.fill(&mut bytes);
                let random = &base62::encode_32(&bytes)[11..];
                let secret = Secret::new(BASE64.encode(format!("{random}:{project}")));
                // Its end is the project's, the same for all of its keys: only its beginning tells them apart.
                let hint = format!("{}…", &secret.expose()[..4]);
                Minted { digest: opaque(peppers, pepper, secret.expose()), pepper, hint, secret }
            }
        }
    }

    /// Tells what a presented credential may be, without looking anything up.
    ///
    /// # Errors
    /// [`Unrecognised`] where it cannot be a key of this format.
    pub fn recognise(&self, peppers: &Peppers, presented: Presented<'_>) -> Result<Recognised, Unrecognised> {
        if presented.len() > PRESENTED_MAX || !presented.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Unrecognised::Malformed);
        }
        match self {
            Format::Keyward { prefix } => recognise_keyward(prefix, peppers, presented),
            Format::Uuid { prefix } => match presented.strip_prefix(prefix.as_str()) {
                Some(uuid) if is_uuid(uuid) => Ok(plausible(peppers, presented)),
                _ => Err(Unrecognised::Malformed),
            },
            Format::Base64 => match BASE64.decode(presented) {
                Ok(bytes) if bytes.len() > 32 && bytes[32] == b':' => Ok(plausible(peppers, presented)),
                _ => Err(Unrecognised::Malformed),
            },
        }
    }

    /// The digests that a presented credential may have under older peppers: asked for only after
    /// the one of [`Format::recognise`] was not found, and only where there are older peppers.
    pub fn older_digests(&self, peppers: &Peppers, presented: Presented<'_>) -> Vec<Digest> {
        match self {
            // The version stands in the key itself: a key of an older pepper was looked up under it at once.
            Format::Keyward { prefix } => retired_digests(prefix, peppers, presented),
            Format::Uuid { .. } | Format::Base64 => peppers
                .versions()
                .filter(|&version| version != peppers.current())
                .map(|version| opaque(peppers, version, presented))
                .collect(),
        }
    }

    /// The digest under the current pepper, whatever pepper the key was minted under: what a key is
    /// re-hashed to when it is next used after a new pepper was brought in.
    pub fn rehashed(&self, peppers: &Peppers, presented: Presented<'_>) -> Option<Digest> {
        match self {
            Format::Keyward { prefix } => {
                let body = body_of(prefix, presented).ok()?;
                keyward_hash(peppers, peppers.current(), prefix, &body).map(|hash| keyward_digest(&hash))
            }
            Format::Uuid { .. } | Format::Base64 => Some(opaque(peppers, peppers.current(), presented)),
        }
    }

    /// Whether keys of this format carry a tag, so that forged ones are refused without a look-up.
    pub fn is_tagged(&self) -> bool {
        matches!(self, Format::Keyward { .. })
    }

    /// What all keys of this format begin with.
    pub fn prefix(&self) -> &str {
        match self {
            Format::Keyward { prefix } | Format::Uuid { prefix } => prefix,
            Format::Base64 => "",
        }
    }
}

/// The digest under which a key issued elsewhere is kept, from the SHA-256 of the whole key.
pub fn imported_digest(peppers: &Peppers, version: PepperVersion, sha256: &[u8; 32]) -> Option<Digest> {
    peppers.hash(version, &[b"keyward/imported/sha256\0", sha256]).map(Digest)
}

/// The digests under which an imported key that was presented may be kept, newest pepper first.
pub fn imported_digests(peppers: &Peppers, presented: Presented<'_>) -> Vec<Digest> {
    let sha256: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
    let mut versions: Vec<_> = peppers.versions().collect();
    versions.reverse();
    versions.into_iter().filter_map(|version| imported_digest(peppers, version, &sha256)).collect()
}

fn mint_keyward(prefix: &str, peppers: &Peppers, entropy: &dyn Entropy) -> Minted {
    let pepper = peppers.current();
    let mut body = [0; 32];
    body[0] = pepper;
    entropy.fill(&mut body[RANDOM]);
    let hash = keyward_hash(peppers, pepper, prefix, &body).expect("the current pepper is at hand");
    body[TAG].copy_from_slice(&hash[..7]);
    let crc = checksum(prefix, &body);
    body[CRC].copy_from_slice(&crc);
    let text = format!("{prefix}_{}", base62::encode_32(&body));
    let hint = format!("{prefix}_…{}", &text[text.len() - 4..]);
    Minted { secret: Secret::new(text), digest: keyward_digest(&hash), pepper, hint }
}

fn recognise_keyward(prefix: &str, peppers: &Peppers, presented: &str) -> Result<Recognised, Unrecognised> {
    let body = body_of(prefix, presented)?;
    match keyward_hash(peppers, body[0], prefix, &body) {
        Some(hash) if bool::from(hash[..7].ct_eq(&body[TAG])) => Ok(Recognised::Authentic(keyward_digest(&hash))),
        Some(_) => Err(Unrecognised::Forged),
        // A retired pepper: the tag cannot be checked any more, the re-hashed digest can be looked up.
        None => match keyward_hash(peppers, peppers.current(), prefix, &body) {
            Some(hash) if body[0] < peppers.current() => Ok(Recognised::Plausible(keyward_digest(&hash))),
            _ => Err(Unrecognised::Forged),
        },
    }
}

/// Digests that a key of a retired pepper may have been re-hashed to, other than the current pepper's.
fn retired_digests(prefix: &str, peppers: &Peppers, presented: &str) -> Vec<Digest> {
    let Ok(body) = body_of(prefix, presented) else { return Vec::new() };
    if peppers.has(body[0]) {
        return Vec::new();
    }
    peppers
        .versions()
        .filter(|&version| version > body[0] && version != peppers.current())
        .filter_map(|version| keyward_hash(peppers, version, prefix, &body))
        .map(|hash| keyward_digest(&hash))
        .collect()
}

fn body_of(prefix: &str, presented: &str) -> Result<[u8; 32], Unrecognised> {
    let text = presented
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .filter(|text| text.len() == BODY_LENGTH)
        .ok_or(Unrecognised::Malformed)?;
    let body = base62::decode_32(text.as_bytes()).ok_or(Unrecognised::Malformed)?;
    if checksum(prefix, &body) != body[CRC] {
        return Err(Unrecognised::Malformed);
    }
    Ok(body)
}

fn keyward_hash(peppers: &Peppers, version: PepperVersion, prefix: &str, body: &[u8; 32]) -> Option<[u8; 32]> {
    peppers.hash(version, &[b"keyward/v1\0", prefix.as_bytes(), b"\0", &body[RANDOM]])
}

fn keyward_digest(hash: &[u8; 32]) -> Digest {
    let mut digest = [0; 32];
    digest[..25].copy_from_slice(&hash[7..]);
    Digest(digest)
}

fn checksum(prefix: &str, body: &[u8; 32]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(prefix.as_bytes());
    crc.update(&body[..28]);
    crc.finalize().to_be_bytes()
}

fn opaque(peppers: &Peppers, version: PepperVersion, presented: &str) -> Digest {
    let hash = peppers.hash(version, &[b"keyward/opaque/v1\0", presented.as_bytes()]);
    Digest(hash.expect("callers pass a version that is at hand"))
}

fn plausible(peppers: &Peppers, presented: &str) -> Recognised {
    Recognised::Plausible(opaque(peppers, peppers.current(), presented))
}

fn uuid_v4(mut bytes: [u8; 16]) -> String {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemEntropy;
    use proptest::prelude::*;

    fn peppers(versions: &[u8]) -> Peppers {
        let all: Vec<_> = versions.iter().map(|&version| (version, [version; 32])).collect();
        Peppers::new(&all.iter().map(|(version, bytes)| (*version, &bytes[..])).collect::<Vec<_>>()).unwrap()
    }

    fn keyward() -> Format {
        Format::Keyward { prefix: "kw".into() }
    }

    fn mint(format: &Format, peppers: &Peppers) -> Minted {
        format.mint(peppers, ProjectId::from_u128(7), &SystemEntropy)
    }

    #[test]
    fn every_format_recognises_what_it_mints() {
        let peppers = peppers(&[1]);
        for format in [keyward(), Format::Uuid { prefix: "sgai-".into() }, Format::Base64] {
            let minted = mint(&format, &peppers);
            let recognised = format.recognise(&peppers, minted.secret.expose()).unwrap();
            assert_eq!(*recognised.digest(), minted.digest);
            assert_eq!(matches!(recognised, Recognised::Authentic(_)), format.is_tagged());
            assert!(!minted.hint.contains(&minted.secret.expose()[..20]));
        }
    }

    #[test]
    fn a_key_made_without_the_pepper_is_forged() {
        let forger = peppers(&[1]);
        let mut bytes = [9u8; 32];
        bytes[0] = 1;
        let ours = Peppers::new(&[(1, &bytes)]).unwrap();
        let forged = mint(&keyward(), &forger);
        assert_eq!(keyward().recognise(&ours, forged.secret.expose()), Err(Unrecognised::Forged));
    }

    #[test]
    fn a_key_of_another_prefix_is_malformed_and_cannot_be_renamed() {
        let peppers = peppers(&[1]);
        let minted = mint(&keyward(), &peppers);
        let live = Format::Keyward { prefix: "kw_live".into() };
        assert_eq!(live.recognise(&peppers, minted.secret.expose()), Err(Unrecognised::Malformed));
        let renamed = minted.secret.expose().replacen("kw_", "kw_live_", 1);
        assert_eq!(live.recognise(&peppers, &renamed), Err(Unrecognised::Malformed));
    }

    #[test]
    fn k05_a_key_of_an_older_pepper_is_recognised_and_after_retirement_by_its_rehash() {
        let old = mint(&keyward(), &peppers(&[1]));
        let secret = old.secret.expose();
        let both = peppers(&[1, 2]);
        assert_eq!(keyward().recognise(&both, secret), Ok(Recognised::Authentic(old.digest)));
        let rehashed = keyward().rehashed(&both, secret).unwrap();
        assert_ne!(rehashed, old.digest);
        assert_eq!(keyward().recognise(&peppers(&[2]), secret), Ok(Recognised::Plausible(rehashed)));
        assert_eq!(keyward().older_digests(&peppers(&[2, 3]), secret), vec![rehashed]);
        let future = mint(&keyward(), &peppers(&[9]));
        assert_eq!(keyward().recognise(&both, future.secret.expose()), Err(Unrecognised::Forged));
    }

    #[test]
    fn k02_noise_of_the_same_shape_does_not_pass() {
        let peppers = peppers(&[1]);
        let passed = (0..200_000)
            .filter(|_| {
                let mut bytes = [0; 32];
                SystemEntropy.fill(&mut bytes);
                let noise = format!("kw_{}", base62::encode_32(&bytes));
                keyward().recognise(&peppers, &noise) != Err(Unrecognised::Malformed)
            })
            .count();
        assert!(passed <= 2, "{passed} of 200,000 passed a 32-bit checksum");
    }

    proptest! {
        #[test]
        fn one_changed_character_is_never_accepted(at in 3usize..46, with in 0usize..62) {
            let peppers = peppers(&[1]);
            let minted = mint(&keyward(), &peppers);
            let mut text = minted.secret.expose().as_bytes().to_vec();
            let other = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[with];
            prop_assume!(text[at] != other);
            text[at] = other;
            prop_assert!(keyward().recognise(&peppers, std::str::from_utf8(&text).unwrap()).is_err());
        }

        #[test]
        fn any_text_is_refused_without_panic(text in ".*") {
            let peppers = peppers(&[1]);
            for format in [keyward(), Format::Uuid { prefix: "sgai-".into() }, Format::Base64] {
                let _ = format.recognise(&peppers, &text);
                let _ = format.older_digests(&peppers, &text);
            }
        }
    }
}
