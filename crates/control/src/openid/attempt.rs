//! A sign-in that has begun: what the browser keeps of it, sealed, until the provider sends it back.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use keyward_core::clock::{Entropy, Timestamp};
use keyward_core::id::PersonId;
use keyward_core::log::LogKeys;
use keyward_core::secret::Secret;
use openidconnect::{Nonce, PkceCodeVerifier};

use crate::use_cases::{opened, sealed};

/// How long a person may take at the provider.
pub const ATTEMPT_LIFE: Duration = Duration::from_secs(600);

/// The longest `next` that is kept: a sealed text has room for no more.
const NEXT_MAX: usize = 230;
/// The longest secret of an invitation: ours are shorter.
const INVITATION_MAX: usize = 60;

/// What somebody goes to the provider for.
#[derive(Debug, Clone)]
pub enum Purpose {
    /// To sign in.
    SignIn,
    /// To have it linked to this person, who is signed in. Whoever ends it must be signed in as them.
    Link(PersonId),
    /// To accept the invitation whose link holds this.
    Invitation(Secret),
}

/// A sign-in that has begun.
pub struct Attempt {
    begun_at: Timestamp,
    /// Known to browser and provider; in no other browser.
    state: [u8; 16],
    /// Comes back in the token, which therefore was made for this attempt.
    nonce: [u8; 16],
    /// Shown with the code, which therefore is of use to nobody else.
    verifier: [u8; 32],
    /// What for.
    pub purpose: Purpose,
    /// Where to, afterwards.
    pub next: String,
}

impl Attempt {
    /// Begins one.
    pub fn begin(entropy: &dyn Entropy, now: Timestamp, purpose: Purpose, next: &str) -> Self {
        let next = if next.len() <= NEXT_MAX { next.to_owned() } else { String::new() };
        let mut attempt =
            Attempt { begun_at: now, state: [0; 16], nonce: [0; 16], verifier: [0; 32], purpose, next };
        entropy.fill(&mut attempt.state);
        entropy.fill(&mut attempt.nonce);
        entropy.fill(&mut attempt.verifier);
        attempt
    }

    /// When it began.
    pub fn begun_at(&self) -> Timestamp {
        self.begun_at
    }

    /// What the browser is known by.
    pub fn state(&self) -> String {
        BASE64.encode(self.state)
    }

    /// The same, to remember it by.
    pub fn state_bytes(&self) -> [u8; 16] {
        self.state
    }

    /// What the token must hold.
    pub fn nonce(&self) -> Nonce {
        Nonce::new(BASE64.encode(self.nonce))
    }

    /// What the code is bound to.
    pub fn verifier(&self) -> PkceCodeVerifier {
        PkceCodeVerifier::new(BASE64.encode(self.verifier))
    }

    /// For the browser to keep: nobody can read or alter it, and it means nothing at another provider.
    pub fn sealed(&self, keys: &LogKeys, issuer: &str) -> String {
        let mut bytes = self.begun_at.as_millis().to_be_bytes().to_vec();
        bytes.extend(self.state);
        bytes.extend(self.nonce);
        bytes.extend(self.verifier);
        match &self.purpose {
            Purpose::SignIn => bytes.push(0),
            Purpose::Link(person) => {
                bytes.push(1);
                bytes.extend(person.as_u128().to_be_bytes());
            }
            Purpose::Invitation(secret) => {
                // A longer one is none of ours, and what is cut opens nothing either.
                let secret = &secret.expose().as_bytes()[..secret.expose().len().min(INVITATION_MAX)];
                bytes.extend([2, secret.len() as u8]);
                bytes.extend(secret);
            }
        }
        bytes.extend(self.next.as_bytes());
        sealed(keys, &sealed_for(issuer), &bytes)
    }

    /// What a browser kept; none where it is not ours, not of this issuer, or too old at `now`.
    pub fn opened(keys: &LogKeys, issuer: &str, text: &str, now: Timestamp) -> Option<Self> {
        let bytes = opened(keys, &sealed_for(issuer), text)?;
        let mut rest = bytes.as_slice();
        let begun_at = Timestamp::from_millis(i64::from_be_bytes(*take(&mut rest)?));
        let (state, nonce, verifier) = (*take(&mut rest)?, *take(&mut rest)?, *take(&mut rest)?);
        let purpose = match take::<1>(&mut rest)? {
            [0] => Purpose::SignIn,
            [1] => Purpose::Link(PersonId::from_u128(u128::from_be_bytes(*take(&mut rest)?))),
            [2] => {
                let [length] = *take::<1>(&mut rest)?;
                let (secret, left) = rest.split_at_checked(usize::from(length))?;
                rest = left;
                Purpose::Invitation(Secret::new(String::from_utf8(secret.to_vec()).ok()?))
            }
            _ => return None,
        };
        let next = String::from_utf8(rest.to_vec()).ok()?;
        let attempt = Attempt { begun_at, state, nonce, verifier, purpose, next };
        (now.since(begun_at) < ATTEMPT_LIFE).then_some(attempt)
    }
}

fn sealed_for(issuer: &str) -> String {
    format!("openid/{issuer}")
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use keyward_core::clock::SystemEntropy;

    use super::*;

    const ISSUER: &str = "https://id.example.com";

    #[test]
    fn t09_what_a_browser_keeps_reads_back_for_its_issuer_and_ten_minutes() {
        let keys = LogKeys::new(&[1; 32], &[2; 32]);
        let now = Timestamp::from_millis(1_795_218_680_000);
        let next = "/projects/proj_x/keys?sort=name".repeat(7);
        for purpose in [
            Purpose::SignIn,
            Purpose::Link(PersonId::from_u128(u128::MAX)),
            Purpose::Invitation(Secret::new("invite_x".into())),
        ] {
            let begun = Attempt::begin(&SystemEntropy, now, purpose.clone(), &next);
            let text = begun.sealed(&keys, ISSUER);
            let last = now.saturating_add(ATTEMPT_LIFE - Duration::from_millis(1));
            let read = Attempt::opened(&keys, ISSUER, &text, last).unwrap();
            assert_eq!((read.state, read.nonce, read.verifier), (begun.state, begun.nonce, begun.verifier));
            assert_eq!((&read.next, read.begun_at), (&next, now));
            assert!(match (read.purpose, purpose) {
                (Purpose::SignIn, Purpose::SignIn) => true,
                (Purpose::Link(read), Purpose::Link(begun)) => read == begun,
                (Purpose::Invitation(read), Purpose::Invitation(begun)) => read.expose() == begun.expose(),
                _ => false,
            });
            assert!(Attempt::opened(&keys, ISSUER, &text, now.saturating_add(ATTEMPT_LIFE)).is_none());
            assert!(Attempt::opened(&keys, "https://id.example.org", &text, now).is_none());
            assert!(Attempt::opened(&keys, ISSUER, &text[1..], now).is_none());
        }
    }

    #[test]
    fn a_next_that_no_cookie_holds_is_left_out() {
        let keys = LogKeys::new(&[1; 32], &[2; 32]);
        let now = Timestamp::from_millis(0);
        let longest = Purpose::Invitation(Secret::new("é".repeat(INVITATION_MAX / 2)));
        for (next, kept) in [("/".repeat(NEXT_MAX), NEXT_MAX), ("/".repeat(NEXT_MAX + 1), 0)] {
            let text = Attempt::begin(&SystemEntropy, now, longest.clone(), &next).sealed(&keys, ISSUER);
            assert_eq!(Attempt::opened(&keys, ISSUER, &text, now).unwrap().next.len(), kept);
        }
    }
}
