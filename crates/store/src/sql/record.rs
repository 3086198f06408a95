//! Records as rows: JSON with a seal over exactly its bytes, checked at every read, so that neither a bad
//! page nor another's hand can make a revoked key open.

use std::fmt::Display;

use keyward_core::change::Idempotency;
use keyward_core::data_keyring::DataKeyring;
use keyward_core::key::{Key, KeyState};
use keyward_core::log::LogKeys;
use keyward_core::people::{Invitation, Person};
use keyward_core::session::{Session, SignInLink};
use keyward_core::store::{Result, StoreError};
use keyward_core::tenancy::{Api, ManagementKey, Organization, Project};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;

use super::Row;
use super::dialect::{read_failure, text_bytes, text_of};

/// What is kept as JSON with a seal.
pub(crate) trait Sealable: Serialize + DeserializeOwned {
    /// What seals call it.
    const KIND: &'static str;
}

/// A record that the state is made of.
pub(crate) trait Record: Sealable + Clone + Send + Sync {
    /// Reads `record` and `seal` of the one whose id is `$1`.
    const SELECT: &'static str;
    /// Reads `id`, `record` and `seal` of those whose ids follow in a list, up to its closing bracket.
    const SELECT_AMONG: &'static str;

    /// Its id as its row gives it.
    fn id_text(&self) -> String;
}

macro_rules! records {
    ($($name:ident, $id:ident, $kind:literal, $table:literal;)*) => {$(
        impl Sealable for $name {
            const KIND: &'static str = $kind;
        }

        impl Record for $name {
            const SELECT: &'static str =
                concat!("SELECT record, seal FROM ", $table, " WHERE ", stringify!($id), " = $1");
            const SELECT_AMONG: &'static str = concat!(
                "SELECT ", stringify!($id), " AS id, record, seal FROM ", $table,
                " WHERE ", stringify!($id), " IN ("
            );

            fn id_text(&self) -> String {
                self.$id.to_string()
            }
        }
    )*};
}

records! {
    Key, id, "key", "keys";
    Project, id, "project", "projects";
    DataKeyring, project, "data_keys", "data_keys";
    Organization, id, "organization", "organizations";
    ManagementKey, id, "management_key", "management_keys";
    Api, name, "api", "apis";
    Person, id, "person", "people";
    Invitation, id, "invitation", "invitations";
}

impl Sealable for Session {
    const KIND: &'static str = "session";
}

impl Sealable for SignInLink {
    const KIND: &'static str = "sign_in_link";
}

/// A record's JSON and the seal over it.
pub(crate) struct Sealed {
    pub(crate) json: String,
    pub(crate) seal: [u8; 16],
}

pub(crate) fn seal<R: Sealable>(log_keys: &LogKeys, record: &R) -> Result<Sealed> {
    let json = serde_json::to_string(record)
        .map_err(|error| StoreError::Damaged(format!("a {} cannot be written as JSON: {error}", R::KIND)))?;
    let seal = log_keys.seal(R::KIND, json.as_bytes());
    Ok(Sealed { json, seal })
}

/// Reads the record in the columns `record` and `seal` of a row.
pub(crate) fn open<R: Sealable>(log_keys: &LogKeys, row: &Row) -> Result<R> {
    open_columns(log_keys, row, "record", "seal")
}

/// Reads a record, and checks that it is the one with this id.
pub(crate) fn open_as<R: Record>(log_keys: &LogKeys, row: &Row, id: &impl Display) -> Result<R> {
    let record: R = open(log_keys, row)?;
    match record.id_text() == id.to_string() {
        true => Ok(record),
        false => Err(StoreError::Damaged(format!("the row of {id} holds {}", record.id_text()))),
    }
}

/// Reads a record from columns of these names.
pub(crate) fn open_columns<R: Sealable>(log_keys: &LogKeys, row: &Row, record: &str, seal: &str) -> Result<R> {
    let json = text_bytes(row, record).map_err(read_failure)?;
    let seal: &[u8] = row.try_get(seal).map_err(read_failure)?;
    if !log_keys.has_sealed(R::KIND, json, seal) {
        return Err(StoreError::Damaged(format!(
            "a record ({}) is not as Keyward wrote it; stop Keyward and run `keyward doctor`",
            R::KIND
        )));
    }
    serde_json::from_slice(json)
        .map_err(|error| StoreError::Damaged(format!("a record ({}) cannot be read: {error}", R::KIND)))
}

/// The word for a key's state in the column `state`.
pub(crate) fn key_state_word(state: &KeyState) -> &'static str {
    match state {
        KeyState::Active => "active",
        KeyState::Disabled { .. } => "disabled",
        KeyState::Retiring { .. } => "retiring",
        KeyState::Revoked { .. } => "revoked",
    }
}

/// The end of a key's overlap, for the column `ends_at`: set in the state `retiring` only.
pub(crate) fn key_ends_at(state: &KeyState) -> Option<i64> {
    match state {
        KeyState::Retiring { ends_at, .. } => Some(ends_at.as_millis()),
        _ => None,
    }
}

/// Reads the record of a request.
pub(crate) fn idempotency_of(row: &Row) -> sqlx::Result<Idempotency> {
    let fingerprint: &[u8] = row.try_get("fingerprint")?;
    let fingerprint =
        fingerprint.try_into().map_err(|_| sqlx::Error::Decode("a fingerprint is not 32 bytes".into()))?;
    Ok(Idempotency {
        caller: text_of(row, "caller")?,
        key: text_of(row, "request_key")?,
        fingerprint,
        answer: text_of(row, "answer")?,
    })
}

/// What the seal over a row of digests covers.
pub(crate) fn digest_row(digest: &[u8], key: &str, pepper: i64) -> Vec<u8> {
    [digest, b"\0", key.as_bytes(), b"\0", &pepper.to_be_bytes()].concat()
}

/// The kind of that seal.
pub(crate) const DIGEST_KIND: &str = "digest";

/// What the seal over a password covers: nobody gets in with another's.
pub(crate) fn password_row(person: &str, phc: &str) -> Vec<u8> {
    [person.as_bytes(), b"\0", phc.as_bytes()].concat()
}

/// The kind of that seal.
pub(crate) const PASSWORD_KIND: &str = "password";
