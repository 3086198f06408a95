//! Regenerating: for projects with one key. The live key is rotated; where none is, one is made. However
//! many ask at once, one key is live at the end.

use std::time::Duration;

use keyward_core::change::Expect;
use keyward_core::contract::Contract;
use keyward_core::id::ProjectId;
use keyward_core::key::{Key, Standing};
use keyward_core::permission::Permission;
use keyward_core::store::{KeyFilter, Page};

use super::create::creation;
use super::{NewKey, Rotated, SeenKey};
use crate::use_cases::commit::{Committed, Once, Tries};
use crate::use_cases::error::{ControlError, Result};
use crate::use_cases::projects::Place;
use crate::use_cases::{Asked, Control};

/// One attempt: done, or not, for this is no longer so.
type Attempt = std::result::Result<Rotated, Expect>;

impl Control {
    /// Rotates a project's one live key, or makes one where none is live.
    ///
    /// # Errors
    /// As for creating and rotating; also where several keys are live.
    pub async fn regenerate_key(
        &self,
        asked: &Asked,
        project: ProjectId,
        overlap: Option<Duration>,
        acknowledge: bool,
    ) -> Result<Rotated> {
        asked.require(Permission::KeysWrite)?;
        let place = self.find_project(asked, project).await?;
        let work = self.make_regeneration(asked, project, overlap, acknowledge);
        match self.once(asked, self.managed(&place, work)).await? {
            Once::Now(rotated) => Ok(rotated),
            Once::Before(made) => self.rotated_before(asked, &made).await,
        }
    }

    async fn make_regeneration(
        &self,
        asked: &Asked,
        project: ProjectId,
        overlap: Option<Duration>,
        acknowledge: bool,
    ) -> Result<Rotated> {
        let mut tries = Tries::default();
        loop {
            let place = self.find_project(asked, project).await?;
            if !place.api.contract.rotation.is_offered() {
                return Err(ControlError::ActionNotOffered("rotate keys"));
            }
            let live = self.live_keys(&place).await?;
            let mut active = live.iter().filter(|key| key.standing(self.now()) == Standing::Active);
            let outcome = match (active.next(), active.next()) {
                (Some(_), Some(_)) => return Err(ControlError::SeveralLiveKeys),
                (Some(old), None) => {
                    acknowledged(&place.api.contract, acknowledge, true)?;
                    self.try_rotation(asked, &place, old, overlap).await?
                }
                (None, _) => {
                    acknowledged(&place.api.contract, acknowledge, false)?;
                    self.try_first(asked, &place, live.len()).await?
                }
            };
            match outcome {
                Ok(rotated) => return Ok(rotated),
                Err(stale) => tries.again(self, stale).await?,
            }
        }
    }

    async fn try_rotation(
        &self,
        asked: &Asked,
        place: &Place,
        old: &Key,
        overlap: Option<Duration>,
    ) -> Result<Attempt> {
        let now = self.now();
        let rotation = self.plan_rotation(place, old, overlap, now).await?;
        match self.commit(asked, now, rotation.plan()).await? {
            Committed::InForce(in_force) => Ok(Ok(rotation.done(in_force))),
            Committed::Stale(Expect::LiveKeysBelow { limit, .. }) => Err(ControlError::ActiveKeyLimit { limit }),
            Committed::Stale(expect) => Ok(Err(expect)),
        }
    }

    /// Makes a key where `live` others (on their way out) are all there are, and no more by then.
    async fn try_first(&self, asked: &Asked, place: &Place, live: usize) -> Result<Attempt> {
        place.require_served()?;
        let live = u32::try_from(live).unwrap_or(u32::MAX);
        if let Some(limit) = place.active_key_limit().filter(|&limit| live >= limit) {
            return Err(ControlError::ActiveKeyLimit { limit });
        }
        let now = self.now();
        let wish = NewKey { acknowledge: true, ..NewKey::default() };
        let (key, secret) = self.plan_key(place, &wish, now)?;
        let mut expect = place.expectations();
        expect.push(Expect::LiveKeysBelow { project: place.project.id, limit: live.saturating_add(1) });
        match self.commit(asked, now, creation(place, &key, expect)).await? {
            Committed::Stale(expect) => Ok(Err(expect)),
            Committed::InForce(in_force) => {
                let key = SeenKey { key, usage: Default::default(), at: now };
                Ok(Ok(Rotated { key, secret, replaced: None, in_force, is_repeated: false }))
            }
        }
    }

    /// A project's live keys, newest first.
    async fn live_keys(&self, place: &Place) -> Result<Vec<Key>> {
        const AT_ONCE: u32 = 1_000;
        let mut live = Vec::new();
        for standing in [Standing::Active, Standing::Retiring] {
            let filter = KeyFilter { standing: Some((standing, self.now())), name: None, ..Default::default() };
            live.extend(self.store.keys(place.project.id, &filter, Page { before: None, limit: AT_ONCE }).await?);
        }
        Ok(live)
    }
}

/// Goes on only where the contract's statements are acknowledged: those on making a key and, where one is
/// replaced, those on ending one.
fn acknowledged(contract: &Contract, acknowledge: bool, replaces: bool) -> Result<()> {
    let revoke = contract.acknowledge.revoke.iter().filter(|_| replaces);
    let statements: Vec<String> = contract.acknowledge.create.iter().chain(revoke).cloned().collect();
    match acknowledge || statements.is_empty() {
        true => Ok(()),
        false => Err(ControlError::AcknowledgementRequired(statements)),
    }
}
