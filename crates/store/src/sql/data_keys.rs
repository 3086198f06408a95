//! Data keys as rows: the keyring of a project is a record like any other, the keys stand beside it, wrapped and sealed.
//! What happens to them is a change; wrapping them anew under another key-encryption key is none, for it decides nothing.

use keyward_core::change::{DataKeyChange, Expect, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::data_key::DataKeyId;
use keyward_core::data_keyring::{DATA_KEYS_MAX, DataKeyring};
use keyward_core::id::ProjectId;
use keyward_core::key_encryption::{KekVersion, WhichDataKey, Wrapped};
use keyward_core::log::LogKeys;
use keyward_core::store::{Result, StoreError, WrappedDataKey};
use keyward_core::tenancy::Project;
use sqlx::{QueryBuilder, Row as _};

use super::apply::conflict;
use super::batch;
use super::bulk::runs;
use super::dialect::read_failure;
use super::records::{Records, Refusal};
use super::rows::sealed;
use super::{Connection, Db, Row};

/// The kind of the seal over a wrapped key.
const KIND: &str = "wrapped_data_key";

/// What can be written of data keys beside changes.
pub(crate) enum DataKeyWrite {
    /// Answered with whether it was still wrapped as told.
    Rewrap { which: WhichDataKey, old: Wrapped, new: Wrapped },
    /// Answered with whether nothing needs it.
    Retire(KekVersion),
}

/// Makes one change of data keys.
pub(crate) async fn apply(
    records: &mut Records<'_>,
    project: ProjectId,
    what: &DataKeyChange,
    at: Timestamp,
    revision: Revision,
) -> std::result::Result<(), Refusal> {
    let stale = || conflict(Expect::DataKeys(project, Revision::ZERO));
    if records.load::<Project>(&project).await?.is_none() {
        return conflict(Expect::Project(project, Revision::ZERO));
    }
    let found: Option<DataKeyring> = records.load(&project).await?;
    let mut ring = found.unwrap_or_else(|| DataKeyring::empty(project));
    match what {
        DataKeyChange::Created { id, wrapped } | DataKeyChange::Rotated { id, wrapped } => {
            let Some(wrapped) = wrapped else { return stale() };
            if matches!(what, DataKeyChange::Created { .. }) == ring.current().is_some() {
                return stale();
            }
            if ring.keys.len() >= DATA_KEYS_MAX || is_taken(records, *id).await? {
                return stale();
            }
            refuse_retired(records.connection, wrapped.version).await?;
            records.wrapped.put(*id, Some((project, wrapped.clone())));
        }
        DataKeyChange::Shredded { keys } => {
            if keys.iter().any(|id| ring.key(*id).is_none_or(|key| key.state.is_shredded())) {
                return stale();
            }
            keys.iter().for_each(|id| records.wrapped.put(*id, None));
        }
    }
    ring.apply(what, at, revision);
    records.put(ring);
    Ok(())
}

async fn is_taken(records: &mut Records<'_>, id: DataKeyId) -> std::result::Result<bool, Refusal> {
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM wrapped_data_keys WHERE id = $1")
        .bind(id.to_string())
        .fetch_one(&mut *records.connection)
        .await?;
    Ok(count > 0 || records.wrapped.get(&id).flatten().is_some())
}

async fn refuse_retired(connection: &mut Connection, version: KekVersion) -> std::result::Result<(), Refusal> {
    let retired: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM retired_encryption_keys WHERE version = $1")
        .bind(i64::from(version.0))
        .fetch_one(connection)
        .await?;
    match retired {
        0 => Ok(()),
        _ => Err(StoreError::Unavailable(format!("key-encryption key {version} is retired")).into()),
    }
}

/// Writes what a transaction moved.
pub(crate) async fn write_moved(records: &mut Records<'_>) -> std::result::Result<(), Refusal> {
    let log_keys = records.log_keys;
    let rings = sealed(log_keys, records.keyrings.moved.drain())?;
    for run in runs(&rings) {
        let mut insert: QueryBuilder<Db> =
            QueryBuilder::new("INSERT INTO data_keys (project, created_revision, revision, record, seal) ");
        insert.push_values(run, |mut columns, (ring, sealed)| {
            columns
                .push_bind(ring.project.to_string())
                .push_bind(ring.created_revision.0)
                .push_bind(ring.revision.0)
                .push_bind(sealed.json.clone())
                .push_bind(sealed.seal.to_vec());
        });
        insert.push(
            " ON CONFLICT (project) DO UPDATE SET
                  revision = excluded.revision, record = excluded.record, seal = excluded.seal",
        );
        insert.build().execute(&mut *records.connection).await?;
    }
    for (id, moved) in records.wrapped.moved.drain() {
        let Some((project, wrapped)) = moved else {
            let gone = sqlx::query("DELETE FROM wrapped_data_keys WHERE id = $1").bind(id.to_string());
            gone.execute(&mut *records.connection).await?;
            continue;
        };
        let seal = log_keys.seal(KIND, &covered(WhichDataKey { project, id }, &wrapped));
        sqlx::query(
            "INSERT INTO wrapped_data_keys (id, project, kek_version, wrapped, seal) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(id.to_string())
        .bind(project.to_string())
        .bind(i64::from(wrapped.version.0))
        .bind(&wrapped.bytes)
        .bind(&seal[..])
        .execute(&mut *records.connection)
        .await?;
    }
    Ok(())
}

/// Makes a write that is no change. Under the lock on the log's head, so that none comes between a data key that is made
/// and the retiring of what it is wrapped under.
pub(crate) async fn write(
    connection: &mut Connection,
    log_keys: &LogKeys,
    write: &DataKeyWrite,
) -> std::result::Result<bool, Refusal> {
    batch::lock_head(connection).await?;
    match write {
        DataKeyWrite::Rewrap { which, old, new } => {
            refuse_retired(connection, new.version).await?;
            let seal = log_keys.seal(KIND, &covered(*which, new));
            let moved = sqlx::query(
                "UPDATE wrapped_data_keys SET kek_version = $3, wrapped = $4, seal = $5
                 WHERE id = $1 AND project = $2 AND kek_version = $6 AND wrapped = $7",
            )
            .bind(which.id.to_string())
            .bind(which.project.to_string())
            .bind(i64::from(new.version.0))
            .bind(&new.bytes)
            .bind(&seal[..])
            .bind(i64::from(old.version.0))
            .bind(&old.bytes)
            .execute(connection)
            .await?;
            Ok(moved.rows_affected() > 0)
        }
        DataKeyWrite::Retire(version) => {
            let needed: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM wrapped_data_keys WHERE kek_version = $1")
                .bind(i64::from(version.0))
                .fetch_one(&mut *connection)
                .await?;
            if needed > 0 {
                return Ok(false);
            }
            sqlx::query(
                "INSERT INTO retired_encryption_keys (version) VALUES ($1) ON CONFLICT (version) DO NOTHING",
            )
            .bind(i64::from(version.0))
            .execute(connection)
            .await?;
            Ok(true)
        }
    }
}

/// A data key as it is kept, wrapped.
pub(crate) async fn wrapped(
    connection: &mut Connection,
    log_keys: &LogKeys,
    which: WhichDataKey,
) -> Result<Option<Wrapped>> {
    let row = sqlx::query("SELECT id, project, kek_version, wrapped, seal FROM wrapped_data_keys WHERE id = $1")
        .bind(which.id.to_string())
        .fetch_optional(connection)
        .await
        .map_err(read_failure)?;
    let Some(found) = row.map(|row| wrapped_of(log_keys, &row)).transpose()? else { return Ok(None) };
    Ok((found.which == which).then_some(found.wrapped))
}

/// Those wrapped under one version, after a place in their order.
pub(crate) async fn under(
    connection: &mut Connection,
    log_keys: &LogKeys,
    version: KekVersion,
    after: Option<DataKeyId>,
    limit: u32,
) -> Result<Vec<WrappedDataKey>> {
    let rows = sqlx::query(
        "SELECT id, project, kek_version, wrapped, seal FROM wrapped_data_keys
         WHERE kek_version = $1 AND id > $2 ORDER BY id LIMIT $3",
    )
    .bind(i64::from(version.0))
    .bind(after.map_or_else(String::new, |id| id.to_string()))
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await
    .map_err(read_failure)?;
    rows.iter().map(|row| wrapped_of(log_keys, row)).collect()
}

/// How many are wrapped under each version.
pub(crate) async fn counts(connection: &mut Connection) -> Result<Vec<(KekVersion, u64)>> {
    let rows = sqlx::query(
        "SELECT kek_version, COUNT(*) AS count FROM wrapped_data_keys GROUP BY kek_version ORDER BY kek_version",
    )
    .fetch_all(connection)
    .await
    .map_err(read_failure)?;
    let count_of = |row: &Row| {
        let count: i64 = row.try_get("count").map_err(read_failure)?;
        Ok((version_of(row)?, count.unsigned_abs()))
    };
    rows.iter().map(count_of).collect()
}

/// Checks that every wrapped key is as Keyward wrote it.
///
/// # Errors
/// [`StoreError::Damaged`] with the first that is not; else as every reading.
pub(crate) async fn check(connection: &mut Connection, log_keys: &LogKeys) -> Result<()> {
    let rows = sqlx::query("SELECT id, project, kek_version, wrapped, seal FROM wrapped_data_keys");
    let rows = rows.fetch_all(connection).await.map_err(read_failure)?;
    rows.iter().try_for_each(|row| wrapped_of(log_keys, row).map(|_| ()))
}

fn version_of(row: &Row) -> Result<KekVersion> {
    let version: i64 = row.try_get("kek_version").map_err(read_failure)?;
    let version = u32::try_from(version).ok().map(KekVersion);
    version.ok_or_else(|| StoreError::Damaged("a data key has no version of a key-encryption key".into()))
}

fn wrapped_of(log_keys: &LogKeys, row: &Row) -> Result<WrappedDataKey> {
    let id: &str = row.try_get("id").map_err(read_failure)?;
    let project: &str = row.try_get("project").map_err(read_failure)?;
    let seal: &[u8] = row.try_get("seal").map_err(read_failure)?;
    let damaged = || StoreError::Damaged(format!("the data key {id} is not as Keyward wrote it"));
    let which =
        WhichDataKey { project: project.parse().map_err(|_| damaged())?, id: id.parse().map_err(|_| damaged())? };
    let wrapped = Wrapped { version: version_of(row)?, bytes: row.try_get("wrapped").map_err(read_failure)? };
    match log_keys.has_sealed(KIND, &covered(which, &wrapped), seal) {
        true => Ok(WrappedDataKey { which, wrapped }),
        false => Err(damaged()),
    }
}

/// What the seal over a wrapped key covers: it passes for no other.
fn covered(which: WhichDataKey, wrapped: &Wrapped) -> Vec<u8> {
    let (id, project) = (which.id.as_u128().to_be_bytes(), which.project.as_u128().to_be_bytes());
    [&id[..], &project, &wrapped.version.0.to_be_bytes(), &wrapped.bytes].concat()
}

/// A project's data keys.
pub(crate) async fn ring(
    connection: &mut Connection,
    log_keys: &LogKeys,
    project: ProjectId,
) -> Result<Option<DataKeyring>> {
    super::read::one(connection, log_keys, project.to_string()).await
}
