//! The way of a miss: a key that is not in memory is read from the store, once however many ask for it, and
//! let into the cache only if nothing about it has changed since it was read.

use std::net::IpAddr;
use std::sync::Arc;

use keyward_core::change::Revision;
use keyward_core::denial::{Denial, Refusal};
use keyward_core::secret::{Digest, Recognised};

use crate::cache::Entry;
use crate::engine::{ApiInForce, Engine};
use crate::lookup::UNAVAILABLE;

const LANES: usize = 64;
/// How often a read starts over because the key changed while it was on its way.
const READS_MAX: usize = 16;

/// Lanes that reads queue in: two of the same key share one, so the second finds what the first read.
pub(crate) struct Fills(Vec<tokio::sync::Mutex<()>>);

impl Fills {
    pub fn new() -> Self {
        Fills((0..LANES).map(|_| tokio::sync::Mutex::default()).collect())
    }

    fn lane(&self, digest: &Digest) -> &tokio::sync::Mutex<()> {
        &self.0[(digest.as_u64() >> 32) as usize % LANES]
    }
}

/// What one look into the store found.
enum Found {
    Key(Arc<Entry>),
    /// No key, as of this revision, by a read that began in this generation of the cache.
    Nothing(Revision, u64),
}

impl Engine {
    /// Reads the key that a recognised credential is.
    ///
    /// # Errors
    /// `unknown_key` where there is none; `unavailable` where the store cannot be read or the miss budget is
    /// used up.
    pub(crate) async fn fill(
        &self,
        api: &ApiInForce,
        recognised: &Recognised,
        presented: &str,
        address: Option<IpAddr>,
    ) -> Result<Arc<Entry>, Denial> {
        let digest = recognised.digest();
        if self.cache.is_absent(digest) {
            return Err(Denial::new(Refusal::UnknownKey));
        }
        let is_made_up = matches!(recognised, Recognised::Plausible(_));
        if is_made_up && !self.misses.take(address, self.clock.boottime_nanos()) {
            metrics::counter!("keyward_misses_refused_total").increment(1);
            return Err(UNAVAILABLE);
        }
        let _lane = self.fills.lane(digest).lock().await;
        if let Some(entry) = self.cached(digest) {
            return Ok(entry);
        }
        metrics::counter!("keyward_misses_total").increment(1);
        let older = api.contract.key.older_digests(&self.peppers, presented);
        let mut first_read = None;
        for looked_up in std::iter::once(digest).chain(&older) {
            match self.read(looked_up, digest).await? {
                Found::Key(entry) => {
                    self.rehash_if_old(api, &entry, presented, looked_up);
                    return Ok(entry);
                }
                Found::Nothing(revision, generation) => first_read = first_read.or(Some((revision, generation))),
            }
        }
        // Only now: a key that is kept under an older pepper's digest is not absent.
        if let Some((revision, generation)) = first_read {
            self.cache.admit_absent(digest, revision, generation);
        }
        Err(Denial::new(Refusal::UnknownKey))
    }

    /// Reads the key that is kept under one digest, and lets it in as `known_as`: what the credential is
    /// recognised as, whichever pepper its key is kept under.
    async fn read(&self, looked_up: &Digest, known_as: &Digest) -> Result<Found, Denial> {
        for _ in 0..READS_MAX {
            let generation = self.cache.generation();
            let read = self.store.key_by_digest(looked_up).await.map_err(|error| {
                tracing::warn!(%error, "a key could not be read");
                UNAVAILABLE
            })?;
            let revision = read.revision;
            let Some(value) = read.value else { return Ok(Found::Nothing(revision, generation)) };
            let read = keyward_core::store::Read { value, revision };
            if let Some(entry) = self.cache.admit(known_as, read, generation) {
                return Ok(Found::Key(entry));
            }
        }
        Err(UNAVAILABLE)
    }

    /// Keeps a further digest, under the current pepper, of a key that was found under an older one: once
    /// every key in use has been seen, the old pepper can be retired.
    fn rehash_if_old(&self, api: &ApiInForce, entry: &Arc<Entry>, presented: &str, found_under: &Digest) {
        let Some(digest) = api.contract.key.rehashed(&self.peppers, presented) else { return };
        if digest == *found_under {
            return;
        }
        let (store, key, pepper) = (Arc::clone(&self.store), entry.facts.id, self.peppers.current());
        tokio::spawn(async move {
            if let Err(error) = store.add_digest(key, &digest, pepper).await {
                tracing::warn!(%error, %key, "a key could not be re-hashed under the current pepper; it will be at its next read");
            }
        });
    }
}
