//! Hashing passwords, and checking them: argon2id keyed with a pepper, so that a stolen store lets nobody guess. The
//! work runs on threads of its own with a low priority, behind a queue of a fixed length: attempts to sign in may be
//! slow and may be refused, verification of keys is not (trust.md W08).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, KeyId, Params, ParamsBuilder, Version};
use keyward_core::people::PasswordHash;
use keyward_core::secret::{PepperVersion, Peppers, Secret};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::super::error::{ControlError, Result};

/// How many may wait or be worked on; who comes then is told to come again.
const QUEUE_MAX: usize = 64;
/// How long somebody who found the queue full is told to wait.
const WAIT: Duration = Duration::from_secs(2);
/// How nice the threads are: others go first.
const NICENESS: i32 = 10;
/// Bytes of salt (RFC 9106, section 3.1).
pub(super) const SALT_LENGTH: usize = 16;

/// Memory in KiB, passes and lanes of argon2id: OWASP's first choice for a server.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// What checking a password ended in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checked {
    /// It is another.
    Wrong,
    /// It is the one.
    Right {
        /// Whether it should be hashed again: it was under an older pepper, or at a lower cost.
        is_outdated: bool,
    },
}

type Job = Box<dyn FnOnce() + Send>;

/// The threads that hash passwords.
pub(super) struct Passwords {
    jobs: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
    peppers: Arc<Peppers>,
    hashed: Arc<AtomicU64>,
}

/// A place in the queue: without one nothing is hashed.
pub(super) struct Place(OwnedSemaphorePermit);

impl Passwords {
    /// Starts the threads; they end with this.
    pub fn start(peppers: Arc<Peppers>) -> Self {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for number in 0..(if cores > 2 { 2 } else { 1 }) {
            let waiting = Arc::clone(&waiting);
            let started =
                std::thread::Builder::new().name(format!("passwords-{number}")).spawn(move || work(&waiting));
            if let Err(error) = started {
                tracing::error!(%error, "no thread to hash passwords on");
            }
        }
        let (room, hashed) = (Arc::new(Semaphore::new(QUEUE_MAX)), Arc::new(AtomicU64::new(0)));
        Passwords { jobs, room, peppers, hashed }
    }

    /// A place in the queue.
    ///
    /// # Errors
    /// [`ControlError::RateLimited`] where it is full.
    pub fn place(&self) -> Result<Place> {
        let place = Arc::clone(&self.room).try_acquire_owned();
        place.map(Place).map_err(|_| ControlError::RateLimited { retry_after: WAIT })
    }

    /// How many were hashed.
    pub fn hashed(&self) -> u64 {
        self.hashed.load(Ordering::Relaxed)
    }

    /// Hashes a password under the current pepper, with this salt.
    pub async fn hash(&self, place: Place, password: Secret, salt: [u8; SALT_LENGTH]) -> Result<PasswordHash> {
        let peppers = Arc::clone(&self.peppers);
        self.run(place, move || hash(&peppers, &password, &salt)).await?
    }

    /// Checks a password against its hash. Where there is none to check it against, as much work is done for nothing,
    /// so that the time tells nobody whether there is.
    pub async fn check(&self, place: Place, password: Secret, against: Option<PasswordHash>) -> Result<Checked> {
        let peppers = Arc::clone(&self.peppers);
        self.run(place, move || check(&peppers, &password, against)).await
    }

    /// Runs one piece of work on the threads. The place is kept until it is done, even where nobody waits any more.
    async fn run<T: Send + 'static>(&self, place: Place, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (done, answer) = oneshot::channel();
        let hashed = Arc::clone(&self.hashed);
        let job = move || {
            let Place(permit) = place;
            // Who went away meanwhile needs no answer.
            if !done.is_closed() {
                hashed.fetch_add(1, Ordering::Relaxed);
                metrics::counter!("keyward_passwords_hashed_total").increment(1);
                let _ = done.send(work());
            }
            drop(permit);
        };
        let gone = || ControlError::Internal("the threads that hash passwords have ended".into());
        self.jobs.send(Box::new(job)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

/// What each thread does until there is nobody left to ask it.
fn work(waiting: &Mutex<mpsc::Receiver<Job>>) {
    // Linux counts a thread as a process here; elsewhere the whole process would be slowed.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "passwords are hashed with the priority of all else");
    }
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A panic in one must not end the thread for all.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
    }
}

fn hash(peppers: &Peppers, password: &Secret, salt: &[u8; SALT_LENGTH]) -> Result<PasswordHash> {
    let failed = |error: &dyn std::fmt::Display| ControlError::Internal(format!("hashing a password: {error}"));
    let version = peppers.current();
    let key = peppers.password_key(version).ok_or_else(|| failed(&"there is no pepper"))?;
    let argon2 = argon2(&key[..], version).map_err(|error| failed(&error))?;
    let hashed = argon2.hash_password_with_salt(password.expose().as_bytes(), salt);
    hashed.map(|hashed| PasswordHash(hashed.to_string())).map_err(|error| failed(&error))
}

fn check(peppers: &Peppers, password: &Secret, against: Option<PasswordHash>) -> Checked {
    let current = peppers.current();
    let found = against.and_then(|hash| {
        let hash = Phc::new(&hash.0).ok()?;
        let version = pepper_of(&hash)?;
        Some((hash, version, peppers.password_key(version)?))
    });
    let Some((hash, version, key)) = found else {
        // As much work, for nothing.
        let _ = hash_for_nothing(peppers, password);
        return Checked::Wrong;
    };
    let Ok(argon2) = argon2(&key[..], version) else { return Checked::Wrong };
    match argon2.verify_password(password.expose().as_bytes(), &hash) {
        Ok(()) => Checked::Right { is_outdated: version != current || !has_our_cost(&hash) },
        Err(_) => Checked::Wrong,
    }
}

fn hash_for_nothing(peppers: &Peppers, password: &Secret) -> Result<PasswordHash> {
    hash(peppers, password, &[0; SALT_LENGTH])
}

/// The pepper that a hash says it is under, by its key id.
fn pepper_of(hash: &Phc) -> Option<PepperVersion> {
    let params = Params::try_from(hash).ok()?;
    match params.keyid() {
        [version] => Some(*version),
        _ => None,
    }
}

fn has_our_cost(hash: &Phc) -> bool {
    let costs = |params: Params| (params.m_cost(), params.t_cost(), params.p_cost());
    Params::try_from(hash).is_ok_and(|params| costs(params) == (MEMORY_KIB, PASSES, LANES))
}

fn argon2(key: &[u8], version: PepperVersion) -> argon2::Result<Argon2<'_>> {
    let params = ParamsBuilder::new()
        .m_cost(MEMORY_KIB)
        .t_cost(PASSES)
        .p_cost(LANES)
        .keyid(KeyId::new(&[version])?)
        .build()?;
    Argon2::new_with_secret(key, Algorithm::Argon2id, Version::V0x13, params)
}
