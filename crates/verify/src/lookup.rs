//! From a credential to what is known of it: the lease is asked first, then memory, then the store.
//!
//! That order is what a lease means: a change that was in force everywhere before the lease was asked is in what memory
//! holds after that, for it is applied before a lease is published that covers it ([`Lease`](crate::lease::Lease)).

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use keyward_core::denial::{Denial, Refusal};
use keyward_core::secret::{Digest, Format, Recognised, Unrecognised, management_key_format};
use keyward_core::tenancy::ManagementKey;

use crate::cache::Entry;
use crate::engine::{ApiInForce, Engine};

/// What cannot be decided now is never granted.
pub(crate) const UNAVAILABLE: Denial = Denial::new(Refusal::Unavailable);

fn denial_of(unrecognised: Unrecognised) -> Denial {
    Denial::new(match unrecognised {
        Unrecognised::Malformed => Refusal::MalformedKey,
        Unrecognised::Forged => Refusal::UnknownKey,
    })
}

impl Engine {
    /// The live management key that a secret is.
    ///
    /// # Errors
    /// The denial where it is none.
    pub async fn authenticate(&self, presented: &str) -> Result<Arc<ManagementKey>, Denial> {
        if !self.lease.holds(&*self.clock) {
            return Err(UNAVAILABLE);
        }
        static FORMAT: LazyLock<Format> = LazyLock::new(management_key_format);
        let recognised = FORMAT.recognise(&self.peppers, presented).map_err(denial_of)?;
        // Hashed anew only for what is not found at once.
        let older = || {
            let digests = FORMAT.older_digests(&self.peppers, presented);
            digests.iter().find_map(|digest| self.management.get(digest))
        };
        let found = self.management.get(recognised.digest()).or_else(older);
        let key = found.ok_or(Denial::new(Refusal::UnknownKey))?;
        match key.is_live(self.clock.now()) {
            true => Ok(key),
            false if key.revoked_at.is_some() => Err(Denial::new(Refusal::Revoked)),
            false => Err(Denial::new(Refusal::Expired)),
        }
    }

    /// Finds the key that a credential is: in the cache, else in the store.
    pub(crate) async fn lookup(
        &self,
        api: Option<&ApiInForce>,
        presented: &str,
        address: Option<IpAddr>,
    ) -> Result<Arc<Entry>, Denial> {
        // Before the look-up: what the cache holds is good as of a moment when the lease held.
        if !self.lease.holds(&*self.clock) {
            return Err(UNAVAILABLE);
        }
        match api {
            Some(api) => {
                let recognised = api.contract.key.recognise(&self.peppers, presented).map_err(denial_of)?;
                self.find(api, &recognised, presented, address).await
            }
            None => self.lookup_in_all(presented, address).await,
        }
    }

    /// Finds a credential for which the caller named no API: by its shape.
    async fn lookup_in_all(&self, presented: &str, address: Option<IpAddr>) -> Result<Arc<Entry>, Denial> {
        let mut denial = Denial::new(Refusal::MalformedKey);
        let apis = self.apis.load_full();
        for api in apis.values() {
            match api.contract.key.recognise(&self.peppers, presented) {
                Ok(recognised) => match self.find(api, &recognised, presented, address).await {
                    Err(unknown) if unknown.refusal() == Refusal::UnknownKey => denial = unknown,
                    found => return found,
                },
                Err(Unrecognised::Forged) => denial = Denial::new(Refusal::UnknownKey),
                Err(Unrecognised::Malformed) => {}
            }
        }
        Err(denial)
    }

    async fn find(
        &self,
        api: &ApiInForce,
        recognised: &Recognised,
        presented: &str,
        address: Option<IpAddr>,
    ) -> Result<Arc<Entry>, Denial> {
        if let Some(entry) = self.cached(recognised.digest()) {
            return Ok(entry);
        }
        self.fill(api, recognised, presented, address).await
    }

    pub(crate) fn cached(&self, digest: &Digest) -> Option<Arc<Entry>> {
        let entry = self.cache.get(digest)?;
        if entry.is_stale() {
            self.cache.drop_stale(digest, &entry);
            return None;
        }
        Some(entry)
    }
}
