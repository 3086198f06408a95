//! Management keys: the keys to the control plane itself. One can never be minted, by creating or by
//! rotating, with more scopes, more reach or a longer life than the key that asks for it.

use std::collections::HashMap;

use keyward_core::change::{Change, Expect, ManagementKeyChange, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::{ManagementKeyId, OrganizationId, ProjectId};
use keyward_core::permission::Permission;
use keyward_core::scope::Scopes;
use keyward_core::secret::{Minted, management_key_format};
use keyward_core::store::Page;
use keyward_core::tenancy::{Boundary, ManagementKey};
use keyward_core::text;

use super::commit::{Committed, Made, Once, Plan, Tries, another_kind};
use super::error::{ControlError, Faults, Result};
use super::force::Force;
use super::organizations::NAME_CHARS_MAX;
use super::{Asked, Caller, Control, Disclosure, Listed};

/// What is asked of a new management key.
#[derive(Debug, Clone)]
pub struct NewManagementKey {
    /// What to call it.
    pub name: String,
    /// What it shall be allowed.
    pub scopes: Vec<String>,
    /// How far it shall reach; as far as the caller where none.
    pub boundary: Option<Boundary>,
    /// When it shall end.
    pub expires_at: Option<Timestamp>,
}

/// A management key that was made.
#[derive(Debug)]
pub struct ManagementKeyMade {
    /// The key.
    pub key: ManagementKey,
    /// Its secret.
    pub secret: Disclosure,
    /// Whether it had been made by the same request before.
    pub is_repeated: bool,
}

impl Control {
    /// Makes a management key.
    ///
    /// # Errors
    /// Where the caller may not, or asks for more than it has itself.
    pub async fn create_management_key(&self, asked: &Asked, wish: &NewManagementKey) -> Result<ManagementKeyMade> {
        asked.require(Permission::ManagementKeysWrite)?;
        match self.once(asked, self.make_management_key(asked, wish)).await? {
            Once::Now((key, secret)) => Ok(ManagementKeyMade { key, secret, is_repeated: false }),
            Once::Before(made) => self.management_key_made_before(asked, &made).await,
        }
    }

    async fn make_management_key(
        &self,
        asked: &Asked,
        wish: &NewManagementKey,
    ) -> Result<(ManagementKey, Disclosure)> {
        let now = self.now();
        let mut faults = Faults::default();
        let name = faults.take("name", text::name(&wish.name, 1, NAME_CHARS_MAX));
        let scopes = faults.take("scopes", known_scopes(&wish.scopes));
        let expires_at = faults.take("expires_at", lifetime(&asked.caller, wish.expires_at, now));
        let boundary = wish.boundary.unwrap_or(asked.caller.boundary());
        if !self.can_be_handed_on(asked, boundary).await? {
            faults.add("within", "names nothing that this management key reaches");
        }
        let (name, scopes, expires_at) =
            faults.finish_with(name.zip(scopes).zip(expires_at).map(|((n, s), e)| (n, s, e)))?;
        asked.require_scopes(&scopes)?;
        let (key, secret) = self.mint_management_key(name, scopes, boundary, now);
        // Also through another management key: what a person made in any way ends with their place.
        let key = ManagementKey { expires_at, minted_by: asked.caller.minter(), ..key };
        let created = ManagementKeyChange::Created { key: Box::new(key.clone()) };
        let changes = vec![Change::ManagementKey { id: key.id, what: created }];
        let plan = Plan { expect: Vec::new(), changes, made: Some(Made::ManagementKey { id: key.id }) };
        match self.commit(asked, now, plan).await? {
            Committed::InForce(_) => Ok((key, secret)),
            Committed::Stale(expect) => Err(ControlError::Conflict(Some(expect))),
        }
    }

    fn mint_management_key(
        &self,
        name: String,
        scopes: Scopes,
        boundary: Boundary,
        now: Timestamp,
    ) -> (ManagementKey, Disclosure) {
        // The project plays no part in this format.
        let minted = management_key_format().mint(&self.peppers, ProjectId::from_u128(0), &*self.entropy);
        let Minted { secret, digest, hint, .. } = minted;
        let key = ManagementKey {
            id: ManagementKeyId::random(&*self.entropy),
            name,
            hint,
            digest,
            scopes,
            boundary,
            minted_by: None,
            created_at: now,
            expires_at: None,
            revoked_at: None,
            created_revision: Revision::ZERO,
            revision: Revision::ZERO,
        };
        (key, Disclosure::Now(secret))
    }

    async fn management_key_made_before(&self, asked: &Asked, made: &Made) -> Result<ManagementKeyMade> {
        let Made::ManagementKey { id } = made else { return another_kind(made) };
        let key = self.find_management_key(asked, *id).await?;
        Ok(ManagementKeyMade { key, secret: Disclosure::Before, is_repeated: true })
    }

    /// A management key.
    ///
    /// # Errors
    /// Where there is none within the caller's reach.
    pub async fn management_key(&self, asked: &Asked, id: ManagementKeyId) -> Result<ManagementKey> {
        asked.require(Permission::ManagementKeysRead)?;
        self.find_management_key(asked, id).await
    }

    /// The management keys within the caller's reach, newest first.
    ///
    /// # Errors
    /// Where the caller may not list any.
    pub async fn management_keys(
        &self,
        asked: &Asked,
        before: Option<Revision>,
        limit: u32,
    ) -> Result<Listed<ManagementKey>> {
        asked.require(Permission::ManagementKeysRead)?;
        self.management_keys_within(asked.caller.boundary(), before, limit).await
    }

    /// An organization's management keys and those of its projects, newest first; for an operator too only those.
    ///
    /// # Errors
    /// Where there is no organization that the caller reaches.
    pub async fn management_keys_of(
        &self,
        asked: &Asked,
        organization: OrganizationId,
        before: Option<Revision>,
        limit: u32,
    ) -> Result<Listed<ManagementKey>> {
        asked.require(Permission::ManagementKeysRead)?;
        let organization = self.find_organization(asked, organization).await?;
        self.management_keys_within(Boundary::Organization(organization.id), before, limit).await
    }

    /// One of an organization's management keys, or of its projects'.
    ///
    /// # Errors
    /// Where there is none that the caller reaches.
    pub async fn management_key_of(
        &self,
        asked: &Asked,
        organization: OrganizationId,
        id: ManagementKeyId,
    ) -> Result<ManagementKey> {
        let found = self.management_key(asked, id).await?;
        let organization = self.find_organization(asked, organization).await?;
        let own = Boundary::Organization(organization.id);
        match self.is_within(own, found.boundary, &mut HashMap::new()).await? {
            true => Ok(found),
            false => Err(ControlError::NotFound),
        }
    }

    async fn management_keys_within(
        &self,
        own: Boundary,
        before: Option<Revision>,
        limit: u32,
    ) -> Result<Listed<ManagementKey>> {
        let mut walls = HashMap::new();
        let (mut found, mut before) = (Vec::new(), before);
        while found.len() <= limit as usize {
            let page = self.store.management_keys(Page { before, limit: limit + 1 }).await?;
            let Some(last) = page.last() else { break };
            before = Some(last.created_revision);
            for key in page {
                if self.is_within(own, key.boundary, &mut walls).await? {
                    found.push(key);
                }
            }
        }
        Ok(Listed::cut(found, limit, |key| key.created_revision))
    }

    /// Puts a new management key in one's place, which ends at once.
    ///
    /// # Errors
    /// Where there is none within the caller's reach, it has ended, or it may more than the caller.
    pub async fn rotate_management_key(
        &self,
        asked: &Asked,
        id: ManagementKeyId,
    ) -> Result<(ManagementKeyMade, Force)> {
        asked.require(Permission::ManagementKeysWrite)?;
        self.find_management_key(asked, id).await?;
        match self.once(asked, self.make_management_key_rotation(asked, id)).await? {
            Once::Now(rotated) => Ok(rotated),
            Once::Before(made) => {
                Ok((self.management_key_made_before(asked, &made).await?, self.settle_for(asked).await?))
            }
        }
    }

    async fn make_management_key_rotation(
        &self,
        asked: &Asked,
        id: ManagementKeyId,
    ) -> Result<(ManagementKeyMade, Force)> {
        let mut tries = Tries::default();
        loop {
            let old = self.find_management_key(asked, id).await?;
            let now = self.now();
            require_live(&old, now)?;
            asked.require_scopes(&old.scopes)?;
            lifetime(&asked.caller, old.expires_at, now)
                .map_err(|reason| ControlError::WiderThanCaller(format!("its expiry {reason}")))?;
            let (new, secret) = self.mint_management_key(old.name.clone(), old.scopes.clone(), old.boundary, now);
            // Whoever is told the new secret answers for it.
            let minted_by = asked.caller.minter().or(old.minted_by);
            let new = ManagementKey { expires_at: old.expires_at, minted_by, ..new };
            let rotated = ManagementKeyChange::Rotated { new: Box::new(new.clone()) };
            let expect = vec![Expect::ManagementKey(id, old.revision)];
            let changes = vec![Change::ManagementKey { id, what: rotated }];
            let plan = Plan { expect, changes, made: Some(Made::ManagementKey { id: new.id }) };
            match self.commit(asked, now, plan).await? {
                Committed::Stale(expect) => tries.again(self, expect).await?,
                Committed::InForce(in_force) => {
                    return Ok((ManagementKeyMade { key: new, secret, is_repeated: false }, in_force));
                }
            }
        }
    }

    /// Ends a management key for ever.
    ///
    /// # Errors
    /// Where there is none within the caller's reach.
    pub async fn revoke_management_key(
        &self,
        asked: &Asked,
        id: ManagementKeyId,
    ) -> Result<(ManagementKey, Force)> {
        asked.require(Permission::ManagementKeysWrite)?;
        let mut tries = Tries::default();
        loop {
            let mut key = self.find_management_key(asked, id).await?;
            let now = self.now();
            let is_revoked = key.revoked_at.is_some();
            let revoked = Change::ManagementKey { id, what: ManagementKeyChange::Revoked };
            let changes = if is_revoked { Vec::new() } else { vec![revoked] };
            let expect = vec![Expect::ManagementKey(id, key.revision)];
            match self.commit(asked, now, Plan { expect, changes, made: None }).await? {
                Committed::Stale(expect) => tries.again(self, expect).await?,
                Committed::InForce(in_force) => {
                    key.revoked_at = key.revoked_at.or(Some(now));
                    return Ok((key, in_force));
                }
            }
        }
    }

    async fn find_management_key(&self, asked: &Asked, id: ManagementKeyId) -> Result<ManagementKey> {
        let found = self.store.management_key(id).await?.ok_or(ControlError::NotFound)?;
        match self.is_within(asked.caller.boundary(), found.boundary, &mut HashMap::new()).await? {
            true => Ok(found),
            false => Err(ControlError::NotFound),
        }
    }

    /// Whether a new management key may reach as far as this: within the caller's own boundary, and to what
    /// is there.
    async fn can_be_handed_on(&self, asked: &Asked, boundary: Boundary) -> Result<bool> {
        let found = match boundary {
            Boundary::Everything => return Ok(asked.caller.boundary() == Boundary::Everything),
            Boundary::Organization(id) => self.find_organization(asked, id).await.map(|_| ()),
            Boundary::Project(id) => self.find_project(asked, id).await.map(|_| ()),
        };
        match found {
            Ok(()) => Ok(true),
            Err(ControlError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a boundary lies within another.
    async fn is_within(
        &self,
        own: Boundary,
        boundary: Boundary,
        walls: &mut HashMap<ProjectId, Option<OrganizationId>>,
    ) -> Result<bool> {
        match (own, boundary) {
            (Boundary::Everything, Boundary::Everything) => Ok(true),
            (_, Boundary::Everything) | (Boundary::Project(_), Boundary::Organization(_)) => Ok(false),
            (own, Boundary::Organization(id)) => {
                let is_own = own == Boundary::Everything || own == boundary;
                Ok(is_own && self.store.organization(id).await?.is_some())
            }
            (own, Boundary::Project(id)) => {
                let organization = match walls.get(&id) {
                    Some(organization) => *organization,
                    None => {
                        let organization = self.store.project(id).await?.map(|project| project.organization);
                        *walls.entry(id).or_insert(organization)
                    }
                };
                Ok(organization.is_some_and(|organization| match own {
                    Boundary::Everything => true,
                    Boundary::Organization(own) => own == organization,
                    Boundary::Project(own) => own == id,
                }))
            }
        }
    }
}

fn known_scopes(asked: &[String]) -> std::result::Result<Scopes, String> {
    let scopes = Scopes::new(asked).map_err(|error| error.to_string())?;
    if scopes.iter().next().is_none() {
        return Err("must name at least one; * stands for all".into());
    }
    if let Some(unknown) = scopes.iter().find(|scope| !Permission::is_known_scope(scope)) {
        let known: Vec<_> = Permission::ALL.iter().map(|permission| permission.scope()).collect();
        return Err(format!("\"{unknown}\" is none of {}, *", known.join(", ")));
    }
    Ok(scopes)
}

/// The end of a key that this caller mints: never after its own.
fn lifetime(
    caller: &Caller,
    asked: Option<Timestamp>,
    now: Timestamp,
) -> std::result::Result<Option<Timestamp>, String> {
    let own = match caller {
        Caller::ManagementKey(key) => key.expires_at,
        Caller::Person { .. } | Caller::Operator { .. } => None,
    };
    match (asked, own) {
        (Some(end), _) if end <= now => Err("must be in the future".into()),
        (Some(end), Some(own)) if end > own => Err(format!("must be at most {own}, when the key that asks ends")),
        (Some(end), _) => Ok(Some(end)),
        (None, own) => Ok(own),
    }
}

fn require_live(key: &ManagementKey, now: Timestamp) -> Result<()> {
    use keyward_core::key::Standing;
    match key.is_live(now) {
        true => Ok(()),
        false if key.revoked_at.is_some() => Err(ControlError::KeyNotActive(Standing::Revoked)),
        false => Err(ControlError::KeyNotActive(Standing::Expired)),
    }
}
