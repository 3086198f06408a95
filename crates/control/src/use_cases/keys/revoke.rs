//! Ending a key for ever. Revoking one that is revoked already answers the same, and only once the same
//! holds again: on every node, it opens nothing.

use keyward_core::change::{Change, Expect, KeyChange};
use keyward_core::id::KeyId;
use keyward_core::key::KeyState;
use keyward_core::permission::Permission;
use keyward_core::text;

use super::SeenKey;
use crate::use_cases::commit::{Committed, Plan, Tries};
use crate::use_cases::error::{ControlError, Result};
use crate::use_cases::force::Force;
use crate::use_cases::{Asked, Control};

/// Longest reason, in characters.
const REASON_CHARS_MAX: u32 = 200;

impl Control {
    /// Ends a key.
    ///
    /// # Errors
    /// Where there is no key that the caller reaches, or the contract's statements are not acknowledged.
    pub async fn revoke_key(
        &self,
        asked: &Asked,
        id: KeyId,
        reason: Option<&str>,
        acknowledge: bool,
    ) -> Result<(SeenKey, Force)> {
        asked.require(Permission::KeysWrite)?;
        let reason = checked_reason(reason)?;
        let mut tries = Tries::default();
        loop {
            let (mut key, place) = self.find_key(asked, id).await?;
            require_acknowledged(&place.api.contract.acknowledge.revoke, acknowledge)?;
            let now = self.now();
            let revoked = KeyChange::Revoked { reason: reason.clone() };
            // A key whose overlap or life has ended is still revoked: then no clock can bring it back.
            let is_revoked = matches!(key.state, KeyState::Revoked { .. });
            let change = Change::Key { of: place.key_ref(&key), what: revoked.clone() };
            let changes = if is_revoked { Vec::new() } else { vec![change] };
            let expect = vec![Expect::Key(key.id, key.revision)];
            match self.commit(asked, now, Plan { expect, changes, made: None }).await? {
                Committed::Stale(expect) => tries.again(self, expect).await?,
                Committed::InForce(in_force) => {
                    if !is_revoked {
                        key.apply(&revoked, now, key.revision.next());
                    }
                    return Ok((self.see_written_key(key).await?, in_force));
                }
            }
        }
    }
}

/// Goes on only where these statements are acknowledged.
pub(crate) fn require_acknowledged(statements: &[String], acknowledge: bool) -> Result<()> {
    match acknowledge || statements.is_empty() {
        true => Ok(()),
        false => Err(ControlError::AcknowledgementRequired(statements.to_vec())),
    }
}

/// Takes a text as the reason of a revocation.
pub(crate) fn checked_reason(reason: Option<&str>) -> Result<Option<String>> {
    let checked = reason.map(|reason| text::name(reason, 1, REASON_CHARS_MAX)).transpose();
    checked.map_err(|message| ControlError::invalid("reason", message))
}
