//! Rotating a key: a new one takes its place, with the same name, scopes, networks, metadata and end. The
//! old one stops at once, or at the end of an overlap, as the contract allows. Of any number of rotations at
//! once one wins; the others learn that the key has been replaced.

use std::time::Duration;

use keyward_core::change::{Change, Expect, KeyChange, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::contract::RotationRefused;
use keyward_core::id::KeyId;
use keyward_core::key::{Key, KeyState, Standing};
use keyward_core::permission::Permission;

use super::SeenKey;
use super::create::room;
use crate::use_cases::commit::{Committed, Made, Once, Plan, Tries, another_kind};
use crate::use_cases::error::{ControlError, Result};
use crate::use_cases::force::Force;
use crate::use_cases::projects::Place;
use crate::use_cases::{Asked, Control, Disclosure};

/// A key that was rotated.
#[derive(Debug)]
pub struct Rotated {
    /// The new key.
    pub key: SeenKey,
    /// The new key's secret.
    pub secret: Disclosure,
    /// The old key, as it stands now.
    pub replaced: Option<SeenKey>,
    /// How it took force.
    pub in_force: Force,
    /// Whether it had been done by the same request before.
    pub is_repeated: bool,
}

impl Control {
    /// Puts a new key in a key's place.
    ///
    /// # Errors
    /// Where there is no key that the caller reaches, the contract does not have this rotation, the key is
    /// no longer active, or an overlap would make one live key too many.
    pub async fn rotate_key(&self, asked: &Asked, id: KeyId, overlap: Option<Duration>) -> Result<Rotated> {
        asked.require(Permission::KeysWrite)?;
        let (_, place) = self.find_key(asked, id).await?;
        match self.once(asked, self.managed(&place, self.make_rotation(asked, id, overlap))).await? {
            Once::Now(rotated) => Ok(rotated),
            Once::Before(made) => self.rotated_before(asked, &made).await,
        }
    }

    async fn make_rotation(&self, asked: &Asked, id: KeyId, overlap: Option<Duration>) -> Result<Rotated> {
        let mut tries = Tries::default();
        loop {
            let (old, place) = self.find_key(asked, id).await?;
            let now = self.now();
            let rotation = self.plan_rotation(&place, &old, overlap, now).await?;
            match self.commit(asked, now, rotation.plan()).await? {
                Committed::InForce(in_force) => return Ok(rotation.done(in_force)),
                Committed::Stale(Expect::LiveKeysBelow { limit, .. }) => {
                    return Err(ControlError::ActiveKeyLimit { limit });
                }
                // Where another rotation or a revocation was faster, planning anew says so.
                Committed::Stale(expect) => tries.again(self, expect).await?,
            }
        }
    }

    /// What a rotation of this key will be.
    pub(super) async fn plan_rotation(
        &self,
        place: &Place,
        old: &Key,
        overlap: Option<Duration>,
        now: Timestamp,
    ) -> Result<Rotation> {
        let overlap = place.api.contract.rotation.overlap(overlap).map_err(|refused| match refused {
            RotationRefused::NotOffered => ControlError::ActionNotOffered("rotate keys"),
            RotationRefused::Overlap(message) => ControlError::invalid("overlap_seconds", message),
        })?;
        place.require_served()?;
        match old.standing(now) {
            Standing::Active => {}
            standing => return Err(ControlError::KeyNotActive(standing)),
        }
        let (kept, secret) = self.mint(place);
        let new = Key {
            id: KeyId::random(&*self.entropy),
            hint: kept.hint,
            digest: kept.digest,
            pepper: kept.pepper,
            created_at: now,
            state: KeyState::Active,
            created_revision: Revision::ZERO,
            revision: Revision::ZERO,
            ..old.clone()
        };
        // Never longer than the old key would have lived anyway.
        let ends_at =
            old.expires_at.map_or(now.saturating_add(overlap), |end| end.min(now.saturating_add(overlap)));
        let old = self.see_key(old.clone()).await?;
        Ok(Rotation { place: place.clone(), old, new, ends_at, at: now, secret })
    }

    /// What a rotation that was made before is answered with again.
    pub(super) async fn rotated_before(&self, asked: &Asked, made: &Made) -> Result<Rotated> {
        let Made::Key { id, replaced } = made else { return another_kind(made) };
        let key = self.see_key(self.find_key(asked, *id).await?.0).await?;
        let replaced = match replaced {
            Some(old) => Some(self.see_key(self.find_key(asked, *old).await?.0).await?),
            None => None,
        };
        let in_force = self.settle_for(asked).await?;
        Ok(Rotated { key, secret: Disclosure::Before, replaced, in_force, is_repeated: true })
    }
}

/// A rotation that is decided.
pub(super) struct Rotation {
    place: Place,
    old: SeenKey,
    new: Key,
    ends_at: Timestamp,
    at: Timestamp,
    secret: Disclosure,
}

impl Rotation {
    /// What is to be written for it.
    pub fn plan(&self) -> Plan {
        let old = &self.old.key;
        let mut expect = self.place.expectations();
        expect.push(Expect::Key(old.id, old.revision));
        // In place, the new key takes the old one's room; with an overlap both are live.
        if self.ends_at > self.at {
            expect.extend(room(&self.place));
        }
        Plan {
            expect,
            changes: vec![Change::Key { of: self.place.key_ref(old), what: self.change() }],
            made: Some(Made::Key { id: self.new.id, replaced: Some(old.id) }),
        }
    }

    /// What it is answered with once it is in force. Nothing is read for it: the secret must not be lost.
    pub fn done(self, in_force: Force) -> Rotated {
        let rotated = self.change();
        let mut old = self.old;
        old.key.apply(&rotated, self.at, old.key.revision.next());
        let key = SeenKey { key: self.new, usage: Default::default(), at: self.at };
        Rotated { key, secret: self.secret, replaced: Some(old), in_force, is_repeated: false }
    }

    fn change(&self) -> KeyChange {
        KeyChange::Rotated { new: Box::new(self.new.clone()), ends_at: self.ends_at }
    }
}
