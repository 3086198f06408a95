//! Making a key: every rule of its contract, the limit of active keys kept exactly however many ask at
//! once, and the secret handed out once.

use keyward_core::change::{Change, Expect, KeyChange, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::key::{Key, KeyState, Metadata};
use keyward_core::permission::Permission;
use keyward_core::secret::{Minted, imported_digest};

use super::SeenKey;
use super::rules;
use crate::use_cases::commit::{Committed, Made, Once, Plan, Tries, another_kind};
use crate::use_cases::error::{ControlError, Result};
use crate::use_cases::projects::Place;
use crate::use_cases::{Asked, Control, Disclosure};

/// What is asked of a new key.
#[derive(Debug, Clone, Default)]
pub struct NewKey {
    /// What to call it.
    pub name: Option<String>,
    /// When it shall end.
    pub expires_at: Option<Timestamp>,
    /// What it shall be allowed; the contract's default where none.
    pub scopes: Option<Vec<String>>,
    /// The networks it may be used from; anywhere where none.
    pub addresses: Option<Vec<String>>,
    /// What its owner attaches.
    pub metadata: Option<Metadata>,
    /// Whether the contract's statements are acknowledged.
    pub acknowledge: bool,
    /// The SHA-256 of a key issued elsewhere that is to be taken over instead of making a new one.
    pub import: Option<[u8; 32]>,
}

/// A key that was made.
#[derive(Debug)]
pub struct KeyMade {
    /// The key.
    pub key: SeenKey,
    /// Its secret.
    pub secret: Disclosure,
    /// Whether it had been made by the same request before.
    pub is_repeated: bool,
}

impl Control {
    /// Makes a key.
    ///
    /// # Errors
    /// Where there is no project that the caller reaches, the contract or the project's plan does not allow what
    /// is asked, its statements are not acknowledged, or the project has as many live keys as it may.
    pub async fn create_key(&self, asked: &Asked, project: ProjectId, wish: &NewKey) -> Result<KeyMade> {
        asked.require(Permission::KeysWrite)?;
        let place = self.find_project(asked, project).await?;
        match self.once(asked, self.managed(&place, self.make_key(asked, project, wish))).await? {
            Once::Now((key, secret)) => {
                let key = SeenKey { key, usage: Default::default(), at: self.now() };
                Ok(KeyMade { key, secret, is_repeated: false })
            }
            Once::Before(Made::Key { id, .. }) => {
                let key = self.see_key(self.find_key(asked, id).await?.0).await?;
                let secret = if wish.import.is_some() { Disclosure::None } else { Disclosure::Before };
                Ok(KeyMade { key, secret, is_repeated: true })
            }
            Once::Before(other) => another_kind(&other),
        }
    }

    async fn make_key(&self, asked: &Asked, project: ProjectId, wish: &NewKey) -> Result<(Key, Disclosure)> {
        let mut tries = Tries::default();
        loop {
            let place = self.find_project(asked, project).await?;
            place.require_served()?;
            let now = self.now();
            let (key, secret) = self.plan_key(&place, wish, now)?;
            if self.store.key_by_digest(&key.digest).await?.value.is_some() {
                return Err(ControlError::AlreadyExists("a key with this secret"));
            }
            let mut expect = place.expectations();
            expect.extend(room(&place));
            match self.commit(asked, now, creation(&place, &key, expect)).await? {
                Committed::InForce(_) => return Ok((key, secret)),
                // Checked after the project and its contract: the limit was the one in force.
                Committed::Stale(Expect::LiveKeysBelow { limit, .. }) => {
                    return Err(ControlError::ActiveKeyLimit { limit });
                }
                Committed::Stale(expect) => tries.again(self, expect).await?,
            }
        }
    }

    /// The key that a wish asks for, by the contract in force.
    pub(crate) fn plan_key(&self, place: &Place, wish: &NewKey, now: Timestamp) -> Result<(Key, Disclosure)> {
        let contract = &place.api.contract;
        let checks = rules::check(wish, contract, now)?;
        if !wish.acknowledge && !contract.acknowledge.create.is_empty() {
            return Err(ControlError::AcknowledgementRequired(contract.acknowledge.create.clone()));
        }
        let (minted, secret) = match &wish.import {
            None => self.mint(place),
            Some(sha256) => (self.import(sha256)?, Disclosure::None),
        };
        let id = KeyId::random(&*self.entropy);
        let key = Key {
            id,
            project: place.project.id,
            lineage: id,
            name: checks.name,
            hint: minted.hint,
            digest: minted.digest,
            pepper: minted.pepper,
            scopes: checks.scopes,
            addresses: checks.addresses,
            metadata: checks.metadata,
            created_at: now,
            expires_at: checks.expires_at,
            state: KeyState::Active,
            created_revision: Revision::ZERO,
            revision: Revision::ZERO,
        };
        Ok((key, secret))
    }

    /// Mints a secret of the contract's shape, and what is kept of it.
    pub(super) fn mint(&self, place: &Place) -> (Kept, Disclosure) {
        let format = place.api.contract.key.format(place.project.environment);
        let Minted { secret, digest, pepper, hint } = format.mint(&self.peppers, place.project.id, &*self.entropy);
        (Kept { digest, pepper, hint }, Disclosure::Now(secret))
    }

    fn import(&self, sha256: &[u8; 32]) -> Result<Kept> {
        let pepper = self.peppers.current();
        let digest = imported_digest(&self.peppers, pepper, sha256)
            .ok_or_else(|| ControlError::Internal("the current pepper is not at hand".into()))?;
        // Not even a part of the hash is shown: it could be tested without the pepper.
        Ok(Kept { digest, pepper, hint: "imported".into() })
    }
}

/// What is kept of a secret.
pub(super) struct Kept {
    pub digest: keyward_core::secret::Digest,
    pub pepper: keyward_core::secret::PepperVersion,
    pub hint: String,
}

/// The plan that makes a key.
pub(super) fn creation(place: &Place, key: &Key, expect: Vec<Expect>) -> Plan {
    let created = KeyChange::Created { key: Box::new(key.clone()) };
    Plan {
        expect,
        changes: vec![Change::Key { of: place.key_ref(key), what: created }],
        made: Some(Made::Key { id: key.id, replaced: None }),
    }
}

/// That one more live key has room.
pub(super) fn room(place: &Place) -> Option<Expect> {
    place.active_key_limit().map(|limit| Expect::LiveKeysBelow { project: place.project.id, limit })
}
