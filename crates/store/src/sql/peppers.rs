//! Digests under several peppers, and the canaries that show which peppers a store was used with.

use keyward_core::change::{Expect, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::KeyId;
use keyward_core::log::LogKeys;
use keyward_core::secret::{Digest, PepperVersion};
use keyward_core::store::{Canary, Result, StoreError};
use sqlx::Row as _;

use super::dialect::{is_missing_reference, read_failure};
use super::record::{DIGEST_KIND, digest_row};
use super::records::Refusal;
use super::{Connection, Row};

/// What can be written about peppers.
pub(crate) enum PepperWrite {
    Digest { key: KeyId, digest: Digest, pepper: PepperVersion },
    Canary { version: PepperVersion, canary: Vec<u8> },
    Retire(PepperVersion),
}

pub(crate) async fn write(
    connection: &mut Connection,
    log_keys: &LogKeys,
    write: &PepperWrite,
) -> std::result::Result<(), Refusal> {
    match write {
        PepperWrite::Digest { key, digest, pepper } => {
            add_digest(connection, log_keys, *key, digest, *pepper).await
        }
        PepperWrite::Canary { version, canary } => add_canary(connection, *version, canary).await,
        PepperWrite::Retire(version) => retire(connection, *version).await,
    }
}

async fn add_digest(
    connection: &mut Connection,
    log_keys: &LogKeys,
    key: KeyId,
    digest: &Digest,
    pepper: PepperVersion,
) -> std::result::Result<(), Refusal> {
    let (id, bytes, pepper) = (key.to_string(), digest.as_bytes().as_slice(), i64::from(pepper));
    let seal = log_keys.seal(DIGEST_KIND, &digest_row(bytes, &id, pepper));
    let added = sqlx::query(
        "INSERT INTO digests (digest, key_id, pepper, seal) VALUES ($1, $2, $3, $4)
         ON CONFLICT (digest) DO NOTHING",
    )
    .bind(bytes)
    .bind(&id)
    .bind(pepper)
    .bind(&seal[..])
    .execute(&mut *connection)
    .await;
    match added {
        Ok(_) => {}
        Err(error) if is_missing_reference(&error) => {
            return Err(StoreError::Conflict(Expect::Key(key, Revision::ZERO)).into());
        }
        Err(error) => return Err(error.into()),
    }
    let holder: String = sqlx::query_scalar("SELECT key_id FROM digests WHERE digest = $1")
        .bind(bytes)
        .fetch_one(connection)
        .await?;
    match holder == id {
        true => Ok(()),
        false => Err(StoreError::Conflict(Expect::Key(key, Revision::ZERO)).into()),
    }
}

async fn add_canary(
    connection: &mut Connection,
    version: PepperVersion,
    canary: &[u8],
) -> std::result::Result<(), Refusal> {
    sqlx::query("INSERT INTO canaries (version, canary) VALUES ($1, $2) ON CONFLICT (version) DO NOTHING")
        .bind(i64::from(version))
        .bind(canary)
        .execute(&mut *connection)
        .await?;
    let kept: Vec<u8> = sqlx::query_scalar("SELECT canary FROM canaries WHERE version = $1")
        .bind(i64::from(version))
        .fetch_one(connection)
        .await?;
    match kept == canary {
        true => Ok(()),
        false => Err(StoreError::Unavailable(format!(
            "this store was used with another pepper of version {version}: give that one, or the new one \
             another version"
        ))
        .into()),
    }
}

async fn retire(connection: &mut Connection, version: PepperVersion) -> std::result::Result<(), Refusal> {
    sqlx::query("DELETE FROM canaries WHERE version = $1")
        .bind(i64::from(version))
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "DELETE FROM digests WHERE pepper = $1 AND EXISTS (
             SELECT 1 FROM digests AS newer
             WHERE newer.key_id = digests.key_id AND newer.pepper > digests.pepper)",
    )
    .bind(i64::from(version))
    .execute(connection)
    .await?;
    Ok(())
}

/// The peppers in use, each with how many keys hang on it: those neither revoked nor past their overlap or
/// expiry at `now`, of projects and organizations that are not deleted.
pub(crate) async fn canaries(connection: &mut Connection, now: Timestamp) -> Result<Vec<Canary>> {
    let rows = sqlx::query(
        "SELECT c.version, c.canary, COALESCE(hanging.count, 0) AS hanging FROM canaries AS c
         LEFT JOIN (
             SELECT newest.pepper, COUNT(*) AS count FROM (
                 SELECT (SELECT MAX(d.pepper) FROM digests AS d WHERE d.key_id = k.id) AS pepper
                 FROM keys AS k
                 WHERE k.state <> 'revoked' AND (k.ends_at IS NULL OR k.ends_at > $1)
                     AND (k.expires_at IS NULL OR k.expires_at > $1)
                     AND k.project NOT IN (
                         SELECT p.id FROM projects AS p JOIN organizations AS o ON o.id = p.organization
                         WHERE p.state = 'deleted' OR o.state = 'deleted')
             ) AS newest GROUP BY newest.pepper
         ) AS hanging ON hanging.pepper = c.version
         ORDER BY c.version",
    )
    .bind(now.as_millis())
    .fetch_all(connection)
    .await
    .map_err(read_failure)?;
    rows.iter().map(canary_of).collect()
}

fn canary_of(row: &Row) -> Result<Canary> {
    let version: i64 = row.try_get("version").map_err(read_failure)?;
    let keys: i64 = row.try_get("hanging").map_err(read_failure)?;
    Ok(Canary {
        version: PepperVersion::try_from(version)
            .map_err(|_| StoreError::Damaged(format!("{version} is no version of a pepper")))?,
        canary: row.try_get("canary").map_err(read_failure)?,
        keys: keys.unsigned_abs(),
    })
}
