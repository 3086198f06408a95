//! Signing in with a password: how many guesses are looked at, and that the answer tells nobody whether there is such
//! a person (trust.md W06, W07).
//!
//! Guesses are counted for the account, whether there is one or not, and for the network they come from. A device that
//! somebody signed in from before has a counter of its own, so that others' guesses keep nobody out. What is counted
//! has a place in the queue first: there are never more counters than passwords that can be hashed.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use keyward_core::id::PersonId;
use keyward_core::limits::{Counted, Rate, network_of};
use keyward_core::people::{PasswordHash, Person};
use keyward_core::secret::Secret;
use keyward_core::session::SignedInBy;
use keyward_core::text;
use sha2::{Digest, Sha256};

use super::super::error::{ControlError, Result};
use super::passwords::{Checked, SALT_LENGTH};
use super::sessions::Proven;
use super::{SignedIn, Visitor, phrases};
use crate::use_cases::{Control, opened, sealed};

/// What the cookie of a known device is sealed for.
const DEVICE: &str = "a device that signed in";
const PERSON: std::ops::Range<usize> = 0..16;
const NUMBER: std::ops::Range<usize> = 16..32;
const MARK: std::ops::Range<usize> = 32..48;
const DEVICE_LENGTH: usize = 48;

/// Guesses for one account, or from one known device: ten at once, then one a minute; 70 in the first hour.
static GUESSES: LazyLock<Rate> = LazyLock::new(|| rate(1, 10));
/// Guesses from one network.
static NETWORK: LazyLock<Rate> = LazyLock::new(|| rate(20, 40));

fn rate(per_minute: u64, burst: u64) -> Rate {
    Rate::new(per_minute, Duration::from_secs(60), burst).expect("a small rate can be kept")
}

/// The number of a known device.
type Device = [u8; 16];

/// How many guesses were looked at, by whom and for whom.
#[derive(Default)]
pub(super) struct Guesses {
    accounts: Mutex<Counted<[u8; 32]>>,
    devices: Mutex<Counted<Device>>,
    networks: Mutex<Counted<IpAddr>>,
}

impl Guesses {
    /// Counts a guess from a known device.
    fn by_device(&self, device: Device, now: i64) -> Result<()> {
        take(&self.devices, device, &GUESSES, now)
    }

    /// Counts a guess from anywhere else.
    fn by_network(&self, network: Option<IpAddr>, account: [u8; 32], now: i64) -> Result<()> {
        if let Some(network) = network {
            take(&self.networks, network_of(network), &NETWORK, now)?;
        }
        take(&self.accounts, account, &GUESSES, now)
    }
}

fn take<K: Hash + Eq>(counted: &Mutex<Counted<K>>, of: K, rate: &Rate, now: i64) -> Result<()> {
    let taken = counted.lock().unwrap_or_else(PoisonError::into_inner).take(of, rate, now);
    taken.map_err(|retry_after| ControlError::RateLimited { retry_after })
}

impl Control {
    /// Signs somebody in. `device` is what the cookie of a known device holds.
    ///
    /// # Errors
    /// [`ControlError::BadCredentials`], the same whatever is wrong; [`ControlError::RateLimited`] where too many tried.
    pub async fn sign_in(
        &self,
        email: &str,
        password: &Secret,
        device: Option<&str>,
        visitor: &Visitor,
    ) -> Result<SignedIn> {
        let place = self.people.passwords.place()?;
        // What can be no address is looked up like one that is nobody's.
        let email = text::email(email).unwrap_or_default();
        let person = self.store.person_by_email(&email).await?;
        let nobody = PersonId::from_u128(0);
        let hash = self.store.password(person.as_ref().map_or(nobody, |person| person.id)).await?;
        let device = device.and_then(|text| self.known_device(text, person.as_ref()?, hash.as_ref()));
        let now = self.engine.clock().boottime_nanos();
        match device {
            Some(device) => self.people.guesses.by_device(device, now)?,
            None => {
                let account = Sha256::digest(email.as_bytes()).into();
                self.people.guesses.by_network(visitor.origin.address, account, now)?;
            }
        }
        let may = person.as_ref().is_some_and(Person::is_active);
        let guess =
            if phrases::is_too_long(password.expose()) { Secret::new(String::new()) } else { password.clone() };
        let checked = self.people.passwords.check(place, guess, hash.clone().filter(|_| may)).await?;
        let (Checked::Right { is_outdated }, Some(person), Some(hash)) = (checked, person, hash) else {
            return Err(ControlError::BadCredentials);
        };
        let hash = if is_outdated { self.hash_again(&person, password, hash).await } else { hash };
        self.begin_session(Proven { person, password: Some(hash), by: SignedInBy::Password }, visitor).await
    }

    /// Hashes a password under the current pepper, where there is room for that; tells the hash that is kept.
    async fn hash_again(&self, person: &Person, password: &Secret, old: PasswordHash) -> PasswordHash {
        let Ok(place) = self.people.passwords.place() else { return old };
        let hashed = self.people.passwords.hash(place, password.clone(), self.salt()).await;
        let kept = match hashed {
            Ok(new) => self.store.rehash_password(person.id, &old, &new).await.map(|()| new).map_err(Into::into),
            Err(error) => Err(error),
        };
        match kept {
            // Where the password was another by then, the session that begins with this one ends at once.
            Ok(new) if matches!(self.store.password(person.id).await, Ok(Some(kept)) if kept == new) => new,
            Ok(_) => old,
            Err(error) => {
                tracing::warn!(person = %person.id, %error, "a password stays under an older pepper");
                old
            }
        }
    }

    /// New salt.
    pub(super) fn salt(&self) -> [u8; SALT_LENGTH] {
        let mut salt = [0; SALT_LENGTH];
        self.entropy.fill(&mut salt);
        salt
    }

    /// What makes the device known that somebody signs in from, until their password changes.
    pub(super) fn device(&self, person: &Person, password: Option<&PasswordHash>) -> Secret {
        let mut content = [0; DEVICE_LENGTH];
        content[PERSON].copy_from_slice(&person.id.as_u128().to_be_bytes());
        self.entropy.fill(&mut content[NUMBER]);
        content[MARK].copy_from_slice(&mark(password));
        Secret::new(sealed(&self.log_keys, DEVICE, &content))
    }

    /// The device that a cookie makes known, where it is this person's and their password is the same still.
    fn known_device(&self, text: &str, person: &Person, password: Option<&PasswordHash>) -> Option<Device> {
        let content = opened(&self.log_keys, DEVICE, text).filter(|content| content.len() == DEVICE_LENGTH)?;
        let is_theirs = content[PERSON] == person.id.as_u128().to_be_bytes() && content[MARK] == mark(password);
        is_theirs.then(|| content[NUMBER].try_into().ok()).flatten()
    }

    /// Counts an attempt of somebody who is signed in to show once more who they are.
    pub(super) fn count_own_guess(&self, session: keyward_core::id::SessionId) -> Result<()> {
        let now = self.engine.clock().boottime_nanos();
        self.people.guesses.by_device(session.as_u128().to_be_bytes(), now)
    }
}

/// Tells one password from the next, and nothing of either.
fn mark(password: Option<&PasswordHash>) -> [u8; 16] {
    let hash: [u8; 32] = Sha256::digest(password.map_or("", |hash| &hash.0).as_bytes()).into();
    std::array::from_fn(|i| hash[i])
}
