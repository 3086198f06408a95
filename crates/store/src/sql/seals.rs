//! Checking every seal of a store: after all rows came from elsewhere.

use futures_util::TryStreamExt as _;
use keyward_core::data_keyring::DataKeyring;
use keyward_core::key::Key;
use keyward_core::log::LogKeys;
use keyward_core::people::{Invitation, Person};
use keyward_core::session::{Session, SignInLink};
use keyward_core::store::{Result, StoreError};
use keyward_core::tenancy::{Api, ManagementKey, Organization, Project};
use sqlx::Row as _;

use super::Connection;
use super::data_keys;
use super::dialect::read_failure;
use super::record::{self, DIGEST_KIND, PASSWORD_KIND, Sealable};

/// Checks that every sealed row is as Keyward wrote it, under these keys.
///
/// # Errors
/// [`StoreError::Damaged`] with the first that is not; else as every reading.
pub(crate) async fn check(connection: &mut Connection, log_keys: &LogKeys) -> Result<()> {
    records::<Api>(connection, log_keys, "SELECT record, seal FROM apis").await?;
    records::<Organization>(connection, log_keys, "SELECT record, seal FROM organizations").await?;
    records::<Project>(connection, log_keys, "SELECT record, seal FROM projects").await?;
    records::<DataKeyring>(connection, log_keys, "SELECT record, seal FROM data_keys").await?;
    data_keys::check(connection, log_keys).await?;
    records::<Key>(connection, log_keys, "SELECT record, seal FROM keys").await?;
    records::<ManagementKey>(connection, log_keys, "SELECT record, seal FROM management_keys").await?;
    records::<Person>(connection, log_keys, "SELECT record, seal FROM people").await?;
    records::<Invitation>(connection, log_keys, "SELECT record, seal FROM invitations").await?;
    records::<Session>(connection, log_keys, "SELECT record, seal FROM sessions").await?;
    records::<SignInLink>(connection, log_keys, "SELECT record, seal FROM sign_in_links").await?;
    let mut digests = sqlx::query("SELECT digest, key_id, pepper, seal FROM digests").fetch(&mut *connection);
    while let Some(row) = digests.try_next().await.map_err(read_failure)? {
        let (digest, key): (&[u8], &str) = both(&row, "digest", "key_id")?;
        let (pepper, seal): (i64, &[u8]) = both(&row, "pepper", "seal")?;
        if !log_keys.has_sealed(DIGEST_KIND, &record::digest_row(digest, key, pepper), seal) {
            return Err(StoreError::Damaged(format!("a digest of {key} is not as Keyward wrote it")));
        }
    }
    drop(digests);
    let mut passwords = sqlx::query("SELECT person, phc, seal FROM passwords").fetch(connection);
    while let Some(row) = passwords.try_next().await.map_err(read_failure)? {
        let (person, phc): (&str, &str) = both(&row, "person", "phc")?;
        let seal: &[u8] = row.try_get("seal").map_err(read_failure)?;
        if !log_keys.has_sealed(PASSWORD_KIND, &record::password_row(person, phc), seal) {
            return Err(StoreError::Damaged(format!("the password of {person} is not as Keyward wrote it")));
        }
    }
    Ok(())
}

async fn records<R: Sealable>(connection: &mut Connection, log_keys: &LogKeys, select: &'static str) -> Result<()> {
    let mut rows = sqlx::query(select).fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(read_failure)? {
        record::open::<R>(log_keys, &row)?;
    }
    Ok(())
}

fn both<'a, A, B>(row: &'a super::Row, one: &str, other: &str) -> Result<(A, B)>
where
    A: sqlx::Decode<'a, super::Db> + sqlx::Type<super::Db>,
    B: sqlx::Decode<'a, super::Db> + sqlx::Type<super::Db>,
{
    Ok((row.try_get(one).map_err(read_failure)?, row.try_get(other).map_err(read_failure)?))
}
