//! Changing a key that opens: its name, an earlier end, its scopes, networks and metadata. Each field that
//! differs is a change of its own; together they are made or not.

use ipnet::IpNet;
use keyward_core::change::{Change, Expect, KeyChange};
use keyward_core::clock::Timestamp;
use keyward_core::contract::Contract;
use keyward_core::id::KeyId;
use keyward_core::key::{Key, Metadata, Standing};
use keyward_core::permission::Permission;
use keyward_core::scope::Scopes;

use super::{SeenKey, rules};
use crate::use_cases::commit::{Committed, Edit, Plan, Tries};
use crate::use_cases::error::{ControlError, Faults, Result};
use crate::use_cases::force::Force;
use crate::use_cases::{Asked, Control};

/// What is to be different about a key.
#[derive(Debug, Clone, Default)]
pub struct KeyEdit {
    /// Another name, or none.
    pub name: Edit<String>,
    /// An earlier end.
    pub expires_at: Edit<Timestamp>,
    /// Other scopes.
    pub scopes: Edit<Vec<String>>,
    /// Other networks; anywhere where cleared.
    pub addresses: Edit<Vec<String>>,
    /// Other metadata.
    pub metadata: Edit<Metadata>,
}

impl Control {
    /// Changes a key.
    ///
    /// # Errors
    /// Where there is no key that the caller reaches, it has ended, or the contract does not allow what is
    /// asked.
    pub async fn edit_key(&self, asked: &Asked, id: KeyId, edit: &KeyEdit) -> Result<(SeenKey, Force)> {
        asked.require(Permission::KeysWrite)?;
        let (key, place) = self.find_key(asked, id).await?;
        let takes_away =
            |what: &KeyChange| Change::Key { of: place.key_ref(&key), what: what.clone() }.is_restrictive();
        // Who takes something from a key must never be told to wait.
        match decide(&key, edit, &place.api.contract, self.now()) {
            Ok(changes) if changes.iter().any(takes_away) => self.make_edit(asked, id, edit).await,
            _ => self.managed(&place, self.make_edit(asked, id, edit)).await,
        }
    }

    async fn make_edit(&self, asked: &Asked, id: KeyId, edit: &KeyEdit) -> Result<(SeenKey, Force)> {
        let mut tries = Tries::default();
        loop {
            let (mut key, place) = self.find_key(asked, id).await?;
            let now = self.now();
            if let ended @ (Standing::Revoked | Standing::Expired) = key.standing(now) {
                return Err(ControlError::KeyNotActive(ended));
            }
            let decided = decide(&key, edit, &place.api.contract, now)?;
            let mut expect = place.expectations();
            expect.push(Expect::Key(key.id, key.revision));
            let of = place.key_ref(&key);
            let changes = decided.iter().map(|what| Change::Key { of: of.clone(), what: what.clone() }).collect();
            match self.commit(asked, now, Plan { expect, changes, made: None }).await? {
                Committed::Stale(expect) => tries.again(self, expect).await?,
                Committed::InForce(in_force) => {
                    for what in &decided {
                        key.apply(what, now, key.revision.next());
                    }
                    return Ok((self.see_written_key(key).await?, in_force));
                }
            }
        }
    }
}

/// The changes that an edit comes to; none for what is so already.
fn decide(key: &Key, edit: &KeyEdit, contract: &Contract, now: Timestamp) -> Result<Vec<KeyChange>> {
    let mut faults = Faults::default();
    let mut changes = Vec::new();
    if let Some(name) = faults.take("name", name(key, &edit.name, contract)) {
        changes.extend((name != key.name).then_some(KeyChange::Renamed { name }));
    }
    if let Some(expires_at) = faults.take("expires_at", expiry(key, &edit.expires_at, contract, now)).flatten() {
        changes.extend((Some(expires_at) != key.expires_at).then_some(KeyChange::ExpirySet { expires_at }));
    }
    let scopes = match &edit.scopes {
        Edit::Keep => Ok(key.scopes.clone()),
        Edit::Clear => Err("must be a list of strings".into()),
        Edit::Set(scopes) => rescoped(key, scopes, contract),
    };
    if let Some(scopes) = faults.take("scopes", scopes) {
        changes.extend((scopes != key.scopes).then_some(KeyChange::Rescoped { scopes }));
    }
    if let Some(addresses) = faults.take("addresses", addresses(key, &edit.addresses, contract)) {
        changes.extend((addresses != key.addresses).then_some(KeyChange::AddressesSet { addresses }));
    }
    let metadata = match &edit.metadata {
        Edit::Keep => Ok(key.metadata.clone()),
        Edit::Clear => Ok(Metadata::new()),
        Edit::Set(metadata) => rules::metadata(metadata.clone(), contract),
    };
    if let Some(metadata) = faults.take("metadata", metadata) {
        changes.extend((metadata != key.metadata).then_some(KeyChange::MetadataSet { metadata }));
    }
    faults.finish()?;
    Ok(changes)
}

type Checked<T> = std::result::Result<T, String>;

/// Scopes that a key has already may stay, also where a later contract does not name them any more.
fn rescoped(key: &Key, asked: &[String], contract: &Contract) -> Checked<Scopes> {
    let is_held = |scope: &&String| key.scopes.iter().any(|held| held == scope.as_str());
    let added: Vec<String> = asked.iter().filter(|scope| !is_held(scope)).cloned().collect();
    rules::scopes(&added, contract)?;
    Scopes::new(asked).map_err(|error| error.to_string())
}

fn name(key: &Key, edit: &Edit<String>, contract: &Contract) -> Checked<Option<String>> {
    match edit {
        Edit::Keep => Ok(key.name.clone()),
        Edit::Clear => contract.key.name.check(None),
        Edit::Set(name) => contract.key.name.check(Some(name)),
    }
}

fn expiry(key: &Key, edit: &Edit<Timestamp>, contract: &Contract, now: Timestamp) -> Checked<Option<Timestamp>> {
    match edit {
        Edit::Keep => Ok(key.expires_at),
        Edit::Clear if key.expires_at.is_none() => Ok(None),
        Edit::Clear => Err("can only be made sooner: a key's life is never lengthened".into()),
        Edit::Set(asked) => contract.key.expiry.shorten(key.expires_at, *asked, now).map(Some),
    }
}

fn addresses(key: &Key, edit: &Edit<Vec<String>>, contract: &Contract) -> Checked<Vec<IpNet>> {
    match edit {
        Edit::Keep => Ok(key.addresses.clone()),
        Edit::Clear => Ok(Vec::new()),
        Edit::Set(addresses) => rules::addresses(addresses, contract),
    }
}
