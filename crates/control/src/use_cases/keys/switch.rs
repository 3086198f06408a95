//! Switching a key off and on again. A key that is off does not count against the limit of active keys, so
//! switching it on needs room.

use keyward_core::change::{Change, Expect, KeyChange};
use keyward_core::id::KeyId;
use keyward_core::key::Standing;
use keyward_core::permission::Permission;

use super::SeenKey;
use super::create::room;
use crate::use_cases::commit::{Committed, Plan, Tries};
use crate::use_cases::error::{ControlError, Result};
use crate::use_cases::force::Force;
use crate::use_cases::projects::Place;
use crate::use_cases::{Asked, Control};

/// Whether a key must be switched at all.
enum Need {
    /// It stands as asked for already.
    Nothing,
    /// It must, as long as this holds.
    Switch(Option<Expect>),
}

impl Control {
    /// Switches a key off. One that is off stays off.
    ///
    /// # Errors
    /// Where there is no key that the caller reaches, it has ended or is being rotated away, or the contract
    /// does not have this.
    pub async fn disable_key(&self, asked: &Asked, id: KeyId) -> Result<(SeenKey, Force)> {
        asked.require(Permission::KeysWrite)?;
        self.switch_key(asked, id, &KeyChange::Disabled, |_, standing| match standing {
            Standing::Active => Ok(Need::Switch(None)),
            Standing::Disabled => Ok(Need::Nothing),
            // A retiring key that was switched off and on would be active again, past the end of its overlap.
            other => Err(ControlError::KeyNotActive(other)),
        })
        .await
    }

    /// Switches a key on again. One that is on stays on.
    ///
    /// # Errors
    /// As for [`Control::disable_key`]; also where the project has no access, or as many live keys as it may.
    pub async fn enable_key(&self, asked: &Asked, id: KeyId) -> Result<(SeenKey, Force)> {
        asked.require(Permission::KeysWrite)?;
        let (_, place) = self.find_key(asked, id).await?;
        let work = self.switch_key(asked, id, &KeyChange::Enabled, |place, standing| match standing {
            Standing::Disabled => place.require_access().map(|()| Need::Switch(room(place))),
            Standing::Active => Ok(Need::Nothing),
            other => Err(ControlError::KeyNotActive(other)),
        });
        self.managed(&place, work).await
    }

    /// Makes the change where there is a need for it.
    async fn switch_key(
        &self,
        asked: &Asked,
        id: KeyId,
        what: &KeyChange,
        need: impl Fn(&Place, Standing) -> Result<Need>,
    ) -> Result<(SeenKey, Force)> {
        let mut tries = Tries::default();
        loop {
            let (mut key, place) = self.find_key(asked, id).await?;
            if !place.api.contract.key.disable {
                return Err(ControlError::ActionNotOffered("disable keys"));
            }
            let now = self.now();
            let Need::Switch(holds) = need(&place, key.standing(now))? else {
                let in_force = self.settle_for(asked).await?;
                return Ok((self.see_key(key).await?, in_force));
            };
            let mut expect = place.expectations();
            expect.push(Expect::Key(key.id, key.revision));
            expect.extend(holds);
            let changes = vec![Change::Key { of: place.key_ref(&key), what: what.clone() }];
            match self.commit(asked, now, Plan { expect, changes, made: None }).await? {
                Committed::InForce(in_force) => {
                    key.apply(what, now, key.revision.next());
                    return Ok((self.see_written_key(key).await?, in_force));
                }
                Committed::Stale(Expect::LiveKeysBelow { limit, .. }) => {
                    return Err(ControlError::ActiveKeyLimit { limit });
                }
                Committed::Stale(expect) => tries.again(self, expect).await?,
            }
        }
    }
}
